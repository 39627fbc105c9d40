//! Who is compared with whom.

use std::net::IpAddr;

use lynceus_model::address::Network as Prefix;
use lynceus_model::profile::ProfileDelta;
use serde::{Deserialize, Serialize};

use super::Outlier;
use crate::context::prefixes;
use crate::report::is_private;

/// Peers of a profile. A wrong role gives a right account of the wrong question, so it is shown with each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Of the own network, mostly as originator of flows.
    Client,
    /// Of the own network, mostly as responder; seen only where incoming flows are counted.
    Server,
    /// Anybody else.
    Outside,
    /// The n-th group of the configuration.
    Group(u8),
}

/// Profiles that the administrator puts together.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Group {
    pub name: String,
    #[serde(with = "prefixes")]
    pub networks: Vec<Prefix>,
}

impl Role {
    /// Groups that count; each costs up to 2 MB.
    pub const MAX_GROUPS: usize = 8;

    /// For the store: 0 to 2, groups from 16 on.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Client => 0,
            Self::Server => 1,
            Self::Outside => 2,
            Self::Group(number) => 16 + number,
        }
    }

    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Client),
            1 => Some(Self::Server),
            2 => Some(Self::Outside),
            16..24 => Some(Self::Group(number - 16)),
            _ => None,
        }
    }
}

impl Outlier {
    /// Who a window is compared with.
    #[must_use]
    pub fn role_of(&self, profile: &ProfileDelta) -> Role {
        let ip = profile.window.profile;
        let groups = self.config.groups.iter().take(Role::MAX_GROUPS);
        for (number, group) in (0..).zip(groups) {
            if contains(&group.networks, ip) {
                return Role::Group(number);
            }
        }
        let totals = &profile.totals;
        let came = totals.server_established.flows + totals.server_not_established.flows;
        if !self.is_own(ip) {
            Role::Outside
        } else if came > totals.flows() - came {
            Role::Server
        } else {
            Role::Client
        }
    }

    /// What people call a role.
    #[must_use]
    pub fn name_of(&self, role: Role) -> String {
        match role {
            Role::Client => "client".to_owned(),
            Role::Server => "server".to_owned(),
            Role::Outside => "outside".to_owned(),
            Role::Group(number) => self
                .config
                .groups
                .get(usize::from(number))
                .map_or_else(|| format!("group {number}"), |group| group.name.clone()),
        }
    }

    fn is_own(&self, ip: IpAddr) -> bool {
        let network = &self.context.network;
        let link_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local() || ip.is_unspecified(),
            IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unspecified(),
        };
        is_private(ip) || link_local || contains(&network.local, ip) || contains(&network.clients, ip)
    }
}

fn contains(networks: &[Prefix], ip: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(ip))
}
