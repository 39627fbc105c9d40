//! Lists that clouds, CDNs, Tor and search engines publish, as far as copies of them are here: see [`crate::provider::ranges`],
//! which fetches them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use lynceus_model::time::Timestamp;

use crate::dossier::Dossier;
use crate::fact::{Fact, Field, Reason, Source};
use crate::offline::special::is_routable;
use crate::provider::ranges::{Lists, SOURCES, Said, Says};

const SOURCE: Source = Source::new("ranges");

/// What the lists may say, and what they are for people.
const QUESTIONS: [(Field, Says, &str); 4] = [
    (Field::IsHosting, Says::Cloud, "list of clouds"),
    (Field::IsCdn, Says::Cdn, "list of CDNs"),
    (Field::IsTor, Says::TorExit, "list of Tor exits"),
    (Field::IsSearchBot, Says::SearchBot, "list of search bots"),
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

/// Where the copies of one folder are, those that may not be there too.
pub fn files(folder: &Path) -> impl Iterator<Item = PathBuf> {
    SOURCES.iter().map(|source| folder.join(source.name))
}

/// The copies of one folder.
#[derive(Debug, Default)]
pub struct Published(Lists);

impl Published {
    /// Reads the copies; what is not there stays unknown.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        Self(Lists::load(folder))
    }

    /// Whether an address is in a published range of AWS, Google Cloud or Oracle Cloud; that it is in none does not say that
    /// it is in no cloud. `None` where one of their lists is missing, and of addresses that nobody routes.
    #[must_use]
    pub fn in_clouds(&self, ip: IpAddr) -> Option<bool> {
        is_routable(ip).then(|| self.0.has(Says::Cloud, ip))?
    }

    /// Adds yes or unknown to each question; a *no* of Tor's exits alone, whose list names them all.
    pub fn describe(&self, dossier: &mut Dossier) {
        for (field, says, what) in QUESTIONS {
            let unknown = |reason| Fact::unknown(field, reason, SOURCE);
            if !is_routable(dossier.ip) {
                dossier.add(unknown(Reason::NotRoutable));
                continue;
            }
            match self.0.says(says, dossier.ip) {
                Said::NoList => dossier.add(unknown(Reason::NoData(what.into()))),
                Said::InNoneOf { whose, taken } => {
                    let reason = Reason::InNoneOf(whose.join(", ").into());
                    dossier.add(unknown(reason).as_of(time(taken)));
                }
                Said::No { taken } => dossier.add(Fact::new(field, false, SOURCE).as_of(time(taken))),
                Said::Yes { who, taken } => {
                    let name = match says {
                        Says::Cloud | Says::Cdn => Some(Field::HostingProvider),
                        Says::SearchBot | Says::AiBot => Some(Field::BotName),
                        Says::TorExit => None,
                    };
                    dossier.add(Fact::new(field, true, SOURCE).as_of(time(taken)));
                    if let Some(name) = name {
                        dossier.add(Fact::new(name, who, SOURCE).as_of(time(taken)));
                    }
                }
            }
        }
    }
}

