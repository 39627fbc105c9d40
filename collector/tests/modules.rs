//! Modules that fail or are slow: whatever one of them does, the others say all that they would have said without it.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/state.rs"]
mod state;
#[path = "support/traffic.rs"]
mod traffic;

use std::collections::BTreeSet;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::time::{Duration, Instant};

use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::modules::Hosting;
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::{EmbeddedOptions, EmbeddedStore, MemoryStore, Store};
use lynceus_detect::{Detector, History, Maker, ProfileUpdate};
use lynceus_model::alert::AlertId;
use lynceus_model::evidence::{
    AttackerSide, Confidence, Evidence, EvidenceId, EvidenceType, Explanation, ThreatLevel,
};
use lynceus_model::time::Timestamp;
use lynceus_proto::v1;

use state::State;
use traffic::{PLAN, SENSOR, batches, updates};

/// Says one finding about each window, unless it fails first.
struct Probe<F>(&'static str, F);

impl<F: FnMut() + Send> Detector for Probe<F> {
    fn name(&self) -> &'static str {
        self.0
    }

    fn inspect(&mut self, update: &ProfileUpdate<'_>, _history: &History<'_>) -> Vec<Evidence> {
        (self.1)();
        let window = update.profile.window;
        let kind = EvidenceType::ReportedByOther;
        vec![Evidence {
            id: EvidenceId::new(update.sensor, kind, window, self.0),
            kind,
            profile: window.profile,
            window_start: window.start,
            window: update.number,
            attacker: window.profile,
            attacker_side: AttackerSide::Source,
            victim: None,
            subject: None,
            dst_port: None,
            protocol: None,
            threat_level: ThreatLevel::Info,
            confidence: Confidence::new(1.0),
            description: self.0.to_owned(),
            explanation: Explanation::default(),
            flows: Vec::new(),
            first: window.start,
            last: window.start,
            revision: 0,
            account: None,
            related: Vec::new(),
            accumulated: None,
            src_port: None,
        }]
    }

    fn tick(&mut self, _now: Timestamp) -> Vec<Evidence> {
        Vec::new()
    }
}

/// A module that does `what` at the start of each call, told how many calls there were before, over all its instances.
fn module(name: &'static str, what: impl Fn(usize) + Clone + Send + Sync + 'static) -> Maker {
    let calls = Arc::new(AtomicUsize::new(0));
    Maker::new(name, move || {
        let (calls, what) = (Arc::clone(&calls), what.clone());
        Box::new(Probe(name, move || what(calls.fetch_add(1, Ordering::Relaxed))))
    })
}

struct Outcome {
    /// Without what the extra modules said.
    others: State,
    /// Findings of the module with this name.
    own: Box<dyn Fn(&str) -> usize>,
    modules: Vec<v1::ModuleStatus>,
}

impl Outcome {
    fn module(&self, name: &str) -> &v1::ModuleStatus {
        self.modules.iter().find(|module| module.name == name).unwrap()
    }
}

/// Keeps quiet about the panics that these modules make on purpose, of which there are hundreds: between them nobody would
/// see the one of a test that fails. The threads that run modules have their name.
fn keep_quiet_about_modules() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some("modules") {
                tell(panic);
            }
        }));
    });
}

fn options(more: Vec<Maker>, hosting: Hosting) -> DispatchOptions {
    let engine = EngineOptions {
        more,
        hosting,
        ..EngineOptions::new(SENSOR, PLAN)
    };
    DispatchOptions {
        engine,
        sinks: Vec::new(),
        retention: Retention::default(),
        checkpoint: Duration::from_secs(3600),
    }
}

/// All modules are in step until one hangs.
fn patience(patience: Duration) -> Hosting {
    Hosting {
        patience,
        ..Hosting::default()
    }
}

/// The others wait so long for a module.
fn grace(grace: Duration) -> Hosting {
    Hosting {
        grace: Some(grace),
        ..patience(LONG)
    }
}

/// Judges the same traffic with these modules beside ours; `after` runs before the last batch.
fn judge(more: Vec<Maker>, hosting: Hosting, after: impl FnOnce(&Collector)) -> Outcome {
    keep_quiet_about_modules();
    let store = Arc::new(MemoryStore::new(0));
    let collector = Collector::start(Arc::clone(&store) as _, options(more, hosting)).unwrap();
    let mut batches = batches(&updates(12, 25), 20);
    let last = batches.pop().unwrap();
    for batch in batches {
        collector.ingest().accept(batch).unwrap();
    }
    collector.flush().unwrap();
    after(&collector);
    collector.ingest().accept(last).unwrap();
    collector.flush().unwrap();
    let modules = collector.query().collector().modules;
    collector.shutdown();
    let mut others = State::of(&*store);
    let all = others.evidence.clone();
    let is_ours = |evidence: &Evidence| evidence.kind != EvidenceType::ReportedByOther;
    others.evidence.retain(is_ours);
    // Their findings weigh nothing, but are counted.
    others.summaries.iter_mut().for_each(|summary| summary[4] = 0);
    for alert in &mut others.alerts {
        alert.terms.retain(|term| term.weight > 0.0);
        (alert.id, alert.confidence) = (AlertId([0; 16]), Confidence::new(0.0));
        alert.group = alert.id;
        (alert.first, alert.last) = (alert.window_start, alert.window_start);
    }
    let own = move |name: &str| all.iter().filter(|evidence| evidence.description == name).count();
    Outcome {
        others,
        own: Box::new(own),
        modules,
    }
}

