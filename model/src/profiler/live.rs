//! One window of one profile while it is in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use super::strokes::Waiting;
use crate::address::is_target;
use crate::app::{AppEvent, AppRecord, Arp};
use crate::flow::{Flow, FlowUpdate};
use crate::letters::Writer;
use crate::profile::{
    ArpKey, Attempt, Cell, Counts, Draws, Earliest, IcmpKey, LetterKey, Merge, PeerKey, PortKey,
    ProfileDelta, TupleKey,
};
use crate::seeded::Seeded;
use crate::time::Timestamp;
use crate::window::{SensorId, Stage, WindowId, WindowUpdate};

/// Role of the profile's IP in a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// What became of a flow's letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Yes,
    Late,
    NoPlace,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) window: WindowId,
    /// Since the last cut; only where something is new, as most windows are quiet most of the time.
    delta: Option<Box<ProfileDelta>>,
    flows: Vec<FlowUpdate>,
    apps: Vec<AppRecord>,
    /// Has something to say.
    pub(super) dirty: bool,
    /// Number of the event that touched it last.
    pub(super) touched: u64,
    writers: HashMap<LetterKey, Tuple, Seeded>,
    /// Tuples with letters since the last cut.
    written: Vec<LetterKey>,
    /// Forgetting tuples with one flow frees little.
    crowded: bool,
}

#[derive(Debug, Default)]
struct Tuple {
    writer: Writer,
    /// Stands in [`Live::written`].
    written: bool,
}

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP: u8 = 1;
const ICMP6: u8 = 58;

impl Live {
    /// Tuples of a window with letters in the making, about 1 MB. Beyond, tuples with one flow are forgotten: a beacon
    /// has more.
    const MAX_WRITERS: usize = 4_096;

    pub(super) fn new(window: WindowId, seed: Seeded) -> Self {
        Self {
            window,
            delta: None,
            flows: Vec::new(),
            apps: Vec::new(),
            dirty: false,
            touched: 0,
            writers: HashMap::with_hasher(seed),
            written: Vec::new(),
            crowded: false,
        }
    }

    /// What is new; begins it if nothing was.
    pub(super) fn delta(&mut self) -> &mut ProfileDelta {
        self.delta
            .get_or_insert_with(|| Box::new(ProfileDelta::new(self.window)))
    }

    pub(super) fn carry(&mut self, update: FlowUpdate) {
        push(&mut self.flows, update);
    }

    pub(super) fn carry_app(&mut self, record: AppRecord) {
        push(&mut self.apps, record);
    }

    pub(super) fn count(&mut self, update: &FlowUpdate, role: Role) {
        let flow = &update.flow;
        let established = flow.established();
        let protocol = flow.tuple.protocol;
        let cell = cell(update, role);
        let key = letter_key(flow, role);
        let tuple = TupleKey {
            established,
            protocol,
            port: key.port,
            ip: key.ip,
        };
        let peer = PeerKey {
            established,
            protocol,
            ip: key.ip,
        };
        let port = PortKey {
            established,
            protocol,
            port: key.port,
        };
        let delta = self.delta();
        delta.saw(flow.first, flow.last);
        match role {
            Role::Client => {
                totals(delta, established, role).merge(&cell.counts);
                let source = PortKey {
                    port: flow.client_server().0.port,
                    ..port
                };
                delta.client_source_ports.add(source, &cell);
                delta.client_ports.add(port, &cell);
                delta.client_peers.add(peer, &cell);
                delta.out_tuples.add(tuple, &cell);
                attempts(delta, update, tuple, &cell);
            }
            Role::Server => {
                totals(delta, established, role).merge(&cell.counts);
                delta.server_ports.add(port, &cell);
                delta.server_peers.add(peer, &cell);
                delta.in_tuples.add(tuple, &cell);
            }
        }
        if update.part == 0 {
            let flows = match protocol {
                TCP => &mut delta.totals.tcp_flows,
                UDP => &mut delta.totals.udp_flows,
                ICMP | ICMP6 => &mut delta.totals.icmp_flows,
                _ => &mut delta.totals.other_flows,
            };
            *flows += 1;
            delta.flow_bytes.add(cell.counts.bytes());
            delta
                .flow_durations
                .add(u64::try_from(flow.duration().as_micros()).unwrap_or(u64::MAX));
        }
    }

