//! The file of a table: a header that says what it is and whose, then named sections.
//!
//! `LYNTAB1\n`, length of the header (u32, little endian), header as JSON, sections one after the other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// First bytes of a table.
pub const MAGIC: &[u8; 8] = b"LYNTAB1\n";
/// Longest header, bytes; ours have about 1 kB.
const MAX_HEADER: usize = 64 << 10;

/// What a table is, of when, and under which license.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// What is in it: `asn`, `country`, `city`, `mac-vendor`.
    pub kind: String,
    /// Name of the source in facts.
    pub source: String,
    /// For people.
    pub title: String,
    /// Package it was made from, and its version.
    pub package: String,
    pub version: String,
    /// Day of the data, `YYYY-MM-DD`.
    pub date: String,
    pub license: String,
    /// The line that the license asks for.
    pub attribution: String,
    pub url: String,
    /// SHA-256 of the package.
    pub package_sha256: String,
    /// SHA-256 of everything behind the header.
    pub payload_sha256: String,
    /// Ranges or records, for people.
    pub records: u64,
    /// Offset behind the header and length, bytes.
    pub sections: BTreeMap<String, (u64, u64)>,
}

/// A table that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{section}: {what} (offset {offset})")]
pub struct Damaged {
    /// Section of the table; `header` for what is before them.
    pub section: String,
    /// Bytes from the beginning of the section.
    pub offset: u64,
    pub what: Cow<'static, str>,
}

impl Damaged {
    pub(super) fn at(section: impl Into<String>, offset: usize, what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            section: section.into(),
            offset: offset as u64,
            what: what.into(),
        }
    }
}

/// Header and bytes of a table.
#[derive(Debug)]
pub struct Container {
    pub header: Header,
    bytes: Cow<'static, [u8]>,
    payload: usize,
}

impl Container {
    /// Reads the header and checks that its sections are inside the file; touches no other byte.
    ///
    /// # Errors
    /// It is no table, or it is cut.
    pub fn open(bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, Damaged> {
        let bytes = bytes.into();
        let fault = |offset, what| Damaged::at("header", offset, what);
        let length = match bytes.split_at_checked(8) {
            Some((magic, rest)) if magic == MAGIC => rest.first_chunk::<4>(),
            _ => return Err(fault(0, "does not begin like a table")),
        };
        let length = length.ok_or_else(|| fault(8, "cut"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_HEADER {
            return Err(fault(8, "the header is too long"));
        }
        let payload = 12 + length;
        let header = bytes.get(12..payload).ok_or_else(|| fault(12, "cut"))?;
        let header: Header = serde_json::from_slice(header)
            .map_err(|error| Damaged::at("header", 12, format!("not a header: {error}")))?;
        let room = (bytes.len() - payload) as u64;
        for (name, (offset, length)) in &header.sections {
            if offset.checked_add(*length).is_none_or(|end| end > room) {
                return Err(Damaged::at(name.clone(), 0, "ends behind the end of the file"));
            }
        }
        Ok(Self {
            header,
            bytes,
            payload,
        })
    }

    /// Where a section is in [`Self::bytes`]; empty if there is none of that name.
    pub(super) fn section(&self, name: &str) -> Range<usize> {
        let (offset, length) = self.header.sections.get(name).copied().unwrap_or_default();
        // Inside the file: checked when it was opened.
        let start = self.payload + offset as usize;
        start..start + length as usize
    }

    #[must_use]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Everything behind the header, as the hash in the header counts it.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.bytes[self.payload..]
    }

    /// SHA-256 of [`Self::payload`], in hexadecimal.
    #[must_use]
    pub fn hash(&self) -> String {
        hash(self.payload())
    }

    /// Size of the whole file, bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn hash(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
