//! What only those know who are asked: when a domain was registered, and what a server answers to probes.

use std::net::SocketAddr;

use super::super::messages::{client_hello, server_hello};
use super::super::stage::Stage;
use super::super::wire::At;
use super::flows::look_up;

/// A domain that the test's registry took ten days before the capture.
const YOUNG: &str = "fresh.example.org";

/// `tls`: a server that is really there.
pub(crate) fn play(stage: &mut Stage, tls: SocketAddr) {
    let host = stage.own(86, 5, 46_000);
    look_up(stage, 1.0, host, YOUNG, stage.out(86, 1, 0).ip);
    stage.found("YOUNG_DOMAIN", host);

    let to = At {
        ip: tls.ip(),
        port: tls.port(),
    };
    let certificate = [0x30, 0x03, 0x02, 0x01, 0x00];
    let host = stage.own(87, 5, 44_000);
    stage
        .air
        .talk(10.0, host, to)
        .say(&client_hello("c2.example.net"))
        .hear(&server_hello(&certificate))
        .end();
    stage.found("MALICIOUS_JARM", host);
}
