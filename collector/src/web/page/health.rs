//! Sensors with the accounting law of each interface and direction; detectors, feeds and the collector itself.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use lynceus_model::status::{Counter, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_view::human::{self, Clock};

use super::super::error::Refusal;
use super::super::load::{Health, Sensor};
use super::super::table::{Cell, Table, number, text};
use super::super::{Web, rates, svg};
use super::{Shell, Visit, html};

/// One sensor on its page.
pub(in super::super) struct SensorBlock {
    pub(in super::super) name: String,
    pub(in super::super) state: &'static str,
    pub(in super::super) class: &'static str,
    pub(in super::super) about: String,
    pub(in super::super) packets: String,
    pub(in super::super) law: Table,
    pub(in super::super) beyond: Table,
}

#[derive(Template)]
#[template(path = "sensors.html")]
struct SensorsPage {
    shell: Shell,
    sensors: Vec<SensorBlock>,
    gaps: Table,
}

pub(super) async fn sensors(State(web): State<Web>, visit: Visit) -> Result<Response, Refusal> {
    let health = web.ask(|web| web.health()).await?;
    let clock = &web.0.clock;
    Ok(html(&SensorsPage {
        sensors: health
            .sensors
            .iter()
            .map(|sensor| block(sensor, &web.0.rates.line(sensor.id), clock, web.0.options.live))
            .collect(),
        gaps: gaps(&health, clock),
        shell: visit.shell("Sensors", "Sensors"),
    }))
}

/// A reader of files: it is done, and was never connected.
pub(super) fn of_files(status: &SensorStatus) -> bool {
    status.points.iter().all(|point| point.hook == "file")
}

/// `live`: whether sensors can be connected here at all.
pub(in super::super) fn block(sensor: &Sensor, line: &rates::Line, clock: &Clock, live: bool) -> SensorBlock {
    let status = &sensor.status;
    let kernel = status
        .kernel
        .as_deref()
        .map_or_else(String::new, |kernel| format!(", kernel {kernel}"));
    let cost = status.nanos_per_packet.map_or_else(String::new, |cost| {
        format!(", {cost:.0} ns per packet in the kernel")
    });
    let read = if status.read_at == Timestamp::default() {
        String::new()
    } else {
        format!(
            ", up {}, read {} {}",
            human::duration(status.read_at.since(status.started)),
            clock.date_time(status.read_at),
            clock.label()
        )
    };
    let file = of_files(status);
    let (state, class) = match (sensor.connected, file) {
        (true, _) => ("connected", "good"),
        (false, true) => ("read from files", "quiet"),
        (false, false) if !live => ("as it was when the store was closed", "quiet"),
        (false, false) => ("not connected", "bad"),
    };
    SensorBlock {
        name: human::printable(&status.name, 100),
        state,
        class,
        about: format!(
            "lynceus {}{kernel}{cost}{read}",
            human::printable(&status.version, 40)
        ),
        packets: if line.packets.len() > 1 {
            svg::spark(&line.packets, "packets a second over the last minutes")
        } else {
            String::new()
        },
        law: law(status),
        beyond: beyond(status),
    }
}

/// seen = recorded + resident + refused, for each interface and direction.
fn law(status: &SensorStatus) -> Table {
    let mut table = Table::new(
        "packets: seen = recorded + resident + refused",
        vec![
            text("interface"),
            text("direction"),
            text("hook"),
            text("law"),
            number("seen"),
            number("recorded"),
            number("resident"),
            number("refused"),
            text("refused and degraded, by reason"),
        ],
        "The sensor has no observation point.",
    );
    for point in &status.points {
        let refused: u64 = point.refused.iter().map(|counter| counter.count).sum();
        let (verdict, class) = match (point.missing(), point.unaccounted().abs()) {
            (0, 0) => ("holds".to_owned(), "good"),
            (0, moving) => (format!("holds, {moving} in motion"), "good"),
            (missing, _) => (format!("{missing} unaccounted"), "bad"),
        };
        let reasons: Vec<String> = (point.refused.iter().map(|counter| ("", counter)))
            .chain(point.degraded.iter().map(|counter| ("degraded ", counter)))
            .filter(|(_, counter)| counter.count > 0)
            .map(|(word, Counter { reason, count })| format!("{word}{reason} {}", human::count(*count)))
            .collect();
        table.row(vec![
            Cell::Text(human::printable(&point.interface, 64)),
            Cell::Text(if point.egress { "egress" } else { "ingress" }.to_owned()),
            Cell::Text(point.hook.clone()),
            Cell::Badge {
                text: verdict,
                class: class.to_owned(),
            },
            Cell::count(point.seen),
            Cell::count(point.recorded),
            Cell::count(point.resident),
            Cell::count(refused),
            Cell::Quiet(reasons.join(", ")),
        ]);
    }
    table
}

