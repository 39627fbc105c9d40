//! The thin shell around the pure [`App`]: terminal, threads for keys, signals and data.
//!
//! The drawing thread never waits for data: a desk that hangs leaves the last picture and working keys.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use crossterm::event::{self, Event};
use lynceus_model::window::WindowId;
use ratatui::DefaultTerminal;

use super::app::{App, Connection, Effect, Input};
use super::theme::Theme;
use crate::desk::Desk;
use crate::human::Clock;

/// How often a live desk is asked for news.
const REFRESH: Duration = Duration::from_secs(1);
/// Longest wait between two tries of a lost connection.
const MAX_RETRY: Duration = Duration::from_secs(10);
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

/// Runs the terminal UI until the user quits, a signal ends it, or `stop` is set by somebody else. The terminal is
/// restored however it ends, by panic too.
///
/// # Errors
/// When the terminal cannot be used.
pub fn run(
    source: String,
    clock: Clock,
    desk: Box<dyn Desk>,
    stop: Option<Arc<AtomicBool>>,
) -> anyhow::Result<()> {
    let connection = if desk.is_live() {
        Connection::Live
    } else {
        Connection::Finished
    };
    let app = App::new(source, clock, connection);
    let terminal = ratatui::try_init().context("the terminal UI needs a terminal")?;
    let result = run_in(terminal, app, desk, &stop.unwrap_or_default());
    ratatui::restore();
    result
}

fn run_in(
    mut terminal: DefaultTerminal,
    mut app: App,
    desk: Box<dyn Desk>,
    stopped: &Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let theme = Theme::from_environment();
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
    spawn("desk", move || serve(desk, &request_inbox, &messages))?;
    let result = draw_loop(&mut terminal, &mut app, theme, &inbox, &requests);
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
    theme: Theme,
    inbox: &Receiver<Message>,
    requests: &Sender<WindowId>,
) -> anyhow::Result<()> {
    loop {
        let begin = Instant::now();
        terminal
            .draw(|frame| super::draw(app, theme, frame))
            .context("cannot draw")?;
        // Everything that came meanwhile goes into one picture.
        let mut next = Some(inbox.recv().context("all threads of the terminal UI ended")?);
        while let Some(message) = next {
            match message {
                Message::Input(input) => match app.update(input) {
                    Some(Effect::Quit) => return Ok(()),
                    // The reader thread ends only by a panic, and says so itself.
                    Some(Effect::Load(window)) => drop(requests.send(window)),
                    None => {}
                },
                Message::Resized => {}
                Message::Stop => return Ok(()),
                Message::KeysFailed(error) => return Err(error).context("cannot read keys"),
            }
            next = inbox.try_recv().ok();
        }
        thread::sleep(FRAME.saturating_sub(begin.elapsed()));
    }
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

/// Asks the desk for what the screen wants and, while it is live, for news.
fn serve(mut desk: Box<dyn Desk>, requests: &Receiver<WindowId>, messages: &Sender<Message>) {
    let connected = if desk.is_live() {
        Connection::Live
    } else {
        Connection::Finished
    };
    let mut failures: u32 = 0;
    let mut wanted = None;
    let mut news = true;
    loop {
        let answer = std::panic::catch_unwind(AssertUnwindSafe(|| ask(desk.as_mut(), wanted.take(), news)));
        let inputs = match answer {
            Ok(Ok(mut inputs)) => {
                if failures > 0 {
                    inputs.push(Input::Connection(connected.clone()));
                }
                failures = 0;
                inputs
            }
            Ok(Err(error)) => {
                failures = failures.saturating_add(1);
                vec![Input::Connection(Connection::Lost(format!("{error:#}")))]
            }
            // The hook has printed and restored the terminal: the UI cannot go on.
            Err(_) => {
                let _ = messages.send(Message::Stop);
                return;
            }
        };
        for input in inputs {
            if messages.send(Message::Input(input)).is_err() {
                return;
            }
        }
        let wait = if failures == 0 {
            REFRESH
        } else {
            REFRESH.saturating_mul(failures).min(MAX_RETRY)
        };
        let request = if desk.is_live() || failures > 0 {
            requests.recv_timeout(wait)
        } else {
            requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match request {
            // Only the last request counts: the reader has moved on.
            Ok(window) => {
                wanted = Some(requests.try_iter().last().unwrap_or(window));
                news = false;
            }
            Err(RecvTimeoutError::Timeout) => news = true,
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn ask(desk: &mut dyn Desk, wanted: Option<WindowId>, news: bool) -> anyhow::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    if news {
        inputs.push(Input::Overview(desk.overview()?));
    }
    if let Some(window) = wanted
        && let Some(detail) = desk.window(window)?
    {
        inputs.push(Input::Detail(Box::new(detail)));
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::app::tests::{detail, overview};
    use crate::view::{Overview, WindowDetail};

    /// A collector that goes away for two questions and comes back.
    struct Flaky(u32);

    impl Desk for Flaky {
        fn overview(&mut self) -> anyhow::Result<Overview> {
            self.0 += 1;
            anyhow::ensure!(self.0 != 2, "connection refused");
            Ok(overview())
        }

        fn window(&mut self, _: WindowId) -> anyhow::Result<Option<WindowDetail>> {
            Ok(Some(detail()))
        }

        fn is_live(&self) -> bool {
            true
        }
    }

    #[test]
    fn a_lost_connection_is_told_tried_again_and_mended() {
        let (messages, inbox) = channel();
        let (requests, request_inbox) = channel();
        let worker = thread::spawn(move || serve(Box::new(Flaky(0)), &request_inbox, &messages));
        let next = || match inbox.recv_timeout(Duration::from_secs(20)).unwrap() {
            Message::Input(input) => input,
            _ => panic!("not an input"),
        };
        assert!(matches!(next(), Input::Overview(_)));
        assert!(
            matches!(next(), Input::Connection(Connection::Lost(reason)) if reason == "connection refused")
        );
        assert!(matches!(next(), Input::Overview(_)));
        assert!(matches!(next(), Input::Connection(Connection::Live)));
        requests.send(detail().id).unwrap();
        assert!(matches!(next(), Input::Detail(_)));
        drop(requests);
        worker.join().unwrap();
    }
}
