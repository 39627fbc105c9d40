//! What the detector remembers, read from a disk that somebody else had.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;

use lynceus_collector::rows::outlier::{own_key, put_own, put_state, read_own, read_state};
use lynceus_collector::store::Position;
use lynceus_detect::outlier::{Closed, Config, Outlier, Role, State};
use lynceus_detect::{Context, context};
use lynceus_model::outlier::Values;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{SensorId, WindowId};
use proptest::prelude::*;

#[path = "../../../fuzz/src/outlier_state.rs"]
mod outlier_state;

use outlier_state::outlier_state;

fn detector() -> Outlier {
    Outlier::new(Config::default(), &Context::offline(context::Network::default()))
}

fn closed(host: u8, hour: i64) -> Closed {
    let mut values = Values::default();
    values.set(0, Some(f64::from(host)));
    values.set(3, Some(f64::from(host % 3)));
    let start = Timestamp::from_secs(3600 * hour);
    Closed {
        window: WindowId {
            profile: IpAddr::from([10, 0, 0, host]),
            start,
        },
        sensor: SensorId([1; 16]),
        number: hour,
        span: (start, start),
        role: Role::Client,
        values,
        items: BTreeSet::new(),
        types: 5,
        flows: Vec::new(),
    }
}

/// A detector that knows two hours.
fn taught() -> Outlier {
    let mut detector = detector();
    for hour in 0..2 {
        detector.judge((1..20).map(|host| closed(host, hour)).collect());
    }
    detector
}

/// Its state, with a third hour that waits.
fn written() -> &'static [u8] {
    static WRITTEN: OnceLock<Vec<u8>> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let mut state = taught().state();
        state.closed = (1..4).map(|host| closed(host, 2)).collect();
        put_state(Position(7), &state, &[]).value.unwrap()
    })
}

/// The past of a profile that it taught.
fn past() -> &'static [u8] {
    static WRITTEN: OnceLock<Vec<u8>> = OnceLock::new();
    WRITTEN.get_or_init(|| {
        let profile = IpAddr::from([10, 0, 0, 3]);
        let change = put_own(profile, taught().own(profile).unwrap());
        assert_eq!(change.key, own_key(profile));
        change.value.unwrap()
    })
}

#[test]
fn a_state_comes_back() {
    let (position, state, said) = read_state(written()).unwrap();
    assert_eq!((position, said.len(), state.closed.len()), (Position(7), 0, 3));
    assert_eq!(put_state(position, &state, &said).value.unwrap(), written());
    assert!(detector().restore(state));
    assert!(read_own(past()).unwrap().is_some());
}

#[test]
fn what_cannot_be_is_named() {
    let (position, state, said) = read_state(written()).unwrap();
    let refused = |change: &dyn Fn(&mut State)| {
        let mut state = state.clone();
        change(&mut state);
        let value = put_state(position, &state, &said).value.unwrap();
        read_state(&value).unwrap_err().to_string()
    };
    let text = refused(&|state| state.baselines[0].1.windows = u64::MAX);
    assert!(text.contains("more windows"), "{text}");
    let text = refused(&|state| state.baselines[0].1.index -= 1);
    assert!(text.contains("do not follow"), "{text}");
    let text = refused(&|state| state.baselines[0].1.index = i64::MIN);
    assert!(text.contains("no window is in"), "{text}");
    let text = refused(&|state| state.baselines[0].2.features.truncate(3));
    assert!(text.contains("another number of features"), "{text}");
}

/// The seeds of the fuzz target, and changes of each. They are made by this: `LYNCEUS_SEEDS=1 cargo test -p
/// lynceus-collector --test outliers seeds`, when features or rows change.
#[test]
fn seeds_of_the_fuzz_target_do_no_harm() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/outlier_state");
    let (state, own) = (folder.join("state"), folder.join("past"));
    if std::env::var_os("LYNCEUS_SEEDS").is_some() {
        std::fs::write(&state, written()).unwrap();
        std::fs::write(&own, past()).unwrap();
    }
    let (state, own) = (std::fs::read(state).unwrap(), std::fs::read(own).unwrap());
    assert!(
        read_state(&state).is_ok() && read_own(&own).unwrap().is_some(),
        "the seeds are those of other rows: make them again"
    );
    outlier_state(&state);
    outlier_state(&own);
}

/// Windows at the end of all time are of a damaged row: they wait, and harm nobody.
#[test]
fn windows_at_the_ends_of_time_do_no_harm() {
    for start in [Timestamp::MIN, Timestamp::MAX] {
        let mut state = taught().state();
        let mut last = closed(1, 2);
        last.window.start = start;
        last.span = (start, start);
        state.closed = vec![last];
        outlier_state(&put_state(Position(7), &state, &[]).value.unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// It is refused, or a detector goes on from it.
    #[test]
    fn bytes_that_changed_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
        whole in any::<bool>(),
    ) {
        let mut value = if whole { written() } else { past() }.to_vec();
        for (place, byte) in &changes {
            let at = place.index(value.len());
            value[at] = *byte;
        }
        if let Some(cut) = cut {
            value.truncate(cut.index(value.len()));
        }
        outlier_state(&value);
    }

    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), version in any::<bool>()) {
        let mut bytes = bytes;
        if version && let Some(first) = bytes.first_mut() {
            *first = written()[0];
        }
        outlier_state(&bytes);
    }
}
