use lynceus_model::app::DnsData;
use lynceus_model::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::source::log::What;

fn read(line: &str) -> Result<Vec<Row>, Refusal> {
    let mut rows = Vec::new();
    Suricata.line(line, &mut rows).map(|_| rows)
}

fn messages(line: &str) -> Vec<AppRecord> {
    let rows = read(line).unwrap().into_iter();
    rows.map(|row| match row.what {
        What::App(record) => *record,
        _ => unreachable!("a message"),
    })
    .collect()
}

fn flow_of(state: &str, tcp: &str, packets: [u64; 2]) -> Flow {
    let line = format!(
        r#"{{"timestamp":"2021-06-06T17:00:00.000000+0200","event_type":"flow","flow_id":7,"src_ip":"10.0.0.1","src_port":4000,"dest_ip":"10.0.0.2","dest_port":80,"proto":"TCP","app_proto":"http","flow":{{"pkts_toserver":{},"pkts_toclient":{},"bytes_toserver":600,"bytes_toclient":300,"start":"2021-06-06T15:59:46.457984+0200","end":"2021-06-06T15:59:47.457984+0200","state":"{state}"}}{tcp}}}"#,
        packets[0], packets[1]
    );
    match read(&line).unwrap().remove(0).what {
        What::Flow(update) => update.flow,
        _ => unreachable!("a flow"),
    }
}

