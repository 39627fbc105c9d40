//! The built `lynceus analyze` on flow logs of other programs: what it finds, and that names and order do not matter.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A log of the shared collection; `None` (and a word about it) where that is absent.
fn log(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/captures/logs")
        .join(name);
    if !path.exists() {
        println!("skipped: no ../shared");
        return None;
    }
    Some(path)
}

fn analyze(paths: &[&Path], stdin: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus"));
    command.args(["analyze", "--json"]).args(paths);
    if let Some(stdin) = stdin {
        command.stdin(Stdio::from(File::open(stdin).unwrap()));
    }
    command.output().unwrap()
}

/// What a run printed, without the seconds that it took.
fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
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

/// Evidence of a type by an attacker.
fn found(lines: &[Value], kind: &str, attacker: &str) -> usize {
    let is = |line: &&Value| line["type"] == kind && line["attacker"] == attacker;
    lines.iter().filter(is).count()
}

#[test]
fn what_the_publishers_expect_is_found() {
    for (name, kind, attacker) in [
        (
            "slips-scan-horizontal/conn.log",
            "HORIZONTAL_PORT_SCAN",
            "10.0.2.112",
        ),
        (
            "slips-test3-argus/test3-mixed.binetflow",
            "HORIZONTAL_PORT_SCAN",
            "46.166.151.160",
        ),
        (
            "slips-test2-argus/test2-malicious.binetflow",
            "LONG_CONNECTION",
            "10.8.0.69",
        ),
        (
            "slips-test6-suricata/test6-malicious.suricata.json",
            "VERTICAL_PORT_SCAN",
            "193.46.255.92",
        ),
        ("ctu-android-rat", "LONG_CONNECTION", "10.8.0.61"),
    ] {
        let Some(path) = log(name) else { return };
        let output = analyze(&[&path], None);
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let by_name = lines(&output);
        assert!(found(&by_name, kind, attacker) > 0, "{name}: {by_name:#?}");
        if path.is_file() {
            // Standard input has no name: the content tells.
            assert_eq!(
                lines(&analyze(&[Path::new("-")], Some(&path))),
                by_name,
                "{name} from standard input"
            );
        }
    }
}

/// What the application logs of the collection hold, by type, attacker and victim; and what its publishers' own tool
/// takes for exfiltration but is a printer that describes itself.
#[test]
fn messages_of_logs_give_evidence() {
    for (name, wanted) in [
        (
            "slips-test14-zeek",
            &[
                ("BAD_SMTP_LOGIN", "10.1.11.101", "80.75.42.226"),
                ("SMTP_LOGIN_BRUTEFORCE", "10.1.11.101", "80.75.42.226"),
                ("SUSPICIOUS_USER_AGENT", "10.0.2.15", "195.113.232.72"),
                ("EXECUTABLE_MIME_TYPE", "10.0.2.15", "147.32.80.7"),
                ("EMPTY_CONNECTIONS", "10.0.2.15", ""),
            ][..],
        ),
        (
            "slips-test9-zeek",
            &[
                ("INCOMPATIBLE_CN", "10.0.2.15", "123.33.22.11"),
                ("CN_URL_MISMATCH", "10.0.2.15", "123.33.22.11"),
                ("MULTIPLE_SSH_VERSIONS", "192.168.1.247", ""),
            ],
        ),
        (
            "ctu-simda-dga",
            &[("DGA_NXDOMAINS", "fd77:48a1:c0bb:0:b96c:506d:6c7f:e8be", "")],
        ),
        (
            "ctu-ssh-honeypot",
            &[(
                "SSH_SUCCESSFUL",
                "2001:718:2:1663::1ce",
                "2001:718:2:1663:2d1c:6afd:7fc2:31f8",
            )],
        ),
    ] {
        let Some(path) = log(name) else { return };
        let lines = lines(&analyze(&[&path], None));
        for (kind, attacker, victim) in wanted {
            let is = |line: &&Value| {
                line["type"] == *kind
                    && line["attacker"] == *attacker
                    && line["victim"].as_str().unwrap_or_default() == *victim
            };
            assert!(
                lines.iter().any(|line| is(&line)),
                "{name}: no {kind} {attacker} {victim}"
            );
        }
        // Each server of these logs that is Google's, Microsoft's or Twitter's is so.
        let claims = lines
            .iter()
            .filter(|line| line["type"] == "INCOMPATIBLE_CN")
            .count();
        assert!(claims <= 1, "{name}: {claims}");
    }
    let Some(path) = log("slips-test10-zeek") else {
        return;
    };
    let lines = lines(&analyze(&[&path], None));
    assert!(lines.len() > 5 && lines.iter().all(|line| line["type"] != "HIGH_ENTROPY_DNS_ANSWER"));
}

