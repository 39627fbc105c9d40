//! What the kernel takes out of frames before the TC hook sees them: VLAN tags, and the cuts between segments.

use std::net::{IpAddr, Ipv4Addr};

use lynceus_model::flow::{Flow, Totals};
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::source::kernel::Layer;
use lynceus_tests::foreign::{ForeignProgram, Hook};
use lynceus_tests::frames::{ACK, Host, Tcp, tcp, udp};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::traffic::{FrameSocket, bulk_tcp, pin_to_cpu};

use super::live::{Captured, Live, config};

const A: Host = Host::new(Ipv4Addr::new(192, 0, 2, 1));
const B: Host = Host::new(Ipv4Addr::new(192, 0, 2, 2));

/// A tag in the buffer's metadata counts as one in the frame: in the key, and with its four bytes in each segment.
#[test]
fn tags_in_metadata_count_as_in_the_frame() {
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default()).unwrap();
    let leaving = Live::start(&pair.sender, config(&[Pair::TX], HookChoice::Tcx)).unwrap();
    let arriving = Live::start(&pair.receiver, config(&[Pair::RX], HookChoice::Tcx)).unwrap();
    let stripped_at_egress =
        ForeignProgram::counting_stripped_tags(&pair.sender, Pair::TX, Hook::TcxEgress).unwrap();
    let stripped_at_ingress =
        ForeignProgram::counting_stripped_tags(&pair.receiver, Pair::RX, Hook::TcxIngress).unwrap();
    // Priority 1, VLAN 100, in front of all the others.
    let _tagger = ForeignProgram::tagging(&pair.sender, Pair::TX, Hook::TcxEgress, 0x2064).unwrap();
    let plain = udp(&A, &B, 1000, 7, &[1; 100]);
    let mut tagged = udp(&A, &B, 1000, 8, &[2; 100]);
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    let header = Tcp {
        source_port: 1000,
        destination_port: 9,
        flags: ACK,
        ..Tcp::default()
    };
    let long = tcp(&A, &B, header, &[3; 2500]);
    pair.sender
        .run(|| {
            pin_to_cpu(0)?;
            let socket = FrameSocket::open(Pair::TX)?;
            socket.send_all([&plain, &plain, &plain, &tagged, &tagged].map(Vec::as_slice))?;
            socket.send_super(&long, 54, 1000)
        })
        .unwrap();
    let (leaving, arriving) = (leaving.finish().unwrap(), arriving.finish().unwrap());
    assert_eq!(
        stripped_at_egress.packets().unwrap(),
        Some(6),
        "tags in metadata at egress"
    );
    assert_eq!(
        stripped_at_ingress.packets().unwrap(),
        Some(6),
        "tags in metadata at ingress"
    );
    for captured in [leaving, arriving] {
        captured.assert_accounted();
        let flow = to_port(&captured, 7);
        assert_eq!((flow.out.packets, flow.vlan.as_slice()), (3, &[100][..]));
        assert_eq!(flow.out.wire_bytes, 3 * (plain.len() as u64 + 4));
        let flow = to_port(&captured, 8);
        assert_eq!((flow.out.packets, flow.vlan.as_slice()), (2, &[100, 5][..]));
        assert_eq!(flow.out.wire_bytes, 2 * (tagged.len() as u64 + 4));
        let flow = to_port(&captured, 9);
        assert_eq!((flow.out.packets, flow.vlan.as_slice()), (3, &[100][..]));
        assert_eq!(flow.out.bytes, 3 * 40 + 2500);
        assert_eq!(flow.out.wire_bytes, 3 * (14 + 4 + 40) + 2500);
    }
}

/// Bulk TCP through VXLAN leaves as super packets with both sets of headers; each layer counts those of the wire.
#[test]
fn super_packets_in_a_tunnel_count_in_both_layers() {
    let Some(_root) = need_root() else { return };
    for (layer, ip_headers) in [(Layer::Inner, 0), (Layer::Outer, TUNNEL)] {
        let pair = Pair::new(VethOptions::default())
            .unwrap()
            .with_addresses()
            .unwrap();
        tunnel(&pair).unwrap();
        let mut config = config(&[Pair::RX], HookChoice::Tcx);
        config.kernel.layer = layer;
        let live = Live::start(&pair.receiver, config).unwrap();
        let address = format!("{}:5001", RECEIVER.0).parse().unwrap();
        let bulk = bulk_tcp(&pair.sender, &pair.receiver, address, 10_000_000).unwrap();
        let buffers = pair.receiver.link_counters(Pair::RX).unwrap().rx_packets;
        let captured = live.finish().unwrap();
        captured.assert_accounted();
        assert!(
            buffers < bulk.client_packets / 4,
            "no super packets: {buffers} buffers, {bulk:?}"
        );
        let sent = |of: fn(&Totals) -> u64| -> u64 {
            let flows = captured.flows.iter().map(|update| &update.flow);
            flows
                .map(|flow| {
                    let from_sender = |ip: IpAddr| ip == SENDER.0 || ip == IpAddr::V4(SENDER_OUTSIDE);
                    match from_sender(flow.tuple.originator.ip) {
                        true => of(&flow.out),
                        false => of(&flow.back),
                    }
                })
                .sum()
        };
        assert_eq!(
            sent(|side| side.packets),
            bulk.client_packets,
            "{layer:?} {bulk:?}"
        );
        if bulk.retransmitted == 0 {
            // Every segment has 20 + 32 bytes of headers (timestamps), a SYN 8 more.
            let inside = bulk.payload + 52 * bulk.client_packets + 8;
            assert_eq!(
                sent(|side| side.bytes),
                inside + ip_headers * bulk.client_packets,
                "{layer:?} {bulk:?}"
            );
            let wire = inside + (TUNNEL + 14) * bulk.client_packets;
            assert_eq!(sent(|side| side.wire_bytes), wire, "{layer:?} {bulk:?}");
        }
    }
}

/// IPv4, UDP, VXLAN, Ethernet: what the tunnel puts before the inner IP header, without the outer Ethernet header.
const TUNNEL: u64 = 20 + 8 + 8 + 14;
const SENDER_OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const SENDER: (IpAddr, &str) = (IpAddr::V4(Ipv4Addr::new(10, 78, 0, 1)), "02:4c:10:78:00:01");
const RECEIVER: (IpAddr, &str) = (IpAddr::V4(Ipv4Addr::new(10, 78, 0, 2)), "02:4c:10:78:00:02");

/// A VXLAN between both ends, with fixed neighbors.
fn tunnel(pair: &Pair) -> anyhow::Result<()> {
    for (end, link, remote, own, peer) in [
        (&pair.sender, Pair::TX, Pair::RECEIVER_IP, SENDER, RECEIVER),
        (&pair.receiver, Pair::RX, Pair::SENDER_IP, RECEIVER, SENDER),
    ] {
        end.ip(&format!(
            "link add vx0 address {} type vxlan id 7 remote {remote} dstport 4789 dev {link}",
            own.1
        ))?;
        end.ip(&format!("addr add {}/24 dev vx0", own.0))?;
        end.ip("link set vx0 up")?;
        end.ip(&format!(
            "neigh replace {} lladdr {} dev vx0 nud permanent",
            peer.0, peer.1
        ))?;
    }
    Ok(())
}

fn to_port(captured: &Captured, port: u16) -> &Flow {
    let mut flows = captured.flows.iter().map(|update| &update.flow);
    let flow = flows.find(|flow| flow.tuple.responder.port == port);
    flow.unwrap_or_else(|| panic!("no flow to port {port}: {:#?}", captured.flows))
}
