//! `lynceus ip`: what is known about addresses, without asking anybody unless told to.

mod ask;
mod import;
mod past;
mod who;

pub mod file;
pub mod place_check;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use clap::Args;
use lynceus_collector::knowledge::Facts;
use lynceus_collector::query::dossier::listed;
use lynceus_enrich::dossier::{Dossier, dossier_json};
use lynceus_enrich::fact::{Fact, Field, Reason, Source, Value};
use lynceus_enrich::local::published::{self, Published};
use lynceus_enrich::local::{self, Local};
use lynceus_enrich::offline::tables::Tables;
use lynceus_enrich::offline::zones;
use lynceus_model::time::Timestamp;

use super::place::Place;
use super::{Outcome, feeds, output, say};
use crate::query::Query;
use crate::text::{Line, Tone};

/// Tells what is known about IP addresses, offline: each value with its source, date and doubt
///
/// Tables come with the program (`lynceus about data`); MMDB files of your own and Debian's tor-geoipdb join the vote where
/// they are installed; a collector of ours adds ports, services and feeds. Nobody else is asked without --active. What nobody
/// here can know is called unknown, never no.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus ip 8.8.8.8 94.31.29.154
  lynceus ip --json 2001:4860:4860::8888 | jq .fields.country_code
  lynceus ip --mmdb ~/databases 8.8.8.8        with MMDB files of another folder
  lynceus ip --list-providers                  outside sources: cost, quota, who learns what
  lynceus ip --active 8.8.8.8                  also asks those that are switched on, and says whom
  lynceus ip --active --max-leak dns 8.8.8.8   asks name servers only
  lynceus ip --active --providers ping,traceroute 8.8.8.8
  lynceus ip --history 8.8.8.8                 what was said before, and what changed
  lynceus ip --import-zmap scan.csv            open ports that a scan of yours found
  lynceus ip --feed blocklist.txt 8.8.8.8      is it in this list?
  lynceus ip --where 94.31.29.154              does light permit what the tables say?
  lynceus ip --file input.csv --config know_your_ip.cfg --output output.csv --maxconn 5
  grep sshd auth.log | lynceus ip --file - --format jsonl        the addresses of any text")]
pub struct Options {
    /// IPv4 or IPv6 addresses
    #[arg(value_name = "IP", required_unless_present_any = ask::WITHOUT_ADDRESS)]
    addresses: Vec<IpAddr>,
    /// One JSON object a line and address
    #[arg(long)]
    json: bool,
    /// Folder with MMDB files of your own, besides the usual ones; may be given several times
    #[arg(long, value_name = "DIR")]
    mmdb: Vec<PathBuf>,
    /// Threat feed to look the addresses up in: a file of indicators (plain, CSV, JSON, STIX, MISP); may be given several
    /// times
    #[arg(long = "feed", value_name = "FILE")]
    feeds: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    asking: ask::Asking,
    #[command(flatten)]
    whereabouts: place_check::WhereOptions,
    #[command(flatten)]
    many: file::FileOptions,
}

/// Runs the command.
///
/// # Errors
/// The program was built with a damaged table, or standard output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    let addresses: Vec<IpAddr> = options.addresses.iter().map(IpAddr::to_canonical).collect();
    if options.many.is_wanted() {
        return table(options, &addresses);
    }
    if let Some(outcome) = options.asking.instead(&addresses, options.json)? {
        return Ok(outcome);
    }
    // Opening the zones takes a third of all that a dossier does, and nothing before them needs them.
    let _ = std::thread::Builder::new().spawn(zones::version);
    let tables = Tables::embedded().context("a table of this program")?;
    let local = files(&options.mmdb);
    let mut collector = Own::open(&options.place, &options.feeds)?;
    let now = now();
    let mut own: HashMap<IpAddr, Vec<Fact>> = HashMap::new();
    // Copies are read only where there is an order to find, and again when some may have been fetched.
    let mut before: Option<Published> = None;
    let asked = options.asking.ask(&addresses, &mut |ip| {
        // What the collector says for the order is not asked of it again.
        let said = own.entry(ip).or_insert_with(|| collector.facts(ip));
        dossier(tables, &local, before.get_or_insert_with(copies), ip, said, now)
    })?;
    let published = copies();
    let width = output::width();
    for (at, ip) in addresses.iter().enumerate() {
        let mut said = asked.get(ip).cloned().unwrap_or_default();
        said.extend_from_slice(own.entry(*ip).or_insert_with(|| collector.facts(*ip)));
        let dossier = dossier(tables, &local, &published, *ip, &said, now);
        let located = options.whereabouts.find(&dossier, &options.place)?;
        if options.json {
            let mut line = dossier_json(&dossier).into_bytes();
            if let Some(located) = &located
                && line.pop() == Some(b'}')
            {
                line.extend_from_slice(format!(",\"where\":{}}}", located.json()).as_bytes());
            }
            line.push(b'\n');
            output::raw(&line)?;
            continue;
        }
        let mut lines = crate::dossier::lines(&dossier, width);
        lines.extend(
            located
                .iter()
                .flat_map(|located| located.lines().into_iter().skip(1)),
        );
        if at + 1 < addresses.len() {
            lines.push(Line::default());
        }
        output::lines(&lines)?;
    }
    if !options.json {
        let credit = "IP Geolocation by DB-IP (CC BY 4.0); all sources: lynceus about data";
        output::lines(&[Line::default(), Line::toned(Tone::Quiet, credit)])?;
    }
    Ok(Outcome::Done)
}

