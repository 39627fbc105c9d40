//! Bounded queue of batches that survives the collector's absence, and on a disk also the sensor's end.
//!
//! Entries have indexes that only grow. An entry is written and synced before [`Spool::push`] returns; until
//! [`Spool::ack`] it can be read again, as often as needed. Acknowledgements are written down lazily (when a whole
//! segment is done), so after a crash some entries are read once more: the collector knows them by their sequence number.
//!
//! Nothing is dropped in silence: [`Spool::take_losses`] says what is missing, why, and for which stretch of time.

mod disk;
mod frame;
mod losses;
mod recover;
mod state;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use lynceus_model::status::{Gap, GapReason};
use lynceus_model::time::Timestamp;
use lynceus_proto::limits;

pub use disk::{Directory, Disk, Memory};
pub use frame::Meta;
use losses::Losses;
pub use losses::Lost;
pub use recover::Recovery;
use state::State;

/// Bounds of a spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A segment is closed when the next entry would make it larger.
    pub segment_bytes: u64,
    /// Bytes of all segments. At least two segments and one message, see [`Limits::checked`].
    pub max_bytes: u64,
    /// Entries that were stored longer ago are dropped.
    pub max_age: Duration,
    pub when_full: WhenFull,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// The newest data is worth most: the oldest segment goes.
    #[default]
    DropOldest,
    /// What happened first is worth most: nothing new is taken.
    DropNew,
}

impl Limits {
    pub const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = (4 << 20)..=(16 << 20);
    /// What the spool remembers of an entry is in memory: at most about 20 MB.
    const MAX_ENTRIES: u64 = 1 << 18;

    /// Raises `max_bytes` to what any message fits into.
    #[must_use]
    pub fn checked(mut self) -> Self {
        let least = 2 * self.segment_bytes.max(limits::MESSAGE_BYTES as u64 + 1024);
        self.max_bytes = self.max_bytes.max(least);
        self
    }
}

/// A stored batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub index: u64,
    pub meta: Meta,
    pub bytes: Vec<u8>,
}

/// How full the spool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all segments, with entries that are done but whose segment is not.
    pub bytes: u64,
    /// Entries that are not done.
    pub entries: u64,
    /// When the oldest of them was stored.
    pub oldest: Option<Timestamp>,
}

/// The files could not be opened at all.
#[derive(Debug, thiserror::Error)]
#[error("spool: cannot {action} {file}")]
pub struct OpenError {
    pub action: &'static str,
    pub file: String,
    #[source]
    pub source: io::Error,
}

/// See the module.
#[derive(Debug)]
pub struct Spool<D> {
    disk: D,
    limits: Limits,
    /// Oldest first, ascending. The last one may still grow.
    segments: VecDeque<Segment>,
    /// Index of the next entry.
    next: u64,
    /// Entries below it are acknowledged or dropped.
    done: u64,
    newest: Option<Timestamp>,
    losses: Losses,
}

#[derive(Debug)]
struct Segment {
    /// Index of its first entry; also its name.
    first: u64,
    entries: Vec<Slot>,
    bytes: u64,
    /// Must not grow any more.
    sealed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: u64,
    /// Bytes of the frame.
    length: u64,
    meta: Meta,
    /// Could not be read back; already counted.
    lost: bool,
}

