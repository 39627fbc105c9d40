//! Modules that are slow or hang: the others go on, and nothing is lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use lynceus_collector::dispatch::EngineOptions;
use lynceus_collector::modules::Hosting;
use lynceus_collector::pipeline::Collector;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, MemoryStore, Store};
use lynceus_model::evidence::{Evidence, EvidenceId, EvidenceType};

use super::state::State;
use super::traffic::{PLAN, SENSOR, batches, updates};
use super::{LONG, SOON, grace, judge, module, options, patience};

/// A gate that modules wait at.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
    }
}

/// What was found by others than the probes, whenever it took effect: on a loaded machine any of them may fall behind.
fn ids(state: &State) -> BTreeSet<EvidenceId> {
    let ours = |evidence: &&Evidence| evidence.kind != EvidenceType::ReportedByOther;
    state
        .evidence
        .iter()
        .filter(ours)
        .map(|evidence| evidence.id)
        .collect()
}

fn own(state: &State, name: &str) -> usize {
    let own = |evidence: &&Evidence| evidence.description == name;
    state.evidence.iter().filter(own).count()
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let run = |threads| {
        let hosting = Hosting {
            threads,
            ..patience(LONG)
        };
        // So that whoever takes it is overtaken by the others.
        let dawdles = |call: usize| std::thread::sleep(Duration::from_micros(50 * (call % 4) as u64));
        let more = vec![module("first", dawdles), module("second", |_| ())];
        let store = Arc::new(MemoryStore::new(0));
        let collector = Collector::start(Arc::clone(&store) as _, options(more, hosting)).unwrap();
        for batch in batches(&updates(12, 25), 60) {
            collector.ingest().accept(batch).unwrap();
        }
        collector.shutdown();
        State::of(&*store)
    };
    let one = run(1);
    assert!(!one.alerts.is_empty() && own(&one, "first") == one.windows.len());
    for threads in [2, 4] {
        assert!(run(threads) == one, "{threads} threads said something else");
    }
}

#[test]
fn a_module_that_is_behind_holds_nobody_up_and_loses_nothing() {
    let alone = judge(Vec::new(), patience(LONG), |_| ());
    let (gate, calls) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (inside, count) = (gate.clone(), Arc::clone(&calls));
    let slow = module("slow", move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        inside.wait();
    });
    let store = Arc::new(MemoryStore::new(0));
    let hosting = grace(Duration::from_millis(50));
    let collector = Collector::start(Arc::clone(&store) as _, options(vec![slow], hosting)).unwrap();
    for batch in batches(&updates(12, 25), 20) {
        collector.ingest().accept(batch).unwrap();
    }
    let status = || {
        let modules = collector.query().collector().modules;
        modules.into_iter().find(|module| module.name == "slow").unwrap()
    };
    until("the others wait for it", || {
        ids(&State::of(&*store)).len() == alone.others.evidence.len()
    });
    until("nobody sees that it is behind", || status().waiting > 0);
    assert_eq!(calls.load(Ordering::Relaxed), 1, "it has not come back");
    assert_eq!(own(&State::of(&*store), "slow"), 0);
    gate.open();
    collector.flush().unwrap();
    let slow = status();
    collector.shutdown();
    assert_eq!((slow.waiting, slow.hangs, slow.missed, slow.full), (0, 0, 0, 0));
    assert_eq!(
        calls.load(Ordering::Relaxed) as u64,
        slow.updates,
        "each update once"
    );
    let both = State::of(&*store);
    assert_eq!(slow.late, slow.updates, "all that it said came late");
    assert_eq!(own(&both, "slow"), both.windows.len());
    assert!(both.windows == alone.others.windows && ids(&both) == ids(&alone.others));
}

#[test]
fn a_fresh_instance_goes_on_where_the_module_hung() {
    let (gate, calls) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
    let (inside, count) = (gate.clone(), Arc::clone(&calls));
    let hangs = module("hangs", move |call| {
        count.fetch_add(1, Ordering::Relaxed);
        if call == 3 {
            inside.wait();
        }
    });
    let hosting = Hosting {
        patience: SOON,
        ..grace(Duration::from_millis(50))
    };
    let store = Arc::new(MemoryStore::new(0));
    let more = vec![hangs, module("sound", |_| ())];
    let collector = Collector::start(Arc::clone(&store) as _, options(more, hosting)).unwrap();
    for batch in batches(&updates(12, 25), usize::MAX) {
        collector.ingest().accept(batch).unwrap();
    }
    collector.flush().unwrap();
    let modules = collector.query().collector().modules;
    let of = |name: &str| modules.iter().find(|module| module.name == name).unwrap();
    let (hung, sound) = (of("hangs"), of("sound"));
    assert_eq!((hung.hangs, hung.state.as_str(), hung.missed), (1, "running", 0));
    // The rest of its group, and what came after it.
    assert_eq!(calls.load(Ordering::Relaxed) as u64, sound.updates);
    assert_eq!(hung.updates, sound.updates);
    gate.open();
    collector.shutdown();
}

