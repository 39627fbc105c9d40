//! A disk that forgets what was not synced, tears what was being written, and brings back removed files.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use crate::export::spool::Disk;

/// Shared, so that it outlives the spool that "crashed".
#[derive(Clone, Debug, Default)]
pub(super) struct FakeDisk(Rc<RefCell<Files>>);

#[derive(Debug, Default)]
struct Files {
    files: BTreeMap<String, File>,
    /// Removed, but the directory was not synced.
    removed: BTreeMap<String, File>,
    /// Operations until the power fails.
    fuse: Option<u32>,
    /// Operations until one fails while the power stays.
    fault: Option<u32>,
    dead: bool,
    random: u64,
}

#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    current: Vec<u8>,
}

/// What becomes of the operation at hand.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Done,
    /// Fails, perhaps half done.
    Torn,
}

impl FakeDisk {
    /// The power fails in the middle of the operation after `operations` more.
    pub(super) fn light_fuse(&self, operations: u32) {
        self.0.borrow_mut().fuse = Some(operations);
    }

    /// The operation after `operations` more fails, as on a full disk.
    pub(super) fn plan_fault(&self, operations: u32) {
        self.0.borrow_mut().fault = Some(operations);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.0.borrow().dead
    }

    /// The power comes back; `seed` decides what of the unsynced bytes is there.
    pub(super) fn restart(&self, seed: u64) {
        let mut files = self.0.borrow_mut();
        (files.fuse, files.fault, files.dead) = (None, None, false);
        files.random = seed | 1;
        let removed = std::mem::take(&mut files.removed);
        for (name, file) in removed {
            if files.roll(2) == 0 {
                files.files.insert(name, file);
            }
        }
        let names: Vec<String> = files.files.keys().cloned().collect();
        for name in names {
            let (kept, garbage) = (files.random_word(), files.roll(3) == 0);
            let noise = files.random_word();
            if let Some(file) = files.files.get_mut(&name) {
                let mut after = file.durable.clone();
                if let Some(tail) = file.current.get(file.durable.len()..) {
                    let kept = usize::try_from(kept % (tail.len() as u64 + 1)).unwrap();
                    after.extend_from_slice(&tail[..kept]);
                    if garbage && kept > 0 {
                        let place = file.durable.len() + usize::try_from(noise).unwrap() % kept;
                        after[place] ^= 0x5a;
                    }
                }
                *file = File {
                    durable: after.clone(),
                    current: after,
                };
            }
        }
    }

    /// Flips a bit of a stored file, as a bad disk does.
    pub(super) fn rot(&self, name: &str, place: usize) {
        let mut files = self.0.borrow_mut();
        let file = files.files.get_mut(name).unwrap();
        file.current[place] ^= 1;
        file.durable[place] ^= 1;
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.borrow().files.keys().cloned().collect()
    }
}

impl Files {
    fn random_word(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.random_word() % sides
    }

    fn fate(&mut self) -> io::Result<Fate> {
        if self.dead {
            return Err(io::Error::other("no power"));
        }
        if countdown(&mut self.fuse) {
            self.dead = true;
            return Ok(Fate::Torn);
        }
        Ok(if countdown(&mut self.fault) {
            Fate::Torn
        } else {
            Fate::Done
        })
    }

    fn file(&mut self, name: &str) -> io::Result<&mut File> {
        self.files
            .get_mut(name)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn countdown(counter: &mut Option<u32>) -> bool {
    match counter {
        Some(0) => {
            *counter = None;
            true
        }
        Some(more) => {
            *more -= 1;
            false
        }
        None => false,
    }
}

fn torn<T>() -> io::Result<T> {
    Err(io::Error::other("failed by plan"))
}

impl Disk for FakeDisk {
    fn list(&mut self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.0.borrow_mut().file(name).map(|file| file.current.clone())
    }

    fn read_at(&mut self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut files = self.0.borrow_mut();
        let file = files.file(name)?;
        let start = usize::try_from(offset).unwrap();
        Ok(file.current[start..start + length].to_vec())
    }

    fn put(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let fate = files.fate()?;
        if fate == Fate::Done || files.roll(2) == 0 {
            let file = File {
                durable: bytes.to_vec(),
                current: bytes.to_vec(),
            };
            files.removed.remove(name);
            files.files.insert(name.to_owned(), file);
        }
        if fate == Fate::Torn { torn() } else { Ok(()) }
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let fate = files.fate()?;
        let written = if fate == Fate::Torn {
            usize::try_from(files.roll(bytes.len() as u64 + 1)).unwrap()
        } else {
            bytes.len()
        };
        files.file(name)?.current.extend_from_slice(&bytes[..written]);
        if fate == Fate::Torn { torn() } else { Ok(()) }
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        if files.fate()? == Fate::Torn {
            return torn();
        }
        let file = files.file(name)?;
        file.durable = file.current.clone();
        Ok(())
    }

    fn truncate(&mut self, name: &str, length: u64) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let fate = files.fate()?;
        if fate == Fate::Done || files.roll(2) == 0 {
            let file = files.file(name)?;
            file.current.truncate(usize::try_from(length).unwrap());
            file.durable = file.current.clone();
        }
        if fate == Fate::Torn { torn() } else { Ok(()) }
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let fate = files.fate()?;
        if fate == Fate::Done
            && let Some(file) = files.files.remove(name)
        {
            files.removed.insert(name.to_owned(), file);
        }
        if fate == Fate::Torn { torn() } else { Ok(()) }
    }
}
