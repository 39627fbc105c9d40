//! The accounting law of every observation point, fills and losses, as text for terminal and screen.

use lynceus_model::status::{Counter, Loss, PointStatus, SensorStatus};

use crate::human::{self, Clock};
use crate::table::{Align, Cell, Table};
use crate::text::{Line, Tone};

/// The law over all points of all sensors in one line.
#[must_use]
pub fn summary(sensors: &[SensorStatus]) -> Line {
    let points: Vec<&PointStatus> = sensors.iter().flat_map(|sensor| &sensor.points).collect();
    if points.is_empty() {
        return Line::toned(Tone::Quiet, "no sensor has reported yet");
    }
    let sum = |of: fn(&PointStatus) -> u64| points.iter().map(|point| of(point)).sum::<u64>();
    let refused = points.iter().map(|point| total(&point.refused)).sum::<u64>();
    let law = format!(
        "seen {} = recorded {} + resident {} + refused {} ",
        human::count(sum(|point| point.seen)),
        human::count(sum(|point| point.recorded)),
        human::count(sum(|point| point.resident)),
        human::count(refused),
    );
    let (tone, verdict) = verdict(points.iter().copied());
    let line = Line::from(law).and(tone, verdict);
    match lost(sensors) {
        0 => line,
        lost => line.and(Tone::Warning, format!(", {} lost later", human::count(lost))),
    }
}

/// An analysis of files, which reads no clock, rather than a sensor.
#[must_use]
pub const fn of_files(status: &SensorStatus) -> bool {
    status.read_at.0 == 0
}

/// Every point, fill and loss of every sensor.
#[must_use]
pub fn report(sensors: &[SensorStatus], clock: &Clock) -> Vec<Line> {
    let mut lines = Vec::new();
    for status in sensors {
        let kernel = status
            .kernel
            .as_deref()
            .map_or_else(String::new, |kernel| format!(", kernel {kernel}"));
        let when = if of_files(status) {
            // What a file says is no clock's time.
            String::new()
        } else {
            format!(
                ", up {}, read {} {}",
                human::duration(status.read_at.since(status.started)),
                clock.date_time(status.read_at),
                clock.label()
            )
        };
        lines.push(
            Line::toned(Tone::Heading, status.name.clone())
                .and(Tone::Quiet, format!("  lynceus {}{kernel}{when}", status.version)),
        );
        lines.push(Line::default());
        lines.extend(points(&status.points));
        lines.extend(beyond(status));
        lines.push(Line::default());
    }
    if sensors.is_empty() {
        lines.push(Line::toned(Tone::Quiet, "no sensor has reported yet"));
    }
    lines
}

/// The law, a line for each interface and direction: seen = recorded + resident + refused.
fn points(points: &[PointStatus]) -> Vec<Line> {
    let mut table = Table::new(vec![
        ("packets at", Align::Left),
        ("hook", Align::Left),
        ("law", Align::Left),
        ("seen", Align::Right),
        ("recorded", Align::Right),
        ("resident", Align::Right),
        ("refused", Align::Right),
    ]);
    for point in points {
        let (tone, verdict) = verdict([point]);
        table.row(vec![
            place(point).into(),
            point.hook.clone().into(),
            Cell::toned(tone, verdict),
            human::count(point.seen).into(),
            human::count(point.recorded).into(),
            human::count(point.resident).into(),
            human::count(total(&point.refused)).into(),
        ]);
    }
    let mut lines = table.lines(2);
    for point in points.iter().filter(|point| point.blocked > 0) {
        let line = Line::toned(Tone::Quiet, format!("    {} blocked: ", place(point)));
        lines.push(line.and(
            Tone::Warning,
            format!(
                "{} of those seen were dropped on request",
                human::count(point.blocked)
            ),
        ));
    }
    for point in points {
        for (word, counters) in [("refused", &point.refused), ("degraded", &point.degraded)] {
            let reasons = reasons(counters);
            if !reasons.is_empty() {
                let line = Line::toned(Tone::Quiet, format!("    {} {word}: ", place(point)));
                lines.push(line.and(Tone::Warning, reasons));
            }
        }
    }
    lines
}

/// What happens behind the hooks: cost, fills, losses.
fn beyond(status: &SensorStatus) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(place) = status.position {
        let text = format!(
            "{:.2}, {:.2} within {:.0} km, as configured",
            place.latitude, place.longitude, place.error_km
        );
        lines.push(Line::toned(Tone::Quiet, "  place   ").and(Tone::Plain, text));
    }
    if status.kernel.is_some() {
        let cost = match status.nanos_per_packet {
            Some(cost) => format!("{cost:.0} ns per packet in the kernel (a super packet is one)"),
            None => "not measured (`sysctl kernel.bpf_stats_enabled=1` has the kernel measure it)".to_owned(),
        };
        lines.push(Line::toned(Tone::Quiet, "  cost    ").and(Tone::Plain, cost));
    }
    for fill in &status.fills {
        let share = if fill.limit == 0 {
            0.0
        } else {
            fill.used as f64 / fill.limit as f64
        };
        let tone = if share >= 0.9 { Tone::Warning } else { Tone::Plain };
        lines.push(Line::toned(Tone::Quiet, "  fill    ").and(
            tone,
            format!(
                "{} {} of {} {} ({:.1} %)",
                fill.name.replace('_', " "),
                human::count(fill.used),
                human::count(fill.limit),
                fill.unit,
                share * 100.0
            ),
        ));
    }
    let losses: Vec<_> = status.losses.iter().filter(|loss| loss.count > 0).collect();
    if losses.is_empty() {
        lines.push(Line::toned(Tone::Quiet, "  losses  ").and(Tone::Good, "none behind the hooks"));
    }
    for loss in losses {
        lines.push(Line::toned(Tone::Quiet, "  losses  ").and(
            Tone::Bad,
            format!(
                "{} {} at {}: {}",
                human::count(loss.count),
                loss.unit,
                loss.stage,
                loss.reason.replace('_', " ")
            ),
        ));
    }
    lines
}

