use std::io::{Cursor, Write as _};
use std::path::Path;

use lynceus_model::app::{AppEvent, AppRecord, DnsData};
use lynceus_model::flow::{ConnState, FlowUpdate, Service};
use lynceus_model::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::source::input::{Input, Place};
use crate::source::log::{Log, LogCounts, LogSource};
use crate::source::{Event, Source, Status};

fn log(name: &str, bytes: impl Into<Vec<u8>>) -> Log {
    let input = Input::new(Cursor::new(bytes.into())).unwrap();
    Log {
        places: [Place::Open(name.to_owned(), Box::new(input))].into(),
        parser: Box::new(Zeek::new(Kind::of_name(Path::new(name)))),
    }
}

struct ReadAll {
    events: Vec<Event>,
    faults: Vec<String>,
    counts: LogCounts,
    origin: Option<Timestamp>,
}

fn read(logs: Vec<Log>) -> ReadAll {
    let mut source = LogSource::new(logs);
    let (mut events, mut faults) = (Vec::new(), Vec::new());
    loop {
        match source.next(&mut events) {
            Ok(Status::Ended) => break,
            Ok(_) => {}
            Err(error) => faults.push(error.to_string()),
        }
    }
    ReadAll {
        events,
        faults,
        counts: source.counts(),
        origin: source.origin(),
    }
}

fn flows(events: &[Event]) -> Vec<&FlowUpdate> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Flow(update) => Some(&**update),
            Event::App(_) => None,
        })
        .collect()
}

fn apps(events: &[Event]) -> Vec<&AppRecord> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::App(record) => Some(&**record),
            Event::Flow(_) => None,
        })
        .collect()
}

const CONN_HEADER: &str = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n\
    #fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\torig_bytes\tresp_bytes\t\
    conn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\ttunnel_parents";
const ROW: &str = "100.5\tC1\t10.0.0.1\t40000\t10.0.0.2\t443\ttcp\tssl\t2.25\t100\t200\tSF\tShADadfF\t5\t473\t6\t1281\t(empty)";

fn tsv(rows: &[&str]) -> String {
    format!("{CONN_HEADER}\n{}\n#close\t2026\n", rows.join("\n"))
}

#[test]
fn a_flow_in_tsv_and_in_json_is_the_same_flow() {
    let json = r#"{"ts":100.5,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":443,
        "proto":"tcp","service":"ssl","duration":2.25,"orig_bytes":100,"resp_bytes":200,"conn_state":"SF",
        "history":"ShADadfF","orig_pkts":5,"orig_ip_bytes":473,"resp_pkts":6,"resp_ip_bytes":1281}"#;
    let json = json.replace('\n', "");
    let nested = json.replace(
        r#""id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":443"#,
        r#""id":{"orig_h":"10.0.0.1","orig_p":40000,"resp_h":"10.0.0.2","resp_p":443}"#,
    );
    let one = read(vec![log("conn.log", tsv(&[ROW]))]);
    let other = read(vec![log("conn.log", json.clone())]);
    // Neither name nor #path: the columns tell.
    let third = read(vec![log("standard input", nested)]);
    assert!(
        one.faults.is_empty() && other.faults.is_empty() && third.faults.is_empty(),
        "{:?}",
        third.faults
    );
    assert_eq!(one.events, other.events);
    assert_eq!(one.events, third.events);
    let found = flows(&one.events);
    let flow = &found[0].flow;
    assert_eq!(
        (flow.first, flow.last),
        (Timestamp(100_500_000_000), Timestamp(102_750_000_000))
    );
    assert_eq!(
        (flow.out.packets, flow.out.bytes, flow.back.bytes),
        (5, 473, 1281)
    );
    assert_eq!(
        (flow.state, flow.service, flow.established()),
        (ConnState::Sf, Service::Tls, true)
    );
    assert_eq!(
        (flow.out.tcp_flags, flow.back.tcp_flags),
        (1 | 2 | 16, 1 | 2 | 16)
    );
    assert_eq!(flow.reported.as_ref().unwrap().uid.as_deref(), Some("C1"));
    assert_eq!(one.origin, Some(Timestamp(100_500_000_000)));
}

