//! Ten million indicators: memory and the time of a look-up. `LYNCEUS_BENCH_INDICATORS` sets another number.

use std::hint::black_box;
use std::net::IpAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use lynceus_enrich::feeds::index::{Builder, Meta};
use lynceus_enrich::feeds::{Feed, Feeds};
use lynceus_enrich::indicator::{Indicator, Key, Kind};
use lynceus_model::evidence::ThreatLevel;

/// Spreads numbers over the whole range, each once.
const fn spread(number: u32) -> u32 {
    number.wrapping_mul(0x9e37_79b1)
}

fn indicator(number: u32) -> Indicator {
    if number.is_multiple_of(2) {
        Indicator::Key(Key::ip(Kind::Ip, IpAddr::V4(spread(number).into())))
    } else {
        Indicator::of_kind(Kind::Domain, &format!("host-{:08x}.example", spread(number))).expect("a domain")
    }
}

#[allow(clippy::print_stderr, reason = "the result of a benchmark")]
fn look_ups(criterion: &mut Criterion) {
    let count: u32 = std::env::var("LYNCEUS_BENCH_INDICATORS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000_000);
    let meta = Meta {
        level: ThreatLevel::High,
        description: "bench".to_owned(),
        tags: Vec::new(),
    };
    let mut builder = Builder::default();
    for number in 0..count {
        builder.add(&indicator(number), &meta);
    }
    let index = builder.finish();
    let mebibytes = index.bytes() >> 20;
    eprintln!("{} indicators in {mebibytes} MiB", index.len());
    let feeds = Feeds::default().with(Feed {
        name: "bench".to_owned(),
        index,
        taken: 0,
    });
    let mut group = criterion.benchmark_group("feeds");
    let mut number = 0_u32;
    group.bench_function("listed address", |bench| {
        bench.iter(|| {
            number = (number + 7_919 * 2) % count;
            black_box(feeds.ip(IpAddr::V4(spread(number & !1).into())))
        });
    });
    group.bench_function("address that is not listed", |bench| {
        bench.iter(|| {
            number = (number + 7_919 * 2) % count;
            black_box(feeds.ip(IpAddr::V4(spread(number | 1).into())))
        });
    });
    group.bench_function("domain with two parents, not listed", |bench| {
        bench.iter(|| {
            number = number.wrapping_add(7_919);
            black_box(feeds.domain(&format!("a.b.other-{number:08x}.example")))
        });
    });
    group.finish();
}

criterion_group!(benches, look_ups);
criterion_main!(benches);
