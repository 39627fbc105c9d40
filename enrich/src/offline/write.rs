//! Writes tables: the inverse of what the readers read. `cargo xtask data` uses it, and tests.

use super::container::{Header, MAGIC, hash};
use super::ranges::{self, BLOCK, Key};
use super::records::{self, CHUNK, MAX_TEXT, Row};

/// A table in the making.
#[derive(Debug)]
pub struct Writer {
    header: Header,
    payload: Vec<u8>,
    level: i32,
}

impl Writer {
    /// `level` is that of zstd: 19 for what is shipped, 1 for tests.
    #[must_use]
    pub const fn new(header: Header, level: i32) -> Self {
        Self {
            header,
            payload: Vec::new(),
            level,
        }
    }

    /// Adds ranges: each from its key on, up to the next one; number 0 says nothing. Equal neighbors become one.
    ///
    /// # Errors
    /// Packing failed.
    ///
    /// # Panics
    /// The keys do not ascend.
    pub fn ranges<K: Key>(&mut self, family: &str, ranges: &[(K, u32)]) -> std::io::Result<u64> {
        let mut merged: Vec<(K, u32)> = Vec::with_capacity(ranges.len() + 1);
        if ranges.first().is_none_or(|(first, _)| first.wide() != 0) {
            merged.extend(K::narrow(0).map(|zero| (zero, 0)));
        }
        for (start, number) in ranges {
            if let Some((last, same)) = merged.last() {
                assert!(last <= start, "{start:?} is behind {last:?}");
                if last == start {
                    merged.pop();
                } else if same == number {
                    continue;
                }
            }
            // What was popped may have parted two equal ones.
            if merged.last().is_none_or(|(_, same)| same != number) {
                merged.push((*start, *number));
            }
        }
        let (mut index, mut blocks) = (Vec::new(), Vec::new());
        for block in merged.chunks(BLOCK) {
            let packed = zstd::bulk::compress(&ranges::pack(block), self.level)?;
            index.extend(&block[0].0.wide().to_le_bytes()[..K::BYTES]);
            entry(&mut index, &packed, block.len());
            blocks.extend(packed);
        }
        self.section(&format!("{family}.index"), &index);
        self.section(&format!("{family}.blocks"), &blocks);
        self.header.records += merged.len() as u64;
        Ok(merged.len() as u64)
    }

    /// Adds the records that the numbers stand for, the first one being number 1.
    ///
    /// # Errors
    /// Packing failed.
    pub fn records(
        &mut self,
        name: &str,
        rows: &[Row],
        texts: usize,
        integers: usize,
    ) -> std::io::Result<()> {
        let (mut index, mut chunks) = (Vec::new(), Vec::new());
        for chunk in rows.chunks(CHUNK) {
            let packed = zstd::bulk::compress(&records::pack(chunk, texts, integers), self.level)?;
            entry(&mut index, &packed, chunk.len());
            chunks.extend(packed);
        }
        self.section(&format!("{name}.index"), &index);
        self.section(&format!("{name}.chunks"), &chunks);
        Ok(())
    }

    /// The file.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.header.payload_sha256 = hash(&self.payload);
        // Strings and numbers only: it cannot fail.
        let header = serde_json::to_vec_pretty(&self.header).unwrap_or_default();
        let mut out = MAGIC.to_vec();
        out.extend((header.len() as u32).to_le_bytes());
        out.extend(header);
        out.extend(self.payload);
        out
    }

    fn section(&mut self, name: &str, bytes: &[u8]) {
        let place = (self.payload.len() as u64, bytes.len() as u64);
        self.header.sections.insert(name.to_owned(), place);
        self.payload.extend(bytes);
    }
}

/// Cut to what a record may hold, at the end of a character.
#[must_use]
pub fn text(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].trim().to_owned()
}

fn entry(index: &mut Vec<u8>, packed: &[u8], count: usize) {
    index.extend((packed.len() as u32).to_le_bytes());
    index.extend(crc32c::crc32c(packed).to_le_bytes());
    index.extend((count as u32).to_le_bytes());
}
