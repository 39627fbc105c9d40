//! What flows alone show: where they go, how long they last, how much they carry, and in what rhythm.

use std::net::IpAddr;

use super::super::messages::{A, answer, client_hello, question, response, server_hello};
use super::super::stage::Stage;
use super::super::wire::{At, at};

pub(crate) fn play(stage: &mut Stage) {
    places(stage);
    sizes(stage);
    contents(stage);
    rhythms(stage);
    guesses(stage);
    usual_bytes(stage);
}

fn places(stage: &mut Stage) {
    // Orders and their answers on ports without a service.
    let host = stage.own(20, 5, 0);
    for (n, port) in [(0, 33_871), (1, 47_119)] {
        let (from, to) = (stage.own(20, 5, 43_000 + n), stage.out(20, 1, port));
        stage
            .air
            .talk(f64::from(n) * 3.0, from, to)
            .say(&[0x42; 90])
            .hear(&[0x17; 200])
            .end();
    }
    stage.found("UNKNOWN_PORT", host);
    stage.found("CONNECTION_TO_MULTIPLE_PORTS", host);

    let (host, server) = (stage.own(21, 5, 43_000), stage.own(21, 9, 445));
    stage.air.talk(1.0, host, server).say(&[0; 60]).end();
    stage.found("CONNECTION_TO_PRIVATE_IP", host);

    // Another private range than the local one.
    let far = match stage.is_four() {
        true => at("192.168.77.9", 445),
        false => at("fd77::9", 445),
    };
    let host = stage.own(22, 5, 43_000);
    stage.air.knock(1.0, host, far);
    stage.found("DIFFERENT_LOCALNET", host);

    // A host that asks for names calls a server that no answer gave.
    let host = stage.own(23, 5, 43_000);
    let (named, unnamed) = (stage.out(23, 1, 443), stage.out(23, 2, 443));
    look_up(stage, 1.0, host, "known.example", named.ip);
    for (n, to) in [(0, named), (1, unnamed)] {
        let from = stage.own(23, 5, 43_100 + n);
        let seconds = 60.0 + f64::from(n);
        let hello = client_hello("known.example");
        stage.air.talk(seconds, from, to).say(&hello).end();
    }
    stage.found("CONNECTION_WITHOUT_DNS", host);

    // A name that leads to a server which nobody calls; the host calls others.
    let host = stage.own(24, 5, 43_000);
    look_up(stage, 1.0, host, "unused.example", stage.out(24, 1, 0).ip);
    look_up(stage, 2.0, host, "used.example", stage.out(24, 2, 0).ip);
    let (from, to) = (stage.own(24, 5, 43_100), stage.out(24, 2, 443));
    stage
        .air
        .talk(3.0, from, to)
        .say(&client_hello("used.example"))
        .end();
    stage.found("DNS_WITHOUT_CONNECTION", host);
}

/// Asks the site's name server for an address, and is answered.
pub(super) fn look_up(stage: &mut Stage, seconds: f64, from: At, name: &str, ip: IpAddr) {
    const AAAA: u16 = 28;
    let (kind, data) = match ip {
        IpAddr::V4(ip) => (A, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AAAA, ip.octets().to_vec()),
    };
    let resolver = stage.resolver();
    let id = from.port;
    stage.air.udp(seconds, from, resolver, &question(id, name, kind));
    let said = answer(id, name, kind, 0, Some(&data));
    stage.air.udp(seconds + 0.01, resolver, from, &said);
}

fn sizes(stage: &mut Stage) {
    let (host, server) = (stage.own(25, 5, 43_000), stage.out(25, 1, 443));
    let mut talk = stage
        .air
        .talk(1.0, host, server)
        .say(&client_hello("chat.example"));
    for _ in 0..40 {
        talk = talk.wait(60.0).say(&[23, 3, 3, 0, 40]);
    }
    talk.end();
    stage.found("LONG_CONNECTION", host);

    let (host, server) = (stage.own(26, 5, 43_000), stage.out(26, 1, 443));
    let hello = client_hello("drop.example");
    stage
        .air
        .talk(1.0, host, server)
        .say(&hello)
        .pour(110_000_000)
        .end();
    stage.found("DATA_UPLOAD", host);
}

fn contents(stage: &mut Stage) {
    for (scene, port, kind) in [
        (27, 443, "NON_SSL_PORT_443_CONNECTION"),
        (28, 80, "NON_HTTP_PORT_80_CONNECTION"),
    ] {
        let (host, server) = (stage.own(scene, 5, 43_000), stage.out(scene, 1, port));
        stage
            .air
            .talk(1.0, host, server)
            .say(&[0xa5; 120])
            .hear(&[0x5a; 300])
            .end();
        stage.found(kind, host);
    }
}

fn rhythms(stage: &mut Stage) {
    // The server was taken away; the program calls on, each two seconds.
    let host = stage.own(29, 5, 0);
    for n in 0..150 {
        let (from, to) = (stage.own(29, 5, 44_000 + n), stage.out(29, 1, 5_888));
        stage.air.refused(f64::from(n) * 2.0, from, to);
    }
    stage.found("COMMAND_AND_CONTROL_CHANNEL", host);
    stage.found("BEACONING", host);
    stage.found("MULTIPLE_RECONNECTION_ATTEMPTS", host);
}

fn guesses(stage: &mut Stage) {
    // One login of a person by SSH: the client is of another version afterwards.
    let (host, server) = (stage.own(30, 5, 43_000), stage.own(30, 9, 22));
    stage
        .air
        .talk(1.0, host, server)
        .hear(b"SSH-2.0-OpenSSH_9.6\r\n")
        .say(b"SSH-2.0-OpenSSH_8.1\r\n")
        .wait(20.0)
        .pour(60_000)
        .end();
    stage.found("SSH_SUCCESSFUL", host);
    let (again, server) = (stage.own(30, 5, 43_001), stage.own(30, 9, 22));
    stage
        .air
        .talk(100.0, again, server)
        .hear(b"SSH-2.0-OpenSSH_9.6\r\n")
        .say(b"SSH-2.0-OpenSSH_9.1\r\n")
        .end();
    stage.found("MULTIPLE_SSH_VERSIONS", host);

    let host = stage.own(31, 5, 0);
    for n in 0..24 {
        let (from, to) = (stage.own(31, 5, 43_000 + n), stage.own(31, 9, 80));
        let request =
            b"GET /private HTTP/1.1\r\nHost: intra.example\r\nAuthorization: Basic dXNlcjpwdw==\r\n\r\n";
        stage
            .air
            .talk(f64::from(n), from, to)
            .say(request)
            .hear(&response("401 Unauthorized", "text/html", 20))
            .end();
    }
    stage.found("CREDENTIAL_STUFFING", host);
}

/// Two hours of the same small requests, then two megabytes.
fn usual_bytes(stage: &mut Stage) {
    let host = stage.own(32, 5, 0);
    let hello = client_hello("api.example");
    let certificate = [0x30, 0x03, 0x02, 0x01, 0x00];
    let upload = |n: u16| if n == 40 { 2_000_000 } else { 1_500 };
    for n in 0..41 {
        let (from, to) = (stage.own(32, 5, 45_000 + n), stage.out(32, 1, 443));
        stage
            .air
            .talk(5.0 + f64::from(n) * 300.0, from, to)
            .say(&hello)
            .hear(&server_hello(&certificate))
            .pour(upload(n))
            .end();
    }
    stage.found("MALICIOUS_FLOW", host);
}
