//! What every store must do, run on each engine; Redis against a real server that the test starts.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

#[path = "store/redis_server.rs"]
mod redis_server;
#[path = "store/suite.rs"]
mod suite;

use lynceus_collector::store::{
    Change, Durability, EmbeddedOptions, EmbeddedStore, Flush, MemoryStore, RedisOptions, RedisStore,
    SpillStore, Store, StoreError, Table,
};

use crate::redis_server::RedisServer;

#[test]
fn memory() {
    suite::run(&|| Box::new(MemoryStore::new(u64::MAX)));
}

/// Already the first row is too much for memory, and one that moves in the middle.
#[test]
fn spilling() {
    for max_bytes in [0, 500] {
        suite::run(&|| Box::new(SpillStore::new(MemoryStore::new(u64::MAX), max_bytes)));
    }
}

/// The directory exists from the moment that memory is too small until the store is gone.
#[test]
fn what_is_spilled_is_on_disk_and_goes_with_the_store() {
    let store = SpillStore::new(MemoryStore::new(0), 1 << 20);
    let change = |number: u32| Change {
        table: Table::Windows,
        key: number.to_be_bytes().to_vec(),
        value: Some(vec![number as u8; 1024]),
    };
    for number in 0..3000 {
        store.write(&[change(number)], Flush::Buffered).unwrap();
        let spilled = store.spilled_to().is_some();
        assert_eq!(spilled, (u64::from(number) + 1) * 1028 > 1 << 20, "{number}");
    }
    let folder = store.spilled_to().unwrap();
    assert!(folder.is_dir());
    for number in 0..3000_u32 {
        let value = store.get(Table::Windows, &number.to_be_bytes()).unwrap();
        assert_eq!(value, change(number).value, "{number}");
    }
    drop(store);
    assert!(!folder.exists());
}

#[test]
fn embedded() {
    let directory = tempfile::tempdir().unwrap();
    let number = std::cell::Cell::new(0);
    suite::run(&|| {
        number.set(number.get() + 1);
        let own = directory.path().join(number.get().to_string());
        Box::new(EmbeddedStore::open(&EmbeddedOptions::new(own)).unwrap())
    });
}

#[test]
fn embedded_survives_reopening() {
    let directory = tempfile::tempdir().unwrap();
    suite::run_reopening(&|| Box::new(EmbeddedStore::open(&EmbeddedOptions::new(directory.path())).unwrap()));
}

#[test]
fn embedded_is_locked_against_a_second_process() {
    let directory = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions::new(directory.path());
    let _first = EmbeddedStore::open(&options).unwrap();
    let second = EmbeddedStore::open(&options).err().unwrap();
    assert!(
        second.to_string().contains("in use by another process"),
        "{second}"
    );
}

#[test]
fn redis() {
    let Some(server) = RedisServer::start("always") else {
        return;
    };
    let number = std::cell::Cell::new(0);
    suite::run(&|| {
        number.set(number.get() + 1);
        Box::new(RedisStore::open(&options(&server, &format!("test{}", number.get()))).unwrap())
    });
}

#[test]
fn redis_survives_reopening() {
    let Some(server) = RedisServer::start("always") else {
        return;
    };
    suite::run_reopening(&|| Box::new(RedisStore::open(&options(&server, "test")).unwrap()));
}

#[test]
fn redis_survives_a_killed_server() {
    let Some(mut server) = RedisServer::start("always") else {
        return;
    };
    let store = RedisStore::open(&options(&server, "test")).unwrap();
    for seq in 1..=50 {
        store.append(vec![suite::entry("edge", 1, seq)]).unwrap();
    }
    server.kill_and_restart();
    // The connection broke; the store says so once at most and then goes on.
    let stored = (0..2).any(|_| store.append(vec![suite::entry("edge", 1, 51)]).is_ok());
    assert!(stored);
    assert_eq!(suite::log_of(&store).len(), 51);
}

#[test]
fn redis_is_durable_only_with_fsync_always() {
    let Some(server) = RedisServer::start("always") else {
        return;
    };
    let store = RedisStore::open(&options(&server, "test")).unwrap();
    assert_eq!(store.status().durability, Durability::Durable);
    drop(server);
    let Some(server) = RedisServer::start("everysec") else {
        return;
    };
    let store = RedisStore::open(&options(&server, "test")).unwrap();
    assert_eq!(store.status().durability, Durability::Weak);
}

#[test]
fn redis_fences_the_collector_that_was_replaced() {
    let Some(server) = RedisServer::start("always") else {
        return;
    };
    let first = RedisStore::open(&options(&server, "test")).unwrap();
    first.append(vec![suite::entry("edge", 1, 1)]).unwrap();
    let second = RedisStore::open(&options(&server, "test")).unwrap();
    let refused = first.append(vec![suite::entry("edge", 1, 2)]).err().unwrap();
    assert!(matches!(refused, StoreError::Fenced), "{refused}");
    second.append(vec![suite::entry("edge", 1, 2)]).unwrap();
    assert_eq!(suite::log_of(&second).len(), 2);
}

#[test]
fn redis_full_is_told_and_leaves_nothing_behind() {
    let Some(server) = RedisServer::start("always") else {
        return;
    };
    let store = RedisStore::open(&options(&server, "test")).unwrap();
    store.append(vec![suite::entry("edge", 1, 1)]).unwrap();
    server.set("maxmemory", "1");
    let refused = store
        .append(vec![suite::entry("edge", 1, 2), suite::entry("far", 2, 1)])
        .err()
        .unwrap();
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    assert!(store.status().degraded.is_some());
    server.set("maxmemory", "0");
    let admitted = store
        .append(vec![suite::entry("edge", 1, 2), suite::entry("far", 2, 1)])
        .unwrap();
    assert!(
        admitted.iter().all(|one| suite::position(one).is_some()),
        "{admitted:?}"
    );
    assert!(store.status().degraded.is_none());
    assert_eq!(suite::log_of(&store).len(), 3);
}

fn options(server: &RedisServer, prefix: &str) -> RedisOptions {
    RedisOptions {
        prefix: prefix.to_owned(),
        ..RedisOptions::new(server.url())
    }
}
