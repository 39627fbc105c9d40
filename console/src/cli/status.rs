//! `lynceus status`: where every packet went, how full everything is, what was lost.

use clap::Args;
use lynceus_model::outlier::sentence;
use lynceus_model::status::{Gap, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::v1;

use super::place::{Place, Zone};
use super::{Outcome, output};
use crate::accounting;
use crate::human::{self, Clock};
use crate::query::StatusView;
use crate::text::{Line, Tone};

/// Shows the accounting law of every interface and direction, fills, cost per packet, and losses by reason
///
/// The law: packets seen by a hook = packets in flow records + packets resident in the kernel table + packets refused
/// by a named reason; under load but for the packets that moved while it was read. Exit code 1 when it does not hold.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus status
  lynceus status --connect unix:/run/lynceus/query.sock
  watch --color lynceus status")]
pub struct Options {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    zone: Zone,
}

/// Runs the command.
///
/// # Errors
/// The collector does not answer, or standard output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let status = options.place.open()?.status()?;
    let folder = options.place.is_folder().then(|| options.place.title());
    output::lines(&report(&status, folder.as_deref(), &options.zone.clock()))?;
    let balanced = status
        .sensors
        .iter()
        .flat_map(|sensor| &sensor.status.points)
        .all(|point| point.missing() == 0);
    Ok(if balanced { Outcome::Done } else { Outcome::Damaged })
}

/// `folder`: what is looked at, where no collector runs.
fn report(status: &StatusView, folder: Option<&str>, clock: &Clock) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(collector) = &status.collector {
        lines.extend(of_collector(collector, folder, clock));
        lines.push(Line::default());
    }
    let away: Vec<Line> = status
        .sensors
        .iter()
        .filter(|sensor| !sensor.connected && !accounting::of_files(&sensor.status))
        .map(|sensor| {
            let text = format!(
                "{} is not connected; it was last heard of at {} {}",
                sensor.status.name,
                clock.date_time(sensor.received_at),
                clock.label()
            );
            Line::toned(Tone::Warning, text)
        })
        .collect();
    let sensors: Vec<SensorStatus> = status
        .sensors
        .iter()
        .map(|sensor| sensor.status.clone())
        .collect();
    lines.extend(accounting::report(&sensors, clock));
    lines.extend(away);
    lines.extend(gaps(&status.gaps, status.gaps_total, clock));
    lines
}

/// What the outlier detector knows of a role.
fn of_outliers(known: &v1::OutlierWarmth) -> Line {
    let role = human::printable(&known.role, 60);
    let (state, tone, end) = if known.warm {
        ("warm", Tone::Plain, "")
    } else {
        ("warming up", Tone::Warning, "; nothing is raised yet")
    };
    let progress = sentence::progress(
        (known.windows, known.wanted_windows),
        (known.hours, known.wanted_hours),
    );
    let text = format!("{role} baseline is {state}: {progress}{end}");
    Line::toned(Tone::Quiet, "  outlier ").and(tone, text)
}

fn of_collector(collector: &v1::CollectorStatus, folder: Option<&str>, clock: &Clock) -> Vec<Line> {
    let heading = match folder {
        // When this process began to look is nobody's question.
        Some(folder) => Line::toned(Tone::Heading, "results").and(Tone::Quiet, format!("  {folder}")),
        None => Line::toned(Tone::Heading, "collector").and(
            Tone::Quiet,
            format!(
                "  lynceus {}, up since {} {}",
                collector.version,
                clock.date_time(Timestamp(collector.started)),
                clock.label()
            ),
        ),
    };
    let behind = collector
        .accepted_position
        .saturating_sub(collector.applied_position);
    let tables = collector
        .table_bytes
        .map_or_else(String::new, |bytes| format!(", tables {}", human::bytes(bytes)));
    let mut lines = vec![
        heading,
        Line::toned(Tone::Quiet, "  store   ").and(
            Tone::Plain,
            format!(
                "{} (durability: {}), log {}{tables}",
                collector.engine,
                collector.durability,
                human::bytes(collector.log_bytes)
            ),
        ),
        Line::toned(Tone::Quiet, "  batches ").and(
            if behind > 1000 { Tone::Warning } else { Tone::Plain },
            format!(
                "{} accepted, {} not yet judged",
                human::count(collector.accepted_position),
                human::count(behind)
            ),
        ),
    ];
    let named = |counters: &[v1::Counter]| {
        let parts: Vec<String> = counters
            .iter()
            .filter(|counter| counter.count > 0)
            .map(|counter| {
                format!(
                    "{} {}",
                    human::count(counter.count),
                    counter.reason.replace('_', " ")
                )
            })
            .collect();
        parts.join(", ")
    };
    for (word, tone, counters) in [
        ("  totals  ", Tone::Plain, &collector.totals),
        ("  refused ", Tone::Bad, &collector.refused),
    ] {
        let text = named(counters);
        if !text.is_empty() {
            lines.push(Line::toned(Tone::Quiet, word).and(tone, text));
        }
    }
    if collector.whitelist_entries > 0 {
        let entries = human::plural(collector.whitelist_entries, "entry", "entries");
        lines.push(Line::toned(Tone::Quiet, "  white   ").and(Tone::Plain, format!("list of {entries}")));
    }
    lines.extend(collector.feeds.iter().map(|feed| of_feed(feed, clock)));
    // Over a folder these are the modules of this process, which judged nothing.
    if folder.is_none() {
        lines.extend(of_modules(&collector.modules));
    }
    lines.extend(collector.outliers.iter().map(of_outliers));
    if let Some(reason) = &collector.degraded {
        lines.push(Line::toned(
            Tone::Alert,
            format!("  takes nothing now: {}", human::printable(reason, 300)),
        ));
    }
    lines
}