    pub(super) fn count_app(&mut self, record: &AppRecord) {
        let delta = self.delta();
        delta.saw(record.time, record.time);
        let apps = &mut delta.apps;
        match &record.event {
            AppEvent::Dns(dns) => {
                const NXDOMAIN: u8 = 3;
                apps.dns += 1;
                apps.dns_nxdomain += u64::from(dns.response && dns.rcode == NXDOMAIN);
            }
            AppEvent::TlsClient(_) => apps.tls_client += 1,
            AppEvent::TlsServer(_) => apps.tls_server += 1,
            AppEvent::HttpRequest(_) => apps.http_request += 1,
            AppEvent::HttpResponse(_) => apps.http_response += 1,
            AppEvent::Ssh(_) => apps.ssh += 1,
            // Belongs to a banner that was counted.
            AppEvent::SshKeyExchange(_) => {}
            AppEvent::Dhcp(_) => apps.dhcp += 1,
            AppEvent::Certificate(_)
            | AppEvent::SshLogin(_)
            | AppEvent::Smtp(_)
            | AppEvent::Ftp(_)
            | AppEvent::Login(_)
            | AppEvent::File(_)
            | AppEvent::Tunnel(_)
            | AppEvent::Notice(_)
            | AppEvent::Weird(_)
            | AppEvent::Software(_) => {}
            AppEvent::Arp(arp) => {
                apps.arp += 1;
                // Neighbour discovery: where no answer came, later.
                if arp.discovery.is_none() {
                    arp_target(delta, record, arp);
                }
            }
        }
    }

    /// A neighbour solicitation whose answer was overdue at that time.
    pub(super) fn unanswered(&mut self, target: IpAddr, overdue: Timestamp, attempt: &Attempt) {
        let slot = ArpKey::slot_of(overdue);
        let delta = self.delta();
        delta.saw(attempt.earliest.first, attempt.last);
        delta.arp_targets.add(ArpKey { slot, target }, attempt);
    }

    /// The next flow in order of begin.
    pub(super) fn write(&mut self, waiting: Waiting) -> Written {
        let key = waiting.key;
        if self.writers.len() >= Self::MAX_WRITERS && !self.make_room(&key) {
            self.delta().not_carried.letters += 1;
            return Written::NoPlace;
        }
        let tuple = match self.writers.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Tuple::default()),
        };
        if tuple.writer.write(waiting.stroke()).is_err() {
            self.delta().not_carried.letters += 1;
            return Written::Late;
        }
        if !tuple.written {
            tuple.written = true;
            self.written.push(key);
        }
        Written::Yes
    }

    /// Whether there is room for the tuple now: it has its own, or tuples with one flow gave theirs. If that frees
    /// little it is not tried again before the next cut, so that a flood of tuples stays cheap.
    fn make_room(&mut self, key: &LetterKey) -> bool {
        if self.writers.contains_key(key) {
            return true;
        }
        self.delta().letters.mark_truncated();
        if !self.crowded {
            self.writers.retain(|_, tuple| tuple.writer.letters().version > 1);
            self.crowded = self.writers.len() > Self::MAX_WRITERS / 8 * 7;
        }
        self.writers.len() < Self::MAX_WRITERS
    }

    /// Cuts: hands out what is new and begins the next delta.
    pub(super) fn take(&mut self, sensor: SensorId, stage: Stage) -> WindowUpdate {
        self.dirty = false;
        self.crowded = false;
        let mut delta = self
            .delta
            .take()
            .unwrap_or_else(|| Box::new(ProfileDelta::new(self.window)));
        for key in self.written.drain(..) {
            if let Some(tuple) = self.writers.get_mut(&key) {
                tuple.written = false;
                delta.letters.put(sensor, key, tuple.writer.letters().clone());
            }
        }
        WindowUpdate {
            delta,
            stage,
            flows: std::mem::take(&mut self.flows),
            apps: std::mem::take(&mut self.apps),
        }
    }
}

