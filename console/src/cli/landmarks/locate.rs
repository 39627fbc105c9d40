//! `lynceus landmarks locate`: the region of an address, from handshakes that sensors saw and from measurement files.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use lynceus_enrich::latency::facts::Claim;
use lynceus_enrich::latency::landmark::Landmark;
use lynceus_enrich::latency::measurement::{self, Gathered, Measurement, gather};
use lynceus_enrich::latency::{
    LIGHT_KM_PER_MS, LatLon, Located, Observation, Refutation, Region, Settings, locate, refute,
};
use serde_json::{Value, json};

use super::super::place::Place;
use super::super::{Outcome, output, say};
use super::import::distance;
use super::ping;
use crate::query::Query;
use crate::text::{Line, Tone};

/// Computes where an address can be; sends nothing
///
/// Takes the handshake times to the address that sensors with a configured position saw (from the collector, or a
/// result folder with --from), and lines of measurement files.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus landmarks locate 192.0.2.7                          what our own sensors saw
  lynceus landmarks locate 192.0.2.7 --landmarks landmarks.csv --measurements rtt.csv
  lynceus landmarks locate 192.0.2.7 --claim 45.5,-73.6       is Montreal possible?")]
pub struct Options {
    /// Address to locate
    #[arg(value_name = "IP")]
    target: IpAddr,
    /// Landmark file: places of the landmarks in measurements, also of sensors by name or UUID
    #[arg(long, value_name = "FILE")]
    landmarks: Option<PathBuf>,
    /// Lines landmark,target,rtt_ms, as `lynceus landmarks ping` prints them; may be given several times
    #[arg(long, value_name = "FILE")]
    measurements: Vec<PathBuf>,
    /// Ask no collector
    #[arg(long)]
    no_sensors: bool,
    #[command(flatten)]
    place: Place,
    /// A place that is claimed, in degrees; may be given several times
    #[arg(long, value_name = "LAT,LON", value_parser = claim, allow_hyphen_values = true)]
    claim: Vec<LatLon>,
    /// How far the address may be from a claimed place, in km
    #[arg(long, value_name = "KM", default_value_t = 50.0, value_parser = distance)]
    claim_error: f64,
    /// Signals may be as fast as light in vacuum (microwave links, satellites), not only as in fiber
    #[arg(long)]
    light: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

fn claim(text: &str) -> Result<LatLon, String> {
    let parts = text.split_once(',');
    let parts = parts.and_then(|(lat, lon)| Some((lat.trim().parse().ok()?, lon.trim().parse().ok()?)));
    parts
        .and_then(|(lat, lon)| LatLon::new(lat, lon))
        .ok_or_else(|| format!("`{text}` is no latitude and longitude"))
}

/// A location with everything behind it.
pub struct Finding {
    pub target: IpAddr,
    pub located: Located,
    pub observations: Vec<Observation>,
    pub claims: Vec<(Claim, Option<Refutation>)>,
    pub settings: Settings,
}

pub(super) fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut settings = Settings::default();
    if options.light {
        settings.speed_km_per_ms = LIGHT_KM_PER_MS;
    }
    let sources = Sources {
        landmarks: options.landmarks.as_deref(),
        measurements: &options.measurements,
        collector: (!options.no_sensors).then_some(&options.place),
    };
    let gathered = sources.gather(options.target, &settings)?;
    let claims = options.claim.iter().map(|place| Claim {
        source: "claim".to_owned(),
        place: *place,
        error_km: options.claim_error,
    });
    let finding = find(options.target, gathered, claims.collect(), settings)?;
    if options.json {
        let mut text = serde_json::to_vec(&finding.json())?;
        text.push(b'\n');
        output::raw(&text)?;
    } else {
        output::lines(&finding.lines())?;
    }
    Ok(Outcome::Done)
}

/// Where measurements come from.
pub struct Sources<'a> {
    pub landmarks: Option<&'a Path>,
    pub measurements: &'a [PathBuf],
    /// `None`: handshake times are not asked for.
    pub collector: Option<&'a Place>,
}

impl Sources<'_> {
    /// Everything that was measured of a target.
    ///
    /// # Errors
    /// A file cannot be read, or the collector does not answer and no file has a measurement.
    pub fn gather(&self, target: IpAddr, settings: &Settings) -> anyhow::Result<Gathered> {
        let mut landmarks = self.landmarks.map(ping::read).transpose()?.unwrap_or_default();
        let mut measurements = Vec::new();
        for path in self.measurements {
            let file = File::open(path).with_context(|| path.display().to_string())?;
            let read = measurement::read(std::io::BufReader::new(file));
            measurements.extend(read.with_context(|| path.display().to_string())?);
        }
        if let Some(place) = self.collector {
            match passive(&place.open()?, target, &mut landmarks) {
                Ok(seen) => measurements.extend(seen),
                // With measurements at hand, a collector that is not there is no failure.
                Err(error) if measurements.is_empty() => return Err(error),
                Err(error) => say(&format!("no handshake times: {error:#}")),
            }
        }
        let gathered = gather(target, &measurements, &landmarks, settings);
        if !gathered.unknown.is_empty() {
            say(&format!(
                "landmarks without a place: {}",
                gathered.unknown.join(", ")
            ));
        }
        Ok(gathered)
    }
}

