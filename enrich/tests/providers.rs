//! Each provider against a local server that answers as the vendor documents: an answer, not found, a refused key, a limit,
//! a failure, nonsense, a body without end.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/server.rs"]
mod server;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lynceus_enrich::provider::{Columns, Fault, Provider, Question, Reply, Secret, Settings, registry};
use lynceus_enrich::wire::{ProbeLog, Wire};
use serde_json::{Value, json};
use server::{Asked, Dns, Http, Says, Zone, says};

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

struct Case {
    name: &'static str,
    body: Value,
    method: &'static str,
    target: &'static str,
    header: Option<(&'static str, &'static str)>,
    columns: Value,
}

/// Bodies in the form of each vendor's documentation.
fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "virustotal",
            body: json!({"data": {"id": IP, "type": "ip_address", "attributes": {
                "last_analysis_stats": {"harmless": 60, "malicious": 2, "suspicious": 1, "undetected": 30, "timeout": 0},
                "asn": 15169, "as_owner": "GOOGLE", "country": "US", "continent": "NA", "network": "8.8.4.0/24",
                "regional_internet_registry": "ARIN", "reputation": 500, "jarm": "29d", "whois_date": 1,
                "last_analysis_date": 1700000000, "total_votes": {"harmless": 9, "malicious": 3}, "tags": ["dns"]}}}),
            method: "GET",
            target: "/ip_addresses/8.8.4.4",
            header: Some(("x-apikey", "k3y")),
            columns: json!({"virustotal.harmless": 60, "virustotal.malicious": 2, "virustotal.suspicious": 1,
                "virustotal.undetected": 30, "virustotal.timeout": 0, "virustotal.asn": 15169,
                "virustotal.as_owner": "GOOGLE", "virustotal.country": "US", "virustotal.continent": "NA",
                "virustotal.network": "8.8.4.0/24", "virustotal.rir": "ARIN", "virustotal.reputation": 500,
                "virustotal.jarm": "29d", "virustotal.last_analysis_date": 1700000000, "virustotal.whois_date": 1,
                "virustotal.votes_harmless": 9, "virustotal.votes_malicious": 3, "virustotal.tags": ["dns"]}),
        },
        Case {
            name: "abuseipdb",
            body: json!({"data": {"ipAddress": IP, "isPublic": true, "isWhitelisted": null, "abuseConfidenceScore": 7,
                "countryCode": "US", "usageType": "Data Center", "isp": "Google LLC", "domain": "google.com",
                "isTor": false, "totalReports": 2, "numDistinctUsers": 1, "lastReportedAt": "2026-01-02T03:04:05+00:00",
                "reports": [{"categories": [18, 22]}, {"categories": [22, 99]}]}}),
            method: "GET",
            target: "/check?ipAddress=8.8.4.4&maxAgeInDays=180&verbose",
            header: Some(("key", "k3y")),
            columns: json!({"abuseipdb.abuse_confidence_score": 7, "abuseipdb.country_code": "US",
                "abuseipdb.usage_type": "Data Center", "abuseipdb.isp": "Google LLC", "abuseipdb.domain": "google.com",
                "abuseipdb.is_public": true, "abuseipdb.is_tor": false, "abuseipdb.total_reports": 2,
                "abuseipdb.num_distinct_users": 1, "abuseipdb.last_reported_at": "2026-01-02T03:04:05+00:00",
                "abuseipdb.categories": ["Brute Force", "SSH", "99"]}),
        },
        Case {
            name: "shodan",
            body: json!({"ip_str": IP, "ports": [53, 443], "asn": "AS15169", "isp": "Google", "os": null,
                "location_x": {"city": "X"}, "vulns": {"CVE-2020-1": {"cvss": 5}}, "hostnames": ["dns.google"],
                "data": [{"port": 443, "transport": "tcp", "product": "sffe", "version": "1"}, {"port": 53, "transport": "udp"}]}),
            method: "GET",
            target: "/shodan/host/8.8.4.4?key=k3y",
            header: None,
            columns: json!({"shodan.asn": "AS15169", "shodan.hostnames": ["dns.google"], "shodan.ip_str": IP,
                "shodan.isp": "Google", "shodan.location_x_city": "X", "shodan.ports": ["53", "443"],
                "shodan.vulns": ["CVE-2020-1"], "shodan.services": ["443/tcp sffe 1", "53/udp"]}),
        },
        Case {
            name: "internetdb",
            body: json!({"ip": IP, "ports": [53, 443], "cpes": [], "hostnames": ["dns.google"], "tags": ["cdn"], "vulns": []}),
            method: "GET",
            target: "/8.8.4.4",
            header: None,
            columns: json!({"internetdb.ports": ["53", "443"], "internetdb.cpes": [], "internetdb.hostnames": ["dns.google"],
                "internetdb.tags": ["cdn"], "internetdb.vulns": []}),
        },
        Case {
            name: "censys",
            body: json!({"result": {"resource": {"ip": IP,
                "autonomous_system": {"asn": 15169, "name": "GOOGLE", "description": "GOOGLE", "country_code": "US", "bgp_prefix": "8.8.4.0/24"},
                "location": {"country": "United States", "country_code": "US", "continent": "North America", "city": "MV", "province": "California",
                    "postal_code": "94043", "timezone": "America/Los_Angeles", "coordinates": {"latitude": 37.4, "longitude": -122.1}},
                "whois": {"network": {"handle": "GOGL", "name": "Google", "cidrs": ["8.8.4.0/24"], "allocation_type": "ALLOCATION",
                    "created": "2014-03-14", "updated": "2014-03-14"},
                    "organization": {"name": "Google LLC", "country": "US", "abuse_contacts": [{"email": "abuse@example.net"}]}},
                "dns": {"names": ["a", "b"]}, "service_count": 2,
                "services": [{"port": 443, "protocol": "HTTP", "transport_protocol": "tcp", "scan_time": "2026-01-02T00:00:00Z"},
                    {"port": 53, "protocol": "DNS", "transport_protocol": "udp", "scan_time": "2026-01-01T00:00:00Z"}]}}}),
            method: "GET",
            target: "/v3/global/asset/host/8.8.4.4?organization_id=org%201",
            header: Some(("authorization", "Bearer k3y")),
            columns: json!({"censys.ip": IP, "censys.asn": 15169, "censys.as_name": "GOOGLE", "censys.as_description": "GOOGLE",
                "censys.as_country_code": "US", "censys.bgp_prefix": "8.8.4.0/24", "censys.country": "United States",
                "censys.country_code": "US", "censys.continent": "North America", "censys.city": "MV",
                "censys.province": "California", "censys.postal_code": "94043", "censys.timezone": "America/Los_Angeles",
                "censys.latitude": 37.4, "censys.longitude": -122.1, "censys.whois_handle": "GOGL", "censys.whois_name": "Google",
                "censys.whois_allocation_type": "ALLOCATION", "censys.whois_created": "2014-03-14",
                "censys.whois_updated": "2014-03-14", "censys.whois_org_name": "Google LLC", "censys.whois_org_country": "US",
                "censys.whois_cidrs": ["8.8.4.0/24"], "censys.whois_abuse_email": "abuse@example.net", "censys.dns_name_count": 2,
                "censys.service_count": 2, "censys.ports": ["53", "443"], "censys.transport_protocols": ["tcp", "udp"],
                "censys.services": ["HTTP", "DNS"], "censys.last_scan_time": "2026-01-02T00:00:00Z"}),
        },
        Case {
            name: "apivoid",
            body: json!({"ip": IP, "blacklists": {"detections": 1, "detection_rate": "1%", "engines": {"0": {"engine": "X", "detected": true}}},
                "information": {"country_code": "US"}, "anonymity": {"is_tor": false, "is_hosting": true}}),
            method: "POST",
            target: "/v2/ip-reputation",
            header: Some(("x-api-key", "k3y")),
            columns: json!({"apivoid.anonymity.is_hosting": true, "apivoid.anonymity.is_tor": false,
                "apivoid.blacklists.detection_rate": "1%", "apivoid.blacklists.detections": 1,
                "apivoid.blacklists.engines.0.detected": true, "apivoid.blacklists.engines.0.engine": "X",
                "apivoid.information.country_code": "US", "apivoid.ip": IP}),
        },
        Case {
            name: "greynoise",
            body: json!({"ip": IP, "noise": false, "riot": true, "classification": "benign", "name": "Google DNS",
                "link": "https://viz.example/", "last_seen": "2026-01-02", "message": "Success"}),
            method: "GET",
            target: "/v3/community/8.8.4.4",
            header: Some(("key", "k3y")),
            columns: json!({"greynoise.noise": false, "greynoise.riot": true, "greynoise.reading": "known service",
                "greynoise.classification": "benign", "greynoise.name": "Google DNS", "greynoise.last_seen": "2026-01-02",
                "greynoise.link": "https://viz.example/"}),
        },
        Case {
            name: "crowdsec",
            body: json!({"ip": IP, "reputation": "suspicious", "ip_range": "8.8.4.0/24", "ip_range_score": 2, "as_name": "GOOGLE", "as_num": 15169,
                "location": {"country": "US", "city": null, "latitude": 37.4, "longitude": -122.1}, "reverse_dns": "dns.google",
                "behaviors": [{"name": "ssh:bruteforce", "label": "x"}], "background_noise_score": 3,
                "classifications": {"classifications": [{"name": "proxy:vpn"}], "false_positives": []},
                "history": {"first_seen": "2025-01-01", "last_seen": "2026-01-01"},
                "scores": {"overall": {"aggressiveness": 1, "threat": 2, "trust": 3, "anomaly": 0, "total": 2}}}),
            method: "GET",
            target: "/v2/smoke/8.8.4.4",
            header: Some(("x-api-key", "k3y")),
            columns: json!({"crowdsec.reputation": "suspicious", "crowdsec.ip_range": "8.8.4.0/24", "crowdsec.ip_range_score": 2,
                "crowdsec.asn": 15169, "crowdsec.as_name": "GOOGLE", "crowdsec.country": "US", "crowdsec.latitude": 37.4,
                "crowdsec.longitude": -122.1, "crowdsec.reverse_dns": "dns.google", "crowdsec.background_noise_score": 3,
                "crowdsec.first_seen": "2025-01-01", "crowdsec.last_seen": "2026-01-01",
                "crowdsec.scores.overall.aggressiveness": 1, "crowdsec.scores.overall.threat": 2,
                "crowdsec.scores.overall.trust": 3, "crowdsec.scores.overall.anomaly": 0, "crowdsec.scores.overall.total": 2,
                "crowdsec.behaviors": ["ssh:bruteforce"], "crowdsec.classifications": ["proxy:vpn"], "crowdsec.false_positives": []}),
        },
        Case {
            name: "geonames",
            body: json!({"timezoneId": "America/Los_Angeles", "rawOffset": -8, "dstOffset": -7, "gmtOffset": -8, "countryCode": "US",
                "countryName": "United States", "time": "2026-01-02 03:04", "sunrise": "a", "sunset": "b", "lat": 37.5, "lng": -122}),
            method: "GET",
            target: "/timezoneJSON?lat=37.5&lng=-122&username=me",
            header: None,
            columns: json!({"geonames.timezoneId": "America/Los_Angeles", "geonames.rawOffset": -8, "geonames.countryCode": "US",
                "geonames.countryName": "United States", "geonames.dstOffset": -7, "geonames.sunset": "b",
                "geonames.time": "2026-01-02 03:04", "geonames.lat": 37.5, "geonames.lng": -122, "geonames.gmtOffset": -8,
                "geonames.sunrise": "a"}),
        },
        Case {
            name: "rdap",
            body: json!({"objectClassName": "ip network", "handle": "NET-8-8-4-0-2", "name": "GOGL", "type": "DIRECT ALLOCATION",
                "startAddress": "8.8.4.0", "endAddress": "8.8.4.255", "ipVersion": "v4", "parentHandle": "NET-8-0-0-0-0",
                "country": "US", "status": ["active"], "events": [{"eventAction": "registration", "eventDate": "2023-12-28T17:24:56-05:00"},
                    {"eventAction": "last changed", "eventDate": "2023-12-29T00:00:00-05:00"}],
                "entities": [{"roles": ["registrant"], "entities": [{"roles": ["abuse"],
                    "vcardArray": ["vcard", [["version", {}, "text", "4.0"], ["email", {}, "text", "abuse@example.net"]]]}]}]}),
            method: "GET",
            target: "/ip/8.8.4.4",
            header: Some(("accept", "application/rdap+json")),
            columns: json!({"rdap.handle": "NET-8-8-4-0-2", "rdap.name": "GOGL", "rdap.type": "DIRECT ALLOCATION", "rdap.country": "US",
                "rdap.start_address": "8.8.4.0", "rdap.end_address": "8.8.4.255", "rdap.ip_version": "v4",
                "rdap.parent_handle": "NET-8-0-0-0-0", "rdap.status": ["active"], "rdap.registration": "2023-12-28T17:24:56-05:00",
                "rdap.last_changed": "2023-12-29T00:00:00-05:00", "rdap.abuse_email": "abuse@example.net"}),
        },
    ]
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
            "{unknown}: a list is missing, so it is not known"
        );
    }
    assert_eq!(of("9.9.9.9")["ranges.is_tor_exit"], json!(true));
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

