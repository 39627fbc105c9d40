//! The fields of a record that are read, by their numbers: those of NetFlow v9 are the first of IPFIX' (RFC 3954, IANA).

use std::hash::{Hash as _, Hasher as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use lynceus_model::time::Timestamp;
use netflow_parser::static_versions::v5;
use netflow_parser::{FieldValue, IpfixField, IpfixFlowRecord, V9FlowRecord};
use rustc_hash::{FxHashMap, FxHasher};

use super::sampling::{self, Sampling};
use crate::source::log::LARGEST_COUNTER;
use crate::source::log::facts::{Ends, ICMP, ICMPV6};
use crate::source::nfdump::Half;

const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
/// Of the reverse direction (RFC 5103).
const REVERSE_ENTERPRISE: u32 = 29_305;
const REVERSE: u16 = 0x8000;

const OCTETS: u16 = 1;
const PACKETS: u16 = 2;
const PROTOCOL: u16 = 4;
const TCP_FLAGS: u16 = 6;
const SOURCE_PORT: u16 = 7;
const SOURCE_V4: u16 = 8;
const INPUT: u16 = 10;
const DESTINATION_PORT: u16 = 11;
const DESTINATION_V4: u16 = 12;
const OUTPUT: u16 = 14;
const LAST_UPTIME: u16 = 21;
const FIRST_UPTIME: u16 = 22;
const SOURCE_V6: u16 = 27;
const DESTINATION_V6: u16 = 28;
const ICMP_V4: u16 = 32;
const DIRECTION: u16 = 61;
const OCTETS_TOTAL: u16 = 85;
const PACKETS_TOTAL: u16 = 86;
const ICMP_V6: u16 = 139;
const FIRST_SECONDS: u16 = 150;
const LAST_SECONDS: u16 = 151;
const FIRST_MILLIS: u16 = 152;
const LAST_MILLIS: u16 = 153;
const FIRST_MICROS: u16 = 154;
const LAST_MICROS: u16 = 155;
const FIRST_NANOS: u16 = 156;
const LAST_NANOS: u16 = 157;
const FIRST_DELTA_MICROS: u16 = 158;
const LAST_DELTA_MICROS: u16 = 159;
const BOOT_MILLIS: u16 = 160;

/// Of the standard's numbers those that are read.
const READ: [u16; 39] = [
    OCTETS,
    PACKETS,
    PROTOCOL,
    TCP_FLAGS,
    SOURCE_PORT,
    SOURCE_V4,
    INPUT,
    DESTINATION_PORT,
    DESTINATION_V4,
    OUTPUT,
    LAST_UPTIME,
    FIRST_UPTIME,
    SOURCE_V6,
    DESTINATION_V6,
    ICMP_V4,
    DIRECTION,
    OCTETS_TOTAL,
    PACKETS_TOTAL,
    ICMP_V6,
    FIRST_SECONDS,
    LAST_SECONDS,
    FIRST_MILLIS,
    LAST_MILLIS,
    FIRST_MICROS,
    LAST_MICROS,
    FIRST_NANOS,
    LAST_NANOS,
    FIRST_DELTA_MICROS,
    LAST_DELTA_MICROS,
    BOOT_MILLIS,
    sampling::SAMPLING_INTERVAL,
    sampling::SAMPLER_ID,
    sampling::RANDOM_INTERVAL,
    sampling::SELECTOR_ID,
    sampling::PACKET_INTERVAL,
    sampling::PACKET_SPACE,
    sampling::SIZE,
    sampling::POPULATION,
    sampling::PROBABILITY,
];

/// When a datagram was exported, and what its uptimes are counted from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    export: Timestamp,
    /// Milliseconds since boot at the export; none in IPFIX.
    uptime: Option<u32>,
}

impl Clock {
    pub(super) fn of_uptime(seconds: u32, nanos: u32, uptime: u32) -> Self {
        Self {
            export: Timestamp(i64::from(seconds) * SECOND + i64::from(nanos)),
            uptime: Some(uptime),
        }
    }

    pub(super) fn of_export(seconds: u32) -> Self {
        Self {
            export: Timestamp(i64::from(seconds) * SECOND),
            uptime: None,
        }
    }

