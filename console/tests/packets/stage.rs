//! Where scenes are played: addresses of a family, and what must be found in whose profile.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::wire::{Air, At, at};

/// IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Four,
    Six,
}

/// What was played, and what must come of it.
pub(crate) struct Stage {
    pub(crate) air: Air,
    pub(crate) family: Family,
    /// Type and profile.
    pub(crate) expected: BTreeSet<(String, IpAddr)>,
}

impl Stage {
    pub(crate) fn new(family: Family) -> Self {
        Self {
            air: Air::default(),
            family,
            expected: BTreeSet::new(),
        }
    }

    /// A host of the own network: `scene` keeps the hosts of scenes apart.
    pub(crate) fn own(&self, scene: u8, host: u8, port: u16) -> At {
        match self.family {
            Family::Four => at(&format!("10.0.{scene}.{host}"), port),
            Family::Six => at(&format!("fd00::{scene}:{host}"), port),
        }
    }

    /// A host of the Internet.
    pub(crate) fn out(&self, scene: u8, host: u8, port: u16) -> At {
        match self.family {
            Family::Four => at(&format!("198.51.{scene}.{host}"), port),
            Family::Six => at(&format!("2001:db8::{scene}:{host}"), port),
        }
    }

    /// The name server of the site.
    pub(crate) fn resolver(&self) -> At {
        self.own(0, 53, 53)
    }

    pub(crate) fn found(&mut self, kind: &str, who: At) {
        let new = self.expected.insert((kind.to_owned(), who.ip));
        assert!(new, "{kind} of {} is expected already", who.ip);
    }

    pub(crate) const fn is_four(&self) -> bool {
        matches!(self.family, Family::Four)
    }
}
