//! Any value of the model that a sensor may send.

mod app;
pub(crate) mod profile;

use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::address::Network;
use lynceus_model::alert::{Alert, AlertId, Term};
use lynceus_model::block::{BlockId, BlockOrder, BlockOrders, BlockStatus};
use lynceus_model::evidence::{
    AttackerSide, Confidence, Evidence, EvidenceId, EvidenceType, Explanation, Feature, OwnPast, ThreatLevel,
};
use lynceus_model::flow::{
    CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Reported, SeenAt, Service,
    Totals, Tunnel, TunnelKind,
};
use lynceus_model::status::{
    Counter, Fill, Gap, GapReason, Loss, Moved, PointStatus, Position, SensorStatus,
};
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowUpdate};
use lynceus_proto::batch::Content;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) use self::app::app_record;

pub(crate) fn content() -> impl Strategy<Value = Content> {
    (vec(window_update(), 0..3), vec(gap(), 0..3)).prop_map(|(updates, gaps)| Content { updates, gaps })
}

pub(crate) fn window_update() -> impl Strategy<Value = WindowUpdate> {
    let stage = select(vec![Stage::Partial, Stage::Refreshed, Stage::Closed]);
    (
        profile::delta(),
        stage,
        vec(flow_update(), 0..4),
        vec(app_record(), 0..4),
    )
        .prop_map(|(delta, stage, flows, apps)| WindowUpdate {
            delta: Box::new(delta),
            stage,
            flows,
            apps,
        })
}

pub(crate) fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

pub(crate) fn flow_update() -> impl Strategy<Value = FlowUpdate> {
    let end = select(vec![
        FlowEnd::Active,
        FlowEnd::Idle,
        FlowEnd::Closed,
        FlowEnd::SourceEnded,
        FlowEnd::Evicted,
    ]);
    (flow(), totals(), totals(), any::<u32>(), end).prop_map(|(flow, new_out, new_back, part, end)| {
        FlowUpdate {
            flow,
            new_out,
            new_back,
            part,
            end,
        }
    })
}

pub(crate) fn flow() -> impl Strategy<Value = Flow> {
    let head = (
        tuple(),
        community_id(),
        time(),
        time(),
        totals(),
        totals(),
        conn_state(),
    );
    let rest = (
        option::of(any::<(u8, u8)>()),
        vec(any::<u16>(), 0..=8),
        option::of(tunnel()),
        option::of(duration()),
        vec(seen_at(), 0..3),
    );
    let log = (select(Service::ALL.to_vec()), option::of(reported()));
    (head, rest, log).prop_map(
        |((tuple, community_id, first, last, out, back, state), (icmp, vlan, tunnel, rtt, seen_at), log)| {
            Flow {
                tuple,
                community_id,
                first,
                last,
                out,
                back,
                state,
                icmp,
                vlan,
                tunnel,
                rtt,
                seen_at,
                service: log.0,
                reported: log.1.map(Box::new),
            }
        },
    )
}

fn reported() -> impl Strategy<Value = Reported> {
    let numbers = any::<(Option<bool>, bool, Option<[u8; 6]>, Option<[u8; 6]>)>();
    (numbers, vec(option::of(text()), 3)).prop_map(
        |((established, flipped, originator_mac, responder_mac), mut texts)| Reported {
            uid: texts.remove(0),
            established,
            flipped,
            originator_mac,
            responder_mac,
            label: texts.remove(0),
            detailed_label: texts.remove(0),
        },
    )
}

pub(crate) fn evidence() -> impl Strategy<Value = Evidence> {
    let who = (
        any::<[u8; 16]>(),
        select(EvidenceType::ALL.to_vec()),
        any::<IpAddr>(),
        any::<IpAddr>(),
        select(vec![AttackerSide::Source, AttackerSide::Destination]),
        any::<Option<IpAddr>>(),
        any::<Option<u16>>(),
        any::<Option<u8>>(),
    );
    let what = (
        select(vec![
            ThreatLevel::Info,
            ThreatLevel::Low,
            ThreatLevel::Medium,
            ThreatLevel::High,
            ThreatLevel::Critical,
        ]),
        0.0..=1.0_f64,
        text(),
        explanation(),
        vec(community_id(), 0..=Evidence::MAX_FLOWS),
    );
    let more = (
        option::of(text()),
        any::<u32>(),
        vec(any::<[u8; 16]>(), 0..3),
        option::of(text()),
        (option::of(any::<u16>()), option::of(0.0..1e6_f64)),
    );
    (who, what, more, any::<i64>(), time(), time(), time()).prop_map(
        |(who, what, more, window, window_start, first, last)| Evidence {
            id: EvidenceId(who.0),
            kind: who.1,
            profile: who.2,
            window_start,
            window,
            attacker: who.3,
            attacker_side: who.4,
            victim: who.5,
            dst_port: who.6,
            protocol: who.7,
            threat_level: what.0,
            confidence: Confidence::new(what.1),
            description: what.2,
            explanation: what.3,
            flows: what.4,
            first,
            last,
            subject: more.0,
            revision: more.1,
            account: more.3,
            related: more.2.into_iter().map(EvidenceId).collect(),
            src_port: more.4.0,
            accumulated: more.4.1,
        },
    )
}