impl Segment {
    fn name(&self) -> String {
        format!("{:020}.{}", self.first, recover::EXTENSION)
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

impl<D: Disk> Spool<D> {
    /// Opens what is there: cuts a torn end, removes what is done, and never fails because of damage.
    ///
    /// # Errors
    /// The files cannot be listed, read or written.
    pub fn open(disk: D, limits: Limits, now: Timestamp) -> Result<(Self, Recovery), OpenError> {
        recover::open(disk, limits.checked(), now)
    }

    /// Stores an entry; it is on the disk when this returns.
    ///
    /// # Errors
    /// It was not stored. The caller reports what was in it with [`Spool::lose`].
    pub fn push(&mut self, payload: &[u8], meta: Meta) -> Result<u64, GapReason> {
        let frame = frame::encode(&meta, payload).ok_or(GapReason::TooLarge)?;
        let length = frame.len() as u64;
        while !self.has_room(length) {
            if self.limits.when_full == WhenFull::DropNew || !self.drop_oldest(GapReason::SpoolFull) {
                return Err(GapReason::SpoolFull);
            }
        }
        let segment = self.writable(length)?;
        let (name, offset) = (segment.name(), segment.bytes);
        let written = self
            .disk
            .append(&name, &frame)
            .and_then(|()| self.disk.sync(&name));
        if let Err(error) = written {
            tracing::warn!(%error, file = name, "the spool cannot be written");
            self.undo_append(&name, offset);
            return Err(GapReason::SpoolFailed);
        }
        let index = self.next;
        if let Some(segment) = self.segments.back_mut() {
            segment.entries.push(Slot {
                offset,
                length,
                meta,
                lost: false,
            });
            segment.bytes += length;
        }
        self.next += 1;
        self.newest = self.newest.max(Some(meta.last));
        Ok(index)
    }

    /// Entries from `from` on, or from the oldest that is still there. At least one, then as many as fit into
    /// `max_bytes`; empty if there are none.
    pub fn read(&mut self, from: u64, max_bytes: u64) -> Vec<Entry> {
        let mut index = from.max(self.done);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while index < self.next {
            let Some((name, slot)) = self.locate(&mut index) else {
                break;
            };
            if !slot.lost {
                if !entries.is_empty() && bytes + slot.length > max_bytes {
                    break;
                }
                match self.read_slot(&name, &slot) {
                    Ok(payload) => {
                        bytes += slot.length;
                        entries.push(Entry {
                            index,
                            meta: slot.meta,
                            bytes: payload,
                        });
                    }
                    Err(error) => self.mark_lost(index, &error),
                }
            }
            index += 1;
        }
        entries
    }

    /// Everything up to and with `index` is done with.
    pub fn ack(&mut self, index: u64) {
        self.done = self.done.max(index.saturating_add(1).min(self.next));
        self.pass_lost();
        self.remove_done();
    }

    /// Drops what was stored too long ago.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(segment) = self.segments.front()
            && segment.end() > self.done
            && let Some(newest) = segment.entries.last()
            && now.since(newest.meta.stored) > self.limits.max_age
        {
            if !self.drop_oldest(GapReason::SpoolExpired) {
                break;
            }
        }
    }

    /// Gives up an entry that is of no use, and counts it as lost.
    pub fn drop_entry(&mut self, index: u64, reason: GapReason) {
        let at = self.segments.partition_point(|segment| segment.end() <= index);
        if let Some(segment) = self.segments.get_mut(at)
            && let Some(place) = index
                .checked_sub(segment.first)
                .and_then(|place| usize::try_from(place).ok())
            && let Some(slot) = segment.entries.get_mut(place)
            && !slot.lost
        {
            slot.lost = true;
            let meta = slot.meta;
            self.losses.add(reason, &meta);
            self.pass_lost();
        }
    }

    /// Notes that the content of an entry is gone for good.
    pub fn lose(&mut self, reason: GapReason, meta: &Meta) {
        self.losses.add(reason, meta);
    }

    /// What was lost since the last call, one gap for each reason.
    pub fn take_losses(&mut self) -> Vec<Gap> {
        self.losses.take()
    }

    /// Gives back gaps that could not be stored.
    pub fn restore_losses(&mut self, gaps: &[Gap]) {
        gaps.iter().for_each(|gap| self.losses.restore(gap));
    }

    /// All losses since this process opened the spool.
    #[must_use]
    pub fn lost(&self) -> Vec<Lost> {
        self.losses.totals()
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            bytes: self.bytes(),
            entries: self.next - self.done,
            oldest: self.slot(self.done).map(|slot| slot.meta.stored),
        }
    }

    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Index that the next entry will have.
    #[must_use]
    pub const fn next_index(&self) -> u64 {
        self.next
    }

