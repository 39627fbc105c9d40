//! The scripts that run inside Redis. Each is one atomic step on one shard and checks the owner first.

use redis::Script;

use super::Keys;
use super::link::Link;
use crate::store::{Change, StoreError, Table};

/// First lines of every script: KEYS[1] is the epoch's key, ARGV[1] the epoch of the caller.
const FENCE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('FENCED another collector took over') end\n";

/// KEYS epoch, log, bytes, marks; ARGV epoch, id, seconds, block, then pairs of stream and mark.
const APPEND: &str = "
redis.call('XADD', KEYS[2], ARGV[2] .. '-0', 'b', ARGV[4], 't', ARGV[3])
redis.call('INCRBY', KEYS[3], #ARGV[4])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
return 1";

/// KEYS as in APPEND; ARGV epoch, last good id, then pairs of stream and mark.
const TAKE_BACK: &str = "
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '(' .. ARGV[2] .. '-0', '+')) do
  redis.call('DECRBY', KEYS[3], #entry[2][2])
  redis.call('XDEL', KEYS[2], entry[1])
end
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
return 1";

/// KEYS epoch, log, bytes; ARGV epoch, oldest second to keep, bytes to keep, first id to keep, most entries to look at.
/// Returns entries and bytes deleted and how many of the entries were wanted. The newest entry always stays.
const TRIM: &str = "
local entries, bytes, forced = 0, 0, 0
local have = tonumber(redis.call('GET', KEYS[3]) or '0')
local left = redis.call('XLEN', KEYS[2])
for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[5])) do
  local id = tonumber(string.match(entry[1], '^%d+'))
  local wanted = id >= tonumber(ARGV[4])
  local old = tonumber(entry[2][4]) < tonumber(ARGV[2])
  if left <= 1 or not (have > tonumber(ARGV[3]) or (old and not wanted)) then break end
  local size = #entry[2][2]
  redis.call('XDEL', KEYS[2], entry[1])
  have, left, entries, bytes = have - size, left - 1, entries + 1, bytes + size
  if wanted then forced = forced + 1 end
end
redis.call('SET', KEYS[3], have)
return {entries, bytes, forced}";

/// KEYS epoch, then rows and index of each table; ARGV epoch, then groups of table number, 1 or 0, key, value.
const WRITE: &str = "
for i = 2, #ARGV, 4 do
  local at = 2 * tonumber(ARGV[i])
  if ARGV[i + 1] == '1' then
    redis.call('HSET', KEYS[at], ARGV[i + 2], ARGV[i + 3])
    redis.call('ZADD', KEYS[at + 1], 0, ARGV[i + 2])
  else
    redis.call('HDEL', KEYS[at], ARGV[i + 2])
    redis.call('ZREM', KEYS[at + 1], ARGV[i + 2])
  end
end
return 1";

pub(super) struct Scripts {
    append: Script,
    take_back: Script,
    trim: Script,
    write: Script,
}

/// What [`Scripts::trim`] keeps.
pub(super) struct Limits {
    /// Seconds since the Unix epoch.
    pub(super) oldest: u64,
    pub(super) max_bytes: u64,
    pub(super) keep_from: u64,
    pub(super) count: usize,
}

pub(super) struct Trimmed {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) forced: u64,
}

impl Scripts {
    pub(super) fn new() -> Self {
        let script = |body: &str| Script::new(&format!("{FENCE}{body}"));
        Self {
            append: script(APPEND),
            take_back: script(TAKE_BACK),
            trim: script(TRIM),
            write: script(WRITE),
        }
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the script's own arguments, used in one place"
    )]
    pub(super) fn append(
        &self,
        link: &mut Link,
        keys: &Keys,
        shard: u32,
        epoch: &str,
        id: u64,
        block: &[u8],
        marks: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut call = self.append.key(keys.epoch(shard));
        call.key(keys.log(shard))
            .key(keys.bytes(shard))
            .key(keys.marks(shard));
        call.arg(epoch)
            .arg(id)
            .arg(now.map_or(0, |age| age.as_secs()))
            .arg(block);
        for (stream, mark) in marks {
            call.arg(stream.as_slice()).arg(mark.as_slice());
        }
        link.run(|connection| call.invoke::<()>(connection))
    }

    pub(super) fn take_back(
        &self,
        link: &mut Link,
        keys: &Keys,
        shard: u32,
        epoch: &str,
        known: u64,
        marks: &[(Vec<u8>, Vec<u8>)],
    ) -> Result<(), StoreError> {
        let mut call = self.take_back.key(keys.epoch(shard));
        call.key(keys.log(shard))
            .key(keys.bytes(shard))
            .key(keys.marks(shard));
        call.arg(epoch).arg(known);
        for (stream, mark) in marks {
            call.arg(stream.as_slice()).arg(mark.as_slice());
        }
        link.run(|connection| call.invoke::<()>(connection))
    }

    pub(super) fn trim(
        &self,
        link: &mut Link,
        keys: &Keys,
        shard: u32,
        epoch: &str,
        limits: &Limits,
    ) -> Result<Trimmed, StoreError> {
        let mut call = self.trim.key(keys.epoch(shard));
        call.key(keys.log(shard)).key(keys.bytes(shard));
        call.arg(epoch)
            .arg(limits.oldest)
            .arg(limits.max_bytes)
            .arg(limits.keep_from)
            .arg(limits.count);
        let (entries, bytes, forced) = link.run(|connection| call.invoke(connection))?;
        Ok(Trimmed {
            entries,
            bytes,
            forced,
        })
    }

    pub(super) fn write(
        &self,
        link: &mut Link,
        keys: &Keys,
        shard: u32,
        epoch: &str,
        changes: &[&Change],
    ) -> Result<(), StoreError> {
        let mut tables: Vec<Table> = changes.iter().map(|change| change.table).collect();
        tables.sort_unstable();
        tables.dedup();
        let mut call = self.write.key(keys.epoch(shard));
        for table in &tables {
            call.key(keys.rows(shard, *table)).key(keys.index(shard, *table));
        }
        call.arg(epoch);
        for change in changes {
            let number = tables.binary_search(&change.table).unwrap_or(0) + 1;
            call.arg(number)
                .arg(i32::from(change.value.is_some()))
                .arg(change.key.as_slice());
            match &change.value {
                Some(value) => {
                    let mut row = crc32c::crc32c(value).to_le_bytes().to_vec();
                    row.extend_from_slice(value);
                    call.arg(row)
                }
                None => call.arg(""),
            };
        }
        link.run(|connection| call.invoke::<()>(connection))
    }
}
