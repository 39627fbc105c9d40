//! Providers that ask name servers.

use lynceus_enrich::provider::{Question, Reply, Settings};
use serde_json::{Value, json};

use crate::dns::{Dns, Zone};
use crate::{IP, ask, columns, provider, wire};

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
    assert_eq!(listed["dnsbl.codes"], json!(["good.example 127.0.0.4"]));
    assert_eq!(listed["dnsbl.not_listed_in"], json!([]));
    assert_eq!(listed["dnsbl.unknown"].as_array().unwrap().len(), 3, "{listed:?}");
    for zone in &zones[1..] {
        assert!(!listed.contains_key(&format!("dnsbl.{zone}.listed")), "{zone}");
    }
    let clean = of("9.9.9.9");
    assert_eq!(clean["dnsbl.good.example.listed"], json!(false));
    assert_eq!(clean["dnsbl.not_listed_in"], json!(["good.example"]));
    let tests = dns
        .asked()
        .iter()
        .filter(|asked| asked.contains("A 2.0.0.127."))
        .count();
    assert_eq!(tests, 4, "each list is tested once");
}