/// One feed file, and the flows, names, URLs and fingerprints of a log that it lists.
#[test]
fn feeds_match() {
    let Some(path) = log("slips-test9-zeek") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let feed = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let own = feed(
        "own.csv",
        "type,value,threat_level,description\n\
         ja3s,e7d705a3286e19ea42f587b344ee6865,high,Standard tor client\n\
         ip,194.132.197.0/24,critical,a network\n\
         domain,msn.com,medium,a parent\n\
         url,http://112.255.161.10/bin.sh,high,a loader\n",
    );
    let output = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(["analyze", "--json", "--feed"])
        .arg(&own)
        .arg(&path)
        .output()
        .unwrap();
    let lines = lines(&output);
    for (kind, profile, level, confidence, subject) in [
        (
            "MALICIOUS_JA3S",
            "123.33.22.11",
            "high",
            1.0,
            "e7d705a3286e19ea42f587b344ee6865",
        ),
        (
            "THREAT_INTELLIGENCE_TO_BLACKLISTED_IP",
            "194.132.197.198",
            "critical",
            1.0,
            "194.132.197.198",
        ),
        (
            "THREAT_INTELLIGENCE_BLACKLISTED_DOMAIN",
            "10.0.2.15",
            "medium",
            0.7,
            "www.msn.com",
        ),
        (
            "THREAT_INTELLIGENCE_MALICIOUS_URL",
            "10.0.2.15",
            "high",
            0.7,
            "http://112.255.161.10/bin.sh",
        ),
    ] {
        let is = |line: &&Value| {
            line["type"] == kind
                && line["profile"] == profile
                && line["threat_level"] == level
                && line["confidence"] == confidence
                && line["subject"] == subject
        };
        assert!(
            lines.iter().any(|line| is(&line)),
            "no {kind} {subject}: {lines:#?}"
        );
    }
}

#[test]
fn every_row_of_every_log_is_read_or_refused_by_name() {
    for (name, rows, refused) in [
        ("slips-test9-zeek", 2_659, 0),
        ("slips-test14-zeek", 533, 0),
        ("slips-test18-labelled/zeek-labeled", 795, 2),
        ("ctu-normal-attacked/data", 6_713, 0),
        ("ctu-simda-dga", 2_976, 0),
        ("ctu-ssh-honeypot", 28, 0),
        ("slips-test6-suricata/test6-malicious.suricata.json", 5_000, 3),
    ] {
        let Some(path) = log(name) else { return };
        let output = Command::new(env!("CARGO_BIN_EXE_lynceus"))
            .arg("analyze")
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let law = text
            .lines()
            .find(|line| line.starts_with("rows of logs:"))
            .unwrap_or_default();
        let digits: String = law.chars().filter(|c| *c != ',').collect();
        let expected = format!(
            "seen {rows} = recorded {} + resident 0 + refused {refused} balanced",
            rows - refused
        );
        assert!(digits.contains(&expected), "{name}: {text}");
        assert!(
            output.stderr.is_empty(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn the_order_of_files_and_their_compression_do_not_matter() {
    let Some(folder) = log("ctu-simda-dga") else {
        return;
    };
    let [conn, dns, http] = ["conn.log", "dns.log", "http.log"].map(|name| folder.join(name));
    let whole = lines(&analyze(&[&folder], None));
    assert_eq!(lines(&analyze(&[&http, &conn, &dns], None)), whole);
    let copy = tempfile::tempdir().unwrap();
    for path in [&conn, &dns] {
        let packed = Command::new("gzip").arg("-c").arg(path).output().unwrap();
        let name = format!("{}.gz", path.file_name().unwrap().to_str().unwrap());
        fs::write(copy.path().join(name), packed.stdout).unwrap();
    }
    fs::copy(&http, copy.path().join("http.log")).unwrap();
    assert_eq!(lines(&analyze(&[copy.path()], None)), whole);
}

#[test]
fn bad_lines_and_cut_files_are_named_and_the_rest_counts() {
    let Some(folder) = log("slips-test10-zeek") else {
        return;
    };
    let output = analyze(&[&folder], None);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("notice.log: line 21: 23 columns, and #fields names 26"),
        "{said}"
    );
    let found = lines(&output);
    assert_eq!(found.last().unwrap()["refused"]["bad_line"], 1);
    assert!(self::found(&found, "HORIZONTAL_PORT_SCAN", "192.0.2.10") > 0);

    let copy = tempfile::tempdir().unwrap();
    let packed = Command::new("gzip")
        .arg("-c")
        .arg(folder.join("conn.log"))
        .output()
        .unwrap()
        .stdout;
    let cut = copy.path().join("conn.log.gz");
    fs::write(&cut, &packed[..packed.len() * 2 / 3]).unwrap();
    let output = analyze(&[&cut], None);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.code() == Some(1) && said.contains("what stood before it counts"),
        "{said}"
    );
    let flows = lines(&output).last().unwrap()["flows"].as_u64().unwrap();
    assert!(flows > 20 && flows < 141, "{flows}");
}

#[test]
fn what_is_no_input_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "hello, world\n").unwrap();
    for (path, what) in [
        (text.as_path(), "neither a capture"),
        (folder.path(), ": no log of Zeek is in it"),
        (Path::new("/nonexistent/conn.log"), "No such file"),
    ] {
        let output = analyze(&[path], None);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(what), "{said}");
        assert!(!said.contains("captures are named"), "{said}");
    }
    fs::write(folder.path().join("day.pcap.gz"), "").unwrap();
    let output = analyze(&[folder.path()], None);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let way = format!("as {}/*.pcap.gz", folder.path().display());
    assert!(said.contains(&way), "{said}");
}

