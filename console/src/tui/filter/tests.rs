use lynceus_model::evidence::EvidenceType;
use lynceus_view::search::kind_words;

use super::*;
use crate::peers::Peer;

fn subject() -> Subject<'static> {
    Subject {
        ips: vec!["93.184.216.34".parse().unwrap()],
        ports: vec![443],
        protocol: "tcp",
        kinds: kind_words(EvidenceType::HorizontalPortScan)
            .into_iter()
            .chain(["HTTPS".into()])
            .collect(),
        texts: vec!["offers TLS 1.3 to www.example.com".into()],
        level: Some(ThreatLevel::High),
        // 2017-05-02 10:00:05 to 10:02:00 UTC
        span: Some((
            Timestamp::from_secs(1_493_719_205),
            Timestamp::from_secs(1_493_719_320),
        )),
        established: Some(true),
        roles: vec![(Field::Destination, "93.184.216.34".parse().unwrap())],
        numbers: vec![(Field::Bytes, 4711.0)],
        ..Subject::default()
    }
}

fn holds(filter: &str) -> bool {
    let ip: IpAddr = "93.184.216.34".parse().unwrap();
    let peer = Peer {
        asn: Some((15133, "Edgecast Inc.".into())),
        country: Some("US".into()),
        ..Peer::default()
    };
    let known = Known {
        peers: &Peers::from([(ip, peer)]),
        names: &HashMap::from([(ip, "example.com".to_owned())]),
        clock: &Clock::utc(),
    };
    known.fits(&Search::typed(filter).unwrap(), &subject())
}

#[test]
fn every_field_finds_and_leaves_out() {
    for (filter, expected) in [
        ("", true),
        ("ip:93.184.216.34", true),
        ("ip:93.184.0.0/16", true),
        ("93.184.0.0/16", true),
        ("ip:216.3", true),
        ("ip:10.0.0.0/8", false),
        ("-ip:10.0.0.0/8", true),
        ("port:443", true),
        ("port:80,443", true),
        ("port:1-1023", true),
        ("port:>1023", false),
        ("port:<444 proto:tcp", true),
        ("proto:udp", false),
        ("asn:15133", true),
        ("asn:AS15133", true),
        ("asn:edgecast", true),
        ("asn:1513", false),
        ("country:us", true),
        ("country:CN,RU", false),
        ("name:EXAMPLE", true),
        ("type:scan", true),
        ("type:\"port scan\"", true),
        ("type:dns", false),
        ("level:high", true),
        ("level:>=medium", true),
        ("level:<medium", false),
        ("time:10:00..10:05", true),
        ("time:10:02", true),
        ("time:10:03..11:00", false),
        ("time:09:00..09:59", false),
        ("time:\"2017-05-02 10:00..10:01\"", true),
        ("src:10.0.0.9 bytes>1k sport:1234", false),
        ("dst:93.184.216.34 bytes>1k after:2017-05-02", true),
        ("before:2017-05-02", false),
        ("time:2017-05-03", false),
        ("time:2017-05..", true),
        ("is:established -is:flagged", true),
        ("tls 1.3", true),
        ("\"tls  1.3\"", false),
        ("port:", true),
        ("-", true),
    ] {
        assert_eq!(holds(filter), expected, "{filter}");
    }
}

#[test]
fn what_is_not_known_is_neither_matched_nor_hidden_by_a_negation() {
    let nothing = Subject::default();
    let known = Known {
        peers: &Peers::default(),
        names: &HashMap::new(),
        clock: &Clock::utc(),
    };
    for (field, ..) in Field::NAMES {
        let value = match field {
            "level" => "high",
            "is" => "established",
            "established" => "yes",
            // A name in a word means no address.
            "ip" | "profile" | "attacker" | "victim" | "src" | "dst" => "10.0.0.0/8",
            _ => "10",
        };
        let search = Search::typed(&format!("{field}:{value}")).unwrap();
        assert!(!search.is_empty() && !known.fits(&search, &nothing), "{field}");
        let negated = Search::typed(&format!("-{field}:{value}")).unwrap();
        assert!(known.fits(&negated, &nothing), "-{field}");
    }
}