    /// Says goodbye: what is in the spool is all there is.
    pub fn close(mut self) {
        let clean = self.losses.is_empty();
        if let Err(error) = self.write_state(clean) {
            tracing::warn!(%error, "the spool's state cannot be written");
        }
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn has_room(&self, length: u64) -> bool {
        let entries: u64 = self
            .segments
            .iter()
            .map(|segment| segment.entries.len() as u64)
            .sum();
        entries < Limits::MAX_ENTRIES
            && self.bytes() + frame::MAGIC.len() as u64 + length <= self.limits.max_bytes
    }

    /// The segment that takes the next entry.
    fn writable(&mut self, length: u64) -> Result<&Segment, GapReason> {
        let fits = |segment: &Segment| {
            !segment.sealed
                && (segment.entries.is_empty() || segment.bytes + length <= self.limits.segment_bytes)
        };
        if !self.segments.back().is_some_and(fits) {
            let segment = Segment {
                first: self.next,
                entries: Vec::new(),
                bytes: frame::MAGIC.len() as u64,
                sealed: false,
            };
            if let Err(error) = self.disk.put(&segment.name(), frame::MAGIC) {
                tracing::warn!(%error, file = segment.name(), "the spool cannot make a segment");
                return Err(GapReason::SpoolFailed);
            }
            // An empty sealed segment would have the same name as the new one, which replaced it.
            if self.segments.back().is_some_and(|last| last.entries.is_empty()) {
                self.segments.pop_back();
            }
            self.segments.push_back(segment);
            self.remove_done();
        }
        self.segments.back().ok_or(GapReason::SpoolFailed)
    }

    /// After a failed append nobody knows what is in the file behind `length`.
    fn undo_append(&mut self, name: &str, length: u64) {
        if let Err(error) = self.disk.truncate(name, length) {
            tracing::warn!(%error, file = name, "the spool cannot cut a torn end; the segment stays closed");
            if let Some(segment) = self.segments.back_mut() {
                segment.sealed = true;
            }
        }
    }

    fn slot(&self, index: u64) -> Option<&Slot> {
        let at = self.segments.partition_point(|segment| segment.end() <= index);
        let segment = self.segments.get(at)?;
        segment
            .entries
            .get(usize::try_from(index.checked_sub(segment.first)?).ok()?)
    }

    /// File and place of the entry, or of the next one after it that exists.
    fn locate(&self, index: &mut u64) -> Option<(String, Slot)> {
        let at = self.segments.partition_point(|segment| segment.end() <= *index);
        let segment = self.segments.get(at)?;
        *index = (*index).max(segment.first);
        let slot = segment
            .entries
            .get(usize::try_from(*index - segment.first).ok()?)?;
        Some((segment.name(), *slot))
    }

    fn read_slot(&mut self, name: &str, slot: &Slot) -> io::Result<Vec<u8>> {
        let length = usize::try_from(slot.length).unwrap_or(usize::MAX);
        let bytes = self.disk.read_at(name, slot.offset, length)?;
        match frame::decode(&bytes) {
            Some(frame) => Ok(frame.payload.to_vec()),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the checksum does not match",
            )),
        }
    }

    fn mark_lost(&mut self, index: u64, error: &io::Error) {
        tracing::warn!(%error, index, "an entry of the spool cannot be read back");
        self.drop_entry(index, GapReason::SpoolCorrupt);
    }

    /// Entries that were lost at the front need no acknowledgement.
    fn pass_lost(&mut self) {
        while self.slot(self.done).is_some_and(|slot| slot.lost) {
            self.done += 1;
        }
    }

    /// Drops the oldest segment with what is in it; false if that was not possible.
    fn drop_oldest(&mut self, reason: GapReason) -> bool {
        let Some(segment) = self.segments.front_mut() else {
            return false;
        };
        segment.sealed = true;
        let (first, end, done) = (segment.first, segment.end(), self.done);
        self.done = done.max(end);
        // First the note that it is gone, then the file: never a note about entries that are still promised.
        if let Err(error) = self.write_state(false) {
            tracing::warn!(%error, "the spool cannot drop a segment");
            self.done = done;
            return false;
        }
        if let Some(segment) = self.segments.pop_front() {
            for (index, slot) in (first..).zip(&segment.entries) {
                if index >= done && !slot.lost {
                    self.losses.add(reason, &slot.meta);
                }
            }
            if let Err(error) = self.disk.remove(&segment.name()) {
                tracing::warn!(%error, file = segment.name(), "a dropped segment stays until the next start");
            }
        }
        true
    }

    /// Removes segments of which every entry is done. The last one stays: it still grows.
    fn remove_done(&mut self) {
        let done = self.done;
        let removable = |segments: &VecDeque<Segment>| {
            segments.len() > 1 && segments.front().is_some_and(|segment| segment.end() <= done)
        };
        if !removable(&self.segments) {
            return;
        }
        if let Err(error) = self.write_state(false) {
            tracing::warn!(%error, "the spool's state cannot be written");
            return;
        }
        while removable(&self.segments)
            && let Some(segment) = self.segments.pop_front()
        {
            if let Err(error) = self.disk.remove(&segment.name()) {
                tracing::warn!(%error, file = segment.name(), "a segment that is done stays until the next start");
            }
        }
    }

    fn write_state(&mut self, clean: bool) -> io::Result<()> {
        let state = State {
            done: self.done,
            newest: self.newest,
            clean,
        };
        self.disk.put(state::NAME, &state.encode())
    }
}

#[cfg(test)]
mod tests;