/// The real program reads the binary file; its own CSV on standard input says the same, but for the milliseconds.
#[test]
fn nfdump_files_and_its_csv() {
    let Some(path) = log("slips-test1-nfdump/test1-malicious.nfdump") else {
        return;
    };
    let csv = Command::new("nfdump")
        .args(["-q", "-N", "-o", "csv", "-r"])
        .arg(&path)
        .env("TZ", "UTC")
        .output();
    let Ok(csv) = csv else {
        println!("skipped: needs nfdump");
        return;
    };
    let output = analyze(&[&path], None);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let binary = lines(&output);
    let summary = binary.last().unwrap();
    assert_eq!(summary["packets"], 4_652);
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(&path).unwrap();
    // Packed, and from a pipe, in which case it has no name.
    let packed = folder.path().join("flows.nfdump.zst");
    fs::write(&packed, zstd::encode_all(&bytes[..], 1).unwrap()).unwrap();
    for output in [
        analyze(&[&packed], None),
        analyze(&[Path::new("-")], Some(&path)),
        analyze(&[Path::new("-")], Some(&packed)),
    ] {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let found = lines(&output);
        assert_eq!(found.len(), binary.len());
        assert_eq!(found.last().unwrap()["packets"], 4_652);
    }
    // The program itself calls that a success.
    let cut = folder.path().join("cut.nfdump");
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let output = analyze(&[&cut], None);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cut.nfdump") && said.contains("nfdump: "), "{said}");
    let file = folder.path().join("flows.csv");
    // `-q` leaves out the header, which is what tells the columns.
    let header = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,das,smk,dmk,dtos,dir,nh,nhb,svln,\
                  dvln,ismc,odmc,idmc,osmc,mpls1,mpls2,mpls3,mpls4,mpls5,mpls6,mpls7,mpls8,mpls9,mpls10,cl,sl,al,ra,eng,\
                  exid,tr\n";
    fs::write(&file, [header.as_bytes(), &csv.stdout].concat()).unwrap();
    let printed = lines(&analyze(&[Path::new("-")], Some(&file)));
    assert_eq!(printed.last().unwrap()["packets"], 4_652);
    assert_eq!(printed.last().unwrap()["refused"], summary["refused"]);
}

/// Zeek writes conn.log piece by piece and rotates it; the watch says what `analyze` says of the whole.
#[test]
fn a_growing_directory_is_watched() {
    let Some(whole) = log("slips-scan-horizontal/conn.log") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let conn = folder.path().join("conn.log");
    let text = fs::read_to_string(&whole).unwrap();
    let (header, rows): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('#'));
    let header = header.join("\n");
    let mut watch = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .arg("watch")
        .arg(folder.path())
        .args(["--json", "--for", "10"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It begins when it says so, which takes seconds on a busy machine.
    let mut said = BufReader::new(watch.stderr.take().unwrap());
    let mut began = String::new();
    said.read_line(&mut began).unwrap();
    assert!(began.contains("watching"), "{began}");
    let (first, second) = rows.split_at(rows.len() / 2);
    fs::write(&conn, format!("{header}\n{}\n", first.join("\n"))).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(4));
    fs::rename(&conn, folder.path().join("conn.2026-01-31-00-00-00.log")).unwrap();
    fs::write(&conn, format!("{header}\n{}\n", second.join("\n"))).unwrap();
    let output = watch.wait_with_output().unwrap();
    let said = std::io::read_to_string(said).unwrap();
    assert!(output.status.success(), "{said}");
    let law = said
        .lines()
        .find(|line| line.contains("rows of logs"))
        .unwrap_or_default();
    assert!(
        law.contains("balanced") && law.contains(&format!(" {} ", rows.len())),
        "{said}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        found(&lines, "HORIZONTAL_PORT_SCAN", "10.0.2.112"),
        1,
        "{text} {said}"
    );
}
