//! `lynceus ip` and outside sources, the built program against servers on loopback.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../enrich/tests/support/dns.rs"]
mod dns;
#[path = "ip_providers/said.rs"]
mod said;
#[path = "support/vendor.rs"]
mod vendor;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lynceus_enrich::discipline::{History, Observation};
use lynceus_enrich::provider::Status;
use vendor::serve;

/// Says the same ports of every address, slowly if told; remembers whom it was asked about.
struct Vendor {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    ports: Arc<Mutex<&'static str>>,
}

impl Vendor {
    fn start(delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let vendor = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            ports: Arc::new(Mutex::new("[80]")),
        };
        let (asked, ports) = (Arc::clone(&vendor.asked), Arc::clone(&vendor.ports));
        serve(listener, move |ip| {
            asked.lock().unwrap().push(ip.to_owned());
            std::thread::sleep(delay);
            let ports = *ports.lock().unwrap();
            let body = format!(
                r#"{{"ip":"{ip}","ports":{ports},"cpes":[],"hostnames":["h.example"],"tags":[],"vulns":[]}}"#
            );
            (200, body)
        });
        vendor
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn config(&self, home: &Path, more: &str) {
        let folder = home.join(".config/lynceus");
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "[network]\nreverse_dns = false\n[rdap]\nenabled = false\n[ranges]\nenabled = false\n[internetdb]\nenabled = true\napi_url = \"http://{}\"\n{more}",
            self.address
        );
        std::fs::write(folder.join("ip.toml"), text).unwrap();
    }
}

fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lynceus"));
    command
        .arg("ip")
        .args(arguments)
        .env("HOME", home)
        .stdin(Stdio::null());
    for name in [
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "http_proxy",
        "HTTP_PROXY",
    ] {
        command.env_remove(name);
    }
    command
}

