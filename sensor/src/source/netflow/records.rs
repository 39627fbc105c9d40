//! Records of any number of exporters into the flow table.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::status::{Counter, Fill, Loss, PointStatus, SensorStatus};
use lynceus_model::time::Timestamp;
use netflow_parser::variable_versions::{ipfix, v9};
use netflow_parser::{AutoScopedParser, NetflowPacket, NetflowParser};
use rustc_hash::FxHashMap;

use super::fields::{Clock, Facts};
use super::sampling::{Samplers, of_header};
use super::sequence::Sequences;
use crate::clock::WallClock;
use crate::flow_table::{Expiry, FlowTable, FlowTableConfig, Timeouts, WhenFull};
use crate::source::nfdump::Half;

/// Exporters, each with its domains: more than a site has routers. The one that was silent for longest is forgotten.
const MOST_EXPORTERS: usize = 1024;
/// Templates of one exporter and domain; routers have some ten.
const MOST_TEMPLATES: usize = 256;
/// Interfaces of exporters that are named in `seen_at`; the others have numbers.
const MOST_NAMES: usize = 4096;
const FINISH_BATCH: usize = 2048;

/// Records: seen = recorded + refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetflowCounts {
    pub datagrams: u64,
    pub records: u64,
    /// Records without addresses or packets: of other things than flows.
    pub no_flow: u64,
    /// Datagrams that cannot be read further.
    pub malformed: u64,
    /// Sets of records whose template did not come yet.
    pub no_template: u64,
    /// Records of a sampling exporter: their numbers were scaled, so they are estimates.
    pub sampled: u64,
}

/// What exporters sent, without a socket.
pub struct Records {
    parser: AutoScopedParser,
    table: FlowTable,
    sequences: Sequences,
    samplers: Samplers,
    /// Interfaces that have a name in the table, and the sampling rate in it.
    named: FxHashMap<u32, u64>,
    counts: NetflowCounts,
    newest: Timestamp,
}

impl Records {
    /// # Errors
    /// The parser refuses its bounds.
    pub fn new() -> anyhow::Result<Self> {
        let builder = NetflowParser::builder().with_cache_size(MOST_TEMPLATES);
        let parser = AutoScopedParser::try_with_builder(builder)
            .and_then(|parser| parser.with_max_sources(MOST_EXPORTERS))
            .context("cannot make the parser")?;
        Ok(Self {
            parser,
            table: FlowTable::new(FlowTableConfig {
                expiry: Expiry::Timeouts(timeouts()),
                max_flows: FlowTableConfig::DEFAULT_MAX_FLOWS,
                when_full: WhenFull::Evict,
            }),
            sequences: Sequences::new(MOST_EXPORTERS),
            samplers: Samplers::default(),
            named: FxHashMap::default(),
            counts: NetflowCounts::default(),
            newest: Timestamp::MIN,
        })
    }

    #[must_use]
    pub const fn counts(&self) -> NetflowCounts {
        self.counts
    }

    /// When the newest flow was last seen; [`Timestamp::MIN`] before the first.
    #[must_use]
    pub const fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Event time reached `time`: flows that are over are appended.
    pub fn tick(&mut self, time: Timestamp, ended: &mut Vec<FlowUpdate>) {
        self.table.tick(time, ended);
    }

    /// Ends flows, some at once; `false` if none is left.
    pub fn finish(&mut self, ended: &mut Vec<FlowUpdate>) -> bool {
        self.table.finish(FINISH_BATCH, ended)
    }

    /// Records, losses, and how full the table is.
    #[must_use]
    pub fn status(&self) -> SensorStatus {
        let counts = self.counts;
        let refused = (counts.no_flow > 0).then(|| Counter {
            reason: "no_flow".into(),
            count: counts.no_flow,
        });
        let losses = [
            ("malformed", "datagrams", counts.malformed),
            ("no_template", "sets", counts.no_template),
            ("missing_sequence", "flows", self.sequences.missing_records()),
            (
                "missing_sequence",
                "datagrams",
                self.sequences.missing_datagrams(),
            ),
            ("sampled", "records", counts.sampled),
            ("sampler_without_room", "announcements", self.samplers.refused()),
            ("ended_early", "flows", self.table.stats().evicted),
        ];
        let losses = losses.into_iter().filter(|loss| loss.2 > 0);
        SensorStatus {
            name: "netflow".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            points: vec![PointStatus {
                interface: "netflow records".to_owned(),
                hook: "log".to_owned(),
                seen: counts.records,
                recorded: counts.records - counts.no_flow,
                refused: refused.into_iter().collect(),
                ..PointStatus::default()
            }],
            losses: losses
                .map(|(reason, unit, count)| Loss {
                    stage: "netflow".into(),
                    reason: reason.into(),
                    unit: unit.into(),
                    count,
                })
                .collect(),
            fills: vec![Fill {
                name: "flow table".into(),
                used: self.table.stats().flows as u64,
                limit: self.table.max_flows() as u64,
                unit: "flows".into(),
            }],
            ..SensorStatus::default()
        }
    }

