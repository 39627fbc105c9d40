//! Ports of fragmented datagrams, so that later fragments find their flow.

use std::collections::{HashMap, VecDeque};

use lynceus_model::time::Timestamp;
use sensor_ebpf::flow::{FlowKey, Side};
use sensor_ebpf::parse::{Fragment, Packet};

/// Datagrams remembered at once. Reassembly queues of operating systems hold some thousand; a flood of first fragments
/// costs 8 MiB here and no more.
const MOST_DATAGRAMS: usize = 65_536;

/// RFC 8200 §4.5: a datagram that is not whole after 60 seconds is given up.
const LIFETIME_NANOS: i64 = 60_000_000_000;

/// A datagram: addresses, protocol, VLAN and tunnel of the key without ports, who sent it, and its identification.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Datagram {
    key: FlowKey,
    sender: Side,
    id: u32,
}

#[derive(Clone, Copy)]
struct Ports {
    sender: u16,
    receiver: u16,
    one_way: bool,
    seen: Timestamp,
}

#[derive(Default)]
pub(super) struct Fragments {
    known: HashMap<Datagram, Ports>,
    /// In the order in which they came.
    order: VecDeque<Datagram>,
    /// Later fragments without a known first one; they count in a flow with ports 0.
    pub(super) orphans: u64,
}

impl Fragments {
    /// Remembers a first fragment, or gives a later one the ports of its first.
    #[cold]
    pub(super) fn settle(&mut self, packet: &mut Packet, time: Timestamp) {
        match packet.fragment {
            Fragment::Whole => {}
            Fragment::First { id } => self.remember(packet, id, time),
            Fragment::Later { id } => {
                let known = self.known.get(&datagram(packet, id));
                match known.filter(|ports| (time.0.abs_diff(ports.seen.0)) <= LIFETIME_NANOS as u64) {
                    Some(ports) => packet.set_ports(ports.sender, ports.receiver, ports.one_way),
                    None => self.orphans += 1,
                }
            }
        }
    }

    fn remember(&mut self, packet: &Packet, id: u32, time: Timestamp) {
        let (sender, receiver) = packet.ports();
        let ports = Ports {
            sender,
            receiver,
            one_way: packet.key.one_way != 0,
            seen: time,
        };
        let datagram = datagram(packet, id);
        if self.known.insert(datagram, ports).is_some() {
            return;
        }
        self.order.push_back(datagram);
        if self.order.len() > MOST_DATAGRAMS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// The identity that all fragments of a datagram share: what a later fragment's own key would be.
fn datagram(packet: &Packet, id: u32) -> Datagram {
    let mut bare = *packet;
    bare.set_ports(0, 0, false);
    Datagram {
        key: bare.key,
        sender: bare.sender,
        id,
    }
}
