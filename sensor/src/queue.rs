//! Bounded queue between two threads (single producer, single consumer) that cannot lose: what does not fit stays
//! with the producer.
//!
//! The drain thread takes from the kernel's rings only what the queue has room for. When the consumer is too slow, the
//! kernel's rings fill up, and the kernel programs count what no longer fits, in packets and bytes: there is one place
//! where a slow consumer shows, and it is counted exactly (`docs/decisions/0070-queue-holds-back.md`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lynceus_model::status::Fill;
use ringbuf::traits::{Consumer as _, Observer, Producer as _, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// Makes a queue for at most `capacity` items (at least one).
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let (producer, consumer) = HeapRb::new(capacity.max(1)).split();
    let gauge = Gauge {
        counts: Arc::default(),
        capacity: capacity.max(1) as u64,
    };
    (
        Producer {
            ring: producer,
            gauge: gauge.clone(),
        },
        Consumer {
            ring: consumer,
            gauge,
        },
    )
}

/// The end that the drain thread holds.
pub struct Producer<T> {
    ring: HeapProd<T>,
    gauge: Gauge,
}

impl<T> Producer<T> {
    /// Items for which there is room now; the consumer can only make it more.
    #[must_use]
    pub fn free(&self) -> usize {
        self.ring.vacant_len()
    }

    /// Appends one item.
    ///
    /// # Errors
    /// There is no room: gives the item back and counts that the producer had to hold back.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        match self.ring.try_push(item) {
            Ok(()) => {
                self.gauge.counts.pushed.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(item) => {
                self.held_back();
                Err(item)
            }
        }
    }

    /// Appends the items in order and removes them from `items`; what does not fit stays there.
    pub fn push_from(&mut self, items: &mut Vec<T>) -> usize {
        let room = self.free().min(items.len());
        let pushed = self.ring.push_iter(items.drain(..room));
        self.gauge
            .counts
            .pushed
            .fetch_add(pushed as u64, Ordering::Relaxed);
        if !items.is_empty() {
            self.held_back();
        }
        pushed
    }

    /// Counts that the producer had something for which there was no room.
    pub fn held_back(&self) {
        self.gauge.counts.held_back.fetch_add(1, Ordering::Relaxed);
    }

    /// The consumer is gone: nobody will ever read what is pushed.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        !self.ring.read_is_held()
    }

    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }
}

/// The end that the profiler's side holds.
pub struct Consumer<T> {
    ring: HeapCons<T>,
    gauge: Gauge,
}

impl<T> Consumer<T> {
    /// Takes the next item.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.ring.try_pop()?;
        self.gauge.counts.popped.fetch_add(1, Ordering::Relaxed);
        Some(item)
    }

    /// Appends up to `most` items to `into` and returns how many.
    pub fn pop_into(&mut self, into: &mut Vec<T>, most: usize) -> usize {
        let before = into.len();
        into.extend(self.ring.pop_iter().take(most));
        let popped = into.len() - before;
        self.gauge
            .counts
            .popped
            .fetch_add(popped as u64, Ordering::Relaxed);
        popped
    }

    /// The producer is gone and everything that it pushed was taken: nothing will ever come again.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        // In this order: a producer that pushes and goes between the two looks must not be missed.
        !self.ring.write_is_held() && self.ring.is_empty()
    }

    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.gauge.clone()
    }
}

/// Counters of a queue, for any thread.
#[derive(Clone, Debug)]
pub struct Gauge {
    counts: Arc<Counts>,
    capacity: u64,
}

#[derive(Debug, Default)]
struct Counts {
    pushed: AtomicU64,
    popped: AtomicU64,
    held_back: AtomicU64,
}

impl Gauge {
    /// Items that the queue holds now.
    #[must_use]
    pub fn used(&self) -> u64 {
        let popped = self.counts.popped.load(Ordering::Relaxed);
        self.counts
            .pushed
            .load(Ordering::Relaxed)
            .saturating_sub(popped)
            .min(self.capacity)
    }

    /// How often the producer found no room.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.counts.held_back.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn fill(&self, name: &'static str) -> Fill {
        Fill {
            name: name.into(),
            used: self.used(),
            limit: self.capacity,
            unit: "entries".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_stays_with_the_producer() {
        let (mut producer, mut consumer) = bounded(3);
        let mut items = vec![1, 2, 3, 4, 5];
        assert_eq!(producer.push_from(&mut items), 3);
        assert_eq!(items, [4, 5]);
        assert_eq!(producer.push(9), Err(9));
        assert_eq!(producer.gauge().held_back(), 2);
        assert_eq!(consumer.gauge().used(), 3);

        let mut taken = Vec::new();
        assert_eq!(consumer.pop_into(&mut taken, 2), 2);
        assert_eq!(producer.push_from(&mut items), 2);
        assert_eq!(consumer.pop_into(&mut taken, 10), 3);
        assert_eq!(taken, [1, 2, 3, 4, 5]);
        assert_eq!(consumer.gauge().used(), 0);
    }

    #[test]
    fn finished_only_when_empty_and_without_producer() {
        let (mut producer, mut consumer) = bounded(2);
        producer.push(1).unwrap();
        assert!(!consumer.is_finished());
        drop(producer);
        assert!(!consumer.is_finished(), "one item is left");
        assert_eq!(consumer.pop(), Some(1));
        assert!(consumer.is_finished());
    }

    #[test]
    fn abandoned_when_the_consumer_goes() {
        let (producer, consumer) = bounded::<u8>(2);
        assert!(!producer.is_abandoned());
        drop(consumer);
        assert!(producer.is_abandoned());
    }

    #[test]
    fn everything_arrives_in_order_from_another_thread() {
        const ITEMS: u64 = 100_000;
        let (mut producer, mut consumer) = bounded(64);
        let sender = std::thread::spawn(move || {
            let mut next = 0;
            let mut batch = Vec::new();
            while next < ITEMS || !batch.is_empty() {
                while batch.len() < 50 && next < ITEMS {
                    batch.push(next);
                    next += 1;
                }
                if producer.push_from(&mut batch) == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut taken = Vec::new();
        while !consumer.is_finished() {
            if consumer.pop_into(&mut taken, 37) == 0 {
                std::thread::yield_now();
            }
        }
        sender.join().unwrap();
        assert!(taken.into_iter().eq(0..ITEMS));
    }
}
