//! A connection that comes back: one try again after the connection broke, errors told apart.

use std::time::Duration;

use redis::{Connection, RedisError, RedisResult};

use crate::store::{Durability, StoreError};

/// One connection to Redis, opened again when it broke.
pub(crate) struct Link {
    client: redis::Client,
    timeout: Duration,
    connection: Option<Connection>,
}

impl Link {
    pub(crate) fn open(url: &str, timeout: Duration) -> Result<Self, StoreError> {
        let client = redis::Client::open(url).map_err(|error| fault(&error))?;
        let mut link = Self {
            client,
            timeout,
            connection: None,
        };
        link.connect().map_err(|error| fault(&error))?;
        Ok(link)
    }

    /// Runs commands. After an error of the connection it is thrown away, and the next call opens another one.
    pub(crate) fn run<T>(
        &mut self,
        work: impl FnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let done = self.connect().and_then(work);
        done.map_err(|error| {
            if error.is_io_error() || error.is_unrecoverable_error() || error.is_timeout() {
                self.connection = None;
            }
            fault(&error)
        })
    }

    /// As [`Link::run`] for work that may be done twice: tries once more when the connection was broken.
    pub(crate) fn query<T>(
        &mut self,
        work: impl Fn(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let had_connection = self.connection.is_some();
        match self.run(&work) {
            Err(_) if had_connection && self.connection.is_none() => self.run(work),
            done => done,
        }
    }

    /// What an acknowledgement is worth with the server's settings of this moment.
    pub(super) fn durability(&mut self) -> Durability {
        let setting = |connection: &mut Connection, name: &str| -> RedisResult<String> {
            let pair: Vec<String> = redis::cmd("CONFIG").arg("GET").arg(name).query(connection)?;
            Ok(pair.into_iter().nth(1).unwrap_or_default())
        };
        let safe =
            self.query(|connection| {
                Ok(setting(connection, "appendonly")? == "yes"
                    && setting(connection, "appendfsync")? == "always")
            });
        if matches!(safe, Ok(true)) {
            Durability::Durable
        } else {
            Durability::Weak
        }
    }

    fn connect(&mut self) -> RedisResult<&mut Connection> {
        if self.connection.is_none() {
            let connection = self.client.get_connection_with_timeout(self.timeout)?;
            connection.set_read_timeout(Some(self.timeout))?;
            connection.set_write_timeout(Some(self.timeout))?;
            self.connection = Some(connection);
        }
        Ok(self.connection.as_mut().expect("set above"))
    }
}

/// Id (the part before the dash) of the newest entry that a stream ever had; 0 when there is no stream.
pub(crate) fn last_id(connection: &mut Connection, key: &str) -> RedisResult<u64> {
    if !redis::cmd("EXISTS").arg(key).query::<bool>(connection)? {
        return Ok(0);
    }
    let info: std::collections::HashMap<String, redis::Value> =
        redis::cmd("XINFO").arg("STREAM").arg(key).query(connection)?;
    let id = info
        .get("last-generated-id")
        .cloned()
        .unwrap_or(redis::Value::Nil);
    let id: Option<String> = redis::from_redis_value(id)?;
    Ok(id.and_then(|id| reply::sequence(&id)).unwrap_or(0))
}

pub(crate) fn engine(message: &str) -> StoreError {
    StoreError::Engine {
        engine: "redis",
        message: message.to_owned(),
    }
}

fn fault(error: &RedisError) -> StoreError {
    match error.code() {
        // Out of memory by `maxmemory`, or the disk refuses the append-only file.
        Some("OOM" | "MISCONF") => StoreError::Full {
            place: format!("Redis ({error})"),
        },
        Some("FENCED") => StoreError::Fenced,
        _ => engine(&error.to_string()),
    }
}

/// Answers of Redis as types.
pub(crate) mod reply {
    use prost::bytes::Bytes;
    use redis::{FromRedisValue, ParsingError, Value};

    /// An entry of the log stream.
    pub(crate) struct Block {
        pub(crate) id: u64,
        pub(crate) bytes: Bytes,
    }

    impl FromRedisValue for Block {
        fn from_redis_value(value: Value) -> Result<Self, ParsingError> {
            let (id, fields): (String, Vec<Vec<u8>>) = FromRedisValue::from_redis_value(value)?;
            let id = sequence(&id).ok_or("id of a log entry")?;
            let bytes = fields.into_iter().nth(1).ok_or("log entry without a block")?;
            Ok(Self {
                id,
                bytes: bytes.into(),
            })
        }
    }

    pub(crate) fn sequence(id: &str) -> Option<u64> {
        id.split_once('-')?.0.parse().ok()
    }
}
