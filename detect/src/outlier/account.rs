//! Accounts for the evidence of other detectors: how unusual are the numbers that they looked at?

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::LazyLock;

use lynceus_model::evidence::{Evidence, EvidenceType, Feature, OwnPast};
use lynceus_model::outlier::features::place_of;
use lynceus_model::outlier::{FEATURES, Reference, Scorer, Values, sentence};
use lynceus_model::profile::ProfileDelta;

use super::{Judged, Outlier, Role};

/// Before the names of a window's features, so that they are told apart from the detector's own numbers.
const PREFIX: &str = "window's ";
/// Name of the number of peers' windows with the same type of evidence.
const SHARE: &str = "peers' windows with this type";

/// Names of a window's features in an explanation, in the order of [`FEATURES`].
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    FEATURES
        .iter()
        .map(|feature| format!("{PREFIX}{}", feature.name))
        .collect()
});

/// What was derived of one window at one moment, for all findings that are about the same features of it.
#[derive(Debug, Default)]
pub struct Seen {
    values: Option<Values>,
    told: Vec<Told>,
}

/// What findings about some features are told.
#[derive(Debug)]
struct Told {
    of: &'static [&'static str],
    account: String,
    features: Vec<Feature>,
}

impl Told {
    /// From the cache, or as it is made now.
    fn of(all: &mut Vec<Self>, kind: EvidenceType, make: impl FnOnce() -> (Vec<Number>, String)) -> &Self {
        let of = used_by(kind);
        let at = all.iter().position(|told| told.of == of).unwrap_or_else(|| {
            let (numbers, account) = make();
            let features = numbers.into_iter().map(Number::into_feature).collect();
            all.push(Self {
                of,
                account,
                features,
            });
            all.len() - 1
        });
        &all[at]
    }

    /// Puts the numbers in the place of those that are there, before the share of peers; gives whether anything changed.
    fn put(&self, evidence: &mut Evidence) -> bool {
        let features = &mut evidence.explanation.features;
        let is_ours = |feature: &&Feature| feature.name.starts_with(PREFIX);
        if evidence.account.as_ref() == Some(&self.account)
            && features.iter().filter(is_ours).eq(&self.features)
        {
            return false;
        }
        evidence.account = Some(self.account.clone());
        features.retain(|feature| !is_ours(&feature));
        let at = features
            .iter()
            .position(|feature| feature.name == SHARE)
            .unwrap_or(features.len());
        features.splice(at..at, self.features.iter().cloned());
        true
    }
}

/// One feature of a window, compared.
struct Number {
    feature: usize,
    value: f64,
    /// Among enough peers.
    peers: Option<Peers>,
    own: Option<OwnPast>,
}

struct Peers {
    median: f64,
    p99: f64,
    nats: f64,
    extrapolated: bool,
}

impl Outlier {
    /// Adds to an evidence what its window shows in the features that the detector used, next to what is usual for
    /// peers and for the profile itself and how unusual it is; and how many windows of peers had evidence of this type
    /// at all. What is not known stays absent, and the account says so; [`Judged::complete`] adds it when the window is
    /// over.
    ///
    /// `profile` is the window that is looked at. A finding in another window has no numbers before that one is over:
    /// how far it has come at this moment depends on how updates travelled.
    ///
    /// `seen`: what was derived of that window, kept for what else is found in it at this moment.
    pub fn explain(
        &self,
        evidence: &mut Evidence,
        profile: &ProfileDelta,
        earlier: &[ProfileDelta],
        seen: &mut Seen,
    ) {
        if evidence.kind == EvidenceType::Outlier {
            return;
        }
        let role = self.role_of(profile);
        let window = profile.window;
        if (evidence.profile, evidence.window_start) == (window.profile, window.start) {
            let Seen { values, told } = seen;
            let told = Told::of(told, evidence.kind, || {
                let values = values.get_or_insert_with(|| {
                    self.values_of(profile, earlier, self.open.get(&(window.start, window)))
                });
                let (numbers, peers) = self.numbers(evidence.kind, window.profile, values, role);
                let account = words(&numbers, evidence.kind, peers, &self.name_of(role));
                (numbers, account)
            });
            told.put(evidence);
        } else {
            evidence.account = Some("not known before its window is over".to_owned());
        }
        self.add_share(evidence, role);
    }

    /// The features that a finding is about as they are now, and how many windows of peers they are compared with.
    fn numbers(
        &self,
        kind: EvidenceType,
        profile: IpAddr,
        values: &Values,
        role: Role,
    ) -> (Vec<Number>, u64) {
        let compiled = self.baselines.get(&role).and_then(super::Baseline::last_compiled);
        let peers = compiled.map_or(&[][..], |compiled| &compiled.features);
        let own = self.owns.get(&profile).map(|own| &own.past);
        let scorer = Scorer { peers, own };
        let numbers = used_by(kind).iter().filter_map(|name| {
            let feature = place_of(name)?;
            let value = values.get(feature)?;
            let term = scorer.term(feature, value);
            let usual = peers.get(feature).and_then(Reference::usual);
            let summary = own.and_then(|own| own.summary(feature));
            Some(Number {
                feature,
                value,
                peers: usual.map(|(median, p99)| Peers {
                    median,
                    p99,
                    nats: term.peers.nats,
                    extrapolated: term.peers.extrapolated,
                }),
                own: summary.zip(term.own).map(|(summary, own)| OwnPast {
                    mean: summary.center(feature),
                    surprisal: own.nats,
                    windows: summary.count.into(),
                }),
            })
        });
        let count = peers.iter().map(Reference::count).max().unwrap_or(0);
        (numbers.collect(), count)
    }

