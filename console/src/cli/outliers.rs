//! `lynceus outliers`, `why`, `patterns`, `dive` and `label`: who is odd, why, what they share, and all about one.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use serde::Serialize;

use super::evidence::time;
use super::place::{Place, Zone};
use super::settings::Settings;
use super::{Outcome, analyze, output, say};
use crate::human;
use crate::outliers::dive::Dive;
use crate::outliers::{Account, text};
use crate::query::{Query, Wanted};
use crate::text::Line;

/// Where the windows come from.
#[derive(Args)]
struct Source {
    #[command(flatten)]
    place: Place,
    /// Captures or logs to analyze first, in this process; may be given several times
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    read: Vec<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

impl Source {
    fn open(&self) -> anyhow::Result<Query> {
        if self.read.is_empty() {
            self.place.open()
        } else {
            analyze::in_process(&self.read, &self.settings)
        }
    }
}

#[derive(Args)]
struct Period {
    /// Only windows that begin at this time or later (as 2017-05-02, 2017-05-02T10:00, 2017-05-02T10:00:00Z, or seconds since 1970)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Only windows that begin before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
}

impl Period {
    fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let bounded = self.since.is_some() || self.until.is_some();
        bounded.then(|| {
            (
                self.since.unwrap_or(Timestamp::MIN),
                self.until.unwrap_or(Timestamp::MAX),
            )
        })
    }
}

/// Lists windows by how far they are from their peers and their own past
///
/// Flagged windows (!) come first. In one capture the peers are the hosts in it; a collector compares with what it saw
/// in the last one to two weeks, and raises evidence (OUTLIER) once it knows enough.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus outliers --read capture.pcap
  lynceus outliers --from results/ --limit 5
  lynceus outliers --flagged --since 2026-11-01T00:00:00Z --json")]
pub struct Options {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    period: Period,
    /// Only of this address
    #[arg(long, value_name = "IP")]
    profile: Option<IpAddr>,
    /// Only flagged ones
    #[arg(long)]
    flagged: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// JSON Lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    zone: Zone,
}

/// Says why a window of an address is an outlier, or how far it is from being one
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus why --read capture.pcap                 of the strongest outlier in it
  lynceus why 10.0.0.5 --from results/            of its strongest window
  lynceus why 10.0.0.5 --number 3                 from the collector on this machine")]
pub struct WhyOptions {
    /// Address; without it, of the strongest outlier
    #[arg(value_name = "IP")]
    profile: Option<IpAddr>,
    /// Number of its window (default: the one with the highest score)
    #[arg(long, value_name = "N")]
    number: Option<i64>,
    #[command(flatten)]
    source: Source,
    /// One line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    zone: Zone,
}

/// Tells what the outliers of a period share and others do not, and which have the same account
///
/// Combinations of up to three attributes (port, ASN, SNI, JA4, VLAN, sensor, hour, evidence, unusual features), tested
/// within each of their parts, at a false discovery rate of 5 %.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus patterns --since 2026-11-01T00:00:00Z
  lynceus patterns --read capture.pcap --top 10   nothing is flagged in one capture: the ten highest scores")]
pub struct PatternOptions {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    period: Period,
    /// Where nothing is flagged, so many windows with the highest scores count as outliers, at most a quarter of all
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: u32,
    /// One line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    zone: Zone,
}

/// Shows all about one address or alert: account, what is known, flows, neighbors, history, similar cases, patterns
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus dive 10.0.0.5 --from results/
  lynceus dive 1b2c6f4e-…                         the window of an alert or of an evidence
  lynceus dive 10.0.0.5 --json | jq .neighbors")]
pub struct DiveOptions {
    /// Address, or the id of an alert or of an evidence
    #[arg(value_name = "IP|ID")]
    about: String,
    /// Number of the window of an address (default: the one with the highest score)
    #[arg(long, value_name = "N")]
    number: Option<i64>,
    #[command(flatten)]
    source: Source,
    /// One line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    zone: Zone,
}

/// Notes what you say of a window, so that similar cases recall it
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus label 10.0.0.5 'backup to the new server, fine'
  lynceus label 10.0.0.7 --number 12 'Mirai scan' --from results/
  lynceus label 10.0.0.7 ''                       takes it away")]
pub struct LabelOptions {
    #[arg(value_name = "IP")]
    profile: IpAddr,
    /// What you say, up to 1,000 bytes
    #[arg(value_name = "TEXT")]
    text: String,
    /// Number of its window (default: the one with the highest score)
    #[arg(long, value_name = "N")]
    number: Option<i64>,
    #[command(flatten)]
    place: Place,
    /// One line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    zone: Zone,
}

