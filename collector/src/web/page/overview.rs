//! The overview and the list of profiles.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use lynceus_model::window::WindowId;
use lynceus_view::human;
use serde::Deserialize;

use super::super::error::Refusal;
use super::super::index::{Index, Short};
use super::super::load::Overview;
use super::super::table::{Cell, Table, number, text};
use super::super::{Web, link, rates, svg};
use super::{Shell, Visit, alert_rows, evidence_rows, html};

/// Slices of time in the chart.
const SLICES: usize = 60;
/// Profiles on the overview, and on a page of the list.
const TOP: usize = 8;
const PAGE: usize = 100;

/// A number that says how things are.
pub(in super::super) struct Card {
    pub(in super::super) value: String,
    pub(in super::super) label: String,
    pub(in super::super) class: &'static str,
    pub(in super::super) drawing: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    shell: Shell,
    headline: String,
    verdict: &'static str,
    /// Where a reader goes from the headline: what, and its address.
    trail: Vec<(&'static str, String)>,
    cards: Vec<Card>,
    chart: String,
    alerts: Table,
    profiles: Table,
    evidence: Table,
    empty: bool,
}

pub(super) async fn show(State(web): State<Web>, visit: Visit) -> Result<Response, Refusal> {
    let (data, lines) = web
        .ask(|web| {
            let data = web.overview()?;
            let lines: Vec<rates::Line> = data
                .health
                .sensors
                .iter()
                .map(|sensor| web.0.rates.line(sensor.id))
                .collect();
            Ok((data, lines))
        })
        .await?;
    let clock = &web.0.clock;
    let (start, width, slices) = svg::buckets(&data.evidence_times, &data.alert_times, SLICES);
    let flagged = data.index.flagged();
    let (headline, verdict) = headline(&data, flagged);
    let mut alerts = alert_rows(&data.alerts, clock, "newest alerts");
    alerts.rows.truncate(TOP);
    let top = &data.index.profiles[..data.index.profiles.len().min(TOP)];
    Ok(html(&OverviewPage {
        headline,
        verdict,
        trail: trail(&data),
        cards: cards(&web, &data, &lines, flagged),
        chart: if slices.is_empty() {
            String::new()
        } else {
            svg::time_bars(start, width, &slices, clock)
        },
        alerts,
        profiles: profile_rows(&web, top, "most threatening profiles"),
        evidence: evidence_rows(&data.evidence, clock, "gravest of the newest evidence"),
        empty: data.index.profiles.is_empty(),
        shell: visit.shell("Overview", "Overview"),
    }))
}

/// From the worst host to why it is, what it spoke with, and what is known of it.
fn trail(data: &Overview) -> Vec<(&'static str, String)> {
    let Some(worst) = data.index.profiles.first().filter(|worst| worst.evidence > 0) else {
        return Vec::new();
    };
    let mut trail = vec![
        ("All it did", link::profile(worst.ip)),
        ("What is known of it", link::ip(worst.ip)),
    ];
    if let Some(alert) = data.alerts.iter().find(|alert| alert.profile == worst.ip) {
        let window = link::window(WindowId {
            profile: alert.profile,
            start: alert.window_start,
        });
        trail.insert(0, ("Its peers", format!("{window}?view=peers")));
        trail.insert(0, ("Why: what each piece of evidence adds", link::alert(alert)));
    }
    trail
}

/// What a reader wants to know first.
pub(in super::super) fn headline(data: &Overview, flagged: usize) -> (String, &'static str) {
    if let Some(reason) = &data.health.collector.degraded {
        return (format!("The collector takes nothing now: {reason}"), "bad");
    }
    match (&data.index.profiles[..], flagged) {
        ([], _) => ("No traffic has been seen yet".to_owned(), "quiet"),
        ([worst, ..], 1) => (format!("{} looks infected", worst.ip), "bad"),
        ([worst, ..], 2..) => {
            let others = human::plural(flagged as u64 - 1, "other host", "other hosts");
            (format!("{} and {others} look infected", worst.ip), "bad")
        }
        ([worst, ..], _) if worst.threat > 0.0 => {
            (format!("No alert; {} is the most suspicious", worst.ip), "some")
        }
        ([worst, ..], _) if worst.evidence > 0 => {
            ("No alert, but there is evidence to look at".to_owned(), "some")
        }
        _ => ("Nothing looks suspicious".to_owned(), "good"),
    }
}

pub(in super::super) fn cards(
    web: &Web,
    data: &Overview,
    lines: &[rates::Line],
    flagged: usize,
) -> Vec<Card> {
    let health = &data.health;
    // Who read files is done and has nothing to be connected for.
    let watching: Vec<_> = health
        .sensors
        .iter()
        .filter(|sensor| !super::health::of_files(&sensor.status))
        .collect();
    let connected = watching.iter().filter(|sensor| sensor.connected).count();
    let seen: u64 = health
        .sensors
        .iter()
        .map(|sensor| rates::seen(&sensor.status))
        .sum();
    let lost: u64 = health
        .sensors
        .iter()
        .map(|sensor| rates::lost(&sensor.status))
        .sum();
    // What sensors of packets count; readers of logs count rows.
    let mut points = health
        .sensors
        .iter()
        .flat_map(|sensor| &sensor.status.points)
        .peekable();
    let (unit, each) = if points.peek().is_some() && points.all(|point| point.hook == "log") {
        ("rows of logs", "row")
    } else {
        ("packets", "packet")
    };
    let at_least = |count: usize| {
        let more = if count == 100_000 { "≥ " } else { "" };
        format!("{more}{}", human::count(count as u64))
    };
    let card = |value: String, label: String, class| Card {
        value,
        label,
        class,
        drawing: String::new(),
    };
    let rate = |of: fn(&rates::Line) -> &Vec<f64>| -> Vec<f64> {
        let longest = lines.iter().map(|line| of(line).len()).max().unwrap_or(0);
        // The newest values of all sensors added up.
        (0..longest)
            .rev()
            .map(|back| {
                let value = |line: &rates::Line| of(line).iter().rev().nth(back).copied().unwrap_or(0.0);
                lines.iter().map(value).sum()
            })
            .collect()
    };
    let packets = rate(|line| &line.packets);
    let mut cards = vec![
        card(
            at_least(data.alert_times.len()),
            format!(
                "{}, {} of {}",
                if data.alert_times.len() == 1 {
                    "alert"
                } else {
                    "alerts"
                },
                human::count(flagged as u64),
                human::plural(data.index.profiles.len() as u64, "profile", "profiles")
            ),
            if data.alert_times.is_empty() {
                "good"
            } else {
                "bad"
            },
        ),
        card(
            at_least(data.evidence_times.len()),
            "pieces of evidence".to_owned(),
            "",
        ),
        card(
            human::short_count(seen),
            match packets.last() {
                Some(now) => format!(
                    "{unit} seen, {} a second now",
                    human::short_count(now.round() as u64)
                ),
                None => format!("{unit} seen"),
            },
            "",
        ),
        card(
            human::count(lost),
            if lost == 0 {
                format!("lost: every {each} is accounted for")
            } else {
                "packets, flows or messages lost".to_owned()
            },
            if lost == 0 { "good" } else { "bad" },
        ),
        card(
            format!("{connected} of {}", watching.len()),
            "sensors connected".to_owned(),
            "",
        ),
    ];
    if packets.len() > 1 {
        cards[2].drawing = svg::spark(&packets, &format!("{unit} a second over the last minutes"));
    }
    // Nobody is connected to a store that is only looked at.
    if !web.0.options.live || watching.is_empty() && !health.sensors.is_empty() {
        cards.pop();
    }
    cards
}

pub(in super::super) fn profile_rows(web: &Web, profiles: &[Short], caption: &str) -> Table {
    let mut table = Table::new(
        caption,
        vec![
            text("profile"),
            number("threat"),
            text(""),
            number("alerts"),
            number("evidence"),
            number("windows"),
            number("flows"),
            number("packets"),
            number("bytes"),
            text("last seen (UTC)"),
        ],
        "No profile yet: they appear with the first traffic.",
    );
    for profile in profiles {
        let me = if web.is_me(profile.ip) { " (me)" } else { "" };
        let cells = vec![
            Cell::link(format!("{}{me}", profile.ip), link::profile(profile.ip)),
            Cell::Number(format!("{:.2}", profile.threat), profile.threat),
            Cell::Drawing(threat_bar(profile.threat, profile.threshold)),
            Cell::count(profile.alerts),
            Cell::count(profile.evidence),
            Cell::count(profile.windows),
            Cell::count(profile.flows),
            Cell::count(profile.packets),
            Cell::bytes(profile.bytes),
            Cell::Quiet(
                profile
                    .last
                    .map_or_else(|| "–".to_owned(), |last| web.0.clock.date_time(last)),
            ),
        ];
        table.row_of(if profile.alerts > 0 { "alerted" } else { "" }, cells);
    }
    table
}

/// How far the threat is on its way to the threshold.
fn threat_bar(threat: f64, threshold: f64) -> String {
    let part = if threshold > 0.0 {
        (threat / threshold).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let class = if part >= 1.0 { "alert" } else { "evidence" };
    format!(
        r#"<svg class="share" viewBox="0 0 80 8" aria-hidden="true"><rect class="slot" width="80" height="8"/><rect class="{class}" width="{:.1}" height="8"/></svg>"#,
        80.0 * part
    )
}

#[derive(Template)]
#[template(path = "profiles.html")]
struct ProfilesPage {
    shell: Shell,
    filter: String,
    detected: bool,
    shown: String,
    table: Table,
}

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    q: String,
    #[serde(default)]
    detected: Option<String>,
    #[serde(default)]
    from: usize,
}

/// Profiles whose address holds the text, or lies in the prefix.
pub(in super::super) fn wanted<'a>(index: &'a Index, text: &str, detected: bool) -> Vec<&'a Short> {
    let text = text.trim().to_lowercase();
    let network = text.parse::<lynceus_model::address::Network>().ok();
    let fits = |short: &&Short| {
        let is_wanted = match &network {
            Some(network) => network.contains(short.ip),
            None => text.is_empty() || short.ip.to_string().contains(&text),
        };
        is_wanted && (!detected || short.alerts > 0)
    };
    index.profiles.iter().filter(fits).collect()
}