#[test]
fn a_full_queue_is_waited_for_and_counted() {
    let alone = judge(Vec::new(), patience(LONG), |_| ());
    let gate = Gate::default();
    let inside = gate.clone();
    let slow = module("slow", move |_| inside.wait());
    let hosting = Hosting {
        queue_groups: 2,
        ..grace(Duration::from_millis(50))
    };
    let store = Arc::new(MemoryStore::new(0));
    let collector = Collector::start(Arc::clone(&store) as _, options(vec![slow], hosting)).unwrap();
    let status = || {
        let modules = collector.query().collector().modules;
        modules.into_iter().find(|module| module.name == "slow").unwrap()
    };
    std::thread::scope(|scope| {
        let ingest = collector.ingest();
        scope.spawn(move || {
            for batch in batches(&updates(12, 25), 20) {
                ingest.accept(batch).unwrap();
            }
        });
        until("nothing waits for it", || status().full > 0);
        assert_eq!(status().waiting, 2, "as many as there is room for");
        gate.open();
    });
    collector.flush().unwrap();
    let slow = status();
    collector.shutdown();
    assert_eq!((slow.missed, slow.restarts, slow.waiting), (0, 0, 0));
    let both = State::of(&*store);
    assert_eq!(own(&both, "slow"), both.windows.len());
    assert!(ids(&both) == ids(&alone.others));
}

#[test]
fn a_queue_that_stays_full_costs_its_own_module_groups_and_nobody_else() {
    let slow = module("slow", |_| std::thread::sleep(Duration::from_millis(150)));
    let hosting = Hosting {
        patience: Duration::from_millis(400),
        queue_groups: 2,
        ..grace(Duration::from_millis(200))
    };
    let store = Arc::new(MemoryStore::new(0));
    let more = vec![slow, module("sound", |_| ())];
    let collector = Collector::start(Arc::clone(&store) as _, options(more, hosting)).unwrap();
    let updates = updates(12, 25);
    for batch in batches(&updates[..30], 15) {
        collector.ingest().accept(batch).unwrap();
    }
    collector.flush().unwrap();
    let modules = collector.query().collector().modules;
    collector.shutdown();
    let of = |name: &str| modules.iter().find(|module| module.name == name).unwrap();
    let (slow, sound) = (of("slow"), of("sound"));
    assert!(slow.missed > 0 && slow.full > 0, "{slow:?}");
    assert!(slow.updates < sound.updates, "{slow:?} {sound:?}");
    assert_eq!((sound.updates, sound.missed), (30, 0));
}

/// The tables are written while a module is behind, and the collector ends without it: the next run shows it what is
/// left.
#[test]
fn what_a_module_has_not_come_to_is_judged_again_after_the_end() {
    let batches = batches(&updates(4, 10), 10);
    let folder = tempfile::tempdir().unwrap();
    let run = |what: fn(usize), hosting: Hosting| {
        let store = Arc::new(EmbeddedStore::open(&EmbeddedOptions::new(folder.path())).unwrap());
        let more = vec![module("behind", what)];
        let collector = Collector::start(Arc::clone(&store) as _, options(more, hosting)).unwrap();
        for batch in batches.clone() {
            collector.ingest().accept(batch).unwrap();
        }
        collector.shutdown();
        let whole = Collector::look(Arc::clone(&store) as _, EngineOptions::new(SENSOR, PLAN)).unwrap();
        (State::of(&*store as &dyn Store), whole.is_some())
    };
    let short = Hosting {
        patience: SOON,
        ..grace(Duration::from_millis(20))
    };
    let (first, whole) = run(|_| std::thread::sleep(Duration::from_millis(600)), short);
    assert!(!whole, "a reader would take it for all there is");
    let (second, whole) = run(|_| (), patience(LONG));
    assert!(whole);
    assert!(own(&first, "behind") < second.windows.len());
    assert_eq!(
        own(&second, "behind"),
        second.windows.len(),
        "nothing of it is lost"
    );
    let store = Arc::new(MemoryStore::new(0));
    let collector = Collector::start(Arc::clone(&store) as _, options(Vec::new(), patience(LONG))).unwrap();
    for batch in batches.clone() {
        collector.ingest().accept(batch).unwrap();
    }
    collector.shutdown();
    let alone = State::of(&*store);
    assert!(second.windows == alone.windows && ids(&second) == ids(&alone));
}
