//! `lynceus about`: what the program is made of.

use std::collections::BTreeSet;

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::civil::Date;
use lynceus_enrich::offline::notice::{SOURCES, Shipped};
use lynceus_enrich::offline::tables::Tables;

use super::{Outcome, output};
use crate::human;
use crate::table::{Align, Cell, Table};
use crate::text::{Line, Tone};

/// Days after which data about addresses is called old.
const OLD_DAYS: i32 = 60;

/// Tells what the program is made of
#[derive(Args)]
pub struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Tables that come with the program: source, date, license, age, and the line that each license asks for
    Data {
        /// One JSON object a line and table
        #[arg(long)]
        json: bool,
        /// Also compares each table with the hash in its header
        #[arg(long)]
        verify: bool,
    },
}

/// Runs the command.
///
/// # Errors
/// A table is damaged, or standard output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let What::Data { json, verify } = options.what;
    let tables = Tables::embedded().context("a table of this program")?;
    let shipped = SOURCES
        .iter()
        .map(|source| source.shipped(tables))
        .collect::<Vec<_>>();
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    if json {
        let mut out = Vec::new();
        for table in &shipped {
            serde_json::to_writer(&mut out, table)?;
            out.push(b'\n');
        }
        output::raw(&out)?;
    } else {
        output::lines(&report(&shipped, today))?;
    }
    if verify {
        for table in &shipped {
            table.verify().with_context(|| table.title.clone())?;
        }
        output::lines(&[Line::toned(Tone::Good, "each table is what its header says")])?;
    }
    Ok(Outcome::Done)
}

fn report(shipped: &[Shipped<'_>], today: Date) -> Vec<Line> {
    let mut table = Table::new(vec![
        ("data", Align::Left),
        ("source", Align::Left),
        ("of", Align::Left),
        ("age", Align::Right),
        ("size", Align::Right),
        ("license", Align::Left),
    ]);
    let mut old = false;
    for source in shipped {
        let days = source.age_days(today);
        let is_old = source.ages && days.is_some_and(|days| days > OLD_DAYS);
        old |= is_old;
        let tone = if is_old { Tone::Warning } else { Tone::Plain };
        let age = days.map_or_else(
            || "–".to_owned(),
            |days| human::plural(days.max(0) as u64, "day", "days"),
        );
        table.row(vec![
            source.title.clone().into(),
            source.package.clone().into(),
            Cell::toned(tone, source.date.clone()),
            Cell::toned(tone, age),
            source.bytes.map_or_else(|| "–".to_owned(), human::bytes).into(),
            source.license.clone().into(),
        ]);
    }
    let mut lines = table.lines(0);
    lines.push(Line::default());
    // Two tables of one maker need its line once.
    let mut credited = BTreeSet::new();
    let credits = shipped
        .iter()
        .map(|source| &source.attribution)
        .filter(|credit| credited.insert(*credit));
    lines.extend(credits.map(|credit| Line::toned(Tone::Quiet, credit.clone())));
    if old {
        let text = format!(
            "Some tables are older than {OLD_DAYS} days: addresses move. A newer release has newer ones."
        );
        lines.extend([Line::default(), Line::toned(Tone::Warning, text)]);
    }
    lines
}