pub(crate) fn alert() -> impl Strategy<Value = Alert> {
    let term = (any::<[u8; 16]>(), 0.0..1.0_f64).prop_map(|(evidence, weight)| Term {
        evidence: EvidenceId(evidence),
        weight,
    });
    let numbers = (0.0..1e9_f64, 0.0..1e3_f64, 0.0..=1.0_f64);
    (
        any::<([u8; 16], [u8; 16], IpAddr, i64)>(),
        (time(), time(), time()),
        numbers,
        vec(term, 0..5),
        vec(community_id(), 0..5),
        vec(any::<IpAddr>(), 0..=Alert::MAX_PEERS),
    )
        .prop_map(
            |((id, group, profile, window), times, numbers, terms, flows, peers)| Alert {
                peers,
                id: AlertId(id),
                group: AlertId(group),
                profile,
                window,
                window_start: times.0,
                sum: numbers.0,
                threshold: numbers.1,
                terms,
                flows,
                first: times.1,
                last: times.2,
                confidence: Confidence::new(numbers.2),
            },
        )
}

fn explanation() -> impl Strategy<Value = Explanation> {
    let number = || -1e300..1e300_f64;
    let feature = (
        name(),
        number(),
        name(),
        option::of(number()),
        option::of(number()),
        option::of(number()),
        option::of((number(), number(), any::<u32>())),
    )
        .prop_map(
            |(name, value, unit, baseline, threshold, surprisal, own)| Feature {
                name: name.into(),
                value,
                unit: unit.into(),
                baseline,
                threshold,
                surprisal,
                own: own.map(|(mean, surprisal, windows)| OwnPast {
                    mean,
                    surprisal,
                    windows,
                }),
            },
        );
    (vec(feature, 0..4), text()).prop_map(|(features, text)| Explanation { features, text })
}

pub(crate) fn gap() -> impl Strategy<Value = Gap> {
    let count = || any::<Option<u64>>();
    (
        select(GapReason::ALL.to_vec()),
        time(),
        time(),
        (count(), count(), count(), count(), count()),
    )
        .prop_map(
            |(reason, first, last, (batches, updates, flows, apps, packets))| Gap {
                reason,
                first,
                last,
                batches,
                flows,
                apps,
                updates,
                packets,
            },
        )
}

pub(crate) fn sensor_status() -> impl Strategy<Value = SensorStatus> {
    let loss = (name(), name(), name(), any::<u64>()).prop_map(|(stage, reason, unit, count)| Loss {
        stage: stage.into(),
        reason: reason.into(),
        unit: unit.into(),
        count,
    });
    let fill = (name(), any::<u64>(), any::<u64>(), name()).prop_map(|(fill, used, limit, unit)| Fill {
        name: fill.into(),
        used,
        limit,
        unit: unit.into(),
    });
    (
        (name(), name()),
        option::of(name()),
        time(),
        time(),
        vec(point_status(), 0..3),
        vec(loss, 0..3),
        vec(fill, 0..3),
        (
            option::of(0.0..1e9_f64),
            vec(block_status(), 0..3),
            option::of((-90.0..=90.0_f64, -180.0..=180.0_f64, 0.0..=20_000.0_f64)),
        ),
    )
        .prop_map(
            |(
                (name, version),
                kernel,
                started,
                read_at,
                points,
                losses,
                fills,
                (nanos_per_packet, blocks, position),
            )| {
                SensorStatus {
                    name,
                    version,
                    kernel,
                    started,
                    read_at,
                    points,
                    losses,
                    fills,
                    nanos_per_packet,
                    blocks,
                    position: position.and_then(|(latitude, longitude, error_km)| {
                        Position::new(latitude, longitude, error_km)
                    }),
                }
            },
        )
}

