//! Each provider against a local server that answers as the vendor documents: an answer, not found, a refused key, a limit,
//! a failure, nonsense, a body without end.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/dns.rs"]
mod dns;
#[path = "support/server.rs"]
mod server;
mod providers {
    pub(crate) mod cases;
    mod names;
}

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lynceus_enrich::provider::{Columns, Fault, Provider, Question, Reply, Secret, Settings, registry};
use lynceus_enrich::wire::{ProbeLog, Wire};
use providers::cases::cases;
use serde_json::{Value, json};
use server::{Asked, Http, Says, says};

const IP: &str = "8.8.4.4";

fn ip() -> IpAddr {
    IP.parse().unwrap()
}

fn wire(settings: &Settings) -> Arc<Wire> {
    Arc::new(Wire::new(settings, ProbeLog::counting(), None))
}

fn provider(settings: &Settings, wire: &Arc<Wire>, cache: &Path, name: &str) -> Box<dyn Provider> {
    let all = registry(settings, wire, cache);
    all.into_iter()
        .find(|provider| provider.info().name == name)
        .unwrap()
}

fn ask(settings: &Settings, name: &str) -> Result<Reply, Fault> {
    let folder = tempfile::tempdir().unwrap();
    let question = Question {
        ip: ip(),
        position: Some((37.5, -122.0)),
    };
    provider(settings, &wire(settings), folder.path(), name).ask(&question)
}

/// Settings of all HTTP vendors with this base.
fn settings(url: &str) -> Settings {
    let mut settings = Settings::default();
    let key = || Secret::new("k3y");
    for keyed in [
        &mut settings.virustotal,
        &mut settings.shodan,
        &mut settings.apivoid,
        &mut settings.greynoise,
        &mut settings.crowdsec,
    ] {
        (keyed.api_key, keyed.api_url) = (key(), url.to_owned());
    }
    settings.internetdb.api_url = url.to_owned();
    (settings.abuseipdb.api_key, settings.abuseipdb.api_url) = (key(), url.to_owned());
    (settings.censys.api_key, settings.censys.api_url) = (key(), url.to_owned());
    settings.censys.organization_id = "org 1".to_owned();
    (settings.geonames.username, settings.geonames.api_url) = (Secret::new("me"), url.to_owned());
    settings.rdap.api_url = url.to_owned();
    settings
}

fn columns(reply: Result<Reply, Fault>) -> Columns {
    match reply.unwrap() {
        Reply::Found { columns, .. } => columns,
        Reply::NotFound => panic!("not found"),
    }
}

