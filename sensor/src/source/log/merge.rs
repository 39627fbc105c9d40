//! Rows of several logs in the order of event time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lynceus_model::app::AppRecord;
use lynceus_model::flow::FlowUpdate;
use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::FlowRecord;

use crate::clock::WallClock;
use crate::flow_table::{FlowTable, FlowTableConfig};
use crate::source::Event;
use crate::source::zeek::join::{Detached, Join};

/// What a row says.
pub(crate) enum What {
    Flow(Box<FlowUpdate>),
    App(Box<AppRecord>),
    /// One direction of a flow.
    Record(Box<FlowRecord>),
    /// A Zeek row that says its part only together with rows of other logs.
    Detached(Box<Detached>),
}

/// Packets or bytes of one side of a flow: 281 terabytes.
pub(crate) const LARGEST_COUNTER: u64 = 1 << 48;

/// A row with its place in time.
pub(crate) struct Row {
    /// When its flow was last seen, or its message was seen.
    pub(crate) at: Timestamp,
    /// When its flow began, or as `at`.
    pub(crate) begin: Timestamp,
    /// The log's name of the flow that a message travelled in.
    pub(crate) uid: Option<String>,
    pub(crate) what: What,
}

impl Row {
    pub(crate) fn flow(update: FlowUpdate) -> Self {
        Self {
            at: update.flow.last,
            begin: update.flow.first,
            uid: None,
            what: What::Flow(Box::new(update)),
        }
    }

    /// Sums of counters must not overflow, whatever a log says.
    pub(crate) fn is_plausible(&self) -> bool {
        let fits = |counters: [u64; 2]| counters.iter().all(|counter| *counter <= LARGEST_COUNTER);
        match &self.what {
            What::Flow(update) => [&update.flow.out, &update.flow.back]
                .into_iter()
                .all(|totals| fits([totals.packets, totals.bytes])),
            What::Record(record) => record
                .sides
                .iter()
                .all(|side| fits([side.packets, side.ip_bytes])),
            What::App(_) | What::Detached(_) => true,
        }
    }

    pub(crate) fn record(record: FlowRecord) -> Self {
        let sides = record.sides.iter().filter(|side| side.packets > 0);
        let (first, last) = sides.fold((u64::MAX, 0), |(first, last), side| {
            (side.first.min(first), side.last.max(last))
        });
        let time = |nanos: u64| WallClock::default().wall(nanos);
        Self {
            at: time(last),
            begin: time(first.min(last)),
            uid: None,
            what: What::Record(Box::new(record)),
        }
    }

    pub(crate) fn app(record: AppRecord) -> Self {
        Self {
            at: record.time,
            begin: record.time,
            uid: None,
            what: What::App(Box::new(record)),
        }
    }
}

/// A row that waits. Ordered by time, then by its log, then by its place in the log: nothing else may decide.
struct Waiting {
    key: (Timestamp, u64),
    bytes: usize,
    row: Row,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

#[derive(Default)]
struct Queue {
    rows: BinaryHeap<Reverse<Waiting>>,
    bytes: usize,
    pushed: u64,
}

/// Flows that the table ends at once when nothing more comes.
const FINISH_BATCH: usize = 4096;

/// Sorts within a bounded look-ahead and merges.
pub(crate) struct Merge {
    queues: Vec<Queue>,
    join: Join,
    /// Joins directions; made for the first row that has only one.
    table: Option<Box<FlowTable>>,
    ended: Vec<FlowUpdate>,
    /// Earliest begin of what was read ahead before the first row was handed out.
    origin: Option<Timestamp>,
    began: bool,
    newest: Timestamp,
    late: u64,
    /// In the flows that were handed out.
    packets: u64,
}

impl Merge {
    /// Rows that a log is read ahead: so many flows may be open at once without one coming late. 25 logs with full
    /// queues hold some 100 MB.
    const ROWS: usize = 8192;
    /// Bytes of lines that a log is read ahead, against rows of unusual size.
    const BYTES: usize = 8 << 20;

    pub(crate) fn new(logs: usize) -> Self {
        Self {
            queues: (0..logs).map(|_| Queue::default()).collect(),
            join: Join::default(),
            table: None,
            ended: Vec::new(),
            origin: None,
            began: false,
            newest: Timestamp::MIN,
            late: 0,
            packets: 0,
        }
    }

    pub(crate) fn has_room(&self, log: usize) -> bool {
        let queue = &self.queues[log];
        queue.rows.len() < Self::ROWS && queue.bytes < Self::BYTES
    }

    pub(crate) fn push(&mut self, log: usize, row: Row, bytes: usize) {
        if !self.began {
            self.origin = Some(self.origin.map_or(row.begin, |origin| origin.min(row.begin)));
        }
        let queue = &mut self.queues[log];
        queue.pushed += 1;
        queue.bytes += bytes;
        let key = (row.at, queue.pushed);
        queue.rows.push(Reverse(Waiting { key, bytes, row }));
    }

    /// Hands out the next row; `false` if there is none.
    pub(crate) fn pop(&mut self, events: &mut Vec<Event>) -> bool {
        self.pop_until(Timestamp::MAX, events)
    }

    /// Hands out the next row that is not later than `until`.
    pub(crate) fn pop_until(&mut self, until: Timestamp, events: &mut Vec<Event>) -> bool {
        let first = self
            .queues
            .iter_mut()
            .filter(|queue| {
                let next = queue.rows.peek();
                next.is_some_and(|Reverse(next)| next.key.0 <= until)
            })
            // Of equal times the first queue is taken.
            .min_by_key(|queue| queue.rows.peek().map(|Reverse(next)| next.key.0));
        let Some(queue) = first else { return false };
        let Some(Reverse(Waiting { row, bytes, .. })) = queue.rows.pop() else {
            return false;
        };
        queue.bytes -= bytes;
        self.began = true;
        self.late += u64::from(row.at < self.newest);
        self.newest = self.newest.max(row.at);
        match row.what {
            What::Record(record) => {
                self.packets += record.sides.iter().map(|side| side.packets).sum::<u64>();
                self.record(&record, row.at, events);
            }
            _ => {
                if let What::Flow(update) = &row.what {
                    self.packets += update.new_out.packets + update.new_back.packets;
                }
                self.join.take(row, events);
            }
        }
        true
    }

    fn record(&mut self, record: &FlowRecord, at: Timestamp, events: &mut Vec<Event>) {
        let table = self
            .table
            .get_or_insert_with(|| Box::new(FlowTable::new(FlowTableConfig::default())));
        table.tick(at, &mut self.ended);
        table
            .record(record, WallClock::default(), &mut self.ended)
            .expect("this table evicts");
        events.extend(self.ended.drain(..).map(|update| Event::Flow(Box::new(update))));
    }

    /// Nothing more will come.
    pub(crate) fn finish(&mut self, events: &mut Vec<Event>) {
        while self.pop(events) {}
        if let Some(mut table) = self.table.take() {
            while table.finish(FINISH_BATCH, &mut self.ended) {}
            events.extend(self.ended.drain(..).map(|update| Event::Flow(Box::new(update))));
        }
    }

    pub(crate) const fn newest(&self) -> Timestamp {
        self.newest
    }

    pub(crate) const fn origin(&self) -> Option<Timestamp> {
        self.origin
    }

    pub(crate) const fn late(&self) -> u64 {
        self.late
    }

    pub(crate) const fn packets(&self) -> u64 {
        self.packets
    }
}
