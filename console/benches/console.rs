//! How long a reader waits: from the start of the console over a full store to the first picture, from a key to its
//! picture, and what an idle console costs. `cargo xtask bench console` runs it; it prints a markdown table.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, Instant};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use lynceus_collector::dispatch::EngineOptions;
use lynceus_console::desk::{Answer, Desk, Request, Spare};
use lynceus_console::human::Clock;
use lynceus_console::kept::{self, Kept};
use lynceus_console::local::{Judging, Keep, Local};
use lynceus_console::tui::{self, App, Connection, Effect, Input, Theme};
use lynceus_model::flow::{
    CommunityId, ConnState, Endpoint, FiveTuple, Flow, FlowEnd, FlowUpdate, Service, Totals,
};
use lynceus_model::profiler::{Profiler, ProfilerConfig};
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_model::window::SensorId;
use lynceus_proto::batch::BootId;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

const PROFILES: u64 = 10_000;
/// `LYNCEUS_BENCH_FLOWS` asks for another number.
const USUAL_FLOWS: u64 = 1_000_000;
/// Flows per second of event time.
const RATE: u64 = 1_000;
/// How long an idle console is watched.
const IDLE: Duration = Duration::from_secs(10);
const SIZES: [(u16, u16); 2] = [(80, 24), (250, 80)];

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let flows = std::env::var("LYNCEUS_BENCH_FLOWS").map_or(USUAL_FLOWS, |text| {
        text.parse().expect("LYNCEUS_BENCH_FLOWS is a number")
    });
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), flows);
    let build = if cfg!(debug_assertions) {
        "not optimized"
    } else {
        "optimized"
    };
    println!("{flows} flows of {PROFILES} profiles in an embedded store; {build}\n");
    println!("| what | 80×24 | 250×80 |");
    println!("|---|---:|---:|");
    let opened: Vec<[Duration; 7]> = SIZES
        .iter()
        .map(|size| first_picture(folder.path(), *size))
        .collect();
    for (at, what) in [
        "first picture, before any data",
        "start to the picture with all profiles, as the store kept them when it was closed",
        "store opened, by the thread that asks",
        "asked for the profiles: picture with all of them",
        "asked for the window: picture with the first thousand lines of its timeline",
        "start to that picture, all of these together",
        "rest of the timeline, when nothing else is asked",
    ]
    .iter()
    .enumerate()
    {
        println!("| {what} | {} | {} |", text(opened[0][at]), text(opened[1][at]));
    }
    let keys: Vec<Vec<Duration>> = SIZES.iter().map(|size| keys(folder.path(), *size)).collect();
    for (share, what) in [(0.5, "median"), (0.99, "99 of 100"), (1.0, "slowest")] {
        let at = |times: &Vec<Duration>| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "| key to picture, {what} of {} | {} | {} |",
            keys[0].len(),
            text(at(&keys[0])),
            text(at(&keys[1]))
        );
    }
    println!(
        "| CPU of an idle live console and its collector | {:.2} % | |",
        idle(folder.path())
    );
}

fn text(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

const SENSOR: SensorId = SensorId([1; 16]);

fn open(folder: &Path) -> Local {
    let plan = WindowPlan {
        origin: Timestamp(0),
        width: WindowPlan::DEFAULT_WIDTH,
    };
    let judging = Judging::default();
    Local::open(
        Keep::In(folder),
        SENSOR,
        BootId([1; 16]),
        plan,
        EngineOptions::DEFAULT_WINDOW_BYTES,
        judging,
        Vec::new(),
    )
    .unwrap()
}

fn fill(folder: &Path, flows: u64) {
    let mut local = open(folder);
    let mut profiler = Profiler::new(ProfilerConfig {
        sensor: SENSOR,
        carry_bytes: usize::MAX >> 1,
        ..ProfilerConfig::default()
    });
    let mut updates = Vec::new();
    for at in 0..flows {
        profiler.observe(flow(at));
        profiler.drain(&mut updates);
        if updates.len() >= 1000 {
            local.take(updates.drain(..)).unwrap();
        }
    }
    profiler.finish();
    profiler.drain(&mut updates);
    local.take(updates).unwrap();
    local.flush().unwrap();
}

/// Every tenth flow is the first profile's: a reader opens the busiest one.
fn flow(at: u64) -> FlowUpdate {
    let random = at
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
        >> 16;
    let host = if at.is_multiple_of(10) {
        0
    } else {
        random % PROFILES
    };
    let first = Timestamp(i64::try_from(at * (1_000_000_000 / RATE)).unwrap());
    let mut community_id = [0; 20];
    community_id[..8].copy_from_slice(&at.to_be_bytes());
    let totals = |packets: u64| Totals {
        packets,
        bytes: packets * 700,
        wire_bytes: packets * 714,
        ..Totals::default()
    };
    let (out, back) = (totals(4 + random % 40), totals(3 + random % 90));
    let end = |ip: [u8; 4], port| Endpoint {
        ip: IpAddr::V4(Ipv4Addr::from(ip)),
        port,
    };
    let server = random >> 20;
    FlowUpdate {
        flow: Flow {
            tuple: FiveTuple {
                originator: end(
                    [10, 1, (host >> 8) as u8, host as u8],
                    32_768 + (random % 28_000) as u16,
                ),
                responder: end([151, 101, (server % 7) as u8, (server % 251) as u8], 443),
                protocol: 6,
            },
            community_id: CommunityId(community_id),
            first,
            last: first.saturating_add(Duration::from_millis(20 + random % 4000)),
            out,
            back,
            state: ConnState::Sf,
            icmp: None,
            vlan: Vec::new(),
            tunnel: None,
            rtt: None,
            seen_at: Vec::new(),
            service: Service::Unseen,
            reported: None,
        },
        new_out: out,
        new_back: back,
        part: 0,
        end: FlowEnd::Closed,
    }
}

struct Reader {
    app: App,
    terminal: Terminal<TestBackend>,
}

impl Reader {
    fn new((width, height): (u16, u16), connection: Connection) -> Self {
        Self {
            app: App::new("bench".to_owned(), Clock::utc(), Theme::Terminal, connection),
            terminal: Terminal::new(TestBackend::new(width, height)).unwrap(),
        }
    }

    /// What the shell does with an input: state, picture; returns what is asked for.
    fn take(&mut self, input: Input) -> Vec<Request> {
        let effects = self.app.update(input);
        self.draw();
        effects
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Ask(request) => Some(request),
                _ => None,
            })
            .collect()
    }

    fn draw(&mut self) {
        self.terminal
            .draw(|frame| tui::draw(&mut self.app, frame))
            .unwrap();
    }
}

