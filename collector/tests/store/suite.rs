//! The suite: one function a promise, each on a fresh store.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use lynceus_collector::store::{
    Admitted, Change, Entry, Flush, KeyRange, LogRange, LogRecord, LogRetention, Order, Position, Span,
    Store, StreamId, Table, key_hash,
};
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;

type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

/// Runs every promise on a store of its own.
pub(crate) fn run(open: Open<'_>) {
    nothing_is_stored_twice(&*open());
    gaps_are_told_and_late_entries_fill_them(&*open());
    streams_do_not_touch_each_other(&*open());
    the_log_comes_back_in_order(&*open());
    the_log_is_filtered_by_time_and_key(&*open());
    rows_are_ordered_and_pages_fit_together(&*open());
    rows_are_replaced_and_removed(&*open());
    every_table_keeps_its_own_rows(&*open());
    the_log_expires_by_bytes(&*open());
    an_empty_store_answers(&*open());
}

/// Promises about stores that outlive the process. `open` opens the same store again.
pub(crate) fn run_reopening(open: Open<'_>) {
    let store = open();
    for seq in [1, 2, 5] {
        store.append(vec![entry("edge", 1, seq)]).unwrap();
    }
    store
        .write(&[row(Table::Evidence, b"key", Some(b"value"))], Flush::Durable)
        .unwrap();
    let (log, marks) = (log_of(&*store), store.marks());
    drop(store);

    let store = open();
    assert_eq!(log_of(&*store), log);
    assert_eq!(store.marks(), marks);
    assert_eq!(store.get(Table::Evidence, b"key").unwrap().unwrap(), b"value");
    let admitted = store
        .append(vec![
            entry("edge", 1, 5),
            entry("edge", 1, 4),
            entry("edge", 1, 6),
        ])
        .unwrap();
    assert_eq!(admitted[0], Admitted::Duplicate);
    assert!(position(&admitted[1]).unwrap() > log.last().unwrap().position);
    assert_eq!(log_of(&*store).len(), 5);
    // Marks outlive the log.
    let nothing = LogRetention {
        max_age: Duration::ZERO,
        max_bytes: 0,
    };
    store.expire_log(&nothing, Position(u64::MAX)).unwrap();
    drop(store);
    let store = open();
    let again: Vec<_> = [1, 2, 4, 5, 6].map(|seq| entry("edge", 1, seq)).into();
    assert_eq!(store.append(again).unwrap(), [Admitted::Duplicate; 5]);
}

fn nothing_is_stored_twice(store: &dyn Store) {
    let admitted = store
        .append(vec![entry("a", 1, 1), entry("a", 1, 1), entry("a", 1, 2)])
        .unwrap();
    assert!(position(&admitted[0]).is_some());
    assert_eq!(admitted[1], Admitted::Duplicate);
    assert_eq!(
        store.append(vec![entry("a", 1, 2)]).unwrap(),
        [Admitted::Duplicate]
    );
    assert_eq!(
        store.append(vec![entry("a", 1, 0)]).unwrap(),
        [Admitted::Duplicate]
    );
    assert_eq!(
        log_of(store).iter().map(|record| record.seq).collect::<Vec<_>>(),
        [1, 2]
    );
}

fn gaps_are_told_and_late_entries_fill_them(store: &dyn Store) {
    let admitted = store.append(vec![entry("a", 1, 1), entry("a", 1, 4)]).unwrap();
    assert!(
        matches!(
            admitted[1],
            Admitted::Stored {
                missing: Some((2, 3)),
                ..
            }
        ),
        "{admitted:?}"
    );
    assert_eq!(store.marks()[0].1.missing_count(), 2);
    let late = store.append(vec![entry("a", 1, 3)]).unwrap();
    assert!(
        matches!(late[0], Admitted::Stored { missing: None, .. }),
        "{late:?}"
    );
    assert_eq!(
        store.append(vec![entry("a", 1, 3)]).unwrap(),
        [Admitted::Duplicate]
    );
    assert_eq!(store.marks()[0].1.missing, [(2, 2)]);
}

fn streams_do_not_touch_each_other(store: &dyn Store) {
    let all = [entry("a", 1, 1), entry("a", 2, 1), entry("b", 1, 1)];
    let admitted = store.append(all.to_vec()).unwrap();
    let mut positions: Vec<_> = admitted.iter().filter_map(position).collect();
    positions.dedup();
    assert_eq!(positions.len(), 3);
    assert_eq!(store.marks().len(), 3);
}

