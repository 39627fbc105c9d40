//! The thread that asks the desk: what the screen wants first, then news, then work for which nobody waits.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, Instant};

use super::Message;
use crate::desk::{Answer, Desk, Request, Spare};
use crate::tui::app::{Connection, Input};
use crate::tui::refused::MAX_WAITING;

/// How often a live desk is asked for news.
const REFRESH: Duration = Duration::from_secs(1);
/// Longest wait between two tries of a lost connection.
const MAX_RETRY: Duration = Duration::from_secs(10);
const MAX_TRIES: u32 = 3;

/// Serves until nobody asks any more.
pub(super) fn serve(mut desk: Box<dyn Desk>, requests: &Receiver<Request>, messages: &Sender<Message>) {
    let connected = if desk.is_live() {
        Connection::Live
    } else {
        Connection::Finished
    };
    let mut waiting: VecDeque<Request> = VecDeque::new();
    let mut failures: u32 = 0;
    let mut due = Instant::now();
    let mut first = true;
    let mut idle = true;
    // Tries of the request that is next: one that can never be answered must not stand before all others.
    let mut tries = 0;
    loop {
        loop {
            match requests.try_recv() {
                Ok(request) => tell_refused(take(&mut waiting, request), messages),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let now = Instant::now();
        let job = match waiting.front() {
            // A desk that is away is not asked faster because the reader presses keys.
            Some(_) if failures == 0 => Job::Answer,
            _ if (desk.is_live() || first || failures > 0) && now >= due => Job::News,
            None if idle && failures == 0 && !first => Job::Idle,
            _ => {
                let wait = if desk.is_live() || failures > 0 {
                    due.saturating_duration_since(now)
                } else {
                    Duration::MAX
                };
                let request = if wait == Duration::MAX {
                    requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
                } else {
                    requests.recv_timeout(wait)
                };
                match request {
                    Ok(request) => tell_refused(take(&mut waiting, request), messages),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                continue;
            }
        };
        let done = std::panic::catch_unwind(AssertUnwindSafe(|| work(desk.as_mut(), job, waiting.front())));
        let input = match done {
            Ok(Ok(done)) => {
                match job {
                    Job::Answer => {
                        waiting.pop_front();
                        tries = 0;
                        // Whatever was asked may have left work for later.
                        idle = true;
                    }
                    Job::News => {
                        first = false;
                        due = Instant::now() + REFRESH;
                    }
                    Job::Idle => idle = !matches!(done, Done::Nothing),
                }
                if failures > 0 {
                    failures = 0;
                    due = Instant::now();
                    if messages
                        .send(Message::Input(Input::Connection(connected.clone())))
                        .is_err()
                    {
                        return;
                    }
                }
                match done {
                    Done::Input(input) => Some(input),
                    Done::Nothing | Done::More => None,
                }
            }
            Ok(Err(error)) => {
                failures = failures.saturating_add(1);
                due = Instant::now() + REFRESH.saturating_mul(failures).min(MAX_RETRY);
                if job == Job::Answer {
                    tries += 1;
                    if tries >= MAX_TRIES {
                        waiting.pop_front();
                        tries = 0;
                    }
                }
                // A block that may or may not have been done is not asked for a second time behind the reader's back.
                waiting.retain(|request| {
                    let Request::Block(order) = request else {
                        return true;
                    };
                    let said = Err(format!(
                        "not known whether it was done, `lynceus blocked` tells: {error:#}"
                    ));
                    let _ = messages.send(Message::Input(Input::Answer(Answer::Block(order.clone(), said))));
                    false
                });
                Some(Input::Connection(Connection::Lost(format!("{error:#}"))))
            }
            // The hook has printed and restored the terminal: the UI cannot go on.
            Err(_) => {
                let _ = messages.send(Message::Stop);
                return;
            }
        };
        if let Some(input) = input
            && messages.send(Message::Input(input)).is_err()
        {
            return;
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Job {
    Answer,
    News,
    Idle,
}

/// Gives back what has no room.
fn take(waiting: &mut VecDeque<Request>, request: Request) -> Option<Request> {
    waiting.retain(|earlier| !request.replaces(earlier));
    if waiting.len() >= MAX_WAITING {
        return Some(request);
    }
    waiting.push_back(request);
    None
}

/// Nobody listens only when all ends.
fn tell_refused(request: Option<Request>, messages: &Sender<Message>) {
    if let Some(request) = request {
        let _ = messages.send(Message::Input(Input::Refused(request)));
    }
}

/// What a job left.
enum Done {
    Input(Input),
    Nothing,
    /// Of idle work: it goes on.
    More,
}

fn work(desk: &mut dyn Desk, job: Job, request: Option<&Request>) -> anyhow::Result<Done> {
    let input = match (job, request) {
        (Job::Answer, Some(Request::Reload)) => {
            desk.forget();
            desk.overview()?.map(Input::Overview)
        }
        (Job::Answer, Some(request)) => desk.answer(request)?.map(Input::Answer),
        (Job::News, _) => desk.overview()?.map(Input::Overview),
        (Job::Idle, _) => match desk.idle()? {
            Spare::Nothing => None,
            Spare::More => return Ok(Done::More),
            Spare::Overview(overview) => Some(Input::Overview(overview)),
            Spare::Answer(answer) => Some(Input::Answer(answer)),
        },
        (Job::Answer, None) => None,
    };
    Ok(input.map_or(Done::Nothing, Done::Input))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;
    use crate::desk::BlockOrder;
    use crate::tui::app::tests::{detail, overview, window_answer};
    use crate::view::Overview;

    /// A collector that goes away for a question and comes back.
    struct Flaky(u32);

    impl Desk for Flaky {
        fn overview(&mut self) -> anyhow::Result<Option<Overview>> {
            self.0 += 1;
            anyhow::ensure!(self.0 != 2, "connection refused");
            Ok(Some(overview()))
        }

        fn answer(&mut self, request: &Request) -> anyhow::Result<Option<Answer>> {
            anyhow::ensure!(!matches!(request, Request::Block(_)), "went away in the middle");
            Ok(Some(Answer::Window(Box::new(window_answer()))))
        }

        fn idle(&mut self) -> anyhow::Result<Spare> {
            Ok(Spare::Nothing)
        }

        fn forget(&mut self) {}

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
        assert!(matches!(next(), Input::Connection(Connection::Live)));
        assert!(matches!(next(), Input::Overview(_)));
        requests.send(Request::Window(detail().id)).unwrap();
        loop {
            match next() {
                Input::Answer(Answer::Window(_)) => break,
                Input::Overview(_) => {}
                other => panic!("{other:?}"),
            }
        }
        // Of an order that was under way nobody knows what became of it, and the reader is told so.
        requests.send(Request::Block(order())).unwrap();
        loop {
            match next() {
                Input::Answer(Answer::Block(of, Err(why))) => {
                    assert!(of == order() && why.contains("went away in the middle"), "{why}");
                    break;
                }
                Input::Overview(_) => {}
                other => panic!("{other:?}"),
            }
        }
        drop(requests);
        worker.join().unwrap();
    }

    fn order() -> BlockOrder {
        BlockOrder {
            ip: "192.0.2.1".parse().unwrap(),
            time: Duration::from_secs(60),
            dry_run: true,
            reason: String::new(),
        }
    }

    #[test]
    fn only_the_last_of_alike_requests_waits() {
        let mut waiting = VecDeque::new();
        let block = Request::Block(order());
        for request in [
            Request::Window(detail().id),
            block.clone(),
            Request::Dossier("192.0.2.1".parse().unwrap()),
            Request::Dossier("192.0.2.2".parse().unwrap()),
            Request::Window(detail().id),
            block.clone(),
        ] {
            assert_eq!(take(&mut waiting, request), None);
        }
        assert_eq!(
            waiting,
            [
                block.clone(),
                Request::Dossier("192.0.2.2".parse().unwrap()),
                Request::Window(detail().id),
                block.clone()
            ]
        );
        while waiting.len() < MAX_WAITING {
            assert_eq!(take(&mut waiting, block.clone()), None);
        }
        assert_eq!(take(&mut waiting, block.clone()), Some(block));
        // The last of alike ones takes the place of the one before.
        assert_eq!(take(&mut waiting, Request::Window(detail().id)), None);
        assert_eq!(waiting.len(), MAX_WAITING);
    }
}
