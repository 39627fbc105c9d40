//! Threat feeds: lists of indicators with a level, a description and an age.
//!
//! Each feed has an index of its own, so that a new copy replaces one feed and an answer says who says it. A feed that
//! was never loaded answers *unknown*, not *not listed*.

pub mod index;
pub mod read;

mod csv;
mod json;
mod plain;

use std::cell::LazyCell;
use std::net::IpAddr;
use std::sync::Arc;

use lynceus_model::evidence::ThreatLevel;

use crate::indicator::{Key, Kind};
use index::Index;

/// One loaded feed.
#[derive(Debug)]
pub struct Feed {
    pub name: String,
    pub index: Index,
    /// When the copy was fetched or the file changed, seconds since the Unix epoch.
    pub taken: i64,
}

/// One feed's word on an indicator.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    pub feed: String,
    pub level: ThreatLevel,
    pub description: String,
    pub tags: Vec<String>,
    /// The entry, where it is wider than what was asked: a network or a parent domain.
    pub wider: Option<String>,
    pub taken: i64,
}

/// All loaded feeds; replaced as a whole when one of them changes.
#[derive(Clone, Debug, Default)]
pub struct Feeds {
    feeds: Vec<Arc<Feed>>,
}

impl Feeds {
    #[must_use]
    pub const fn new(feeds: Vec<Arc<Feed>>) -> Self {
        Self { feeds }
    }

    /// The same feeds with one more, or with a new copy of one.
    #[must_use]
    pub fn with(&self, feed: Feed) -> Self {
        let mut feeds: Vec<_> = self
            .feeds
            .iter()
            .filter(|old| old.name != feed.name)
            .cloned()
            .collect();
        feeds.push(Arc::new(feed));
        Self { feeds }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Feed> {
        self.feeds.iter().map(AsRef::as_ref)
    }

    /// Feeds that list the address itself or a network that contains it. `None`: no feed with addresses is loaded.
    #[must_use]
    pub fn ip(&self, ip: IpAddr) -> Option<Vec<Hit>> {
        let key = LazyCell::new(|| Key::ip(Kind::Ip, ip));
        self.ask(&[Kind::Ip, Kind::Network], |feed, hits| {
            feed.collect(&key, None, hits);
            let networks = feed.index.networks(ip);
            hits.extend(networks.map(|(wider, entry)| feed.hit(entry, Some(wider))));
        })
    }

    /// Feeds that list the domain or one above it.
    #[must_use]
    pub fn domain(&self, domain: &str) -> Option<Vec<Hit>> {
        let key = LazyCell::new(|| Key::new(Kind::Domain, domain));
        self.ask(&[Kind::Domain], |feed, hits| {
            let Some(key) = &*key else { return };
            feed.collect(key, None, hits);
            let name = std::str::from_utf8(&key.bytes).unwrap_or_default();
            for (dot, _) in name.match_indices('.') {
                let parent = &name[dot + 1..];
                // A list of a whole top-level domain would be a mistake of its maker.
                if parent.contains('.') {
                    let key = Key {
                        kind: Kind::Domain,
                        bytes: parent.as_bytes().to_vec(),
                    };
                    feed.collect(&key, Some(parent), hits);
                }
            }
        })
    }

    /// Feeds that list exactly this.
    #[must_use]
    pub fn exact(&self, kind: Kind, text: &str) -> Option<Vec<Hit>> {
        self.exactly(kind, || Key::new(kind, text))
    }

    /// Feeds that list the number of an autonomous system.
    #[must_use]
    pub fn autonomous_system(&self, number: u32) -> Option<Vec<Hit>> {
        self.exactly(Kind::AutonomousSystem, || Some(Key::autonomous_system(number)))
    }

    /// Feeds that list the address as an exit of Tor.
    #[must_use]
    pub fn tor_exit(&self, ip: IpAddr) -> Option<Vec<Hit>> {
        self.exactly(Kind::TorExit, || Some(Key::ip(Kind::TorExit, ip)))
    }

    /// The key is made only where a feed could list it.
    fn exactly(&self, kind: Kind, key: impl FnOnce() -> Option<Key>) -> Option<Vec<Hit>> {
        let key = LazyCell::new(key);
        self.ask(&[kind], |feed, hits| {
            if let Some(key) = &*key {
                feed.collect(key, None, hits);
            }
        })
    }

    fn ask(&self, kinds: &[Kind], mut each: impl FnMut(&Feed, &mut Vec<Hit>)) -> Option<Vec<Hit>> {
        let mut hits = Vec::new();
        let mut asked = false;
        for feed in self
            .iter()
            .filter(|feed| kinds.iter().any(|kind| feed.index.has(*kind)))
        {
            asked = true;
            each(feed, &mut hits);
        }
        asked.then_some(hits)
    }
}

impl Feed {
    fn collect(&self, key: &Key, wider: Option<&str>, hits: &mut Vec<Hit>) {
        hits.extend(
            self.index
                .get(key)
                .map(|entry| self.hit(entry, wider.map(str::to_owned))),
        );
    }

    fn hit(&self, meta: &index::Meta, wider: Option<String>) -> Hit {
        Hit {
            feed: self.name.clone(),
            level: meta.level,
            description: meta.description.clone(),
            tags: meta.tags.clone(),
            wider,
            taken: self.taken,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::read::{Options, read};

    fn feeds(text: &str) -> Feeds {
        let mut index = index::Builder::default();
        read(text.as_bytes(), &Options::default(), &mut index).unwrap();
        Feeds::default().with(Feed {
            name: "test".to_owned(),
            index: index.finish(),
            taken: 0,
        })
    }

    #[test]
    fn unknown_is_not_no() {
        let none = Feeds::default();
        assert_eq!(none.ip("192.0.2.1".parse().unwrap()), None);
        let some = feeds("192.0.2.1\n");
        assert_eq!(some.ip("192.0.2.2".parse().unwrap()), Some(Vec::new()));
        assert_eq!(some.domain("example.org"), None, "it lists no domains at all");
    }

    #[test]
    fn networks_and_parents_are_found_and_named() {
        let feeds = feeds("192.0.2.0/24\n192.0.2.128/25\nevil.example\n");
        let hits = feeds.ip("192.0.2.200".parse().unwrap()).unwrap();
        let wider: Vec<_> = hits.iter().filter_map(|hit| hit.wider.as_deref()).collect();
        assert_eq!(wider, ["192.0.2.128-192.0.2.255", "192.0.2.0-192.0.2.255"]);
        assert!(feeds.ip("192.0.3.0".parse().unwrap()).unwrap().is_empty());
        let hits = feeds.domain("a.b.EVIL.example").unwrap();
        assert_eq!(hits.len(), 1);
        assert_eq!(hits[0].wider.as_deref(), Some("evil.example"));
        assert!(feeds.domain("notevil.example").unwrap().is_empty());
    }

    #[test]
    fn a_new_copy_replaces_the_old_one() {
        let old = feeds("192.0.2.1\n");
        let mut index = index::Builder::default();
        read("192.0.2.2\n".as_bytes(), &Options::default(), &mut index).unwrap();
        let new = old.with(Feed {
            name: "test".to_owned(),
            index: index.finish(),
            taken: 1,
        });
        assert!(new.ip("192.0.2.1".parse().unwrap()).unwrap().is_empty());
        assert_eq!(new.ip("192.0.2.2".parse().unwrap()).unwrap()[0].taken, 1);
        assert_eq!(new.iter().count(), 1);
    }
}
