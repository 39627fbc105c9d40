//! `lynceus ip --file`: tables of many addresses, as Know Your IP makes them. `docs/know-your-ip.md` maps its flags, keys and
//! columns.

mod config;
mod sink;
mod work;

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use lynceus_enrich::discipline::{Change, Desk, Manifest};
use lynceus_enrich::dossier::Dossier;
use lynceus_enrich::fact::Fact;
use lynceus_enrich::kyi::extract::Extract;
use lynceus_enrich::kyi::list::{Line, List};
use lynceus_enrich::kyi::shape::{Known, Shape, Table};
use lynceus_enrich::provider::{Answer, facts};

use super::super::{Outcome, say, signal};
use super::ask::{Asking, rank};
use super::{past, who};
use sink::{Format, Sink};

/// Invalid lines that are named; the rest is counted.
const NAMED: usize = 5;

#[derive(Args, Debug)]
#[command(next_help_heading = "Many addresses, as Know Your IP")]
pub struct FileOptions {
    /// List of addresses, one a line, # begins a comment; `-` is standard input, of which any text is taken
    #[arg(long, short, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Table to write; `-` is standard output (default: output.csv with --file FILE, else standard output)
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Default: by the ending of the output (.csv, .jsonl), on a terminal a table
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Consensus of all sources, columns as each source says them, or a row for each field and source
    #[arg(long, value_enum)]
    shape: Option<ShapeName>,
    /// The same as --shape raw
    #[arg(long, conflicts_with = "shape")]
    all_columns: bool,
    /// Columns of the raw shape, one a line, as Know Your IP's columns.txt
    #[arg(long, value_name = "FILE")]
    columns: Option<PathBuf>,
    /// No line with the names of the columns
    #[arg(long)]
    no_header: bool,
    /// The address behind the last one; 0: to the end. The first one is --from N, counted from 0 after invalid lines were
    /// left out
    #[arg(long, value_name = "N", default_value_t = 0)]
    to: u64,
    /// Tell how each provider answered
    #[arg(long, short)]
    verbose: bool,
    /// Append what is told to a file as well
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// No progress bar
    #[arg(long, short)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ShapeName {
    Canonical,
    Raw,
    Tidy,
}

impl FileOptions {
    /// A table is asked for, not dossiers.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.file.is_some()
            || self.output.is_some()
            || self.format.is_some()
            || self.shape.is_some()
            || self.all_columns
            || self.columns.is_some()
    }
}

/// Arguments without the second word of `--verbose verbose`, as the slides of Know Your IP write it, and with its
/// `download-db` as a flag.
#[must_use]
pub fn as_in_the_slides(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept: Vec<OsString> = Vec::new();
    for argument in arguments {
        if argument == "verbose" && kept.last().is_some_and(|last| last == "--verbose") {
            continue;
        }
        let is_download = argument == "download-db" && kept.get(1).is_some_and(|command| command == "ip");
        kept.push(if is_download {
            "--download-db".into()
        } else {
            argument
        });
    }
    kept
}

/// Where addresses come from.
type Addresses = Box<dyn Iterator<Item = io::Result<IpAddr>> + Send>;

