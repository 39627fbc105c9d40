//! Rows of the outlier detector, as they come back from a store that somebody else had. The collector's tests replay the
//! seeds of this target (`collector/tests/outliers/rows.rs`), so that the replay of the others need not build a collector.

use std::time::Duration;

use lynceus_collector::rows::outlier::{put_state, read_own, read_state};
use lynceus_detect::outlier::{Closed, Config, Outlier};
use lynceus_detect::{Context, Detector as _, context};
use lynceus_model::time::Timestamp;

/// More than the detector waits for the others of a time.
const DAY: Duration = Duration::from_secs(86_400);

/// A state, or the past of a profile: it is refused, or a detector goes on from it, judges what waits, and writes it again
/// as it was.
pub(crate) fn outlier_state(data: &[u8]) {
    let mut detector = Outlier::new(Config::default(), &Context::offline(context::Network::default()));
    let mut waiting: Vec<Closed> = Vec::new();
    if let Ok((position, state, said)) = read_state(data) {
        waiting.clone_from(&state.closed);
        if detector.restore(state) {
            let state = detector.state();
            let row = put_state(position, &state, &said).value.expect("a row");
            let (place, again, _) = read_state(&row).expect("what was written");
            assert_eq!((place, &again), (position, &state));
            detector.tick(Timestamp::MAX);
            // Time ends before such a window is over long enough.
            let late = |closed: &Closed| closed.window.start >= Timestamp::MAX.saturating_sub(DAY);
            assert!(detector.state().closed.iter().all(late));
        }
    }
    if let Ok(Some(own)) = read_own(data) {
        detector.put_own([10, 0, 0, 3].into(), own);
    }
    detector.judge(waiting);
    for judged in detector.take_judged() {
        assert!(judged.account.score.is_finite() && judged.account.score >= 0.0);
    }
}
