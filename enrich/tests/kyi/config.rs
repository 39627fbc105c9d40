//! INI of 0.1.8, TOML of 0.6.2, and what the environment says.

use std::path::Path;

use lynceus_enrich::kyi::{Config, Generation};
use proptest::prelude::*;

/// All keys of 0.1.8 in its own layout, as a user has filled them in.
const OLD: &str = "\
[maxmind]
enable = 1
dbpath = ./db

[geonames]
enable = 0
username = <<<GEONAMES_USERNAME>>>

[abuseipdb]
enable = 1
key = 0123456789
user_id = 77
cat_catid = abuseipdb_cat_catid.csv
days = 90

# Blacklists
[ipvoid]
enable = 1

[apivoid]
enable = 0
api_key = <<<APIVOID_KEY>>>

[censys]
enable = 1
api_url = https://www.censys.io/api/v1
uid = <<<CENSYS_UID>>>
secret = <<<CENSYS_SECRET>>>

[shodan]
enable = 1
api_key = abc%%def

[virustotal]
enable: yes
api_key: vt

[ping]
enable = on
timeout = 1500
count = 4

[traceroute]
enable = 0
max_hops = 12

[tzwhere]
enable = 1

[output]
columns = columns.txt
";

fn none() -> Vec<(String, String)> {
    Vec::new()
}

fn set(name: &str, value: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), value.to_owned())]
}

#[test]
fn the_ini_of_the_first_generation_is_taken() {
    let config = Config::read(Path::new("know_your_ip.cfg"), OLD, none()).unwrap();
    assert_eq!(config.generation, Generation::Ini);
    let settings = &config.settings;
    assert!(settings.maxmind.enabled && !settings.geonames.enabled && !settings.geonames.username.is_set());
    assert_eq!(settings.maxmind.db_path, Path::new("./db"));
    assert!(settings.abuseipdb.enabled);
    assert_eq!(
        settings.abuseipdb.api_key.text(),
        "0123456789",
        "digits stay text"
    );
    assert_eq!(settings.abuseipdb.days, 90);
    assert!(!settings.apivoid.enabled && !settings.apivoid.api_key.is_set());
    assert!(settings.censys.enabled && !settings.censys.api_key.is_set());
    assert_eq!(settings.censys.api_url, "", "the old address is not asked");
    assert_eq!(settings.shodan.api_key.text(), "abc%def");
    assert!(settings.virustotal.enabled);
    assert_eq!(settings.virustotal.api_key.text(), "vt");
    assert!(settings.ping.enabled);
    assert_eq!((settings.ping.timeout, settings.ping.count), (1500, 4));
    assert_eq!(
        (settings.traceroute.enabled, settings.traceroute.max_hops),
        (false, 12)
    );
    assert_eq!(config.columns_file.as_deref(), Some(Path::new("columns.txt")));
    assert_eq!(config.columns, None);
    // What is gone is told, with the reason, once each; placeholders are no use of a key.
    let said = config.notes.join("\n");
    for key in [
        "ipvoid.enable",
        "abuseipdb.user_id",
        "abuseipdb.cat_catid",
        "censys.api_url",
    ] {
        assert!(said.contains(key), "{key}: {said}");
    }
    assert_eq!(config.notes.len(), 4, "{said}");
}

#[test]
fn the_toml_of_the_second_generation_is_taken() {
    let text = r#"
        [maxmind]
        enabled = false
        db_path = "/srv/geo"
        [geonames]
        enabled = true
        username = "me"
        [abuseipdb]
        enabled = true
        api_key = "k"
        days = 365
        [ping]
        enabled = true
        timeout = 1000
        count = 2
        [traceroute]
        enabled = true
        max_hops = 255
        [timezone]
        enabled = true
        [network]
        enabled = true
        reverse_dns = false
        dns_timeout = 2
        [ranges]
        enabled = false
        ttl_seconds = 60
        [rdap]
        enabled = false
        [apivoid]
        enabled = true
        api_key = "a"
        [censys]
        enabled = true
        api_url = "https://api.platform.censys.io"
        api_key = "pat"
        organization_id = "<<<none>>>"
        [shodan]
        enabled = true
        api_key = 12345678
        [virustotal]
        enabled = true
        api_key = "<<<YOUR KEY>>>"
        [output]
        columns = ["ip", "shodan.ports"]
    "#;
    let config = Config::read(Path::new("know_your_ip.toml"), text, none()).unwrap();
    let settings = &config.settings;
    assert!(!settings.maxmind.enabled && settings.geonames.username.is_set());
    assert_eq!(settings.abuseipdb.days, 365);
    assert!((settings.network.dns_timeout - 2.0).abs() < 1e-9 && !settings.network.reverse_dns);
    assert!(!settings.ranges.enabled && !settings.rdap.enabled);
    assert_eq!(settings.censys.organization_id, "");
    assert_eq!(settings.shodan.api_key.text(), "12345678");
    assert!(!settings.virustotal.api_key.is_set());
    assert_eq!(config.columns.unwrap(), ["ip", "shodan.ports"]);
    assert!(config.notes.is_empty());
}

