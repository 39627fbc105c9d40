//! Accounts for the evidence of other detectors: how unusual are the numbers that they looked at?

use lynceus_model::evidence::{Evidence, EvidenceType, Feature};
use lynceus_model::outlier::FEATURES;
use lynceus_model::outlier::features::place_of;
use lynceus_model::profile::ProfileDelta;

use super::{Outlier, Role};

/// Windows that a role must have had before the share of those with some evidence says something.
const MIN_WINDOWS: u64 = 8;

impl Outlier {
    /// Adds to an evidence what its window shows in the features that the detector used, next to what is usual for
    /// peers and how unusual it is; and how many windows of peers had evidence of this type at all. What the baseline
    /// does not know stays absent.
    ///
    /// `profile` is the window that is looked at. A finding in another window gets the second part only: how far that
    /// one has come at this moment depends on how updates travelled.
    pub fn explain(&self, evidence: &mut Evidence, profile: &ProfileDelta, earlier: &[ProfileDelta]) {
        if evidence.kind == EvidenceType::Outlier {
            return;
        }
        let role = self.role_of(profile);
        let window = profile.window;
        if (evidence.profile, evidence.window_start) == (window.profile, window.start) {
            self.add_features(evidence, profile, earlier, role);
        }
        self.add_share(evidence, role);
    }

    fn add_features(
        &self,
        evidence: &mut Evidence,
        profile: &ProfileDelta,
        earlier: &[ProfileDelta],
        role: Role,
    ) {
        let window = profile.window;
        let values = self.values_of(profile, earlier, self.open.get(&(window.start, window)));
        for name in used_by(evidence.kind) {
            let Some(feature) = place_of(name) else { continue };
            let Some(value) = values.get(feature) else {
                continue;
            };
            let known = self.among_peers(role, feature, value);
            evidence.explanation.features.push(Feature {
                name: format!("window's {name}").into(),
                value,
                unit: FEATURES[feature].unit.into(),
                baseline: known.map(|(median, _)| median),
                threshold: None,
                surprisal: known.map(|(_, nats)| nats),
            });
        }
    }

    /// How many windows of the role of the profile that is looked at had evidence of the type.
    fn add_share(&self, evidence: &mut Evidence, role: Role) {
        let Some(baseline) = self.baselines.get(&role) else {
            return;
        };
        let (with, all) = (baseline.windows_with(evidence.kind), baseline.windows());
        if all >= MIN_WINDOWS {
            evidence.explanation.features.push(Feature {
                name: "peers' windows with this type".into(),
                value: with as f64,
                unit: "windows".into(),
                baseline: None,
                threshold: None,
                surprisal: Some(-libm::log((1.0 + with as f64) / (1.0 + all as f64))),
            });
        }
    }
}

/// The features of a window that a detector's finding is about.
#[must_use]
pub(super) fn used_by(kind: EvidenceType) -> &'static [&'static str] {
    use EvidenceType as Type;
    match kind {
        Type::HorizontalPortScan | Type::GreScan => &["dst_ips", "silent_targets", "fail_ratio"],
        Type::VerticalPortScan => &["ports_of_one_host", "silent_targets", "fail_ratio"],
        Type::ConnectionToMultiplePorts | Type::UnknownPort | Type::Port0Connection => {
            &["dst_ports", "ports_of_one_host"]
        }
        Type::IcmpAddressScan
        | Type::IcmpTimestampScan
        | Type::IcmpAddressMaskScan
        | Type::ArpScan
        | Type::ArpOutsideLocalnet
        | Type::UnsolicitedArp
        | Type::MitmArpAttack => &["asked_targets"],
        Type::DhcpScan | Type::DeviceChangingIp => &["asked_targets", "flows"],
        Type::DnsArpaScan
        | Type::DgaNxdomains
        | Type::HighEntropyDnsAnswer
        | Type::InvalidDnsResolution
        | Type::YoungDomain
        | Type::DnsTunnel
        | Type::DnsWithoutConnection
        | Type::DnsOverHttps => &["dns_messages", "dns_nxdomain_ratio", "dns_name_entropy"],
        Type::LongConnection | Type::GreTunnel | Type::IcmpTunnel => {
            &["median_duration", "bytes_to_one_host"]
        }
        Type::DataUpload => &["bytes_to_one_host", "bytes_out", "upload_ratio"],
        Type::CommandAndControlChannel | Type::Beaconing => {
            &["regularity", "letters_entropy", "median_flow_bytes"]
        }
        Type::MultipleReconnectionAttempts
        | Type::EmptyConnections
        | Type::PasswordGuessing
        | Type::CredentialStuffing
        | Type::SshSuccessful
        | Type::MultipleSshVersions
        | Type::BadSmtpLogin
        | Type::SmtpLoginBruteforce
        | Type::Login => &["flows", "fail_ratio", "median_flow_bytes"],
        Type::ConnectionToPrivateIp
        | Type::DifferentLocalnet
        | Type::ConnectionWithoutDns
        | Type::TorExitNode
        | Type::ThreatIntelligenceToBlacklistedIp
        | Type::ThreatIntelligenceFromBlacklistedIp
        | Type::ThreatIntelligenceBlacklistedAsn
        | Type::ThreatIntelligenceMaliciousIpFromP2pNetwork => {
            &["new_peers", "dst_ips", "dst_asns", "dst_countries"]
        }
        Type::ThreatIntelligenceBlacklistedDnsAnswer
        | Type::ThreatIntelligenceAnswerOfBlacklistedQuery
        | Type::ThreatIntelligenceBlacklistedDomain => &["dns_messages", "dns_name_entropy", "new_peers"],
        Type::NonSslPort443Connection
        | Type::NonHttpPort80Connection
        | Type::SelfSignedCertificate
        | Type::IncompatibleCn
        | Type::CnUrlMismatch
        | Type::MaliciousJa3
        | Type::MaliciousJa3s
        | Type::MaliciousJa4
        | Type::MaliciousSslCert
        | Type::MaliciousJarm
        | Type::MaliciousFlow => &["new_fingerprints", "new_peers", "bytes_out"],
        Type::SuspiciousUserAgent
        | Type::IncompatibleUserAgent
        | Type::MultipleUserAgent
        | Type::ExecutableMimeType
        | Type::PastebinDownload
        | Type::WeirdHttpMethod
        | Type::HttpTraffic
        | Type::MaliciousDownloadedFile
        | Type::NetworkGpsLocationLeaked
        | Type::ThreatIntelligenceMaliciousUrl => &["bytes_in", "bytes_out", "new_peers"],
        Type::P2pReport | Type::ReportedByOther | Type::Outlier => &["flows", "dst_ips", "bytes_out"],
    }
}