fn the_log_comes_back_in_order(store: &dyn Store) {
    let mut expected = Vec::new();
    for round in 0..40 {
        let entries: Vec<Entry> = ["a", "b", "c", "d"]
            .iter()
            .map(|sensor| entry(sensor, 1, round + 1))
            .collect();
        let admitted = store.append(entries.clone()).unwrap();
        for (entry, admitted) in entries.into_iter().zip(admitted) {
            expected.push(LogRecord {
                position: position(&admitted).unwrap(),
                stream: entry.stream,
                seq: entry.seq,
                span: entry.span,
                payload: entry.payload,
            });
        }
    }
    assert_eq!(log_of(store), expected);
    let after = expected[77].position;
    let rest = read(
        store,
        &LogRange {
            after,
            ..LogRange::default()
        },
    );
    assert_eq!(rest, expected[78..]);
    let mut seen = 0;
    let mut three = |_: LogRecord| {
        seen += 1;
        if seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    store.read_log(&LogRange::default(), &mut three).unwrap();
    assert_eq!(seen, 3);
}

fn the_log_is_filtered_by_time_and_key(store: &dyn Store) {
    for seq in 1..=20 {
        store.append(vec![entry("a", 1, seq)]).unwrap();
    }
    let span = Span {
        first: Timestamp(55),
        last: Timestamp(72),
    };
    let range = LogRange {
        span: Some(span),
        ..LogRange::default()
    };
    assert_eq!(seqs(&read(store, &range)), [5, 6, 7]);
    let range = LogRange {
        keys: vec![key_hash(&9_u64.to_be_bytes())],
        ..LogRange::default()
    };
    let found = seqs(&read(store, &range));
    // A filter may show too much, never too little.
    assert!(found.contains(&9) && found.len() < 6, "{found:?}");
}

fn rows_are_ordered_and_pages_fit_together(store: &dyn Store) {
    let mut keys: Vec<Vec<u8>> = (0..300_u32)
        .map(|n| n.wrapping_mul(0x9e37_79b9).to_be_bytes().repeat(5))
        .collect();
    let changes: Vec<Change> = keys
        .iter()
        .map(|key| row(Table::Windows, key, Some(&key[..2])))
        .collect();
    store.write(&changes, Flush::Buffered).unwrap();
    keys.sort();
    let mut range = KeyRange::all();
    let mut found = Vec::new();
    loop {
        let page = store.scan(Table::Windows, &range, Order::Ascending, 64).unwrap();
        let Some((last, _)) = page.last() else { break };
        range.start = Bound::Excluded(last.clone());
        assert!(page.iter().all(|(key, value)| *value == key[..2]));
        found.extend(page.into_iter().map(|(key, _)| key));
    }
    assert_eq!(found, keys);
    let newest = store
        .scan(Table::Windows, &KeyRange::all(), Order::Descending, 3)
        .unwrap();
    assert_eq!(
        newest.iter().map(|(key, _)| key).collect::<Vec<_>>(),
        keys.iter().rev().take(3).collect::<Vec<_>>()
    );
    let own = store
        .scan(
            Table::Windows,
            &KeyRange::prefix(&keys[10][..18]),
            Order::Ascending,
            9,
        )
        .unwrap();
    assert_eq!(own, [(keys[10].clone(), keys[10][..2].to_vec())]);
    let empty = KeyRange {
        start: Bound::Included(keys[20].clone()),
        end: Bound::Excluded(keys[10].clone()),
    };
    assert_eq!(
        store.scan(Table::Windows, &empty, Order::Ascending, 9).unwrap(),
        []
    );
    assert_eq!(
        store
            .scan(Table::Summaries, &KeyRange::all(), Order::Ascending, 9)
            .unwrap(),
        []
    );
}

fn rows_are_replaced_and_removed(store: &dyn Store) {
    let write = |value: Option<&[u8]>| {
        store
            .write(&[row(Table::Alerts, b"k", value)], Flush::Durable)
            .unwrap()
    };
    write(Some(b"one"));
    write(Some(b""));
    assert_eq!(store.get(Table::Alerts, b"k").unwrap(), Some(Vec::new()));
    write(Some(b"two"));
    assert_eq!(store.get(Table::Alerts, b"k").unwrap(), Some(b"two".to_vec()));
    assert_eq!(store.get(Table::Evidence, b"k").unwrap(), None);
    write(None);
    write(None);
    assert_eq!(store.get(Table::Alerts, b"k").unwrap(), None);
    assert_eq!(
        store
            .scan(Table::Alerts, &KeyRange::all(), Order::Ascending, 9)
            .unwrap(),
        []
    );
}

fn every_table_keeps_its_own_rows(store: &dyn Store) {
    let own = |table: Table| row(table, b"k", Some(table.name().as_bytes()));
    // The empty store has rows of its own in some.
    let before: Vec<usize> = Table::ALL.iter().map(|table| rows_of(store, *table)).collect();
    let rows: Vec<Change> = Table::ALL.iter().map(|table| own(*table)).collect();
    store.write(&rows, Flush::Durable).unwrap();
    for (table, before) in Table::ALL.into_iter().zip(before) {
        assert_eq!(
            store.get(table, b"k").unwrap(),
            Some(table.name().as_bytes().to_vec())
        );
        assert_eq!(rows_of(store, table), before + 1, "{}", table.name());
    }
}

fn rows_of(store: &dyn Store, table: Table) -> usize {
    store
        .scan(table, &KeyRange::all(), Order::Ascending, 100)
        .unwrap()
        .len()
}

fn the_log_expires_by_bytes(store: &dyn Store) {
    for seq in 1..=9 {
        store.append(vec![entry("a", 1, seq)]).unwrap();
    }
    let keep = |max_bytes| LogRetention {
        max_age: Duration::from_secs(3600),
        max_bytes,
    };
    assert_eq!(store.expire_log(&keep(u64::MAX), Position(0)).unwrap().entries, 0);
    assert_eq!(log_of(store).len(), 9);
    let expired = store.expire_log(&keep(0), Position(u64::MAX)).unwrap();
    let left = log_of(store);
    assert_eq!(expired.entries as usize + left.len(), 9);
    assert_eq!(expired.forced, 0);
    assert_eq!(seqs(&left), ((9 - left.len() as u64 + 1)..=9).collect::<Vec<_>>());
    // Sequence numbers are remembered although the entries are gone.
    assert_eq!(
        store.append(vec![entry("a", 1, 3)]).unwrap(),
        [Admitted::Duplicate]
    );
    let next = store.append(vec![entry("a", 1, 10)]).unwrap();
    assert!(position(&next[0]).unwrap() > Position(9));
}

fn an_empty_store_answers(store: &dyn Store) {
    assert_eq!(log_of(store), []);
    assert_eq!(store.append(Vec::new()).unwrap(), []);
    assert_eq!(store.marks(), []);
    let status = store.status();
    assert_eq!(
        (status.last_position, status.first_position, status.damaged),
        (Position(0), None, 0)
    );
    assert_eq!(status.degraded, None);
    store.write(&[], Flush::Durable).unwrap();
}

/// An entry whose payload, time (`seq * 10` to 5 later) and key follow from its sequence number.
pub(crate) fn entry(sensor: &str, stream: u32, seq: u64) -> Entry {
    let time = i64::try_from(seq).unwrap() * 10;
    Entry {
        stream: StreamId {
            sensor: SensorId(std::array::from_fn(|at| {
                sensor.as_bytes().get(at).copied().unwrap_or(0)
            })),
            boot: [3; 16],
            stream,
        },
        seq,
        span: Some(Span {
            first: Timestamp(time),
            last: Timestamp(time + 5),
        }),
        keys: vec![key_hash(&seq.to_be_bytes())],
        payload: format!("{sensor}/{stream}/{seq}").repeat(20).into_bytes().into(),
    }
}

pub(crate) fn position(admitted: &Admitted) -> Option<Position> {
    match admitted {
        Admitted::Stored { position, .. } => Some(*position),
        Admitted::Duplicate => None,
    }
}

pub(crate) fn log_of(store: &dyn Store) -> Vec<LogRecord> {
    read(store, &LogRange::default())
}

fn read(store: &dyn Store, range: &LogRange) -> Vec<LogRecord> {
    let mut records = Vec::new();
    let mut take = |record| {
        records.push(record);
        ControlFlow::Continue(())
    };
    store.read_log(range, &mut take).unwrap();
    records
}

fn seqs(records: &[LogRecord]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

fn row(table: Table, key: &[u8], value: Option<&[u8]>) -> Change {
    Change {
        table,
        key: key.to_vec(),
        value: value.map(<[u8]>::to_vec),
    }
}