#[test]
fn flows_with_and_without_flags() {
    let tcp = |to: &str, back: &str| {
        format!(r#","tcp":{{"tcp_flags":"1f","tcp_flags_ts":"{to}","tcp_flags_tc":"{back}"}}"#)
    };
    for (state, flags, packets, expected, established) in [
        ("closed", tcp("1b", "1b"), [5, 5], ConnState::Sf, true),
        ("closed", tcp("02", "14"), [1, 1], ConnState::Rej, false),
        ("established", tcp("1a", "1a"), [5, 5], ConnState::S1, true),
        ("new", String::new(), [3, 0], ConnState::S0, false),
        ("closed", String::new(), [5, 5], ConnState::Sf, true),
        ("closed", String::new(), [1, 1], ConnState::Rej, false),
    ] {
        let flow = flow_of(state, &flags, packets);
        assert_eq!(
            (flow.state, flow.established()),
            (expected, established),
            "{state} {flags}"
        );
    }
    let flow = flow_of("closed", "", [5, 5]);
    assert_eq!(flow.first, Timestamp(1_622_987_986_457_984_000));
    assert_eq!(flow.duration().as_secs(), 1);
    assert_eq!(
        (flow.service, flow.out.bytes, flow.out.wire_bytes),
        (Service::Http, 600, 600)
    );
    assert_eq!(flow.reported.unwrap().uid.as_deref(), Some("7"));
}

const HEAD: &str = r#""timestamp":"2021-06-06T15:59:46.457984+0200","flow_id":7,"src_ip":"10.0.0.1","src_port":4000,"dest_ip":"10.0.0.2","dest_port":53,"proto":"UDP""#;

#[test]
fn dns_of_all_versions() {
    let event = |dns: &str| format!(r#"{{{HEAD},"event_type":"dns","dns":{dns}}}"#);
    let query = messages(&event(
        r#"{"type":"query","id":2,"rrname":"WWW.google.com","rrtype":"A","tx_id":0}"#,
    ));
    let AppEvent::Dns(dns) = &query[0].event else {
        panic!("{query:?}")
    };
    assert_eq!(
        (dns.name.as_str(), dns.query_type, dns.response),
        ("www.google.com", 1, false)
    );
    let record = r#"{"rrname":"a","rrtype":"A","ttl":60,"rdata":"192.0.2.1"}"#;
    for answer in [
        r#"{"type":"answer","id":2,"rrname":"a","rrtype":"A","rcode":"NOERROR","ttl":60,"rdata":"192.0.2.1"}"#.to_owned(),
        format!(r#"{{"version":2,"type":"answer","id":2,"rrname":"a","rrtype":"A","rcode":"NOERROR","answers":[{record}]}}"#),
        format!(r#"{{"version":3,"type":"response","id":2,"rcode":"NOERROR","queries":[{{"rrname":"a","rrtype":"A"}}],"answers":[{record}]}}"#),
    ] {
        let found = messages(&event(&answer));
        let AppEvent::Dns(dns) = &found[0].event else { panic!("{found:?}") };
        assert!(dns.response && found[0].from_responder);
        assert_eq!((dns.name.as_str(), dns.answers.len(), dns.answers[0].ttl), ("a", 1, 60), "{answer}");
        assert_eq!(dns.answers[0].data, DnsData::Address("192.0.2.1".parse().unwrap()));
    }
    // Written in the direction of the answer.
    let turned = event(r#"{"type":"answer","id":2,"rrname":"a","rrtype":"A","rcode":"NXDOMAIN"}"#)
        .replace(r#""src_port":4000"#, r#""src_port":53"#)
        .replace(r#""dest_port":53"#, r#""dest_port":4000"#);
    let found = messages(&turned);
    assert_eq!(
        (found[0].tuple.originator.port, found[0].tuple.responder.port),
        (4000, 53)
    );
    let AppEvent::Dns(dns) = &found[0].event else {
        panic!("{found:?}")
    };
    assert_eq!(dns.rcode, 3);
}

#[test]
fn the_other_events() {
    let cases = [
        (
            "http",
            r#"{"hostname":"h","url":"/","http_user_agent":"ua","http_method":"GET","status":200,"length":9}"#,
            "HttpRequest HttpResponse",
        ),
        (
            "tls",
            r#"{"subject":"OU=x, CN=www.myedimax.com","issuerdn":"CN=y","fingerprint":"2d:d1:9f","sni":"s","version":"TLS 1.1","notbefore":"2020-03-19T09:44:08","notafter":"2022-03-20T09:44:08","ja3":{"hash":"b7"},"ja3s":{"hash":"ad"}}"#,
            "TlsClient TlsServer Certificate",
        ),
        ("quic", r#"{"version":"1","sni":"s","ja4":"q13"}"#, "TlsClient"),
        ("fileinfo", r#"{"filename":"/","size":47,"sha256":"ff"}"#, "File"),
        (
            "ssh",
            r#"{"client":{"proto_version":"2.0","software_version":"a","hassh":{"hash":"h"}},"server":{"proto_version":"2.0","software_version":"b"}}"#,
            "Ssh SshKeyExchange Ssh",
        ),
        (
            "dhcp",
            r#"{"type":"request","id":1,"client_mac":"08:00:27:7f:09:e1","dhcp_type":"request","requested_ip":"10.0.0.9","hostname":"h"}"#,
            "Dhcp",
        ),
        (
            "smtp",
            r#"{"helo":"x","mail_from":"<a@b>","rcpt_to":["<c@d>"]}"#,
            "Smtp",
        ),
        (
            "ftp",
            r#"{"command":"PASV","reply":["x"],"completion_code":["227"],"dynamic_port":4000,"mode":"passive"}"#,
            "Ftp",
        ),
        (
            "alert",
            r#"{"action":"allowed","signature_id":2403388,"signature":"ET CINS","category":"Misc Attack","severity":2}"#,
            "Notice",
        ),
    ];
    for (kind, member, expected) in cases {
        let found = messages(&format!(r#"{{{HEAD},"event_type":"{kind}","{kind}":{member}}}"#));
        let kinds: Vec<String> = found
            .iter()
            .map(|record| {
                let text = format!("{:?}", record.event);
                text.split(['(', ' ']).next().unwrap_or_default().to_owned()
            })
            .collect();
        assert_eq!(kinds.join(" "), expected);
        if let AppEvent::Certificate(certificate) = &found.last().unwrap().event {
            assert_eq!(certificate.common_name.as_deref(), Some("www.myedimax.com"));
            assert_eq!(certificate.sha1.as_deref(), Some("2dd19f"));
            assert_eq!(certificate.not_before, Some(Timestamp::from_secs(1_584_611_048)));
        }
    }
}

#[test]
fn refusals() {
    assert_eq!(
        read(r#"{"timestamp":"x","event_type":"stats"}"#).err(),
        Some(Reason::NotUsed.into())
    );
    assert_eq!(
        read(&format!(r#"{{{HEAD},"event_type":"tls"}}"#)).err(),
        Some(bad("`tls` is missing"))
    );
    assert!(read("{\"timestamp\":").is_err());
    assert!(read("").unwrap().is_empty());
}

proptest! {
    #[test]
    fn no_line_panics(kind in 0usize..11, member in "\\PC{0,60}", value in any::<i64>()) {
        let kinds = ["flow", "alert", "dns", "http", "tls", "quic", "fileinfo", "ssh", "dhcp", "smtp", "ftp"];
        let kind = kinds[kind];
        let _ = read(&format!(r#"{{{HEAD},"event_type":"{kind}","{kind}":{{"version":{value},"id":{value},"status":{value}}}}}"#));
        let _ = read(&format!(r#"{{{HEAD},"event_type":"{kind}","{kind}":{member}}}"#));
        let _ = read(&member);
    }
}
