//! Reading the log: block by block out of the stream of a shard.

use prost::bytes::Bytes;

use super::Keys;
use super::link::{Link, reply};
use crate::store::segment::{BlockHeader, PRELUDE, Prelude};
use crate::store::{LogRange, StoreError};

/// Entries of a stream that one read brings.
const READ_COUNT: usize = 16;

/// The next blocks of one shard's stream, the nearest last.
pub(super) struct ShardReader {
    shard: u32,
    after: u64,
    ended: bool,
    pub(super) blocks: Vec<(u64, Bytes)>,
}

impl ShardReader {
    pub(super) const fn new(shard: u32, range: &LogRange) -> Self {
        Self {
            shard,
            after: range.after.0,
            ended: false,
            blocks: Vec::new(),
        }
    }

    pub(super) fn fill(&mut self, link: &mut Link, keys: &Keys) -> Result<(), StoreError> {
        if self.ended || !self.blocks.is_empty() {
            return Ok(());
        }
        let found: Vec<reply::Block> = link.query(|connection| {
            redis::cmd("XRANGE")
                .arg(keys.log(self.shard))
                .arg(format!("({}-0", self.after))
                .arg("+")
                .arg("COUNT")
                .arg(READ_COUNT)
                .query(connection)
        })?;
        self.ended = found.len() < READ_COUNT;
        self.after = found.last().map_or(self.after, |block| block.id);
        self.blocks = found
            .into_iter()
            .rev()
            .map(|block| (block.id, block.bytes))
            .collect();
        Ok(())
    }
}

/// The parts of a block: its frame, its header and the body that is still closed.
pub(super) fn read_block(bytes: &[u8]) -> Result<(Prelude, BlockHeader, &[u8]), &'static str> {
    let (start, rest) = bytes.split_first_chunk::<PRELUDE>().ok_or("torn block")?;
    let prelude = Prelude::read(start)?;
    let (header, body) = rest.split_at_checked(prelude.header_len).ok_or("torn block")?;
    Ok((prelude, prelude.header(header)?, body))
}
