//! How full the maps are in which the kernel programs remember something for a while: ports of fragmented datagrams, and
//! the credit of sources of payload heads. When one is full, the kernel forgets what was used least recently.

use std::time::{Duration, Instant};

use aya::maps::{HashMap, Map, MapData, MapError};
use sensor_ebpf::heads::SourceBucket;
use sensor_ebpf::layout::{FragmentKey, FragmentPorts};

use super::counters::Filled;

/// Names of the maps in the object.
pub(super) const FRAGMENTS: &str = "FRAGMENTS";
pub(super) const SOURCES: &str = "HEAD_SOURCES";

/// A call of the kernel for each element is the only way to count them: what one count takes is a thousandth of the time
/// to the next one, at most [`LONGEST_REST`] however long the thread was kept from it. A full map of 2^14 elements, some
/// 5 ms, is counted every 5 seconds.
const REST: u32 = 1000;
const LONGEST_REST: Duration = Duration::from_secs(10);

type Fragments = HashMap<MapData, [u8; size_of::<FragmentKey>()], [u8; size_of::<FragmentPorts>()]>;
type Sources = HashMap<MapData, [u64; 2], [u8; size_of::<SourceBucket>()]>;

/// Both maps.
#[derive(Debug)]
pub struct Hints {
    fragments: Fragments,
    sources: Sources,
    limits: [u64; 2],
    next: Option<Instant>,
    last: [Filled; 2],
}

impl Hints {
    pub(super) fn new(fragments: Map, sources: Map) -> Result<Self, MapError> {
        let limits = [limit(&fragments)?, limit(&sources)?];
        Ok(Self {
            fragments: HashMap::try_from(fragments)?,
            sources: HashMap::try_from(sources)?,
            limits,
            next: None,
            last: limits.map(|limit| Filled { used: 0, limit }),
        })
    }

    /// Elements of the map of fragments and of that of sources, as of the last count; none before the first.
    pub fn fills(&mut self) -> [Filled; 2] {
        let begin = Instant::now();
        if self.next.is_none_or(|next| begin >= next) {
            let [fragments, sources] = self.limits;
            self.last = [
                counted(self.fragments.keys(), fragments),
                counted(self.sources.keys(), sources),
            ];
            let end = Instant::now();
            let rest = end.duration_since(begin).saturating_mul(REST);
            self.next = end.checked_add(rest.min(LONGEST_REST));
        }
        self.last
    }
}

/// Elements of a map of the kernel at most.
pub(super) fn limit(map: &Map) -> Result<u64, MapError> {
    let (Map::LruHashMap(data) | Map::RingBuf(data)) = map else {
        return Ok(0);
    };
    Ok(u64::from(data.info()?.max_entries()))
}

/// The kernel starts over where the element that it stood at is gone, so the walk is bounded.
fn counted<K>(keys: impl Iterator<Item = Result<K, MapError>>, limit: u64) -> Filled {
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let used = keys.take(most).filter(Result::is_ok).count() as u64;
    Filled { used, limit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_that_starts_over_ends_at_the_limit() {
        let endless = std::iter::repeat_with(|| Ok(0u32));
        let full = Filled { used: 9, limit: 9 };
        assert_eq!(counted(endless, 9), full);
        let two = [Ok(1), Ok(2), Err(MapError::ElementNotFound)];
        assert_eq!(counted(two.into_iter(), 9), Filled { used: 2, limit: 9 });
    }
}