/// Most windows of most deltas carry one: not the room for four that a vector begins with.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(item);
}

/// The tuple as the profile sees it: the other IP, and the port of the server.
pub(super) fn letter_key(flow: &Flow, role: Role) -> LetterKey {
    let (client, server) = flow.client_server();
    LetterKey {
        incoming: role == Role::Server,
        protocol: flow.tuple.protocol,
        port: match flow.icmp {
            Some((kind, _)) => u16::from(kind),
            None => server.port,
        },
        ip: match role {
            Role::Client => server.ip,
            Role::Server => client.ip,
        },
    }
}

fn cell(update: &FlowUpdate, role: Role) -> Cell {
    let flow = &update.flow;
    let originator = (role == Role::Client) != flow.roles_turned();
    let (sent, received) = if originator {
        (&update.new_out, &update.new_back)
    } else {
        (&update.new_back, &update.new_out)
    };
    let counts = Counts {
        flows: u64::from(update.part == 0),
        packets_sent: sent.packets,
        packets_received: received.packets,
        bytes_sent: sent.bytes,
        bytes_received: received.bytes,
    };
    let earliest = Earliest {
        first: flow.first,
        community_id: flow.community_id,
        packets: counts.packets_sent,
    };
    Cell {
        counts,
        draws: Draws::of(flow, update.part, &counts),
        earliest,
        last: flow.last,
    }
}

fn totals(delta: &mut ProfileDelta, established: bool, role: Role) -> &mut Counts {
    let totals = &mut delta.totals;
    match (role, established) {
        (Role::Client, true) => &mut totals.client_established,
        (Role::Client, false) => &mut totals.client_not_established,
        (Role::Server, true) => &mut totals.server_established,
        (Role::Server, false) => &mut totals.server_not_established,
    }
}

/// What a scan looks like from the side of the one who scans.
fn attempts(delta: &mut ProfileDelta, update: &FlowUpdate, tuple: TupleKey, cell: &Cell) {
    let flow = &update.flow;
    // Flipped flows, later parts and answers are no new attempt.
    if update.part != 0 || flow.roles_turned() || flow.is_answer() || !is_target(tuple.ip) {
        return;
    }
    let attempt = Attempt {
        flows: 1,
        packets: cell.counts.packets_sent,
        earliest: cell.earliest,
        last: flow.first,
    };
    match (tuple.protocol, flow.icmp) {
        (TCP | UDP, _) if flow.found_nobody() => delta.attempts.add(tuple, &attempt),
        (protocol @ (ICMP | ICMP6), Some((kind, _))) if is_request(protocol, kind) => {
            delta.icmp_targets.add(
                IcmpKey {
                    protocol,
                    kind,
                    ip: tuple.ip,
                },
                &attempt,
            );
        }
        _ => {}
    }
}

/// Echo, timestamp and address mask requests. Answers are what a scanned host sends.
const fn is_request(protocol: u8, kind: u8) -> bool {
    matches!((protocol, kind), (ICMP, 8 | 13 | 17) | (ICMP6, 128))
}

fn arp_target(delta: &mut ProfileDelta, record: &AppRecord, arp: &Arp) {
    const REQUEST: u16 = 1;
    // Unicast refreshes name the hardware they ask; gratuitous requests ask for the sender itself; a probe for a free
    // address comes from 0.0.0.0.
    let asks = arp.operation == REQUEST && arp.target_mac == [0; 6];
    if !asks || arp.sender == arp.target || arp.sender.is_unspecified() {
        return;
    }
    let slot = ArpKey::slot_of(record.time);
    let earliest = Earliest {
        first: record.time,
        community_id: record.community_id.unwrap_or(crate::flow::CommunityId([0; 20])),
        packets: 1,
    };
    let attempt = Attempt {
        flows: 1,
        packets: 1,
        earliest,
        last: record.time,
    };
    delta.arp_targets.add(
        ArpKey {
            slot,
            target: arp.target,
        },
        &attempt,
    );
}
