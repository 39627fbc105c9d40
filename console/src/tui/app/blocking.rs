//! Asking for packets to be dropped: first a dry run, and only after one that was accepted the real thing.

use std::net::IpAddr;
use std::time::Duration;

use super::{App, Connection, Reason};
use crate::desk::{BlockOrder, Request};
use crate::peers::other_side;
use crate::text::Tone;
use crate::tui::keys::{Action, Screen};

/// How long a block may be asked for.
const TIMES: [Duration; 6] = [
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(24 * 3600),
    Duration::from_secs(7 * 24 * 3600),
    Duration::from_secs(30 * 24 * 3600),
];

/// What the dialog is about.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Blocking {
    pub(in crate::tui) ip: IpAddr,
    pub(in crate::tui) reason: String,
    time: usize,
    /// A dry run was accepted for this address.
    pub(in crate::tui) tried: bool,
    /// An order is on its way.
    pub(in crate::tui) waiting: bool,
    pub(in crate::tui) outcome: Option<Result<String, String>>,
}

impl Blocking {
    pub(in crate::tui) const fn time(&self) -> Duration {
        TIMES[self.time]
    }
}

impl App {
    pub(super) fn begin_block(&mut self) {
        let Some(ip) = self.link() else {
            return self.tell(Tone::Quiet, "no address here");
        };
        let reason = match self.pointed_at() {
            Some(Reason::Evidence(found)) if ip == found.profile || other_side(&found) == Some(ip) => {
                found.kind.name().to_lowercase()
            }
            Some(Reason::Alert(alert, _)) if ip == alert.profile => "alert".to_owned(),
            _ => "from the terminal".to_owned(),
        };
        self.blocking = Some(Blocking {
            ip,
            reason,
            time: 1,
            tried: false,
            waiting: false,
            outcome: None,
        });
        self.show(Screen::Block);
    }

    pub(super) fn act_on_block(&mut self, action: Action) {
        let finished = self.connection == Connection::Finished;
        let Some(blocking) = &mut self.blocking else {
            return;
        };
        match action {
            Action::Longer => blocking.time = (blocking.time + 1).min(TIMES.len() - 1),
            Action::Shorter => blocking.time = blocking.time.saturating_sub(1),
            _ if finished => {
                blocking.outcome = Some(Err(
                    "a finished analysis has no sensor that could block".to_owned()
                ));
            }
            _ if blocking.waiting => {}
            Action::ReallyBlock if !blocking.tried => {
                blocking.outcome = Some(Err("first a dry run: Enter".to_owned()));
            }
            action => {
                blocking.waiting = true;
                blocking.outcome = None;
                let order = BlockOrder {
                    ip: blocking.ip,
                    time: blocking.time(),
                    dry_run: action != Action::ReallyBlock,
                    reason: blocking.reason.clone(),
                };
                self.ask(Request::Block(order));
            }
        }
    }

    pub(super) fn take_block(&mut self, order: BlockOrder, outcome: Result<String, String>) {
        match &mut self.blocking {
            Some(blocking) if blocking.ip == order.ip => {
                blocking.waiting = false;
                blocking.tried |= order.dry_run && outcome.is_ok();
                blocking.outcome = Some(outcome);
            }
            // The reader has left the dialog; what happened must still be told.
            _ => {
                let (tone, text) = match outcome {
                    Ok(text) => (Tone::Good, text),
                    Err(text) => (Tone::Bad, text),
                };
                self.tell(tone, text);
            }
        }
    }
}
