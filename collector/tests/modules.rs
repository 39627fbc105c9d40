//! Modules that fail or are slow: whatever one of them does, the others say all that they would have said without it.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "modules/behind.rs"]
mod behind;
#[path = "support/state.rs"]
mod state;
#[path = "support/traffic.rs"]
mod traffic;

use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, Once};
use std::time::{Duration, Instant};

use lynceus_collector::dispatch::{DispatchOptions, EngineOptions};
use lynceus_collector::modules::Hosting;
use lynceus_collector::pipeline::Collector;
use lynceus_collector::retention::Retention;
use lynceus_collector::store::MemoryStore;
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
