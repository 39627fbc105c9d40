//! Facts for detectors, from what the collector has loaded; and what the whitelist leaves out.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use lynceus_detect::context::{AutonomousSystem, Indicator, Knowledge, Listing};
use lynceus_enrich::feeds::{Feeds, Hit};
use lynceus_enrich::indicator::Kind;
use lynceus_enrich::local::published::{self, Published};
use lynceus_enrich::local::{Stamp, stamp};
use lynceus_enrich::offline::short::Short;
use lynceus_enrich::offline::tables::Tables;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::Endpoint;
use lynceus_model::whitelist::Whitelist;

use crate::lookups::Lookups;

/// What was loaded last. Readers never wait for a load: a new copy replaces the old one as a whole.
#[derive(Debug, Default)]
pub struct Facts {
    feeds: RwLock<Arc<Feeds>>,
    whitelist: RwLock<Arc<Whitelist>>,
    known: RwLock<Arc<Vec<Known>>>,
    /// Outside services, where some are on.
    lookups: OnceLock<Arc<Lookups>>,
    clouds: RwLock<Arc<Clouds>>,
}

/// Lists that clouds publish, as far as copies of them are here.
#[derive(Debug, Default)]
struct Clouds {
    /// Where copies are looked for; `None`: nowhere.
    folder: Option<PathBuf>,
    published: Published,
    /// Of the copies that were read.
    stamp: Stamp,
}

/// What is known of a feed, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub name: String,
    /// When the copy was fetched or the file changed, seconds since the Unix epoch; `None`: never loaded, so detectors
    /// do not know.
    pub taken: Option<i64>,
    pub indicators: u64,
    /// Lines that were not understood.
    pub bad: u64,
    /// Indicators that the feed itself calls over.
    pub expired: u64,
    /// Of memory.
    pub bytes: u64,
    pub error: Option<String>,
}

impl Facts {
    #[must_use]
    pub fn feeds(&self) -> Arc<Feeds> {
        read(&self.feeds)
    }

    pub fn set_feeds(&self, feeds: Feeds) {
        *self.feeds.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(feeds);
    }

    /// The feeds in the order of the configuration, loaded or not.
    #[must_use]
    pub fn known(&self) -> Arc<Vec<Known>> {
        read(&self.known)
    }

    /// Changes what is known of feeds.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Vec<Known>)) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut known));
    }

    /// Also asks outside services from now on; once.
    pub fn set_lookups(&self, lookups: Arc<Lookups>) {
        // A second set of services would be a mistake of ours; the first stays.
        let _ = self.lookups.set(lookups);
    }

    /// Also knows clouds by the copies of their lists in the usual folder.
    pub fn set_published(&self) {
        if let Some(folder) = published::usual_folder() {
            self.set_published_in(folder);
        }
    }

    /// The same by the copies in `folder`.
    pub fn set_published_in(&self, folder: PathBuf) {
        *self.clouds.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Clouds {
            stamp: stamp(published::files(&folder)),
            published: Published::open(&folder),
            folder: Some(folder),
        });
    }

    /// Reads the copies again if they are others than before.
    pub(crate) fn look_at_published(&self) {
        let known = read(&self.clouds);
        if let Some(folder) = &known.folder
            && stamp(published::files(folder)) != known.stamp
        {
            tracing::info!(folder = %folder.display(), "lists of clouds read again");
            self.set_published_in(folder.clone());
        }
    }

    #[must_use]
    pub fn lookups(&self) -> Option<&Arc<Lookups>> {
        self.lookups.get()
    }

    /// What a finding says of servers that outside services should look at.
    pub(crate) fn note_evidence(&self, evidence: &Evidence) {
        if let Some(lookups) = self.lookups.get() {
            lookups.note(evidence);
        }
    }

    #[must_use]
    pub fn whitelist(&self) -> Arc<Whitelist> {
        read(&self.whitelist)
    }

    pub fn set_whitelist(&self, whitelist: Whitelist) {
        *self.whitelist.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(whitelist);
    }
}

fn read<T>(place: &RwLock<Arc<T>>) -> Arc<T> {
    Arc::clone(&place.read().unwrap_or_else(PoisonError::into_inner))
}

impl Knowledge for Facts {
    /// By the program's tables. Addresses that nobody routes have none.
    fn autonomous_system(&self, ip: IpAddr) -> Option<AutonomousSystem> {
        let system = Tables::embedded().ok()?.find_system(ip)?;
        Some(AutonomousSystem {
            number: system.number,
            name: system.organization.to_owned(),
        })
    }

    fn system_number(&self, ip: IpAddr) -> Option<u32> {
        Some(Tables::embedded().ok()?.find_system(ip)?.number)
    }

