//! What the numbers of ranges stand for: records of texts and integers, in chunks that are unpacked when first asked for.

use std::sync::{Arc, OnceLock};

use super::bytes::{Cursor, put, unzigzag, zigzag};
use super::container::{Container, Damaged};

/// Records in a table: three times what the largest of ours has.
pub const MAX_RECORDS: usize = 1 << 20;
/// Records in a chunk.
pub const CHUNK: usize = 2048;
/// Longest text of a record, bytes.
pub const MAX_TEXT: usize = 512;
/// Most columns of each type.
pub const MAX_COLUMNS: usize = 8;
/// An unpacked chunk.
const MAX_CHUNK_BYTES: usize = 4 << 20;

/// Records by number, from 1 on; 0 is no record.
#[derive(Debug)]
pub struct Records {
    container: Arc<Container>,
    /// Section of the chunks, for errors.
    name: String,
    texts: usize,
    integers: usize,
    places: Vec<Place>,
    chunks: Vec<OnceLock<Result<Chunk, Damaged>>>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
    checksum: u32,
    count: u32,
}

#[derive(Debug)]
struct Chunk {
    text: String,
    /// Where each text is in `text`: column after column.
    spans: Vec<(u32, u32)>,
    integers: Vec<i64>,
    count: usize,
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    chunk: &'a Chunk,
    at: usize,
}

impl<'a> Record<'a> {
    /// Text of a column; empty where there is none.
    #[must_use]
    pub fn text(&self, column: usize) -> &'a str {
        let span = self.chunk.spans.get(column * self.chunk.count + self.at);
        span.and_then(|(start, end)| self.chunk.text.get(*start as usize..*end as usize))
            .unwrap_or_default()
    }

    #[must_use]
    pub fn integer(&self, column: usize) -> i64 {
        let value = self.chunk.integers.get(column * self.chunk.count + self.at);
        value.copied().unwrap_or_default()
    }
}

impl Records {
    /// Reads the index of the chunks `name`; the records have `texts` texts and `integers` integers each.
    ///
    /// # Errors
    /// The index is cut or states more than the bounds allow.
    pub fn open(
        container: Arc<Container>,
        name: &str,
        texts: usize,
        integers: usize,
    ) -> Result<Self, Damaged> {
        let (index_name, name) = (format!("{name}.index"), format!("{name}.chunks"));
        let section = container.section(&name);
        let index = &container.bytes()[container.section(&index_name)];
        let fault = |offset, what| Damaged::at(index_name.clone(), offset, what);
        if !index.len().is_multiple_of(12) {
            return Err(fault(index.len(), "cut"));
        }
        let mut places: Vec<Place> = Vec::new();
        let mut start = section.start;
        for (position, entry) in index.chunks_exact(12).enumerate() {
            let number = |at: usize| {
                let bytes = entry.get(at..).and_then(<[u8]>::first_chunk);
                bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
            };
            let (length, checksum, count) = (number(0), number(4), number(8));
            let full = places.last().is_none_or(|last| last.count as usize == CHUNK);
            if count == 0 || count as usize > CHUNK || !full || position >= MAX_RECORDS / CHUNK {
                return Err(fault(position * 12, "not the number of records that a chunk has"));
            }
            let end = start
                .checked_add(length as usize)
                .filter(|end| *end <= section.end)
                .ok_or_else(|| fault(position * 12, "a chunk ends behind its section"))?;
            places.push(Place {
                start,
                end,
                checksum,
                count,
            });
            start = end;
        }
        Ok(Self {
            container,
            name,
            texts: texts.min(MAX_COLUMNS),
            integers: integers.min(MAX_COLUMNS),
            chunks: places.iter().map(|_| OnceLock::new()).collect(),
            places,
        })
    }

    /// Record `number`, counted from 1.
    ///
    /// # Errors
    /// There is no such record, or its chunk is damaged.
    pub fn get(&self, number: u32) -> Result<Record<'_>, Damaged> {
        let missing = || Damaged::at(self.name.clone(), 0, format!("there is no record {number}"));
        let index = (number as usize).checked_sub(1).ok_or_else(missing)?;
        let chunk = self.chunks.get(index / CHUNK).ok_or_else(missing)?;
        let chunk = match chunk.get_or_init(|| self.unpack(index / CHUNK)) {
            Ok(chunk) => chunk,
            Err(damaged) => return Err(damaged.clone()),
        };
        let at = index % CHUNK;
        if at >= chunk.count {
            return Err(missing());
        }
        Ok(Record { chunk, at })
    }

    /// Records in all chunks.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.iter().map(|place| place.count as usize).sum()
    }

    fn unpack(&self, at: usize) -> Result<Chunk, Damaged> {
        let place = self.places[at];
        let begin = place.start - self.container.section(&self.name).start;
        let fault = |what| Damaged::at(self.name.clone(), begin, what);
        let packed = &self.container.bytes()[place.start..place.end];
        if crc32c::crc32c(packed) != place.checksum {
            return Err(fault("checksum of a chunk"));
        }
        let bytes = zstd::bulk::decompress(packed, MAX_CHUNK_BYTES)
            .map_err(|_| fault("a chunk that does not unpack to its bound"))?;
        unpack(&bytes, place.count as usize, self.texts, self.integers)
            .ok_or_else(|| fault("a chunk that is not as its index says"))
    }
}

/// Columns of integers as differences, then columns of texts: 0 = as the one before, else its length and 1, and the text.
fn unpack(bytes: &[u8], count: usize, texts: usize, integers: usize) -> Option<Chunk> {
    let mut cursor = Cursor::new(bytes);
    let mut values = Vec::with_capacity(count * integers);
    for _ in 0..integers {
        let mut value = 0_i64;
        for _ in 0..count {
            value = value.checked_add(unzigzag(cursor.number()?))?;
            values.push(value);
        }
    }
    let mut text = String::new();
    let mut spans = Vec::with_capacity(count * texts);
    for _ in 0..texts {
        let mut span = (0, 0);
        for _ in 0..count {
            let length = usize::try_from(cursor.number()?).ok()?;
            if let Some(length) = length.checked_sub(1) {
                if length > MAX_TEXT {
                    return None;
                }
                let start = text.len();
                text.push_str(std::str::from_utf8(cursor.take(length)?).ok()?);
                span = (start as u32, text.len() as u32);
            }
            spans.push(span);
        }
    }
    Some(Chunk {
        text,
        spans,
        integers: values,
        count,
    })
}

/// A record to write.
pub type Row = (Vec<String>, Vec<i64>);

/// The inverse: one packed chunk.
pub(super) fn pack(rows: &[Row], texts: usize, integers: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for column in 0..integers {
        let mut before = 0;
        for (_, values) in rows {
            put(&mut out, zigzag(values[column] - before).into());
            before = values[column];
        }
    }
    for column in 0..texts {
        let mut before: Option<&str> = None;
        for (row, _) in rows {
            let text = row[column].as_str();
            if before == Some(text) {
                put(&mut out, 0);
            } else {
                put(&mut out, text.len() as u128 + 1);
                out.extend(text.as_bytes());
            }
            before = Some(text);
        }
    }
    out
}
