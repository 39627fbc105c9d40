//! Peers of BitTorrent: DHT (BEP 5), uTP (BEP 29), and the handshake of the protocol itself (BEP 3).

use super::super::stage::Stage;

pub(crate) fn play(stage: &mut Stage) {
    let ping = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
    let pong = b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re";
    let own = stage.own(90, 5, 51_413);
    for n in 0..40_u8 {
        let to = stage.out(90, 1 + n, 20_000 + 613 * u16::from(n));
        let seconds = f64::from(n);
        stage.air.udp(seconds, own, to, ping);
        // One of three is still there; with some of them uTP follows: SYN, then STATE.
        if n % 3 == 0 {
            stage.air.udp(seconds + 0.05, to, own, pong);
            stage.air.udp(seconds + 0.10, own, to, &utp(4, n));
            stage.air.udp(seconds + 0.15, to, own, &utp(2, n));
        }
    }
    let hello = [
        &b"\x13BitTorrent protocol\0\0\0\0\0\x10\0\x05"[..],
        &[0x11; 20],
        b"-TR3000-abcdefghijkl",
    ]
    .concat();
    for n in 0..10_u8 {
        let from = stage.own(90, 5, 52_000 + u16::from(n));
        let to = stage.out(90, 1 + 3 * n, 20_000 + 613 * 3 * u16::from(n));
        stage
            .air
            .talk(60.0 + f64::from(n), from, to)
            .say(&hello)
            .hear(&hello)
            .end();
    }
    // Somebody else, with orders of his own.
    let (from, to) = (stage.own(91, 5, 53_000), stage.out(91, 1, 33_871));
    stage
        .air
        .talk(1.0, from, to)
        .say(&[0x42; 90])
        .hear(&[0x17; 200])
        .end();
}

/// A header of uTP: type and version 1, no extension, connection, times, window, numbers.
fn utp(kind: u8, connection: u8) -> Vec<u8> {
    let mut header = vec![kind << 4 | 1, 0, 0, connection];
    header.extend([0, 1, 2, 3, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0]);
    header
}