/// After so long a module has hung, where one hangs: a busy machine must not stop another for so long.
const SOON: Duration = Duration::from_secs(2);
/// Where none does.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_panic_costs_its_own_update_only() {
    let alone = judge(Vec::new(), patience(LONG), |_| ());
    assert!(!alone.others.evidence.is_empty() && !alone.others.alerts.is_empty());
    let nothing = module("sound", |_| ());
    let panics = module("panics", |call| assert!(call % 5 != 3, "call {call} of five"));
    let both = judge(vec![panics, nothing], patience(LONG), |_| ());
    assert!(both.others == alone.others, "the others said something else");
    let (sound, failed) = (both.module("sound"), both.module("panics"));
    assert_eq!((sound.restarts, sound.state.as_str()), (0, "running"));
    assert_eq!(sound.updates, failed.updates, "it saw all the rest");
    assert_eq!((failed.updates + 1) / 5, failed.panics);
    assert_eq!(
        (failed.restarts, failed.state.as_str()),
        (failed.panics, "running")
    );
    let fault = failed.last_fault.clone().unwrap();
    assert!(
        fault.starts_with("panic: call ") && fault.ends_with("of five"),
        "{fault}"
    );
    let windows = alone.others.windows.len();
    assert_eq!((both.own)("sound"), windows);
    assert!((both.own)("panics") > 0);
    let ours = both.module("horizontal_scan");
    assert!(ours.updates > 0 && ours.busy_nanos.unwrap() > 0 && ours.restarts == 0);
}

#[test]
fn a_module_that_always_panics_is_stopped() {
    let alone = judge(Vec::new(), patience(LONG), |_| ());
    let both = judge(vec![module("bad", |_| panic!("always"))], patience(LONG), |_| ());
    assert!(both.others == alone.others, "the others said something else");
    let bad = both.module("bad");
    assert_eq!(bad.panics, bad.updates.min(1000));
    assert_eq!(bad.state == "stopped", bad.panics == 1000);
}

#[test]
fn a_hang_is_left_behind_and_what_it_still_finds_counts() {
    let alone = judge(Vec::new(), patience(LONG), |_| ());
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let inside = Arc::clone(&gate);
    let hangs = module("hangs", move |call| {
        if call == 2 {
            let (open, changed) = &*inside;
            let open = open.lock().unwrap();
            drop(changed.wait_while(open, |open| !*open).unwrap());
        }
    });
    let begin = Instant::now();
    let both = judge(
        vec![hangs, module("sound", |_| ())],
        patience(SOON),
        |collector| {
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
            // It has a few updates to go before it is heard.
            while collector
                .query()
                .collector()
                .modules
                .iter()
                .all(|module| module.late == 0)
            {
                assert!(begin.elapsed() < LONG, "it was never heard");
                std::thread::sleep(Duration::from_millis(5));
            }
        },
    );
    assert!(begin.elapsed() < LONG, "waited once, not for ever");
    assert!(both.others == alone.others, "the others said something else");
    let (sound, hung) = (both.module("sound"), both.module("hangs"));
    assert_eq!((sound.restarts, sound.hangs), (0, 0));
    assert_eq!(
        (hung.hangs, hung.restarts, hung.state.as_str()),
        (1, 1, "running")
    );
    assert!(hung.last_fault.clone().unwrap().starts_with("no answer for"));
    assert!(hung.late > 0, "what it found after it came back");
    let windows = alone.others.windows.len();
    assert_eq!((both.own)("sound"), windows);
    assert_eq!((both.own)("hangs"), windows, "nothing of its own was lost either");
}

#[test]
fn a_module_that_hangs_again_and_again_is_stopped() {
    let alone = judge(Vec::new(), patience(LONG), |_| ());
    let for_ever = module("for-ever", |_| std::thread::sleep(Duration::from_secs(3600)));
    let both = judge(vec![for_ever], patience(Duration::from_millis(500)), |_| ());
    assert!(both.others == alone.others, "the others said something else");
    let hung = both.module("for-ever");
    assert_eq!((hung.hangs, hung.state.as_str()), (3, "stopped"));
}

#[test]
fn a_slow_module_is_named_and_loses_nothing() {
    let alone = judge(Vec::new(), patience(LONG), |_| ());
    let slow = module("slow", |_| std::thread::sleep(Duration::from_millis(3)));
    let both = judge(vec![slow], patience(LONG), |_| ());
    assert!(both.others == alone.others, "the others said something else");
    let slow = both.module("slow");
    assert!(slow.slow > 0, "{slow:?}");
    assert_eq!((slow.restarts, slow.late), (0, 0));
    assert_eq!((both.own)("slow"), alone.others.windows.len());
}

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
    let slow = module("slow", |_| std::thread::sleep(Duration::from_millis(80)));
    let hosting = Hosting {
        patience: Duration::from_millis(400),
        queue_groups: 2,
        ..grace(Duration::from_millis(20))
    };
    let store = Arc::new(MemoryStore::new(0));
    let more = vec![slow, module("sound", |_| ())];
    let collector = Collector::start(Arc::clone(&store) as _, options(more, hosting)).unwrap();
    let updates = updates(12, 25);
    for batch in batches(&updates[..60], 15) {
        collector.ingest().accept(batch).unwrap();
    }
    collector.flush().unwrap();
    let modules = collector.query().collector().modules;
    collector.shutdown();
    let of = |name: &str| modules.iter().find(|module| module.name == name).unwrap();
    let (slow, sound) = (of("slow"), of("sound"));
    assert!(slow.missed > 0 && slow.full > 0, "{slow:?}");
    assert!(slow.updates < sound.updates, "{slow:?} {sound:?}");
    assert_eq!(sound.updates, 60);
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