/// Runs the command. `describe` tells what this machine knows of an address, with what others said.
///
/// # Errors
/// The configuration cannot be taken, or a file cannot be read or written.
pub(super) fn run(
    options: &FileOptions,
    asking: &Asking,
    from: u64,
    given: &[IpAddr],
    describe: &(dyn Fn(IpAddr, &[Fact]) -> Dossier + Sync),
) -> anyhow::Result<Outcome> {
    if options.to != 0 && options.to <= from {
        say(&format!("--to {}: not behind --from {from}", options.to));
        return Ok(Outcome::Usage);
    }
    let config = config::find(asking)?;
    for note in &config.notes {
        say(note);
    }
    let old = config.generation == lynceus_enrich::kyi::Generation::Ini;
    let shape = match options.shape {
        _ if options.all_columns => Shape::Raw,
        Some(ShapeName::Canonical) => Shape::Canonical,
        Some(ShapeName::Raw) => Shape::Raw,
        Some(ShapeName::Tidy) => Shape::Tidy,
        // 0.1.x knew no other, and who chose columns wants them.
        None if old || options.columns.is_some() => Shape::Raw,
        None => Shape::Canonical,
    };
    let columns = config::columns(options.columns.as_deref(), &config, asking.config())?;
    let table = Table::new(shape, columns);
    for (column, why) in table.gone() {
        say(&format!("{column} stays empty: {why}"));
    }
    let desk = match asking.desk(&config.settings) {
        Ok(desk) => desk,
        Err(error) => {
            say(&error);
            return Ok(Outcome::Usage);
        }
    };
    let as_of = asking.as_of()?;
    if as_of.is_some() {
        say("--as-of: by the history alone; tables, lists and sensors of today say nothing about then");
    } else {
        announce(&desk, asking.is_active());
    }
    let needs_position = desk.names().contains(&"geonames");
    let log = Log::open(options)?;
    let (addresses, total) = addresses(options, given)?;
    let chosen = Rows::new(addresses, from, options.to);
    let (path, format) = place(options);
    let sink = Arc::new(Sink::new(format, table));
    let mut output = open(path.as_deref())?;
    if !options.no_header {
        output.write_all(&sink.header())?;
    }
    let stop = signal::stop_flag()?;
    let progress = progress(options, from, total, path.is_none());
    let manifest = std::sync::Mutex::new(Manifest::begin(&desk));
    let ask = |ip: IpAddr| -> Known {
        let answers = match as_of {
            None => {
                let position = needs_position.then(|| describe(ip, &[]).position()).flatten();
                desk.ask(ip, position)
            }
            Some(day) => desk.recall(ip, day).unwrap_or_default(),
        };
        log.tell(ip, &answers);
        log.changed(&desk.take_changes());
        manifest
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .count(&answers);
        let dossier = match as_of {
            Some(day) => past::dossier(ip, day, &answers),
            None => {
                // Results of scans that were imported are known as well.
                let imported = desk.imports(ip).unwrap_or_default();
                let said: Vec<Fact> = imported.iter().chain(&answers).flat_map(facts).collect();
                describe(ip, &said)
            }
        };
        Known { dossier, answers }
    };
    // Who is asked nothing needs no order.
    let rank = |ip: IpAddr| match as_of {
        None if asking.is_active() => rank(&desk, describe(ip, &[])),
        _ => 0,
    };
    let done = work::run(
        chosen,
        asking.max_conn(),
        &stop,
        rank,
        |ip| sink.rows(&ask(ip)),
        |rows, idle| {
            output.write_all(rows)?;
            if idle {
                output.flush()?;
            }
            progress.inc(1);
            Ok(())
        },
    );
    progress.finish_and_clear();
    output.flush().context("write the table")?;
    let done = done?;
    let mut manifest = manifest
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    manifest.requested = usize::try_from(done.rows).unwrap_or(usize::MAX);
    manifest.unique = usize::try_from(done.rows - done.repeated).unwrap_or(usize::MAX);
    manifest.end(&desk);
    asking.write(&manifest)?;
    summarize(&done, path.as_deref(), &log);
    Ok(if done.rows == 0 {
        Outcome::Damaged
    } else {
        Outcome::Done
    })
}

/// Says who learns what before anything is sent, or who is not asked.
fn announce(desk: &Desk, active: bool) {
    if active {
        return who::announce(desk);
    }
    let held: Vec<&str> = desk.announce().iter().map(|one| one.provider).collect();
    if !held.is_empty() {
        say(&format!(
            "nothing is sent without --active; not asked: {}",
            held.join(", ")
        ));
    }
}

/// The addresses, and how many lines there are where that is known.
fn addresses(options: &FileOptions, given: &[IpAddr]) -> anyhow::Result<(Addresses, Option<u64>)> {
    let first: Vec<io::Result<IpAddr>> = given.iter().copied().map(Ok).collect();
    let first = first.into_iter();
    let Some(path) = &options.file else {
        return Ok((Box::new(first), Some(given.len() as u64)));
    };
    if path.as_os_str() == "-" {
        let text = Extract::new(BufReader::new(io::stdin()));
        return Ok((Box::new(first.chain(text)), None));
    }
    let open = || std::fs::File::open(path).with_context(|| path.display().to_string());
    let whole = std::fs::metadata(path).is_ok_and(|file| file.is_file());
    let lines = if whole {
        Some(count(BufReader::new(open()?))?)
    } else {
        None
    };
    let mut invalid = Invalid::new(path);
    let list = List::new(BufReader::with_capacity(64 << 10, open()?)).filter_map(move |line| match line {
        Err(error) => Some(Err(error)),
        Ok((_, Line::Address(ip))) => Some(Ok(ip)),
        Ok((_, Line::Empty)) => None,
        Ok((number, Line::Invalid(text))) => {
            invalid.note(number, &text);
            None
        }
    });
    let total = lines.map(|lines| lines + given.len() as u64);
    Ok((Box::new(first.chain(list)), total))
}

fn count(mut file: impl BufRead) -> io::Result<u64> {
    let mut lines = 0;
    while file.skip_until(b'\n')? > 0 {
        lines += 1;
    }
    Ok(lines)
}