/// What happens behind the hooks.
fn beyond(status: &SensorStatus) -> Table {
    let mut table = Table::new(
        "fills and losses behind the hooks",
        vec![
            text("place"),
            text("what"),
            number("count"),
            number("of"),
            text(""),
        ],
        "Nothing was lost, and no store reported its fill.",
    );
    for fill in &status.fills {
        table.row(vec![
            Cell::Text(fill.name.clone().into_owned()),
            Cell::Quiet(format!("{} used", fill.unit)),
            Cell::count(fill.used),
            Cell::count(fill.limit),
            Cell::Drawing(share(fill.used, fill.limit)),
        ]);
    }
    for loss in status.losses.iter().filter(|loss| loss.count > 0) {
        table.row_of(
            "alerted",
            vec![
                Cell::Text(loss.stage.clone().into_owned()),
                Cell::Text(format!("{} lost: {}", loss.unit, loss.reason)),
                Cell::count(loss.count),
                Cell::Quiet(String::new()),
                Cell::Quiet(String::new()),
            ],
        );
    }
    table
}

fn share(used: u64, limit: u64) -> String {
    let part = if limit == 0 {
        0.0
    } else {
        (used as f64 / limit as f64).clamp(0.0, 1.0)
    };
    format!(
        r#"<svg class="share" viewBox="0 0 80 8" aria-hidden="true"><rect class="slot" width="80" height="8"/><rect class="traffic" width="{:.1}" height="8"/></svg>"#,
        80.0 * part
    )
}

fn gaps(health: &Health, clock: &Clock) -> Table {
    let mut table = Table::new(
        "times for which data is missing, the newest first",
        vec![
            text("from"),
            text("to"),
            text("sensor"),
            text("reason"),
            number("flows"),
            number("packets"),
        ],
        "No gaps: nothing is missing.",
    );
    let known = |count: Option<u64>| count.map_or_else(|| Cell::Quiet("unknown".into()), Cell::count);
    for (sensor, gap) in &health.gaps {
        table.row(vec![
            Cell::Quiet(clock.date_time(gap.first)),
            Cell::Quiet(clock.date_time(gap.last)),
            Cell::Code(crate::json::uuid(sensor.0).to_string()),
            Cell::Text(gap.reason.name().replace('_', " ")),
            known(gap.flows),
            known(gap.packets),
        ]);
    }
    let more = health.gaps_total.saturating_sub(health.gaps.len() as u64);
    if more > 0 {
        table.note = format!("and {} older ones", human::count(more));
    }
    table
}

/// What a store does not hold.
const NOT_KEPT: &str = "Not kept with the results.";

