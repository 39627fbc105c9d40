//! What the rows of a profile's tables are about.

use std::fmt::Debug;
use std::net::IpAddr;

use super::hash::{finish, mix};
use crate::time::Timestamp;

/// A row's identity with the fixed hash that decides whether a full table keeps it.
pub trait Key: Copy + Ord + Debug {
    /// The same on every machine and in every version.
    fn fixed_hash(&self) -> u64;
}

/// A port of a protocol, established and not established apart (Kalipso shows two tables of each kind).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey {
    pub established: bool,
    /// IP protocol number.
    pub protocol: u8,
    pub port: u16,
}

/// The other side of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey {
    pub established: bool,
    /// IP protocol number.
    pub protocol: u8,
    pub ip: IpAddr,
}

/// Out tuple: destination IP, destination port, protocol. In tuple: source IP, the profile's port, protocol.
/// With `established` it is the row of "destination ports with IPs" too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TupleKey {
    pub established: bool,
    /// IP protocol number.
    pub protocol: u8,
    /// ICMP: the type of the first packet (Community ID's pair is not used here).
    pub port: u16,
    pub ip: IpAddr,
}

/// A host that an ICMP request of a type went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IcmpKey {
    /// 1 (IPv4) or 58 (IPv6).
    pub protocol: u8,
    /// ICMP type.
    pub kind: u8,
    pub ip: IpAddr,
}

/// An address that was asked for by ARP in a slot of [`ArpKey::SLOT_SECONDS`] of event time; or one that was asked for by
/// neighbour discovery (IPv6) without an answer, in the slot in which the answer was overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArpKey {
    /// Event time since the epoch divided by the length of a slot.
    pub slot: i64,
    pub target: IpAddr,
}

impl ArpKey {
    /// Length of a slot: the time over which Slips merges evidence of one ARP scan.
    pub const SLOT_SECONDS: i64 = 10;

    /// The slot of a time.
    #[must_use]
    pub const fn slot_of(time: Timestamp) -> i64 {
        time.0.div_euclid(Self::SLOT_SECONDS * 1_000_000_000)
    }
}

/// The tuple of [`TupleKey`] without the state: what letters are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LetterKey {
    /// The profile is the responder.
    pub incoming: bool,
    /// IP protocol number.
    pub protocol: u8,
    pub port: u16,
    pub ip: IpAddr,
}

impl Key for PortKey {
    fn fixed_hash(&self) -> u64 {
        finish(mix(1, pack(self.established, self.protocol, self.port)))
    }
}

impl Key for PeerKey {
    fn fixed_hash(&self) -> u64 {
        address(self.ip, pack(self.established, self.protocol, 0))
    }
}

impl Key for TupleKey {
    fn fixed_hash(&self) -> u64 {
        address(self.ip, pack(self.established, self.protocol, self.port))
    }
}

impl Key for IcmpKey {
    fn fixed_hash(&self) -> u64 {
        address(self.ip, pack(false, self.protocol, u16::from(self.kind)))
    }
}

impl Key for ArpKey {
    fn fixed_hash(&self) -> u64 {
        address(self.target, self.slot as u64)
    }
}

impl Key for LetterKey {
    fn fixed_hash(&self) -> u64 {
        address(self.ip, pack(self.incoming, self.protocol, self.port))
    }
}

const fn pack(flag: bool, protocol: u8, port: u16) -> u64 {
    (flag as u64) << 32 | (protocol as u64) << 16 | port as u64
}

fn address(ip: IpAddr, rest: u64) -> u64 {
    let bits = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    mix(mix((bits >> 64) as u64, bits as u64), rest)
}
