//! Every key that lynceus uses in Redis, and what lies behind it.
//!
//! `P` is the prefix from the configuration, `sNN` the shard. The braces are a Redis hash tag: all keys of a shard
//! live in one slot of a cluster, so one script may change them together.
//!
//! | key | type | content |
//! |---|---|---|
//! | `P:shards` | string | number of shards, fixed when the store was made |
//! | `P:{sNN}:epoch` | string | owner: each collector that opens the store adds 1, older ones are fenced off |
//! | `P:{sNN}:log` | stream | id `position-0`, field `b` = one block of the log (`segment.rs`) |
//! | `P:{sNN}:bytes` | string | bytes of the blocks in the stream |
//! | `P:{sNN}:marks` | hash | sequence mark of each stream of batches |
//! | `P:{sNN}:t:TABLE` | hash | rows: key → crc32c, value |
//! | `P:{sNN}:i:TABLE` | sorted set, all scores 0 | the keys of the rows in order |

use super::{StreamId, Table, filter};

/// Shards of a new store. Enough to spread a small cluster; fixed afterwards, as keys depend on it.
pub(super) const SHARDS: u32 = 16;

/// Makes keys.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    shards: u32,
}

impl Keys {
    pub(super) const fn new(prefix: String, shards: u32) -> Self {
        Self { prefix, shards }
    }

    pub(super) const fn shards(&self) -> u32 {
        self.shards
    }

    pub(super) fn shard_count(&self) -> String {
        format!("{}:shards", self.prefix)
    }

    pub(super) fn epoch(&self, shard: u32) -> String {
        self.key(shard, "epoch")
    }

    pub(super) fn log(&self, shard: u32) -> String {
        self.key(shard, "log")
    }

    pub(super) fn bytes(&self, shard: u32) -> String {
        self.key(shard, "bytes")
    }

    pub(super) fn marks(&self, shard: u32) -> String {
        self.key(shard, "marks")
    }

    pub(super) fn rows(&self, shard: u32, table: Table) -> String {
        self.key(shard, &format!("t:{}", table.name()))
    }

    pub(super) fn index(&self, shard: u32, table: Table) -> String {
        self.key(shard, &format!("i:{}", table.name()))
    }

    /// Shard of a row: by the first 16 bytes of its key, which are the address in all tables of profiles.
    pub(super) fn shard_of_row(&self, key: &[u8]) -> u32 {
        self.shard(&key[..key.len().min(16)])
    }

    /// Shard of a stream of batches.
    pub(super) fn shard_of_stream(&self, stream: &StreamId) -> u32 {
        self.shard(&super::codec::mark_key(stream))
    }

    fn shard(&self, bytes: &[u8]) -> u32 {
        u32::try_from(filter::key_hash(bytes) % u64::from(self.shards)).unwrap_or(0)
    }

    fn key(&self, shard: u32, name: &str) -> String {
        format!("{}:{{s{shard:02}}}:{name}", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_shard_share_a_hash_tag() {
        let keys = Keys::new("lyn".to_owned(), SHARDS);
        assert_eq!(keys.rows(3, Table::Windows), "lyn:{s03}:t:windows");
        assert_eq!(keys.index(3, Table::Windows), "lyn:{s03}:i:windows");
        assert_eq!(keys.log(15), "lyn:{s15}:log");
    }

    #[test]
    fn rows_of_a_profile_share_a_shard() {
        let keys = Keys::new("lyn".to_owned(), SHARDS);
        let mut key = [7_u8; 24];
        let shard = keys.shard_of_row(&key);
        key[20] = 9;
        assert_eq!(keys.shard_of_row(&key), shard);
    }
}
