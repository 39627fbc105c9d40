//! One process of a module: its lease, its place in the consumer group, and what it says.

use std::time::Duration;

use lynceus_proto::module::Said;
use lynceus_proto::v1;
use prost::Message;
use redis::Connection;

use super::keys::Keys;
use super::scripts::Scripts;
use crate::store::redis::link::{Link, engine, reply};
use crate::store::{RedisOptions, StoreError};

/// A process that may come to work as a module.
pub(super) struct Member {
    link: Link,
    keys: Keys,
    scripts: Scripts,
    module: String,
    /// Tells processes apart: host, process and a random number.
    pub(super) token: String,
}

/// Where a module stands when a process takes it over.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stand {
    /// The last entry that is done.
    pub(super) cursor: u64,
    /// Windows that were open at the cursor began after this entry.
    pub(super) replay: u64,
    /// The last entry that was given to any process of the module.
    pub(super) delivered: u64,
    /// The last entry that the stream's bound removed.
    pub(super) trimmed: u64,
    /// Entries that a predecessor was given and left.
    pub(super) claimed: u64,
}

/// An entry of the stream, unpacked.
pub(super) struct Entry {
    pub(super) id: u64,
    pub(super) updates: v1::ModuleUpdates,
}

/// A process that says nothing for so long is taken for dead.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// Entries that one read brings: few, as one may have megabytes.
const READ: usize = 16;
/// Wait for new entries.
const BLOCK: Duration = Duration::from_millis(500);
/// What was found and waits for the collector; beyond, modules wait.
const MOST_SAID: usize = 10_000;
/// Unpacked bytes of an entry: a batch of the largest size and four earlier windows for each of its updates.
const MOST_BYTES: usize = 256 << 20;

impl Member {
    pub(super) fn open(options: &RedisOptions, module: &str) -> Result<Self, StoreError> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let token = format!(
            "{}/{}/{}",
            host.trim(),
            std::process::id(),
            uuid::Uuid::new_v4().simple()
        );
        Ok(Self {
            link: Link::open(&options.url, options.timeout)?,
            keys: Keys::new(&options.prefix),
            scripts: Scripts::new(),
            module: module.to_owned(),
            token,
        })
    }

    /// What the collector says of the configuration; `None`: none has spoken yet.
    pub(super) fn settings(&mut self) -> Result<Option<String>, StoreError> {
        let key = self.keys.of("settings");
        self.link
            .query(|connection| redis::cmd("GET").arg(&key).query(connection))
    }

    /// Takes the module's lease, if nobody has it.
    pub(super) fn sit(&mut self) -> Result<bool, StoreError> {
        let (key, token) = (self.keys.lease(&self.module), &self.token);
        let millis = LEASE.as_millis() as u64;
        let taken: Option<String> = self.link.run(|connection| {
            redis::cmd("SET")
                .arg(key)
                .arg(token)
                .arg("NX")
                .arg("PX")
                .arg(millis)
                .query(connection)
        })?;
        Ok(taken.is_some())
    }

    /// False when somebody else has it now.
    pub(super) fn renew(&mut self) -> Result<bool, StoreError> {
        let mut call = self.scripts.renew.key(self.keys.lease(&self.module));
        call.arg(&self.token).arg(LEASE.as_millis() as u64);
        self.link.query(|connection| call.invoke(connection))
    }

    /// Gives the lease back, so that another need not wait for its end.
    pub(super) fn leave(&mut self) {
        let mut call = self.scripts.leave.key(self.keys.lease(&self.module));
        call.arg(&self.token);
        // Where this fails it ends by itself.
        let _ = self.link.run(|connection| call.invoke::<u64>(connection));
    }

    /// Joins the consumer group and claims what a predecessor left.
    pub(super) fn stand(&mut self) -> Result<Stand, StoreError> {
        let (keys, module, token) = (&self.keys, &self.module, &self.token);
        self.link.run(|connection| {
            let made: Result<(), _> = redis::cmd("XGROUP")
                .arg(&["CREATE", &keys.updates(), module, "0", "MKSTREAM"])
                .query(connection);
            if let Err(error) = made
                && error.code() != Some("BUSYGROUP")
            {
                return Err(error);
            }
            let claimed = claim(connection, &keys.updates(), module, token)?;
            redis::cmd("HINCRBY")
                .arg(keys.status(module))
                .arg("came")
                .arg(1)
                .exec(connection)?;
            let number = |connection: &mut Connection, hash: &str, field: &str| {
                let number: Option<u64> = redis::cmd("HGET")
                    .arg(keys.of(hash))
                    .arg(field)
                    .query(connection)?;
                Ok::<u64, redis::RedisError>(number.unwrap_or(0))
            };
            Ok(Stand {
                cursor: number(connection, "cursors", module)?,
                replay: number(connection, "replay", module)?,
                trimmed: number(connection, "trimmed", "to")?,
                delivered: delivered(connection, &keys.updates(), module)?,
                claimed,
            })
        })
    }

    /// Entries after `after` up to `until`, without taking them.
    pub(super) fn look(&mut self, after: u64, until: u64) -> Result<Vec<Entry>, StoreError> {
        let key = self.keys.updates();
        let found: Vec<reply::Block> = self.link.query(|connection| {
            redis::cmd("XRANGE")
                .arg(&key)
                .arg(format!("({after}-0"))
                .arg(format!("{until}-0"))
                .arg("COUNT")
                .arg(READ)
                .query(connection)
        })?;
        found.into_iter().map(unpack).collect()
    }

    /// Takes the next entries; waits a moment where there are none.
    pub(super) fn take(&mut self) -> Result<Vec<Entry>, StoreError> {
        let key = self.keys.updates();
        let found: Option<Vec<(String, Vec<reply::Block>)>> = self.link.run(|connection| {
            redis::cmd("XREADGROUP")
                .arg(&["GROUP", &self.module, &self.token])
                .arg("COUNT")
                .arg(READ)
                .arg("BLOCK")
                .arg(BLOCK.as_millis() as u64)
                .arg(&["STREAMS", &key, ">"])
                .query(connection)
        })?;
        let entries = found.into_iter().flatten().flat_map(|(_, entries)| entries);
        entries.map(unpack).collect()
    }

    /// Says what was found and that `done` is done, in one step. False: the collector has to come to what waits first.
    pub(super) fn say(
        &mut self,
        found: &[Said],
        done: &[u64],
        cursor: u64,
        replay: u64,
    ) -> Result<bool, StoreError> {
        let mut call = self.scripts.say.key(self.keys.lease(&self.module));
        call.key(self.keys.updates()).key(self.keys.said());
        call.key(self.keys.of("cursors")).key(self.keys.of("replay"));
        call.arg(&self.token)
            .arg(&self.module)
            .arg(cursor)
            .arg(replay)
            .arg(MOST_SAID)
            .arg(done.len());
        for id in done {
            call.arg(format!("{id}-0"));
        }
        for said in found {
            call.arg(v1::ModuleSaid::from(said.clone()).encode_to_vec());
        }
        // If the answer is lost it is said again: the same findings have the same ids.
        self.link.query(|connection| call.invoke(connection))
    }

    /// What people are to see of it.
    pub(super) fn report(&mut self, fields: &[(&str, String)]) -> Result<(), StoreError> {
        let key = self.keys.status(&self.module);
        self.link
            .run(|connection| redis::cmd("HSET").arg(key).arg(fields).exec(connection))
    }
}

