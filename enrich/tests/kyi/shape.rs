//! Rows in three shapes, of an address with answers, disagreement and doubt.

use lynceus_enrich::dossier::Dossier;
use lynceus_enrich::fact::{Fact, Field, Reason, Source};
use lynceus_enrich::kyi::columns::{NEW_DEFAULT, OLD_DEFAULT};
use lynceus_enrich::kyi::shape::{Known, Shape, Table, harmless};
use lynceus_enrich::provider::{Answer, Status, facts};
use lynceus_model::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn answer(provider: &'static str, columns: Value) -> Answer {
    let columns = columns.as_object().unwrap().clone();
    Answer {
        provider,
        ip: "94.31.29.154".parse().unwrap(),
        status: Status::Found,
        error: None,
        columns: columns.into_iter().collect(),
        range: None,
        observed: 1_700_000_000,
        from_cache: false,
    }
}

fn known() -> Known {
    let mut answers = vec![
        answer(
            "abuseipdb",
            json!({"abuseipdb.categories": ["SSH", "Port Scan"], "abuseipdb.total_reports": 3, "abuseipdb.country_code": "US", "abuseipdb.is_tor": false}),
        ),
        answer(
            "virustotal",
            json!({"virustotal.country": "GB", "virustotal.asn": 6461, "virustotal.harmless": 60, "virustotal.timeout": 2}),
        ),
        answer(
            "shodan",
            json!({"shodan.ports": [443, 80], "shodan.asn": "AS6461", "shodan.isp": "Zayo, \"Inc\"\nLtd"}),
        ),
    ];
    let mut failed = answer("rdap", json!({}));
    failed.status = Status::RateLimited;
    failed.error = Some("asks to come later".to_owned());
    answers.push(failed);
    let mut dossier = Dossier::new(
        "94.31.29.154".parse().unwrap(),
        Timestamp::from_secs(1_700_000_000),
    );
    dossier.add(Fact::new(Field::CountryCode, "GB", Source::new("dbip")));
    dossier.add(Fact::new(
        Field::Timezone,
        "Europe/London",
        Source::new("timezone"),
    ));
    dossier.add(Fact::unknown(
        Field::IsTor,
        Reason::NoData("list of Tor exits".into()),
        Source::new("ranges"),
    ));
    for answer in &answers {
        dossier.extend(facts(answer));
    }
    Known { dossier, answers }
}

