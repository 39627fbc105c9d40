//! Flows that the whitelist leaves out of all profiles.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use lynceus_model::app::{AppEvent, AppRecord};
use lynceus_model::flow::{FiveTuple, Flow};
use lynceus_model::names::Names;
use lynceus_model::whitelist::{Act, Party, Whitelist};

use crate::source::Event;

/// Between two looks at the file of a source that never ends.
const LOOK: Duration = Duration::from_secs(5);

/// The whitelist's file, and what the traffic said of addresses.
#[derive(Debug)]
pub struct LeftOut {
    path: PathBuf,
    changed: SystemTime,
    looked: Instant,
    list: Whitelist,
    names: Names,
    flows: u64,
}

impl LeftOut {
    /// Reads the file. Bad lines are logged and cost only themselves.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: PathBuf) -> anyhow::Result<Self> {
        let mut left_out = Self {
            path,
            changed: SystemTime::UNIX_EPOCH,
            looked: Instant::now(),
            list: Whitelist::default(),
            names: Names::default(),
            flows: 0,
        };
        left_out.read()?;
        Ok(left_out)
    }

    /// Reads the file again if it changed. One that cannot be read now leaves the list as it was.
    pub fn look_again(&mut self) {
        if self.looked.elapsed() < LOOK {
            return;
        }
        self.looked = Instant::now();
        if let Err(error) = self.read() {
            tracing::error!(error = format!("{error:#}"), "whitelist kept as it was");
        }
    }

    /// Whether an event belongs to no profile; counted. Learns names on the way, also from what is left out.
    pub fn leaves_out(&mut self, event: &Event) -> bool {
        let out = match event {
            Event::Flow(update) => self.flow(&update.flow),
            Event::App(record) => {
                self.names.learn(record);
                self.app(record)
            }
        };
        if out && matches!(event, Event::Flow(update) if update.part == 0) {
            self.flows += 1;
        }
        out
    }

    /// Flows left out so far.
    #[must_use]
    pub const fn flows(&self) -> u64 {
        self.flows
    }

    fn flow(&self, flow: &Flow) -> bool {
        let macs = flow
            .reported
            .as_ref()
            .map(|log| (log.originator_mac, log.responder_mac));
        let (originator, responder) = macs.unwrap_or_default();
        self.matches(&flow.tuple, originator, responder, None)
    }

    fn app(&self, record: &AppRecord) -> bool {
        let ja4 = match &record.event {
            AppEvent::TlsClient(hello) => Some(hello.ja4.as_str()),
            _ => None,
        };
        self.matches(&record.tuple, None, None, ja4)
    }

    fn matches(
        &self,
        tuple: &FiveTuple,
        originator_mac: Option<[u8; 6]>,
        responder_mac: Option<[u8; 6]>,
        ja4: Option<&str>,
    ) -> bool {
        if self.list.is_empty() {
            return false;
        }
        let names = |ip| -> Vec<&str> { self.names.of(ip).iter().map(String::as_str).collect() };
        let (source, destination) = (names(tuple.originator.ip), names(tuple.responder.ip));
        let source = Party {
            ip: Some(tuple.originator.ip),
            port: Some(tuple.originator.port),
            mac: originator_mac,
            names: &source,
            ja4,
            autonomous_system: None,
        };
        let destination = Party {
            ip: Some(tuple.responder.ip),
            port: Some(tuple.responder.port),
            mac: responder_mac,
            names: &destination,
            ja4: None,
            autonomous_system: None,
        };
        self.list.matches(Act::Flow, &source, &destination).is_some()
    }

    fn read(&mut self) -> anyhow::Result<()> {
        let name = self.path.display().to_string();
        let changed = fs::metadata(&self.path)
            .and_then(|meta| meta.modified())
            .with_context(|| name.clone())?;
        if changed == self.changed {
            return Ok(());
        }
        let text = fs::read(&self.path).with_context(|| name.clone())?;
        self.changed = changed;
        let (list, bad) = Whitelist::parse(&String::from_utf8_lossy(&text));
        for line in &bad {
            tracing::warn!(file = name, "{line}");
        }
        self.list = list;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use lynceus_model::app::TlsClient;
    use lynceus_model::flow::Endpoint;
    use lynceus_model::time::Timestamp;

    use super::*;

    fn hello(to: &str, name: &str) -> Event {
        let end = |ip: &str, port| Endpoint {
            ip: ip.parse::<IpAddr>().unwrap(),
            port,
        };
        Event::App(Box::new(AppRecord {
            time: Timestamp(0),
            tuple: FiveTuple {
                originator: end("10.0.0.1", 40_000),
                responder: end(to, 443),
                protocol: 6,
            },
            community_id: None,
            from_responder: false,
            event: AppEvent::TlsClient(TlsClient {
                server_name: Some(name.to_owned()),
                ..TlsClient::default()
            }),
        }))
    }

    #[test]
    fn a_changed_file_and_names_of_the_traffic() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("whitelist");
        fs::write(
            &path,
            "domain,example.org,dst,flows\nip,192.0.2.9,dst,alerts\nbad\n",
        )
        .unwrap();
        let mut left_out = LeftOut::open(path.clone()).unwrap();
        assert!(left_out.leaves_out(&hello("192.0.2.1", "www.example.org")));
        assert!(
            !left_out.leaves_out(&hello("192.0.2.9", "other.example")),
            "alerts only"
        );
        assert!(LeftOut::open(directory.path().join("none")).is_err());
        fs::write(&path, "ip,192.0.2.9,dst,both\n").unwrap();
        left_out.looked = Instant::now().checked_sub(LOOK).unwrap();
        left_out.look_again();
        assert!(left_out.leaves_out(&hello("192.0.2.9", "other.example")));
        assert!(!left_out.leaves_out(&hello("192.0.2.1", "www.example.org")));
        fs::remove_file(&path).unwrap();
        left_out.looked = Instant::now().checked_sub(LOOK).unwrap();
        left_out.look_again();
        assert!(
            left_out.leaves_out(&hello("192.0.2.9", "other.example")),
            "it stays as it was"
        );
    }
}
