//! The stream of updates, as the collector writes it.

use lynceus_proto::v1;
use prost::Message;

use super::keys::Keys;
use super::scripts::Scripts;
use super::settings::Settings;
use crate::store::redis::link::{self, Link};
use crate::store::{RedisOptions, StoreError};

/// Writes entries of the log for modules elsewhere.
pub(super) struct Publisher {
    link: Link,
    keys: Keys,
    scripts: Scripts,
    epoch: String,
    /// Position of the newest entry in the stream.
    last: u64,
    /// Most entries and bytes.
    bounds: (u64, u64),
}

/// Fast: an entry is written once and read by each module.
const LEVEL: i32 = 1;

impl Publisher {
    /// Takes the stream over from any earlier collector and says which modules there are.
    pub(super) fn open(
        options: &RedisOptions,
        settings: &Settings,
        bounds: (u64, u64),
    ) -> anyhow::Result<Self> {
        let mut link = Link::open(&options.url, options.timeout)?;
        let keys = Keys::new(&options.prefix);
        let text = settings.write()?;
        let (epoch, last) = link.run(|connection| {
            let epoch: u64 = redis::cmd("INCR").arg(keys.of("epoch")).query(connection)?;
            redis::cmd("SET")
                .arg(keys.of("settings"))
                .arg(&text)
                .exec(connection)?;
            // From now on what they miss is counted. A module that is not configured any more misses nothing.
            let known: Vec<String> = redis::cmd("HKEYS").arg(keys.of("cursors")).query(connection)?;
            for name in known
                .iter()
                .filter(|name| !settings.processes.contains_key(*name))
            {
                for hash in ["cursors", "replay", "lost"] {
                    redis::cmd("HDEL").arg(keys.of(hash)).arg(name).exec(connection)?;
                }
                // Absent is as good.
                let _ = redis::cmd("XGROUP")
                    .arg("DESTROY")
                    .arg(keys.updates())
                    .arg(name)
                    .exec(connection);
            }
            for name in settings.processes.keys() {
                redis::cmd("HSETNX")
                    .arg(keys.of("cursors"))
                    .arg(name)
                    .arg(0)
                    .exec(connection)?;
            }
            Ok((epoch.to_string(), link::last_id(connection, &keys.updates())?))
        })?;
        Ok(Self {
            link,
            keys,
            scripts: Scripts::new(),
            epoch,
            last,
            bounds,
        })
    }

    pub(super) const fn wants(&self, position: u64) -> bool {
        position > self.last
    }

    pub(super) fn publish(&mut self, entry: &v1::ModuleUpdates) -> Result<(), StoreError> {
        if !self.wants(entry.cursor) {
            return Ok(());
        }
        let packed = zstd::bulk::compress(&entry.encode_to_vec(), LEVEL).map_err(|error| StoreError::Io {
            path: "modules".into(),
            source: error,
        })?;
        let mut call = self.scripts.publish.key(self.keys.of("epoch"));
        call.key(self.keys.updates());
        for name in ["bytes", "trimmed", "cursors", "lost"] {
            call.key(self.keys.of(name));
        }
        let (entries, bytes) = self.bounds;
        call.arg(&self.epoch)
            .arg(entry.cursor)
            .arg(&packed)
            .arg(entries)
            .arg(bytes);
        // Said twice it is there once, so a lost answer does no harm.
        self.link.query(|connection| call.invoke::<u64>(connection))?;
        self.last = entry.cursor;
        Ok(())
    }
}
