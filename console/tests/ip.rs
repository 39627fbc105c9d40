//! `lynceus ip` and `lynceus about data` as people run them: no network, no home, no collector.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests say what failed and what they skipped"
)]

use std::process::Command;

use serde_json::Value;

fn lynceus(arguments: &[&str]) -> (String, bool) {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lynceus"))
        .args(arguments)
        .env("HOME", home.path())
        .env_remove("XDG_CACHE_HOME")
        // Nobody listens on port 1.
        .env("LYNCEUS_COLLECTOR", "127.0.0.1:1")
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

#[test]
fn one_object_a_line_and_unknown_is_never_no() {
    let (out, ok) = lynceus(&["ip", "--json", "94.31.29.154", "10.0.0.1"]);
    assert!(ok);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    let fields = &lines[0]["fields"];
    assert_eq!(lines[0]["ip"], "94.31.29.154");
    assert_eq!(fields["asn"]["value"], 6461);
    assert_eq!(fields["timezone"]["value"], "Europe/London");
    assert_eq!(fields["registry"]["value"], "ripencc");
    assert_eq!(fields["asn"]["sources"][0]["matched"], "94.31.29.0–94.31.43.255");
    for field in [
        "is_hosting",
        "is_cdn",
        "is_tor",
        "is_search_bot",
        "ports",
        "services",
        "feeds",
    ] {
        assert_eq!(fields[field]["value"], Value::Null, "{field}");
        assert!(
            fields[field]["unknown"][0]["reason"].is_string(),
            "{field}: {fields}"
        );
    }
    assert_eq!(lines[1]["fields"]["category"]["value"], "private");
    assert_eq!(lines[1]["fields"]["country_code"]["value"], Value::Null);
}

#[test]
fn the_text_states_sources_dates_and_doubt() {
    let (out, ok) = lynceus(&["ip", "8.8.8.8"]);
    assert!(ok);
    for word in [
        "US United States",
        "AS15169 Google LLC",
        "8.8.8.0/24",
        "2026-06-17",
        "America/Los_Angeles",
        "± ",
    ] {
        assert!(out.contains(word), "{word:?} is not in\n{out}");
    }
    assert!(out.contains("Tor exit") && out.contains("unknown"), "{out}");
    assert!(!lynceus(&["ip", "not-an-address"]).1);
}

#[test]
fn data_is_named_and_is_what_its_headers_say() {
    let (out, ok) = lynceus(&["about", "data", "--verify"]);
    assert!(ok, "{out}");
    for word in [
        "CC BY 4.0",
        "PDDL 1.0",
        "ODbL",
        "MPL 2.0",
        "IP Geolocation by DB-IP",
        "routeviews.org",
        "2026-06-17",
    ] {
        assert!(out.contains(word), "{word:?} is not in\n{out}");
    }
    let credits = out.matches("IP Geolocation by DB-IP").count();
    assert_eq!(credits, 1, "two tables of one maker, credited once\n{out}");
    let (json, _) = lynceus(&["about", "data", "--json"]);
    assert!(
        json.lines()
            .all(|line| serde_json::from_str::<Value>(line).unwrap()["license"].is_string())
    );
    let notice = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../NOTICE")).unwrap();
    for word in [
        "DB-IP",
        "Route Views",
        "IPtoASN",
        "IEEE",
        "OpenStreetMap",
        "Public Suffix List",
    ] {
        assert!(notice.contains(word), "{word}");
    }
}

#[test]
fn services_that_our_sensors_saw_stand_in_the_dossier_and_peers_in_evidence() {
    let capture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/captures/files/malware-emotet.pcap"
    );
    if !std::path::Path::new(capture).exists() {
        println!("skipped: no ../shared");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    let results = results.to_str().unwrap();
    assert!(lynceus(&["analyze", capture, "--out", results]).1);
    let (out, ok) = lynceus(&["ip", "--json", "--from", results, "193.252.22.84", "8.8.8.8"]);
    assert!(ok);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let fields = &lines[0]["fields"];
    assert_eq!(fields["ports"]["value"], serde_json::json!([587]), "{fields}");
    assert_eq!(fields["services"]["value"], serde_json::json!(["587/tcp smtp"]));
    assert_eq!(fields["services"]["sources"][0]["source"], "sensors");
    assert!(fields["services"]["sources"][0]["as_of"].is_i64());
    assert_eq!(
        lines[1]["fields"]["ports"]["value"],
        Value::Null,
        "never seen is unknown"
    );
    let (evidence, _) = lynceus(&["evidence", "--json", "--from", results]);
    let known = evidence.lines().any(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let peers = line["peers"].as_array().unwrap().clone();
        peers
            .iter()
            .any(|peer| peer["ip"] == "104.161.127.22" && peer["asn"] == 53755 && peer["country"] == "US")
    });
    assert!(known, "{evidence}");
}

#[test]
fn a_list_of_ones_own_is_asked_without_a_collector() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("bad.txt");
    std::fs::write(&list, "8.8.8.0/24\n192.0.2.66\n").unwrap();
    let list = list.to_str().unwrap();
    let (out, ok) = lynceus(&["ip", "--json", "--feed", list, "8.8.8.8", "94.31.29.154"]);
    assert!(ok);
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let feeds = |line: &Value| line["fields"]["feeds"]["value"].clone();
    assert_eq!(feeds(&lines[0]), serde_json::json!(["bad.txt"]));
    assert_eq!(feeds(&lines[1]), serde_json::json!([]), "asked, and not in it");
    let (out, _) = lynceus(&["ip", "--json", "8.8.8.8"]);
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(feeds(&line), Value::Null, "nobody was asked");
    assert!(!lynceus(&["ip", "--feed", "/nowhere/bad.txt", "8.8.8.8"]).1);
}

/// What the README shows of the addresses of Know Your IP's own examples is what the program says today: each of its lines,
/// in their order, but for the clock, what it leaves out, and how wide columns are (which the clock has a part in).
#[test]
fn the_readme_shows_what_the_program_says() {
    if ["/usr/share/GeoIP", "/var/lib/GeoIP", "/usr/share/tor"]
        .iter()
        .any(|folder| std::path::Path::new(folder).exists())
    {
        println!("skipped: databases of this machine join the vote");
        return;
    }
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let shown = readme
        .split("$ lynceus ip 94.31.29.154 204.2.197.211\n")
        .nth(1)
        .unwrap();
    let shown = shown.split("```").next().unwrap();
    let (out, ok) = lynceus(&["ip", "94.31.29.154", "204.2.197.211"]);
    assert!(ok);
    let said = |line: &str| {
        let words = line.split("local time").next().unwrap().split_whitespace();
        words.collect::<Vec<_>>().join(" ")
    };
    let mut rest = out.lines();
    let mut compared = 0;
    for line in shown
        .lines()
        .filter(|line| !line.trim().is_empty() && line.trim() != "…")
    {
        assert!(
            rest.any(|real| said(real) == said(line)),
            "not said, or elsewhere: {line}\n{out}"
        );
        compared += 1;
    }
    assert!(compared > 20, "{shown}");
}
