//! Which flows to look at as event time passes.
//!
//! A wheel of one-second buckets that spans less than a minute. A flow stands in exactly one bucket; when its bucket is
//! due the table looks whether the flow really ended, and puts it back if not. So a packet never touches the wheel, a
//! long timeout costs one look every [`HORIZON`] seconds, and a timeout that got shorter (a closed connection) is
//! noticed within as many.

use super::slab::Slab;

/// Farthest bucket ahead, in seconds.
const HORIZON: i64 = 30;
const BUCKETS: usize = 32;
const NOBODY: u32 = u32::MAX;

pub(super) struct Wheel {
    buckets: [Bucket; BUCKETS],
    /// Second up to which everything was looked at; never goes back by itself.
    now: Option<i64>,
    /// Next flow in the same bucket, by place.
    next: Slab<u32>,
}

/// First in, first out, so that the order of output is the order of input.
#[derive(Clone, Copy)]
struct Bucket {
    head: u32,
    tail: u32,
}

const EMPTY: Bucket = Bucket {
    head: NOBODY,
    tail: NOBODY,
};

impl Wheel {
    pub(super) const fn new() -> Self {
        Self {
            buckets: [EMPTY; BUCKETS],
            now: None,
            next: Slab::new(),
        }
    }

    /// Makes room for the next piece of places.
    pub(super) fn grow(&mut self) {
        self.next.grow();
    }

    /// Forgets the time, so that a file that begins earlier than the last one ended sets it anew.
    pub(super) const fn rewind(&mut self) {
        self.now = None;
    }

    /// Lets go of all flows.
    pub(super) const fn clear(&mut self) {
        self.buckets = [EMPTY; BUCKETS];
        self.now = None;
    }

    /// Puts a flow where it will be looked at at `second`, or at the horizon.
    pub(super) fn insert(&mut self, slot: u32, second: i64) {
        let now = self.now.unwrap_or(second);
        let second = second.clamp(now.saturating_add(1), now.saturating_add(HORIZON));
        let bucket = &mut self.buckets[second.rem_euclid(BUCKETS as i64) as usize];
        self.next[slot] = NOBODY;
        if bucket.tail == NOBODY {
            bucket.head = slot;
        } else {
            self.next[bucket.tail] = slot;
        }
        bucket.tail = slot;
    }

    /// Moves time forward; returns the first flow to look at (follow with [`Wheel::following`]), if a bucket is due.
    #[inline]
    pub(super) fn advance(&mut self, second: i64) -> Option<u32> {
        match self.now {
            Some(now) if second <= now => None,
            _ => self.turn(second),
        }
    }

    #[cold]
    fn turn(&mut self, second: i64) -> Option<u32> {
        let before = self.now.replace(second)?;
        let mut due = EMPTY;
        let steps = second.saturating_sub(before).min(BUCKETS as i64);
        for ahead in 1..=steps {
            let number = before.wrapping_add(ahead).rem_euclid(BUCKETS as i64) as usize;
            let bucket = std::mem::replace(&mut self.buckets[number], EMPTY);
            if bucket.head == NOBODY {
                continue;
            }
            if due.tail == NOBODY {
                due = bucket;
            } else {
                self.next[due.tail] = bucket.head;
                due.tail = bucket.tail;
            }
        }
        (due.head != NOBODY).then_some(due.head)
    }

    /// The flow after `slot` in a list that [`Wheel::advance`] returned; to be asked before `slot` is put back.
    pub(super) fn following(&self, slot: u32) -> Option<u32> {
        let next = self.next[slot];
        (next != NOBODY).then_some(next)
    }

    /// Takes out the flow that would be looked at first.
    pub(super) fn pop_earliest(&mut self) -> Option<u32> {
        let now = self.now.unwrap_or(0);
        for ahead in 1..=BUCKETS as i64 {
            let number = now.wrapping_add(ahead).rem_euclid(BUCKETS as i64) as usize;
            let head = self.buckets[number].head;
            if head != NOBODY {
                let bucket = &mut self.buckets[number];
                bucket.head = self.next[head];
                if bucket.head == NOBODY {
                    *bucket = EMPTY;
                }
                return Some(head);
            }
        }
        None
    }
}
