//! How good the estimators of `lynceus_enrich::latency` are in a world that we make up. Prints a table.
//!
//! `cargo run --release -p lynceus-enrich --example latency_simulation`
//!
//! The world: the sixty cities of `tests/data/cities.csv` are landmarks; 400 targets lie at exponentially distributed
//! distances (mean 220 km) from random landmarks. A probe takes `2 · distance · inflation / v + last mile + queue` with
//! inflation 1.15 + Gamma(2.2, 0.22), last mile Gamma(1.5, 0.8) ms, queue exponential with mean 0.7 ms; the smallest of
//! three counts. Inflation and last mile are the route's, the queue is the probe's. Absolute kilometers mean nothing
//! outside of this model; compare the rows.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "an example")]

use std::time::Instant;

use lynceus_enrich::latency::landmark::{self, Landmark};
use lynceus_enrich::latency::{
    Bestline, FIBER_KM_PER_MS, LatLon, Located, Observation, Region, Settings, locate, possible,
};

const TARGETS: usize = 400;
const PROBES: usize = 3;

fn main() {
    let landmarks = landmark::read(&include_bytes!("../tests/data/cities.csv")[..]).unwrap();
    let landmarks: Vec<Landmark> = landmarks
        .into_iter()
        .map(|landmark| Landmark {
            error_km: 0.0,
            ..landmark
        })
        .collect();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let lines: Vec<Option<Bestline>> = landmarks
        .iter()
        .map(|from| {
            let others = landmarks.iter().filter(|to| to.id != from.id);
            let points: Vec<_> = others
                .map(|to| {
                    (
                        from.place.distance_km(to.place),
                        rtt(from.place, to.place, &mut chance),
                    )
                })
                .collect();
            Bestline::fit(&points, FIBER_KM_PER_MS)
        })
        .collect();
    // The model's distances are those of the sphere.
    let fiber = Settings {
        figure_slack: 0.0,
        ..Settings::default()
    };
    let slow = Settings {
        speed_km_per_ms: FIBER_KM_PER_MS * 2.0 / 3.0,
        ..fiber
    };
    let mut rows = [
        Row::new("shortest ping"),
        Row::new("2/3 c, center of the bounding box"),
        Row::new("2/3 c, centroid of the area"),
        Row::new("4/9 c, centroid of the area"),
        Row::new("lines as hard limits"),
        Row::new("votes by lines within 2/3 c"),
    ];
    let mut spent = std::time::Duration::ZERO;
    for _ in 0..TARGETS {
        let city = &landmarks[chance.below(landmarks.len())];
        let truth = city
            .place
            .toward(chance.unit() * 360.0, chance.exponential(220.0));
        let seen: Vec<Observation> = landmarks
            .iter()
            .map(|from| Observation {
                landmark: from.id.clone(),
                place: from.place,
                error_km: 0.0,
                rtt_ms: rtt(from.place, truth, &mut chance),
                floor_ms: 0.0,
            })
            .collect();
        let begun = Instant::now();
        let found = locate(&seen, &lines, &fiber).unwrap();
        spent += begun.elapsed();
        let inside = possible(&seen, truth, &fiber);
        let nearest = seen.iter().min_by(|a, b| a.rtt_ms.total_cmp(&b.rtt_ms)).unwrap();
        rows[0].add(Some((nearest.place, true)), truth);
        rows[1].add(region(&found).map(|region| (region.box_center, inside)), truth);
        rows[2].add(region(&found).map(|region| (region.centroid, inside)), truth);
        let vote = region(&found).and_then(|region| region.vote);
        rows[5].add(vote.map(|vote| (vote.place, inside)), truth);
        let at_slow = locate(&seen, &[], &slow).unwrap();
        let slow_inside = possible(&seen, truth, &slow);
        rows[3].add(
            region(&at_slow).map(|region| (region.centroid, slow_inside)),
            truth,
        );
        // A line as a limit is a cap with the line's radius: a position error and no time.
        let hard: Vec<Observation> = seen
            .iter()
            .zip(&lines)
            .filter_map(|(one, line)| {
                Some(Observation {
                    error_km: line.as_ref()?.reach_km(one.rtt_ms),
                    rtt_ms: 0.0,
                    ..one.clone()
                })
            })
            .collect();
        let by_lines = locate(&hard, &[], &fiber).unwrap();
        let line_inside = possible(&hard, truth, &fiber);
        rows[4].add(
            region(&by_lines).map(|region| (region.centroid, line_inside)),
            truth,
        );
    }
    println!(
        "{:<36} {:>9} {:>8} {:>8} {:>13}",
        "estimator", "median km", "p90 km", "empty", "truth inside"
    );
    for (at, row) in rows.iter().enumerate() {
        row.print(at > 0);
    }
    let slopes: Vec<f64> = lines.iter().flatten().map(|line| 1.0 / line.slope).collect();
    println!(
        "{TARGETS} targets, {} landmarks; {:.1} ms a target; median line {:.0} km per ms of round trip",
        landmarks.len(),
        spent.as_secs_f64() * 1e3 / TARGETS as f64,
        quantile(slopes, 0.5)
    );
}

struct Row {
    name: &'static str,
    errors: Vec<f64>,
    inside: usize,
    empty: usize,
}

impl Row {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            errors: Vec::new(),
            inside: 0,
            empty: 0,
        }
    }

    fn add(&mut self, estimate: Option<(LatLon, bool)>, truth: LatLon) {
        match estimate {
            None => self.empty += 1,
            Some((place, inside)) => {
                self.errors.push(place.distance_km(truth));
                self.inside += usize::from(inside);
            }
        }
    }

    fn print(&self, has_region: bool) {
        let part = |count: usize| format!("{:.1} %", 100.0 * count as f64 / TARGETS as f64);
        let number = |part: f64, errors: &Vec<f64>| match errors.len() {
            0 => "–".to_owned(),
            _ => format!("{:.0}", quantile(errors.clone(), part)),
        };
        println!(
            "{:<36} {:>9} {:>8} {:>8} {:>13}",
            self.name,
            number(0.5, &self.errors),
            number(0.9, &self.errors),
            part(self.empty),
            if has_region {
                part(self.inside)
            } else {
                "–".to_owned()
            }
        );
    }
}

fn region(found: &Located) -> Option<&Region> {
    match found {
        Located::Within(region) => Some(region),
        Located::Anywhere | Located::NoPlace(_) => None,
    }
}

fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * part).round() as usize]
}

/// The smallest of some probes, in ms.
fn rtt(from: LatLon, to: LatLon, chance: &mut Chance) -> f64 {
    let inflation = 1.15 + chance.gamma(2.2, 0.22);
    let way = 2.0 * from.distance_km(to) * inflation / FIBER_KM_PER_MS;
    let last_mile = chance.gamma(1.5, 0.8);
    let queue = (0..PROBES)
        .map(|_| chance.exponential(0.7))
        .fold(f64::MAX, f64::min);
    way + last_mile + queue
}

/// xorshift64*: the same numbers on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In (0, 1).
    fn unit(&mut self) -> f64 {
        ((self.next() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.unit() * limit as f64) as usize
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Marsaglia and Tsang 2000, for shapes of at least 1.
    fn gamma(&mut self, shape: f64, scale: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && self.unit().ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v * scale;
            }
        }
    }
}
