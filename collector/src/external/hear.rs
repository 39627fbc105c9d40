//! What modules elsewhere say, on its way into the log; and how they are doing, for people.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lynceus_proto::module::Said;
use lynceus_proto::v1;
use prost::Message;
use redis::Connection;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::keys::Keys;
use crate::attach::{Seat, Seats};
use crate::ingest::{Ingest, IngestError};
use crate::shared::{Shared, Streams};
use crate::store::redis::link::Link;
use crate::store::{RedisOptions, StoreError};

/// Reads findings out of Redis.
pub struct Ear {
    link: Link,
    keys: Keys,
    ingest: Ingest,
    shared: Arc<Shared>,
    names: Vec<String>,
    /// Not those that people see: findings of all processes of a module are numbered by one of these.
    seats: Seats,
    taken: BTreeMap<String, Seat>,
}

/// The one consumer of its group: one collector owns a store at a time, and what two of them read has the same ids.
const GROUP: &str = "collector";
const READ: usize = 64;
/// Wait for findings.
const BLOCK: Duration = Duration::from_millis(500);
/// Between two looks at how modules are doing.
const LOOK: Duration = Duration::from_secs(1);

/// Id and payload of an entry.
type Finding = (String, Vec<Vec<u8>>);

impl Ear {
    /// # Errors
    /// Redis does not answer.
    pub fn open(options: &RedisOptions, ingest: Ingest, names: Vec<String>) -> Result<Self, StoreError> {
        let mut link = Link::open(&options.url, options.timeout)?;
        let keys = Keys::new(&options.prefix);
        link.run(|connection| {
            let made: Result<(), _> = redis::cmd("XGROUP")
                .arg(&["CREATE", &keys.said(), GROUP, "0", "MKSTREAM"])
                .query(connection);
            match made {
                Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
                _ => Ok(()),
            }
        })?;
        Ok(Self {
            link,
            keys,
            shared: Arc::clone(ingest.shared()),
            ingest,
            names,
            seats: Seats::default(),
            taken: BTreeMap::new(),
        })
    }