#[test]
fn bad_lines_are_named_and_nothing_else_is_lost() {
    let short = "101.0\tC2\t10.0.0.1";
    let no_time = ROW.replace("100.5", "yesterday");
    let no_state = ROW.replace("\tSF\t", "\tXX\t");
    let huge = ROW.replace("\t473\t", "\t18446744073709551615\t");
    let rows = [
        ROW,
        short,
        no_time.as_str(),
        ROW,
        no_state.as_str(),
        huge.as_str(),
    ];
    let found = read(vec![log("conn.log", tsv(&rows))]);
    assert_eq!(
        found.faults,
        [
            "conn.log: line 8: 3 columns, and #fields names 18",
            "conn.log: line 9: `ts` is `yesterday`, not a time",
            "conn.log: line 11: `conn_state` is `XX`, not a state of Zeek",
            "conn.log: line 12: a counter is larger than 281474976710656",
        ]
    );
    assert_eq!(flows(&found.events).len(), 2);
    assert_eq!(found.counts.rows, 6);
    assert_eq!(
        found.counts.refused_by_reason().collect::<Vec<_>>(),
        [("bad_line", 4)]
    );
    let many = read(vec![log("conn.log", tsv(&[short; 100]))]);
    assert_eq!(many.faults.len(), 6);
    assert_eq!(many.faults[5], "conn.log: 95 more lines cannot be read");
}

#[test]
fn a_cut_gzip_gives_what_was_readable() {
    let rows: Vec<String> = (0..20_000)
        .map(|n: u32| ROW.replace("40000", &(n.wrapping_mul(7919) % 65_536).to_string()))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tsv(&rows).as_bytes()).unwrap();
    let mut bytes = encoder.finish().unwrap();
    bytes.truncate(bytes.len() / 2);
    let found = read(vec![log("conn.log.gz", bytes)]);
    assert!(
        found.events.len() > 5000 && found.events.len() < 20_000,
        "{}",
        found.events.len()
    );
    assert_eq!(found.faults.len(), 1);
    assert!(
        found.faults[0].contains("what stood before it counts"),
        "{:?}",
        found.faults
    );
}

#[test]
fn labels_in_columns_of_their_own_and_glued_by_spaces() {
    let own = tsv(&[&format!("{ROW}\tMalicious\tC&C")])
        .replace("tunnel_parents", "tunnel_parents\tlabel\tdetailedlabel");
    let glued = tsv(&[&format!("{ROW}   Malicious   C&C")])
        .replace("tunnel_parents", "tunnel_parents   label   detailed-label");
    for text in [own, glued] {
        let found = read(vec![log("conn.log.labeled", text)]);
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        let flows = flows(&found.events);
        let log = flows[0].flow.reported.as_ref().unwrap();
        assert_eq!(
            (log.label.as_deref(), log.detailed_label.as_deref()),
            (Some("Malicious"), Some("C&C"))
        );
    }
}