#[derive(Template)]
#[template(path = "modules.html")]
struct ModulesPage {
    shell: Shell,
    modules: Table,
    whitelist: String,
    feeds: Table,
    collector: Vec<(&'static str, String)>,
    totals: Table,
    refused: Table,
}

pub(super) async fn modules(State(web): State<Web>, visit: Visit) -> Result<Response, Refusal> {
    let mut health = web.ask(|web| web.health()).await?;
    let clock = &web.0.clock;
    let kept = web.0.options.kept;
    if kept {
        // They are those of the process that shows the store, not of the run that made it.
        let collector = &mut health.collector;
        collector.modules.clear();
        collector.feeds.clear();
        collector.totals.clear();
        collector.refused.clear();
    }
    let collector = &health.collector;
    let or_not_kept = |text: &'static str| if kept { NOT_KEPT } else { text };
    let counters = |caption: &str, counters: &[lynceus_proto::v1::Counter], empty| {
        let mut table = Table::new(caption, vec![text("what"), number("count")], empty);
        for counter in counters {
            table.row(vec![
                Cell::Text(counter.reason.replace('_', " ")),
                Cell::count(counter.count),
            ]);
        }
        table
    };
    let mut about = vec![
        ("version", collector.version.clone()),
        (
            "store",
            format!("{}, durability {}", collector.engine, collector.durability),
        ),
        ("log", human::bytes(collector.log_bytes)),
        (
            "batches",
            format!(
                "{} accepted, {} applied",
                human::count(collector.accepted_position),
                human::count(collector.applied_position)
            ),
        ),
    ];
    if !kept {
        let started = clock.date_time(Timestamp(collector.started));
        about.push(("started", format!("{started} {}", clock.label())));
        let state = collector.degraded.clone();
        about.push(("state", state.unwrap_or_else(|| "takes batches".to_owned())));
    }
    Ok(html(&ModulesPage {
        modules: modules_table(&health, or_not_kept("No module runs: nothing is looked for.")),
        whitelist: match kept {
            true => NOT_KEPT.to_owned(),
            false => format!(
                "{}.",
                human::plural(collector.whitelist_entries, "entry", "entries")
            ),
        },
        feeds: feeds(
            &health,
            clock,
            or_not_kept("No feed is configured: nothing is known of blocklists."),
        ),
        collector: about,
        totals: counters(
            "totals since the start",
            &collector.totals,
            or_not_kept("Nothing yet."),
        ),
        refused: counters(
            "refused, by reason",
            &collector.refused,
            or_not_kept("Nothing was refused."),
        ),
        shell: visit.shell("Modules", "Modules"),
    }))
}

fn modules_table(health: &Health, empty: &'static str) -> Table {
    let mut table = Table::new(
        "modules",
        vec![
            text("module"),
            text("state"),
            number("updates"),
            number("time for them"),
            number("slow"),
            number("panics"),
            number("hangs"),
            number("restarts"),
            number("waiting groups"),
            number("missed groups"),
            text("last fault"),
        ],
        empty,
    );
    for module in &health.collector.modules {
        let class = match module.state.as_str() {
            "running" | "attached" => "good",
            "away" => "quiet",
            _ => "bad",
        };
        let busy = module.busy_nanos.map_or_else(
            || Cell::Quiet("unknown".into()),
            |nanos| {
                Cell::Number(
                    human::duration(std::time::Duration::from_nanos(nanos)),
                    nanos as f64,
                )
            },
        );
        table.row(vec![
            Cell::Text(human::printable(&module.name, 60)),
            Cell::Badge {
                text: module.state.clone(),
                class: class.to_owned(),
            },
            Cell::count(module.updates),
            busy,
            Cell::count(module.slow),
            Cell::count(module.panics),
            Cell::count(module.hangs),
            Cell::count(module.restarts),
            Cell::count(module.waiting),
            Cell::count(module.missed),
            Cell::Quiet(human::printable(
                module.last_fault.as_deref().unwrap_or_default(),
                120,
            )),
        ]);
    }
    table
}

fn feeds(health: &Health, clock: &Clock, empty: &'static str) -> Table {
    let mut table = Table::new(
        "threat feeds",
        vec![
            text("feed"),
            text("state"),
            text("copy of (UTC)"),
            number("indicators"),
            number("expired"),
            number("bad lines"),
            number("memory"),
        ],
        empty,
    );
    for feed in &health.collector.feeds {
        let (state, class) = match (&feed.error, feed.taken) {
            (Some(error), _) => (human::printable(error, 120), "bad"),
            (None, Some(_)) => ("loaded".to_owned(), "good"),
            (None, None) => ("not loaded".to_owned(), "quiet"),
        };
        table.row(vec![
            Cell::Text(human::printable(&feed.name, 60)),
            Cell::Badge {
                text: state,
                class: class.to_owned(),
            },
            Cell::Quiet(
                feed.taken
                    .map_or_else(|| "never".to_owned(), |taken| clock.date_time(Timestamp(taken))),
            ),
            Cell::count(feed.indicators),
            Cell::count(feed.expired),
            Cell::count(feed.bad),
            Cell::bytes(feed.bytes),
        ]);
    }
    table
}