pub(super) async fn profiles(
    State(web): State<Web>,
    Query(filter): Query<Filter>,
    visit: Visit,
) -> Result<Response, Refusal> {
    let detected = filter.detected.is_some();
    let index = web.ask(Web::index).await?;
    let wanted = wanted(&index, &filter.q, detected);
    let page: Vec<Short> = wanted
        .iter()
        .skip(filter.from)
        .take(PAGE)
        .map(|short| (*short).clone())
        .collect();
    let mut table = profile_rows(&web, &page, "profiles, the most threatening first");
    if page.is_empty() && !index.profiles.is_empty() {
        table.empty = "No profile fits this filter.";
    }
    let next = filter.from + PAGE;
    if next < wanted.len() {
        let detected = if detected { "&detected=on" } else { "" };
        table.next = Some(format!(
            "/profiles?q={}{detected}&from={next}",
            link::encoded(&filter.q)
        ));
    }
    if index.left_out > 0 {
        table.note = format!(
            "{} windows of further profiles are not in this list; the API has them by address.",
            human::count(index.left_out)
        );
    }
    Ok(html(&ProfilesPage {
        shown: format!(
            "{} of {}",
            human::count(wanted.len() as u64),
            human::plural(index.profiles.len() as u64, "profile", "profiles")
        ),
        filter: filter.q,
        detected,
        table,
        shell: visit.shell("Profiles", "Profiles"),
    }))
}