/// Tells of invalid lines, and how many there were when it goes.
struct Invalid {
    file: String,
    count: usize,
}

impl Invalid {
    fn new(path: &Path) -> Self {
        Self {
            file: path.display().to_string(),
            count: 0,
        }
    }

    fn note(&mut self, line: u64, text: &str) {
        self.count += 1;
        if self.count <= NAMED {
            say(&format!("{}, line {line}: `{text}` is no address", self.file));
        }
    }
}

impl Drop for Invalid {
    fn drop(&mut self) {
        if self.count > NAMED {
            say(&format!("{}: {} lines are no address", self.file, self.count));
        }
    }
}

/// Rows from `--from` to `--to`.
struct Rows {
    addresses: Addresses,
    skip: u64,
    left: Option<u64>,
}

impl Rows {
    fn new(addresses: Addresses, from: u64, to: u64) -> Self {
        Self {
            addresses,
            skip: from,
            left: (to > 0).then(|| to - from),
        }
    }
}

impl Iterator for Rows {
    type Item = io::Result<IpAddr>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == Some(0) {
            return None;
        }
        while self.skip > 0 {
            self.skip -= 1;
            if let Err(error) = self.addresses.next()? {
                return Some(Err(error));
            }
        }
        self.left = self.left.map(|left| left - 1);
        self.addresses.next()
    }
}

/// Where the table goes (`None`: standard output), and its format.
fn place(options: &FileOptions) -> (Option<PathBuf>, Format) {
    let from_stdin = options.file.as_ref().is_none_or(|file| file.as_os_str() == "-");
    let path = match &options.output {
        Some(path) if path.as_os_str() == "-" => None,
        Some(path) => Some(path.clone()),
        None if from_stdin => None,
        None => Some("output.csv".into()),
    };
    let by_place = || match path
        .as_ref()
        .map(|path| path.extension().and_then(|ending| ending.to_str()))
    {
        Some(Some("jsonl" | "json" | "ndjson")) => Format::Jsonl,
        None if io::stdout().is_terminal() => Format::Table,
        _ => Format::Csv,
    };
    let format = options.format.unwrap_or_else(by_place);
    (path, format)
}

fn open(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    Ok(match path {
        None => Box::new(io::BufWriter::new(io::stdout())),
        Some(path) => {
            let file = std::fs::File::create(path).with_context(|| path.display().to_string())?;
            Box::new(io::BufWriter::new(file))
        }
    })
}

fn progress(options: &FileOptions, from: u64, total: Option<u64>, on_stdout: bool) -> ProgressBar {
    // Beside rows on the same terminal a bar is noise.
    if options.quiet || !io::stderr().is_terminal() || on_stdout && io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let end = if options.to > 0 {
        total.map(|total| total.min(options.to))
    } else {
        total
    };
    let bar = end.map_or_else(ProgressBar::no_length, |end| {
        ProgressBar::new(end.saturating_sub(from))
    });
    let template = "{bar:30} {pos} of {len} addresses, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn summarize(done: &work::Done, path: Option<&Path>, log: &Log) {
    let place = path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    let mut text = format!("{} addresses in {place}", done.rows);
    if done.repeated > 0 {
        text += &format!(", {} of them asked about before", done.repeated);
    }
    if path.is_some() || log.verbose {
        say(&text);
    }
    log.line(&text);
}

/// What `--verbose` and `--log-file` tell.
struct Log {
    verbose: bool,
    file: Option<std::sync::Mutex<std::fs::File>>,
}

impl Log {
    fn open(options: &FileOptions) -> anyhow::Result<Self> {
        let file = options.log_file.as_ref().map(|path| {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.with_context(|| path.display().to_string())
        });
        Ok(Self {
            verbose: options.verbose,
            file: file.transpose()?.map(std::sync::Mutex::new),
        })
    }

    fn tell(&self, ip: IpAddr, answers: &[Answer]) {
        if !self.verbose && self.file.is_none() {
            return;
        }
        let told: Vec<String> = answers
            .iter()
            .map(|answer| {
                let kept = if answer.from_cache { " (kept)" } else { "" };
                format!("{} {}{kept}", answer.provider, answer.status.name())
            })
            .collect();
        let line = format!("{ip}: {}", told.join(", "));
        if self.verbose {
            say(&line);
        }
        self.line(&line);
    }

    /// Changes are told without being asked for: they are what a second look is for.
    fn changed(&self, changes: &[Change]) {
        past::changed(changes);
        for change in changes {
            self.line(&past::alert(change));
        }
    }

    fn line(&self, text: &str) {
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let _ = writeln!(file, "{} {text}", jiff::Timestamp::now());
        }
    }
}
