//! The same scan as each input that `lynceus analyze` reads, from a file and from standard input, which has no name: what is
//! found is the same. And what Zeek's `known_*` logs say of a host.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Hosts that are tried on port 23, one a second, and do not answer.
const HOSTS: u8 = 12;
/// 2024-05-01 10:00:00 UTC.
const BEGIN: u32 = 1_714_557_600;

/// Raw IP packets: a SYN to each host.
fn capture() -> Vec<u8> {
    let mut file = 0xa1b2_c3d4_u32.to_be_bytes().to_vec();
    file.extend([0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 101]);
    for host in 1..=HOSTS {
        for word in [BEGIN + u32::from(host), 0, 40, 40] {
            file.extend(word.to_be_bytes());
        }
        file.extend([
            0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 5, 198, 51, 100, host,
        ]);
        file.extend([156, 64, 0, 23, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 4, 0, 0, 0, 0, 0]);
    }
    file
}

fn rows(head: &str, row: impl Fn(u8) -> String) -> Vec<u8> {
    let mut text = head.to_owned();
    for host in 1..=HOSTS {
        writeln!(text, "{}", row(host)).unwrap();
    }
    text.into_bytes()
}

fn inputs() -> Vec<(&'static str, Vec<u8>)> {
    let zeek = |host: u8| {
        let time = BEGIN + u32::from(host);
        format!(
            r#"{{"ts":{time}.0,"uid":"C{host}","id.orig_h":"10.0.0.5","id.orig_p":40000,"id.resp_h":"198.51.100.{host}","id.resp_p":23,"proto":"tcp","conn_state":"S0","history":"S","orig_pkts":1,"orig_ip_bytes":40,"resp_pkts":0,"resp_ip_bytes":0}}"#
        )
    };
    let tsv = |host: u8| {
        let time = BEGIN + u32::from(host);
        format!("{time}.0\tC{host}\t10.0.0.5\t40000\t198.51.100.{host}\t23\ttcp\tS0\tS\t1\t40\t0\t0")
    };
    let suricata = |host: u8| {
        format!(
            r#"{{"timestamp":"2024-05-01T10:05:{host:02}.000000+0000","event_type":"flow","flow_id":{host},"src_ip":"10.0.0.5","src_port":40000,"dest_ip":"198.51.100.{host}","dest_port":23,"proto":"TCP","flow":{{"pkts_toserver":1,"pkts_toclient":0,"bytes_toserver":54,"bytes_toclient":0,"start":"2024-05-01T10:00:{host:02}.000000+0000","end":"2024-05-01T10:00:{host:02}.000000+0000","state":"new"}},"tcp":{{"tcp_flags_ts":"02","tcp_flags_tc":"00"}}}}"#
        )
    };
    let argus = |host: u8| {
        format!(
            "2024/05/01 10:00:{host:02}.000000,0.0,tcp,10.0.0.5,40000,   ->,198.51.100.{host},23,S_,0,0,1,54,54,1,"
        )
    };
    let nfdump = |host: u8| {
        let time = format!("2024-05-01 10:00:{host:02}");
        format!("{time},{time},0.000,10.0.0.5,198.51.100.{host},40000,23,TCP,......S.,0,0,1,40,0,0")
    };
    vec![
        ("packets.pcap", capture()),
        ("conn.log", rows("", zeek)),
        (
            "tsv.log",
            rows(
                "#separator \\x09\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\thistory\torig_pkts\torig_ip_bytes\tresp_pkts\tresp_ip_bytes\n",
                tsv,
            ),
        ),
        ("eve.json", rows("", suricata)),
        (
            "flows.binetflow",
            rows(
                "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label\n",
                argus,
            ),
        ),
        (
            "nfdump.csv",
            rows(
                "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt\n",
                nfdump,
            ),
        ),
    ]
}

fn lynceus(arguments: &[&str], input: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(arguments)
        .stdin(Stdio::from(File::open(input).unwrap()))
        .output()
        .unwrap()
}

/// What a run printed, without the seconds that it took.
fn lines(output: &Output) -> Vec<Value> {
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let mut lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    lines
        .last_mut()
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("seconds");
    lines
}

#[test]
fn every_input_is_read_from_standard_input_as_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in inputs() {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let named = lines(&lynceus(&["analyze", "--json", path.to_str().unwrap()], &path));
        assert_eq!(
            lines(&lynceus(&["analyze", "--json", "-"], &path)),
            named,
            "{name}"
        );
        let is = |line: &&Value| {
            line["type"] == "HORIZONTAL_PORT_SCAN" && line["profile"] == "10.0.0.5" && line["dst_port"] == 23
        };
        assert_eq!(named.iter().filter(is).count(), 1, "{name}: {named:#?}");
    }
}

#[test]
fn what_zeek_knows_of_hosts_is_in_their_dossiers() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, results) = (folder.path().join("logs"), folder.path().join("results"));
    fs::create_dir(&logs).unwrap();
    fs::write(
        logs.join("known_hosts.log"),
        format!("{{\"ts\":{BEGIN}.0,\"host\":\"10.0.0.9\"}}\n"),
    )
    .unwrap();
    fs::write(
        logs.join("known_services.log"),
        format!(
            "{{\"ts\":{BEGIN}.5,\"host\":\"10.0.0.9\",\"port_num\":8443,\"port_proto\":\"tcp\",\"service\":[\"SSL\"]}}\n"
        ),
    )
    .unwrap();
    let results = results.to_str().unwrap();
    let found = lynceus(
        &["analyze", "-q", "--out", results, logs.to_str().unwrap()],
        &logs.join("known_hosts.log"),
    );
    assert!(
        found.status.success(),
        "{}",
        String::from_utf8_lossy(&found.stderr)
    );
    let dossier = lynceus(
        &["ip", "10.0.0.9", "--from", results],
        &logs.join("known_hosts.log"),
    );
    let text = String::from_utf8_lossy(&dossier.stdout);
    assert!(text.contains("8443/tcp ssl"), "{text}");
}
