//! The thin shell around the pure [`App`]: terminal, threads for keys, signals and data.
//!
//! The drawing thread never waits for data: a desk that hangs leaves the last picture and working keys.

mod outside;
mod worker;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossterm::event::{self, DisableMouseCapture, EnableMouseCapture, Event};
use ratatui::DefaultTerminal;

use super::app::{App, Connection, Effect, Input};
use super::characters::Characters;
use super::theme::Theme;
use crate::desk::{Desk, Request};
use crate::human::Clock;

/// Shortest time between two pictures: 60 a second, whatever comes in.
const FRAME: Duration = Duration::from_millis(16);
/// How soon the key thread notices the end.
const KEY_POLL: Duration = Duration::from_millis(200);

/// What reaches the drawing thread.
enum Message {
    Input(Input),
    Resized,
    /// SIGTERM, SIGHUP or SIGINT.
    Stop,
    /// The terminal gives no keys any more.
    KeysFailed(io::Error),
}

/// How the terminal UI looks and behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub clock: Clock,
    pub theme: Theme,
    pub characters: Characters,
    /// Why a list of profiles that the store kept was not taken.
    pub refused: Option<String>,
    /// The mouse is left to the terminal.
    pub no_mouse: bool,
    /// Set by somebody else to end it.
    pub stop: Option<Arc<AtomicBool>>,
}

/// Whether the terminal says that it can be drawn on: one that calls itself dumb has no cursor to be moved.
#[must_use]
pub fn is_possible() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Runs the terminal UI until the user quits, a signal ends it, or `options.stop` is set by somebody else. The terminal
/// is restored however it ends, by panic too.
///
/// # Errors
/// When the terminal cannot be used.
pub fn run(source: String, desk: Box<dyn Desk>, options: Options) -> anyhow::Result<()> {
    let connection = if desk.is_live() {
        Connection::Live
    } else {
        Connection::Finished
    };
    anyhow::ensure!(
        is_possible(),
        "TERM=dumb: this terminal has no screen to draw on; `lynceus alerts`, `evidence` and `flows` print lines"
    );
    let mut app = App::new(source, options.clock, options.theme, connection);
    app.characters = options.characters;
    app.refused.kept_lists.extend(options.refused);
    let terminal = ratatui::try_init().context("the terminal UI needs a terminal")?;
    let mouse = !options.no_mouse;
    if mouse {
        // A terminal without a mouse does not mind.
        let _ = crossterm::execute!(io::stdout(), EnableMouseCapture);
        let restore = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let _ = crossterm::execute!(io::stdout(), DisableMouseCapture);
            restore(panic);
        }));
    }
    let result = run_in(terminal, app, desk, &options.stop.unwrap_or_default());
    if mouse {
        let _ = crossterm::execute!(io::stdout(), DisableMouseCapture);
    }
    ratatui::restore();
    result
}

fn run_in(
    mut terminal: DefaultTerminal,
    mut app: App,
    desk: Box<dyn Desk>,
    stopped: &Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let (messages, inbox) = channel();
    let (requests, request_inbox) = channel();
    let stop = Arc::new(AtomicBool::new(false));
    // Neither is joined: on a terminal that hung up, the library spins; a desk may hang in a call. The end of the
    // program must wait for neither.
    spawn("keys", {
        let (messages, stop, stopped) = (messages.clone(), Arc::clone(&stop), Arc::clone(stopped));
        move || read_keys(&messages, &stop, &stopped)
    })?;
    spawn("signals", {
        let messages = messages.clone();
        move || wait_for_signals(&messages)
    })?;
    spawn("desk", move || worker::serve(desk, &request_inbox, &messages))?;
    let result = draw_loop(&mut terminal, &mut app, &inbox, &requests);
    stop.store(true, Ordering::Relaxed);
    result
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .with_context(|| format!("cannot start thread {name}"))
}

fn draw_loop(
    terminal: &mut DefaultTerminal,
    app: &mut App,
    inbox: &Receiver<Message>,
    requests: &Sender<Request>,
) -> anyhow::Result<()> {
    loop {
        let begin = Instant::now();
        terminal
            .draw(|frame| super::draw(app, frame))
            .context("cannot draw")?;
        // Everything that came meanwhile goes into one picture.
        let mut next = Some(inbox.recv().context("all threads of the terminal UI ended")?);
        while let Some(message) = next {
            match message {
                Message::Input(input) => {
                    if carry_out(app, input, requests) {
                        return Ok(());
                    }
                }
                Message::Resized => {}
                Message::Stop => return Ok(()),
                Message::KeysFailed(error) => return Err(error).context("cannot read keys"),
            }
            next = inbox.try_recv().ok();
        }
        thread::sleep(FRAME.saturating_sub(begin.elapsed()));
    }
}

/// Hands an input to the state and does what that asks for. True: the end.
fn carry_out(app: &mut App, input: Input, requests: &Sender<Request>) -> bool {
    for effect in app.update(input) {
        let told = match effect {
            Effect::Quit => return true,
            // The worker ends only by a panic, and says so itself.
            Effect::Ask(request) => {
                let _ = requests.send(request);
                continue;
            }
            Effect::Copy(text) => outside::copy(&text),
            Effect::Export {
                name,
                ending,
                content,
            } => outside::write(&name, ending, &content),
        };
        if let Some((tone, text)) = told {
            app.update(Input::Notice(tone, text));
        }
    }
    false
}

fn read_keys(messages: &Sender<Message>, stop: &AtomicBool, stopped: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        if stopped.load(Ordering::Acquire) {
            let _ = messages.send(Message::Stop);
            return;
        }
        let message = match event::poll(KEY_POLL)
            .and_then(|ready| if ready { event::read().map(Some) } else { Ok(None) })
        {
            Ok(Some(Event::Key(key))) => Message::Input(Input::Key(key)),
            Ok(Some(Event::Mouse(mouse))) if wanted(mouse.kind) => Message::Input(Input::Mouse(mouse)),
            Ok(Some(Event::Resize(..))) => Message::Resized,
            Ok(_) => continue,
            Err(error) => Message::KeysFailed(error),
        };
        let failed = matches!(message, Message::KeysFailed(_));
        if messages.send(message).is_err() || failed {
            return;
        }
    }
}

fn wait_for_signals(messages: &Sender<Message>) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else {
        return;
    };
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut terminate), Ok(mut hangup), Ok(mut interrupt)) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::hangup()),
            signal(SignalKind::interrupt()),
        ) else {
            return;
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    let _ = messages.send(Message::Stop);
}

/// Moving the mouse alone must not redraw anything.
const fn wanted(kind: event::MouseEventKind) -> bool {
    use event::MouseEventKind as Kind;
    matches!(kind, Kind::Down(_) | Kind::ScrollUp | Kind::ScrollDown)
}
