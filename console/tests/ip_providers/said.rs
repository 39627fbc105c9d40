//! What outside sources said reaches the reader: as text, as JSON and as columns, with who said it and of when.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::dns::{Dns, Zone};
use super::{run, serve, text};

/// `bad.example` lists 8.8.8.8, `clean.example` does not, `dead.example` fails its own test.
fn lists() -> Dns {
    Dns::start(|name, kind| match (name, kind) {
        ("8.8.8.8.in-addr.arpa", "PTR") => Zone::Ptr(vec!["liar.example".to_owned()]),
        ("liar.example", "A") => Zone::A(vec![[192, 0, 2, 1]]),
        ("2.0.0.127.bad.example" | "2.0.0.127.clean.example" | "8.8.8.8.bad.example", "A") => {
            Zone::A(vec![[127, 0, 0, 4]])
        }
        _ => Zone::Nobody,
    })
}

fn vendors() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    serve(listener, |path| {
        let body = match path.split('/').next().unwrap() {
            "grey" => {
                json!({"ip": "8.8.8.8", "noise": true, "riot": false, "classification": "malicious", "name": "Mirai"})
            }
            "crowd" => {
                json!({"ip": "8.8.8.8", "reputation": "malicious", "behaviors": [{"name": "ssh:bruteforce"}],
                "scores": {"overall": {"total": 4}}})
            }
            "abuse" => {
                json!({"data": {"abuseConfidenceScore": 97, "totalReports": 12, "reports": [{"categories": [18, 22]}]}})
            }
            "void" => json!({"blacklists": {"detections": 1, "engines_count": 2, "engines": {
                "0": {"engine": "Blocklist One", "detected": true}, "1": {"engine": "Blocklist Two", "detected": false}}}}),
            _ => return (429, "{}".to_owned()),
        };
        (200, body.to_string())
    });
    address
}

#[test]
fn what_others_said_is_in_every_form_of_the_dossier() {
    let (dns, vendors) = (lists(), vendors());
    let home = tempfile::tempdir().unwrap();
    let mut config = format!(
        "[network]\ndns_timeout = 10.0\ndns_servers = [\"{}\"]\n[rdap]\nenabled = false\n[ranges]\nenabled = false\n\
         [dnsbl]\nenabled = true\nzones = [\"bad.example\", \"clean.example\", \"dead.example\"]\n",
        dns.address
    );
    for (section, path) in [
        ("greynoise", "grey"),
        ("crowdsec", "crowd"),
        ("abuseipdb", "abuse"),
        ("apivoid", "void"),
        ("virustotal", "virus"),
    ] {
        config += &format!(
            "[{section}]\nenabled = true\napi_key = \"k3y\"\napi_url = \"http://{vendors}/{path}\"\n"
        );
    }
    let file = home.path().join("ip.toml");
    std::fs::write(&file, config).unwrap();
    let file = file.to_str().unwrap();

    let asked = run(home.path(), &["--active", "--config", file, "8.8.8.8"]);
    let said = text(&asked.stdout);
    let lines: Vec<String> = said
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let today = |line: &str| {
        lines.iter().any(|said| {
            said.strip_prefix(line)
                .is_some_and(|rest| rest.trim_start().starts_with("20") || rest.is_empty())
        })
    };
    for line in [
        "reverse DNS liar.example (not confirmed) reverse DNS",
        "what others said",
        "DNS block lists bad.example 127.0.0.4 DNS block lists",
        "not listed in clean.example DNS block lists",
        "lists without answer dead.example does not list its test entry DNS block lists",
        "reputation malicious GreyNoise",
        "known as Mirai GreyNoise",
        "behaviors ssh:bruteforce CrowdSec",
        "abuse score 97 AbuseIPDB",
        "reported for Brute Force, SSH AbuseIPDB",
        "block lists (of vendor) 1 of 2 APIVoid",
        "listed by Blocklist One APIVoid",
    ] {
        assert!(today(line), "{line}\n{said}\n{}", text(&asked.stderr));
    }
    assert!(
        said.contains("2 of 2 sources"),
        "GreyNoise and CrowdSec agree: {said}"
    );
    let failed = lines.iter().find(|line| line.starts_with("VirusTotal unknown"));
    assert!(
        failed.is_some_and(|line| line.contains("asks to come later")),
        "{said}"
    );

    // The same from what is kept, asking nobody.
    let kept = run(home.path(), &["--json", "--config", file, "8.8.8.8"]);
    let dossier: Value = serde_json::from_slice(&kept.stdout).unwrap();
    let fields = &dossier["fields"];
    for (field, value, source) in [
        ("reverse_dns", json!("liar.example"), "reverse_dns"),
        ("reverse_dns_confirmed", json!(false), "reverse_dns"),
        ("dnsbl_listed", json!(["bad.example"]), "dnsbl"),
        ("dnsbl_not_listed", json!(["clean.example"]), "dnsbl"),
        (
            "dnsbl_unknown",
            json!(["dead.example does not list its test entry"]),
            "dnsbl",
        ),
        ("reputation", json!("malicious"), "greynoise"),
        ("actor", json!("Mirai"), "greynoise"),
        ("is_noise", json!(true), "greynoise"),
        ("behaviors", json!(["ssh:bruteforce"]), "crowdsec"),
        ("threat_score", json!(4), "crowdsec"),
        ("abuse_categories", json!(["Brute Force", "SSH"]), "abuseipdb"),
        ("blacklist_detections", json!(1), "apivoid"),
    ] {
        assert_eq!(fields[field]["value"], value, "{field}: {dossier}");
        assert_eq!(fields[field]["sources"][0]["source"], source, "{field}");
        assert!(fields[field]["sources"][0]["as_of"].is_i64(), "{field}");
    }
    assert_eq!(fields["malicious_count"]["value"], Value::Null);
    assert_eq!(fields["malicious_count"]["unknown"][0]["source"], "virustotal");

    let arguments = [
        "--shape",
        "canonical",
        "--format",
        "jsonl",
        "--config",
        file,
        "8.8.8.8",
    ];
    let table = run(home.path(), &arguments);
    let row: Value = serde_json::from_slice(&table.stdout).unwrap();
    assert_eq!(row["dnsbl_listed"], json!(["bad.example"]), "{row}");
    assert_eq!(row["reputation.sources"], json!(["greynoise", "crowdsec"]));
    assert_eq!(
        (&row["actor"], &row["abuse_score"]),
        (&json!("Mirai"), &json!(97))
    );
    assert!(row.get("malicious_count").is_none(), "unknown is absent");
}