/// Runs `lynceus outliers`.
///
/// # Errors
/// The data cannot be had, or standard output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let query = options.source.open()?;
    let found = query.outliers(
        options.profile,
        options.period.span(),
        options.flagged,
        options.limit,
    )?;
    if options.json {
        let mut out = Vec::new();
        for account in &found.accounts {
            append(&mut out, account)?;
        }
        output::raw(&out)?;
    } else if found.accounts.is_empty() {
        say("no outliers: no window is over, or none is flagged");
    } else {
        output::lines(&text::outliers(&found, &options.zone.clock(), output::width()))?;
    }
    if found.cut {
        say("there are more windows than were looked at; narrow it with --since, --until");
    }
    Ok(Outcome::Done)
}

/// Runs `lynceus why`.
///
/// # Errors
/// There is no such window, the data cannot be had, or standard output cannot be written.
pub fn why(options: &WhyOptions) -> anyhow::Result<Outcome> {
    let query = options.source.open()?;
    let account = match options.profile {
        Some(profile) => of(&query, profile, options.number)?,
        None => {
            let strongest = query.outliers(None, None, false, 1)?.accounts.into_iter().next();
            strongest.context("there is no window that is over")?
        }
    };
    print(&account, options.json, || {
        text::account(&account, &options.zone.clock(), output::width())
    })
}

/// Runs `lynceus patterns`.
///
/// # Errors
/// The data cannot be had, or standard output cannot be written.
pub fn patterns(options: &PatternOptions) -> anyhow::Result<Outcome> {
    let query = options.source.open()?;
    let shared = query.patterns(options.period.span(), options.top, 0)?;
    print(&shared, options.json, || {
        text::patterns(&shared, &options.zone.clock())
    })
}

/// Runs `lynceus dive`.
///
/// # Errors
/// There is no such window, the data cannot be had, or standard output cannot be written.
pub fn dive(options: &DiveOptions) -> anyhow::Result<Outcome> {
    let query = options.source.open()?;
    let window = match options.about.parse::<IpAddr>() {
        Ok(profile) => of(&query, profile, options.number)?.id(),
        Err(_) => window_of_finding(&query, &options.about)?,
    };
    let dive = Dive::new(&query, window)?;
    print(&dive, options.json, || {
        text::dive(&dive, &options.zone.clock(), output::width())
    })
}

/// Runs `lynceus label`.
///
/// # Errors
/// There is no such window, the text is too long, or the collector does not answer.
pub fn label(options: &LabelOptions) -> anyhow::Result<Outcome> {
    let query = options.place.open()?;
    let window = of(&query, options.profile, options.number)?.id();
    let account = query.label(window, &options.text)?;
    let clock = options.zone.clock();
    print(&account, options.json, || {
        let label = account.label.as_deref().unwrap_or("no label any more");
        vec![Line::from(format!(
            "{}, {} from {}: {}",
            account.profile,
            human::window(account.window),
            clock.date_minute(account.window_start),
            human::printable(label, 1_000)
        ))]
    })
}

/// The strongest window of an address, or the one with a number.
fn of(query: &Query, profile: IpAddr, number: Option<i64>) -> anyhow::Result<Account> {
    let Some(number) = number else {
        let found = query.outliers(Some(profile), None, false, 1)?;
        return found
            .accounts
            .into_iter()
            .next()
            .with_context(|| format!("no window of {profile} is over; an open window has no account yet"));
    };
    let windows = query.windows_of(profile)?;
    let window = windows
        .iter()
        .find(|window| window.number == number)
        .with_context(|| format!("{profile} has no window {number}"))?;
    let id = WindowId {
        profile,
        start: window.start,
    };
    query
        .outlier(id)?
        .with_context(|| format!("no account of {profile} in window {number}; an open window has none yet"))
}

fn window_of_finding(query: &Query, id: &str) -> anyhow::Result<WindowId> {
    let id = id.to_lowercase();
    ensure!(id.len() >= 4, "{id}: neither an address nor an id");
    let mut found = None;
    query.each_alert(&Wanted::default(), |alert| {
        if alert.id.to_string().starts_with(&id) {
            found = Some(WindowId {
                profile: alert.profile,
                start: alert.window_start,
            });
            return std::ops::ControlFlow::Break(());
        }
        std::ops::ControlFlow::Continue(())
    })?;
    if found.is_none() {
        query.each_evidence(&Wanted::default(), |evidence| {
            if evidence.id.to_string().starts_with(&id) {
                found = Some(WindowId {
                    profile: evidence.profile,
                    start: evidence.window_start,
                });
                return std::ops::ControlFlow::Break(());
            }
            std::ops::ControlFlow::Continue(())
        })?;
    }
    found.with_context(|| format!("{id}: no alert and no evidence with this id"))
}

fn print(value: &impl Serialize, json: bool, lines: impl FnOnce() -> Vec<Line>) -> anyhow::Result<Outcome> {
    if json {
        let mut out = Vec::new();
        append(&mut out, value)?;
        output::raw(&out)?;
    } else {
        output::lines(&lines())?;
    }
    Ok(Outcome::Done)
}

fn append(out: &mut Vec<u8>, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value).context("cannot write JSON")?;
    out.push(b'\n');
    Ok(())
}
