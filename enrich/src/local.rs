//! Data that the user has on this machine and that we may not or do not ship: MMDB files, and the country list of Debian's
//! `tor-geoipdb`. Found where such files are usually kept; they join the vote.

pub mod ipfire;
pub mod mmdb;
pub mod published;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::dossier::Dossier;
use crate::fact::Fact;
use ipfire::GeoIp;
use mmdb::Mmdb;

/// MMDB files that are opened; the rest is counted in [`Local::left_out`].
pub const MAX_FILES: usize = 16;

/// Files that were found.
#[derive(Debug, Default)]
pub struct Local {
    pub databases: Vec<Mmdb>,
    pub ipfire: Vec<GeoIp>,
    /// Files that cannot be used, and why.
    pub faults: Vec<(PathBuf, String)>,
    /// Files beyond [`MAX_FILES`].
    pub left_out: usize,
}

/// Folders of MMDB files: where Debian and `geoipupdate` put them, and where Know Your IP does.
#[must_use]
pub fn usual_folders(home: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/share/GeoIP"), PathBuf::from("/var/lib/GeoIP")];
    folders.extend(home.map(|home| home.join(".cache/know-your-ip/maxmind")));
    folders
}

/// Where Debian's `tor-geoipdb` puts its lists.
#[must_use]
pub fn usual_ipfire() -> Vec<PathBuf> {
    vec!["/usr/share/tor/geoip".into(), "/usr/share/tor/geoip6".into()]
}

/// Name, time of change and length of each file that is there: who sees another one reads them again.
pub type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// The stamp of files, in their order.
#[must_use]
pub fn stamp(paths: impl IntoIterator<Item = PathBuf>) -> Stamp {
    let of = |path: PathBuf| {
        let metadata = path.metadata().ok()?;
        Some((path, metadata.modified().ok(), metadata.len()))
    };
    paths.into_iter().filter_map(of).collect()
}

impl Local {
    /// Opens every `*.mmdb` in the folders and the country lists; what is not there is not missed.
    #[must_use]
    pub fn open(folders: &[PathBuf], lists: &[PathBuf]) -> Self {
        let mut local = Self::default();
        let mut paths = Vec::new();
        for folder in folders {
            let Ok(entries) = std::fs::read_dir(folder) else {
                continue;
            };
            let found = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths.extend(found.filter(|path| path.extension().is_some_and(|ending| ending == "mmdb")));
        }
        paths.sort();
        local.left_out = paths.len().saturating_sub(MAX_FILES);
        for path in paths.into_iter().take(MAX_FILES) {
            match Mmdb::open(&path) {
                Ok(database) => local.databases.push(database),
                Err(error) => local.faults.push((path, error)),
            }
        }
        for path in lists.iter().filter(|path| path.is_file()) {
            match GeoIp::open(path) {
                Ok(list) => local.ipfire.push(list),
                Err(error) => local.faults.push((path.clone(), error.to_string())),
            }
        }
        local
    }

    /// Adds what the files say of the dossier's address.
    pub fn describe(&self, dossier: &mut Dossier) {
        let ip = dossier.ip;
        for fact in self.facts(ip) {
            dossier.add(fact);
        }
    }

    fn facts(&self, ip: IpAddr) -> Vec<Fact> {
        let mut facts: Vec<Fact> = self
            .databases
            .iter()
            .flat_map(|database| database.facts(ip))
            .collect();
        facts.extend(self.ipfire.iter().filter_map(|list| list.fact(ip)));
        facts
    }
}
