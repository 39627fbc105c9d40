//! Which files of a directory are read, and in which order.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use super::{Kind, Zeek};
use crate::source::input::Place;
use crate::source::log::Log;

/// Names that a compressed or a labelled log may end with.
const ENDINGS: [&str; 3] = [".gz", ".zst", ".labeled"];

/// Files of one log, as they follow each other. `None`: only the content of each row tells which log it is of.
pub(crate) type Chains = BTreeMap<Option<Kind>, VecDeque<Place>>;

/// Adds the logs of a directory to `chains`; `false` if it has none. Of a log and its labelled copy the labelled one is
/// taken.
pub(crate) fn list(directory: &Path, chains: &mut Chains) -> std::io::Result<bool> {
    let mut found: BTreeMap<Kind, Vec<PathBuf>> = BTreeMap::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_file()
            && let Some(kind) = Kind::of_name(&path)
        {
            found.entry(kind).or_default().push(path);
        }
    }
    let any = !found.is_empty();
    for (kind, mut files) in found {
        let is_labelled = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.contains("labeled"))
        };
        if files.iter().any(is_labelled) {
            files.retain(is_labelled);
        }
        // Rotated logs have their time in their name. The one that is still written, `conn.log`, comes last.
        files.sort_by_cached_key(|path| order(path));
        // A log that is being compressed is there twice.
        files.dedup_by_key(|path| plain(path));
        chains
            .entry(Some(kind))
            .or_default()
            .extend(files.into_iter().map(Place::File));
    }
    Ok(any)
}

fn plain(path: &Path) -> String {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let mut plain = name;
    for ending in ENDINGS {
        plain = plain.strip_suffix(ending).unwrap_or(plain);
    }
    plain.to_owned()
}

fn order(path: &Path) -> (bool, String, PathBuf) {
    let plain = plain(path);
    let current = !plain.contains(|character: char| character.is_ascii_digit()) || plain == "x509.log";
    (current, plain, path.to_owned())
}

/// The logs of chains of files.
pub(crate) fn logs_of(chains: Chains) -> Vec<Log> {
    let log = |(kind, places)| Log {
        places,
        parser: Box::new(Zeek::new(kind)),
    };
    chains.into_iter().map(log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_follow_each_other_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "conn.log",
            "conn.01:00:00-02:00:00.log.gz",
            "conn.00:00:00-01:00:00.log.gz",
            "conn.01:00:00-02:00:00.log",
            "x509.log",
            "dns.log",
            "dns.log.labeled",
            "README.md",
            "loaded_scripts.log",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let mut chains = Chains::new();
        list(folder.path(), &mut chains).unwrap();
        let names = |kind| -> Vec<String> {
            let files = chains
                .get(&Some(kind))
                .into_iter()
                .flatten()
                .map(|place| match place {
                    Place::File(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
                    Place::Open(..) | Place::Nfdump(..) => unreachable!(),
                });
            files.collect()
        };
        let conn = [
            "conn.00:00:00-01:00:00.log.gz",
            "conn.01:00:00-02:00:00.log",
            "conn.log",
        ];
        assert_eq!(names(Kind::Conn), conn);
        assert_eq!(names(Kind::Dns), ["dns.log.labeled"]);
        assert_eq!(chains.len(), 3);
    }
}