    /// A time in milliseconds since boot. The counter begins anew after 49 days; what seems to be in the future is now.
    fn at(self, millis: u32) -> Option<Timestamp> {
        let age = self.uptime?.wrapping_sub(millis);
        let age = if age > u32::MAX / 2 { 0 } else { age };
        Some(Timestamp(self.export.0 - i64::from(age) * MILLI))
    }
}

/// What a record says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Facts {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    ports: [u16; 2],
    protocol: u8,
    flags: u8,
    /// Packets and bytes of both directions.
    out: [u64; 2],
    back: [u64; 2],
    icmp: Option<u16>,
    interfaces: [Option<u32>; 2],
    egress: bool,
    /// Since boot in milliseconds.
    uptimes: [Option<u32>; 2],
    times: [Option<Timestamp>; 2],
    /// Before the export, in microseconds.
    ages: [Option<u32>; 2],
    boot: Option<i64>,
    pub(super) sampling: Sampling,
}

impl Facts {
    pub(super) fn of_v5(flow: &v5::FlowSet) -> Self {
        Self {
            source: Some(flow.src_addr.into()),
            destination: Some(flow.dst_addr.into()),
            ports: [flow.src_port, flow.dst_port],
            protocol: flow.protocol_number,
            flags: flow.tcp_flags,
            out: [flow.d_pkts.into(), flow.d_octets.into()],
            // ICMP's type and code stand in the destination port.
            icmp: Some(flow.dst_port),
            interfaces: [Some(flow.input.into()), Some(flow.output.into())],
            uptimes: [Some(flow.first), Some(flow.last)],
            ..Self::default()
        }
    }

    pub(super) fn of_v9(record: &V9FlowRecord) -> Self {
        let mut facts = Self::default();
        let mut bytes = Vec::new();
        for (field, value) in record {
            facts.take((*field).into(), value, &mut bytes);
        }
        facts
    }

    pub(super) fn of_ipfix(record: &IpfixFlowRecord) -> Self {
        static NUMBERS: LazyLock<FxHashMap<IpfixField, u16>> = LazyLock::new(|| {
            let standard = READ
                .iter()
                .map(|number| (IpfixField::new(*number, None), *number));
            let reverse = READ.iter().map(|number| {
                (
                    IpfixField::new(*number, Some(REVERSE_ENTERPRISE)),
                    number | REVERSE,
                )
            });
            standard.chain(reverse).collect()
        });
        let mut facts = Self::default();
        let mut bytes = Vec::new();
        for (field, value) in record {
            if let Some(number) = NUMBERS.get(field) {
                facts.take(*number, value, &mut bytes);
            }
        }
        facts
    }