/// From opening the store to: any picture, the profiles (kept, then read), the window of the most threatening one, all of
/// it.
fn first_picture(folder: &Path, size: (u16, u16)) -> [Duration; 7] {
    let start = Instant::now();
    let mut reader = Reader::new(size, Connection::Finished);
    reader.draw();
    let waiting = start.elapsed();
    let glance = kept::glance(folder)
        .unwrap()
        .expect("the store was closed in order");
    assert_eq!(glance.profiles.len() as u64, PROFILES);
    reader.take(Input::Overview(glance));
    let kept = start.elapsed();
    let begin = Instant::now();
    let store = Kept::open(folder).unwrap();
    assert!(!store.was_replayed(), "the store was closed in order");
    let mut desk = store.into_query().unwrap();
    let opened = begin.elapsed();
    let begin = Instant::now();
    let overview = desk.overview().unwrap().unwrap();
    assert_eq!(overview.profiles.len() as u64, PROFILES);
    let requests = reader.take(Input::Overview(overview));
    let profiles = begin.elapsed();
    let begin = Instant::now();
    for request in &requests {
        if let Some(answer) = desk.answer(request).unwrap() {
            reader.take(Input::Answer(answer));
        }
    }
    let (window, all) = (begin.elapsed(), start.elapsed());
    let begin = Instant::now();
    loop {
        match desk.idle().unwrap() {
            Spare::More => {}
            // Names come after the window.
            Spare::Nothing | Spare::Overview(_) | Spare::Answer(Answer::Names(_)) => break,
            Spare::Answer(answer) => {
                reader.take(Input::Answer(answer));
                break;
            }
        }
    }
    [waiting, kept, opened, profiles, window, all, begin.elapsed()]
}

/// Keys of a reader, with all answers there: what they wait for is only the picture.
fn keys(folder: &Path, size: (u16, u16)) -> Vec<Duration> {
    let mut desk = Kept::open(folder).unwrap().into_query().unwrap();
    let mut reader = Reader::new(size, Connection::Finished);
    let mut requests = reader.take(Input::Overview(desk.overview().unwrap().unwrap()));
    let mut times = Vec::new();
    // Down the list, folding, sorting, a filter letter by letter, the timeline, tables, map.
    let keys = "jjjjGgl\nsss/10.1.3\u{1b}\tjjjjG/443 -is:me\u{1b}jjgchssSnneepbhizmG\u{1b}";
    for _ in 0..4 {
        for c in keys.chars() {
            for request in std::mem::take(&mut requests) {
                if let Some(answer) = desk.answer(&request).unwrap() {
                    requests.extend(reader.take(Input::Answer(answer)));
                }
            }
            let code = match c {
                '\n' => KeyCode::Enter,
                '\t' => KeyCode::Tab,
                '\u{1b}' => KeyCode::Esc,
                c => KeyCode::Char(c),
            };
            let begin = Instant::now();
            requests.extend(reader.take(Input::Key(KeyEvent::new(code, KeyModifiers::NONE))));
            times.push(begin.elapsed());
        }
    }
    times.sort_unstable();
    times
}

/// What a console does that nobody touches while nothing happens: it asks for news each second. Percent of one CPU.
fn idle(folder: &Path) -> f64 {
    let local = open(folder);
    let mut desk = local.query(true, Vec::new()).unwrap();
    let mut reader = Reader::new(SIZES[1], Connection::Live);
    let mut round = |reader: &mut Reader| {
        let mut requests = desk
            .overview()
            .unwrap()
            .map_or_else(Vec::new, |overview| reader.take(Input::Overview(overview)));
        while let Some(request) = requests.pop() {
            if let Some(answer) = desk.answer(&request).unwrap() {
                requests.extend(reader.take(Input::Answer(answer)));
            }
        }
    };
    // Caches and whatever the store does after it was opened.
    for _ in 0..3 {
        round(&mut reader);
        std::thread::sleep(Duration::from_secs(1));
    }
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    while begin.elapsed() < IDLE {
        round(&mut reader);
        std::thread::sleep(Duration::from_secs(1));
    }
    100.0 * (cpu_seconds() - cpu) / begin.elapsed().as_secs_f64()
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Fields behind the name, which may hold blanks: 14 and 15 in proc(5), in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
