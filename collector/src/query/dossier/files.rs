//! Files about addresses on the collector's machine, opened again when they are others: copies of published lists are a day
//! old at most where somebody fetches them, and MMDB files come anew every week.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lynceus_enrich::discipline::{Folders, History};
use lynceus_enrich::local::published::{self, Published};
use lynceus_enrich::local::{self, Local, MAX_FILES, Stamp};
use lynceus_enrich::provider::ranges::SOURCES;
use lynceus_model::time::Timestamp;

/// How often it is looked whether files changed: a few dozen questions to the file system.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Files whose change is seen. More than are opened of a folder with room for some that are not.
const MAX_WATCHED: usize = 4 * MAX_FILES + SOURCES.len();

/// What is open.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) local: Local,
    pub(super) published: Published,
    /// What providers said to `lynceus ip` on this machine; read anew at each question.
    pub(super) history: History,
}

/// Where files are looked for.
#[derive(Debug)]
struct Places {
    folders: Vec<PathBuf>,
    lists: Vec<PathBuf>,
    published: Option<PathBuf>,
}

#[derive(Debug)]
pub(super) struct Files {
    places: Places,
    opened: Mutex<Option<Opened>>,
}

#[derive(Debug)]
struct Opened {
    known: Arc<Known>,
    stamp: Stamp,
    looked: Timestamp,
}

impl Default for Files {
    /// The usual folders. Nothing is opened before the first question.
    fn default() -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        Self::of(Places {
            folders: local::usual_folders(home.as_deref()),
            lists: local::usual_ipfire(),
            published: published::usual_folder(),
        })
    }
}

impl Files {
    const fn of(places: Places) -> Self {
        Self {
            places,
            opened: Mutex::new(None),
        }
    }

    /// The files as they were at most [`LOOK_EVERY`] before `now`. May block: it reads files.
    pub(super) fn known(&self, now: Timestamp) -> Arc<Known> {
        // Held while files are opened, so that nobody opens the same beside.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = &*opened
            && now.since(opened.looked) < LOOK_EVERY
        {
            return Arc::clone(&opened.known);
        }
        let stamp = self.places.stamp();
        if let Some(opened) = &mut *opened
            && opened.stamp == stamp
        {
            opened.looked = now;
            return Arc::clone(&opened.known);
        }
        let known = Arc::new(self.places.open());
        *opened = Some(Opened {
            known: Arc::clone(&known),
            stamp,
            looked: now,
        });
        known
    }
}

impl Places {
    fn open(&self) -> Known {
        let local = Local::open(&self.folders, &self.lists);
        for (path, fault) in &local.faults {
            tracing::warn!(path = %path.display(), fault, "a file about addresses cannot be used");
        }
        let folder = self.published.as_deref();
        Known {
            local,
            published: folder.map_or_else(Published::default, Published::open),
            history: Folders::usual().history(),
        }
    }

    fn stamp(&self) -> Stamp {
        let entries = self.folders.iter().filter_map(|folder| folder.read_dir().ok());
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "mmdb"))
            .chain(self.lists.iter().cloned())
            .collect();
        paths.sort();
        paths.truncate(MAX_WATCHED - SOURCES.len());
        paths.extend(self.published.iter().flat_map(|folder| published::files(folder)));
        local::stamp(paths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_are_fetched_later_are_read_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::of(Places {
            folders: vec![folder.path().to_owned()],
            lists: Vec::new(),
            published: Some(folder.path().to_owned()),
        });
        let inside = |known: &Known, ip: &str| known.published.in_clouds(ip.parse().unwrap());
        let first = files.known(Timestamp::from_secs(1000));
        assert_eq!(inside(&first, "3.1.2.3"), None);
        std::fs::write(folder.path().join("aws"), "3.0.0.0/9\n").unwrap();
        let soon = files.known(Timestamp::from_secs(1059));
        assert!(Arc::ptr_eq(&first, &soon), "it is not looked all the time");
        let later = files.known(Timestamp::from_secs(1060));
        assert_eq!(inside(&later, "3.1.2.3"), Some(true));
        let same = files.known(Timestamp::from_secs(2000));
        assert!(
            Arc::ptr_eq(&later, &same),
            "what did not change is not read again"
        );
        // A new copy of another length, and one that is gone.
        std::fs::write(folder.path().join("aws"), "4.0.0.0/9\n5.0.0.0/9\n").unwrap();
        let newer = files.known(Timestamp::from_secs(3000));
        assert_eq!(inside(&newer, "3.1.2.3"), None);
        assert_eq!(inside(&newer, "5.1.2.3"), Some(true));
        std::fs::remove_file(folder.path().join("aws")).unwrap();
        assert_eq!(inside(&files.known(Timestamp::from_secs(4000)), "5.1.2.3"), None);
        // A database that cannot be used is told of, and the rest stays.
        std::fs::write(folder.path().join("broken.mmdb"), "no database").unwrap();
        let broken = files.known(Timestamp::from_secs(5000));
        assert_eq!(broken.local.faults.len(), 1);
    }

    #[test]
    fn only_so_many_files_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MAX_WATCHED + 5 {
            std::fs::write(folder.path().join(format!("{number}.mmdb")), "").unwrap();
        }
        let places = Places {
            folders: vec![folder.path().to_owned()],
            lists: Vec::new(),
            published: None,
        };
        assert_eq!(places.stamp().len(), MAX_WATCHED - SOURCES.len());
    }
}