    /// By the program's tables; where they do not agree, DB-IP's word.
    fn country(&self, ip: IpAddr) -> Option<String> {
        Short::of(ip).country.map(|country| country.text().to_owned())
    }

    /// By the published lists of AWS, Google Cloud and Oracle Cloud, if copies of all three are here.
    fn in_clouds(&self, ip: IpAddr) -> Option<bool> {
        read(&self.clouds).published.in_clouds(ip.to_canonical())
    }

    /// By the registries of the IEEE, as the program's tables have them.
    fn vendor(&self, mac: [u8; 6]) -> Option<String> {
        let vendor = Tables::embedded().ok()?.vendors.find(mac).ok()?;
        vendor.map(str::to_owned)
    }

    fn domain_age(&self, domain: &str, at: i64) -> Option<u32> {
        self.lookups.get()?.domain_age(domain, at)
    }

    fn jarm(&self, server: Endpoint) -> Option<String> {
        self.lookups.get()?.jarm(SocketAddr::new(server.ip, server.port))
    }

    fn listed(&self, indicator: Indicator<'_>) -> Option<Vec<Listing>> {
        let feeds = self.feeds();
        let hits = match indicator {
            Indicator::Ip(ip) => feeds.ip(ip),
            Indicator::Domain(name) => feeds.domain(name),
            Indicator::Url(url) => feeds.exact(Kind::Url, url),
            Indicator::AutonomousSystem(number) => feeds.autonomous_system(number),
            Indicator::Ja3(hash) => feeds.exact(Kind::Ja3, hash),
            Indicator::Ja3s(hash) => feeds.exact(Kind::Ja3s, hash),
            Indicator::Ja4(fingerprint) => feeds.exact(Kind::Ja4, fingerprint),
            Indicator::Certificate(hash) => feeds.exact(Kind::Certificate, hash),
            Indicator::File(hash) => feeds.exact(Kind::File, hash),
            Indicator::Jarm(hash) => feeds.exact(Kind::Jarm, hash),
            Indicator::TorExit(ip) => feeds.tor_exit(ip),
        };
        let from_feeds = hits.map(|hits| hits.into_iter().map(listing).collect::<Vec<_>>());
        let asked = self.lookups.get().and_then(|lookups| lookups.listed(indicator));
        match (from_feeds, asked) {
            (None, None) => None,
            (feeds, asked) => Some(feeds.into_iter().chain(asked).flatten().collect()),
        }
    }
}

fn listing(hit: Hit) -> Listing {
    Listing {
        feed: hit.feed,
        level: hit.level,
        description: hit.description,
        tags: hit.tags,
        wider: hit.wider,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_program_answer_detectors() {
        let facts = Facts::default();
        let system = facts.autonomous_system("8.8.8.8".parse().unwrap()).unwrap();
        assert_eq!((system.number, system.name.as_str()), (15169, "Google LLC"));
        assert_eq!(facts.autonomous_system("10.0.0.1".parse().unwrap()), None);
        let vendor = facts.vendor([0x00, 0x22, 0x72, 1, 2, 3]);
        assert_eq!(vendor.as_deref(), Some("American Micro-Fuel Device Corp."));
        assert_eq!(facts.vendor([0x02, 0x22, 0x72, 1, 2, 3]), None);
    }

    #[test]
    fn lists_of_clouds_that_changed_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let facts = Facts::default();
        let inside = |ip: &str| facts.in_clouds(ip.parse().unwrap());
        facts.look_at_published();
        assert_eq!(inside("3.1.2.3"), None);
        facts.set_published_in(folder.path().to_owned());
        assert_eq!(inside("3.1.2.3"), None, "there are none yet");
        let put = |name, text| std::fs::write(folder.path().join(name), text).unwrap();
        put("aws", "3.0.0.0/9\n");
        put("gcp", "34.1.0.0/16\n");
        put("oracle", "129.146.0.0/21\n");
        assert_eq!(inside("3.1.2.3"), None, "nobody looked again");
        facts.look_at_published();
        assert_eq!((inside("3.1.2.3"), inside("8.8.8.8")), (Some(true), Some(false)));
        put("aws", "8.8.8.0/24\n9.9.9.0/24\n");
        facts.look_at_published();
        assert_eq!((inside("3.1.2.3"), inside("8.8.8.8")), (Some(false), Some(true)));
        std::fs::remove_file(folder.path().join("gcp")).unwrap();
        facts.look_at_published();
        assert_eq!(inside("9.9.9.8"), Some(true));
        assert_eq!(inside("3.1.2.3"), None, "one list is missing");
    }
}
