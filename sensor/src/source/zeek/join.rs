//! What stands in several of Zeek's logs, put together: a file with the flow that carried it, a certificate of x509.log
//! with the handshake of ssl.log and the hashes of files.log.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, Certificate, File};
use lynceus_model::flow::{CommunityId, Endpoint, FiveTuple};
use lynceus_model::time::Timestamp;

use crate::decode::Generations;
use crate::source::Event;
use crate::source::log::facts::TCP;
use crate::source::log::{Row, What};

/// A row that needs others.
pub(crate) enum Detached {
    File(FileRow),
    /// By its file or its fingerprint.
    Certificate(String, Certificate),
    Chain(Chain),
}

/// A row of files.log. Before Zeek 5.1 it has no flow, only identifiers of flows and hosts.
pub(crate) struct FileRow {
    pub(super) time: Timestamp,
    pub(super) ends: Option<(FiveTuple, CommunityId)>,
    pub(super) uids: Vec<String>,
    pub(super) sender: Option<IpAddr>,
    pub(super) receiver: Option<IpAddr>,
    pub(super) from_originator: bool,
    pub(super) id: Option<String>,
    pub(super) file: File,
}

/// What ssl.log says of the server's certificate.
pub(crate) struct Chain {
    pub(super) time: Timestamp,
    pub(super) tuple: FiveTuple,
    pub(super) community_id: CommunityId,
    /// File or fingerprint of the end entity's certificate.
    pub(super) first: Option<String>,
    pub(super) server_name: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) validation: Option<String>,
}

impl Chain {
    /// The certificate comes after the hello that ssl.log is dated by; rows wait so long in event time for it.
    pub(super) const WAIT: Duration = Duration::from_secs(10);
}

/// Flows, certificates and hashes of the last while. A flow's other rows come while it lives; a certificate is logged
/// once a day by default.
pub(crate) struct Join {
    flows: Generations<u64, (FiveTuple, CommunityId)>,
    certificates: Generations<u64, Certificate>,
    hashes: Generations<u64, [Option<String>; 2]>,
}

impl Default for Join {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            flows: Generations::new(65_536, HOUR),
            certificates: Generations::new(16_384, HOUR * 24),
            hashes: Generations::new(16_384, HOUR * 24),
        }
    }
}

impl Join {
    /// Takes the next row in the order of time.
    pub(crate) fn take(&mut self, row: Row, events: &mut Vec<Event>) {
        match row.what {
            What::Flow(update) => {
                if let Some(uid) = update.flow.reported.as_ref().and_then(|log| log.uid.as_deref()) {
                    let flow = (update.flow.tuple, update.flow.community_id);
                    self.flows.insert(key(uid), flow, row.at, |_| {});
                }
                events.push(Event::Flow(update));
            }
            What::App(record) => {
                if let (Some(uid), Some(community_id)) = (row.uid, record.community_id) {
                    self.flows
                        .insert(key(&uid), (record.tuple, community_id), row.at, |_| {});
                }
                events.push(Event::App(record));
            }
            // Of logs that need no joining.
            What::Record(_) => {}
            What::Detached(detached) => match *detached {
                Detached::Certificate(id, certificate) => {
                    self.certificates.insert(key(&id), certificate, row.at, |_| {});
                }
                Detached::File(file) => events.extend(self.file(file, row.at)),
                Detached::Chain(chain) => events.extend(self.chain(chain)),
            },
        }
    }

    /// A file with its flow; without one it has the hosts that the log names. `None`: not even these.
    fn file(&mut self, row: FileRow, at: Timestamp) -> Option<Event> {
        if let Some(id) = row.id.as_deref().filter(|_| row.file.is_certificate) {
            let hashes = [row.file.sha1.clone(), row.file.sha256.clone()];
            self.hashes.insert(key(id), hashes, at, |_| {});
        }
        let known = row.uids.iter().find_map(|uid| self.flows.get(&key(uid)).copied());
        let (tuple, community_id) = match row.ends.or(known) {
            Some((tuple, community_id)) => (tuple, Some(community_id)),
            None => {
                let (sender, receiver) = (row.sender?, row.receiver?);
                let (from, to) = if row.from_originator {
                    (sender, receiver)
                } else {
                    (receiver, sender)
                };
                let end = |ip| Endpoint { ip, port: 0 };
                let tuple = FiveTuple {
                    originator: end(from),
                    responder: end(to),
                    protocol: TCP,
                };
                (tuple, None)
            }
        };
        Some(Event::App(Box::new(AppRecord {
            time: row.time,
            tuple,
            community_id,
            from_responder: !row.from_originator,
            event: AppEvent::File(Box::new(row.file)),
        })))
    }

    fn chain(&self, chain: Chain) -> Option<Event> {
        let first = chain.first.as_deref().map(key);
        let known = first.and_then(|id| self.certificates.get(&id)).cloned();
        if known.is_none() && chain.subject.is_none() {
            return None;
        }
        let mut certificate = known.unwrap_or_default();
        // What ssl.log says is about this handshake.
        certificate.subject = chain.subject.unwrap_or(certificate.subject);
        certificate.issuer = chain.issuer.unwrap_or(certificate.issuer);
        certificate.common_name = common_name(&certificate.subject);
        certificate.server_name = chain.server_name;
        if let Some([sha1, sha256]) = first.and_then(|id| self.hashes.get(&id)) {
            certificate.sha1.clone_from(sha1);
            certificate.sha256 = certificate.sha256.or_else(|| sha256.clone());
        }
        let said = chain.validation.as_deref();
        let self_signed = said.map(|text| text.contains("self signed") || text.contains("self-signed"));
        let same = !certificate.subject.is_empty() && certificate.subject == certificate.issuer;
        certificate.self_signed = match self_signed {
            Some(false) | None if same => Some(true),
            said => said,
        };
        certificate.validation = chain.validation;
        Some(Event::App(Box::new(AppRecord {
            time: chain.time,
            tuple: chain.tuple,
            community_id: Some(chain.community_id),
            from_responder: true,
            event: AppEvent::Certificate(Box::new(certificate)),
        })))
    }
}

/// The same on every run.
fn key(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// `CN=…` of a distinguished name as Zeek and Suricata write it: parts apart by commas, special characters behind a
/// backslash.
pub(crate) fn common_name(subject: &str) -> Option<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in subject.chars() {
        match character {
            '\\' if !escaped => escaped = true,
            ',' | '/' if !escaped => parts.push(String::new()),
            other => {
                escaped = false;
                if let Some(part) = parts.last_mut() {
                    part.push(other);
                }
            }
        }
    }
    parts.iter().find_map(|part| {
        let name = part.trim().strip_prefix("CN=")?.trim();
        (!name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names() {
        for (subject, name) in [
            ("CN=www.bing.com", Some("www.bing.com")),
            ("O=Google Inc,CN=*.google.com,C=US", Some("*.google.com")),
            (
                "OU=Domain Control Validated, CN=www.myedimax.com",
                Some("www.myedimax.com"),
            ),
            ("CN=A\\, B,O=C", Some("A, B")),
            ("O=X", None),
            ("", None),
        ] {
            assert_eq!(common_name(subject).as_deref(), name, "{subject}");
        }
    }
}
