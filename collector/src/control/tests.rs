use super::*;
use crate::store::MemoryStore;

const SECOND: i64 = 1_000_000_000;

fn control(store: &Arc<dyn Store>, dry_run: bool) -> Control {
    let options = ControlOptions {
        enabled: true,
        dry_run,
        on_alert: true,
        lease: Duration::from_secs(60),
        plan: WindowPlan {
            origin: Timestamp(0),
            width: Duration::from_secs(3600),
        },
    };
    Control::open(options, Arc::clone(store)).unwrap()
}

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

#[test]
fn a_block_ends_by_time_and_all_is_written_down() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let first = control(&store, true);
    let at = |seconds: i64| Timestamp(seconds * SECOND);
    first
        .block(
            network("192.0.2.1"),
            Duration::from_secs(100),
            false,
            "tests",
            at(10),
        )
        .unwrap();
    assert!(first.orders(at(50)).blocks[0].dry_run, "the collector says so");
    drop(first);
    // A collector that is started again goes on with it.
    let second = control(&store, false);
    let orders = second.orders(at(50));
    assert_eq!(orders.blocks[0].remaining, Duration::from_secs(60));
    assert!(!orders.blocks[0].dry_run);
    second.tick(at(109));
    assert_eq!(second.list(false).unwrap().len(), 1);
    second.tick(at(110));
    assert_eq!(second.orders(at(110)).blocks, []);
    assert!(second.unblock(network("192.0.2.1"), "", at(111)).is_err());
    let actions: Vec<String> = second
        .log()
        .unwrap()
        .into_iter()
        .map(|record| record.action)
        .collect();
    assert_eq!(actions, ["expired", "blocked"]);
    assert_eq!(second.list(true).unwrap()[0].ended, Some(110 * SECOND));
    assert!(matches!(
        second.block(network("0.0.0.0/0"), Duration::from_secs(1), false, "", at(1)),
        Err(ControlError::Refused(..))
    ));
}

#[test]
fn counts_of_a_sensor_that_was_started_again_add_up() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let control = control(&store, false);
    let block = control
        .block(
            network("192.0.2.1"),
            Duration::from_secs(100),
            false,
            "",
            Timestamp(0),
        )
        .unwrap();
    let say = |packets| BlockStatus {
        id: id_of(&block).unwrap(),
        dry_run: false,
        packets,
        bytes: packets * 60,
        refused: None,
    };
    for packets in [0, 5, 5, 9, 2] {
        control.note(SensorId([1; 16]), &[say(packets)], Timestamp(1));
    }
    control.note(SensorId([2; 16]), &[say(4)], Timestamp(1));
    let listed = &control.list(false).unwrap()[0];
    assert_eq!((listed.packets, listed.bytes, listed.sensors.len()), (15, 900, 2));
}

#[test]
fn what_is_never_blocked_is_refused_with_its_entry_and_written_down() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(0));
    let control = control(&store, false);
    let error = control
        .block(
            network("127.0.0.1"),
            Duration::from_secs(100),
            false,
            "",
            Timestamp(5),
        )
        .unwrap_err();
    let text = "the allow-list wins: 127.0.0.0/8 (loopback)";
    assert_eq!(error.to_string(), format!("127.0.0.1/32: {text}"));
    assert!(control.list(true).unwrap().is_empty());
    let log = control.log().unwrap();
    assert_eq!(
        (log[0].action.as_str(), log[0].reason.as_str()),
        ("refused", text)
    );
    assert_eq!(log[0].origin, "operator");
}