/// All in one line, and one for each that did not just run.
fn of_modules(modules: &[v1::ModuleStatus]) -> Vec<Line> {
    if modules.is_empty() {
        return Vec::new();
    }
    let running = modules
        .iter()
        .filter(|module| matches!(module.state.as_str(), "running" | "attached"));
    let text = format!("{} of {} at work", running.count(), modules.len());
    let mut lines = vec![Line::toned(Tone::Quiet, "  modules ").and(Tone::Plain, text)];
    let notable = modules.iter().filter(|module| {
        module.state != "running"
            || module.restarts > 0
            || module.slow > 0
            || module.late > 0
            || module.waiting > 0
            || module.full > 0
            || module.missed > 0
            || module.refused > 0
    });
    for module in notable {
        let name = human::printable(&module.name, 64);
        let mut text = format!(
            "{name}: {}, restarts {}",
            module.state,
            human::count(module.restarts)
        );
        if let Some(position) = module.position {
            text += &format!(", through with entry {}", human::count(position));
        }
        for (count, what) in [
            (module.panics, "panics"),
            (module.hangs, "hangs"),
            (module.slow, "slow groups"),
            (module.late, "late findings"),
            (module.waiting, "behind, groups that wait"),
            (module.full, "waited for with its queue full"),
            (module.missed, "groups not shown to it"),
            (module.refused, "things refused for want of room"),
        ] {
            if count > 0 {
                text += &format!(", {what} {}", human::count(count));
            }
        }
        if let Some(fault) = &module.last_fault {
            text += &format!("; last fault: {}", human::printable(fault, 200));
        }
        let tone = match module.state.as_str() {
            "stopped" | "away" => Tone::Bad,
            _ if module.last_fault.is_some() => Tone::Warning,
            _ => Tone::Plain,
        };
        lines.push(Line::toned(Tone::Quiet, "  module  ").and(tone, text));
    }
    lines
}

fn of_feed(feed: &v1::FeedStatus, clock: &Clock) -> Line {
    let mut text = match feed.taken {
        None => format!("{}: not loaded yet, so what it lists is unknown", feed.name),
        Some(taken) => format!(
            "{}: {} of {} {}",
            feed.name,
            human::plural(feed.indicators, "indicator", "indicators"),
            clock.date_time(Timestamp(taken)),
            clock.label()
        ),
    };
    for (count, what) in [(feed.bad, "not understood"), (feed.expired, "expired")] {
        if count > 0 {
            text += &format!(", {} {what}", human::count(count));
        }
    }
    if let Some(error) = &feed.error {
        text += &format!("; last try: {}", human::printable(error, 200));
    }
    let tone = if feed.error.is_some() || feed.taken.is_none() {
        Tone::Warning
    } else {
        Tone::Plain
    };
    Line::toned(Tone::Quiet, "  feed    ").and(tone, text)
}

/// Stretches of time for which data is known to be missing.
fn gaps(gaps: &[(Option<SensorId>, Gap)], total: u64, clock: &Clock) -> Vec<Line> {
    if total == 0 {
        return vec![Line::toned(Tone::Good, "no gaps")];
    }
    let mut lines = vec![Line::toned(Tone::Bad, human::plural(total, "gap", "gaps"))];
    for (sensor, gap) in gaps {
        let sensor = sensor.map_or_else(String::new, |id| format!(" of sensor {id}"));
        let count = |what: &str, count: Option<u64>| {
            count.map_or_else(
                || format!(", unknown {what}"),
                |count| format!(", {} {what}", human::count(count)),
            )
        };
        lines.push(Line::from(format!(
            "  {}{sensor} from {} to {} {}{}{}",
            gap.reason.name().replace('_', " "),
            clock.date_time(gap.first),
            clock.date_time(gap.last),
            clock.label(),
            count("flows", gap.flows),
            count("packets", gap.packets),
        )));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_not_called_a_collector_that_runs() {
        let collector = v1::CollectorStatus {
            modules: vec![v1::ModuleStatus {
                name: "arp_scan".to_owned(),
                state: "running".to_owned(),
                ..v1::ModuleStatus::default()
            }],
            ..v1::CollectorStatus::default()
        };
        let said = |folder| -> String {
            let lines = of_collector(&collector, folder, &Clock::utc());
            lines.iter().map(|line| line.plain() + "\n").collect()
        };
        let kept = said(Some("results/"));
        assert!(kept.starts_with("results  results/\n"), "{kept}");
        assert!(!kept.contains("up since") && !kept.contains("modules"), "{kept}");
        let live = said(None);
        assert!(
            live.contains("up since") && live.contains("1 of 1 at work"),
            "{live}"
        );
    }

    #[test]
    fn a_baseline_says_how_warm_it_is_and_that_nothing_is_raised_yet() {
        let mut known = v1::OutlierWarmth {
            role: "client".to_owned(),
            windows: 144,
            hours: 12.0,
            wanted_windows: 200,
            wanted_hours: 24.0,
            warm: false,
        };
        let text = of_outliers(&known).plain();
        assert!(
            text.ends_with(
                "client baseline is warming up: 144 of 200 windows over 12.0 of 24.0 hours; nothing is raised yet"
            ),
            "{text}"
        );
        (known.windows, known.hours, known.warm) = (2_880, 240.0, true);
        let text = of_outliers(&known).plain();
        assert!(
            text.ends_with("client baseline is warm: 2,880 windows over 240.0 hours"),
            "{text}"
        );
    }
}
