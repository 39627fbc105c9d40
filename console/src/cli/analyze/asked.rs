//! Outside services behind detectors, where files are read.
//!
//! A detector does not wait for an answer. Files can be read as often as one likes: first for the questions alone, until
//! nobody asks anything new, and then for good, with the answers.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lynceus_collector::lookups::Lookups;
use lynceus_sensor::profiler::Pipeline;
use lynceus_sensor::source::Status;
use lynceus_sensor::source::files::FileSource;

use super::{FILES, Options, open, table};
use crate::cli::{say, settings::Effective};
use crate::human;

/// Unless `--wait` says otherwise.
pub(super) const WAIT: Duration = Duration::from_secs(600);
/// Names are asked about in the first reading; servers that its findings name in the second one.
const ENOUGH_READINGS: u32 = 3;

/// Reads the files for their questions, and waits for the answers.
///
/// # Errors
/// A file cannot be opened, or the settings are wrong. Damage is told when the files are read for good.
pub(super) fn rehearse(
    options: &Options,
    settings: &Effective,
    lookups: &Arc<Lookups>,
) -> anyhow::Result<()> {
    if options.files.iter().any(|path| path == Path::new("-")) {
        say(
            "standard input is read once: what outside services answer later than it is needed stays unknown",
        );
        return Ok(());
    }
    let counters = lookups.counters();
    let until = Instant::now() + options.wait.0;
    let mut waiting = 0;
    for reading in 1.. {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let before = (of(&counters.asked), of(&counters.refused));
        read_for_questions(options, settings, lookups)?;
        waiting = lookups.settle(until.saturating_duration_since(Instant::now()));
        let (asked, refused) = (of(&counters.asked), of(&counters.refused));
        // What found no room in the queue is asked next time.
        let enough = reading >= ENOUGH_READINGS && refused == before.1;
        if waiting > 0 || asked == before.0 || enough {
            break;
        }
    }
    let count = |number: u64| human::plural(number, "question", "questions");
    let mut text = format!(
        "outside services answered {}",
        count(counters.answered.load(Ordering::Relaxed))
    );
    for (number, what) in [
        (counters.failed.load(Ordering::Relaxed), "without an answer"),
        (
            counters.refused.load(Ordering::Relaxed),
            "at first without room to wait",
        ),
        (waiting, "still waiting (--wait)"),
    ] {
        if number > 0 {
            text += &format!(", {} {what}", count(number));
        }
    }
    say(&text);
    Ok(())
}

fn read_for_questions(options: &Options, settings: &Effective, lookups: &Arc<Lookups>) -> anyhow::Result<()> {
    let source = FileSource::open(&options.files, table(options), None);
    let mut pipeline = Pipeline::new(source, settings.profiles(FILES))?;
    let mut local = None;
    let mut updates = Vec::new();
    loop {
        let status = pipeline.next(&mut updates);
        if let Some(plan) = pipeline.plan() {
            let local = match &mut local {
                Some(local) => local,
                empty => empty.insert(open(None, settings, plan, Some(lookups))?),
            };
            local.take(updates.drain(..))?;
        }
        match status {
            Ok(Status::Ended) => break,
            Ok(Status::More | Status::Idle) => {}
            Err(error) if FileSource::is_damage(&error) => {}
            Err(error) => return Err(error),
        }
    }
    local.map_or(Ok(()), |mut local| local.flush())
}
