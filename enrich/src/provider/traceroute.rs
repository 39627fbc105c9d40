//! The routers on the way to an address, as structured hops: ICMP echoes with growing time to live.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use trippy_core::{Builder, PrivilegeMode, Protocol};

use super::settings::Traceroute;
use super::tree::Table;
use super::{Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "traceroute",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Target,
    who: "the address, and each router on the way, see your address",
    quota: Quota::UNLIMITED,
    fresh: None,
    any_address: true,
    needs_position: false,
};

/// One step of the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// Routers between us and it, plus one.
    pub ttl: u8,
    /// Who answered, most answers first; empty: nobody. Several where paths differ.
    pub addresses: Vec<IpAddr>,
    /// Shortest round-trip time, milliseconds.
    pub best_ms: Option<f64>,
    pub sent: usize,
    pub received: usize,
}

/// A way as far as it was seen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Route {
    pub hops: Vec<Hop>,
    /// The last hop is the address itself.
    pub reached: bool,
}

/// Rounds of probes over all hops: some routers answer only now and then.
const ROUNDS: usize = 2;

/// Looks for the way. Blocks for about [`ROUNDS`] × `wait`.
///
/// # Errors
/// The system gives no raw socket (`CAP_NET_RAW`), or has no route.
pub fn trace(ip: IpAddr, max_hops: u8, wait: Duration) -> Result<Route, Fault> {
    let fault = |error: trippy_core::Error| {
        let text = error.to_string();
        let lower = text.to_ascii_lowercase();
        if lower.contains("unreachable") {
            Fault::Unreachable(text)
        } else {
            Fault::Local(format!("no trace: {text}"))
        }
    };
    let tracer = Builder::new(ip)
        .protocol(Protocol::Icmp)
        .privilege_mode(PrivilegeMode::Privileged)
        .max_ttl(max_hops)
        .max_rounds(Some(ROUNDS))
        .min_round_duration(Duration::from_millis(50))
        .max_round_duration(wait)
        .grace_duration(Duration::from_millis(200))
        .build()
        .map_err(fault)?;
    tracer.run().map_err(fault)?;
    let state = tracer.snapshot();
    if let Some(error) = state.error() {
        return Err(Fault::Unreachable(error.to_owned()));
    }
    let hops: Vec<Hop> = state
        .hops()
        .iter()
        .map(|hop| {
            let mut addresses: Vec<(IpAddr, usize)> =
                hop.addrs_with_counts().map(|(ip, count)| (*ip, *count)).collect();
            addresses.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            Hop {
                ttl: hop.ttl(),
                addresses: addresses.into_iter().map(|(ip, _)| ip).collect(),
                best_ms: hop.best_ms().filter(|_| hop.total_recv() > 0),
                sent: hop.total_sent(),
                received: hop.total_recv(),
            }
        })
        .collect();
    let reached = hops.last().is_some_and(|hop| hop.addresses.contains(&ip));
    Ok(Route { hops, reached })
}

pub(super) struct TracerouteProvider {
    pub(super) settings: Traceroute,
    pub(super) wire: Arc<Wire>,
}

impl Provider for TracerouteProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let Traceroute {
            max_hops, timeout, ..
        } = self.settings;
        let what = format!("ICMP echoes with a time to live of 1 to {max_hops}");
        self.wire
            .note(Sender::of(&INFO, question.ip), &question.ip.to_string(), &what)?;
        let route = trace(question.ip, max_hops, Duration::from_millis(timeout))?;
        let mut table = Table::new(INFO.name);
        table.put("max_hops", Some(max_hops));
        table.put("reached", Some(route.reached));
        let hops = serde_json::to_value(&route.hops).map_err(|error| Fault::Local(error.to_string()))?;
        table.put("hops", Some(hops));
        Ok(Reply::found(table.done()))
    }
}
