//! Address lists that cloud, CDN, Tor and search engines publish. Fetched as a whole, so nobody learns which address is
//! looked at; kept in the publisher's own format, so that look-ups work without network.
//!
//! Clouds, CDNs and bots are more than publish a list, so that an address that is in none of these lists is unknown, that is,
//! absent. Only the list of Tor's exits names all there are: of it alone there is a *no*, for the kind of address it covers.

mod list;

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

pub use list::Spans;

use super::settings::Ranges;
use super::tree::Table;
use super::{Columns, Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Request, Response, Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "ranges",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::None,
    who: "publishers of lists learn that you fetch them, not which address you look at",
    quota: Quota::UNLIMITED,
    fresh: None,
    any_address: false,
    needs_position: false,
};

/// What a list says of its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Says {
    Cloud,
    Cdn,
    TorExit,
    SearchBot,
    AiBot,
}

impl Says {
    /// Whether the lists name every address of which this is true. Azure, Akamai and the crawlers of many others publish none
    /// that is read here.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::TorExit)
    }
}

/// What the lists that are here say to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The first list that has the address.
    Yes { who: &'static str, taken: SystemTime },
    /// Not in lists that name all there are; when the oldest of them was fetched.
    No { taken: SystemTime },
    /// Not in the lists of these, who are not all there are.
    InNoneOf {
        whose: Vec<&'static str>,
        taken: SystemTime,
    },
    /// The list that would tell is not here.
    NoList,
}

/// A published list.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Name of the copy's file, too.
    pub name: &'static str,
    pub url: &'static str,
    pub says: Says,
    /// Provider or bot, for people.
    pub who: &'static str,
    pub v4: bool,
    pub v6: bool,
}

const fn source(name: &'static str, url: &'static str, says: Says, who: &'static str) -> Source {
    Source {
        name,
        url,
        says,
        who,
        v4: true,
        v6: true,
    }
}

