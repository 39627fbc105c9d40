//! The thread that takes everything out of the kernel: record rings, payload heads, and at intervals the live entries.
//!
//! It only moves: what it takes goes into bounded queues, and it takes no more than they have room for
//! (`docs/decisions/0070-queue-holds-back.md`). So it never waits for the consumer, and a stall of the consumer shows as
//! `ring_full` in the kernel's own counters.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sensor_ebpf::event::Head;
use sensor_ebpf::flow::{FlowKey, FlowRecord, Point, Side};

use super::counters::{Filled, Snapshot};
use super::deltas::Deltas;
use super::load::Readers;
use super::sweep::Sweeper;
use crate::queue::{self, Consumer, Producer};

/// Shortest wait between two looks at the rings: a tighter poll makes the kernel fight for the line of a ring's head.
const SHORTEST_WAIT: Duration = Duration::from_micros(100);
/// Longest wait. With the default ring of 2^16 slots it bridges a flood of 16 M new flows a second and CPU; an idle
/// sensor wakes up 250 times a second, which costs about 0.1 % of a CPU.
const LONGEST_WAIT: Duration = Duration::from_millis(4);

/// Sizes of what lies between the drain thread and the consumer.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Records that wait for the consumer: 2^15 of them (10 MiB) are half of what a full ring may hold.
    pub queued_records: usize,
    /// Payload heads that wait; each is at most 2 KiB, so 2^12 of them are at most 8 MiB.
    pub queued_heads: usize,
    /// Time between two readings of the live entries: how late a flow that stays in the cache is seen, and how old a
    /// status is.
    pub sweep_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queued_records: 1 << 15,
            queued_heads: 1 << 12,
            sweep_every: Duration::from_secs(1),
        }
    }
}

/// A payload head that left the kernel's ring buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedHead {
    key: FlowKey,
    point: Point,
    sender: Side,
    time: u64,
    tcp_seq: u32,
    tcp_flags: u8,
    payload_len: u32,
    bytes: Box<[u8]>,
}

impl OwnedHead {
    /// The head as the decoders take it.
    #[must_use]
    pub fn view(&self) -> Head<'_> {
        Head {
            key: self.key,
            point: self.point,
            sender: self.sender,
            time: self.time,
            tcp_seq: self.tcp_seq,
            tcp_flags: self.tcp_flags,
            payload_len: self.payload_len,
            bytes: &self.bytes,
        }
    }
}

impl From<Head<'_>> for OwnedHead {
    fn from(head: Head<'_>) -> Self {
        Self {
            key: head.key,
            point: head.point,
            sender: head.sender,
            time: head.time,
            tcp_seq: head.tcp_seq,
            tcp_flags: head.tcp_flags,
            payload_len: head.payload_len,
            bytes: head.bytes.into(),
        }
    }
}

/// The running thread. Dropping it ends it without draining what is left.
#[derive(Debug)]
pub struct Drain {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// The consumer's ends.
pub struct Queues {
    /// What is new, unlike the cumulative counters of the kernel: added up, every packet is in it once.
    pub records: Consumer<FlowRecord>,
    pub heads: Consumer<OwnedHead>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Programs are detached: take what is left and end.
    finish: AtomicBool,
    /// End at once.
    abandon: AtomicBool,
    /// Of records taken from the rings.
    packets: AtomicU64,
    records: AtomicU64,
    malformed: AtomicU64,
    snapshot: Mutex<Snapshot>,
}

/// What the drain thread took from the rings so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub records: u64,
    /// Packets in them; equals the kernel's own `recorded` when the rings are empty.
    pub packets: u64,
    /// Slots and heads that made no sense: 0 unless memory was damaged.
    pub malformed: u64,
}

impl Drain {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system allows no more threads.
    pub fn start(readers: Readers, options: Options) -> io::Result<(Self, Queues)> {
        let (records_in, records) = queue::bounded(options.queued_records);
        let (heads_in, heads) = queue::bounded(options.queued_heads);
        let shared = Arc::new(Shared::default());
        let worker = Worker {
            readers,
            sweeper: Sweeper::default(),
            deltas: Deltas::default(),
            sweep_every: options.sweep_every,
            records: records_in,
            heads: heads_in,
            batch: Vec::new(),
            fullest: Filled::default(),
            shared: Arc::clone(&shared),
        };
        let thread = thread::Builder::new()
            .name("lynceus-drain".to_owned())
            .spawn(move || worker.run())?;
        Ok((
            Self {
                shared,
                thread: Some(thread),
            },
            Queues { records, heads },
        ))
    }

    /// Tells the thread that the programs are detached: it takes what is left, reads all entries once more, and ends.
    pub fn finish(&self) {
        self.shared.finish.store(true, Ordering::Release);
        self.wake();
    }

    #[must_use]
    pub fn taken(&self) -> Taken {
        Taken {
            records: self.shared.records.load(Ordering::Relaxed),
            packets: self.shared.packets.load(Ordering::Relaxed),
            malformed: self.shared.malformed.load(Ordering::Relaxed),
        }
    }

