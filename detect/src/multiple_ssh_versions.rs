//! SSH software of a host whose version changes.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceId, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

use crate::config::OnlyEnabled;
use crate::names::shown;
use crate::report::{With, evidence, feature};
use crate::{Context, Detector, History, ProfileUpdate};

/// Configuration of [`MultipleSshVersions`].
pub type Config = OnlyEnabled;

/// Remembers the last version of each product on each host, across windows. A host with clients of two products is
/// nothing special; one product in two versions is two hosts behind one address, or a new one.
#[derive(Debug)]
pub struct MultipleSshVersions {
    hosts: BTreeMap<Host, Known>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Host {
    ip: IpAddr,
    /// Of a server; clients have none.
    port: Option<u16>,
    product: String,
}

#[derive(Debug)]
struct Known {
    version: String,
    time: Timestamp,
    flow: Option<CommunityId>,
}

/// Hosts and products that are remembered; beyond, new ones are not.
const MAX_HOSTS: usize = 65_536;

impl MultipleSshVersions {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            hosts: BTreeMap::new(),
        }
    }
}

impl Detector for MultipleSshVersions {
    fn name(&self) -> &'static str {
        "multiple_ssh_versions"
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let mut found = Vec::new();
        for record in update.apps {
            for (host, version) in software(record) {
                let new = Known {
                    version,
                    time: record.time,
                    flow: record.community_id,
                };
                let room = self.hosts.len() < MAX_HOSTS;
                match self.hosts.get_mut(&host) {
                    Some(known) if known.version != new.version => {
                        found.push(describe(update, &host, known, &new));
                        if new.time >= known.time {
                            *known = new;
                        }
                    }
                    Some(_) => {}
                    None if room => {
                        self.hosts.insert(host, new);
                    }
                    None => {}
                }
            }
        }
        found
    }
}

fn software(record: &AppRecord) -> Vec<(Host, String)> {
    let (client, server) = (record.tuple.originator, record.tuple.responder);
    let one = |banner: Option<&str>, of_server: bool| {
        let (product, version) = split(banner?)?;
        let (ip, port) = if of_server {
            (server.ip, Some(server.port))
        } else {
            (client.ip, None)
        };
        Some((Host { ip, port, product }, version))
    };
    let found = match &record.event {
        AppEvent::Ssh(banner) => [one(Some(&banner.banner), record.from_responder), None],
        AppEvent::SshLogin(login) => [
            one(login.client.as_deref(), false),
            one(login.server.as_deref(), true),
        ],
        AppEvent::Software(software) => {
            let text = software
                .version
                .as_ref()
                .map(|version| format!("{}_{version}", software.name));
            // The log names the host that the software runs on as originator.
            let host = one(text.as_deref(), false);
            match software.kind.as_str() {
                "SSH::CLIENT" => [host, None],
                "SSH::SERVER" => {
                    let port = Some(client.port);
                    [host.map(|(host, version)| (Host { port, ..host }, version)), None]
                }
                _ => [None, None],
            }
        }
        _ => [None, None],
    };
    found.into_iter().flatten().collect()
}

/// `SSH-2.0-OpenSSH_8.1 Debian-3`: product `OpenSSH`, version `8.1`. `None` where no version can be told.
fn split(banner: &str) -> Option<(String, String)> {
    let software = match banner.strip_prefix("SSH-") {
        Some(rest) => rest.split_once('-')?.1,
        None => banner,
    };
    let word = software.split_whitespace().next()?;
    let at = word.find(['_', '-', '/'])?;
    let (product, version) = (&word[..at], &word[at + 1..]);
    let is_version = version.starts_with(|character: char| character.is_ascii_digit());
    (is_version && !product.is_empty()).then(|| (shown(product), shown(version)))
}

fn describe(update: &ProfileUpdate<'_>, host: &Host, known: &Known, new: &Known) -> Evidence {
    // The earlier one first, in whatever order they were told.
    let (old, new) = if known.time <= new.time {
        (known, new)
    } else {
        (new, known)
    };
    let (low, high) = if old.version <= new.version {
        (old, new)
    } else {
        (new, old)
    };
    let Host { ip, port, product } = host;
    let role = if port.is_some() { "server" } else { "client" };
    let window = WindowId {
        profile: *ip,
        start: update.profile.window.start,
    };
    let key = format!("{role}/{port:?}/{product}/{}/{}", low.version, high.version);
    Evidence {
        id: EvidenceId::new(update.sensor, EvidenceType::MultipleSshVersions, window, &key),
        profile: *ip,
        attacker: *ip,
        dst_port: *port,
        subject: Some(product.clone()),
        threat_level: ThreatLevel::Medium,
        confidence: Confidence::new(0.9),
        description: format!(
            "The SSH {role} {product} of {ip} changed from version {} to {}.",
            old.version, new.version
        ),
        explanation: Explanation {
            features: vec![
                feature("versions", 2.0, "versions").threshold(2.0),
                feature(
                    "time between them",
                    new.time.since(old.time).as_secs_f64(),
                    "seconds",
                ),
            ],
            text: "An update does that once; else another machine or another program uses the address."
                .to_owned(),
        },
        flows: old.flow.into_iter().chain(new.flow).collect(),
        first: old.time,
        last: new.time,
        ..evidence(update, EvidenceType::MultipleSshVersions, &key)
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn banners() {
        let pair = |product: &str, version: &str| Some((product.to_owned(), version.to_owned()));
        assert_eq!(split("SSH-2.0-OpenSSH_8.1p1 Debian-3"), pair("OpenSSH", "8.1p1"));
        assert_eq!(split("SSH-2.0-libssh2_1.4.3"), pair("libssh2", "1.4.3"));
        assert_eq!(split("SSH-1.99-Cisco-1.25"), pair("Cisco", "1.25"));
        assert_eq!(
            (split("SSH-2.0-Go"), split("SSH-2.0-"), split("SSH-2.0-a_b")),
            (None, None, None)
        );
    }
}