impl Source {
    const fn covers(&self, ip: IpAddr) -> bool {
        if ip.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// Azure publishes under a name that changes weekly and has no fixed address, so it is not here.
pub const SOURCES: [Source; 11] = [
    source(
        "aws",
        "https://ip-ranges.amazonaws.com/ip-ranges.json",
        Says::Cloud,
        "Amazon Web Services",
    ),
    source(
        "gcp",
        "https://www.gstatic.com/ipranges/cloud.json",
        Says::Cloud,
        "Google Cloud",
    ),
    source(
        "oracle",
        "https://docs.oracle.com/en-us/iaas/tools/public_ip_ranges.json",
        Says::Cloud,
        "Oracle Cloud",
    ),
    Source {
        v6: false,
        ..source(
            "cloudflare4",
            "https://www.cloudflare.com/ips-v4",
            Says::Cdn,
            "Cloudflare",
        )
    },
    Source {
        v4: false,
        ..source(
            "cloudflare6",
            "https://www.cloudflare.com/ips-v6",
            Says::Cdn,
            "Cloudflare",
        )
    },
    source(
        "fastly",
        "https://api.fastly.com/public-ip-list",
        Says::Cdn,
        "Fastly",
    ),
    Source {
        v6: false,
        ..source(
            "tor4",
            "https://check.torproject.org/torbulkexitlist",
            Says::TorExit,
            "Tor",
        )
    },
    // The bulk list has no IPv6; the relays' own addresses do.
    Source {
        v4: false,
        ..source(
            "tor6",
            "https://onionoo.torproject.org/details?flag=Exit&running=true&fields=or_addresses",
            Says::TorExit,
            "Tor",
        )
    },
    source(
        "googlebot",
        "https://developers.google.com/static/search/apis/ipranges/googlebot.json",
        Says::SearchBot,
        "Googlebot",
    ),
    source(
        "bingbot",
        "https://www.bing.com/toolbox/bingbot.json",
        Says::SearchBot,
        "Bingbot",
    ),
    source("gptbot", "https://openai.com/gptbot.json", Says::AiBot, "GPTBot"),
];

/// The lists that are there.
#[derive(Debug, Default)]
pub struct Lists(Vec<Option<Loaded>>);

#[derive(Debug)]
struct Loaded {
    spans: Spans,
    /// When it was fetched.
    taken: SystemTime,
}

/// Largest list that is read: Amazon's has 2 MiB.
const MAX_BYTES: u64 = 32 << 20;

impl Lists {
    /// Reads the copies in a folder; those that are missing or damaged stay unknown. No packet is sent.
    #[must_use]
    pub fn load(folder: &Path) -> Self {
        Self(SOURCES.iter().map(|source| load(folder, source)).collect())
    }

    /// Whether there is any list.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// What the lists say of an address; see [`Says::is_complete`].
    #[must_use]
    pub fn says(&self, says: Says, ip: IpAddr) -> Said {
        let mut missing = false;
        let mut whose: Vec<&'static str> = Vec::new();
        let mut oldest: Option<SystemTime> = None;
        for (source, list) in SOURCES.iter().zip(&self.0) {
            if source.says != says || !source.covers(ip) {
                continue;
            }
            let Some(list) = list else {
                missing = true;
                continue;
            };
            if list.spans.contains(ip) {
                return Said::Yes {
                    who: source.who,
                    taken: list.taken,
                };
            }
            whose.push(source.who);
            oldest = Some(oldest.map_or(list.taken, |oldest| oldest.min(list.taken)));
        }
        match oldest {
            Some(taken) if !says.is_complete() => Said::InNoneOf { whose, taken },
            Some(taken) if !missing => Said::No { taken },
            _ => Said::NoList,
        }
    }

    /// Whether an address is in one of the lists that say this, which is no word on what others do who publish none.
    /// `None`: one of these lists is not here.
    #[must_use]
    pub fn has(&self, says: Says, ip: IpAddr) -> Option<bool> {
        let covering = || {
            let all = SOURCES.iter().zip(&self.0);
            all.filter(|(source, _)| source.says == says && source.covers(ip))
        };
        let is_in = |list: &Option<Loaded>| list.as_ref().is_some_and(|list| list.spans.contains(ip));
        if covering().any(|(_, list)| is_in(list)) {
            return Some(true);
        }
        let complete = covering().next().is_some() && covering().all(|(_, list)| list.is_some());
        complete.then_some(false)
    }

    /// Whether any list is here for this kind of address.
    fn covers(&self, ip: IpAddr) -> bool {
        let mut all = SOURCES.iter().zip(&self.0);
        all.any(|(source, list)| list.is_some() && source.covers(ip))
    }

    /// `ranges.is_cloud` and so on; what is unknown has no column.
    #[must_use]
    pub fn columns(&self, ip: IpAddr) -> Columns {
        let mut table = Table::new(INFO.name);
        let mut host = None;
        for (name, says) in [
            ("is_cloud", Says::Cloud),
            ("is_cdn", Says::Cdn),
            ("is_tor_exit", Says::TorExit),
            ("is_search_bot", Says::SearchBot),
            ("is_ai_bot", Says::AiBot),
        ] {
            let who = match self.says(says, ip) {
                Said::Yes { who, .. } => who,
                Said::No { .. } => {
                    table.put(name, Some(false));
                    continue;
                }
                Said::InNoneOf { .. } | Said::NoList => continue,
            };
            table.put(name, Some(true));
            match says {
                Says::Cloud | Says::Cdn => {
                    host.get_or_insert(who);
                }
                Says::SearchBot | Says::AiBot => table.put("bot_name", Some(who)),
                Says::TorExit => {}
            }
        }
        table.put("hosting_provider", host);
        table.done()
    }
}

fn load(folder: &Path, source: &Source) -> Option<Loaded> {
    let path = folder.join(source.name);
    let metadata = fs::metadata(&path).ok()?;
    if metadata.len() > MAX_BYTES {
        return None;
    }
    let spans = Spans::read(&fs::read(&path).ok()?);
    // An empty list says nothing: nobody publishes one on purpose.
    (!spans.is_empty()).then(|| Loaded {
        spans,
        taken: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

pub(super) struct RangesProvider {
    settings: Ranges,
    wire: Arc<Wire>,
    folder: PathBuf,
    /// Of this run: the lists, and when they must be looked at again.
    lists: Mutex<Option<(Arc<Lists>, SystemTime)>>,
}

/// After a failure.
const RETRY: Duration = Duration::from_secs(300);

impl RangesProvider {
    pub(super) fn new(settings: Ranges, wire: Arc<Wire>, folder: PathBuf) -> Self {
        Self {
            settings,
            wire,
            folder,
            lists: Mutex::new(None),
        }
    }

    fn lists(&self, now: SystemTime) -> Result<Arc<Lists>, Fault> {
        // Held over the fetches, so that others wait instead of fetching the same.
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((lists, until)) = &*lists
            && *until > now
        {
            return Ok(Arc::clone(lists));
        }
        let ttl = Duration::from_secs(self.settings.ttl_seconds);
        let mut faults = Vec::new();
        for source in &SOURCES {
            let age = fs::metadata(self.folder.join(source.name))
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|taken| now.duration_since(taken).ok());
            if age.is_some_and(|age| age < ttl) {
                continue;
            }
            if let Err(fault) = self.fetch(source) {
                let offline = matches!(fault, Fault::Unreachable(_)) && !self.wire.is_online();
                faults.push(fault);
                if offline {
                    // Nobody has answered yet in this run; the others would not either.
                    break;
                }
            }
        }
        let loaded = Arc::new(Lists::load(&self.folder));
        for fault in &faults {
            tracing::warn!(%fault, "a list of ranges is not fetched; its last copy stays");
        }
        let until = now + if faults.is_empty() { ttl } else { RETRY.min(ttl) };
        *lists = Some((Arc::clone(&loaded), until));
        match faults.into_iter().next() {
            Some(fault) if loaded.is_empty() => {
                *lists = None;
                Err(fault)
            }
            _ => Ok(loaded),
        }
    }

    fn fetch(&self, source: &Source) -> Result<(), Fault> {
        let url = if self.settings.api_url.is_empty() {
            source.url.to_owned()
        } else {
            format!("{}/{}", self.settings.api_url.trim_end_matches('/'), source.name)
        };
        let sender = Sender {
            provider: INFO.name,
            about: None,
            leak: Leak::None,
        };
        let mut request = Request::get(&url);
        request.max_bytes = MAX_BYTES;
        request.redirects = 3;
        let body = self
            .wire
            .http(sender, request)
            .and_then(Response::body_or_not_found)?
            .ok_or_else(|| Fault::Server(format!("{}: HTTP 404", source.name), None))?;
        if Spans::read(&body).is_empty() {
            return Err(Fault::Malformed(format!("{}: no address in it", source.name)));
        }
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let unfinished = self
                .folder
                .join(format!("{}.{}.new", source.name, std::process::id()));
            fs::write(&unfinished, &body)?;
            fs::rename(unfinished, self.folder.join(source.name))
        };
        write().map_err(|error| Fault::Local(format!("{}: {error}", self.folder.display())))
    }
}

impl Provider for RangesProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let lists = self.lists(SystemTime::now())?;
        let columns = lists.columns(question.ip);
        if !columns.is_empty() {
            return Ok(Reply::found(columns));
        }
        if lists.covers(question.ip) {
            return Ok(Reply::NotFound);
        }
        Err(Fault::Server("no list covers this".to_owned(), None))
    }
}