fn with_dns(dns: &Dns) -> Settings {
    let mut settings = Settings::default();
    settings.network.dns_servers = vec![dns.address];
    settings.network.dns_timeout = 0.5;
    settings
}

#[test]
fn reverse_names_are_confirmed_forward() {
    let dns = Dns::start(|name, kind| match (name, kind) {
        ("4.4.8.8.in-addr.arpa", "PTR") => {
            Zone::Ptr(vec!["liar.example".to_owned(), "dns.example".to_owned()])
        }
        ("dns.example", "A") => Zone::A(vec![[8, 8, 8, 8], [8, 8, 4, 4]]),
        ("liar.example", "A") => Zone::A(vec![[1, 1, 1, 1]]),
        ("1.1.1.1.in-addr.arpa", "PTR") => Zone::Ptr(vec!["liar.example.org".to_owned()]),
        (_, "PTR") if name.ends_with("ip6.arpa") => Zone::Ptr(vec!["six.example".to_owned()]),
        ("six.example", "AAAA") => Zone::Aaaa("2600::1".parse().unwrap()),
        _ => Zone::Nobody,
    });
    let settings = with_dns(&dns);
    let folder = tempfile::tempdir().unwrap();
    let reverse = provider(&settings, &wire(&settings), folder.path(), "reverse_dns");
    let of = |ip: &str| -> serde_json::Map<String, Value> {
        columns(reverse.ask(&Question::about(ip.parse().unwrap())))
            .into_iter()
            .collect()
    };
    let confirmed = of(IP);
    assert_eq!(confirmed["network.reverse_dns"], json!("dns.example"));
    assert_eq!(confirmed["network.reverse_dns_confirmed"], json!(true));
    assert_eq!(of("1.1.1.1")["network.reverse_dns_confirmed"], json!(false));
    assert_eq!(of("2600::1")["network.reverse_dns_confirmed"], json!(true));
    assert_eq!(
        reverse.ask(&Question::about("9.9.9.9".parse().unwrap())),
        Ok(Reply::NotFound)
    );
}

