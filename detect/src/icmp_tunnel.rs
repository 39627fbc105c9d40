//! ICMP tunnel: data carried in echo requests and answers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use lynceus_model::address::is_target;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::{Flow, Totals};
use lynceus_model::window::Stage;
use lynceus_model::words::count;
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown};
use crate::tally::{PerWindow, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`IcmpTunnel`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
    /// Echo requests of one flow from which on their sizes are looked at.
    pub min_packets: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            min_packets: 50,
        }
    }
}

/// An answer must hold what the request held (RFC 792, RFC 4443 §4.2), and who only asks whether a host is there sends
/// requests of one size. One finding for each host, when the window closes.
#[derive(Debug)]
pub struct IcmpTunnel {
    config: Config,
    windows: PerWindow<BTreeMap<IpAddr, Talk>>,
}

#[derive(Debug, Default)]
struct Talk {
    tally: Tally,
    proof: Option<Proof>,
    out: Totals,
    back: Totals,
}

/// What the sizes show; the later one shows more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    /// Requests and answers of several sizes.
    Sizes,
    /// Answers that cannot be echoes of the requests.
    NoEcho,
}

/// Hosts of a window.
const MAX_HOSTS: usize = 256;

impl IcmpTunnel {
    #[must_use]
    pub const fn new(config: Config, _: &Context) -> Self {
        Self {
            config,
            windows: PerWindow::new(),
        }
    }

    fn note(&mut self, update: &ProfileUpdate<'_>, flow: &Flow, begins: bool) {
        let window = update.profile.window;
        let server = flow.tuple.responder.ip;
        let echo = matches!(
            (flow.tuple.protocol, flow.icmp),
            (1, Some((8, _))) | (58, Some((128, _)))
        );
        if !echo || flow.tuple.originator.ip != window.profile || !is_target(server) {
            return;
        }
        let Some(proof) = proof(flow, self.config.min_packets) else {
            return;
        };
        let talks = self.windows.of(window);
        if talks.len() >= MAX_HOSTS && !talks.contains_key(&server) {
            self.windows.refuse();
            return;
        }
        let talk = talks.entry(server).or_default();
        if begins || talk.tally.count == 0 {
            talk.tally.add(flow.first, flow.last, Some(flow.community_id));
        }
        talk.tally.last = talk.tally.last.max(flow.last);
        // What shows most, of that the largest.
        let most = (Some(proof), flow.out.bytes);
        if most >= (talk.proof, talk.out.bytes) {
            (talk.proof, talk.out, talk.back) = (Some(proof), flow.out, flow.back);
        }
    }
}

fn proof(flow: &Flow, least: u64) -> Option<Proof> {
    let (asked, answered) = (&flow.out, &flow.back);
    if asked.packets < least || answered.packets == 0 {
        return None;
    }
    // IP and ICMP headers: what the smallest request has that nobody answered.
    let header = if flow.tuple.originator.ip.is_ipv4() {
        28
    } else {
        48
    };
    let no_echo = match asked.packets.checked_sub(answered.packets) {
        Some(0) => asked.bytes != answered.bytes,
        Some(lost) => answered.bytes > asked.bytes.saturating_sub(lost.saturating_mul(header)),
        // A few may come twice.
        None => answered.packets > asked.packets + asked.packets / 10,
    };
    let several = |side: &Totals| !side.bytes.is_multiple_of(side.packets);
    if no_echo {
        Some(Proof::NoEcho)
    } else {
        (several(asked) && several(answered)).then_some(Proof::Sizes)
    }
}

impl Detector for IcmpTunnel {
    fn name(&self) -> &'static str {
        "icmp_tunnel"
    }

    fn refused(&self) -> u64 {
        self.windows.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        for report in update.flows {
            self.note(update, &report.flow, report.part == 0);
        }
        if update.stage != Stage::Closed {
            return Vec::new();
        }
        let talks = self.windows.take(update.profile.window).unwrap_or_default();
        let found = talks.iter().filter_map(|(ip, talk)| {
            let proof = talk.proof?;
            Some(describe(update, *ip, talk, proof, self.config.min_packets))
        });
        found.collect()
    }
}

fn describe(update: &ProfileUpdate<'_>, ip: IpAddr, talk: &Talk, proof: Proof, least: u64) -> Evidence {
    let source = update.profile.window.profile;
    let (asked, answered) = (&talk.out, &talk.back);
    let mean = |side: &Totals| side.bytes as f64 / side.packets.max(1) as f64;
    let (level, confidence, what) = match proof {
        Proof::NoEcho => (
            ThreatLevel::High,
            0.8,
            "the answers cannot be echoes of the requests",
        ),
        Proof::Sizes => (
            ThreatLevel::Low,
            0.5,
            "the requests have several sizes, as those of no ping",
        ),
    };
    Evidence {
        victim: Some(ip),
        protocol: Some(if ip.is_ipv4() { 1 } else { 58 }),
        threat_level: level,
        confidence: Confidence::new(confidence),
        description: format!(
            "Possible ICMP tunnel: {source} sent {} echo requests to {ip} and got {} answers; {what}.",
            count(asked.packets),
            count(answered.packets)
        ),
        explanation: Explanation {
            features: vec![
                feature("echo requests", asked.packets as f64, "packets").threshold(least as f64),
                feature("answers", answered.packets as f64, "packets"),
                feature("mean size of requests", mean(asked), "bytes"),
                feature("mean size of answers", mean(answered), "bytes"),
            ],
            text: format!(
                "{} bytes went to {ip} in echo requests and {} came back. An answer holds what its request held, and a ping \
                 has one size.",
                count(asked.bytes),
                count(answered.bytes)
            ),
        },
        ..grown(update, EvidenceType::IcmpTunnel, &ip.to_string(), &talk.tally)
    }
}
