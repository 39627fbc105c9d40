//! Several addresses at a time, the suspicious ones of those that wait first, rows in the order of the addresses, in bounded
//! memory, each address worked on once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that may be ahead of the row that is written next, for each worker: one slow answer does not stop the rest.
const AHEAD: usize = 16;
/// Addresses whose rows are kept for when they come again: a day of a busy log, in some ten megabytes.
const REMEMBERED: usize = 8192;
/// After Ctrl-C, how long answers that are under way are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) rows: u64,
    /// Rows of addresses that came before.
    pub(super) repeated: u64,
    /// Addresses that were forgotten for others; if they come again they are worked on again.
    pub(super) forgotten: u64,
}

/// Works on all addresses. Of those that were read and wait, at most [`AHEAD`] a worker, the one with the highest `rank` is
/// next; who ranks equal goes in order. `work` runs on `workers` threads, `write` on this one, in the order of the
/// addresses; it hears whether it may take its time (nothing else waits to be written). After `stop` no new address is
/// begun, and the program ends with exit code 130 when what is under way is written, or after two seconds.
///
/// # Errors
/// An address cannot be read, or `write` failed. Rows before it are written.
pub(super) fn run(
    addresses: impl Iterator<Item = io::Result<IpAddr>> + Send,
    workers: usize,
    stop: &AtomicBool,
    rank: impl Fn(IpAddr) -> u32 + Send,
    work: impl Fn(IpAddr) -> Vec<u8> + Sync,
    mut write: impl FnMut(&[u8], bool) -> io::Result<()>,
) -> io::Result<Done> {
    let workers = workers.max(1);
    let memory = Memory::default();
    let over = AtomicBool::new(false);
    let (permit, permits) = sync_channel::<()>(workers * AHEAD);
    let (tell, results) = sync_channel::<(u64, io::Result<Arc<[u8]>>)>(workers * AHEAD + 1);
    let jobs = Jobs::default();
    let ends = || stop.load(Ordering::Acquire) || over.load(Ordering::Acquire);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let tell = tell.clone();
            let (jobs, memory, work, ends) = (&jobs, &memory, &work, &ends);
            scope.spawn(move || {
                loop {
                    let Some((number, ip)) = jobs.next() else { return };
                    if ends() {
                        return;
                    }
                    if tell.send((number, Ok(memory.of(ip, work)))).is_err() {
                        return;
                    }
                }
            });
        }
        let feeder = {
            let (jobs, ends) = (&jobs, &ends);
            move || {
                let _close = Close(jobs);
                for (number, address) in (0..).zip(addresses) {
                    if ends() || permit.send(()).is_err() {
                        return;
                    }
                    match address {
                        Ok(ip) => jobs.put(rank(ip), number, ip),
                        Err(error) => {
                            let _ = tell.send((number, Err(error)));
                            return;
                        }
                    }
                }
            }
        };
        scope.spawn(feeder);
        let mut done = Done::default();
        let outcome = in_order(&results, &permits, stop, |rows, idle| {
            done.rows += 1;
            write(rows, idle)
        });
        // A feeder that waits for a permit or for its input must see the end.
        over.store(true, Ordering::Release);
        drop((permits, results));
        done.repeated = memory.repeated.load(Ordering::Relaxed);
        done.forgotten = memory.forgotten.load(Ordering::Relaxed);
        if stop.load(Ordering::Acquire) {
            // Threads that wait for an answer or for standard input would hold the scope for as long as they please.
            // What is done is written, as whole rows.
            let _ = write(&[], true);
            std::process::exit(130);
        }
        outcome.map(|()| done)
    })
}

/// Hands results on in their order until there are no more, or until the grace after a stop is over.
fn in_order(
    results: &Receiver<(u64, io::Result<Arc<[u8]>>)>,
    permits: &Receiver<()>,
    stop: &AtomicBool,
    mut write: impl FnMut(&[u8], bool) -> io::Result<()>,
) -> io::Result<()> {
    let mut waiting: BTreeMap<u64, io::Result<Arc<[u8]>>> = BTreeMap::new();
    let mut next = 0;
    let mut deadline = None;
    loop {
        let received = match results.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => match results.recv_timeout(Duration::from_millis(100)) {
                Ok(result) => Some(result),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => None,
            },
        };
        if let Some((number, result)) = received {
            waiting.insert(number, result);
        }
        while let Some(result) = waiting.remove(&next) {
            next += 1;
            let _ = permits.recv();
            write(&result?, waiting.is_empty())?;
        }
        if stop.load(Ordering::Acquire) {
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + GRACE);
            if Instant::now() >= deadline {
                // What was answered behind a row that was not: in order, with a gap.
                for (_, result) in std::mem::take(&mut waiting) {
                    write(&result?, false)?;
                }
                return Ok(());
            }
        }
    }
}

/// Addresses that wait for a worker. No more than there are permits.
#[derive(Default)]
struct Jobs {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    heap: BinaryHeap<(u32, Reverse<u64>, IpAddr)>,
    closed: bool,
}

impl Jobs {
    fn put(&self, rank: u32, number: u64, ip: IpAddr) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.heap.push((rank, Reverse(number), ip));
        drop(waiting);
        self.more.notify_one();
    }

    /// The most suspicious, the first of equals; `None`: no more will come.
    fn next(&self) -> Option<(u64, IpAddr)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some((_, Reverse(number), ip)) = waiting.heap.pop() {
                return Some((number, ip));
            }
            if waiting.closed {
                return None;
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Tells workers, however the feeder ends, that no more comes.
struct Close<'a>(&'a Jobs);

impl Drop for Close<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.closed = true;
        drop(waiting);
        self.0.more.notify_all();
    }
}

/// Rows of addresses that came before.
#[derive(Default)]
struct Memory {
    known: Mutex<Remembered>,
    repeated: AtomicU64,
    forgotten: AtomicU64,
}

#[derive(Default)]
struct Remembered {
    rows: HashMap<IpAddr, Arc<OnceLock<Arc<[u8]>>>>,
    order: VecDeque<IpAddr>,
}

impl Memory {
    fn of(&self, ip: IpAddr, work: impl Fn(IpAddr) -> Vec<u8>) -> Arc<[u8]> {
        let place = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = known.rows.get(&ip) {
                self.repeated.fetch_add(1, Ordering::Relaxed);
                Arc::clone(place)
            } else {
                if known.order.len() == REMEMBERED
                    && let Some(oldest) = known.order.pop_front()
                {
                    known.rows.remove(&oldest);
                    self.forgotten.fetch_add(1, Ordering::Relaxed);
                }
                let place = Arc::new(OnceLock::new());
                known.rows.insert(ip, Arc::clone(&place));
                known.order.push_back(ip);
                place
            }
        };
        // A second worker with the same address waits here for the first.
        Arc::clone(place.get_or_init(|| work(ip).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suspicious_of_those_that_wait_are_next_and_equals_keep_their_order() {
        let jobs = Jobs::default();
        let ip = IpAddr::from([192, 0, 2, 1]);
        for (number, rank) in (0..).zip([0, 5, 0, 100, 5]) {
            jobs.put(rank, number, ip);
        }
        drop(Close(&jobs));
        let order: Vec<u64> = std::iter::from_fn(|| jobs.next())
            .map(|(number, _)| number)
            .collect();
        assert_eq!(order, [3, 1, 4, 0, 2]);
    }
}
