//! `lynceus analyze --export` of flows, messages, labels and letters; our own reader must understand what was written.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn analyze(input: &Path, exports: &[String], out: Option<&Path>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus"));
    command.args(["analyze", "-q", "--json"]).arg(input);
    for export in exports {
        command.args(["--export", export]);
    }
    if let Some(out) = out {
        command.arg("--out").arg(out);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn export(name: &str, path: &Path) -> String {
    format!("{name}:{}", path.display())
}

/// A refused flow, a name with its answers, a page, a handshake with its certificate, a login, a scan of one port.
fn input(folder: &Path) {
    let mut conn = String::from(
        "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\t\
         duration\torig_bytes\tresp_bytes\tconn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\tvlan\tlabel\n",
    );
    let hosts = "10.0.0.7\t41000\t198.51.100.9";
    conn += &format!(
        "1700000000.000001\tC1\t{hosts}\t443\ttcp\tssl\t1.500000\t-\t-\tSF\tShAaFf\t9\t900\t8\t4000\t12\tBenign\n"
    );
    conn += &format!(
        "1700000001.250000\tC2\t{hosts}\t80\ttcp\thttp\t0.250000\t-\t-\tSF\tShAaFf\t5\t500\t4\t2000\t-\t-\n"
    );
    conn += "1700000002.000000\tC3\t10.0.0.7\t5353\t10.0.0.1\t53\tudp\tdns\t0.010000\t-\t-\tSF\t-\t1\t60\t1\t120\t-\t-\n";
    conn += "1700000003.000000\tC4\t10.0.0.7\t8\t10.0.0.1\t0\ticmp\t-\t0.100000\t-\t-\tSF\t-\t2\t168\t2\t168\t-\t-\n";
    for host in 1..=120 {
        conn += &format!(
            "17000000{:02}.000000\tS{host}\t10.0.0.66\t40000\t10.9.0.{host}\t445\ttcp\t-\t0.000000\t-\t-\tS0\tS\t1\t60\t0\t0\t-\t-\n",
            10 + host / 2
        );
    }
    fs::write(folder.join("conn.log"), conn).unwrap();
    let messages = [
        (
            "dns.log",
            r#"{"ts":1700000002.0,"uid":"C3","id.orig_h":"10.0.0.7","id.orig_p":5353,"id.resp_h":"10.0.0.1","id.resp_p":53,"proto":"udp","trans_id":7,"rtt":0.01,"query":"a.example.org","qtype":1,"rcode":0,"answers":["b.example.org","198.51.100.9"],"TTLs":[60.0,30.0]}"#,
        ),
        (
            "http.log",
            r#"{"ts":1700000001.3,"uid":"C2","id.orig_h":"10.0.0.7","id.orig_p":41000,"id.resp_h":"198.51.100.9","id.resp_p":80,"trans_depth":1,"method":"GET","host":"b.example.org","uri":"/a,b\tc","user_agent":"curl/8","request_body_len":0,"response_body_len":12,"status_code":200,"resp_mime_types":["text/html"]}"#,
        ),
        (
            "ssl.log",
            r#"{"ts":1700000000.1,"uid":"C1","id.orig_h":"10.0.0.7","id.orig_p":41000,"id.resp_h":"198.51.100.9","id.resp_p":443,"version":"TLSv12","cipher":"x","server_name":"b.example.org","next_protocol":"h2","subject":"CN=b.example.org,O=X\\, Y","issuer":"CN=Z","ja3":"e7d705a3286e19ea42f587b344ee6865"}"#,
        ),
        (
            "ssh.log",
            r#"{"ts":1700000004.0,"uid":"C5","id.orig_h":"10.0.0.7","id.orig_p":41001,"id.resp_h":"10.0.0.9","id.resp_p":22,"auth_success":false,"auth_attempts":3,"client":"SSH-2.0-OpenSSH_9","server":"SSH-2.0-x"}"#,
        ),
        (
            "weird.log",
            r#"{"ts":1700000005.0,"uid":"C6","id.orig_h":"10.0.0.7","id.orig_p":41002,"id.resp_h":"10.0.0.9","id.resp_p":25,"name":"odd_thing","addl":"-"}"#,
        ),
    ];
    for (name, line) in messages {
        fs::write(folder.join(name), format!("{line}\n")).unwrap();
    }
}

/// Every line that an analysis prints, as the schema of its kind says; evidence, an alert and the summary are among them.
#[test]
fn lines_of_an_analysis_follow_their_schemas() {
    let folder = tempfile::tempdir().unwrap();
    input(folder.path());
    let output = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        // Short windows have a low threshold: the scan becomes an alert.
        .args(["analyze", "-q", "--json", "--window", "1m"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let schemas = ["evidence", "alert", "summary"].map(|kind| {
        let path = format!("{}/../docs/schema/{kind}.json", env!("CARGO_MANIFEST_DIR"));
        let schema: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        (kind, jsonschema::validator_for(&schema).unwrap())
    });
    let mut seen = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (kind, schema) = schemas
            .iter()
            .find(|(kind, _)| line["kind"] == *kind)
            .unwrap_or_else(|| panic!("{line}"));
        let errors: Vec<String> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{line}: {errors:?}");
        *seen.entry(*kind).or_insert(0) += 1;
    }
    assert_eq!(seen.len(), schemas.len(), "{seen:?}");
}

fn logs(folder: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files
        .map(|path| (name(&path), fs::read_to_string(&path).unwrap()))
        .collect()
}

/// TSV, read back and written as JSON, read back and written as TSV: nothing is lost and nothing comes to it.
#[test]
fn logs_of_zeek_come_back_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let [first, tsv, json, again] = ["in", "tsv", "json", "again"].map(|name| folder.path().join(name));
    fs::create_dir(&first).unwrap();
    input(&first);
    analyze(&first, &[export("zeek", &tsv)], None);
    analyze(&tsv, &[export("zeek-json", &json)], None);
    analyze(&json, &[export("zeek", &again)], None);
    let (written, back) = (logs(&tsv), logs(&again));
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "conn.log",
            "dns.log",
            "http.log",
            "ssh.log",
            "ssl.log",
            "weird.log"
        ]
    );
    assert_eq!(written, back);
    assert!(
        written["conn.log"].contains("\t10.0.0.7\t8\t10.0.0.1\t0\ticmp\t"),
        "ICMP has type and code"
    );
    assert!(written["dns.log"].contains("\tb.example.org,198.51.100.9\t60.000000,30.000000\t"));
    assert!(
        written["http.log"].contains("\t/a,b\\x09c\t"),
        "{}",
        written["http.log"]
    );
    // The same flow has the same identifier in all logs.
    let uid = |log: &str, of: &str| {
        let line = written[log]
            .lines()
            .find(|line| !line.starts_with('#') && line.contains(of));
        line.unwrap().split('\t').nth(1).unwrap().to_owned()
    };
    assert_eq!(uid("conn.log", "\t443\ttcp"), uid("ssl.log", "b.example.org"));
}

