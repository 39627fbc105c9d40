//! Law 1 on the real kernel: what the sender sent = what the hook saw = recorded + resident + refused by reason.

use std::net::Ipv4Addr;

use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_tests::frames::{ACK, Host, PSH, Tcp, tcp, udp};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Pair, VethOptions};
use lynceus_tests::traffic::{Blast, Flood, FrameSocket, Mix, bulk_tcp, pin_to_cpu};

use super::live::{Live, config, refused};

const A: Host = Host::new(Ipv4Addr::new(192, 0, 2, 1));
const B: Host = Host::new(Ipv4Addr::new(192, 0, 2, 2));
const HOOKS: [HookChoice; 4] = [
    HookChoice::Xdp,
    HookChoice::XdpGeneric,
    HookChoice::Tcx,
    HookChoice::Clsact,
];

#[test]
fn every_hook_counts_what_was_sent() {
    let Some(_root) = need_root() else { return };
    for hook in HOOKS {
        let pair = Pair::new(VethOptions::default()).unwrap();
        let live = Live::start(&pair.receiver, config(&[Pair::RX], hook)).unwrap();
        let mut mix = Mix::new(50_000);
        let mut ip_bytes = 0;
        let sent = pair.sender.run(|| {
            pin_to_cpu(0)?;
            FrameSocket::open(Pair::TX)?.send_made(None, |buffer| {
                mix.next_into(buffer)?;
                ip_bytes += u64::from(u16::from_be_bytes([buffer[16], buffer[17]]));
                Some(())
            })
        });
        let sent = sent.unwrap();
        let captured = live.finish().unwrap();
        let point = captured.point(Pair::RX, false);
        assert_eq!(point.seen, sent.frames, "{hook:?}");
        assert_eq!(refused(point, "ring_full"), 0, "{hook:?}");
        captured.assert_accounted();
        assert_eq!(captured.totals(), (sent.frames, ip_bytes, sent.bytes), "{hook:?}");
    }
}