    /// The counters as of the last sweep.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared
            .snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.shared.abandon.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was already printed by the panic hook; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

struct Worker {
    readers: Readers,
    sweeper: Sweeper,
    deltas: Deltas,
    sweep_every: Duration,
    records: Producer<FlowRecord>,
    heads: Producer<OwnedHead>,
    /// Records on their way from a ring to the queue; empty between two looks.
    batch: Vec<FlowRecord>,
    /// Highest fill of a ring since the last sweep.
    fullest: Filled,
    shared: Arc<Shared>,
}

impl Worker {
    fn run(mut self) {
        let mut wait = LONGEST_WAIT;
        let mut next_sweep = Instant::now() + self.sweep_every;
        loop {
            if self.shared.abandon.load(Ordering::Acquire) || self.records.is_abandoned() {
                return;
            }
            // Before the look: what it then does not find can no longer come.
            let finish = self.shared.finish.load(Ordering::Acquire);
            let look = self.look();
            wait = next_wait(wait, look.fullest);
            if finish && look.empty {
                break;
            }
            let now = Instant::now();
            if now >= next_sweep && self.sweeper.is_delivered() {
                self.sweep();
                next_sweep = now + self.sweep_every;
            }
            if !look.held_back {
                thread::park_timeout(if finish { SHORTEST_WAIT } else { wait });
            } else {
                thread::park_timeout(SHORTEST_WAIT);
            }
        }
        self.sweep();
        while !self.sweeper.deliver(&mut self.records) {
            if self.shared.abandon.load(Ordering::Acquire) || self.records.is_abandoned() {
                return;
            }
            thread::park_timeout(SHORTEST_WAIT);
        }
    }

    /// Takes what there is and what the queues have room for.
    fn look(&mut self) -> Look {
        let mut look = Look {
            empty: true,
            ..Look::default()
        };
        // Readings of entries come first: a record that was spilled later must not overtake them.
        if !self.sweeper.deliver(&mut self.records) {
            return Look {
                empty: false,
                held_back: true,
                ..look
            };
        }
        let (mut records, mut packets) = (0, 0);
        for ring in &mut self.readers.rings {
            let room = self.records.free();
            let (batch, deltas) = (&mut self.batch, &mut self.deltas);
            let drained = ring.drain(room, |record| {
                packets += record.sides[0].packets + record.sides[1].packets;
                batch.extend(deltas.spilled(record));
            });
            records += drained.records as u64;
            // There is room for all of them: only this thread adds to the queue.
            self.records.push_from(&mut self.batch);
            look.fullest = look
                .fullest
                .max(f64::from(drained.fill) / f64::from(ring.slots()));
            let filled = Filled {
                used: u64::from(drained.fill),
                limit: u64::from(ring.slots()),
            };
            self.fullest = self.fullest.max(filled);
            if drained.records >= room {
                self.records.held_back();
                look.held_back = true;
            }
            look.empty &= drained.fill == 0;
        }
        let heads = &mut self.heads;
        let room = heads.free();
        let taken = self.readers.heads.drain(room, |head| {
            // There is room, as above.
            let _ = heads.push(head.into());
        });
        look.empty &= taken == 0;
        if taken >= room {
            heads.held_back();
            look.empty = false;
        }
        self.count(records, packets);
        look
    }

    fn sweep(&mut self) {
        let fullest = Filled {
            used: 0,
            ..self.fullest
        };
        let fullest = std::mem::replace(&mut self.fullest, fullest);
        let swept = self.sweeper.sweep(&mut self.readers, &mut self.deltas, fullest);
        // Without one the last stands, and its time says how old it is.
        if let Some(snapshot) = swept {
            *self
                .shared
                .snapshot
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = snapshot;
        }
    }

    fn count(&self, records: u64, packets: u64) {
        let malformed = self.readers.heads.malformed()
            + self
                .readers
                .rings
                .iter()
                .map(super::maps::RecordRing::malformed)
                .sum::<u64>();
        self.shared.malformed.store(malformed, Ordering::Relaxed);
        self.shared.records.fetch_add(records, Ordering::Relaxed);
        self.shared.packets.fetch_add(packets, Ordering::Relaxed);
    }
}

/// What one look at the rings found.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    /// Nothing was there.
    empty: bool,
    /// The consumer left no room for everything.
    held_back: bool,
    /// Fill of the fullest ring, 0 to 1.
    fullest: f64,
}

/// Waits shorter while a ring gets an eighth full between two looks, longer while it stays nearly empty.
fn next_wait(wait: Duration, fullest: f64) -> Duration {
    if fullest > 1.0 / 8.0 {
        (wait / 2).max(SHORTEST_WAIT)
    } else if fullest < 1.0 / 32.0 {
        (wait * 2).min(LONGEST_WAIT)
    } else {
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_shorter_under_load_and_longer_at_rest() {
        let mut wait = LONGEST_WAIT;
        for _ in 0..10 {
            wait = next_wait(wait, 0.5);
        }
        assert_eq!(wait, SHORTEST_WAIT);
        assert_eq!(next_wait(wait, 0.06), wait);
        for _ in 0..10 {
            wait = next_wait(wait, 0.0);
        }
        assert_eq!(wait, LONGEST_WAIT);
    }
}
