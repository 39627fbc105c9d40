//! All detectors, as configured, behind one call.

use std::sync::Arc;

use lynceus_model::evidence::Evidence;
use lynceus_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::context::Network;
use crate::names::clean;
use crate::{Context, Detector, History, ProfileUpdate};
use crate::{arp_outside_localnet, device_changing_ip, mitm_arp, unsolicited_arp};
use crate::{arp_scan, data_upload, horizontal_scan, icmp_scan, long_connection, vertical_scan};
use crate::{beaconing, command_and_control, default_certificate, https_anomaly};
use crate::{
    blacklisted_address, blacklisted_name, cn_url_mismatch, dga_nxdomains, dns_over_https, dns_tunnel,
    empty_connections, executable_mime_type, gps_location, high_entropy_dns_answer, http_traffic,
    incompatible_cn, incompatible_user_agent, invalid_dns_resolution, malicious_fingerprint, malicious_hash,
    malicious_url, multiple_user_agent, pastebin_download, self_signed_certificate, suspicious_user_agent,
    weird_http_method, young_domain,
};
use crate::{connection_without_dns, different_localnet, dns_without_connection, private_ip};
use crate::{
    credential_stuffing, malicious_jarm, multiple_ssh_versions, password_guessing, smtp_login, ssh_successful,
};
use crate::{dhcp_scan, dns_arpa_scan, gre_scan, gre_tunnel, icmp_tunnel, login, notice};
use crate::{
    multiple_ports, non_http_80, non_ssl_443, port_zero, reconnection, slow_scan, tor_exit_node, unknown_port,
};

/// One line for each detector, `file: Type`. The file is also its section in the configuration; its `Config` has
/// `enabled`, its `new` takes the `Config` and the [`Context`]. The order here is the order in which they speak.
macro_rules! detectors {
    ($($file:ident: $detector:ident,)*) => {
        /// What the detectors must know of the network, and the constants of each.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct DetectConfig {
            pub network: Network,
            /// Hosted by the collector itself, because its state outlives a run.
            pub outlier: crate::outlier::Config,
            $(pub $file: $file::Config,)*
        }

        /// Makers of the detectors that are enabled, in the order in which they speak.
        #[must_use]
        pub fn makers(config: &DetectConfig, context: &Context) -> Vec<Maker> {
            let mut makers = Vec::new();
            $(if config.$file.enabled {
                let (own, context) = (config.$file.clone(), context.clone());
                makers.push(Maker::new(stringify!($file), move || {
                    Box::new($file::$detector::new(own.clone(), &context))
                }));
            })*
            makers
        }
    };
}

detectors! {
    horizontal_scan: HorizontalScan,
    vertical_scan: VerticalScan,
    icmp_scan: IcmpScan,
    arp_scan: ArpScan,
    long_connection: LongConnection,
    data_upload: DataUpload,

    // On application messages.
    dga_nxdomains: DgaNxdomains,
    high_entropy_dns_answer: HighEntropyDnsAnswer,
    invalid_dns_resolution: InvalidDnsResolution,
    young_domain: YoungDomain,
    dns_over_https: DnsOverHttps,
    dns_tunnel: DnsTunnel,
    suspicious_user_agent: SuspiciousUserAgent,
    empty_connections: EmptyConnections,
    incompatible_user_agent: IncompatibleUserAgent,
    multiple_user_agent: MultipleUserAgent,
    executable_mime_type: ExecutableMimeType,
    pastebin_download: PastebinDownload,
    weird_http_method: WeirdHttpMethod,
    http_traffic: HttpTraffic,
    gps_location: GpsLocation,
    self_signed_certificate: SelfSignedCertificate,
    incompatible_cn: IncompatibleCn,
    cn_url_mismatch: CnUrlMismatch,
    malicious_fingerprint: MaliciousFingerprint,
    malicious_hash: MaliciousHash,
    blacklisted_address: BlacklistedAddress,
    blacklisted_name: BlacklistedName,
    malicious_url: MaliciousUrl,
    malicious_jarm: MaliciousJarm,
    ssh_successful: SshSuccessful,
    password_guessing: PasswordGuessing,
    multiple_ssh_versions: MultipleSshVersions,
    smtp_login: SmtpLogin,
    credential_stuffing: CredentialStuffing,

    // On links, ports, names and networks.
    dhcp_scan: DhcpScan,
    dns_arpa_scan: DnsArpaScan,
    gre_scan: GreScan,
    gre_tunnel: GreTunnel,
    icmp_tunnel: IcmpTunnel,
    notice: Notice,
    login: Login,
    arp_outside_localnet: ArpOutsideLocalnet,
    unsolicited_arp: UnsolicitedArp,
    mitm_arp: MitmArp,
    device_changing_ip: DeviceChangingIp,
    reconnection: Reconnection,
    port_zero: PortZero,
    tor_exit_node: TorExitNode,
    unknown_port: UnknownPort,
    multiple_ports: MultiplePorts,
    private_ip: PrivateIp,
    different_localnet: DifferentLocalnet,
    connection_without_dns: ConnectionWithoutDns,
    dns_without_connection: DnsWithoutConnection,
    non_ssl_443: NonSsl443,
    non_http_80: NonHttp80,
    slow_scan: SlowScan,

    // On rhythm and habit.
    beaconing: Beaconing,
    command_and_control: CommandAndControl,
    default_certificate: DefaultCertificate,
    https_anomaly: HttpsAnomaly,
}

/// Makes a detector as often as one is needed: whoever hosts detectors starts anew with a fresh one where one failed.
#[derive(Clone)]
pub struct Maker {
    name: &'static str,
    make: Arc<dyn Fn() -> Box<dyn Detector> + Send + Sync>,
}

impl Maker {
    /// `make` gives a detector that has seen nothing yet.
    pub fn new(name: &'static str, make: impl Fn() -> Box<dyn Detector> + Send + Sync + 'static) -> Self {
        Self {
            name,
            make: Arc::new(make),
        }
    }

    /// Name in the configuration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    #[must_use]
    pub fn make(&self) -> Box<dyn Detector> {
        (self.make)()
    }
}

impl std::fmt::Debug for Maker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name)
    }
}

/// The detectors that are enabled.
pub struct Registry {
    detectors: Vec<Box<dyn Detector>>,
}

impl Registry {
    #[must_use]
    pub fn new(config: &DetectConfig, context: &Context) -> Self {
        Self {
            detectors: makers(config, context).iter().map(Maker::make).collect(),
        }
    }

    /// Leaves only the detectors whose name is wanted.
    pub fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        self.detectors.retain(|detector| wanted(detector.name()));
    }

    /// Names of the enabled detectors.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.detectors.iter().map(|detector| detector.name())
    }

    /// Shows an update to every detector, in a fixed order.
    pub fn inspect(&mut self, update: &ProfileUpdate<'_>, history: &History<'_>) -> Vec<Evidence> {
        self.detectors
            .iter_mut()
            .flat_map(|detector| detector.inspect(update, history))
            .map(presentable)
            .collect()
    }

    /// Tells every detector how far event time is.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Evidence> {
        self.detectors
            .iter_mut()
            .flat_map(|detector| detector.tick(now))
            .map(presentable)
            .collect()
    }
}

/// Whatever a detector took out of traffic or logs: no control characters, and of a length that people read.
fn presentable(mut evidence: Evidence) -> Evidence {
    let texts = [&mut evidence.description, &mut evidence.explanation.text];
    for text in texts.into_iter().chain(evidence.subject.as_mut()) {
        clean(text);
    }
    evidence
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.names()).finish()
    }
}
