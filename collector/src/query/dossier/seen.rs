//! What our own sensors saw of an address: ports and services that answered, and how long its handshakes took.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_enrich::dossier::Dossier;
use lynceus_enrich::fact::{Fact, Field, Item, Reason, Source, Value};
use lynceus_enrich::latency::{LatLon, Observation};
use lynceus_model::app::{AppEvent, AppRecord, Software};
use lynceus_model::flow::{Flow, FlowUpdate, Service};
use lynceus_model::status::SensorStatus;
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::v1;
use tonic::Status;

use super::super::{QueryService, failed};
use crate::rows;
use crate::store::{KeyRange, Table};

/// Services of one address.
const MAX_SERVICES: usize = 256;
/// Pages of flows that one dossier looks at, of a thousand each.
const MAX_PAGES: usize = 8;
/// Sensors that may have seen it; far below what a region takes.
const MAX_SENSORS: usize = 1000;

const SENSORS: Source = Source::new("sensors");

/// Handshakes with the address as the server, by sensors whose place is known.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    /// The smallest time of each sensor.
    pub(super) observations: Vec<Observation>,
    /// Of when the latest of them is.
    pub(super) last: Option<Timestamp>,
}

#[derive(Default)]
struct Seen {
    ports: BTreeSet<Item>,
    services: BTreeSet<Item>,
    last: Option<Timestamp>,
    /// Smallest handshake time and the latest moment of one.
    handshakes: BTreeMap<SensorId, (Duration, Timestamp)>,
}

impl QueryService {
    /// Adds ports and services of the address that answered our sensors' hosts. A region could only become smaller by
    /// flows beyond [`MAX_PAGES`].
    pub(super) fn seen(&self, dossier: &mut Dossier) -> Result<Handshakes, Status> {
        let mut request = v1::ListTrafficRequest {
            profile: Some(rows::address_bytes(dossier.ip)),
            page_size: 1000,
            ..v1::ListTrafficRequest::default()
        };
        let mut seen = Seen::default();
        for _ in 0..MAX_PAGES {
            let answer = self.traffic(&request)?;
            for entry in answer.entries {
                match entry.entry {
                    Some(v1::traffic::Entry::Flow(flow)) => {
                        if let Ok(FlowUpdate { flow, .. }) = FlowUpdate::try_from(flow) {
                            let sensor = entry.sensor_id.as_slice().try_into().ok().map(SensorId);
                            seen.note(&flow, sensor, dossier.ip);
                        }
                    }
                    Some(v1::traffic::Entry::App(record)) => {
                        if let Ok(record) = AppRecord::try_from(record) {
                            seen.take(&record, dossier.ip);
                        }
                    }
                    None => {}
                }
            }
            request.page = answer.next_page;
            if request.page.is_empty() {
                break;
            }
        }
        let handshakes = self.placed(&seen.handshakes)?;
        dossier.extend(seen.facts());
        Ok(handshakes)
    }

    /// Handshake times with the places of their sensors; those of sensors without a place say nothing.
    fn placed(&self, times: &BTreeMap<SensorId, (Duration, Timestamp)>) -> Result<Handshakes, Status> {
        let mut handshakes = Handshakes::default();
        if times.is_empty() {
            return Ok(handshakes);
        }
        for (_, value) in self.scan(Table::Sensors, &KeyRange::all(), MAX_SENSORS)? {
            let row = rows::read_sensor(&value).map_err(|error| failed(&error))?;
            let id = row.id.as_slice().try_into().map(SensorId);
            let (Ok(id), Some(Ok(status))) = (id, row.status.map(SensorStatus::try_from)) else {
                continue;
            };
            let Some((time, last)) = times.get(&id) else {
                continue;
            };
            let position = status.position;
            if let Some(position) = position
                && let Some(place) = LatLon::new(position.latitude, position.longitude)
            {
                handshakes.observations.push(Observation {
                    landmark: status.name,
                    place,
                    error_km: position.error_km,
                    rtt_ms: time.as_secs_f64() * 1e3,
                    floor_ms: 0.0,
                });
                handshakes.last = handshakes.last.max(Some(*last));
            }
        }
        Ok(handshakes)
    }
}

impl Seen {
    fn note(&mut self, flow: &Flow, sensor: Option<SensorId>, ip: IpAddr) {
        let server = flow.client_server().1;
        if server.ip != ip {
            return;
        }
        if let Some((sensor, time)) = sensor.zip(flow.rtt) {
            let known = self.handshakes.entry(sensor).or_insert((time, flow.first));
            *known = (known.0.min(time), known.1.max(flow.first));
        }
        let protocol = flow.tuple.protocol;
        if !flow.established() || !matches!(protocol, 6 | 17 | 132) {
            return;
        }
        if self.services.len() < MAX_SERVICES {
            let port = lynceus_view::service::port(server.port, protocol);
            let name = match flow.service {
                Service::Unseen | Service::Unrecognized | Service::Other => String::new(),
                known => format!(" {}", known.name()),
            };
            self.ports.insert(Item::Integer(server.port.into()));
            self.services.insert(Item::Text(format!("{port}{name}")));
        }
        self.last = self.last.max(Some(flow.last));
    }

    /// What another analyzer saw the address offer (Zeek's known_services.log).
    fn take(&mut self, record: &AppRecord, ip: IpAddr) {
        let server = record.tuple.originator;
        if let AppEvent::Software(software) = &record.event
            && software.kind == Software::SERVICE
            && server.ip == ip
            && self.services.len() < MAX_SERVICES
        {
            let port = lynceus_view::service::port(server.port, record.tuple.protocol);
            let text = format!("{port} {}", software.name);
            self.ports.insert(Item::Integer(server.port.into()));
            self.services.insert(Item::Text(text.trim_end().to_owned()));
            self.last = self.last.max(Some(record.time));
        }
    }

    fn facts(self) -> [Fact; 2] {
        [(Field::Ports, self.ports), (Field::Services, self.services)].map(|(field, items)| {
            if items.is_empty() {
                Fact::unknown(field, Reason::NoData("established flow to it".into()), SENSORS)
            } else {
                Fact::new(field, Value::Set(items), SENSORS).as_of(self.last)
            }
        })
    }
}
