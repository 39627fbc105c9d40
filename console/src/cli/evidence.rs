//! `lynceus evidence` and `lynceus alerts`: what was found, and why.

use std::net::IpAddr;

use clap::{Args, ValueEnum};
use lynceus_model::evidence::{Evidence, EvidenceType, ThreatLevel};
use lynceus_model::time::Timestamp;
use lynceus_view::search::moment;

use super::place::{Place, Zone};
use super::{Outcome, output, say};
use crate::query::{Query, Wanted};
use crate::text::Line;
use crate::{explain, json, report};

/// Lists evidence: what was found about which profile, how bad and how sure
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus evidence --from results/ --level high      at least high
  lynceus evidence --profile 10.0.0.5 --explain      with the numbers behind each
  lynceus evidence --type HORIZONTAL_PORT_SCAN --json")]
pub struct Options {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// Only this threat level or worse
    #[arg(long, value_enum, default_value_t = Level::Info)]
    level: Level,
    /// Only this type, as HORIZONTAL_PORT_SCAN
    #[arg(long = "type", value_name = "TYPE", value_parser = kind)]
    kind: Option<EvidenceType>,
    /// Everything behind each: numbers, thresholds, flows
    #[arg(long, conflicts_with = "json")]
    explain: bool,
    /// JSON Lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    zone: Zone,
}

/// Lists alerts with the terms of their sums
///
/// Alerts of one address in one window, and in windows that follow each other, are one block: the first in full, then
/// what each further one added.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus alerts --from results/
  lynceus alerts --profile 10.0.0.5 --each           each alert in full
  lynceus alerts --profile 10.0.0.5 --json")]
pub struct AlertOptions {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// Each alert in full, also those that belong together
    #[arg(long, conflicts_with = "json")]
    each: bool,
    /// JSON Lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    zone: Zone,
}

#[derive(Args)]
struct Filter {
    /// Only of this address
    #[arg(long, value_name = "IP")]
    profile: Option<IpAddr>,
    /// Only from this time on: as 2017-05-02, 2017-05-02T10:00, 2017-05-02T10:00:00Z (UTC), or seconds since 1970
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

impl Filter {
    fn wanted(&self) -> Wanted {
        let bounded = self.since.is_some() || self.until.is_some();
        let span = (
            self.since.unwrap_or(Timestamp::MIN),
            self.until.unwrap_or(Timestamp::MAX),
        );
        Wanted {
            profile: self.profile,
            window: None,
            span: bounded.then_some(span),
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl From<Level> for ThreatLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Low => Self::Low,
            Level::Medium => Self::Medium,
            Level::High => Self::High,
            Level::Critical => Self::Critical,
        }
    }
}

fn kind(text: &str) -> Result<EvidenceType, String> {
    EvidenceType::from_name(&text.to_uppercase()).ok_or_else(|| {
        let known: Vec<&str> = EvidenceType::ALL.into_iter().map(EvidenceType::name).collect();
        format!("no such type; there are {}", known.join(", "))
    })
}

/// A time of a flag, as the query language takes it.
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    moment(text).ok_or_else(|| "as 2017-05-02, 2017-05-02T10:00:00Z or seconds since 1970".to_owned())
}

/// Runs `lynceus evidence`.
///
/// # Errors
/// The data cannot be had, or standard output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let mut listed = options.place.open()?.evidence(&options.filter.wanted())?;
    let level = ThreatLevel::from(options.level);
    listed
        .items
        .retain(|found| found.threat_level >= level && options.kind.is_none_or(|kind| kind == found.kind));
    sort(&mut listed.items);
    let clock = options.zone.clock();
    if options.json {
        let mut out = Vec::new();
        listed
            .items
            .iter()
            .for_each(|found| json::finding::write_evidence(&mut out, found));
        output::raw(&out)?;
    } else if listed.items.is_empty() {
        say("no evidence");
    } else if options.explain {
        let lines: Vec<Line> = listed
            .items
            .iter()
            .flat_map(|found| {
                explain::evidence(found, &clock, None)
                    .into_iter()
                    .chain([Line::default()])
            })
            .collect();
        output::lines(&lines)?;
    } else {
        output::lines(&report::evidence(&listed.items, &clock, output::width()))?;
    }
    tell_cut(listed.more, listed.items.len(), "pieces of evidence");
    Ok(Outcome::Done)
}

/// Runs `lynceus alerts`.
///
/// # Errors
/// The data cannot be had, or standard output cannot be written.
pub fn run_alerts(options: &AlertOptions) -> anyhow::Result<Outcome> {
    let query = options.place.open()?;
    let mut listed = query.alerts(&options.filter.wanted())?;
    listed
        .items
        .sort_by_key(|alert| (alert.last, alert.profile, alert.id));
    if options.json {
        let mut out = Vec::new();
        listed
            .items
            .iter()
            .for_each(|alert| json::finding::write_alert(&mut out, alert));
        output::raw(&out)?;
    } else if listed.items.is_empty() {
        say("no alerts");
    } else {
        let evidence = evidence_of(&query, &listed.items)?;
        let clock = options.zone.clock();
        output::lines(&if options.each {
            report::each_alert(&listed.items, &evidence, &clock)
        } else {
            report::alerts(&listed.items, &evidence, &clock)
        })?;
    }
    tell_cut(listed.more, listed.items.len(), "alerts");
    Ok(Outcome::Done)
}

/// The evidence of the windows that alerts stand in.
fn evidence_of(query: &Query, alerts: &[lynceus_model::alert::Alert]) -> anyhow::Result<Vec<Evidence>> {
    let mut windows: Vec<(IpAddr, Timestamp)> = alerts
        .iter()
        .map(|alert| (alert.profile, alert.window_start))
        .collect();
    windows.sort_unstable();
    windows.dedup();
    let mut evidence = Vec::new();
    for (profile, start) in windows {
        let wanted = Wanted {
            profile: Some(profile),
            window: Some(start),
            span: None,
        };
        evidence.extend(query.evidence(&wanted)?.items);
    }
    Ok(evidence)
}

/// In order of time; equal times in the order of ids, so that two runs print the same.
pub(super) fn sort(evidence: &mut [Evidence]) {
    evidence.sort_by_key(|found| (found.last, found.profile, found.id));
}

fn tell_cut(more: bool, shown: usize, what: &str) {
    if more {
        say(&format!(
            "there are more than these {shown} {what}; narrow it with --profile, --since, --until"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_moments_or_seconds() {
        let ten = Timestamp::from_secs(1_493_719_200);
        for text in [
            "1493719200",
            "2017-05-02T10:00:00Z",
            "2017-05-02T10:00",
            "2017-05-02T12:00:00+02:00",
        ] {
            assert_eq!(time(text), Ok(ten), "{text}");
        }
        assert_eq!(time("2017-05-02"), Ok(Timestamp::from_secs(1_493_683_200)));
        assert_eq!(time("2017-05-02T10:00:00.5Z"), Ok(Timestamp(ten.0 + 500_000_000)));
        for bad in ["", "yesterday", "2017-13-02", "9999-01-01"] {
            assert!(time(bad).unwrap_err().contains("2017-05-02,"), "{bad}");
        }
    }
}
