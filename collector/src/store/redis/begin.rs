//! What a store does when it opens: it takes the shards over, and reads how far every stream is.

use super::super::StoreError;
use super::super::codec::decode_mark;
use super::super::marks::Marks;
use super::super::redis_keys::Keys;
use super::link::{self, Link};

/// Makes this process the one that writes: no other with a lower number is let in any more.
pub(super) fn take_over(link: &mut Link, keys: &Keys) -> Result<String, StoreError> {
    // One number for all shards, above every earlier one.
    let all: Vec<String> = (0..keys.shards()).map(|shard| keys.epoch(shard)).collect();
    link.run(|connection| {
        let mut highest = 0_u64;
        for key in &all {
            highest = highest.max(redis::cmd("INCR").arg(key).query(connection)?);
        }
        for key in &all {
            redis::cmd("SET").arg(key).arg(highest).exec(connection)?;
        }
        Ok(highest.to_string())
    })
}

/// What is stored of every stream, and the last position of the log.
pub(super) fn load(link: &mut Link, keys: &Keys) -> Result<(Marks, u64), StoreError> {
    let mut marks = Marks::default();
    let mut last = 0;
    for shard in 0..keys.shards() {
        let (rows, id): (Vec<Vec<u8>>, u64) = link.run(|connection| {
            let rows = redis::cmd("HVALS").arg(keys.marks(shard)).query(connection)?;
            Ok((rows, link::last_id(connection, &keys.log(shard))?))
        })?;
        for row in rows {
            let (stream, mark) =
                decode_mark(&row).ok_or_else(|| link::engine("a sequence mark is not readable"))?;
            marks.set(stream, mark);
        }
        last = last.max(id);
    }
    Ok((marks, last))
}
