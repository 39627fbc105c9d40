//! Tables that are written come back; tables that are damaged say so and never panic.

use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::container::{Container, Header};
use super::ranges::{BLOCK, Ranges};
use super::records::{CHUNK, Records};
use super::tables::Tables;
use super::write::Writer;
use crate::dossier::Dossier;
use crate::fact::{Field, Value};
use lynceus_model::time::Timestamp;

fn table(ranges: &[(u32, u32)], wide: &[(u128, u32)], names: &[&str]) -> Vec<u8> {
    let mut writer = Writer::new(Header::default(), 1);
    writer.ranges("v4", ranges).unwrap();
    writer.ranges("v6", wide).unwrap();
    let rows: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(at, name)| (vec![(*name).to_owned()], vec![at as i64 + 2]))
        .collect();
    writer.records("records", &rows, 1, 1).unwrap();
    writer.finish()
}

fn open(bytes: Vec<u8>) -> Arc<Container> {
    Arc::new(Container::open(bytes).unwrap())
}

#[test]
fn more_ranges_than_a_block_has_and_more_records_than_a_chunk_has() {
    let ranges: Vec<(u32, u32)> = (0..3 * BLOCK as u32 + 7)
        .map(|at| (at * 512, at % 1000 + 1))
        .collect();
    let names: Vec<String> = (0..CHUNK * 2 + 1).map(|at| format!("name {}", at / 3)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let container = open(table(&ranges, &[], &names));
    let v4 = Ranges::<u32>::open(Arc::clone(&container), "v4").unwrap();
    assert_eq!(v4.count(), ranges.len() as u64);
    for (at, (start, number)) in ranges.iter().enumerate() {
        let found = v4.find(start + 511).unwrap().unwrap();
        assert_eq!((found.first, found.number), (*start, *number));
        let last = ranges.get(at + 1).map_or(u32::MAX, |(next, _)| next - 1);
        assert_eq!(found.last, last);
    }
    let records = Records::open(container, "records", 1, 1).unwrap();
    assert_eq!(records.count(), names.len());
    for (at, name) in names.iter().enumerate() {
        let record = records.get(at as u32 + 1).unwrap();
        assert_eq!((record.text(0), record.integer(0)), (*name, at as i64 + 2));
    }
    assert!(records.get(0).is_err());
    assert!(records.get(names.len() as u32 + 1).is_err());
}

#[test]
fn a_table_without_ranges_knows_nothing() {
    let container = open(table(&[], &[], &[]));
    let v4 = Ranges::<u32>::open(container, "v4").unwrap();
    assert_eq!(v4.find(5).unwrap().map(|found| found.number), Some(0));
}

#[test]
fn errors_name_section_and_offset() {
    let bytes = table(&[(0, 1), (256, 2)], &[], &["a", "b"]);
    assert_eq!(
        Container::open(&b"LYNTAB2\n...."[..]).unwrap_err().section,
        "header"
    );
    let cut = Container::open(bytes[..bytes.len() - 1].to_vec()).unwrap_err();
    assert_eq!(cut.what, "ends behind the end of the file");
    // The last byte is in the chunk of records.
    let mut changed = bytes;
    *changed.last_mut().unwrap() ^= 1;
    let records = Records::open(open(changed), "records", 1, 1).unwrap();
    let damaged = records.get(1).unwrap_err();
    assert_eq!(
        (damaged.section.as_str(), damaged.what.as_ref()),
        ("records.chunks", "checksum of a chunk")
    );
}

/// The seed of the fuzz target `table` is such a table, byte for byte.
#[test]
fn the_fuzz_target_begins_with_a_table() {
    let made = table(
        &[(0, 1), (256, 2), (70_000, 0)],
        &[(0, 1), (1 << 80, 2)],
        &["a", "b", "b"],
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/table/small");
    if std::env::var_os("LYNCEUS_WRITE_SEEDS").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let seed = std::fs::read(path).unwrap();
    // zstd may pack otherwise in a later version; what is in it stays.
    let systems = super::asn::Systems::open(Container::open(seed).unwrap()).unwrap();
    let found = systems.find("0.0.1.5".parse().unwrap()).unwrap().unwrap();
    assert_eq!(
        (found.organization, found.matched.to_string()),
        ("b", "0.0.1.0–0.1.17.111".to_owned())
    );
}

/// What is asked of a table that may be anything.
fn exercise(bytes: Vec<u8>, keys: &[u128]) {
    let Ok(container) = Container::open(bytes) else {
        return;
    };
    let container = Arc::new(container);
    let _ = container.hash();
    for key in keys {
        if let Ok(v4) = Ranges::<u32>::open(Arc::clone(&container), "v4") {
            let _ = v4.find(*key as u32);
        }
        if let Ok(v6) = Ranges::<u128>::open(Arc::clone(&container), "v6") {
            let _ = v6.find(*key);
        }
        if let Ok(records) = Records::open(Arc::clone(&container), "records", 1, 1)
            && let Ok(record) = records.get(*key as u32 % 8)
        {
            let _ = (
                record.text(0),
                record.integer(0),
                record.text(9),
                record.integer(9),
            );
        }
    }
}

proptest! {
    #[test]
    fn ranges_come_back(
        starts in prop::collection::btree_map(any::<u32>(), 0_u32..5, 1..60),
        wide in prop::collection::btree_map(any::<u128>(), 0_u32..400, 1..600),
        probe: u128,
    ) {
        let small: Vec<_> = starts.iter().map(|(start, number)| (*start, *number)).collect();
        let large: Vec<_> = wide.iter().map(|(start, number)| (*start, *number)).collect();
        let container = open(table(&small, &large, &["a"]));
        let v4 = Ranges::<u32>::open(Arc::clone(&container), "v4").unwrap();
        let v6 = Ranges::<u128>::open(container, "v6").unwrap();
        for key in starts.keys().copied().chain([probe as u32]) {
            let expected = starts.range(..=key).next_back().map_or(0, |(_, number)| *number);
            let found = v4.find(key).unwrap().unwrap();
            prop_assert_eq!(found.number, expected);
            prop_assert!(found.first <= key && key <= found.last);
        }
        for key in wide.keys().copied().chain([probe]) {
            let expected = wide.range(..=key).next_back().map_or(0, |(_, number)| *number);
            let found = v6.find(key).unwrap().unwrap();
            prop_assert_eq!(found.number, expected);
            prop_assert!(found.first <= key && key <= found.last);
        }
    }

    #[test]
    fn hostile_tables_do_not_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        keys in prop::collection::vec(any::<u128>(), 1..4),
    ) {
        let mut bytes = table(&[(0, 1), (256, 2), (70_000, 0)], &[(0, 1), (1 << 80, 2)], &["a", "b", "b"]);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut.index(bytes.len()) / 3);
        exercise(bytes, &keys);
    }

    #[test]
    fn hostile_blocks_with_a_right_checksum_do_not_panic(
        block in prop::collection::vec(any::<u8>(), 0..200),
        count in 1_u32..20,
        keys in prop::collection::vec(any::<u128>(), 1..4),
    ) {
        // What a checksum cannot keep away: bytes that somebody made on purpose.
        let packed = zstd::bulk::compress(&block, 1).unwrap();
        let mut entry = (packed.len() as u32).to_le_bytes().to_vec();
        entry.extend(crc32c::crc32c(&packed).to_le_bytes());
        entry.extend(count.to_le_bytes());
        let mut header = Header::default();
        let mut payload = Vec::new();
        for (name, bytes) in [
            ("v4.index", [&[0; 4], entry.as_slice()].concat()),
            ("v4.blocks", packed.clone()),
            ("v6.index", [&[0; 16], entry.as_slice()].concat()),
            ("v6.blocks", packed.clone()),
            ("records.index", entry.clone()),
            ("records.chunks", packed),
        ] {
            header.sections.insert(name.to_owned(), (payload.len() as u64, bytes.len() as u64));
            payload.extend(bytes);
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut bytes = super::container::MAGIC.to_vec();
        bytes.extend((header.len() as u32).to_le_bytes());
        bytes.extend(header);
        bytes.extend(payload);
        exercise(bytes, &keys);
    }
}

fn dossier(ip: &str) -> Dossier {
    let mut dossier = Dossier::new(ip.parse().unwrap(), Timestamp::from_secs(1_782_907_200));
    let tables = Tables::embedded().unwrap();
    tables.describe(&mut dossier);
    tables.conclude(&mut dossier);
    dossier
}

fn text(dossier: &Dossier, field: Field) -> String {
    dossier
        .value(field)
        .map_or_else(|| "unknown".to_owned(), |value| value.to_string())
}

#[test]
fn shipped_tables_are_what_their_headers_say() {
    let tables = Tables::embedded().unwrap();
    for container in tables.containers() {
        assert_eq!(
            container.hash(),
            container.header.payload_sha256,
            "{}",
            container.header.title
        );
        assert!(container.header.date.parse::<jiff::civil::Date>().is_ok());
        assert!(!container.header.attribution.is_empty() && !container.header.license.is_empty());
    }
}

/// Addresses that were looked up in the packages themselves (with another reader), of the same dates.
#[test]
fn known_addresses_are_where_the_packages_put_them() {
    for (ip, asn, organization, iptoasn, dbip, city) in [
        ("8.8.8.8", "15169", "Google", "US", "US", "Mountain View"),
        ("1.1.1.1", "13335", "Cloudflare", "US", "AU", "Sydney"),
        ("94.31.29.154", "6461", "Zayo", "US", "GB", "London"),
        ("204.2.197.211", "1422", "Media6degrees", "US", "US", "New York"),
        ("199.27.76.249", "54113", "Fastly", "US", "CA", "Montreal"),
        ("23.235.39.249", "54113", "Fastly", "US", "US", "Houston"),
        ("199.96.57.8", "13414", "Twitter", "US", "US", "San Francisco"),
        ("222.186.30.49", "4134", "Chinanet", "CN", "CN", "Nanjing"),
        ("185.117.82.70", "200533", "Init Lab", "BG", "BG", "Sofia"),
        ("147.32.80.13", "2852", "CESNET", "CZ", "CZ", "Prague"),
        ("2001:4860:4860::8888", "15169", "Google", "US", "CA", "Montreal"),
    ] {
        let tables = Tables::embedded().unwrap();
        let found = tables.find(ip.parse().unwrap());
        let dossier = dossier(ip);
        assert_eq!(text(&dossier, Field::Asn), asn, "{ip}");
        let name = text(&dossier, Field::AsName).to_lowercase();
        assert!(name.contains(&organization.to_lowercase()), "{ip}: {name}");
        assert_eq!(
            found.iptoasn.map(|(code, _)| code.to_string()).as_deref(),
            Some(iptoasn),
            "{ip}"
        );
        assert_eq!(
            found.dbip.map(|(code, _)| code.to_string()).as_deref(),
            Some(dbip),
            "{ip}"
        );
        assert!(
            text(&dossier, Field::City).contains(city),
            "{ip}: {}",
            text(&dossier, Field::City)
        );
    }
}

#[test]
fn a_dossier_states_doubt_zones_and_local_time() {
    let zayo = dossier("94.31.29.154");
    let country = zayo.field(Field::CountryCode).unwrap();
    assert_eq!(country.agree(), Some(false));
    assert!(country.agreement().unwrap().contains("1 of 2 sources"));
    assert_eq!(text(&zayo, Field::Timezone), "Europe/London");
    assert_eq!(text(&zayo, Field::NominalZone), "UTC");
    assert_eq!(text(&zayo, Field::LocalTime), "2026-07-01T13:00:00+01:00");
    assert_eq!(zayo.value(Field::Dst), Some(Value::Flag(true)));
    assert_eq!(
        zayo.field(Field::Network).unwrap().matched().unwrap().to_string(),
        "94.31.29.0–94.31.43.255"
    );
    // Somebody says that it is in another country: the radius reaches there.
    let radius = zayo.value(Field::ErrorRadius).unwrap().real().unwrap();
    assert!(radius > 5_000.0, "{radius}");
    let agreed = dossier("147.32.80.13")
        .value(Field::ErrorRadius)
        .unwrap()
        .real()
        .unwrap();
    assert!((48.0..500.0).contains(&agreed), "{agreed}");
}

#[test]
fn addresses_that_nobody_routes_have_no_place() {
    for ip in [
        "10.0.0.1",
        "127.0.0.1",
        "192.0.2.1",
        "fe80::1",
        "::ffff:10.0.0.1",
        "224.0.0.1",
    ] {
        let dossier = dossier(&ip.parse::<IpAddr>().unwrap().to_canonical().to_string());
        assert_eq!(dossier.value(Field::IsRoutable), Some(Value::Flag(false)), "{ip}");
        for field in [Field::CountryCode, Field::Asn, Field::City] {
            let merged = dossier.field(field).unwrap();
            assert_eq!(merged.value, None, "{ip}");
            assert!(!merged.unknown.is_empty(), "{ip}: unknown has a reason");
        }
    }
}

#[test]
fn makers_of_network_cards() {
    let vendors = &Tables::embedded().unwrap().vendors;
    let maker = |mac: [u8; 6]| vendors.find(mac).unwrap();
    assert_eq!(
        maker([0x00, 0x22, 0x72, 1, 2, 3]),
        Some("American Micro-Fuel Device Corp.")
    );
    // MA-S and MA-M blocks stand in blocks of the registry itself.
    assert_eq!(maker([0x70, 0xb3, 0xd5, 0xf2, 0xf1, 2]), Some("TELEPLATFORMS"));
    assert_eq!(maker([0x20, 0x85, 0x93, 0xb1, 2, 3]), Some("IOG Products LLC"));
    assert_eq!(maker([0x02, 0x22, 0x72, 1, 2, 3]), None, "software made it up");
    assert_eq!(maker([0xff; 6]), None);
}
