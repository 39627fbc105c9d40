//! Handshake times that sensors saw of one server, for `lynceus landmarks locate`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::window::SensorId;
use lynceus_proto::v1;

use super::{PAGE, Query, convert::address_bytes};

/// Flows that are looked at: the smallest time of so many is as small as that of all, and the answer comes in seconds.
const MAX_FLOWS: u64 = 200_000;

/// What sensors saw of a server.
#[derive(Clone, Debug, Default)]
pub struct Handshakes {
    /// Smallest time from SYN to SYN-ACK, and how many were seen.
    pub smallest: BTreeMap<SensorId, (Duration, u64)>,
    /// There are more flows than were looked at. They could only make the region smaller.
    pub more: bool,
}

impl Query {
    /// The smallest handshake time of each sensor to a server.
    ///
    /// # Errors
    /// As [`Query::profiles`].
    pub fn handshakes(&self, server: IpAddr) -> anyhow::Result<Handshakes> {
        let mut found = Handshakes::default();
        let (mut page, mut flows) = (Vec::new(), 0);
        loop {
            let request = v1::ListTrafficRequest {
                profile: Some(address_bytes(server)),
                page_size: PAGE,
                page,
                ..v1::ListTrafficRequest::default()
            };
            let answer = self.ask(async |mut client| client.list_traffic(request).await)?;
            for entry in answer.entries {
                let Some(v1::traffic::Entry::Flow(flow)) = entry.entry else {
                    continue;
                };
                flows += 1;
                let Ok(sensor) = <[u8; 16]>::try_from(entry.sensor_id.as_slice()) else {
                    continue;
                };
                let update = FlowUpdate::try_from(flow).with_context(|| self.bad_answer())?;
                let server_side = update.flow.client_server().1.ip == server;
                if let Some(time) = update.flow.rtt.filter(|_| server_side) {
                    let known = found.smallest.entry(SensorId(sensor)).or_insert((time, 0));
                    *known = (known.0.min(time), known.1 + 1);
                }
            }
            page = answer.next_page;
            if page.is_empty() || flows >= MAX_FLOWS {
                found.more = !page.is_empty();
                return Ok(found);
            }
        }
    }
}
