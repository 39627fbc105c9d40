//! How outside sources are asked: only with leave, never faster or more often than they allow, never twice for the same,
//! and so that what they said is still known tomorrow.
//!
//! [`Desk`] is the one door: leave → kept answer → breaker → budget → [`Provider::ask`] → history.

mod breaker;
mod budget;
mod change;
mod clock;
mod desk;
mod gate;
mod history;
mod options;
mod run;

pub use breaker::Breaker;
pub use budget::{Budget, Left, Take};
pub use change::{Change, changes};
pub use clock::{Clock, SystemClock};
pub use desk::Desk;
pub use gate::Gate;
pub use history::{Damage, History, Observation};
pub use options::{Announcement, Folders, Options};
pub use run::{Manifest, Run, suspicion};

use crate::provider::{Info, Leak};

/// What the user lets us give away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Packets may be sent at all.
    pub active: bool,
    /// Nothing that gives away more.
    pub max_leak: Leak,
}

impl Leave {
    /// Nothing is sent.
    pub const PASSIVE: Self = Self {
        active: false,
        max_leak: Leak::None,
    };

    /// `None`: it may be asked. Otherwise what is in the way, in words.
    #[must_use]
    pub fn against(self, info: &Info) -> Option<String> {
        if !info.sends {
            return None;
        }
        if !self.active {
            return Some("sends packets, which needs --active".to_owned());
        }
        (info.leak > self.max_leak).then(|| {
            format!(
                "its leak is {}, beyond --max-leak {}",
                info.leak.name(),
                self.max_leak.name()
            )
        })
    }
}