#[test]
fn name_servers_that_fail_are_not_a_no() {
    for (zone, fault) in [(Zone::Fails, "server failure"), (Zone::Silent, "does not answer")] {
        let dns = Dns::start(move |_, _| zone.clone());
        let error = ask(&with_dns(&dns), "reverse_dns").unwrap_err();
        assert!(error.to_string().contains(fault), "{error}");
    }
}

#[test]
fn cymru_tells_the_origin_also_over_tcp() {
    let dns = Dns::start(|name, kind| match (name, kind) {
        ("4.4.8.8.origin.asn.cymru.com", "TXT") => {
            Zone::Cut("15169 | 8.8.4.0/24 | US | arin | 2023-12-28".to_owned())
        }
        ("AS15169.asn.cymru.com", "TXT") => {
            Zone::Txt("15169 | US | arin | 2000-03-30 | GOOGLE - Google LLC, US".to_owned())
        }
        _ => Zone::Nobody,
    });
    let found: serde_json::Map<String, Value> = columns(ask(&with_dns(&dns), "cymru")).into_iter().collect();
    assert_eq!(
        Value::Object(found),
        json!({"cymru.asn": 15169, "cymru.bgp_prefix": "8.8.4.0/24", "cymru.registry_country": "US", "cymru.registry": "arin",
            "cymru.allocated": "2023-12-28", "cymru.as_name": "GOOGLE - Google LLC, US"})
    );
}

