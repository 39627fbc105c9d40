//! The same store on Redis: the log in streams, the tables in hashes with sorted sets as their order.
//!
//! One script per shard does each append and each write, so a block and its sequence marks are stored together. Every
//! script first compares the shard's epoch: a collector that was replaced by another one is fenced off. When a call
//! fails half way, the next append takes back what it left (nobody was told that it was stored).

mod begin;
pub(crate) mod link;
mod reader;
mod scripts;

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use self::begin::{load, take_over};
use self::link::{Link, reply};
use self::reader::{ShardReader, read_block};
use self::scripts::Scripts;
use super::codec::{encode_mark, mark_key};
use super::marks::{self, Mark, Marks, Pending};
use super::redis_keys::{Keys, SHARDS};
use super::segment::{self, BlockWriter};
use super::{
    Admitted, Change, Entry, Expired, Flush, KeyRange, LogRange, LogRecord, LogRetention, Order, Position,
    Rows, Store, StoreError, StoreStatus, StreamId, Table,
};

/// Settings of a store on Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// `redis://host:port/db` or `redis+unix:///path/to.sock`.
    pub url: String,
    /// Begin of all keys, so that several stores fit into one Redis.
    pub prefix: String,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

impl RedisOptions {
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "lynceus".to_owned(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Log in streams, tables in hashes.
pub struct RedisStore {
    keys: Keys,
    epoch: String,
    scripts: Scripts,
    intake: Mutex<Intake>,
    /// Writes to tables.
    tables: Mutex<Link>,
    /// Queries wait for each other, not for the intake.
    queries: Mutex<Link>,
    damaged: AtomicU64,
}

struct Intake {
    link: Link,
    writer: BlockWriter,
    marks: Marks,
    last: u64,
    /// An append failed half way: positions after `known` may hold what must be taken back.
    unsure: Option<Unsure>,
    degraded: Option<String>,
}

struct Unsure {
    known: u64,
    streams: Vec<StreamId>,
}

/// Entries looked at by one step of retention.
const TRIM_COUNT: usize = 256;

impl RedisStore {
    /// Connects, takes the store over from any earlier collector and loads the marks.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses, or holds something else under our keys.
    pub fn open(options: &RedisOptions) -> Result<Self, StoreError> {
        let link = || Link::open(&options.url, options.timeout);
        let mut intake = link()?;
        let keys = Keys::new(options.prefix.clone(), SHARDS);
        let shards = intake.run(|connection| {
            redis::cmd("SET")
                .arg(keys.shard_count())
                .arg(SHARDS)
                .arg("NX")
                .exec(connection)?;
            redis::cmd("GET").arg(keys.shard_count()).query::<u32>(connection)
        })?;
        if shards == 0 {
            return Err(link::engine("the number of shards is 0"));
        }
        let keys = Keys::new(options.prefix.clone(), shards);
        let epoch = take_over(&mut intake, &keys)?;
        let (marks, last) = load(&mut intake, &keys)?;
        Ok(Self {
            keys,
            epoch,
            scripts: Scripts::new(),
            intake: Mutex::new(Intake {
                link: intake,
                writer: BlockWriter::new().map_err(|error| link::engine(&error.to_string()))?,
                marks,
                last,
                unsure: None,
                degraded: None,
            }),
            tables: Mutex::new(link()?),
            queries: Mutex::new(link()?),
            damaged: AtomicU64::new(0),
        })
    }

    fn append_blocks(
        &self,
        intake: &mut Intake,
        mut entries: Vec<Entry>,
        pending: &Pending,
    ) -> Result<(), StoreError> {
        // Blocks hold consecutive positions, so neighbours of one shard share a block.
        let mut rest = entries.as_mut_slice();
        let mut position = intake.last;
        while let Some(first) = rest.first() {
            let shard = self.keys.shard_of_stream(&first.stream);
            let mut bytes = 0;
            let count = rest
                .iter()
                .take_while(|entry| {
                    bytes += entry.payload.len();
                    self.keys.shard_of_stream(&entry.stream) == shard && bytes <= segment::MAX_RAW
                })
                .count()
                .max(1);
            let (block, after) = rest.split_at_mut(count);
            let mut streams: Vec<StreamId> = block.iter().map(|entry| entry.stream).collect();
            streams.sort_unstable();
            streams.dedup();
            let marks: Rows = streams
                .iter()
                .filter_map(|stream| {
                    let mark = pending.get(stream)?;
                    Some((mark_key(stream), encode_mark(stream, mark)))
                })
                .collect();
            let mut encoded = Vec::new();
            intake
                .writer
                .write(Position(position + 1), block, &mut encoded)
                .map_err(|error| link::engine(&error.to_string()))?;
            position += count as u64;
            let Intake { link, .. } = &mut *intake;
            self.scripts
                .append(link, &self.keys, shard, &self.epoch, position, &encoded, &marks)?;
            rest = after;
        }
        Ok(())
    }

    /// Takes back what a failed append left behind.
    fn settle(&self, intake: &mut Intake) -> Result<(), StoreError> {
        let Some(unsure) = intake.unsure.take() else {
            return Ok(());
        };
        let mut marks: BTreeMap<u32, Rows> = BTreeMap::new();
        for stream in &unsure.streams {
            let mark = intake.marks.get(stream);
            let row = (mark_key(stream), encode_mark(stream, &mark));
            marks
                .entry(self.keys.shard_of_stream(stream))
                .or_default()
                .push(row);
        }
        for (shard, marks) in marks {
            let taken = self.scripts.take_back(
                &mut intake.link,
                &self.keys,
                shard,
                &self.epoch,
                unsure.known,
                &marks,
            );
            if let Err(error) = taken {
                intake.unsure = Some(unsure);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Keys in order, from one shard or merged from all.
    fn ordered_keys(
        &self,
        link: &mut Link,
        table: Table,
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let shards = match one_shard_of(range) {
            Some(start) => vec![self.keys.shard_of_row(start)],
            None => (0..self.keys.shards()).collect(),
        };
        let (start, end) = (lex(&range.start, b"-"), lex(&range.end, b"+"));
        let found: Vec<Vec<Vec<u8>>> = link.query(|connection| {
            let mut pipe = redis::pipe();
            for shard in &shards {
                let index = self.keys.index(*shard, table);
                match order {
                    Order::Ascending => pipe.cmd("ZRANGEBYLEX").arg(index).arg(&start).arg(&end),
                    Order::Descending => pipe.cmd("ZREVRANGEBYLEX").arg(index).arg(&end).arg(&start),
                }
                .arg("LIMIT")
                .arg(0)
                .arg(limit);
            }
            pipe.query(connection)
        })?;
        let mut keys: Vec<Vec<u8>> = found.into_iter().flatten().collect();
        match order {
            Order::Ascending => keys.sort_unstable(),
            Order::Descending => keys.sort_unstable_by(|a, b| b.cmp(a)),
        }
        keys.truncate(limit);
        Ok(keys)
    }

    fn open_block(&self, bytes: &[u8], range: &LogRange) -> Vec<LogRecord> {
        let opened = read_block(bytes).and_then(|(prelude, header, body)| {
            if header.may_hold(&range.keys) {
                segment::open_body(prelude, &header, body)
            } else {
                Ok(Vec::new())
            }
        });
        opened.unwrap_or_else(|what| {
            tracing::error!(what, "block of the log in Redis is damaged");
            self.damaged.fetch_add(1, Ordering::Relaxed);
            Vec::new()
        })
    }

    fn check_row(&self, table: Table, row: &[u8]) -> Result<Vec<u8>, StoreError> {
        let whole = row
            .split_first_chunk()
            .filter(|(crc, value)| u32::from_le_bytes(**crc) == crc32c::crc32c(value));
        whole.map(|(_, value)| value.to_vec()).ok_or_else(|| {
            self.damaged.fetch_add(1, Ordering::Relaxed);
            StoreError::Damaged {
                place: format!("Redis table {}", table.name()),
                what: "row checksum".to_owned(),
            }
        })
    }
}

impl Store for RedisStore {
    fn append(&self, mut entries: Vec<Entry>) -> Result<Vec<Admitted>, StoreError> {
        let mut intake = lock(&self.intake);
        let done = self.settle(&mut intake).and_then(|()| {
            let mut last = intake.last;
            let (pending, admitted) = marks::admit_all(&intake.marks, &mut entries, &mut last);
            if entries.is_empty() {
                return Ok(admitted);
            }
            let streams = entries.iter().map(|entry| entry.stream).collect();
            if let Err(error) = self.append_blocks(&mut intake, entries, &pending) {
                intake.unsure = Some(Unsure {
                    known: intake.last,
                    streams,
                });
                // Ids of a stream only grow, even when the entry is deleted.
                intake.last = last;
                return Err(error);
            }
            intake.last = last;
            pending.settle(&mut intake.marks);
            Ok(admitted)
        });
        intake.degraded = done.as_ref().err().map(ToString::to_string);
        done
    }

    fn read_log(
        &self,
        range: &LogRange,
        visit: &mut dyn FnMut(LogRecord) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        // Merges the shards: of each the next blocks are at hand, the lowest id comes next.
        let mut shards: Vec<ShardReader> = (0..self.keys.shards())
            .map(|shard| ShardReader::new(shard, range))
            .collect();
        loop {
            for shard in &mut shards {
                shard.fill(&mut lock(&self.queries), &self.keys)?;
            }
            let next = shards.iter_mut().filter(|shard| !shard.blocks.is_empty());
            let Some(next) = next.min_by_key(|shard| shard.blocks.last().map_or(u64::MAX, |(id, _)| *id))
            else {
                return Ok(());
            };
            let Some((_, block)) = next.blocks.pop() else {
                return Ok(());
            };
            for record in self.open_block(&block, range) {
                let fits = range
                    .span
                    .is_none_or(|span| record.span.is_some_and(|own| own.overlaps(&span)));
                if record.position > range.after && fits && visit(record).is_break() {
                    return Ok(());
                }
            }
        }
    }

    fn marks(&self) -> Vec<(StreamId, Mark)> {
        let intake = lock(&self.intake);
        intake
            .marks
            .iter()
            .map(|(stream, mark)| (*stream, mark.clone()))
            .collect()
    }

    fn write(&self, changes: &[Change], _flush: Flush) -> Result<(), StoreError> {
        let mut shards: BTreeMap<u32, Vec<&Change>> = BTreeMap::new();
        for change in changes {
            shards
                .entry(self.keys.shard_of_row(&change.key))
                .or_default()
                .push(change);
        }
        let mut link = lock(&self.tables);
        for (shard, changes) in shards {
            self.scripts
                .write(&mut link, &self.keys, shard, &self.epoch, &changes)?;
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let rows = self.keys.rows(self.keys.shard_of_row(key), table);
        let row: Option<Vec<u8>> = lock(&self.queries)
            .query(|connection| redis::cmd("HGET").arg(&rows).arg(key).query(connection))?;
        row.map(|row| self.check_row(table, &row)).transpose()
    }

    fn scan(&self, table: Table, range: &KeyRange, order: Order, limit: usize) -> Result<Rows, StoreError> {
        if limit == 0 || range.is_empty() {
            return Ok(Vec::new());
        }
        let mut link = lock(&self.queries);
        let keys = self.ordered_keys(&mut link, table, range, order, limit)?;
        let rows: Vec<Option<Vec<u8>>> = link.query(|connection| {
            let mut pipe = redis::pipe();
            for key in &keys {
                pipe.cmd("HGET")
                    .arg(self.keys.rows(self.keys.shard_of_row(key), table))
                    .arg(key);
            }
            if keys.is_empty() {
                Ok(Vec::new())
            } else {
                pipe.query(connection)
            }
        })?;
        // A row may have gone between the two steps.
        let there = keys
            .into_iter()
            .zip(rows)
            .filter_map(|(key, row)| Some((key, row?)));
        there
            .map(|(key, row)| Ok((key, self.check_row(table, &row)?)))
            .collect()
    }

    fn expire_log(&self, retention: &LogRetention, keep_from: Position) -> Result<Expired, StoreError> {
        let mut expired = Expired::default();
        let oldest = SystemTime::now().checked_sub(retention.max_age);
        let oldest = oldest.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let oldest = oldest.map_or(0, |age| age.as_secs());
        let share = retention.max_bytes / u64::from(self.keys.shards());
        let mut link = lock(&self.tables);
        for shard in 0..self.keys.shards() {
            let limits = scripts::Limits {
                oldest,
                max_bytes: share,
                keep_from: keep_from.0,
                count: TRIM_COUNT,
            };
            loop {
                let trimmed = self
                    .scripts
                    .trim(&mut link, &self.keys, shard, &self.epoch, &limits)?;
                expired.entries += trimmed.entries;
                expired.bytes += trimmed.bytes;
                expired.forced += trimmed.forced;
                if trimmed.entries < TRIM_COUNT as u64 {
                    break;
                }
            }
        }
        Ok(expired)
    }

    fn status(&self) -> StoreStatus {
        let mut link = lock(&self.queries);
        let durability = link.durability();
        let mut log_bytes = 0;
        let mut first: Option<u64> = None;
        for shard in 0..self.keys.shards() {
            let found = link.query(|connection| {
                let bytes: Option<u64> = redis::cmd("GET").arg(self.keys.bytes(shard)).query(connection)?;
                let oldest: Vec<reply::Block> = redis::cmd("XRANGE")
                    .arg(self.keys.log(shard))
                    .arg(&["-", "+", "COUNT", "1"])
                    .query(connection)?;
                Ok((bytes, oldest))
            });
            if let Ok((bytes, oldest)) = found {
                log_bytes += bytes.unwrap_or(0);
                let header = oldest.first().and_then(|block| read_block(&block.bytes).ok());
                let own = header.map(|(_, header, _)| header.first_position);
                first = first.into_iter().chain(own).min();
            }
        }
        let intake = lock(&self.intake);
        StoreStatus {
            engine: "redis",
            durability,
            last_position: Position(intake.last),
            first_position: first.map(Position),
            log_bytes,
            table_bytes: None,
            damaged: self.damaged.load(Ordering::Relaxed),
            recovered_bytes: 0,
            degraded: intake.degraded.clone(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bound in the notation of ZRANGEBYLEX.
fn lex(bound: &Bound<Vec<u8>>, unbounded: &[u8]) -> Vec<u8> {
    match bound {
        Bound::Unbounded => unbounded.to_vec(),
        Bound::Included(key) => [b"[", key.as_slice()].concat(),
        Bound::Excluded(key) => [b"(", key.as_slice()].concat(),
    }
}

/// A key of the one shard in which the range lies, if both ends say so.
fn one_shard_of(range: &KeyRange) -> Option<&[u8]> {
    let (Bound::Included(start) | Bound::Excluded(start)) = &range.start else {
        return None;
    };
    let (Bound::Included(end) | Bound::Excluded(end)) = &range.end else {
        return None;
    };
    (start.len() >= 16 && end.len() >= 16 && start[..16] == end[..16]).then_some(start)
}
