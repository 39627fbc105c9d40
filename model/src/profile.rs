//! The profile of an IP address in a window: bounded, mergeable.
//!
//! A [`ProfileDelta`] is what became known since the last one; the whole profile is the merge of its deltas and has the
//! same type. Everything in it merges by sums, minima, maxima and choices by a fixed hash, so neither the order nor the
//! cuts of deltas nor the number of sensors change the result (except letters, which each sensor writes for itself).

mod bottom;
mod cell;
mod distinct;
mod hash;
mod histogram;
mod key;
mod letter_book;
mod sample;
mod sums;
mod table;

pub use cell::{Attempt, Cell, Counts, Draws, Earliest, Merge};
pub use distinct::Distinct;
pub(crate) use hash::{finish, mix};
pub use histogram::Histogram;
pub use key::{ArpKey, IcmpKey, Key, LetterKey, PeerKey, PortKey, TupleKey};
pub use letter_book::{LetterBook, Letters};
pub use sample::Sample;
pub use sums::{Estimate, Sums};
pub use table::{Heavy, Row, Table};

use crate::time::Timestamp;
use crate::window::WindowId;

/// What is known of one IP address in one window.
///
/// Client: the profile's IP is the originator. Server: it is the responder (only with
/// [`Direction::All`](crate::window::Direction::All)).
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileDelta {
    pub window: WindowId,
    /// First and last event time seen; `None` before the first one.
    pub span: Option<(Timestamp, Timestamp)>,
    pub totals: Totals,
    pub client_source_ports: Table<PortKey>,
    pub client_ports: Table<PortKey>,
    pub client_peers: Table<PeerKey>,
    /// The profile's own ports that others came to.
    pub server_ports: Table<PortKey>,
    pub server_peers: Table<PeerKey>,
    /// Destination IP, destination port, protocol: out tuples and "destination ports with IPs".
    pub out_tuples: Table<TupleKey>,
    /// Source IP, the profile's port, protocol.
    pub in_tuples: Table<TupleKey>,
    /// TCP and UDP targets that were tried as client and not established; `established` is always false.
    /// Targets that no scan aims at (multicast, link-local, loopback, reserved) are left out.
    pub attempts: Sample<TupleKey, Attempt>,
    /// Hosts that ICMP requests went to (echo, timestamp, address mask).
    pub icmp_targets: Sample<IcmpKey, Attempt>,
    /// Addresses that were asked for by ARP (not gratuitous, not from 0.0.0.0), or by neighbour discovery without an answer.
    pub arp_targets: Sample<ArpKey, Attempt>,
    pub letters: LetterBook,
    /// IP bytes of each flow, both sides, as first reported.
    pub flow_bytes: Histogram,
    /// Microseconds from first to last packet of each flow, as first reported.
    pub flow_durations: Histogram,
    pub apps: AppCounts,
    pub not_carried: NotCarried,
}

/// Sums over all flows; exact whatever was truncated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub client_established: Counts,
    pub client_not_established: Counts,
    pub server_established: Counts,
    pub server_not_established: Counts,
    /// Flows by protocol: TCP, UDP, ICMP and ICMPv6, others.
    pub tcp_flows: u64,
    pub udp_flows: u64,
    pub icmp_flows: u64,
    pub other_flows: u64,
}

/// Messages by kind, as the sensor decoded them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppCounts {
    pub dns: u64,
    /// DNS responses with the code NXDOMAIN.
    pub dns_nxdomain: u64,
    pub tls_client: u64,
    pub tls_server: u64,
    pub http_request: u64,
    pub http_response: u64,
    pub ssh: u64,
    pub dhcp: u64,
    pub arp: u64,
}

/// What the numbers hold but the list of flows and messages does not, because the byte budget was used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotCarried {
    /// Flow reports.
    pub flows: u64,
    pub apps: u64,
    /// Flows that came too late for the letters of their tuple.
    pub letters: u64,
}

impl ProfileDelta {
    /// Rows of the port tables. Servers and clients use fewer; a scanner's ports are of interest as a number.
    pub const PORT_ROWS: u16 = 256;
    /// Rows of the tables of peers and tuples.
    pub const PEER_ROWS: u16 = 512;
    /// Rows of `attempts`: scans are exact up to here.
    pub const ATTEMPT_ROWS: u16 = 1024;
    /// Rows of `icmp_targets` and `arp_targets`.
    pub const TARGET_ROWS: u16 = 512;
    /// No profile of one window takes more memory, struct and heap, whatever it saw.
    pub const MAX_BYTES: usize = 1_500_000;