#[test]
fn icmp_states_and_services() {
    let row = |from: &str, to: &str| ROW.replace(from, to);
    let rows = [
        row("40000\t10.0.0.2\t443\ttcp\tssl", "8\t10.0.0.2\t0\ticmp\t-"),
        row("\tssl\t", "\tquic,ssl\t"),
        row("\tssl\t", "\t-\t"),
        row("ShADad", "^hADad"),
        row("\tSF\t", "\tRSTR\t"),
        row("\tssl\t", "\t-\t").replace("ShADad", "ShADgad"),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let found = read(vec![log("conn.log", tsv(&rows))]);
    let flows = flows(&found.events);
    assert_eq!(
        (flows[0].flow.icmp, flows[0].flow.tuple.responder.port),
        (Some((8, 0)), 0)
    );
    assert_eq!(flows[1].flow.service, Service::Quic);
    assert_eq!(flows[2].flow.service, Service::Unrecognized);
    assert_eq!(
        flows[5].flow.service,
        Service::Unseen,
        "bytes are missing, so nobody knows"
    );
    assert!(flows[3].flow.reported.as_ref().unwrap().flipped);
    assert!(
        flows[4].flow.established(),
        "eleven packets are more than three tries"
    );
}

#[test]
fn logs_are_merged_by_time_whatever_their_order() {
    let late = ROW
        .replace("100.5", "50")
        .replace("C1", "C0")
        .replace("2.25", "100");
    let conn = tsv(&[ROW, &late]);
    let dns = r#"{"ts":99.0,"uid":"C9","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"10.0.0.9","id.resp_p":53,"proto":"udp","trans_id":7,"rtt":0.5,"query":"WWW.Example.com","qtype":1,"rcode":0,"answers":["alias.example.com","192.0.2.1","TXT 3 a b"],"TTLs":[15.0,42.0,1.0]}"#;
    let one = read(vec![log("conn.log", conn.clone()), log("dns.log", dns)]);
    let other = read(vec![log("dns.log", dns), log("conn.log", conn)]);
    assert_eq!(one.events, other.events);
    // Query, answer, the flow that ended first, the one that began first.
    let times: Vec<i64> = one
        .events
        .iter()
        .map(|event| match event {
            Event::Flow(update) => update.flow.last.0 / 1_000_000,
            Event::App(record) => record.time.0 / 1_000_000,
        })
        .collect();
    assert_eq!(times, [99_000, 99_500, 102_750, 150_000]);
    assert_eq!(one.origin, Some(Timestamp::from_secs(50)));
    assert_eq!(one.counts.late, 0);
    let apps = apps(&one.events);
    let AppEvent::Dns(answer) = &apps[1].event else {
        panic!("{apps:?}")
    };
    assert!(answer.response && apps[1].from_responder);
    assert_eq!(answer.name, "www.example.com");
    let data: Vec<_> = answer
        .answers
        .iter()
        .map(|answer| (answer.record_type, answer.ttl, answer.data.clone()))
        .collect();
    assert_eq!(
        data,
        [
            (5, 15, DnsData::Name("alias.example.com".into())),
            (1, 42, DnsData::Address("192.0.2.1".parse().unwrap())),
            (16, 1, DnsData::Text("a b".into())),
        ]
    );
}

#[test]
fn rows_beyond_the_look_ahead_are_counted() {
    let mut rows: Vec<String> = (0..9000)
        .map(|n| ROW.replace("100.5", &format!("{}", 1000 + n)))
        .collect();
    rows.push(ROW.to_owned());
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let found = read(vec![log("conn.log", tsv(&rows))]);
    assert_eq!(found.counts.late, 1);
    assert_eq!(found.events.len(), 9001);
}

#[test]
fn a_certificate_is_put_together_from_three_logs() {
    let ssl = r#"{"ts":10.0,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"192.0.2.7","id.resp_p":443,"version":"TLSv12","cipher":"X","server_name":"a.example","next_protocol":"h2","ja3":"aa","ja3s":"bb","established":true,"cert_chain_fuids":["F1","F2"],"subject":"CN=a.example,O=A","issuer":"CN=CA","validation_status":"self signed certificate"}"#;
    let x509 = r#"{"ts":10.1,"id":"F1","certificate.subject":"CN=a.example,O=A","certificate.issuer":"CN=CA","certificate.not_valid_before":1.0,"certificate.not_valid_after":2.0,"san.dns":["A.example","b.example"]}"#;
    let files = r#"{"ts":10.1,"fuid":"F1","tx_hosts":["192.0.2.7"],"rx_hosts":["10.0.0.1"],"conn_uids":["C1"],"source":"SSL","mime_type":"application/x-x509-user-cert","is_orig":false,"sha1":"c0ffee"}"#;
    let found = read(vec![
        log("files.log", files),
        log("ssl.log", ssl),
        log("x509.log", x509),
    ]);
    assert!(found.faults.is_empty(), "{:?}", found.faults);
    let apps = apps(&found.events);
    let certificate = apps
        .iter()
        .find_map(|record| match &record.event {
            AppEvent::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .unwrap();
    assert_eq!(certificate.common_name.as_deref(), Some("a.example"));
    assert_eq!(certificate.names, ["a.example", "b.example"]);
    assert_eq!(certificate.sha1.as_deref(), Some("c0ffee"));
    assert_eq!(certificate.self_signed, Some(true));
    assert_eq!(certificate.not_after, Some(Timestamp::from_secs(2)));
    let file = apps
        .iter()
        .find(|record| matches!(record.event, AppEvent::File(_)))
        .unwrap();
    assert_eq!(
        (
            file.tuple.originator.port,
            file.tuple.responder.port,
            file.from_responder
        ),
        (5000, 443, true)
    );
    let client = apps
        .iter()
        .find_map(|record| match &record.event {
            AppEvent::TlsClient(client) => Some(client),
            _ => None,
        })
        .unwrap();
    assert_eq!(
        (client.server_name.as_deref(), client.ja3.as_str()),
        (Some("a.example"), "aa")
    );
}

#[test]
fn sessions_and_findings() {
    let flow = r#""ts":10.0,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":5000,"id.resp_h":"192.0.2.7","id.resp_p":22"#;
    let row = |name: &str, rest: &str| log(name, format!("{{{flow},{rest}}}"));
    let free = |name: &str, rest: &str| log(name, format!("{{\"ts\":10.0,{rest}}}"));
    let cases = [
        (
            row(
                "http.log",
                r#""trans_depth":1,"method":"GET","host":"h","uri":"/x","user_agent":"ua","status_code":200,"response_body_len":9,"resp_mime_types":["text/plain"]"#,
            ),
            "HttpRequest HttpResponse",
        ),
        (
            row(
                "ssh.log",
                r#""client":"SSH-2.0-a","server":"SSH-2.0-b","auth_success":false,"auth_attempts":3"#,
            ),
            "Ssh Ssh SshLogin",
        ),
        (
            free(
                "dhcp.log",
                r#""client_addr":"10.0.0.1","server_addr":"10.0.0.2","mac":"08:00:27:7f:09:e1","requested_addr":"10.0.0.1","msg_types":["REQUEST","ACK","NONSENSE"]"#,
            ),
            "Dhcp Dhcp",
        ),
        (
            row(
                "ftp.log",
                r#""user":"u","command":"PASV","reply_code":227,"data_channel.resp_h":"192.0.2.7","data_channel.resp_p":4000"#,
            ),
            "Ftp",
        ),
        (
            row(
                "smtp.log",
                r#""helo":"x","rcptto":["a@b"],"last_reply":"554 5.7.1 bad smtp-auth user","tls":false"#,
            ),
            "Smtp",
        ),
        (
            row(
                "login.log",
                r#""service":"telnet","user":"root","success":"failed""#,
            ),
            "Login",
        ),
        (
            row(
                "tunnel.log",
                r#""tunnel_type":"Tunnel::GRE","action":"Tunnel::DISCOVER""#,
            ),
            "Tunnel",
        ),
        (
            free(
                "notice.log",
                r#""note":"Scan::Port_Scan","msg":"m","src":"10.0.0.1","p":23,"proto":"tcp""#,
            ),
            "Notice",
        ),
        (
            row("weird.log", r#""name":"unknown_HTTP_method","addl":"XX""#),
            "Weird",
        ),
        (
            free(
                "software.log",
                r#""host":"10.0.0.1","software_type":"SSH::CLIENT","name":"OpenSSH","version.major":8,"version.minor":1"#,
            ),
            "Software",
        ),
        (free("known_hosts.log", r#""host":"10.0.0.1""#), "Software"),
        (
            free(
                "known_services.log",
                r#""host":"10.0.0.1","port_num":443,"port_proto":"tcp","service":["SSL","HTTP"]"#,
            ),
            "Software Software",
        ),
        (
            free(
                "arp.log",
                r#""operation":"reply","src_mac":"50:5b:c2:db:c3:17","dst_mac":"ff:ff:ff:ff:ff:ff","orig_h":"10.0.0.1","resp_h":"10.0.0.2","orig_hw":"50:50:50:50:50:50","resp_hw":"ff:ff:ff:ff:ff:ff""#,
            ),
            "Arp",
        ),
        (
            row("quic.log", r#""server_name":"q.example","client_protocol":"h3""#),
            "TlsClient",
        ),
    ];
    for (log, expected) in cases {
        let found = read(vec![log]);
        assert!(found.faults.is_empty(), "{expected}: {:?}", found.faults);
        let kinds: Vec<String> = apps(&found.events)
            .iter()
            .map(|record| {
                let text = format!("{:?}", record.event);
                text.split(['(', ' ']).next().unwrap_or_default().to_owned()
            })
            .collect();
        assert_eq!(kinds.join(" "), expected);
        assert_eq!(apps(&found.events)[0].tuple.originator.ip.to_string(), "10.0.0.1");
    }
    let about_zeek = read(vec![log(
        "notice.log",
        r#"{"ts":1.0,"note":"CaptureLoss::Too_Little_Traffic","msg":"m"}"#,
    )]);
    assert_eq!(
        about_zeek.counts.refused_by_reason().collect::<Vec<_>>(),
        [("no_address", 1)]
    );
    assert!(about_zeek.faults.is_empty() && about_zeek.events.is_empty());
}

proptest! {
    #[test]
    fn no_line_panics(lines in prop::collection::vec("\\PC{0,80}", 0..20), kind in 0usize..19) {
        let names = ["conn", "dns", "http", "ssl", "quic", "x509", "files", "ssh", "dhcp", "ftp", "smtp", "login", "tunnel", "notice", "weird", "software", "arp", "known_hosts", "known_services"];
        let text = format!("#fields\tts\tuid\tid.orig_h\n{}", lines.join("\n"));
        let found = read(vec![log(&format!("{}.log", names[kind]), text)]);
        prop_assert!(found.counts.rows <= 20);
    }

    /// Every row is read or refused, whatever stands in its columns.
    #[test]
    fn rows_of_any_values(values in prop::collection::vec("[-.0-9a-zA-Z:,\\\\]{0,12}", 18)) {
        let row = values.iter().map(|value| if value.is_empty() { "-" } else { value.as_str() }).collect::<Vec<_>>().join("\t");
        let found = read(vec![log("conn.log", tsv(&[&row]))]);
        let refused: u64 = found.counts.refused_by_reason().map(|(_, count)| count).sum();
        prop_assert_eq!(found.counts.rows, refused + flows(&found.events).len() as u64);
    }
}
