//! Long rows of alike attempts become one line: a scan of 300 addresses is one thing to a reader.

use std::collections::HashSet;
use std::net::IpAddr;

use super::{Direction, Entry};

/// From this length on a row of alike entries is shown as one line.
const MIN_RUN: usize = 5;

/// What stands on one line of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// Index of the entry.
    Entry(usize),
    Run(Run),
}

/// Attempts of one protocol with one outcome that differ in peer or port.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Index of the first entry; the others follow it.
    pub first: usize,
    pub len: usize,
    /// Distinct peers and ports.
    pub peers: usize,
    pub ports: usize,
    pub packets: u64,
    pub sent: u64,
    pub received: u64,
}

impl Run {
    /// `ports`: also name a port whose service has a name.
    /// `to 312 addresses 23/tcp`, `to 10.0.0.9 998 ports, 1002 flows`.
    #[must_use]
    pub fn target(&self, entries: &[Entry], ports: bool) -> String {
        let first = &entries[self.first];
        let direction = first.direction.word();
        let peers = match self.peers {
            1 => first.peer.to_string(),
            more => format!("{more} addresses"),
        };
        let port = match self.ports {
            1 if !ports && !first.what.is_empty() => String::new(),
            1 => format!(" {}", first.port),
            more => format!(" {more} ports"),
        };
        let flows = match self.len {
            len if len == self.peers * self.ports => String::new(),
            len => format!(", {len} flows"),
        };
        format!("{direction} {peers}{port}{flows}")
    }
}

/// Joins neighbors of `entries` (in order of time) that are alike; entries with notes or with an answer stand alone.
#[must_use]
pub fn group(entries: &[Entry]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut start = 0;
    while start < entries.len() {
        let len = run_length(&entries[start..]);
        if len < MIN_RUN {
            items.push(Item::Entry(start));
            start += 1;
        } else {
            items.push(Item::Run(summary(&entries[start..start + len], start)));
            start += len;
        }
    }
    items
}

fn run_length(entries: &[Entry]) -> usize {
    let first = &entries[0];
    let alike = |entry: &&Entry| {
        joins(entry)
            && (entry.direction, entry.outcome) == (first.direction, first.outcome)
            && protocol(&entry.port) == protocol(&first.port)
    };
    entries.iter().take_while(alike).count().max(1)
}

/// `tcp` of `23/tcp`.
fn protocol(port: &str) -> &str {
    port.rsplit('/').next().unwrap_or(port)
}

const fn joins(entry: &Entry) -> bool {
    !entry.established && entry.notes.is_empty()
}

fn summary(entries: &[Entry], first: usize) -> Run {
    let peers: HashSet<(Direction, IpAddr)> = entries
        .iter()
        .map(|entry| (entry.direction, entry.peer))
        .collect();
    let ports: HashSet<&str> = entries.iter().map(|entry| entry.port.as_str()).collect();
    Run {
        first,
        len: entries.len(),
        peers: peers.len(),
        ports: ports.len(),
        packets: entries.iter().map(|entry| entry.packets).sum(),
        sent: entries.iter().map(|entry| entry.sent).sum(),
        received: entries.iter().map(|entry| entry.received).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::flow;
    use crate::timeline::build;
    use lynceus_model::flow::ConnState;

    #[test]
    fn a_horizontal_scan_is_one_line_and_what_differs_stands_alone() {
        let mut flows: Vec<_> = (0..40)
            .map(|n| flow(n, "10.0.0.5", &format!("10.0.1.{n}"), 23, 6, ConnState::S0))
            .collect();
        flows.push(flow(20, "10.0.0.5", "10.0.9.9", 443, 6, ConnState::Sf));
        let entries = build("10.0.0.5".parse().unwrap(), &flows, &[]);
        let items = group(&entries);
        assert_eq!(items.len(), 3, "{items:?}");
        let Item::Run(run) = &items[0] else {
            panic!("{items:?}")
        };
        assert_eq!(
            run.target(&entries, true),
            format!("to {} addresses 23/tcp", run.len)
        );
        assert!(matches!(items[1], Item::Entry(_)));
    }

    #[test]
    fn a_vertical_scan_is_one_line() {
        let flows: Vec<_> = (0..40)
            .map(|n| flow(n.into(), "10.0.0.5", "10.0.1.1", 1000 + n, 6, ConnState::Rej))
            .collect();
        let entries = build("10.0.0.5".parse().unwrap(), &flows, &[]);
        let items = group(&entries);
        assert_eq!(items.len(), 1);
        let Item::Run(run) = &items[0] else {
            panic!("{items:?}")
        };
        assert_eq!(run.target(&entries, true), "to 10.0.1.1 40 ports");
    }

    #[test]
    fn attempts_at_several_ports_of_many_hosts_are_one_line() {
        let flows: Vec<_> = (0..30)
            .map(|n| {
                flow(
                    n,
                    "10.0.0.5",
                    &format!("10.0.1.{n}"),
                    if n % 3 == 0 { 2323 } else { 23 },
                    6,
                    ConnState::S0,
                )
            })
            .collect();
        let entries = build("10.0.0.5".parse().unwrap(), &flows, &[]);
        let items = group(&entries);
        let [Item::Run(run)] = items.as_slice() else {
            panic!("{items:?}")
        };
        assert_eq!(run.target(&entries, true), "to 30 addresses 2 ports, 30 flows");
    }

    #[test]
    fn short_rows_stay_as_they_are() {
        let flows: Vec<_> = (0..4)
            .map(|n| flow(n.into(), "10.0.0.5", "10.0.1.1", 1000 + n, 6, ConnState::Rej))
            .collect();
        let entries = build("10.0.0.5".parse().unwrap(), &flows, &[]);
        assert_eq!(group(&entries).len(), 4);
    }
}
