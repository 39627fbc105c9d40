//! Who learns what: the list of providers, and what is said before and after asking.

use std::collections::BTreeMap;

use lynceus_enrich::discipline::{Desk, Leave};
use lynceus_enrich::provider::maxmind::{DOWNLOAD, EDITIONS, download as fetch};
use lynceus_enrich::provider::{Answer, INFOS, Info, Settings};
use serde_json::json;

use crate::cli::{Outcome, output, say};
use crate::table::{Align, Cell, Table};

/// Prints all providers.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn list(settings: &Settings, desk: &Desk, json: bool) -> anyhow::Result<Outcome> {
    let on = desk.names();
    let plans = settings.plans();
    let quota = |info: &Info| plans.get(info.name).copied().unwrap_or(info.quota);
    if json {
        for info in INFOS {
            let quota = quota(info);
            let mut line = serde_json::to_vec(&json!({
                "name": info.name, "cost": info.cost, "needs_key": info.needs_key, "enabled": on.contains(&info.name),
                "sends": info.sends, "leak": info.leak, "who": info.who, "seconds_per_request": quota.seconds_per_request,
                "per_day": quota.per_day, "per_month": quota.per_month, "as_of": keeps(info),
            }))?;
            line.push(b'\n');
            output::raw(&line)?;
        }
        return Ok(Outcome::Done);
    }
    let mut table = Table::new(vec![
        ("provider", Align::Left),
        ("on", Align::Left),
        ("cost", Align::Left),
        ("key", Align::Left),
        ("leak", Align::Left),
        ("as-of", Align::Left),
        ("quota", Align::Left),
        ("who learns what", Align::Left),
    ]);
    let yes = |truth: bool| if truth { "yes" } else { "no" };
    for info in INFOS {
        table.row(vec![
            Cell::from(info.name),
            Cell::from(yes(on.contains(&info.name))),
            Cell::from(info.cost.name()),
            Cell::from(if info.needs_key { "needed" } else { "" }),
            Cell::from(if info.sends { info.leak.name() } else { "no packet" }),
            Cell::from(yes(keeps(info))),
            Cell::from(limits(quota(info))),
            Cell::from(info.who),
        ]);
    }
    output::lines(&table.lines_within(0, output::width()))?;
    Ok(Outcome::Done)
}

/// Whether answers are kept, so that `--as-of` has them.
fn keeps(info: &Info) -> bool {
    info.leak != lynceus_enrich::provider::Leak::None
}

fn limits(quota: lynceus_enrich::provider::Quota) -> String {
    let mut words = Vec::new();
    if quota.seconds_per_request > 0.0 {
        words.push(format!("{:.0}/min", 60.0 / quota.seconds_per_request));
    }
    words.extend(quota.per_day.map(|count| format!("{count}/day")));
    words.extend(quota.per_month.map(|count| format!("{count}/month")));
    words.join(", ")
}

/// Says what is about to be given away, on standard error.
pub(super) fn announce(desk: &Desk) {
    let (asked, held): (Vec<_>, Vec<_>) = desk
        .announce()
        .into_iter()
        .partition(|one| one.held_back.is_none());
    if asked.is_empty() {
        say("nobody is asked");
    }
    for one in asked {
        let left = one.left.map_or_else(String::new, |left| {
            let day = left.day.map(|count| format!("{count} left today"));
            let month = left.month.map(|count| format!("{count} left this month"));
            let words: Vec<String> = day.into_iter().chain(month).collect();
            if words.is_empty() {
                String::new()
            } else {
                format!(" ({})", words.join(", "))
            }
        });
        say(&format!("asks {}: {}{left}", one.provider, one.who));
    }
    for one in held {
        let reason = one.held_back.unwrap_or_default();
        say(&format!("does not ask {}: {reason}", one.provider));
    }
    if let Some(path) = desk.wire().log().path() {
        say(&format!("each packet is written to {}", path.display()));
    }
}

/// Says what could not be answered, once for each provider and reason.
pub(super) fn faults(answers: &[Answer]) {
    let mut counts: BTreeMap<(&str, &str), (usize, &str)> = BTreeMap::new();
    for answer in answers {
        let text = answer.error.as_deref().unwrap_or_default();
        let count = counts
            .entry((answer.provider, answer.status.name()))
            .or_insert((0, text));
        count.0 += 1;
    }
    for ((provider, status), (count, text)) in counts {
        if status != "not_allowed" && status != "unconfigured" {
            let times = if count > 1 {
                format!(" {count} times")
            } else {
                String::new()
            };
            say(&format!("{provider}: {status}{times}: {text}"));
        }
    }
}

/// Fetches MaxMind's databases.
///
/// # Errors
/// There is no leave, no account, or no answer.
pub(super) fn download(settings: &Settings, desk: &Desk, leave: Leave) -> anyhow::Result<Outcome> {
    if let Some(reason) = leave.against(&DOWNLOAD) {
        anyhow::bail!("--download-db {reason}");
    }
    say(&format!("asks {}: {}", DOWNLOAD.name, DOWNLOAD.who));
    for edition in EDITIONS {
        let online = || true;
        let folder = &settings.maxmind.db_path;
        let fetched = desk.gate().ask(&DOWNLOAD, online, || {
            fetch(desk.wire(), &settings.maxmind, edition, folder)
        });
        let path =
            fetched.map_err(|(status, error)| anyhow::anyhow!("{edition}: {}: {error}", status.name()))?;
        say(&format!("{} is new", path.display()));
    }
    Ok(Outcome::Done)
}