    /// Listens until `stopped`. Blocks.
    pub fn run(mut self, runtime: &Handle, stopped: &watch::Receiver<bool>) {
        // First what an earlier run was given and did not finish.
        let mut from = "0";
        let mut looked: Option<Instant> = None;
        while !*stopped.borrow() {
            match self.hear(runtime, from) {
                Ok(Heard::Nothing) => from = ">",
                Ok(Heard::Some) => {}
                Ok(Heard::Stopping) => return,
                Err(error) => {
                    tracing::error!(%error, "findings of modules cannot be read; trying again");
                    from = "0";
                    std::thread::sleep(BLOCK);
                }
            }
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                match self.look() {
                    Ok(streams) => self.shared.set_streams(streams),
                    Err(error) => tracing::warn!(%error, "how modules are doing is not known"),
                }
            }
        }
    }

    fn hear(&mut self, runtime: &Handle, from: &str) -> Result<Heard, StoreError> {
        let key = self.keys.said();
        let found: Option<Vec<(String, Vec<Finding>)>> = self.link.run(|connection| {
            redis::cmd("XREADGROUP")
                .arg(&["GROUP", GROUP, GROUP])
                .arg("COUNT")
                .arg(READ)
                .arg("BLOCK")
                .arg(BLOCK.as_millis() as u64)
                .arg(&["STREAMS", &key, from])
                .query(connection)
        })?;
        let found: Vec<Finding> = found.into_iter().flatten().flat_map(|(_, found)| found).collect();
        if found.is_empty() {
            return Ok(Heard::Nothing);
        }
        for (id, fields) in found {
            if !self.take(runtime, &id, &fields) {
                return Ok(Heard::Stopping);
            }
            self.link.query(|connection| {
                redis::cmd("XACK").arg(&[&key, GROUP, &id]).exec(connection)?;
                redis::cmd("XDEL").arg(&[&key, &id]).exec(connection)
            })?;
        }
        Ok(Heard::Some)
    }

    /// Makes what was said durable. False: the collector is stopping.
    fn take(&mut self, runtime: &Handle, id: &str, fields: &[Vec<u8>]) -> bool {
        let read = fields
            .get(1)
            .ok_or_else(|| "no finding".to_owned())
            .and_then(|bytes| {
                let said = v1::ModuleSaid::decode(bytes.as_slice()).map_err(|error| error.to_string())?;
                Said::try_from(said).map_err(|error| error.to_string())
            });
        let said = match read {
            Ok(said) => said,
            Err(reason) => {
                tracing::warn!(id, reason, "finding of a module refused");
                self.shared.counters.refuse("invalid_finding");
                return true;
            }
        };
        let seat = match self.taken.get(&said.module) {
            Some(seat) => seat.clone(),
            None => match self.seats.sit(&said.module, "") {
                Ok(seat) => {
                    self.taken.insert(said.module.clone(), seat.clone());
                    seat
                }
                Err(status) => {
                    tracing::warn!(module = said.module, reason = status.message(), "finding refused");
                    self.shared.counters.refuse("invalid_finding");
                    return true;
                }
            },
        };
        loop {
            match runtime.block_on(self.ingest.say(&seat, said.clone())) {
                Ok(()) => return true,
                Err(IngestError::Stopping) => return false,
                Err(error @ IngestError::Unavailable { .. }) => {
                    tracing::error!(module = said.module, %error, "findings not stored; trying again");
                    std::thread::sleep(BLOCK);
                }
            }
        }
    }

    fn look(&mut self) -> Result<Streams, StoreError> {
        let (keys, names) = (&self.keys, &self.names);
        self.link.query(|connection| {
            let modules: redis::RedisResult<Vec<v1::ModuleStatus>> =
                names.iter().map(|name| status(connection, keys, name)).collect();
            let trimmed: Option<u64> = redis::cmd("HGET")
                .arg(keys.of("trimmed"))
                .arg("count")
                .query(connection)?;
            Ok(Streams {
                modules: modules?,
                entries: redis::cmd("XLEN").arg(keys.updates()).query(connection)?,
                trimmed: trimmed.unwrap_or(0),
                waiting: redis::cmd("XLEN").arg(keys.said()).query(connection)?,
            })
        })
    }
}

enum Heard {
    Nothing,
    Some,
    Stopping,
}

fn status(connection: &mut Connection, keys: &Keys, name: &str) -> redis::RedisResult<v1::ModuleStatus> {
    let told: HashMap<String, String> = redis::cmd("HGETALL").arg(keys.status(name)).query(connection)?;
    let attached: bool = redis::cmd("EXISTS").arg(keys.lease(name)).query(connection)?;
    let of = |connection: &mut Connection, hash: &str| {
        let number: Option<u64> = redis::cmd("HGET")
            .arg(keys.of(hash))
            .arg(name)
            .query(connection)?;
        Ok::<u64, redis::RedisError>(number.unwrap_or(0))
    };
    let (position, lost) = (of(connection, "cursors")?, of(connection, "lost")?);
    let number = |field: &str| {
        told.get(field)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let text = |field: &str| told.get(field).filter(|text| !text.is_empty()).cloned();
    let place = text("consumer").map(|consumer| {
        let mut parts = consumer.split('/');
        let (host, process) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        format!(" on {host}, process {process}")
    });
    let version = text("version").map(|version| format!("{version}{}", place.unwrap_or_default()));
    let state = match (attached, number("stopped")) {
        (false, _) => "away",
        (true, 0) => "attached",
        (true, _) => "stopped",
    };
    let lost_text = (lost > 0).then(|| format!("{lost} entries went before it came to them"));
    Ok(v1::ModuleStatus {
        name: name.to_owned(),
        state: state.to_owned(),
        version,
        updates: number("updates"),
        busy_nanos: Some(number("busy")),
        slow: number("slow"),
        panics: number("panics"),
        hangs: number("hangs"),
        late: number("late"),
        restarts: number("came").saturating_sub(1),
        last_fault: text("fault").or(lost_text),
        position: Some(position),
        findings: Some(number("findings")),
        refused: number("refused") + lost,
        waiting: number("waiting"),
        full: number("full"),
        missed: number("missed"),
    })
}