    /// Takes a datagram. What is wrong with it is counted.
    pub fn datagram(&mut self, bytes: &[u8], from: SocketAddr, ended: &mut Vec<FlowUpdate>) {
        self.counts.datagrams += 1;
        let result = self.parser.parse_from_source(from, bytes);
        self.counts.malformed += u64::from(result.error.is_some());
        for packet in &result.packets {
            self.packet(packet, from, ended);
        }
    }

    fn packet(&mut self, packet: &NetflowPacket, from: SocketAddr, ended: &mut Vec<FlowUpdate>) {
        match packet {
            NetflowPacket::V5(packet) => {
                let header = &packet.header;
                let domain = u32::from(header.engine_type) << 8 | u32::from(header.engine_id);
                let count = packet.flowsets.len() as u32;
                self.sequences
                    .records((from, 5, domain), header.flow_sequence, Some(count));
                let clock = Clock::of_uptime(header.unix_secs, header.unix_nsecs, header.sys_up_time);
                let rate = of_header(header.sampling_interval);
                for flow in &packet.flowsets {
                    self.flow(Facts::of_v5(flow), rate, clock, from.ip(), ended);
                }
            }
            NetflowPacket::V9(packet) => {
                let header = &packet.header;
                self.sequences
                    .datagram((from, 9, header.source_id), header.sequence_number);
                let clock = Clock::of_uptime(header.unix_secs, 0, header.sys_up_time);
                for set in &packet.flowsets {
                    match &set.body {
                        v9::FlowSetBody::Data(data) => {
                            for record in &data.fields {
                                let facts = Facts::of_v9(record);
                                let rate = self.samplers.rate(from.ip(), header.source_id, &facts.sampling);
                                self.flow(facts, rate, clock, from.ip(), ended);
                            }
                        }
                        v9::FlowSetBody::OptionsData(data) => {
                            for record in &data.fields {
                                let said = Facts::of_v9(&record.options_fields).sampling;
                                self.samplers.learn(from.ip(), header.source_id, &said);
                            }
                        }
                        v9::FlowSetBody::NoTemplate(_) => self.counts.no_template += 1,
                        _ => {}
                    }
                }
            }
            NetflowPacket::IPFix(packet) => {
                let header = &packet.header;
                let clock = Clock::of_export(header.export_time);
                // Records of options count too; of a set without template nobody knows how many it has.
                let mut count = Some(0);
                for set in &packet.flowsets {
                    match &set.body {
                        ipfix::FlowSetBody::Data(data) => {
                            count = count.map(|count| count + data.fields.len() as u32);
                            for record in &data.fields {
                                let facts = Facts::of_ipfix(record);
                                let domain = header.observation_domain_id;
                                let rate = self.samplers.rate(from.ip(), domain, &facts.sampling);
                                self.flow(facts, rate, clock, from.ip(), ended);
                            }
                        }
                        ipfix::FlowSetBody::OptionsData(data) => {
                            count = count.map(|count| count + data.fields.len() as u32);
                            for record in &data.fields {
                                let said = Facts::of_ipfix(record).sampling;
                                self.samplers
                                    .learn(from.ip(), header.observation_domain_id, &said);
                            }
                        }
                        ipfix::FlowSetBody::NoTemplate(_) => {
                            count = None;
                            self.counts.no_template += 1;
                        }
                        _ => {}
                    }
                }
                let key = (from, 10, header.observation_domain_id);
                self.sequences.records(key, header.sequence_number, count);
            }
            // Version 7 came from a switch long gone.
            _ => self.counts.malformed += 1,
        }
    }

    fn flow(
        &mut self,
        mut facts: Facts,
        rate: u64,
        clock: Clock,
        exporter: IpAddr,
        ended: &mut Vec<FlowUpdate>,
    ) {
        self.counts.records += 1;
        facts.scale(rate);
        let Some(half) = facts.half(clock) else {
            self.counts.no_flow += 1;
            return;
        };
        let point = facts.point(exporter);
        self.counts.sampled += u64::from(rate > 1);
        self.name(point, facts.interface(), rate, exporter);
        self.newest = self.newest.max(half.last);
        let record = Half::record(half, self.counts.records, point);
        let added = self.table.record(&record, WallClock::default(), ended);
        debug_assert!(added.is_ok(), "this table evicts");
    }

    /// Names an observation point in the flows: exporter, interface, sampling. A rate may come after the first records.
    fn name(&mut self, point: u32, interface: Option<u32>, rate: u64, exporter: IpAddr) {
        let known = self.named.get(&point).copied();
        if known == Some(rate) || (known.is_none() && self.named.len() >= MOST_NAMES) {
            return;
        }
        let place = match interface {
            Some(index) => format!("{exporter}/{index}"),
            None if rate > 1 => exporter.to_string(),
            None => return,
        };
        self.named.insert(point, rate);
        let sampled = if rate > 1 {
            format!(" (sampled 1:{rate})")
        } else {
            String::new()
        };
        self.table.name_interface(point, &format!("{place}{sampled}"));
    }
}

/// A record comes when its flow is over, or was cut by the exporter; only the other direction is waited for. A long flow
/// is reported with each part.
fn timeouts() -> Timeouts {
    Timeouts {
        active: Some(Duration::from_secs(30)),
        ..Timeouts::default()
    }
}