/// Claims all that other consumers of the group hold, and forgets these consumers: the lease says that they are gone.
/// Gives how many entries there were.
fn claim(connection: &mut Connection, stream: &str, group: &str, token: &str) -> redis::RedisResult<u64> {
    let mut claimed = 0;
    let mut from = "0-0".to_owned();
    loop {
        let answer: Vec<redis::Value> = redis::cmd("XAUTOCLAIM")
            .arg(&[stream, group, token, "0", &from, "COUNT", "100", "JUSTID"])
            .query(connection)?;
        let mut answer = answer.into_iter();
        from = redis::from_redis_value(answer.next().unwrap_or(redis::Value::Nil))?;
        let ids: Vec<String> = redis::from_redis_value(answer.next().unwrap_or(redis::Value::Nil))?;
        claimed += ids.len() as u64;
        if from == "0-0" {
            break;
        }
    }
    let consumers: Vec<std::collections::HashMap<String, redis::Value>> = redis::cmd("XINFO")
        .arg(&["CONSUMERS", stream, group])
        .query(connection)?;
    for mut consumer in consumers {
        let name: String = redis::from_redis_value(consumer.remove("name").unwrap_or(redis::Value::Nil))?;
        if name != token {
            redis::cmd("XGROUP")
                .arg(&["DELCONSUMER", stream, group, &name])
                .exec(connection)?;
        }
    }
    Ok(claimed)
}

/// The last entry that the group was given.
fn delivered(connection: &mut Connection, stream: &str, group: &str) -> redis::RedisResult<u64> {
    let groups: Vec<std::collections::HashMap<String, redis::Value>> =
        redis::cmd("XINFO").arg(&["GROUPS", stream]).query(connection)?;
    for mut known in groups {
        let name: String = redis::from_redis_value(known.remove("name").unwrap_or(redis::Value::Nil))?;
        if name == group {
            let id = known.remove("last-delivered-id").unwrap_or(redis::Value::Nil);
            let id: String = redis::from_redis_value(id)?;
            return Ok(reply::sequence(&id).unwrap_or(0));
        }
    }
    Ok(0)
}

fn unpack(block: reply::Block) -> Result<Entry, StoreError> {
    let bad = |what: String| engine(&format!("modules:updates, entry {}: {what}", block.id));
    let bytes = zstd::bulk::Decompressor::new()
        .and_then(|mut unpacker| unpacker.decompress(&block.bytes, MOST_BYTES))
        .map_err(|error| bad(error.to_string()))?;
    let updates = v1::ModuleUpdates::decode(bytes.as_slice()).map_err(|error| bad(error.to_string()))?;
    Ok(Entry {
        id: block.id,
        updates,
    })
}
