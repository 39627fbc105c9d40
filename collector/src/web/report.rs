//! One HTML file of everything that matters of a run: it opens without a server and loads nothing.

use std::collections::BTreeSet;

use anyhow::anyhow;
use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lynceus_model::window::WindowId;
use lynceus_view::human;
use sha2::{Digest as _, Sha256};

use super::index::Short;
use super::page::{self, parts};
use super::table::Table;
use super::{Web, assets, rates, svg};

/// Profiles that have a section, the most threatening first; all others are in the table. Bounds the file to a few MB.
const PROFILES: usize = 30;
/// Profiles in the table.
const ROWS: usize = 500;
/// Lines of one timeline.
const LINES: usize = 300;

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage {
    title: String,
    policy: String,
    style: String,
    headline: String,
    verdict: &'static str,
    cards: Vec<page::Card>,
    chart: String,
    profiles: Table,
    sections: Vec<Section>,
    sensors: Vec<page::SensorBlock>,
    made: String,
}

/// One profile in its most telling window.
struct Section {
    id: String,
    ip: String,
    window: String,
    facts: Vec<(&'static str, String, &'static str)>,
    alerts: Vec<AlertSection>,
    evidence: Table,
    lines: Vec<parts::Line>,
    note: String,
    tables: Vec<Table>,
    map: String,
}

struct AlertSection {
    sentence: String,
    missing: String,
    chart: String,
    terms: Table,
    compared: Vec<page::Compared>,
    /// Alerts of its group, with the first of them in the section; none if it stands alone.
    related: Option<Table>,
}

impl Web {
    /// The report of everything in the store. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn report(&self) -> anyhow::Result<String> {
        self.make_report().map_err(|refusal| anyhow!(refusal.message))
    }

    fn make_report(&self) -> Result<String, super::error::Refusal> {
        let data = self.overview()?;
        let clock = &self.0.clock;
        let flagged = data.index.flagged();
        let (headline, verdict) = page::headline(&data, flagged);
        let (start, width, slices) = svg::buckets(&data.evidence_times, &data.alert_times, 60);
        let telling = data.index.profiles.iter().filter(|profile| profile.evidence > 0);
        let mut sections = Vec::new();
        for short in telling.take(PROFILES) {
            sections.push(self.section(short)?);
        }
        let rows = &data.index.profiles[..data.index.profiles.len().min(ROWS)];
        let mut profiles = page::profile_rows(self, rows, "profiles, the most threatening first");
        if data.index.profiles.len() > ROWS {
            profiles.note = format!(
                "and {} more",
                human::count((data.index.profiles.len() - ROWS) as u64)
            );
        }
        let style = assets::text("style.css");
        let hash = STANDARD.encode(Sha256::digest(style.as_bytes()));
        let included: BTreeSet<String> = sections.iter().map(|section| section.ip.clone()).collect();
        let report = ReportPage {
            title: self.0.options.title.clone(),
            policy: format!("default-src 'none'; style-src 'sha256-{hash}'"),
            style,
            headline,
            verdict,
            cards: page::cards(self, &data, &[], flagged),
            chart: if slices.is_empty() {
                String::new()
            } else {
                svg::time_bars(start, width, &slices, clock)
            },
            profiles,
            sections,
            sensors: data
                .health
                .sensors
                .iter()
                .map(|sensor| page::block(sensor, &rates::Line::default(), clock, self.0.options.live))
                .collect(),
            made: format!("lynceus {}", env!("CARGO_PKG_VERSION")),
        };
        let html = report.render().map_err(|_| super::error::Refusal::internal())?;
        Ok(alone(&html, &included))
    }

    fn section(&self, short: &Short) -> Result<Section, super::error::Refusal> {
        let id = WindowId {
            profile: short.ip,
            start: short.telling,
        };
        let clock = &self.0.clock;
        let data = self.window(id, Vec::new())?;
        let mut alerts = Vec::new();
        let mut groups = BTreeSet::new();
        for alert in &data.alerts {
            let explained = self.explained(id, alert.id)?;
            let related = match groups.insert(alert.group) {
                true => self.related(alert)?,
                false => Vec::new(),
            };
            let (chart, terms) = page::explained(&explained);
            alerts.push(AlertSection {
                sentence: page::sentence(&explained, clock),
                missing: page::without(&explained),
                chart,
                terms,
                compared: page::compared(&explained),
                related: (!related.is_empty()).then(|| page::related_rows(&related, clock)),
            });
        }
        let (lines, left_out) = page::timeline_lines(&data.timeline.entries, clock, LINES);
        let note = match (left_out, data.timeline.next.is_some()) {
            (0, false) => String::new(),
            _ => "There is more than these lines; the page and the terminal show all of it.".to_owned(),
        };
        Ok(Section {
            id: format!("p-{}", short.ip),
            ip: short.ip.to_string(),
            window: format!("{} {}", clock.span(data.view.start, data.view.end), clock.label()),
            facts: page::facts(&data.view),
            alerts,
            evidence: page::evidence_rows(&data.evidence, clock, "evidence"),
            lines,
            note,
            tables: ["peers", "ports", "server", "tuples"]
                .into_iter()
                .flat_map(|view| page::tables(&data, view, clock))
                .filter(|table| !table.rows.is_empty())
                .collect(),
            map: page::map(self, &data),
        })
    }
}

/// Links to pages become links to sections, or none where there is no section.
fn alone(html: &str, included: &BTreeSet<String>) -> String {
    const LINK: &str = " href=\"/";
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find(LINK) {
        out.push_str(&rest[..at]);
        let path = &rest[at + LINK.len()..];
        let (path, after) = path.split_once('"').unwrap_or((path, ""));
        let ip = path.split(['/', '?']).nth(1).unwrap_or_default();
        if included.contains(ip) {
            out.push_str(&format!(" href=\"#p-{ip}\""));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_in_the_file() {
        let included = BTreeSet::from(["10.0.0.5".to_owned()]);
        let html = r#"<a href="/profile/10.0.0.5/1.0?view=map">x</a><a href="/ip/9.9.9.9">y</a><a href="/evidence/10.0.0.5/1.0/u">z</a>"#;
        assert_eq!(
            alone(html, &included),
            "<a href=\"#p-10.0.0.5\">x</a><a>y</a><a href=\"#p-10.0.0.5\">z</a>"
        );
    }
}