fn table(shape: Shape, columns: &[&str]) -> Table {
    Table::new(shape, columns.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn raw_cells_are_what_the_sources_say_under_the_old_names() {
    let names = [
        "ip",
        "abuseipdb.categories",
        "abuseipdb.reports",
        "abuseipdb.is_tor",
        "tzwhere.timezone",
        "ipvoid.alerts",
        "shodan.ports",
        "shodan.isp",
        "rdap.status",
        "rdap.error",
        "rdap.country",
        "virustotal.asn",
        "dbip.country_code",
    ];
    let table = table(Shape::Raw, &names);
    assert_eq!(table.header(), names);
    assert_eq!(
        table.rows(&known()),
        [[
            "94.31.29.154",
            "SSH|Port Scan",
            "3",
            "False",
            "Europe/London",
            "",
            "443|80",
            "Zayo, \"Inc\" Ltd",
            "rate_limited",
            "asks to come later",
            "",
            "6461",
            "GB",
        ]]
    );
    assert_eq!(table.gone().len(), 1);
    let object = &table.objects(&known())[0];
    assert_eq!(object["shodan.ports"], json!([443, 80]));
    assert!(
        !object.contains_key("rdap.country"),
        "what is not known is absent"
    );
}

#[test]
fn canonical_cells_say_who_agrees() {
    let table = table(Shape::Canonical, &[]);
    // Know Your IP's hundred and one come first.
    assert_eq!(table.header()[0], "ip");
    assert_eq!(
        table.header()[1..5],
        [
            "country_code",
            "country_code.sources",
            "country_code.agree",
            "country_code.values"
        ]
    );
    assert_eq!(table.header()[97], "ports");
    assert_eq!(table.header()[100], "ports.values");
    let row = table.rows(&known()).remove(0);
    assert_eq!(row.len(), table.header().len());
    let of = |name: &str| &row[table.header().iter().position(|known| known == name).unwrap()];
    assert_eq!(of("country_code"), "GB");
    assert_eq!(of("country_code.sources"), "dbip|virustotal");
    assert_eq!(of("country_code.agree"), "False");
    assert!(of("country_code.values").contains("abuseipdb=US"));
    assert_eq!((of("asn").as_str(), of("asn.agree").as_str()), ("6461", "True"));
    assert_eq!(of("asn.values"), "");
    assert_eq!(
        (of("is_tor").as_str(), of("is_tor.sources").as_str()),
        ("False", "abuseipdb")
    );
    assert_eq!(of("is_hosting"), "", "unknown is never False");
    assert_eq!(of("ports"), "80|443");
}

#[test]
fn tidy_rows_have_a_line_for_each_word() {
    let table = table(Shape::Tidy, &[]);
    let rows = table.rows(&known());
    assert!(rows.iter().all(|row| row.len() == 4 && row[0] == "94.31.29.154"));
    let has =
        |field: &str, source: &str, value: &str| rows.iter().any(|row| row[1..] == [field, source, value]);
    assert!(has("country_code", "dbip", "GB") && has("country_code", "abuseipdb", "US"));
    assert!(
        has("harmless_count", "virustotal", "60") && has("timeout", "virustotal", "2"),
        "also what is no canonical field"
    );
    assert!(
        !rows.iter().any(|row| row[1] == "is_tor" && row[2] == "ranges"),
        "unknown is no row"
    );
    // What a provider says again of what the dossier has of it is no second word.
    let mut known = known();
    let again = Fact::new(Field::CountryCode, "XX", Source::new("dbip"));
    known.dossier.add(again);
    assert_eq!(table.rows(&known), rows);
}

#[test]
fn the_defaults_have_their_sizes() {
    for (names, count) in [(&OLD_DEFAULT[..], 37), (&NEW_DEFAULT[..], 61)] {
        let mut unique = names.to_vec();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), count);
    }
}

#[test]
fn no_cell_is_a_formula() {
    assert_eq!(harmless("=HYPERLINK(\"x\")"), "'=HYPERLINK(\"x\")");
    assert_eq!(harmless("@x"), "'@x");
    assert_eq!(harmless("-12.5"), "-12.5");
    assert_eq!(harmless("plain"), "plain");
}

proptest! {
    /// Any texts of providers make tables that any CSV reader takes: rows of one line and as many cells as the header.
    #[test]
    fn any_answer_makes_whole_rows(
        values in prop::collection::vec(("[a-z_.]{1,12}", prop_oneof![
            any::<bool>().prop_map(Value::from), any::<i64>().prop_map(Value::from), ".{0,30}".prop_map(Value::from),
            prop::collection::vec(".{0,8}", 0..4).prop_map(Value::from), Just(json!({"a": [1, null]})),
        ]), 0..12),
        shape in prop::sample::select(vec![Shape::Raw, Shape::Canonical, Shape::Tidy])
    ) {
        let columns: serde_json::Map<String, Value> = values.into_iter().map(|(name, value)| (format!("shodan.{name}"), value)).collect();
        let names: Vec<String> = columns.keys().cloned().collect();
        let answer = answer("shodan", Value::Object(columns));
        let mut dossier = Dossier::new(answer.ip, Timestamp(0));
        dossier.extend(facts(&answer));
        let known = Known { dossier, answers: vec![answer] };
        let table = Table::new(shape, names);
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(table.header()).unwrap();
        let rows = table.rows(&known);
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let text = writer.into_inner().unwrap();
        if !table.header().is_empty() {
            let mut reader = csv::Reader::from_reader(&text[..]);
            let back: Vec<Vec<String>> = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
            prop_assert_eq!(back, rows);
        }
        for object in table.objects(&known) {
            let line = serde_json::to_string(&object).unwrap();
            prop_assert!(!line.contains('\n') && serde_json::from_str::<Value>(&line).is_ok());
        }
    }
}