    #[must_use]
    pub fn new(window: WindowId) -> Self {
        Self {
            window,
            span: None,
            totals: Totals::default(),
            client_source_ports: Table::new(Self::PORT_ROWS),
            client_ports: Table::new(Self::PORT_ROWS),
            client_peers: Table::new(Self::PEER_ROWS),
            server_ports: Table::new(Self::PORT_ROWS),
            server_peers: Table::new(Self::PEER_ROWS),
            out_tuples: Table::new(Self::PEER_ROWS),
            in_tuples: Table::new(Self::PEER_ROWS),
            attempts: Sample::new(Self::ATTEMPT_ROWS),
            icmp_targets: Sample::new(Self::TARGET_ROWS),
            arp_targets: Sample::new(Self::TARGET_ROWS),
            letters: LetterBook::default(),
            flow_bytes: Histogram::default(),
            flow_durations: Histogram::default(),
            apps: AppCounts::default(),
            not_carried: NotCarried::default(),
        }
    }

    /// Adds what `other` knows. Both must be of one window; a delta of another window changes nothing and gives false.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.window != other.window {
            return false;
        }
        if let Some((first, last)) = other.span {
            self.saw(first, last);
        }
        self.totals.merge(&other.totals);
        self.client_source_ports.merge(&other.client_source_ports);
        self.client_ports.merge(&other.client_ports);
        self.client_peers.merge(&other.client_peers);
        self.server_ports.merge(&other.server_ports);
        self.server_peers.merge(&other.server_peers);
        self.out_tuples.merge(&other.out_tuples);
        self.in_tuples.merge(&other.in_tuples);
        self.attempts.merge(&other.attempts);
        self.icmp_targets.merge(&other.icmp_targets);
        self.arp_targets.merge(&other.arp_targets);
        self.letters.merge(&other.letters);
        self.flow_bytes.merge(&other.flow_bytes);
        self.flow_durations.merge(&other.flow_durations);
        self.apps.merge(&other.apps);
        self.not_carried.merge(&other.not_carried);
        true
    }

    /// Widens the span.
    pub fn saw(&mut self, first: Timestamp, last: Timestamp) {
        let (start, end) = self.span.unwrap_or((first, last));
        self.span = Some((start.min(first), end.max(last)));
    }

    /// Rows had to go somewhere: lists are samples, distinct counts are estimates. Totals stay exact.
    #[must_use]
    pub const fn truncated(&self) -> bool {
        self.client_source_ports.truncated()
            || self.client_ports.truncated()
            || self.client_peers.truncated()
            || self.server_ports.truncated()
            || self.server_peers.truncated()
            || self.out_tuples.truncated()
            || self.in_tuples.truncated()
            || self.attempts.truncated()
            || self.icmp_targets.truncated()
            || self.arp_targets.truncated()
            || self.letters.truncated()
    }

    /// Memory, struct and heap.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.client_source_ports.heap()
            + self.client_ports.heap()
            + self.client_peers.heap()
            + self.server_ports.heap()
            + self.server_peers.heap()
            + self.out_tuples.heap()
            + self.in_tuples.heap()
            + self.attempts.heap()
            + self.icmp_targets.heap()
            + self.arp_targets.heap()
            + self.letters.heap()
    }
}

impl Totals {
    /// Flows in any role.
    #[must_use]
    pub const fn flows(&self) -> u64 {
        self.client_established.flows
            + self.client_not_established.flows
            + self.server_established.flows
            + self.server_not_established.flows
    }
}

impl Merge for Totals {
    fn merge(&mut self, other: &Self) {
        self.client_established.merge(&other.client_established);
        self.client_not_established.merge(&other.client_not_established);
        self.server_established.merge(&other.server_established);
        self.server_not_established.merge(&other.server_not_established);
        add(&mut self.tcp_flows, other.tcp_flows);
        add(&mut self.udp_flows, other.udp_flows);
        add(&mut self.icmp_flows, other.icmp_flows);
        add(&mut self.other_flows, other.other_flows);
    }
}

impl Merge for AppCounts {
    fn merge(&mut self, other: &Self) {
        add(&mut self.dns, other.dns);
        add(&mut self.dns_nxdomain, other.dns_nxdomain);
        add(&mut self.tls_client, other.tls_client);
        add(&mut self.tls_server, other.tls_server);
        add(&mut self.http_request, other.http_request);
        add(&mut self.http_response, other.http_response);
        add(&mut self.ssh, other.ssh);
        add(&mut self.dhcp, other.dhcp);
        add(&mut self.arp, other.arp);
    }
}

impl Merge for NotCarried {
    fn merge(&mut self, other: &Self) {
        add(&mut self.flows, other.flows);
        add(&mut self.apps, other.apps);
        add(&mut self.letters, other.letters);
    }
}

const fn add(mine: &mut u64, theirs: u64) {
    *mine = mine.saturating_add(theirs);
}