/// Locates a target and holds claims against the region.
///
/// # Errors
/// There are more landmarks than are taken.
pub fn find(
    target: IpAddr,
    gathered: Gathered,
    claims: Vec<Claim>,
    settings: Settings,
) -> anyhow::Result<Finding> {
    let located = locate(&gathered.observations, &gathered.bestlines, &settings)?;
    let judge = |claim: Claim| {
        let refuted = refute(&gathered.observations, claim.place, claim.error_km, &settings);
        (claim, refuted)
    };
    Ok(Finding {
        target,
        located,
        claims: claims.into_iter().map(judge).collect(),
        observations: gathered.observations,
        settings,
    })
}

/// The smallest handshake time of each sensor; places that sensors tell are added to `landmarks`.
///
/// # Errors
/// The collector does not answer.
pub fn passive(
    query: &Query,
    target: IpAddr,
    landmarks: &mut Vec<Landmark>,
) -> anyhow::Result<Vec<Measurement>> {
    let sensors = query.status()?.sensors;
    let seen = query.handshakes(target)?;
    if seen.more {
        say("there are more flows than were looked at; the region may be smaller");
    }
    let known: BTreeMap<String, usize> = landmarks
        .iter()
        .enumerate()
        .map(|(at, one)| (one.id.clone(), at))
        .collect();
    let mut measurements = Vec::new();
    for (sensor, (time, _)) in seen.smallest {
        let uuid = uuid::Uuid::from_bytes(sensor.0).to_string();
        let view = sensors.iter().find(|view| view.id == Some(sensor));
        let name = view.map_or("", |view| view.status.name.as_str());
        let configured = view.and_then(|view| view.status.position);
        // A landmark file may know a sensor by its name or its UUID; what it says was said for this question.
        let id = if known.contains_key(name) {
            name.to_owned()
        } else {
            uuid.clone()
        };
        if !known.contains_key(&id)
            && let Some(position) = configured
            && let Some(place) = LatLon::new(position.latitude, position.longitude)
        {
            let mut landmark = Landmark::new(id.clone(), place);
            landmark.error_km = position.error_km;
            landmark.source = format!("sensor {name}");
            landmarks.push(landmark);
        }
        measurements.push(Measurement {
            landmark: id,
            target,
            rtt_ms: time.as_secs_f64() * 1e3,
        });
    }
    Ok(measurements)
}

