//! The harness itself: namespaces vanish, and a sender's count is what arrives.

use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lynceus_tests::foreign::{ForeignProgram, Hook};
use lynceus_tests::frames::{Host, udp};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Netns, Pair, VethOptions};
use lynceus_tests::traffic::{Blast, Flood, FrameSocket, bulk_tcp, pin_to_cpu};

const A: Host = Host::new(Ipv4Addr::new(192, 0, 2, 1));
const B: Host = Host::new(Ipv4Addr::new(192, 0, 2, 2));

#[test]
fn namespace_is_gone_after_a_panic() {
    let Some(_root) = need_root() else { return };
    let mut path = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let namespace = Netns::new("panic").unwrap();
        assert!(namespace.path().exists());
        path = Some(namespace.path());
        panic!("on purpose");
    }));
    assert!(outcome.is_err());
    assert!(!path.expect("set before the panic").exists());
}

#[test]
fn frames_arrive_as_the_sender_counted_them() {
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default()).unwrap();
    let before = pair.receiver.link_counters(Pair::RX).unwrap();
    assert_eq!(before.rx_packets, 0, "a fresh link is silent");
    let frames: Vec<Vec<u8>> = (0..1000)
        .map(|length| udp(&A, &B, 1000, 53, &vec![0; length]))
        .collect();
    let sent = pair.sender.run(|| {
        pin_to_cpu(0)?;
        FrameSocket::open(Pair::TX)?.send_all(frames.iter().map(Vec::as_slice))
    });
    let sent = sent.unwrap();
    assert_eq!(sent.frames, 1000);
    let after = pair.receiver.link_counters(Pair::RX).unwrap();
    assert_eq!((after.rx_packets, after.rx_bytes), (sent.frames, sent.bytes));
}

#[test]
fn flood_is_counted_by_its_sender() {
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default()).unwrap();
    let mut flood = Flood::new(&B, 80, 100_000);
    let sent = pair.sender.run(|| {
        pin_to_cpu(0)?;
        FrameSocket::open(Pair::TX)?.send_made(None, |buffer| flood.next_into(buffer))
    });
    let sent = sent.unwrap();
    assert_eq!((sent.frames, sent.bytes), (100_000, 5_400_000));
    // What a receiver that is busy had no room for is told by the sending end.
    let arrived = pair.receiver.link_counters(Pair::RX).unwrap().rx_packets;
    let dropped = pair.sender.link_counters(Pair::TX).unwrap().tx_dropped;
    assert_eq!(arrived + dropped, sent.frames);
}

#[test]
fn bulk_tcp_travels_as_super_packets_and_counts_as_segments() {
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default())
        .unwrap()
        .with_addresses()
        .unwrap();
    let address = format!("{}:5001", Pair::RECEIVER_IP).parse().unwrap();
    let payload = 20_000_000;
    let bulk = bulk_tcp(&pair.sender, &pair.receiver, address, payload).unwrap();
    // MTU 1500 with timestamps leaves 1448 bytes a segment.
    assert!(bulk.client_packets >= payload / 1448, "{bulk:?}");
    let arrived = pair.receiver.link_counters(Pair::RX).unwrap().rx_packets;
    assert!(
        arrived < bulk.client_packets / 4,
        "no super packets: {arrived} of {bulk:?}"
    );
}

#[test]
fn a_foreign_program_counts_what_passes() {
    let Some(_root) = need_root() else { return };
    for (hook, frames) in [
        (Hook::TcxIngress, 100),
        (Hook::XdpNative, 200),
        (Hook::XdpGeneric, 300),
    ] {
        let pair = Pair::new(VethOptions::default()).unwrap();
        let program = ForeignProgram::counting(&pair.receiver, Pair::RX, hook).unwrap();
        let mut flood = Flood::new(&B, 80, frames);
        let sent = pair.sender.run(|| {
            pin_to_cpu(0)?;
            FrameSocket::open(Pair::TX)?.send_made(None, |buffer| flood.next_into(buffer))
        });
        assert_eq!(sent.unwrap().frames, u64::from(frames));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(program.packets().unwrap(), Some(u64::from(frames)), "{hook:?}");
    }
}

#[test]
fn a_blast_reaches_the_other_end() {
    let Some(_root) = need_root() else { return };
    let pair = Pair::new(VethOptions::default()).unwrap();
    let program = ForeignProgram::counting(&pair.receiver, Pair::RX, Hook::XdpNative).unwrap();
    let blast = Blast::new(&B).unwrap();
    let ifindex = pair.sender.ifindex(Pair::TX).unwrap();
    pair.sender.run(|| blast.send(ifindex, 200_000)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(blast.made().unwrap(), 200_000);
    let seen = program.packets().unwrap().expect("it counts");
    assert!((1..=200_000).contains(&seen), "{seen}");
    println!("{seen} of 200000 arrived");
}