/// `eth0 ingress`
fn place(point: &PointStatus) -> String {
    // Logs have rows and no direction.
    if point.hook == "log" {
        return point.interface.clone();
    }
    format!(
        "{} {}",
        point.interface,
        if point.egress { "egress" } else { "ingress" }
    )
}

/// What the law says of some points. What one misses is not made good by another that has too many.
fn verdict<'a>(points: impl IntoIterator<Item = &'a PointStatus>) -> (Tone, String) {
    let count = |n: i128| human::count(u64::try_from(n.unsigned_abs()).unwrap_or(u64::MAX));
    let (mut missing, mut surplus, mut moving) = (0, 0, 0);
    for point in points {
        match point.missing() {
            0 => moving += point.unaccounted().abs(),
            some if some > 0 => missing += some,
            some => surplus += some,
        }
    }
    match (missing, surplus, moving) {
        (0, 0, 0) => (Tone::Good, "balanced".to_owned()),
        (0, 0, moving) => (Tone::Good, format!("balanced, {} in motion", count(moving))),
        (0, surplus, _) => (Tone::Bad, format!("{} too many", count(surplus))),
        (missing, 0, _) => (Tone::Bad, format!("{} missing", count(missing))),
        (missing, surplus, _) => (
            Tone::Bad,
            format!("{} missing, {} too many", count(missing), count(surplus)),
        ),
    }
}

fn total(counters: &[Counter]) -> u64 {
    counters.iter().map(|counter| counter.count).sum()
}

pub(crate) fn reasons(counters: &[Counter]) -> String {
    let named: Vec<String> = counters
        .iter()
        .filter(|counter| counter.count > 0)
        .map(|counter| {
            format!(
                "{} {}",
                counter.reason.replace('_', " "),
                human::count(counter.count)
            )
        })
        .collect();
    named.join(", ")
}

/// Traffic that was lost behind the hooks. What only interprets traffic (heads, messages, handshake times) is told by
/// the report: those refusals are bounds at work, and every packet still counts.
fn lost(sensors: &[SensorStatus]) -> u64 {
    let traffic = |loss: &&Loss| {
        matches!(
            &*loss.unit,
            "packets" | "records" | "flows" | "updates" | "batches"
        )
    };
    sensors
        .iter()
        .flat_map(|sensor| &sensor.losses)
        .filter(traffic)
        .map(|loss| loss.count)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::status;

    fn sensors(change: impl FnOnce(&mut SensorStatus)) -> Vec<SensorStatus> {
        let mut status = status();
        change(&mut status);
        vec![status]
    }

    #[test]
    fn the_law_is_balanced_or_says_what_is_missing() {
        let good = summary(&sensors(|_| {}));
        assert_eq!(
            good.plain(),
            "seen 120,000 = recorded 100,000 + resident 19,990 + refused 10 balanced"
        );
        let bad = summary(&sensors(|status| status.points[0].seen += 7));
        assert!(bad.plain().ends_with("refused 10 7 missing"), "{}", bad.plain());
        assert!(bad.0.iter().any(|(tone, _)| *tone == Tone::Bad));
    }

    #[test]
    fn what_moved_while_it_was_read_is_not_missing() {
        let moving = |more: u64| {
            sensors(|status| {
                status.points[0].seen += more;
                status.points[0].moved.seen = 7;
            })
        };
        let good = summary(&moving(7));
        assert!(
            good.plain().ends_with("refused 10 balanced, 7 in motion"),
            "{}",
            good.plain()
        );
        assert!(good.0.iter().all(|(tone, _)| *tone != Tone::Bad));
        assert!(summary(&moving(9)).plain().ends_with("refused 10 2 missing"));
    }

    #[test]
    fn a_surplus_does_not_hide_what_is_missing() {
        let both = sensors(|status| {
            let mut other = status.points[0].clone();
            other.seen -= 3;
            status.points[0].seen += 3;
            status.points.push(other);
        });
        assert!(summary(&both).plain().ends_with("3 missing, 3 too many"));
    }

    #[test]
    fn losses_behind_the_hooks_are_named() {
        let text = |lines: Vec<Line>| lines.iter().map(|line| line.plain() + "\n").collect::<String>();
        assert!(text(report(&sensors(|_| {}), &Clock::utc())).contains("none behind the hooks"));
        let lossy = sensors(|status| status.losses[0].count = 3);
        assert!(text(report(&lossy, &Clock::utc())).contains("3 heads at queue: full"));
        assert!(summary(&lossy).plain().ends_with("balanced"));
        let lossy = sensors(|status| {
            status.losses[0].count = 3;
            status.losses[0].unit = "batches".into();
        });
        assert!(summary(&lossy).plain().ends_with("3 lost later"));
    }
}