#[test]
fn an_answer_is_decoded_field_by_field_and_asked_for_as_documented() {
    for case in cases() {
        let body = case.body.to_string();
        let server = Http::start(move |_| says(200, body.clone()));
        let found = columns(ask(&settings(&server.url()), case.name));
        let found: serde_json::Map<String, Value> = found.into_iter().collect();
        assert_eq!(Value::Object(found), case.columns, "{}", case.name);
        let asked = server.asked();
        assert_eq!(asked.len(), 1, "{}", case.name);
        assert_eq!(
            (asked[0].method.as_str(), asked[0].target.as_str()),
            (case.method, case.target)
        );
        if let Some((name, value)) = case.header {
            assert_eq!(asked[0].header(name), Some(value), "{}", case.name);
        }
        if case.name == "apivoid" {
            assert_eq!(asked[0].body, r#"{"ip":"8.8.4.4"}"#);
        }
        if case.name == "censys" {
            assert_eq!(
                asked[0].header("accept"),
                Some("application/vnd.censys.api.v3.host.v1+json")
            );
        }
    }
}

#[test]
fn what_is_no_answer_is_told_apart() {
    type Is = fn(&Result<Reply, Fault>) -> bool;
    let ways: [(&str, Says, Is); 10] = [
        (
            "not found",
            says(404, r#"{"detail":"No information available"}"#),
            |reply| *reply == Ok(Reply::NotFound),
        ),
        ("401", says(401, "{}"), |reply| {
            matches!(reply, Err(Fault::Denied(_)))
        }),
        ("403", says(403, "{}"), |reply| {
            matches!(reply, Err(Fault::Denied(_)))
        }),
        (
            "429",
            says(429, "{}").with("retry-after", "17"),
            |reply| matches!(reply, Err(Fault::Limited(_, Some(wait))) if *wait == Duration::from_secs(17)),
        ),
        (
            "429 for hours",
            says(429, "{}").with("retry-after", "86400"),
            |reply| matches!(reply, Err(Fault::Limited(_, Some(wait))) if *wait == Duration::from_secs(300)),
        ),
        ("500", says(500, "oops"), |reply| {
            matches!(reply, Err(Fault::Server(_, None)))
        }),
        (
            "503",
            says(503, "").with("retry-after", "2"),
            |reply| matches!(reply, Err(Fault::Server(_, Some(wait))) if *wait == Duration::from_secs(2)),
        ),
        ("nonsense", says(200, "<html>"), |reply| {
            matches!(reply, Err(Fault::Malformed(_)))
        }),
        ("another document", says(200, "{}"), |reply| {
            matches!(reply, Err(Fault::Malformed(_)))
        }),
        (
            "a huge body",
            says(200, vec![b' '; 5 << 20]),
            |reply| matches!(reply, Err(Fault::Malformed(text)) if text.contains("longer than")),
        ),
    ];
    for (what, said, is) in ways {
        let server = Http::start(move |_| said.clone());
        for case in cases() {
            // Shodan's document has no field that must be there.
            if (what, case.name) == ("another document", "shodan") {
                continue;
            }
            let reply = ask(&settings(&server.url()), case.name);
            assert!(is(&reply), "{}: {what}: {reply:?}", case.name);
        }
    }
    // Nobody listens.
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for case in cases() {
        let reply = ask(&settings(&format!("http://{closed}")), case.name);
        assert!(
            matches!(reply, Err(Fault::Unreachable(_))),
            "{}: {reply:?}",
            case.name
        );
    }
}

#[test]
fn errors_inside_a_200_are_errors() {
    for (name, body, expected) in [
        (
            "geonames",
            r#"{"status":{"message":"the hourly limit of 1000 credits","value":19}}"#,
            "limited",
        ),
        (
            "geonames",
            r#"{"status":{"message":"user does not exist","value":10}}"#,
            "denied",
        ),
        ("apivoid", r#"{"error":"API key is not valid"}"#, "denied"),
        ("apivoid", r#"{"error":"Rate limit exceeded"}"#, "limited"),
    ] {
        let server = Http::start(move |_| says(200, body));
        let reply = ask(&settings(&server.url()), name);
        let kind = match reply {
            Err(Fault::Denied(_)) => "denied",
            Err(Fault::Limited(..)) => "limited",
            _ => "other",
        };
        assert_eq!(kind, expected, "{name}: {body}: {reply:?}");
    }
}

#[test]
fn greynoise_says_in_a_404_that_it_did_not_see_the_address() {
    let server = Http::start(|_| {
        says(
            404,
            json!({"ip": IP, "noise": false, "riot": false, "message": "IP not observed"}).to_string(),
        )
    });
    let found = columns(ask(&settings(&server.url()), "greynoise"));
    assert_eq!(found[0], ("greynoise.noise".to_owned(), json!(false)));
    assert!(found[2].1.as_str().unwrap().starts_with("not seen scanning"));
}

#[test]
fn keys_go_over_tls_to_the_right_server_and_to_nobody_else() {
    let body = cases().remove(0).body.to_string();
    let server = Http::start_tls(move |_| says(200, body.clone()));
    let settings = settings(&server.url());
    let folder = tempfile::tempdir().unwrap();
    let trusting = Arc::new(Wire::new(&settings, ProbeLog::counting(), Some(server.roots())));
    let virustotal = provider(&settings, &trusting, folder.path(), "virustotal");
    assert!(virustotal.ask(&Question::about(ip())).is_ok());
    // The public authorities do not vouch for it.
    let asked = server.asked().len();
    assert!(matches!(ask(&settings, "virustotal"), Err(Fault::Unreachable(_))));
    assert_eq!(server.asked().len(), asked, "the key was not sent");
    // A redirect of a vendor with a key is not followed.
    let other = Http::start(|_| says(200, "{}"));
    let to = other.url();
    let redirecting = Http::start(move |_| says(302, "").with("location", &to));
    assert!(matches!(
        ask(&crate::settings(&redirecting.url()), "virustotal"),
        Err(Fault::Malformed(_))
    ));
    assert!(other.asked().is_empty());
}

#[test]
fn rdap_finds_its_registry_follows_redirects_and_answers_for_the_network() {
    let body = cases().pop().unwrap().body.to_string();
    let second = Http::start(move |_| says(200, body.clone()));
    let to = format!("{}/ip/8.8.4.4", second.url());
    let first = Http::start(move |_| says(301, "").with("location", &to));
    let base = first.url();
    let bootstrap = Http::start(move |asked| {
        assert_eq!(asked.target, "/ipv4.json");
        says(
            200,
            json!({"version": "1.0", "services": [[["8.0.0.0/8"], [base.clone() + "/"]]]}).to_string(),
        )
    });
    let mut settings = Settings::default();
    settings.rdap.bootstrap_url = bootstrap.url();
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let rdap = provider(&settings, &wire(&settings), folder.path(), "rdap");
        let Reply::Found { range, .. } = rdap.ask(&Question::about(ip())).unwrap() else {
            panic!("not found");
        };
        let range = range.unwrap();
        assert_eq!(
            (range.first.to_string(), range.last.to_string()),
            ("8.8.4.0".to_owned(), "8.8.4.255".to_owned())
        );
    }
    assert_eq!(bootstrap.asked().len(), 1, "the bootstrap is kept");
    assert_eq!(second.asked()[0].target, "/ip/8.8.4.4");
}

#[test]
fn ranges_say_yes_no_and_unknown() {
    let handle = |asked: &Asked| match asked.target.as_str() {
        "/aws" => says(
            200,
            r#"{"prefixes":[{"ip_prefix":"8.8.4.0/24"}],"ipv6_prefixes":[{"ipv6_prefix":"2600:1f00::/24"}]}"#,
        ),
        "/gcp" | "/oracle" => says(200, r#"{"prefixes":[{"ipv4Prefix":"34.0.0.0/8"}]}"#),
        "/tor4" => says(200, "9.9.9.9\n"),
        "/cloudflare6" => says(200, "2606:4700::/32\n"),
        "/googlebot" => says(200, "<html>a captive portal</html>"),
        _ => says(500, ""),
    };
    let server = Http::start(handle);
    let mut settings = Settings::default();
    settings.ranges.api_url = server.url();
    let folder = tempfile::tempdir().unwrap();
    let ranges = provider(&settings, &wire(&settings), folder.path(), "ranges");
    let of = |ip: &str| -> serde_json::Map<String, Value> {
        columns(ranges.ask(&Question::about(ip.parse().unwrap())))
            .into_iter()
            .collect()
    };
    let cloud = of(IP);
    assert_eq!(cloud["ranges.is_cloud"], json!(true));
    assert_eq!(cloud["ranges.hosting_provider"], json!("Amazon Web Services"));
    assert_eq!(cloud["ranges.is_tor_exit"], json!(false));
    for unknown in ["ranges.is_cdn", "ranges.is_search_bot", "ranges.is_ai_bot"] {
        assert!(
            !cloud.contains_key(unknown),
            "{unknown}: no list says yes, and nobody could say no"
        );
    }
    let exit = of("9.9.9.9");
    assert_eq!(exit["ranges.is_tor_exit"], json!(true));
    assert!(
        !exit.contains_key("ranges.is_cloud"),
        "in none of three lists of clouds is no word on the others"
    );
    let nowhere = Question::about("2001:db9::1".parse().unwrap());
    assert!(matches!(ranges.ask(&nowhere), Ok(Reply::NotFound)));
    assert_eq!(
        of("2606:4700::1")["ranges.is_cdn"],
        json!(true),
        "Cloudflare's IPv6 list is read"
    );
    assert!(
        !of("2606:4700::1").contains_key("ranges.is_tor_exit"),
        "no list of Tor's has IPv6"
    );
    let asked = server.asked().len();
    assert_eq!(asked, 11, "each list once, not once an address");

    // The copies answer without network, and stay when the publisher fails.
    settings.ranges.api_url = "http://127.0.0.1:1".to_owned();
    let offline = provider(&settings, &wire(&settings), folder.path(), "ranges");
    let again = columns(offline.ask(&Question::about(ip())));
    assert!(again.contains(&("ranges.is_cloud".to_owned(), json!(true))));
    // Without any list nothing is known.
    let nothing = tempfile::tempdir().unwrap();
    let unknown = provider(&settings, &wire(&settings), nothing.path(), "ranges");
    assert!(matches!(
        unknown.ask(&Question::about(ip())),
        Err(Fault::Unreachable(_))
    ));
}

#[test]
fn a_database_is_downloaded_checked_and_read() {
    use lynceus_enrich::provider::maxmind::download;
    let database = include_bytes!("data/GeoLite2-City.mmdb");
    let pack = |name: &str, content: &[u8]| {
        let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
            Vec::new(),
            flate2::Compression::fast(),
        ));
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content).unwrap();
        archive.into_inner().unwrap().finish().unwrap()
    };
    let good = pack("GeoLite2-City_20260101/GeoLite2-City.mmdb", database);
    let bad = pack("GeoLite2-City_20260101/GeoLite2-City.mmdb", b"not a database");
    let store = Http::start(move |asked| {
        assert_eq!(
            asked.header("authorization"),
            None,
            "the store does not learn the license key"
        );
        says(
            200,
            if asked.target == "/good" {
                good.clone()
            } else {
                bad.clone()
            },
        )
    });
    let to = store.url();
    let vendor = Http::start(move |asked| {
        if asked.header("authorization") != Some("Basic MTI6a2V5") {
            return says(401, "");
        }
        let path = if asked.target.starts_with("/GeoLite2-City/download?suffix=tar.gz") {
            "good"
        } else {
            "bad"
        };
        says(302, "").with("location", &format!("{to}/{path}"))
    });
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.maxmind.api_url = vendor.url();
    settings.maxmind.db_path = folder.path().to_owned();
    let wire = wire(&settings);
    let missing = download(&wire, &settings.maxmind, "GeoLite2-City", folder.path());
    assert!(matches!(missing, Err(Fault::Unconfigured(_))));
    settings.maxmind.account_id = Secret::new("12");
    settings.maxmind.license_key = Secret::new("wrong");
    let denied = download(&wire, &settings.maxmind, "GeoLite2-City", folder.path());
    assert!(matches!(denied, Err(Fault::Denied(_))));
    settings.maxmind.license_key = Secret::new("key");
    let path = download(&wire, &settings.maxmind, "GeoLite2-City", folder.path()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), database);
    let damaged = download(&wire, &settings.maxmind, "GeoLite2-ASN", folder.path());
    assert!(matches!(damaged, Err(Fault::Malformed(_))), "{damaged:?}");

    let maxmind = provider(&settings, &wire, folder.path(), "maxmind");
    let found = maxmind.ask(&Question::about(ip())).unwrap();
    let Reply::Found { columns, range } = found else {
        panic!("not found");
    };
    let columns: serde_json::Map<String, Value> = columns.into_iter().collect();
    assert_eq!(columns["maxmind.country.iso_code"], json!("US"));
    assert_eq!(columns["maxmind.city.names.en"], json!("Mountain View"));
    assert_eq!(columns["maxmind.subdivisions.0.names.en"], json!("California"));
    assert_eq!(range.unwrap().first.to_string(), "8.8.4.0");
    assert_eq!(
        maxmind.ask(&Question::about("9.9.9.9".parse().unwrap())),
        Ok(Reply::NotFound)
    );
}