fn run(home: &Path, arguments: &[&str]) -> Output {
    command(home, arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Ports of each address, by `--json`.
fn ports(output: &Output) -> BTreeMap<String, String> {
    let lines = text(&output.stdout);
    let one = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let ip = value["ip"].as_str().unwrap().to_owned();
        (ip, value["fields"]["ports"]["value"].to_string())
    };
    lines.lines().map(one).collect()
}

#[test]
fn nothing_is_sent_without_active_and_who_learns_what_is_said_before() {
    let vendor = Vendor::start(Duration::ZERO);
    let home = tempfile::tempdir().unwrap();
    vendor.config(home.path(), "");
    let passive = run(home.path(), &["--json", "8.8.8.8"]);
    assert!(passive.status.success(), "{}", text(&passive.stderr));
    assert!(vendor.asked().is_empty());
    assert!(
        text(&passive.stdout).contains("needs --active"),
        "{}",
        text(&passive.stdout)
    );
    let limited = run(home.path(), &["--active", "--max-leak", "dns", "8.8.8.8"]);
    assert!(vendor.asked().is_empty());
    assert!(
        text(&limited.stderr).contains("does not ask internetdb"),
        "{}",
        text(&limited.stderr)
    );

    let active = run(home.path(), &["--active", "--json", "8.8.8.8"]);
    let said = text(&active.stderr);
    assert!(
        said.contains("asks internetdb: Shodan learns the address"),
        "{said}"
    );
    assert_eq!(vendor.asked(), ["8.8.8.8"]);
    assert_eq!(ports(&active)["8.8.8.8"], "[80]");
    let log = std::fs::read_to_string(home.path().join(".local/state/lynceus/probes.jsonl")).unwrap();
    assert!(log.contains(r#""about":"8.8.8.8","leak":"vendor""#), "{log}");
    // It is known from now on, without asking.
    assert_eq!(
        ports(&run(home.path(), &["--json", "8.8.8.8"]))["8.8.8.8"],
        "[80]"
    );
    assert_eq!(vendor.asked().len(), 1);
}

#[test]
fn history_looks_back_and_changes_are_told() {
    let vendor = Vendor::start(Duration::ZERO);
    let home = tempfile::tempdir().unwrap();
    vendor.config(home.path(), "");
    run(home.path(), &["--active", "8.8.8.8"]);
    *vendor.ports.lock().unwrap() = "[80,4444]";
    std::thread::sleep(Duration::from_millis(1100));
    let again = run(home.path(), &["--active", "--max-age", "0", "8.8.8.8"]);
    assert!(
        text(&again.stderr).contains(r#"internetdb.ports: ["80"] → ["80","4444"]"#),
        "{}",
        text(&again.stderr)
    );
    let history = text(&run(home.path(), &["--history", "8.8.8.8"]).stdout);
    assert!(
        history.contains("2 observations") && history.contains("internetdb.ports:"),
        "{history}"
    );
    let raw = text(&run(home.path(), &["--history", "--json", "8.8.8.8"]).stdout);
    assert_eq!(raw.lines().count(), 2);
    let before = text(&run(home.path(), &["--as-of", "2020-01-01", "--json", "8.8.8.8"]).stdout);
    assert!(!before.contains("4444"), "{before}");
    let today = text(&run(home.path(), &["--as-of", "2199-01-01", "--json", "8.8.8.8"]).stdout);
    assert!(today.contains("4444"), "{today}");
    assert_eq!(vendor.asked().len(), 2);
}

#[test]
fn changes_are_told_of_a_list_too_and_logged() {
    let vendor = Vendor::start(Duration::ZERO);
    let home = tempfile::tempdir().unwrap();
    vendor.config(home.path(), "");
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("list.csv"), "8.8.8.8\n").unwrap();
    let (list, table, log) = (path("list.csv"), path("table.csv"), path("run.log"));
    let base = [
        "--active",
        "--file",
        &list,
        "--output",
        &table,
        "--log-file",
        &log,
    ];
    let first = run(home.path(), &base);
    assert!(!text(&first.stderr).contains("changed since"), "{first:?}");
    *vendor.ports.lock().unwrap() = "[80,4444]";
    std::thread::sleep(Duration::from_millis(1100));
    let again = text(&run(home.path(), &[&base[..], &["--max-age", "0"]].concat()).stderr);
    let change = r#"8.8.8.8 internetdb.ports: ["80"] → ["80","4444"]"#;
    assert!(
        again.contains("changed since") && again.contains(change),
        "{again}"
    );
    let log = std::fs::read_to_string(log).unwrap();
    assert_eq!(log.matches(change).count(), 1, "{log}");
}

#[test]
fn a_day_of_the_past_knows_nothing_of_today() {
    let home = tempfile::tempdir().unwrap();
    let zmap = home.path().join("scan.csv");
    std::fs::write(&zmap, "saddr,sport,success\n8.8.8.8,53,1\n").unwrap();
    run(home.path(), &["--import-zmap", zmap.to_str().unwrap()]);
    let tidy = ["--shape", "tidy", "--format", "csv", "--no-header", "8.8.8.8"];
    let before = run(home.path(), &[&["--as-of", "2020-01-01"][..], &tidy].concat());
    assert!(before.status.success(), "{}", text(&before.stderr));
    let rows = text(&before.stdout);
    for today in ["15169", "Google", "zmap", "US"] {
        assert!(!rows.contains(today), "{today}: {rows}");
    }
    let said = text(&before.stderr);
    assert!(said.contains("by the history alone"), "{said}");
    let later = text(&run(home.path(), &[&["--as-of", "2199-01-01"][..], &tidy].concat()).stdout);
    assert!(later.contains("zmap") && !later.contains("15169"), "{later}");

    let nothing = text(&run(home.path(), &["--as-of", "2020-01-01", "8.8.8.8"]).stdout);
    assert!(nothing.contains("nothing was known on 2020-01-01"), "{nothing}");
    let dossier = text(&run(home.path(), &["--as-of", "2199-01-01", "8.8.8.8"]).stdout);
    assert!(
        dossier.contains("53") && !dossier.contains("nothing was known"),
        "{dossier}"
    );
}

/// What others said of an address yesterday.
fn judged(home: &Path, ip: &str, score: u32) {
    let folder = home.join(".local/state/lynceus/history");
    let score = serde_json::Value::from(score);
    let kept = Observation {
        ip: ip.parse().unwrap(),
        provider: "abuseipdb".to_owned(),
        settings: String::new(),
        observed: 1_700_000_000,
        status: Status::Found,
        range: None,
        columns: vec![("abuseipdb.abuse_confidence_score".to_owned(), score)],
    };
    History::at(folder).append(&kept).unwrap();
}

#[test]
fn who_is_suspicious_is_asked_about_first() {
    let vendor = Vendor::start(Duration::ZERO);
    let home = tempfile::tempdir().unwrap();
    vendor.config(home.path(), "[quotas.internetdb]\nper_day = 1000\n");
    let feed = home.path().join("feed.txt");
    std::fs::write(&feed, "8.8.8.6\n").unwrap();
    let lists = home.path().join(".cache/lynceus/ranges");
    std::fs::create_dir_all(&lists).unwrap();
    std::fs::write(lists.join("tor4"), "8.8.8.3\n").unwrap();
    judged(home.path(), "8.8.8.5", 90);
    let mut arguments = vec!["--active", "--json", "--max-conn", "1", "--feed"];
    arguments.push(feed.to_str().unwrap());
    arguments.extend(["8.8.8.1", "8.8.8.2", "8.8.8.3", "8.8.8.4", "8.8.8.5", "8.8.8.6"]);
    let done = run(home.path(), &arguments);
    assert!(done.status.success(), "{}", text(&done.stderr));
    // In a feed, judged before, a Tor exit; then the rest as they stand.
    let order = ["8.8.8.6", "8.8.8.5", "8.8.8.3", "8.8.8.1", "8.8.8.2", "8.8.8.4"];
    assert_eq!(vendor.asked(), order);
    assert_eq!(ports(&done).len(), 6);
}

#[test]
fn of_a_list_the_suspicious_among_those_that_wait_is_asked_about_first() {
    let vendor = Vendor::start(Duration::from_millis(200));
    let home = tempfile::tempdir().unwrap();
    vendor.config(home.path(), "[quotas.internetdb]\nper_day = 1000\n");
    let addresses: Vec<String> = (1..=12).map(|last| format!("8.8.8.{last}")).collect();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("list.csv"), addresses.join("\n")).unwrap();
    std::fs::write(path("feed.txt"), "8.8.8.12\n").unwrap();
    let (list, feed) = (path("list.csv"), path("feed.txt"));
    let arguments = ["--active", "--max-conn", "1", "--file", &list, "--feed", &feed];
    let table = ["--output", "-", "--format", "csv", "--no-header"];
    let done = run(home.path(), &[&arguments[..], &table].concat());
    assert!(done.status.success(), "{}", text(&done.stderr));
    let asked = vendor.asked();
    let place = asked.iter().position(|ip| ip == "8.8.8.12").unwrap();
    // The worker begins before the last line is read; how much before is the machine's affair.
    assert!(place < 11, "{asked:?}");
    let rows = text(&done.stdout);
    let rows: Vec<&str> = rows.lines().map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(rows, addresses, "rows keep the order of the list");
}

#[test]
fn answers_are_kept_where_cache_says() {
    let vendor = Vendor::start(Duration::ZERO);
    let home = tempfile::tempdir().unwrap();
    vendor.config(home.path(), "");
    let folder = home.path().join("panel");
    let folder = folder.to_str().unwrap();
    for _ in 0..2 {
        let output = run(home.path(), &["--active", "--cache", folder, "--json", "8.8.8.8"]);
        assert_eq!(ports(&output)["8.8.8.8"], "[80]", "{}", text(&output.stderr));
    }
    assert_eq!(vendor.asked().len(), 1, "the second time nobody is asked");
    assert!(std::fs::read_dir(folder).unwrap().next().is_some());
    assert!(!home.path().join(".local/state/lynceus/history").exists());
    // Without a folder it is Know Your IP's flag for what is always so.
    let usual = run(home.path(), &["--json", "8.8.8.8", "--cache"]);
    assert!(usual.status.success(), "{}", text(&usual.stderr));
    let file = home.path().join("observations.sqlite");
    std::fs::write(&file, "SQLite").unwrap();
    let refused = run(home.path(), &["8.8.8.8", "--cache", file.to_str().unwrap()]);
    assert!(!refused.status.success() && text(&refused.stderr).contains("--cache"));
}

#[test]
fn a_killed_run_is_resumed_and_asks_nobody_twice() {
    let vendor = Vendor::start(Duration::from_millis(150));
    let home = tempfile::tempdir().unwrap();
    vendor.config(home.path(), "[quotas.internetdb]\nper_day = 1000\n");
    let addresses: Vec<String> = (1..=40).map(|last| format!("8.8.8.{last}")).collect();
    let mut arguments = vec!["--active", "--json", "--max-conn", "2", "--manifest"];
    let manifest = home.path().join("manifest.json");
    arguments.push(manifest.to_str().unwrap());
    arguments.extend(addresses.iter().map(String::as_str));
    let mut child = command(home.path(), &arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while vendor.asked().len() < 12 {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = vendor.asked().len();
    assert!(before < 40 && !manifest.exists());

    let resumed = run(home.path(), &arguments);
    assert_eq!(ports(&resumed).len(), 40, "{}", text(&resumed.stderr));
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for ip in vendor.asked() {
        *counts.entry(ip).or_default() += 1;
    }
    assert_eq!(counts.len(), 40);
    // Only what was under way when it died, and the answers that had just come, are asked for again.
    let twice = counts.values().filter(|count| **count > 1).count();
    assert!(twice <= 4, "{twice} of {before} were asked again");
    let done: serde_json::Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    assert_eq!(
        (done["unique"].as_u64(), done["skipped"].as_u64()),
        (Some(40), Some(0))
    );
    assert!(done["from_cache"].as_u64().unwrap() >= 8, "{done}");
}

#[test]
fn scans_of_ones_own_join_the_dossier() {
    let home = tempfile::tempdir().unwrap();
    let zmap = home.path().join("scan.csv");
    std::fs::write(&zmap, "saddr,sport,success\n8.8.8.8,53,1\n8.8.8.8,853,1\n").unwrap();
    let imported = run(home.path(), &["--import-zmap", zmap.to_str().unwrap()]);
    assert!(
        text(&imported.stderr).contains("2 open ports"),
        "{}",
        text(&imported.stderr)
    );
    assert_eq!(
        ports(&run(home.path(), &["--json", "8.8.8.8"]))["8.8.8.8"],
        "[53,853]"
    );
}

#[test]
fn providers_are_listed_with_what_they_learn() {
    let home = tempfile::tempdir().unwrap();
    let listed = text(&run(home.path(), &["--list-providers"]).stdout);
    for words in [
        "virustotal",
        "freemium",
        "500/day",
        "no packet",
        "see your address",
    ] {
        assert!(listed.contains(words), "{words}: {listed}");
    }
    let unknown = run(home.path(), &["--providers", "virustotl", "8.8.8.8"]);
    assert!(!unknown.status.success() && text(&unknown.stderr).contains("is no provider"));
    let without = run(home.path(), &["--download-db"]);
    assert!(
        text(&without.stderr).contains("--active"),
        "{}",
        text(&without.stderr)
    );
}

#[test]
fn the_database_is_asked_for_as_in_know_your_ip() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("ip.toml");
    let database = home.path().join("db");
    let text_of_config = format!("[maxmind]\napi_url = \"http://{address}\"\ndb_path = {database:?}\n");
    std::fs::write(&config, text_of_config).unwrap();
    let config = config.to_str().unwrap();
    let passive = run(
        home.path(),
        &["download-db", "--config", config, "--account-id", "12"],
    );
    assert!(!passive.status.success());
    assert!(
        text(&passive.stderr).contains("--active"),
        "{}",
        text(&passive.stderr)
    );
    let vendor = std::thread::spawn(move || {
        let mut reader = BufReader::new(listener.accept().unwrap().0);
        let mut asked = String::new();
        while reader.read_line(&mut asked).is_ok_and(|bytes| bytes > 2) {}
        let answer = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).unwrap();
        asked
    });
    let mut asking = command(
        home.path(),
        &[
            "download-db",
            "--active",
            "--config",
            config,
            "--account-id",
            "12",
        ],
    );
    let refused = asking.env("MAXMIND_LICENSE_KEY", "key").output().unwrap();
    assert!(!refused.status.success());
    // Who waits in vain for a question goes on.
    drop(std::net::TcpStream::connect(address));
    let asked = vendor.join().unwrap().to_lowercase();
    // Basic of `12:key`.
    assert!(asked.contains("authorization: basic mti6a2v5"), "{asked}");
    assert!(
        asked.starts_with("get /geolite2-city/download?suffix=tar.gz"),
        "{asked}"
    );
}