#[test]
fn lists_are_believed_only_after_their_own_test() {
    let zones = [
        "good.example",
        "everything.example",
        "dead.example",
        "refusing.example",
    ];
    let dns = Dns::start(|name, _| {
        let (host, zone) = name.split_at(name.find(|c: char| c.is_ascii_alphabetic()).unwrap());
        match (zone, host) {
            ("good.example", "2.0.0.127." | "4.4.8.8.") => Zone::A(vec![[127, 0, 0, 4]]),
            ("everything.example", _) => Zone::A(vec![[127, 0, 0, 2]]),
            ("refusing.example", _) => Zone::A(vec![[127, 255, 255, 254]]),
            _ => Zone::Nobody,
        }
    });
    let mut settings = with_dns(&dns);
    settings.dnsbl.zones = zones.map(str::to_owned).to_vec();
    let folder = tempfile::tempdir().unwrap();
    let dnsbl = provider(&settings, &wire(&settings), folder.path(), "dnsbl");
    let of = |ip: &str| -> serde_json::Map<String, Value> {
        columns(dnsbl.ask(&Question::about(ip.parse().unwrap())))
            .into_iter()
            .collect()
    };
    let listed = of(IP);
    assert_eq!(listed["dnsbl.listed_in"], json!(["good.example"]));
    assert_eq!(listed["dnsbl.good.example.listed"], json!(true));
    assert_eq!(listed["dnsbl.unknown"].as_array().unwrap().len(), 3, "{listed:?}");
    for zone in &zones[1..] {
        assert!(!listed.contains_key(&format!("dnsbl.{zone}.listed")), "{zone}");
    }
    let clean = of("9.9.9.9");
    assert_eq!(clean["dnsbl.good.example.listed"], json!(false));
    let tests = dns
        .asked()
        .iter()
        .filter(|asked| asked.contains("A 2.0.0.127."))
        .count();
    assert_eq!(tests, 4, "each list is tested once");
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