    /// Takes a field. Numbers may be shorter than their type (reduced-size encoding), so they are read by their bytes.
    fn take(&mut self, field: u16, value: &FieldValue, bytes: &mut Vec<u8>) {
        bytes.clear();
        if value.write_be_bytes(bytes).is_err() {
            return;
        }
        let number =
            (bytes.len() <= 8).then(|| bytes.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)));
        let small = number.and_then(|number| u32::try_from(number).ok());
        let port = number.and_then(|number| u16::try_from(number).ok());
        let v4 = || {
            <[u8; 4]>::try_from(&bytes[..])
                .ok()
                .map(|octets| IpAddr::V4(Ipv4Addr::from(octets)))
        };
        let v6 = || {
            <[u8; 16]>::try_from(&bytes[..])
                .ok()
                .map(|octets| IpAddr::V6(Ipv6Addr::from(octets)))
        };
        let time = |unit: i64| {
            number.and_then(|number| i64::try_from(number).ok()?.checked_mul(unit).map(Timestamp))
        };
        match field {
            OCTETS | OCTETS_TOTAL => self.out[1] = number.unwrap_or(0),
            PACKETS | PACKETS_TOTAL => self.out[0] = number.unwrap_or(0),
            PROTOCOL => self.protocol = bytes.last().copied().unwrap_or(0),
            // Twelve bits in IPFIX; the eight flags are the last.
            TCP_FLAGS => self.flags = bytes.last().copied().unwrap_or(0),
            SOURCE_PORT => self.ports[0] = port.unwrap_or(0),
            DESTINATION_PORT => self.ports[1] = port.unwrap_or(0),
            SOURCE_V4 | SOURCE_V6 => self.source = v4().or_else(v6).or(self.source),
            DESTINATION_V4 | DESTINATION_V6 => self.destination = v4().or_else(v6).or(self.destination),
            INPUT => self.interfaces[0] = small,
            OUTPUT => self.interfaces[1] = small,
            FIRST_UPTIME => self.uptimes[0] = small,
            LAST_UPTIME => self.uptimes[1] = small,
            ICMP_V4 | ICMP_V6 => self.icmp = port,
            DIRECTION => self.egress = number == Some(1),
            FIRST_SECONDS => self.times[0] = time(SECOND),
            LAST_SECONDS => self.times[1] = time(SECOND),
            FIRST_MILLIS => self.times[0] = time(MILLI),
            LAST_MILLIS => self.times[1] = time(MILLI),
            FIRST_MICROS | FIRST_NANOS => self.times[0] = number.and_then(ntp),
            LAST_MICROS | LAST_NANOS => self.times[1] = number.and_then(ntp),
            FIRST_DELTA_MICROS => self.ages[0] = small,
            LAST_DELTA_MICROS => self.ages[1] = small,
            BOOT_MILLIS => self.boot = number.and_then(|number| i64::try_from(number).ok()),
            _ if field == OCTETS | REVERSE || field == OCTETS_TOTAL | REVERSE => {
                self.back[1] = number.unwrap_or(0)
            }
            _ if field == PACKETS | REVERSE || field == PACKETS_TOTAL | REVERSE => {
                self.back[0] = number.unwrap_or(0)
            }
            _ => self.sampling.take(field, number),
        }
    }

    /// Each packet stands for so many.
    pub(super) fn scale(&mut self, rate: u64) {
        for count in self.out.iter_mut().chain(&mut self.back) {
            *count = count.saturating_mul(rate);
        }
    }

    /// The flow of the record; `None` if it is about something else.
    pub(super) fn half(&self, clock: Clock) -> Option<Half> {
        let (source, destination) = (self.source?, self.destination?);
        let counters = self.out.iter().chain(&self.back);
        if self.out[0].max(self.back[0]) == 0 || counters.clone().any(|counter| *counter > LARGEST_COUNTER) {
            return None;
        }
        let ports = match (self.protocol, self.icmp) {
            (ICMP | ICMPV6, Some(pair)) => [pair >> 8, pair & 0xff],
            (ICMP | ICMPV6, None) => [self.ports[1] >> 8, self.ports[1] & 0xff],
            _ => self.ports,
        };
        let at = |side: usize| {
            let by_boot = || {
                Some(Timestamp(
                    self.boot?
                        .checked_add(self.uptimes[side]?.into())?
                        .checked_mul(MILLI)?,
                ))
            };
            let by_uptime = || clock.at(self.uptimes[side]?);
            let by_age = || Some(Timestamp(clock.export.0 - i64::from(self.ages[side]?) * 1000));
            self.times[side]
                .or_else(by_boot)
                .or_else(by_uptime)
                .or_else(by_age)
        };
        let last = at(1).or_else(|| at(0)).unwrap_or(clock.export);
        let first = at(0).unwrap_or(last).min(last);
        Some(Half {
            ends: Ends::new((source, ports[0]), (destination, ports[1]), self.protocol),
            first,
            last,
            flags: self.flags,
            out: self.out,
            back: self.back,
        })
    }

    /// The interface that the exporter measured at.
    pub(super) fn interface(&self) -> Option<u32> {
        self.interfaces[usize::from(self.egress)]
    }

    /// A number for the observation point: exporter, interface and direction.
    pub(super) fn point(&self, exporter: IpAddr) -> u32 {
        let mut hasher = FxHasher::default();
        (exporter, self.interface(), self.egress).hash(&mut hasher);
        // The flow table keeps a bit for the direction.
        (hasher.finish() >> 33) as u32
    }
}

/// Seconds since 1900 and a binary fraction (RFC 7011 §6.1.9).
fn ntp(number: u64) -> Option<Timestamp> {
    const FROM_1900: i64 = 2_208_988_800;
    let seconds = i64::try_from(number >> 32).ok()? - FROM_1900;
    let nanos = (number & 0xffff_ffff) * 1_000_000_000;
    let nanos = nanos >> 32;
    Some(Timestamp(seconds * SECOND + i64::try_from(nanos).ok()?))
}
