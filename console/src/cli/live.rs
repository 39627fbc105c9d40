//! `lynceus live`: sensor and collector in one process, with the terminal UI or with lines as they come.

pub(super) mod capture;
mod own;
mod printer;

use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use lynceus_collector::dispatch::EngineOptions;
use lynceus_collector::modules::Hosting;
use lynceus_collector::web::WebOptions;
use lynceus_model::status::SensorStatus;
use lynceus_model::time::{Timestamp, WindowPlan};
use lynceus_sensor::capture::Capture as Observed;
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_sensor::profiler::ProfileSettings;
use lynceus_sensor::source::kernel::KernelSource;
use lynceus_sensor::source::netflow::NetflowSource;

use self::capture::Capture;
use self::own::Identity;
use self::printer::Printer;
use super::console::Look;
use super::place::Zone;
use super::settings::Settings;
use super::{Outcome, output, say, signal};
use crate::local::{Judging, Keep, Local};
use crate::query::{Query, Wanted};
use crate::serve::WebArgs;
use crate::text::{Line, Tone};
use crate::{accounting, report, tui};

/// Rows of the closing tables.
const ROWS: usize = 20;

/// Watches interfaces: kernel capture, profiles, evidence and alerts in one process
///
/// Needs root (or CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON). Opens the terminal UI; without a terminal, or with
/// --no-console, prints evidence and alerts as they come. At the end it prints profiles, evidence, alerts and where
/// every packet went. Exit code 1: the accounting does not balance.
#[derive(Args)]
#[command(after_help = "Examples:
  sudo lynceus live -i eth0
  sudo lynceus live -i eth0 --store /var/lib/lynceus/live      keeps what it finds; shown again at the next start
  sudo lynceus live -i eth0 -i wlan0 --no-console --for 60
  sudo lynceus live -i eth0 --json | jq 'select(.kind == \"alert\")'
  lynceus live --netflow 0.0.0.0:2055")]
pub struct Options {
    /// Network interface to watch; may be given several times
    #[arg(
        long,
        short,
        value_name = "IFACE",
        required_unless_present = "netflow",
        conflicts_with = "netflow"
    )]
    interface: Vec<String>,
    /// Where to hook into the kernel
    #[arg(long, value_enum, default_value_t)]
    hook: HookChoice,
    /// Receive NetFlow v5, v9 and IPFIX from exporters at this address instead (needs no root)
    #[arg(long, value_name = "ADDR")]
    netflow: Option<SocketAddr>,
    #[command(flatten)]
    session: Session,
}

/// What all commands that go on until Ctrl-C share.
#[derive(Args)]
pub(super) struct Session {
    /// Keep everything in this folder; without it, what was found is gone at the end
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Lines instead of the terminal UI
    #[arg(long)]
    no_console: bool,
    /// JSON Lines of evidence and alerts as they come, and nothing else on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    web: WebArgs,
    /// End after so many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    zone: Zone,
    #[command(flatten)]
    look: Look,
}

/// Runs the command.
///
/// # Errors
/// An interface cannot be watched, the store cannot be opened, or standard output cannot be written.
pub fn run(options: &Options) -> anyhow::Result<Outcome> {
    if let Some(address) = options.netflow {
        let watched = Watched {
            title: format!("netflow {address}"),
            profiles: capture::profiles_of_logs,
            me: Vec::new(),
        };
        return session(&options.session, watched, || {
            let source = NetflowSource::bind(address)?;
            say(&format!("receiving NetFlow on {}", source.address()?));
            Ok(Observed::Netflow(Box::new(source)))
        });
    }
    let names = options.interface.join(", ");
    let watched = Watched {
        title: format!("live {names}"),
        profiles: capture::profiles,
        me: lynceus_sensor::own::addresses(),
    };
    session(&options.session, watched, || {
        let source = KernelSource::start(capture::config(&options.interface, options.hook))?;
        for hooks in source.hooks() {
            say(&format!("observing {hooks}"));
        }
        say(&format!("capturing on {names}"));
        Ok(Observed::Kernel(Box::new(source)))
    })
}

/// What a session watches.
pub(super) struct Watched {
    pub(super) title: String,
    /// How profiles are cut for the screen.
    pub(super) profiles: fn(ProfileSettings) -> ProfileSettings,
    /// Addresses of this machine, where it is the one that is watched.
    pub(super) me: Vec<IpAddr>,
}

