//! Lists that clouds, CDNs, Tor and search engines publish, as far as copies of them are here: see [`crate::provider::ranges`],
//! which fetches them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use lynceus_model::time::Timestamp;

use crate::dossier::Dossier;
use crate::fact::{Fact, Field, Reason, Source};
use crate::offline::special::is_routable;
use crate::provider::ranges::{Lists, Says};

const SOURCE: Source = Source::new("ranges");

/// What the lists may say, and what they are for people.
const QUESTIONS: [(Field, Says, &str); 4] = [
    (Field::IsHosting, Says::Cloud, "complete lists of clouds"),
    (Field::IsCdn, Says::Cdn, "complete lists of CDNs"),
    (Field::IsTor, Says::TorExit, "list of Tor exits"),
    (
        Field::IsSearchBot,
        Says::SearchBot,
        "complete lists of search bots",
    ),
];

/// Where copies are kept: `$XDG_CACHE_HOME/lynceus/ranges`, else in `~/.cache`.
#[must_use]
pub fn usual_folder() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(cache.join("lynceus/ranges"))
}

/// The copies of one folder.
#[derive(Debug, Default)]
pub struct Published {
    lists: Lists,
    /// Of the oldest list.
    date: Option<Timestamp>,
}

impl Published {
    /// Reads the copies; what is not there stays unknown.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let lists = Lists::load(folder);
        let now = SystemTime::now();
        let since = lists
            .age(now)
            .and_then(|age| now.checked_sub(age)?.duration_since(UNIX_EPOCH).ok());
        Self {
            date: since.and_then(|since| Some(Timestamp::from_secs(since.as_secs().try_into().ok()?))),
            lists,
        }
    }

    /// Whether an address is in a published range of a cloud; `None` where a list is missing that could say so, and of
    /// addresses that nobody routes.
    #[must_use]
    pub fn is_hosting(&self, ip: IpAddr) -> Option<bool> {
        let said = is_routable(ip).then(|| self.lists.says(Says::Cloud, ip))?;
        said.map(|(yes, _)| yes)
    }

    /// Adds yes, no or unknown to each question. A *no* needs every list that could say *yes*.
    pub fn describe(&self, dossier: &mut Dossier) {
        for (field, says, what) in QUESTIONS {
            let unknown = |reason| Fact::unknown(field, reason, SOURCE);
            if !is_routable(dossier.ip) {
                dossier.add(unknown(Reason::NotRoutable));
                continue;
            }
            let Some((yes, list)) = self.lists.says(says, dossier.ip) else {
                dossier.add(unknown(Reason::NoData(what.into())));
                continue;
            };
            dossier.add(Fact::new(field, yes, SOURCE).as_of(self.date));
            let name = match says {
                Says::Cloud | Says::Cdn => Field::HostingProvider,
                _ => Field::BotName,
            };
            if let Some(list) = list.filter(|_| says != Says::TorExit) {
                dossier.add(Fact::new(name, list.who, SOURCE).as_of(self.date));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(published: &Published, ip: &str) -> Vec<Option<bool>> {
        let mut dossier = Dossier::new(ip.parse().unwrap(), Timestamp(0));
        published.describe(&mut dossier);
        let fields = [Field::IsHosting, Field::IsCdn, Field::IsTor, Field::IsSearchBot];
        fields
            .iter()
            .map(|field| dossier.value(*field).and_then(|value| value.flag()))
            .collect()
    }

    #[test]
    fn without_lists_everything_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let published = Published::open(folder.path());
        assert_eq!(told(&published, "8.8.8.8"), [None; 4]);
    }

    #[test]
    fn hosting_is_known_only_with_all_lists_of_clouds() {
        let folder = tempfile::tempdir().unwrap();
        let aws = r#"{"prefixes":[{"ip_prefix":"3.0.0.0/9"}],"ipv6_prefixes":[]}"#;
        std::fs::write(folder.path().join("aws"), aws).unwrap();
        let hosting = |ip: &str| Published::open(folder.path()).is_hosting(ip.parse().unwrap());
        assert_eq!(hosting("3.1.2.3"), Some(true));
        assert_eq!(hosting("8.8.8.8"), None, "two lists are missing");
        assert_eq!(hosting("10.0.0.1"), None);
        std::fs::write(
            folder.path().join("gcp"),
            r#"{"prefixes":[{"ipv4Prefix":"34.1.0.0/16"}]}"#,
        )
        .unwrap();
        let oracle = r#"{"regions":[{"cidrs":[{"cidr":"129.146.0.0/21"}]}]}"#;
        std::fs::write(folder.path().join("oracle"), oracle).unwrap();
        assert_eq!(hosting("8.8.8.8"), Some(false));
    }

    #[test]
    fn a_no_needs_every_list() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tor4"), "198.41.0.4\n").unwrap();
        std::fs::write(folder.path().join("cloudflare4"), "104.16.0.0/13\n").unwrap();
        let published = Published::open(folder.path());
        assert_eq!(told(&published, "198.41.0.4"), [None, None, Some(true), None]);
        assert_eq!(
            told(&published, "8.8.8.8"),
            [None, None, Some(false), None],
            "Fastly's is missing"
        );
        assert_eq!(
            told(&published, "104.16.1.1"),
            [None, Some(true), Some(false), None]
        );
        assert_eq!(
            told(&published, "2001:4860:4860::8888"),
            [None; 4],
            "the list of Tor has IPv4 alone"
        );
        assert_eq!(told(&published, "10.0.0.1"), [None; 4]);
    }
}