fn point_status() -> impl Strategy<Value = PointStatus> {
    let counter = || {
        let one = (name(), any::<u64>()).prop_map(|(reason, count)| Counter {
            reason: reason.into(),
            count,
        });
        vec(one, 0..3)
    };
    (
        name(),
        any::<bool>(),
        name(),
        any::<([u64; 4], [u64; 2])>(),
        counter(),
        counter(),
    )
        .prop_map(
            |(interface, egress, hook, ([seen, recorded, resident, blocked], moved), refused, degraded)| {
                PointStatus {
                    interface,
                    egress,
                    hook,
                    seen,
                    recorded,
                    resident,
                    refused,
                    degraded,
                    blocked,
                    moved: Moved {
                        seen: moved[0],
                        recorded: moved[1],
                    },
                }
            },
        )
}

fn block_status() -> impl Strategy<Value = BlockStatus> {
    let numbers = any::<([u8; 16], bool, u64, u64)>();
    (numbers, option::of(name())).prop_map(|((id, dry_run, packets, bytes), refused)| BlockStatus {
        id: BlockId(id),
        dry_run,
        packets,
        bytes,
        refused: refused.map(Into::into),
    })
}

pub(crate) fn block_orders() -> impl Strategy<Value = BlockOrders> {
    let one = any::<([u8; 16], IpAddr, u8, u64, bool)>().prop_map(|(id, ip, prefix, remaining, dry_run)| {
        let prefix = prefix % if ip.is_ipv4() { 33 } else { 129 };
        BlockOrder {
            id: BlockId(id),
            network: Network::new(ip, prefix).unwrap(),
            remaining: Duration::from_nanos(remaining),
            dry_run,
        }
    });
    (vec(one, 0..5), any::<u64>()).prop_map(|(blocks, lease)| BlockOrders {
        blocks,
        lease: Duration::from_nanos(lease),
    })
}

fn tuple() -> impl Strategy<Value = FiveTuple> {
    any::<((IpAddr, u16), (IpAddr, u16), u8)>().prop_map(|(originator, responder, protocol)| FiveTuple {
        originator: Endpoint {
            ip: originator.0,
            port: originator.1,
        },
        responder: Endpoint {
            ip: responder.0,
            port: responder.1,
        },
        protocol,
    })
}

fn totals() -> impl Strategy<Value = Totals> {
    let any_totals = any::<(u64, u64, u64, u8, [u32; 8])>().prop_map(
        |(packets, bytes, wire_bytes, tcp_flags, flag_counts)| Totals {
            packets,
            bytes,
            wire_bytes,
            tcp_flags,
            flag_counts,
        },
    );
    prop_oneof![Just(Totals::default()), any_totals]
}

fn tunnel() -> impl Strategy<Value = Tunnel> {
    let kind = select(vec![
        TunnelKind::Vxlan,
        TunnelKind::Geneve,
        TunnelKind::Gre,
        TunnelKind::IpIp,
        TunnelKind::SixInFour,
        TunnelKind::GtpU,
        TunnelKind::Erspan,
        TunnelKind::IpInIpv6,
        TunnelKind::MplsInIp,
    ]);
    (kind, any::<(Option<u32>, IpAddr, IpAddr)>()).prop_map(|(kind, (vni, source, destination))| Tunnel {
        kind,
        vni,
        source,
        destination,
    })
}

fn conn_state() -> impl Strategy<Value = ConnState> {
    let names = [
        "S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR", "OTH",
    ];
    select(names.to_vec()).prop_map(|name| ConnState::from_name(name).unwrap())
}

fn seen_at() -> impl Strategy<Value = SeenAt> {
    (name(), any::<bool>(), any::<u64>()).prop_map(|(interface, egress, packets)| SeenAt {
        interface,
        egress,
        packets,
    })
}

pub(crate) fn community_id() -> impl Strategy<Value = CommunityId> {
    any::<[u8; 20]>().prop_map(CommunityId)
}

fn duration() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_nanos)
}

pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.]{0,20}", ".{0,40}"]
}

/// Shorter than the limit of names, whatever the characters.
pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{0,12}", ".{0,40}"]
}
