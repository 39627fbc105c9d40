//! Reads a capture through parser, selector and decoders.

use std::fs;
use std::path::Path;

use lynceus_model::app::AppRecord;
use lynceus_model::time::Timestamp;
use lynceus_sensor::decode::Decoder;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use rustc_hash::FxHashMap;
use sensor_ebpf::event::Head;
use sensor_ebpf::flow::{FlowKey, HookDirection, Point, Side};
use sensor_ebpf::heads::{self, Choice, FlowHeads, HeadLimits, SourceBucket};
use sensor_ebpf::parse::{Link, Packet, Refused, Slice, USER_LEVELS, parse};

/// What came out of a capture.
#[derive(Default)]
pub(crate) struct Run {
    pub(crate) decoder: Decoder,
    flows: FxHashMap<FlowKey, (FlowHeads, Side)>,
    sources: FxHashMap<[u8; 16], SourceBucket>,
    pub(crate) records: Vec<AppRecord>,
}

impl Run {
    fn frame(&mut self, link: Link, time: u64, bytes: &[u8], wire_len: u32) {
        let frame = Slice { bytes, wire_len };
        let mut packet = Packet::default();
        let limits = HeadLimits::DEFAULT;
        let point = Point {
            ifindex: 0,
            direction: HookDirection::Ingress,
        };
        let records = &mut self.records;
        match parse::<_, USER_LEVELS>(&frame, link, &mut packet) {
            Ok(()) => {
                let (flow, origin) = self
                    .flows
                    .entry(packet.key)
                    .or_insert_with(|| (FlowHeads::default(), packet.sender));
                let bucket = self.sources.entry(heads::source_of(&packet)).or_default();
                match heads::select(&frame, &packet, flow, &limits, || bucket.take(time, &limits)) {
                    Choice::Pass | Choice::Refuse(_) => {}
                    Choice::Take { bytes: count } => {
                        let start = (packet.payload_offset as usize).min(bytes.len());
                        let end = (start + usize::from(count)).min(bytes.len());
                        let head = Head {
                            key: packet.key,
                            point,
                            sender: packet.sender,
                            time,
                            tcp_seq: packet.tcp_seq,
                            tcp_flags: packet.tcp_flags,
                            payload_len: packet.payload_len,
                            bytes: &bytes[start..end],
                        };
                        self.decoder
                            .decode(&head, Timestamp(time as i64), Some(*origin), &mut |record| {
                                records.push(record);
                            });
                    }
                }
            }
            Err(Refused::Arp) => {
                let Some(place) = heads::arp_place(&frame, link) else {
                    return;
                };
                let mut head_bytes = Vec::new();
                if place.ethernet {
                    head_bytes.extend(&bytes[..12]);
                }
                head_bytes.extend(bytes.get(place.offset..).unwrap_or_default());
                let head = Head {
                    key: FlowKey {
                        low_port: heads::ARP_ETHER_TYPE,
                        high_port: if place.ethernet { heads::ARP_LINK_BYTES } else { 0 },
                        ..FlowKey::default()
                    },
                    point,
                    sender: Side::Low,
                    time,
                    tcp_seq: 0,
                    tcp_flags: 0,
                    payload_len: 28,
                    bytes: &head_bytes,
                };
                self.decoder
                    .decode(&head, Timestamp(time as i64), None, &mut |record| {
                        records.push(record)
                    });
            }
            Err(_) => {}
        }
    }
}

fn link_of(link: Linktype) -> Option<Link> {
    Some(match link.0 {
        1 => Link::Ethernet,
        0 | 108 => Link::Null,
        12 | 14 | 101 | 228 | 229 => Link::RawIp,
        113 => Link::LinuxSll,
        276 => Link::LinuxSll2,
        _ => return None,
    })
}

/// Selector and decoders over a capture file.
pub(crate) fn run(path: &Path) -> Run {
    let mut run = Run::default();
    let file = fs::File::open(path).unwrap();
    let mut reader = create_reader(1 << 20, file).unwrap();
    let mut interfaces: Vec<(Option<Link>, u64, i64)> = Vec::new();
    let mut nanos = false;
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        nanos = header.is_nanosecond_precision();
                        interfaces = vec![(link_of(header.network), 0, 0)];
                    }
                    PcapBlockOwned::Legacy(block) => {
                        let sub = u64::from(block.ts_usec) * if nanos { 1 } else { 1000 };
                        if let Some(link) = interfaces[0].0 {
                            run.frame(
                                link,
                                u64::from(block.ts_sec) * 1_000_000_000 + sub,
                                &block.data[..block.data.len().min(block.caplen as usize)],
                                block.origlen,
                            );
                        }
                    }
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => interfaces.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(idb)) => {
                        interfaces.push((
                            link_of(idb.linktype),
                            idb.ts_resolution().unwrap_or(1_000_000),
                            idb.ts_offset(),
                        ));
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(epb)) => {
                        let (link, resolution, _) = interfaces[epb.if_id as usize];
                        let ticks = u128::from(epb.ts_high) << 32 | u128::from(epb.ts_low);
                        let time = (ticks * 1_000_000_000 / u128::from(resolution)) as u64;
                        if let Some(link) = link {
                            run.frame(
                                link,
                                time,
                                &epb.data[..epb.data.len().min(epb.caplen as usize)],
                                epb.origlen,
                            );
                        }
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => break,
            Err(PcapError::Incomplete(_)) => {
                if reader.refill().is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    run
}