/// A table of many addresses instead of dossiers.
fn table(options: &Options, addresses: &[IpAddr]) -> anyhow::Result<Outcome> {
    let tables = Tables::embedded().context("a table of this program")?;
    let local = files(&options.mmdb);
    let published = copies();
    let now = now();
    // In Know Your IP `--from` counts rows; a folder has no such name.
    let (from, place) = options.place.row();
    let collector = std::sync::Mutex::new(Own::open(&place, &options.feeds)?);
    let describe = |ip: IpAddr, said: &[Fact]| {
        let ip = ip.to_canonical();
        let mut said = said.to_vec();
        let mut collector = collector
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        said.extend(collector.facts(ip));
        drop(collector);
        dossier(tables, &local, &published, ip, &said, now)
    };
    file::run(&options.many, &options.asking, from, addresses, &describe)
}

/// Everything that this machine knows of an address, and what others said.
fn dossier(
    tables: &Tables,
    local: &Local,
    published: &Published,
    ip: IpAddr,
    said: &[Fact],
    now: Timestamp,
) -> Dossier {
    let mut dossier = Dossier::new(ip, now);
    local.describe(&mut dossier);
    tables.describe(&mut dossier);
    published.describe(&mut dossier);
    dossier.extend(said.iter().cloned());
    tables.conclude(&mut dossier);
    dossier
}

/// The collector, whose sensors and feeds know more, as long as it answers; and feeds that were named.
struct Own {
    query: Option<Query>,
    feeds: Option<Arc<Facts>>,
    title: String,
}

/// Fields that a collector of ours answers, and who in it does.
const OWN: [(Field, &str); 4] = [
    (Field::LightLatitude, "handshakes"),
    (Field::Ports, "sensors"),
    (Field::Services, "sensors"),
    (Field::Feeds, "feeds"),
];

impl Own {
    fn open(place: &Place, feeds: &[PathBuf]) -> anyhow::Result<Self> {
        let feeds = (!feeds.is_empty()).then(|| feeds::named(feeds)).transpose()?;
        let query = place.open();
        if let (Err(error), true) = (&query, place.is_folder()) {
            say(&format!("{error:#}"));
        }
        Ok(Self {
            query: query.ok(),
            feeds,
            title: place.title(),
        })
    }

    /// What is known of an address by the collector and by the feeds that were named.
    fn facts(&mut self, ip: IpAddr) -> Vec<Fact> {
        let mut facts = self.asked(ip);
        if let Some(feeds) = &self.feeds {
            // Without a collector its feeds are no question any more.
            facts.retain(|fact| fact.field != Field::Feeds || !matches!(fact.value, Value::Unknown(_)));
            facts.push(listed(feeds, ip));
        }
        facts
    }

    /// What it says of an address; that it does not answer, where it does not.
    fn asked(&mut self, ip: IpAddr) -> Vec<Fact> {
        let answer = self.query.as_ref().map(|query| query.known_of(ip));
        if let Some(Ok(answer)) = answer {
            let known = answer.facts().iter();
            let known = known.filter(|fact| OWN.iter().any(|(_, source)| *source == fact.source.name()));
            return known.cloned().collect();
        }
        // It is not asked again for the other addresses.
        self.query = None;
        let reason = Reason::NoData(format!("answer of {}", self.title).into());
        OWN.iter()
            .map(|(field, source)| Fact::unknown(*field, reason.clone(), Source::new(source)))
            .collect()
    }
}

/// The user's files; tells of those that cannot be used.
fn files(more: &[PathBuf]) -> Local {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let mut folders = local::usual_folders(home.as_deref());
    folders.extend(more.iter().cloned());
    let local = Local::open(&folders, &local::usual_ipfire());
    for (path, fault) in &local.faults {
        say(&format!("{}: {fault}", path.display()));
    }
    if local.left_out > 0 {
        say(&format!("{} MMDB files more than are opened", local.left_out));
    }
    local
}

/// The copies of published lists.
fn copies() -> Published {
    published::usual_folder().map_or_else(Published::default, |folder| Published::open(&folder))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