/// Runs a source until Ctrl-C, with the terminal UI or with lines, and prints the closing tables.
///
/// # Errors
/// The source cannot be opened or fails, the store cannot be opened, or standard output cannot be written.
pub(super) fn session(
    options: &Session,
    watched: Watched,
    open: impl FnOnce() -> anyhow::Result<Observed>,
) -> anyhow::Result<Outcome> {
    let with_console =
        !options.no_console && !options.json && io::stdout().is_terminal() && tui::is_possible();
    if !with_console {
        tell_warnings();
    }
    let settings = options.settings.effective()?;
    let folder = Folder::open(options.store.as_deref())?;
    let identity = Identity::of(folder.path())?;
    let plan = WindowPlan {
        origin: Timestamp(0),
        width: settings.width(),
    };
    let lookups = settings.lookups(Some(&folder.path().join("knowledge")))?;
    let printer = (!with_console).then(|| Printer::new(options.json, options.zone.clock()));
    let judging = Judging {
        grace: Some(Hosting::DEFAULT_GRACE),
        ..settings.judging(Some(&folder.path().join("feeds")), lookups.as_ref())?
    };
    let mut local = Local::open(
        Keep::In(&folder.path().join(Local::STORE)),
        identity.sensor,
        identity.boot,
        plan,
        EngineOptions::DEFAULT_WINDOW_BYTES,
        judging,
        printer
            .into_iter()
            .map(|printer| Box::new(printer) as _)
            .collect(),
    )?;
    local.connect();
    let stop = signal::stop_flag()?;
    let source = open()?;
    let query = local.query(true, watched.me.clone())?;
    let page = WebOptions {
        title: watched.title.clone(),
        me: watched.me.iter().copied().collect(),
        ..WebOptions::default()
    };
    // Served until the end of this function.
    let serving = options
        .web
        .open()?
        .map(|door| door.serve(local.collector().query(), page));
    let serving = serving.transpose()?;
    if let Some(serving) = &serving {
        say(&format!("page at {}", serving.url()));
    }
    let profiles = (watched.profiles)(settings.profiles(identity.sensor));
    let until = options
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let capture = Capture::new(source, profiles, local, until)?;
    let done = if with_console {
        beside_console(capture, query, &stop, watched.title, options)?
    } else {
        capture.run(&stop)?
    };
    close(done.local.query(false, watched.me)?, &done.status, options)
}

/// Messages of the library (an interface went away, the clock was set) go to standard error. On the screen they would
/// tear the picture.
fn tell_warnings() {
    // Fails only where a subscriber is there already, which is as good.
    let _ = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .log_internal_errors(false)
        .with_target(false)
        .without_time()
        .with_max_level(tracing::Level::WARN)
        .try_init();
}

/// Captures in a thread of its own while the terminal UI has this one.
fn beside_console(
    capture: Capture,
    query: Query,
    stop: &Arc<AtomicBool>,
    title: String,
    options: &Session,
) -> anyhow::Result<capture::Done> {
    let worker = thread::Builder::new()
        .name("capture".to_owned())
        .spawn({
            let stop = Arc::clone(stop);
            move || capture.run(&stop)
        })
        .context("start the capture thread")?;
    let look = options.look.options(options.zone, Some(Arc::clone(stop)));
    let shown = tui::run(title, Box::new(query), look);
    stop.store(true, Ordering::Release);
    let done = worker
        .join()
        .map_err(|_| anyhow::anyhow!("the capture thread panicked"))?;
    shown?;
    done
}

/// The closing tables.
fn close(query: Query, status: &SensorStatus, options: &Session) -> anyhow::Result<Outcome> {
    let clock = options.zone.clock();
    let law = accounting::report(std::slice::from_ref(status), &clock);
    if options.json {
        law.iter().for_each(|line| say(&line.plain()));
    } else {
        let evidence = query.evidence(&Wanted::default())?.items;
        let alerts = query.alerts(&Wanted::default())?.items;
        let profiles = query.profiles()?.items;
        let mut lines = vec![Line::default(), Line::toned(Tone::Heading, "Profiles")];
        lines.extend(report::profiles(&profiles, &clock, ROWS, "", output::width()));
        lines.push(Line::default());
        lines.extend(report::findings(
            &evidence,
            &alerts,
            &profiles,
            &clock,
            ROWS,
            output::width(),
        ));
        lines.extend(law);
        output::lines(&lines)?;
    }
    let balanced = status.points.iter().all(|point| point.missing() == 0);
    Ok(if balanced { Outcome::Done } else { Outcome::Damaged })
}

/// Where the store is: the user's folder, or one that goes with the process.
enum Folder {
    Given(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Folder {
    fn open(given: Option<&std::path::Path>) -> anyhow::Result<Self> {
        Ok(match given {
            Some(path) => {
                std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
                Self::Given(path.to_owned())
            }
            None => Self::Temporary(
                tempfile::Builder::new()
                    .prefix("lynceus-live-")
                    .tempdir()
                    .context("cannot make a folder for the store")?,
            ),
        })
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Self::Given(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}
