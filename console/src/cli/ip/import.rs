//! Results of scanners into the history.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Context;
use lynceus_enrich::discipline::Desk;
use lynceus_enrich::scans::{Scanner, read};

use crate::cli::{Outcome, say};

/// Reads what is named; nothing is sent.
///
/// # Errors
/// A file cannot be read, or the history cannot be written.
pub(super) fn run(
    desk: &Desk,
    zmap: Option<&Path>,
    port: Option<u16>,
    zgrab: Option<&Path>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::Done;
    for (scanner, path) in [(Scanner::ZMap, zmap), (Scanner::ZGrab2, zgrab)] {
        let Some(path) = path else { continue };
        let place = || path.display().to_string();
        let input: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(std::io::stdin().lock())
        } else {
            Box::new(BufReader::new(File::open(path).with_context(place)?))
        };
        let now = desk.clock().now();
        let done = read(scanner, input, port, now, |batch| {
            desk.history().append_all(&batch)
        })
        .with_context(place)?;
        for (line, text) in &done.examples {
            say(&format!("{}, line {line}: {text}", place()));
        }
        say(&format!(
            "{}: {} open ports in {} lines; {} lines of closed ports, {} not understood",
            place(),
            done.seen,
            done.lines,
            done.closed,
            done.bad
        ));
        if done.bad > 0 {
            outcome = Outcome::Damaged;
        }
    }
    Ok(outcome)
}