/// The other logs, each with one row: what is written is read back, and written the same once more.
#[test]
fn every_other_log_comes_back_as_it_was_written() {
    let flow = |uid: &str, port: u16, server: u16| {
        format!(
            r#""ts":1700000010.5,"uid":"{uid}","id.orig_h":"10.0.0.7","id.orig_p":{port},"id.resp_h":"198.51.100.9","id.resp_p":{server}"#
        )
    };
    let free = r#""ts":1700000011.0"#.to_owned();
    let rows = [
        (
            "quic",
            flow("Q1", 42001, 443),
            r#""proto":"udp","server_name":"q.example","client_protocol":"h3""#,
        ),
        (
            "ssl",
            flow("X1", 42002, 443),
            r#""version":"TLSv12","server_name":"x.example","cert_chain_fps":["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],"subject":"CN=x.example","issuer":"CN=ca.example""#,
        ),
        (
            "x509",
            free.clone(),
            r#""fingerprint":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","certificate.subject":"CN=x.example","certificate.issuer":"CN=ca.example","certificate.not_valid_before":1690000000.0,"certificate.not_valid_after":1790000000.0,"san.dns":["x.example","y.example"]"#,
        ),
        (
            "dhcp",
            free.clone(),
            r#""client_addr":"10.0.0.7","server_addr":"10.0.0.1","mac":"08:00:27:7f:09:e1","host_name":"box","requested_addr":"10.0.0.7","assigned_addr":"10.0.0.7","msg_types":["ACK"]"#,
        ),
        (
            "ftp",
            flow("F1", 42003, 21),
            r#""user":"u","command":"PASV","reply_code":227,"reply_msg":"go","data_channel.resp_h":"198.51.100.9","data_channel.resp_p":4000"#,
        ),
        (
            "smtp",
            flow("M1", 42004, 25),
            r#""helo":"box","mailfrom":"a@example.org","rcptto":["b@example.org"],"last_reply":"554 5.7.1 no","tls":false"#,
        ),
        (
            "files",
            flow("H1", 42005, 80),
            r#""fuid":"F","source":"HTTP","mime_type":"application/x-dosexec","filename":"a.exe","is_orig":false,"total_bytes":4096,"md5":"d41d8cd98f00b204e9800998ecf8427e","sha1":"da39a3ee5e6b4b0d3255bfef95601890afd80709""#,
        ),
        (
            "tunnel",
            flow("T1", 0, 0),
            r#""tunnel_type":"Tunnel::GRE","action":"Tunnel::DISCOVER""#,
        ),
        (
            "notice",
            flow("N1", 42006, 22),
            r#""proto":"tcp","note":"Scan::Port_Scan","msg":"many ports","sub":"local","src":"10.0.0.7","dst":"198.51.100.9","p":22"#,
        ),
        (
            "software",
            free.clone(),
            r#""host":"10.0.0.7","software_type":"SSH::CLIENT","name":"OpenSSH","unparsed_version":"OpenSSH_9.6""#,
        ),
        ("known_hosts", free.clone(), r#""host":"10.0.0.7""#),
        (
            "known_services",
            free.clone(),
            r#""host":"10.0.0.7","port_num":8443,"port_proto":"tcp","service":["SSL"]"#,
        ),
        (
            "login",
            flow("L1", 42007, 23),
            r#""service":"telnet","user":"root","success":"F""#,
        ),
        (
            "arp",
            free,
            r#""operation":"reply","src_mac":"50:5b:c2:db:c3:17","dst_mac":"ff:ff:ff:ff:ff:ff","orig_h":"10.0.0.7","resp_h":"10.0.0.1","orig_hw":"50:5b:c2:db:c3:17","resp_hw":"00:11:22:33:44:55""#,
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let [first, tsv, json, again] = ["in", "tsv", "json", "again"].map(|name| folder.path().join(name));
    fs::create_dir(&first).unwrap();
    for (name, begin, rest) in &rows {
        fs::write(first.join(format!("{name}.log")), format!("{{{begin},{rest}}}\n")).unwrap();
    }
    analyze(&first, &[export("zeek", &tsv)], None);
    analyze(&tsv, &[export("zeek-json", &json)], None);
    analyze(&json, &[export("zeek", &again)], None);
    let (written, back) = (logs(&tsv), logs(&again));
    for (name, ..) in &rows {
        let log = format!("{name}.log");
        let text = written
            .get(&log)
            .unwrap_or_else(|| panic!("no {log}: {:?}", written.keys()));
        assert_eq!(
            text.lines().filter(|line| !line.starts_with('#')).count(),
            1,
            "{text}"
        );
        assert_eq!(Some(text), back.get(&log), "{log}");
    }
    // What the rows said is in what was written.
    for (log, said) in [
        ("quic", "q.example\th3"),
        ("x509", "x.example,y.example"),
        ("dhcp", "08:00:27:7f:09:e1\tbox\t-\t10.0.0.7\tACK"),
        ("ftp", "\tu\tPASV\t"),
        ("smtp", "a@example.org\tb@example.org\t554 5.7.1 no\tF"),
        ("files", "application/x-dosexec\ta.exe\tF\t"),
        ("tunnel", "Tunnel::GRE\tTunnel::DISCOVER"),
        (
            "notice",
            "Scan::Port_Scan\tmany ports\tlocal\t10.0.0.7\t198.51.100.9\t22",
        ),
        ("software", "OpenSSH\tOpenSSH_9.6"),
        ("known_hosts", "\t10.0.0.7"),
        ("known_services", "\t10.0.0.7\t8443\ttcp\tssl"),
        ("login", "telnet\troot\tF"),
        (
            "arp",
            "reply\t50:5b:c2:db:c3:17\tff:ff:ff:ff:ff:ff\t10.0.0.7\t10.0.0.1",
        ),
    ] {
        let text = &written[&format!("{log}.log")];
        assert!(text.contains(said), "{text}");
    }
}

/// Flows of a capture, written as conn.log and read back, are the flows of the capture.
#[test]
fn flows_of_captures_survive_conn_log() {
    for name in [
        "web-tls-browsing",
        "scan-vertical",
        "mixed-flow-records",
        "ipv6-http",
    ] {
        let capture = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../shared/captures/files")
            .join(format!("{name}.pcap"));
        if !capture.exists() {
            println!("skipped: no ../shared");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [zeek, direct, back] = ["zeek", "direct", "back"].map(|name| folder.path().join(name));
        analyze(&capture, &[export("zeek", &zeek)], Some(&direct));
        analyze(&zeek, &[], Some(&back));
        let (direct, back) = (flows(&direct), flows(&back));
        assert!(!direct.is_empty());
        assert_eq!(direct, back, "{name}");
    }
}

/// By both ends, in one order: state, and packets and bytes of both sides.
fn flows(folder: &Path) -> BTreeMap<String, (String, [u64; 4])> {
    let text = fs::read_to_string(folder.join("flows.jsonl")).unwrap();
    let mut flows: BTreeMap<String, (String, [u64; 4])> = BTreeMap::new();
    for line in text.lines() {
        let flow: Value = serde_json::from_str(line).unwrap();
        let end = |ip: &str, port: &str| format!("{} {}", flow[ip], flow[port]);
        let (mut from, mut to) = (end("src_ip", "src_port"), end("dst_ip", "dst_port"));
        let number = |key: &str| flow[key].as_u64().unwrap();
        let mut sums = ["packets_out", "bytes_out", "packets_in", "bytes_in"].map(number);
        // conn.log has the client first, whoever was seen first.
        if from > to {
            std::mem::swap(&mut from, &mut to);
            sums = [sums[2], sums[3], sums[0], sums[1]];
        }
        // A log has microseconds.
        let first = (flow["first"].as_f64().unwrap() * 1e6).floor() as u64;
        let entry = flows
            .entry(format!("{from} {to} {} {first}", flow["proto"]))
            .or_default();
        entry.0 = flow["state"].to_string();
        for (sum, more) in entry.1.iter_mut().zip(sums) {
            *sum += more;
        }
    }
    flows
}

#[test]
fn flows_are_labelled_by_what_was_found_and_letters_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let [first, labelled, json, letters] =
        ["in", "labelled.log", "labelled.json", "letters.tsv"].map(|name| folder.path().join(name));
    fs::create_dir(&first).unwrap();
    input(&first);
    let found = analyze(
        &first,
        &[
            export("labelled", &labelled),
            export("labelled-json", &json),
            export("letters", &letters),
        ],
        None,
    );
    assert!(found.contains("HORIZONTAL_PORT_SCAN"), "{found}");
    let rows: Vec<Value> = fs::read_to_string(&json)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.len(), 124);
    let scanned = rows.iter().filter(|row| row["id.resp_p"] == 445);
    let mut count = 0;
    for row in scanned {
        count += 1;
        assert!(
            row["detailedlabel"]
                .as_str()
                .unwrap()
                .contains("HORIZONTAL_PORT_SCAN"),
            "{row}"
        );
    }
    assert_eq!(count, 120, "also those beyond the 64 that the evidence names");
    let tls = rows.iter().find(|row| row["id.resp_p"] == 443).unwrap();
    assert_eq!(
        (&tls["label"], &tls["truth"]),
        (&"benign".into(), &"Benign".into())
    );
    let tsv = fs::read_to_string(&labelled).unwrap();
    assert!(tsv.lines().nth(5).unwrap().ends_with("\tlabel\tdetailedlabel"));
    assert_eq!(tsv.lines().filter(|line| !line.starts_with('#')).count(), 124);
    assert!(!folder.path().join("labelled.log.unlabelled").exists());

    let letters = fs::read_to_string(&letters).unwrap();
    let tuple = letters
        .lines()
        .find(|line| line.contains("\tout\t198.51.100.9\t443\ttcp\t6\t1\t"));
    assert!(tuple.is_some(), "{letters}");
}