#[test]
fn nothing_is_the_defaults() {
    let config = Config::defaults(none()).unwrap();
    assert_eq!(config.settings, lynceus_enrich::provider::Settings::default());
}

#[test]
fn the_environment_wins_and_unknown_names_are_told() {
    let environment = [
        ("KNOW_YOUR_IP_SHODAN_API_KEY", "0042"),
        ("KNOW_YOUR_IP_SHODAN_ENABLED", "true"),
        ("KNOW_YOUR_IP_PING_COUNT", "9"),
        ("KNOW_YOUR_IP_OUTPUT_COLUMNS", "ip, rdap.name"),
        ("KNOW_YOUR_IP_NETWORK_REVERSE_DNS", "0"),
        ("KNOW_YOUR_IP_COLOR", "red"),
        ("PATH", "/bin"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::toml("[ping]\ncount = 3\n[shodan]\nenabled = false", environment).unwrap();
    assert_eq!(config.settings.shodan.api_key.text(), "0042");
    assert!(config.settings.shodan.enabled && !config.settings.network.reverse_dns);
    assert_eq!(config.settings.ping.count, 9);
    assert_eq!(config.columns.unwrap(), ["ip", "rdap.name"]);
    assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
    assert!(config.notes[0].contains("KNOW_YOUR_IP_COLOR"));
    // Over an INI as well.
    let config = Config::ini(OLD, set("KNOW_YOUR_IP_ABUSEIPDB_DAYS", "7")).unwrap();
    assert_eq!(config.settings.abuseipdb.days, 7);
    let error = Config::defaults(set("KNOW_YOUR_IP_PING_COUNT", "many")).unwrap_err();
    assert!(error.to_string().contains("KNOW_YOUR_IP_PING_COUNT"), "{error}");
}

#[test]
fn faults_name_what_is_wrong() {
    for (text, said) in [
        ("[colors]\nred = 1", "colors: there is no such section"),
        ("[shodan]\nkey = \"x\"", "shodan.key: there is no such key"),
        ("[shodan]\nenabled = \"x\"", "shodan.enabled: is yes or no"),
        ("[abuseipdb]\ndays = 366", "abuseipdb.days"),
        ("[ranges]\nttl_seconds = 59", "ranges.ttl_seconds"),
        ("[output]\ncolumns = [1]", "output.columns: is a list of names"),
        ("shodan = 1", "shodan: is a section"),
        ("[shodan\n", "line 1"),
    ] {
        let error = Config::toml(text, none()).unwrap_err().to_string();
        assert!(error.contains(said), "{text:?}: {error}");
    }
    for (text, said) in [
        ("enable = 1", "line 1: a key before the first [section]"),
        ("[ping\ncount = 1", "line 1: a section is written [name]"),
        ("[ping]\ncount", "line 2: neither"),
        ("[ping]\n\ncount = many", "line 3: count: is a whole number"),
        ("[shodan]\nenable = perhaps", "line 2: enable: is yes or no"),
    ] {
        let error = Config::ini(text, none()).unwrap_err().to_string();
        assert!(error.contains(said), "{text:?}: {error}");
    }
}

#[test]
fn a_file_without_an_ending_is_known_by_what_stands_in_it() {
    let read = |text: &str| {
        Config::read(Path::new("config"), text, none())
            .unwrap()
            .generation
    };
    assert_eq!(read(OLD), Generation::Ini);
    assert_eq!(read("[maxmind]\nenable = 1"), Generation::Ini);
    assert_eq!(read("[maxmind]\nenabled = true"), Generation::Toml);
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in ".{0,400}", name in "[A-Z_]{0,20}", value in ".{0,20}") {
        let environment = set(&format!("KNOW_YOUR_IP_{name}"), &value);
        let _ = Config::ini(&text, environment.clone());
        let _ = Config::toml(&text, environment);
    }

    /// Files of the right form with any values: a value comes back, or its line is named.
    #[test]
    fn values_of_an_ini_come_back(
        key in "[!-~&&[^<>%=:\\[\\]#;]]{1,40}", count in any::<i64>(), spaces in " {0,3}", separator in "[=:]"
    ) {
        let text = format!("[shodan]\napi_key{spaces}{separator}{spaces}{key}{spaces}\n[ping]\ncount={count}\n");
        match Config::ini(&text, none()) {
            Ok(config) => {
                prop_assert_eq!(config.settings.shodan.api_key.text(), key.trim());
                prop_assert_eq!(i64::from(config.settings.ping.count), count);
            }
            Err(error) => {
                prop_assert!(!(1..=100).contains(&count), "{error}");
            }
        }
    }
}
