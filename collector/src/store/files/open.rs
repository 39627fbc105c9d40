//! Segments as files: finding them, reading their headers, cutting a torn tail.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::Inner;
use crate::store::segment::{BlockHeader, PRELUDE, Prelude};
use crate::store::{Position, Span, StoreError};

/// End of the names of segments; the begin is their first position.
pub(super) const SUFFIX: &str = "lynlog";
/// Block preludes and headers are read with one call of this size; most headers fit.
const READ_AHEAD: usize = 4096;

#[derive(Clone)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) file: Arc<File>,
    pub(super) len: u64,
    pub(super) created: SystemTime,
    /// First position that the segment can hold.
    pub(super) first: u64,
    /// Entries inside.
    pub(super) entries: u64,
    pub(super) span: Option<Span>,
}

impl Inner {
    /// Reads the headers of a segment found at open. The last one is verified from the last checkpoint (`after`) on and
    /// cut where it ends to be whole; an earlier one with a damaged block stays as it is and is counted. `next` is where the following
    /// segment begins: blocks from there on are left over from a failed append.
    pub(super) fn take_segment(
        &mut self,
        first: u64,
        path: PathBuf,
        next: Option<u64>,
        after: Position,
    ) -> Result<(), StoreError> {
        let last = next.is_none();
        let io = |source| StoreError::io(&path, source);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        let mut segment = Segment {
            path: path.clone(),
            file: Arc::new(file),
            len: metadata.len(),
            created: metadata.created().or_else(|_| metadata.modified()).map_err(io)?,
            first,
            entries: 0,
            span: None,
        };
        let mut at = 0;
        while at < segment.len {
            let (prelude, header) = match read_header(&segment, at)? {
                Ok(block) => block,
                Err(what) => {
                    tracing::warn!(file = %path.display(), offset = at, what, "log ends here");
                    break;
                }
            };
            let body_at = at + (PRELUDE + prelude.header_len) as u64;
            let end = body_at + prelude.body_len as u64;
            if next.is_some_and(|next| header.last_position() >= next) {
                break;
            }
            // What a checkpoint speaks of was whole on the medium before it.
            if last && header.last_position() > after.0 {
                let mut body = vec![0; prelude.body_len];
                segment.file.read_exact_at(&mut body, body_at).map_err(io)?;
                if !prelude.body_is_whole(&body) {
                    tracing::warn!(file = %path.display(), offset = body_at, "log ends in a torn block");
                    break;
                }
            }
            for (index, entry) in header.entries.iter().enumerate() {
                let position = header.first_position + index as u64;
                if let (true, Some(stream)) = (position > after.0, entry.stream_id()) {
                    let mut mark = self.marks.get(&stream);
                    mark.admit(entry.seq);
                    self.marks.set(stream, mark);
                }
            }
            segment.entries = (header.last_position() + 1).saturating_sub(first);
            segment.span = segment.span.into_iter().chain(header.span()).reduce(Span::join);
            self.last = self.last.max(header.last_position());
            at = end;
        }
        if at < segment.len {
            if last {
                self.recovered_bytes += segment.len - at;
                segment
                    .file
                    .set_len(at)
                    .and_then(|()| segment.file.sync_all())
                    .map_err(io)?;
                segment.len = at;
            } else {
                self.damaged += 1;
                segment.len = at;
            }
        }
        self.segments.push(segment);
        Ok(())
    }
}

/// Segment files by first position, ascending.
pub(super) fn segment_paths(directory: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let io = |source| StoreError::io(directory, source);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == SUFFIX) {
            let first = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| stem.parse().ok());
            paths.extend(first.map(|first| (first, path)));
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// A block's frame and header, or why there is none.
type Readable = Result<(Prelude, BlockHeader), &'static str>;

/// Reads prelude and header of the block at `at`; damage is an inner error, trouble with the disk an outer one.
pub(super) fn read_header(segment: &Segment, at: u64) -> Result<Readable, StoreError> {
    let io = |source| StoreError::io(&segment.path, source);
    let left = usize::try_from(segment.len - at).unwrap_or(usize::MAX);
    let mut bytes = vec![0; READ_AHEAD.min(left)];
    segment.file.read_exact_at(&mut bytes, at).map_err(io)?;
    let Some(start) = bytes.first_chunk() else {
        return Ok(Err("torn block"));
    };
    let prelude = match Prelude::read(start) {
        Ok(prelude) => prelude,
        Err(what) => return Ok(Err(what)),
    };
    let end = PRELUDE + prelude.header_len;
    if end + prelude.body_len > left {
        return Ok(Err("torn block"));
    }
    if end > bytes.len() {
        let have = bytes.len();
        bytes.resize(end, 0);
        segment
            .file
            .read_exact_at(&mut bytes[have..], at + have as u64)
            .map_err(io)?;
    }
    Ok(prelude
        .header(&bytes[PRELUDE..end])
        .map(|header| (prelude, header)))
}