fn time(taken: SystemTime) -> Option<Timestamp> {
    let since = taken.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_secs(since.as_secs().try_into().ok()?))
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

    fn why(published: &Published, ip: &str, field: Field) -> String {
        let mut dossier = Dossier::new(ip.parse().unwrap(), Timestamp(0));
        published.describe(&mut dossier);
        let fact = dossier.facts().iter().find(|fact| fact.field == field);
        fact.unwrap().value.to_string()
    }

    /// Copies of all lists, each with one network that no other has.
    fn all_lists() -> (tempfile::TempDir, Published) {
        let folder = tempfile::tempdir().unwrap();
        for (number, source) in (1..).zip(&SOURCES) {
            let four = format!("198.51.{number}.0/24\n");
            let six = format!("2a00:{number}::/32\n");
            let text = format!(
                "{}{}",
                if source.v4 { four } else { String::new() },
                if source.v6 { six } else { String::new() }
            );
            std::fs::write(folder.path().join(source.name), text).unwrap();
        }
        let published = Published::open(folder.path());
        (folder, published)
    }

    /// Azure and Akamai publish no list that is read here, and many crawlers do not.
    #[test]
    fn in_none_of_the_lists_is_unknown_and_no_no() {
        let (_folder, published) = all_lists();
        for ip in ["20.42.0.1", "23.0.0.1", "2603:1030::1"] {
            assert_eq!(told(&published, ip), [None, None, Some(false), None], "{ip}");
        }
        assert_eq!(
            why(&published, "20.42.0.1", Field::IsHosting),
            "unknown (in none of Amazon Web Services, Google Cloud, Oracle Cloud)"
        );
        assert_eq!(
            why(&published, "20.42.0.1", Field::IsCdn),
            "unknown (in none of Cloudflare, Fastly)"
        );
        assert_eq!(
            why(&published, "2603:1030::1", Field::IsSearchBot),
            "unknown (in none of Googlebot, Bingbot)"
        );
        assert_eq!(published.in_clouds("20.42.0.1".parse().unwrap()), Some(false));
    }

    #[test]
    fn each_list_says_yes_for_its_own() {
        let (_folder, published) = all_lists();
        for (number, source) in (1..).zip(&SOURCES) {
            let ip = match source.v4 {
                true => format!("198.51.{number}.7"),
                false => format!("2a00:{number}::7"),
            };
            let place = match source.says {
                Says::Cloud => 0,
                Says::Cdn => 1,
                Says::TorExit => 2,
                Says::SearchBot => 3,
                // No field of the dossier asks it.
                Says::AiBot => continue,
            };
            let told = told(&published, &ip);
            assert_eq!(told[place], Some(true), "{}", source.name);
            let others = told
                .iter()
                .enumerate()
                .filter(|(at, said)| *at != place && **said == Some(true));
            assert_eq!(others.count(), 0, "{}: {told:?}", source.name);
        }
    }

    #[test]
    fn ranges_of_clouds_are_known_only_with_all_their_lists() {
        let folder = tempfile::tempdir().unwrap();
        let aws = r#"{"prefixes":[{"ip_prefix":"3.0.0.0/9"}],"ipv6_prefixes":[]}"#;
        std::fs::write(folder.path().join("aws"), aws).unwrap();
        let inside = |ip: &str| Published::open(folder.path()).in_clouds(ip.parse().unwrap());
        assert_eq!(inside("3.1.2.3"), Some(true));
        assert_eq!(inside("8.8.8.8"), None, "two lists are missing");
        assert_eq!(inside("10.0.0.1"), None);
        std::fs::write(
            folder.path().join("gcp"),
            r#"{"prefixes":[{"ipv4Prefix":"34.1.0.0/16"}]}"#,
        )
        .unwrap();
        let oracle = r#"{"regions":[{"cidrs":[{"cidr":"129.146.0.0/21"}]}]}"#;
        std::fs::write(folder.path().join("oracle"), oracle).unwrap();
        assert_eq!(inside("8.8.8.8"), Some(false));
    }

    #[test]
    fn a_no_is_of_tor_alone_with_the_age_of_its_list() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tor4"), "198.41.0.4\n").unwrap();
        std::fs::write(folder.path().join("cloudflare4"), "104.16.0.0/13\n").unwrap();
        let taken = UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        let file = std::fs::File::options()
            .write(true)
            .open(folder.path().join("tor4"));
        file.unwrap().set_modified(taken).unwrap();
        let published = Published::open(folder.path());
        assert_eq!(told(&published, "198.41.0.4"), [None, None, Some(true), None]);
        assert_eq!(told(&published, "8.8.8.8"), [None, None, Some(false), None]);
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
        assert_eq!(
            why(&published, "8.8.8.8", Field::IsHosting),
            "unknown (no list of clouds here)"
        );
        let mut dossier = Dossier::new("8.8.8.8".parse().unwrap(), Timestamp(0));
        published.describe(&mut dossier);
        let tor = dossier
            .facts()
            .iter()
            .find(|fact| fact.field == Field::IsTor)
            .unwrap();
        assert_eq!(tor.as_of, Some(Timestamp::from_secs(1_700_000_000)));
    }
}