impl Finding {
    /// For people.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = vec![Line::toned(Tone::Heading, self.target.to_string())];
        let mut row = |name: &str, tone: Tone, text: String| {
            lines.push(Line::toned(Tone::Quiet, format!("  {name:<12}")).and(tone, text));
        };
        let count = self.observations.len();
        match &self.located {
            Located::Anywhere if count == 0 => {
                row(
                    "region",
                    Tone::Plain,
                    "unknown: no landmark measured it".to_owned(),
                );
            }
            Located::Anywhere => row(
                "region",
                Tone::Plain,
                format!("unknown: {count} landmarks, all too slow to exclude a place"),
            ),
            Located::Within(region) => self.region(region, &mut row),
            Located::NoPlace(why) => {
                let at_least = why.separate.len();
                let text = if at_least > 1 {
                    format!(
                        "no single place: it answers from at least {at_least} (anycast), or a clock or position is wrong"
                    )
                } else {
                    "no single place fits all landmarks together: anycast, or a clock or position is wrong"
                        .to_owned()
                };
                row("region", Tone::Warning, text);
                for conflict in why.conflicts.iter().take(5) {
                    let [one, other] = &conflict.landmarks;
                    row(
                        "",
                        Tone::Plain,
                        format!(
                            "{one} and {other} are {:.0} km apart and reach {:.0} km together",
                            conflict.apart_km, conflict.reach_km
                        ),
                    );
                }
                if why.conflicting_pairs > 5 {
                    row(
                        "",
                        Tone::Quiet,
                        format!("{} such pairs in all", why.conflicting_pairs),
                    );
                }
            }
        }
        for (claim, refuted) in &self.claims {
            match refuted {
                None if count == 0 => row(
                    "unknown",
                    Tone::Plain,
                    format!("{} ({}): nothing measured it", claim.place, claim.source),
                ),
                None => row(
                    "possible",
                    Tone::Plain,
                    format!("{} ({}): light permits it", claim.place, claim.source),
                ),
                Some(found) => row(
                    "impossible",
                    Tone::Bad,
                    format!(
                        "{} ({}): light says no, {} {:.1} ms ⇒ within {:.0} km, and that is at least {:.0} km away",
                        claim.place,
                        claim.source,
                        found.landmark,
                        found.rtt_ms,
                        found.within_km,
                        found.claimed_km
                    ),
                ),
            }
        }
        lines
    }

    fn region(&self, region: &Region, row: &mut impl FnMut(&str, Tone, String)) {
        let nearest = self
            .observations
            .iter()
            .find(|one| one.landmark == region.nearest);
        row(
            "centroid",
            Tone::Plain,
            format!(
                "{}, half of the region within {:.0} km, nine tenths within {:.0} km, all within {:.0} km",
                region.centroid, region.radius_50_km, region.radius_90_km, region.radius_max_km
            ),
        );
        let bounds = &region.bounding_box;
        row(
            "box",
            Tone::Plain,
            format!(
                "{:.2}° to {:.2}° latitude, {:.2}° to {:.2}° longitude, center {}",
                bounds.south, bounds.north, bounds.west, bounds.east, region.box_center
            ),
        );
        row("area", Tone::Plain, format!("{:.0} km²", region.area_km2));
        if let Some(nearest) = nearest {
            row(
                "nearest",
                Tone::Plain,
                format!(
                    "{} {:.1} ms ⇒ within {:.0} km",
                    nearest.landmark,
                    nearest.rtt_ms,
                    nearest.radius_km(&self.settings)
                ),
            );
        }
        row(
            "landmarks",
            Tone::Plain,
            format!(
                "{}, of which {} narrow the region",
                self.observations.len(),
                region.constraints
            ),
        );
        if let Some(vote) = &region.vote {
            row(
                "usually",
                Tone::Plain,
                format!(
                    "{} by {} of {} landmarks' own lines",
                    vote.place, vote.agree, vote.of
                ),
            );
        }
    }

    /// For programs; what is not known is null.
    #[must_use]
    pub fn json(&self) -> Value {
        let place = |place: LatLon| json!({"latitude": place.lat(), "longitude": place.lon()});
        let (word, region, no_place) = match &self.located {
            Located::Anywhere => ("unknown", Value::Null, Value::Null),
            Located::Within(region) => {
                let bounds = &region.bounding_box;
                let vote = region
                    .vote
                    .map(|vote| json!({"place": place(vote.place), "agree": vote.agree, "of": vote.of}));
                let region = json!({
                    "centroid": place(region.centroid),
                    "radius_50_km": region.radius_50_km,
                    "radius_90_km": region.radius_90_km,
                    "radius_max_km": region.radius_max_km,
                    "area_km2": region.area_km2,
                    "box": {"south": bounds.south, "north": bounds.north, "west": bounds.west, "east": bounds.east},
                    "box_center": place(region.box_center),
                    "nearest": region.nearest,
                    "constraints": region.constraints,
                    "vote": vote,
                });
                ("region", region, Value::Null)
            }
            Located::NoPlace(why) => {
                let conflicts: Vec<Value> = why
                    .conflicts
                    .iter()
                    .map(|conflict| {
                        json!({"landmarks": conflict.landmarks, "apart_km": conflict.apart_km, "reach_km": conflict.reach_km})
                    })
                    .collect();
                let why = json!({
                    "conflicts": conflicts,
                    "conflicting_pairs": why.conflicting_pairs,
                    "separate": why.separate,
                });
                ("no_place", Value::Null, why)
            }
        };
        let landmarks: Vec<Value> = self
            .observations
            .iter()
            .map(|one| {
                json!({
                    "landmark": one.landmark,
                    "place": place(one.place),
                    "error_km": one.error_km,
                    "rtt_ms": one.rtt_ms,
                    "within_km": one.radius_km(&self.settings),
                })
            })
            .collect();
        let claims: Vec<Value> = self
            .claims
            .iter()
            .map(|(claim, refuted)| {
                let refuted = refuted.as_ref().map(|found| {
                    json!({
                        "landmark": found.landmark,
                        "rtt_ms": found.rtt_ms,
                        "within_km": found.within_km,
                        "at_least_km": found.claimed_km,
                    })
                });
                json!({
                    "source": claim.source,
                    "place": place(claim.place),
                    "error_km": claim.error_km,
                    "refuted_by": refuted,
                })
            })
            .collect();
        json!({
            "ip": self.target,
            "outcome": word,
            "region": region,
            "no_place": no_place,
            "landmarks": landmarks,
            "claims": claims,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_nobody_measured_is_unknown_not_possible() {
        let claim = Claim {
            source: "claim".to_owned(),
            place: LatLon::new(45.5, -73.57).unwrap(),
            error_km: 50.0,
        };
        let finding = Finding {
            target: "192.0.2.1".parse().unwrap(),
            located: Located::Anywhere,
            observations: Vec::new(),
            claims: vec![(claim, None)],
            settings: Settings::default(),
        };
        let text: Vec<String> = finding.lines().iter().map(Line::plain).collect();
        let text = text.join("\n");
        assert!(
            text.contains("unknown") && text.contains("(claim): nothing measured it"),
            "{text}"
        );
        assert!(!text.contains("possible"), "{text}");
    }
}
