//! GRE tunnel: packets travel inside GRE.

use std::collections::BTreeSet;
use std::net::IpAddr;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::{Confidence, Evidence, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::flow::TunnelKind;
use lynceus_model::window::{Stage, WindowId};
use serde::{Deserialize, Serialize};

use crate::report::{With, feature, grown, moved_to, times};
use crate::tally::{Growing, Tally};
use crate::{Context, Detector, History, ProfileUpdate};

/// Constants of [`GreTunnel`].
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// One growing finding for each pair of tunnel ends and window. It stands in the profile of the tunnel's source, which is
/// not that of the flows inside.
#[derive(Debug)]
pub struct GreTunnel {
    tunnels: Growing<IpAddr>,
}

/// Seen in packets, or told by a log with this action.
const SEEN: &str = "seen in its packets";

impl GreTunnel {
    #[must_use]
    pub const fn new(_: Config, _: &Context) -> Self {
        Self {
            tunnels: Growing::new(),
        }
    }
}

impl Detector for GreTunnel {
    fn name(&self) -> &'static str {
        "gre_tunnel"
    }

    fn refused(&self) -> u64 {
        self.tunnels.refused()
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _: &History<'_>) -> Vec<Evidence> {
        let start = update.profile.window.start;
        let mut touched: BTreeSet<IpAddr> = BTreeSet::new();
        let mut action = SEEN.to_owned();
        let mut add = |source: IpAddr, peer, first, last, flow| {
            let window = WindowId {
                profile: source,
                start,
            };
            if self.tunnels.add(window, peer, first, last, flow) {
                touched.insert(source);
            }
        };
        for report in update.flows.iter().filter(|report| report.part == 0) {
            let flow = &report.flow;
            if let Some(tunnel) = flow.tunnel
                && matches!(tunnel.kind, TunnelKind::Gre | TunnelKind::Erspan)
            {
                add(
                    tunnel.source,
                    tunnel.destination,
                    flow.first,
                    flow.last,
                    Some(flow.community_id),
                );
            }
        }
        for record in update.apps {
            if let AppEvent::Tunnel(tunnel) = &record.event
                && tunnel.kind == "gre"
                && tunnel.action != "discover"
            {
                action = format!("the log says \u{201c}{}\u{201d}", tunnel.action);
                let ends = record.tuple;
                add(
                    ends.originator.ip,
                    ends.responder.ip,
                    record.time,
                    record.time,
                    record.community_id,
                );
            }
        }
        // Tunnel ends have windows of their own, which need not close; so the last word is that of the last doubling.
        let stage = if update.stage == Stage::Closed {
            Stage::Refreshed
        } else {
            update.stage
        };
        let mut found = Vec::new();
        for source in touched {
            let window = WindowId {
                profile: source,
                start,
            };
            for (peer, tally) in self.tunnels.due(window, 1, stage) {
                found.push(describe(update, source, peer, &tally, &action));
            }
        }
        found
    }
}

fn describe(
    update: &ProfileUpdate<'_>,
    source: IpAddr,
    peer: IpAddr,
    tally: &Tally,
    action: &str,
) -> Evidence {
    const GRE: u8 = 47;
    let key = peer.to_string();
    let evidence = Evidence {
        victim: Some(peer),
        protocol: Some(GRE),
        threat_level: ThreatLevel::Low,
        confidence: Confidence::new(1.0),
        description: format!("GRE tunnel from {source} to {peer} ({action})."),
        explanation: Explanation {
            features: vec![feature("flows or log lines", tally.count as f64, "records").threshold(1.0)],
            text: format!(
                "GRE carries other packets past what looks at addresses and ports; it was seen between these hosts {}.",
                times(tally.count)
            ),
        },
        ..grown(update, EvidenceType::GreTunnel, &key, tally)
    };
    moved_to(evidence, update, source, &key)
}