    /// How many windows of the role of the profile that is looked at had evidence of the type.
    fn add_share(&self, evidence: &mut Evidence, role: Role) {
        let Some(baseline) = self.baselines.get(&role) else {
            return;
        };
        let (with, all) = (baseline.windows_with(evidence.kind), baseline.windows());
        if all >= Reference::MIN_COUNT {
            evidence.explanation.features.push(Feature {
                name: SHARE.into(),
                value: with as f64,
                unit: "windows".into(),
                baseline: None,
                threshold: None,
                surprisal: Some(-libm::log((1.0 + with as f64) / (1.0 + all as f64))),
                own: None,
            });
        }
    }
}

impl Judged {
    /// The same for a finding of this window about which no peers were known when it was said: as the window is at its
    /// end, among the others of its time. Gives whether that added anything. `seen`: of this window and moment.
    pub fn complete(&self, evidence: &mut Evidence, seen: &mut Seen) -> bool {
        let known = |feature: &Feature| feature.name.starts_with(PREFIX) && feature.surprisal.is_some();
        if evidence.kind == EvidenceType::Outlier || evidence.explanation.features.iter().any(known) {
            return false;
        }
        let told = Told::of(&mut seen.told, evidence.kind, || {
            let numbers = self.numbers(evidence.kind);
            let account = words(&numbers, evidence.kind, self.peers, &self.role);
            (numbers, account)
        });
        told.put(evidence)
    }

    fn numbers(&self, kind: EvidenceType) -> Vec<Number> {
        let numbers = used_by(kind).iter().filter_map(|name| {
            let feature = place_of(name)?;
            let terms = &self.account.terms;
            let place = terms.iter().position(|term| term.feature == feature)?;
            let term = &terms[place];
            Some(Number {
                feature,
                value: term.value,
                peers: self.usual[place].map(|(median, p99)| Peers {
                    median,
                    p99,
                    nats: term.peers.nats,
                    extrapolated: term.peers.extrapolated,
                }),
                own: self.own[place]
                    .zip(term.own)
                    .map(|((mean, _, _, windows), own)| OwnPast {
                        mean,
                        surprisal: own.nats,
                        windows: windows.into(),
                    }),
            })
        });
        numbers.collect()
    }
}

impl Number {
    fn into_feature(self) -> Feature {
        Feature {
            name: Cow::Borrowed(&NAMES[self.feature]),
            value: self.value,
            unit: FEATURES[self.feature].unit.into(),
            baseline: self.peers.as_ref().map(|peers| peers.median),
            threshold: None,
            surprisal: self.peers.map(|peers| peers.nats),
            own: self.own,
        }
    }

    /// `dst_ips = 281 (peers' median 2, p99 3, about 1 in 10^5; own mean 5 in 9 windows, 1 in 40)`.
    fn words(&self) -> String {
        let peers = self.peers.as_ref().map(|peers| {
            format!(
                "peers' median {}, p99 {}, {}",
                sentence::bare(self.feature, peers.median),
                sentence::bare(self.feature, peers.p99),
                sentence::odds(peers.nats, peers.extrapolated)
            )
        });
        let own = self.own.map(|own| {
            format!(
                "own mean {} in {}, {}",
                sentence::bare(self.feature, own.mean),
                sentence::windows(own.windows.into()),
                sentence::odds(own.surprisal, false)
            )
        });
        let known: Vec<String> = [peers, own].into_iter().flatten().collect();
        let value = sentence::quantity(self.feature, self.value);
        let name = FEATURES[self.feature].name;
        if known.is_empty() {
            format!("{name} = {value}")
        } else {
            format!("{name} = {value} ({})", known.join("; "))
        }
    }
}

/// The account in one sentence, with what it is compared with or that there is nothing to compare with.
fn words(numbers: &[Number], kind: EvidenceType, peers: u64, role: &str) -> String {
    if numbers.is_empty() {
        return format!("its window has no value in {}", used_by(kind).join(", "));
    }
    let all: Vec<String> = numbers.iter().map(Number::words).collect();
    let own = numbers
        .iter()
        .filter_map(|number| number.own)
        .map(|own| own.windows);
    let against_itself = match own.max() {
        Some(windows) => format!("{} of its own", sentence::windows(windows.into())),
        None => "no earlier window of its own".to_owned(),
    };
    let against_peers = if peers >= Reference::MIN_COUNT {
        format!(
            "compared with {} of role {role} and {against_itself}",
            sentence::windows(peers)
        )
    } else {
        format!("{}; {against_itself}", sentence::few_peers(peers, role))
    };
    format!("{}; {against_peers}", all.join(", "))
}
/// The features of a window that a detector's finding is about.
#[must_use]
fn used_by(kind: EvidenceType) -> &'static [&'static str] {
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
