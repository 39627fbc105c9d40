//! Several sensors: what is odd does not depend on who saw it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use lynceus_collector::rows::outlier::{read_own, read_state};
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, KeyRange, MemoryStore, Order, Store, Table};
use lynceus_detect::outlier::{Generation, Own, Role};
use lynceus_model::evidence::{Evidence, EvidenceType};
use lynceus_model::window::SensorId;
use lynceus_proto::batch::Batch;
use lynceus_proto::v1;

use super::state::State;
use super::traffic::{SENSOR, batches_of, office_seen};
use super::{assert_same, killed_after, run};

const HOURS: i64 = 14;
/// The one that saw all; of its name the collector speaks too.
const ALONE: SensorId = SENSOR;
const FLEET: [SensorId; 3] = [SensorId([1; 16]), SensorId([2; 16]), SensorId([3; 16])];
/// When a batch comes, from which of them.
type Said = (i64, usize, Batch);

/// Which of the three sees a flow: the first host, which is the odd one, and two more are seen by two of them, each half
/// of their servers.
fn seen_by(host: u8, server: Ipv4Addr) -> usize {
    let half = usize::from(server.octets()[3] % 2);
    match host {
        0 => half,
        1..=3 => 0,
        4 => half,
        5..=7 => 1,
        8 => 1 + half,
        _ => 2,
    }
}

/// The batches of all three as a collector gets them: each in its order, those of a sensor `lags` seconds later than it
/// could have sent them, but for the first one: who never spoke is waited for by nobody.
fn batches_of_fleet(size: usize, lags: [i64; 3]) -> Vec<Batch> {
    let mut all: Vec<Said> = Vec::new();
    for (place, sensor) in FLEET.into_iter().enumerate() {
        let updates = office_seen(sensor, HOURS, |host, server| seen_by(host, server) == place);
        let mut now = 0;
        let batches = batches_of(sensor, &updates, size);
        for (number, (updates, batch)) in updates.chunks(size).zip(batches).enumerate() {
            let last = updates.iter().filter_map(|update| Some(update.delta.span?.1.0));
            now = now.max(last.max().unwrap_or(now));
            let lag = if number == 0 { 0 } else { lags[place] };
            all.push((now + lag * 1_000_000_000, place, batch));
        }
    }
    all.sort_by_key(|(time, place, _)| (*time, *place));
    all.into_iter().map(|(_, _, batch)| batch).collect()
}

/// What the detector learnt: baselines by role, and the past of each profile without the place of the log.
type Learnt = (Vec<(Role, Generation, Generation)>, BTreeMap<Vec<u8>, Own>);

fn learnt(store: &dyn Store) -> Learnt {
    let rows = store.scan(Table::OutlierState, &KeyRange::all(), Order::Ascending, 10_000);
    let mut baselines = Vec::new();
    let mut pasts = BTreeMap::new();
    for (key, value) in rows.unwrap() {
        if key.ends_with(b"own") {
            let past = read_own(&value).unwrap().unwrap();
            pasts.insert(key, Own { position: 0, ..past });
        } else {
            baselines = read_state(&value).unwrap().1.baselines;
        }
    }
    (baselines, pasts)
}

/// Without the names of sensors, which are the difference.
fn nameless(mut accounts: Vec<v1::Outlier>) -> Vec<v1::Outlier> {
    for account in &mut accounts {
        account.items.retain(|item| item.attribute != "sensor");
    }
    accounts
}

fn outliers(state: &State) -> Vec<Evidence> {
    let all = state.evidence.iter();
    all.filter(|evidence| evidence.kind == EvidenceType::Outlier)
        .cloned()
        .collect()
}

/// One sensor that saw all against three that each saw a part, the second one forty minutes late: the same baseline to
/// the last count, the same scores and accounts to the last bit, the same evidence under the same ids, however they cut.
#[test]
fn three_sensors_say_what_one_would() {
    let alone = office_seen(ALONE, HOURS, |_, _| true);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let (expected, one) = run(Arc::clone(&store), &batches_of(ALONE, &alone, 40));
    let known = learnt(&*store);
    let one = nameless(one);
    assert_eq!(one.len(), 12 * HOURS as usize);
    let odd = outliers(&expected);
    assert!(
        odd.iter().any(|odd| odd.profile.to_string() == "10.0.3.1"),
        "{odd:?}"
    );
    for (size, lags) in [(1, [0, 2_400, 300]), (7, [1_200, 0, 2_400])] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
        let (state, found) = run(Arc::clone(&store), &batches_of_fleet(size, lags));
        for (found, expected) in nameless(found).iter().zip(&one) {
            assert_eq!(found, expected, "batches of {size}, {lags:?} late");
        }
        assert!(learnt(&*store) == known, "batches of {size}, {lags:?} late");
        assert_eq!(outliers(&state), odd);
        assert_eq!(state.summaries, expected.summaries);
    }
}

/// Its windows say which sensors saw it, of which patterns are made.
#[test]
fn a_window_that_two_sensors_saw_names_both() {
    let (_, found) = run(Arc::new(MemoryStore::new(0)), &batches_of_fleet(7, [0, 600, 0]));
    let named = |host: u8| -> Vec<String> {
        let account = found.iter().find(|account| account.profile == [10, 0, 3, host]);
        let items = account.unwrap().items.iter();
        let sensors = items.filter(|item| item.attribute == "sensor");
        sensors.map(|item| item.value.clone()).collect()
    };
    assert_eq!(named(1), [FLEET[0].to_string(), FLEET[1].to_string()]);
    assert_eq!(named(12), [FLEET[2].to_string()]);
}

/// A collector of three sensors that is killed now and then ends with what it would have had.
#[test]
fn kills_of_a_fleets_collector_change_nothing() {
    let batches = batches_of_fleet(12, [0, 2_400, 300]);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let expected = run(Arc::clone(&store), &batches);
    let mut place = tempfile::tempdir().unwrap();
    let mut before = 0;
    for batches in batches.chunks(batches.len().div_ceil(7)) {
        let half = batches.len() / 2;
        place = killed_after(&place, batches, before, |number| number == half);
        before += batches.len() as u64;
    }
    let last = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(place.path())).unwrap());
    assert_same(&run(Arc::clone(&last) as _, &[]), &expected);
    assert!(learnt(&*last) == learnt(&*store));
}

/// One that fell silent holds the others up for a while and not for good, and they still have their accounts.
#[test]
fn a_sensor_that_fell_silent_is_not_waited_for() {
    let hour = |batch: &Batch| batch.content.updates[0].delta.window.start.0 / 3_600_000_000_000;
    let mut batches = batches_of_fleet(7, [0; 3]);
    let all = batches.len();
    batches.retain(|batch| batch.id.sensor != FLEET[2] || hour(batch) < 3);
    assert!(batches.len() < all && batches.iter().any(|batch| batch.id.sensor == FLEET[2]));
    let (_, found) = run(Arc::new(MemoryStore::new(0)), &batches);
    let hours = |host: u8| {
        found
            .iter()
            .filter(|account| account.profile == [10, 0, 3, host])
            .count()
    };
    assert_eq!(hours(2), HOURS as usize, "of a host that the first sensor sees");
}
