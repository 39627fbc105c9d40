//! Columns, lists of addresses, and addresses in any text.

use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lynceus_enrich::kyi::columns::{self, ColumnsError, NEW_DEFAULT, OLD_DEFAULT, Origin, origin};
use lynceus_enrich::kyi::extract::{Extract, addresses};
use lynceus_enrich::kyi::list::{Line, List};
use lynceus_enrich::provider::INFOS;
use proptest::prelude::*;

fn ips(text: &[&str]) -> Vec<IpAddr> {
    text.iter().map(|ip| ip.parse().unwrap()).collect()
}

#[test]
fn addresses_are_picked_out_of_what_people_write() {
    for (text, expected) in [
        (
            "Failed password for root from 203.0.113.9 port 4122 ssh2",
            vec!["203.0.113.9"],
        ),
        (
            "203.0.113.9:443 -> 10.0.0.1:51000.",
            vec!["203.0.113.9", "10.0.0.1"],
        ),
        ("src=192.0.2.1,dst=192.0.2.2;", vec!["192.0.2.1", "192.0.2.2"]),
        (
            "see hxxp://192[.]0[.]2[.]7/x and 192.0.2[dot]8 (192(.)0.2.9)",
            vec!["192.0.2.7", "192.0.2.8", "192.0.2.9"],
        ),
        (
            "2001[:]db8::1, 2001:db8[::]2 and 2001:db8{:}0{:}0{:}0{:}0{:}0{:}3",
            vec!["2001:db8::1", "2001:db8::2", "2001:db8::3"],
        ),
        (
            "[2001:db8::1]:443 fe80::1%eth0 ::ffff:192.0.2.1",
            vec!["2001:db8::1", "fe80::1", "::ffff:192.0.2.1"],
        ),
        ("The host was 192.0.2.1. Then 2001:db8::: no", vec!["192.0.2.1"]),
        (
            "10.0.0.0/8 \"192.0.2.1\" <192.0.2.2>",
            vec!["10.0.0.0", "192.0.2.1", "192.0.2.2"],
        ),
        ("feed:192.0.2.1 ip:192.0.2.2", vec!["192.0.2.1", "192.0.2.2"]),
        // What looks like one and is none.
        ("version 1.2.3.4.5, v1.2.3.4, 1.2.3.4a, 256.1.1.1, 1.2.3", vec![]),
        ("12:34:56 std::vec::Vec ::  a::b::c 0:0 dead:beef", vec![]),
        ("4.3.2.1.in-addr.arpa host.1.2.3.4.example", vec![]),
        ("00:1b:44:11:3a:b7 MAC", vec![]),
        ("é1.2.3.4", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(addresses(text), ips(&expected), "{text}");
    }
}

#[test]
fn a_stream_is_read_in_pieces() {
    let mut text = "x".repeat(200_000);
    text += " 192.0.2.1 ";
    text += &"y ".repeat(100_000);
    text += "192.0.2.2\n\u{0}192.0.2.3";
    for capacity in [1, 7, 4096, 1 << 20] {
        let input = BufReader::with_capacity(capacity, text.as_bytes());
        let found: Vec<IpAddr> = Extract::new(input).map(Result::unwrap).collect();
        assert_eq!(found, ips(&["192.0.2.1", "192.0.2.2", "192.0.2.3"]), "{capacity}");
    }
}

#[test]
fn lists_are_read_as_their_users_write_them() {
    let long = format!("{}\n192.0.2.9\n", "z".repeat(10_000));
    let text = format!(
        "\u{feff}ip,country\n# scanners\n192.0.2.1\n\n 2001:db8::1 # mail\r\n\"192.0.2.2\",US\nnobody\n{long}"
    );
    let lines: Vec<Line> = List::new(text.as_bytes()).map(|line| line.unwrap().1).collect();
    let address = |ip: &str| Line::Address(ip.parse().unwrap());
    assert_eq!(
        lines,
        [
            Line::Empty,
            Line::Empty,
            address("192.0.2.1"),
            Line::Empty,
            address("2001:db8::1"),
            address("192.0.2.2"),
            Line::Invalid("nobody".to_owned()),
            Line::Invalid("z".repeat(64)),
            address("192.0.2.9"),
        ]
    );
}

#[test]
fn columns_are_switched_by_hashes() {
    let text = "ip\n#maxmind.city.names.de\n\n shodan.ports \nip\n# note\n";
    assert_eq!(columns::read(text).unwrap(), ["ip", "shodan.ports"]);
    assert_eq!(columns::read("# all off\n"), Err(ColumnsError::None));
    assert_eq!(columns::read("ip\na b\n"), Err(ColumnsError::Name(2)));
    let many: String = (0..=columns::MAX_COLUMNS)
        .map(|number| format!("c{number}\n"))
        .collect();
    assert_eq!(columns::read(&many), Err(ColumnsError::TooMany));
}

/// The 504 names of 0.1.8's `columns.txt`, built as it is built.
fn old_columns() -> Vec<String> {
    let mut names = vec!["ip".to_owned()];
    let languages = ["de", "en", "es", "fr", "ja", "pt-BR", "ru", "zh-CN"];
    for place in ["city", "continent", "country", "registered_country"] {
        names.push(format!("maxmind.{place}.geoname_id"));
        names.extend(
            languages
                .iter()
                .map(|language| format!("maxmind.{place}.names.{language}")),
        );
    }
    names.extend(
        [
            "continent.code",
            "country.iso_code",
            "registered_country.iso_code",
            "location.latitude",
            "location.longitude",
            "location.metro_code",
            "location.time_zone",
            "postal.code",
            "subdivisions",
            "traits.ip_address",
        ]
        .map(|name| format!("maxmind.{name}")),
    );
    names.extend(
        [
            "timezoneId",
            "rawOffset",
            "countryCode",
            "countryName",
            "dstOffset",
            "sunset",
            "time",
            "lat",
            "lng",
            "gmtOffset",
            "sunrise",
        ]
        .map(|name| format!("geonames.{name}")),
    );
    names.push("tzwhere.timezone".to_owned());
    names
        .extend(["timeout", "count", "max", "min", "avg", "percent_loss"].map(|name| format!("ping.{name}")));
    names.extend(["max_hops", "hops"].map(|name| format!("traceroute.{name}")));
    names.extend(
        [
            "bad_isp",
            "categories",
            "reports",
            "total",
            "trusted_isp",
            "version",
            "city",
            "country",
            "host_name",
            "isp",
            "organization",
            "postal_code",
            "region_state",
            "found",
            "history",
        ]
        .map(|name| format!("abuseipdb.{name}")),
    );
    names.extend(
        [
            "analysis_date",
            "asn",
            "asn_owner",
            "blacklist_status",
            "city",
            "continent",
            "country_code",
            "ip_address",
            "isp",
            "latitude_longitude",
            "region",
            "reverse_dns",
            "alerts",
        ]
        .map(|name| format!("ipvoid.{name}")),
    );
    names.extend(
        ["hosting", "proxy", "tor", "vpn", "webproxy"].map(|name| format!("apivoid.anonymity.is_{name}")),
    );
    names.extend(
        ["detection_rate", "detections", "engines_count", "scantime"]
            .map(|name| format!("apivoid.blacklists.{name}")),
    );
    for engine in 0..88 {
        for what in ["detected", "elapsed", "engine", "reference"] {
            names.push(format!("apivoid.blacklists.engines.{engine}.{what}"));
        }
    }
    names.extend(
        [
            "city_name",
            "continent_code",
            "continent_name",
            "country_calling_code",
            "country_code",
            "country_currency",
            "country_name",
            "isp",
            "latitude",
            "longitude",
            "region_name",
            "reverse_dns",
        ]
        .map(|name| format!("apivoid.information.{name}")),
    );
    names.extend(
        [
            "autonomous_system.asn",
            "protocols",
            "location.timezone",
            "location.country",
            "location.postal_code",
        ]
        .map(|name| format!("censys.{name}")),
    );
    names.extend(
        [
            "area_code",
            "ip_str",
            "last_update",
            "region_code",
            "postal_code",
            "hostnames",
            "asn",
            "isp",
            "country_name",
            "vulns",
            "os",
            "longitude",
            "ip",
            "city",
            "country_code",
            "org",
            "data",
            "dma_code",
            "latitude",
            "country_code3",
            "ports",
        ]
        .map(|name| format!("shodan.{name}")),
    );
    names.extend(
        [
            "undetected_downloaded_samples",
            "country",
            "response_code",
            "as_owner",
            "verbose_msg",
            "resolutions",
            "detected_urls",
            "detected_communicating_samples",
            "undetected_communicating_samples",
            "asn",
        ]
        .map(|name| format!("virustotal.{name}")),
    );
    names
}

#[test]
fn every_old_column_has_an_origin_or_a_reason() {
    let names = old_columns();
    assert_eq!(names.len(), 504);
    assert!(
        OLD_DEFAULT
            .iter()
            .all(|name| names.iter().any(|known| known == name))
    );
    let gone = names
        .iter()
        .filter(|name| matches!(origin(name), Origin::Gone(_)))
        .count();
    // IPVoid but its reverse name and address, eight of AbuseIPDB, seven of VirusTotal.
    assert_eq!(gone, 11 + 8 + 7);
    assert_eq!(origin("tzwhere.timezone"), Origin::Column("timezone.name"));
    assert_eq!(origin("ip"), Origin::Address);
    assert_eq!(origin("shodan.ports"), Origin::Column("shodan.ports"));
    let file = names.join("\n");
    assert_eq!(columns::read(&file).unwrap(), names);
}

#[test]
fn the_document_names_every_prefix_and_what_is_gone() {
    let document = include_str!("../../../docs/know-your-ip.md");
    for name in old_columns().iter().map(String::as_str).chain(NEW_DEFAULT) {
        let prefix = name.split_once('.').map_or(name, |(prefix, _)| prefix);
        assert!(
            document.contains(&format!("`{prefix}.")) || prefix == "ip",
            "{prefix}"
        );
        match origin(name) {
            Origin::Gone(_) if !name.starts_with("ipvoid.") => {
                assert!(document.contains(&format!("`{name}`")), "{name}")
            }
            Origin::Column(now) if now != name => assert!(document.contains(&format!("`{name}`")), "{name}"),
            _ => {}
        }
    }
}

/// All flags and keys of both generations, and who of the providers learns what.
#[test]
fn the_document_names_every_flag_key_and_provider() {
    let document = include_str!("../../../docs/know-your-ip.md");
    let flags = "download-db --file --config --output --max-conn --maxconn --from --to --verbose --no-header --shape --all-columns \
                 --providers --list-providers --as-of --cache --max-age --account-id --license-key --log-file";
    let keys = "[maxmind] [geonames] [abuseipdb] [ipvoid] [apivoid] [censys] [shodan] [virustotal] [ping] [traceroute] [tzwhere] \
                [output] [timezone] [network] [ranges] [rdap] dbpath db_path username key api_key days cat_catid user_id api_url uid \
                secret organization_id timeout count max_hops columns enable enabled reverse_dns dns_timeout ttl_seconds";
    for word in flags.split_whitespace().chain(keys.split_whitespace()) {
        let found = document.match_indices(word).any(|(at, _)| {
            let next = document[at + word.len()..].chars().next();
            next.is_none_or(|next| !next.is_alphanumeric() && next != '_')
        });
        assert!(found, "{word}");
    }
    for info in INFOS {
        let row = format!("| `{}` | {} | {} |", info.name, info.leak.name(), info.who);
        assert!(document.contains(&row), "{row}");
    }
}

proptest! {
    /// Whatever stands around it, an address between blanks is found, in each way of writing it.
    #[test]
    fn an_address_between_blanks_is_found(
        before in "[^\\[\\](){}\\\\]{0,40}", after in "[^\\[\\](){}\\\\]{0,40}", four in any::<u32>(), six in any::<u128>(), defang in any::<bool>(), wide in any::<bool>()
    ) {
        let address: IpAddr = if wide { Ipv6Addr::from(six | 1).into() } else { Ipv4Addr::from(four).into() };
        let written = match (wide, defang) {
            (true, true) => address.to_string().replacen(':', "[:]", 1),
            (false, true) => address.to_string().replace('.', "[.]"),
            _ => address.to_string(),
        };
        prop_assert!(addresses(&format!("{before} {written} {after}")).contains(&address), "{written}");
    }

    #[test]
    fn no_bytes_make_a_reader_panic_and_streams_agree(bytes in prop::collection::vec(any::<u8>(), 0..600), text in "[0-9a-f:.\\[\\] \n]{0,200}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            let _ = List::new(bytes).map(Result::unwrap).count();
            let small: Vec<IpAddr> = Extract::new(BufReader::with_capacity(3, bytes)).map(Result::unwrap).collect();
            let whole: Vec<IpAddr> = Extract::new(bytes).map(Result::unwrap).collect();
            prop_assert_eq!(small, whole);
            let _ = columns::read(&String::from_utf8_lossy(bytes));
        }
    }
}
