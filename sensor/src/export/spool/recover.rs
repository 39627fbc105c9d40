//! Opening a spool: whatever stands in the files, it ends with a spool that works and with an account of what is gone.

use std::collections::VecDeque;
use std::io;

use lynceus_model::status::{Gap, GapReason};
use lynceus_model::time::Timestamp;

use super::disk::Disk;
use super::frame::{self, MAGIC};
use super::losses::Losses;
use super::state::{self, State};
use super::{Limits, OpenError, Segment, Slot, Spool};

pub(super) const EXTENSION: &str = "seg";

/// No sensor stores so many entries; a larger index is none of ours, and counting on from it could overflow.
const MOST_ENTRIES: u64 = 1 << 62;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Entries that wait to be sent.
    pub entries: u64,
    /// Bytes behind the last intact entry of a segment.
    pub cut_bytes: u64,
    /// The last user did not say goodbye.
    pub killed: bool,
}

pub(super) fn open<D: Disk>(
    mut disk: D,
    limits: Limits,
    now: Timestamp,
) -> Result<(Spool<D>, Recovery), OpenError> {
    let names = disk.list().map_err(|source| OpenError {
        action: "list",
        file: ".".to_owned(),
        source,
    })?;
    let state = if names.iter().any(|name| name == state::NAME) {
        let bytes = disk.read(state::NAME).map_err(failed("read", state::NAME))?;
        State::decode(&bytes).filter(|state| state.done < MOST_ENTRIES)
    } else {
        None
    };
    let mut firsts: Vec<u64> = names.iter().filter_map(|name| first_index(name)).collect();
    firsts.sort_unstable();
    let fresh = firsts.is_empty() && state.is_none();

    let done = state.map_or_else(|| firsts.first().copied().unwrap_or(0), |state| state.done);
    let mut recovery = Recovery {
        killed: !fresh && !state.is_some_and(|state| state.clean),
        ..Recovery::default()
    };
    let mut spool = Spool {
        disk,
        limits,
        segments: VecDeque::new(),
        next: done,
        done,
        newest: state.and_then(|state| state.newest),
        losses: Losses::default(),
    };
    let mut damaged = state.is_none() && !fresh;
    let mut expected = None;
    for (place, first) in firsts.iter().enumerate() {
        let last = place + 1 == firsts.len();
        let scanned = scan(&mut spool.disk, *first)?;
        recovery.cut_bytes += scanned.cut;
        let segment = scanned.segment;
        // Missing between two files, or files that overlap: not by our hand.
        damaged |= expected.is_some_and(|expected| expected != *first);
        damaged |= scanned.cut > 0 && !(last && recovery.killed);
        if expected.is_some_and(|expected| *first < expected)
            || segment.entries.is_empty()
            || segment.end() <= spool.done
        {
            let name = segment.name();
            spool.disk.remove(&name).map_err(failed("remove", &name))?;
            continue;
        }
        expected = Some(segment.end());
        let newest = segment.entries.iter().map(|slot| slot.meta.last).max();
        spool.newest = spool.newest.max(newest);
        spool.next = spool.next.max(segment.end());
        spool.segments.push_back(segment);
    }
    // Indexes that were promised as done but are in no file any more: go on behind them, in a new file.
    if let Some(segment) = spool.segments.back_mut() {
        segment.sealed = true;
    }
    let oldest_index = spool.segments.front().map_or(spool.next, |segment| segment.first);
    damaged |= spool.done < oldest_index;
    spool.done = spool.done.max(oldest_index);
    recovery.entries = spool.next - spool.done;

    let unknown = |reason| Gap {
        reason,
        first: spool.newest.unwrap_or(now),
        last: now.max(spool.newest.unwrap_or(now)),
        batches: None,
        updates: None,
        flows: None,
        apps: None,
        packets: None,
    };
    let killed = recovery.killed.then(|| unknown(GapReason::SensorKilled));
    let corrupt = damaged.then(|| Gap {
        first: oldest(&spool.segments).unwrap_or(now),
        ..unknown(GapReason::SpoolCorrupt)
    });
    killed
        .iter()
        .chain(&corrupt)
        .for_each(|gap| spool.losses.add_unknown(gap));
    // From now on this process owns it; should it be killed, the next one knows.
    spool.write_state(false).map_err(failed("write", state::NAME))?;
    Ok((spool, recovery))
}

struct Scanned {
    segment: Segment,
    /// Bytes that were cut off.
    cut: u64,
}

/// Reads a segment up to the first frame that is not intact, and cuts the file there.
fn scan<D: Disk>(disk: &mut D, first: u64) -> Result<Scanned, OpenError> {
    let mut segment = Segment {
        first,
        entries: Vec::new(),
        bytes: MAGIC.len() as u64,
        sealed: true,
    };
    let name = segment.name();
    let bytes = disk.read(&name).map_err(failed("read", &name))?;
    let mut rest = bytes.strip_prefix(MAGIC).unwrap_or_default();
    while let Some(frame) = frame::decode(rest) {
        let length = frame.len as u64;
        segment.entries.push(Slot {
            offset: segment.bytes,
            length,
            meta: frame.meta,
            lost: false,
        });
        segment.bytes += length;
        rest = rest.get(frame.len..).unwrap_or_default();
    }
    let cut = (bytes.len() as u64).saturating_sub(segment.bytes);
    if cut > 0 {
        disk.truncate(&name, segment.bytes)
            .map_err(failed("truncate", &name))?;
    }
    Ok(Scanned { segment, cut })
}

fn first_index(name: &str) -> Option<u64> {
    let (digits, extension) = name.split_once('.')?;
    let first = digits.parse().ok()?;
    (extension == EXTENSION && digits.len() == 20 && first < MOST_ENTRIES).then_some(first)
}

fn oldest(segments: &VecDeque<Segment>) -> Option<Timestamp> {
    segments.front()?.entries.first().map(|slot| slot.meta.first)
}

fn failed(action: &'static str, file: &str) -> impl FnOnce(io::Error) -> OpenError {
    let file = file.to_owned();
    move |source| OpenError { action, file, source }
}
