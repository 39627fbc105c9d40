//! What a host uses its own UDP ports for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lynceus_model::flow::{Flow, Service};

use crate::services::UDP;

/// Own UDP ports of a window that are used for peer-to-peer or for calls: what goes out from them goes wherever the others
/// happen to be (RFC 8445: to their private addresses, too).
#[derive(Debug, Default)]
pub(crate) struct OwnPorts {
    /// Hosts on unknown ports that each one talked to.
    peers: BTreeMap<u16, BTreeSet<IpAddr>>,
    /// Those that asked a STUN server.
    calls: BTreeSet<u16>,
}

impl OwnPorts {
    /// Own ports of a window that are told apart.
    const MAX_PORTS: usize = 1_024;

    /// Learns from a flow of the host to a STUN server, see [`is_stun`].
    pub(crate) fn asked_stun(&mut self, flow: &Flow) {
        self.call(flow.client_server().0.port);
    }

    /// Learns from a flow of the host to a port without known service; `most`: peers of one own port that are told apart.
    pub(crate) fn called(&mut self, flow: &Flow, most: usize) {
        let (client, server) = flow.client_server();
        if flow.tuple.protocol != UDP {
            return;
        }
        if matches!(flow.service, Service::Stun | Service::Rtp) {
            self.call(client.port);
        }
        if self.peers.len() < Self::MAX_PORTS || self.peers.contains_key(&client.port) {
            let peers = self.peers.entry(client.port).or_default();
            if peers.len() < most {
                peers.insert(server.ip);
            }
        }
    }

    fn call(&mut self, port: u16) {
        if self.calls.len() < Self::MAX_PORTS {
            self.calls.insert(port);
        }
    }

    /// Used for calls, or for at least `least` peers.
    pub(crate) fn is_shared(&self, port: u16, least: usize) -> bool {
        self.calls.contains(&port) || self.peers.get(&port).is_some_and(|peers| peers.len() >= least)
    }
}

/// A question to a STUN server: how a program learns where others can reach it.
pub(crate) fn is_stun(flow: &Flow) -> bool {
    const GOOGLE: std::ops::RangeInclusive<u16> = 19_302..=19_309;
    let port = flow.client_server().1.port;
    let usual = matches!(port, 3478 | 3479 | 3481 | 5349) || GOOGLE.contains(&port);
    flow.tuple.protocol == UDP && (usual || flow.service == Service::Stun)
}
