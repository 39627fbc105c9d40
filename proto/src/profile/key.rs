//! Keys of rows: one message for all tables, checked for what the table at hand needs.

use lynceus_model::profile::{ArpKey, IcmpKey, Key, LetterKey, PeerKey, PortKey, TupleKey};

use crate::field::{Checked, address, address_bytes, narrow};
use crate::v1;

pub(super) trait WireKey: Key {
    fn to_wire(&self) -> v1::Key;
    fn from_wire(wire: v1::Key) -> Checked<Self>;
}

impl WireKey for PortKey {
    fn to_wire(&self) -> v1::Key {
        v1::Key {
            established: self.established,
            protocol: self.protocol.into(),
            port: self.port.into(),
            ..v1::Key::default()
        }
    }

    fn from_wire(wire: v1::Key) -> Checked<Self> {
        Ok(Self {
            established: wire.established,
            protocol: narrow("protocol", wire.protocol)?,
            port: narrow("port", wire.port)?,
        })
    }
}

impl WireKey for PeerKey {
    fn to_wire(&self) -> v1::Key {
        v1::Key {
            established: self.established,
            protocol: self.protocol.into(),
            ip: address_bytes(self.ip),
            ..v1::Key::default()
        }
    }

    fn from_wire(wire: v1::Key) -> Checked<Self> {
        Ok(Self {
            established: wire.established,
            protocol: narrow("protocol", wire.protocol)?,
            ip: address("ip", &wire.ip)?,
        })
    }
}

impl WireKey for TupleKey {
    fn to_wire(&self) -> v1::Key {
        v1::Key {
            established: self.established,
            protocol: self.protocol.into(),
            port: self.port.into(),
            ip: address_bytes(self.ip),
            ..v1::Key::default()
        }
    }

    fn from_wire(wire: v1::Key) -> Checked<Self> {
        Ok(Self {
            established: wire.established,
            protocol: narrow("protocol", wire.protocol)?,
            port: narrow("port", wire.port)?,
            ip: address("ip", &wire.ip)?,
        })
    }
}

impl WireKey for IcmpKey {
    fn to_wire(&self) -> v1::Key {
        v1::Key {
            protocol: self.protocol.into(),
            port: self.kind.into(),
            ip: address_bytes(self.ip),
            ..v1::Key::default()
        }
    }

    fn from_wire(wire: v1::Key) -> Checked<Self> {
        Ok(Self {
            protocol: narrow("protocol", wire.protocol)?,
            kind: narrow("port", wire.port)?,
            ip: address("ip", &wire.ip)?,
        })
    }
}

impl WireKey for ArpKey {
    fn to_wire(&self) -> v1::Key {
        v1::Key {
            slot: self.slot,
            ip: address_bytes(self.target),
            ..v1::Key::default()
        }
    }

    fn from_wire(wire: v1::Key) -> Checked<Self> {
        Ok(Self {
            slot: wire.slot,
            target: address("ip", &wire.ip)?,
        })
    }
}

impl WireKey for LetterKey {
    fn to_wire(&self) -> v1::Key {
        v1::Key {
            incoming: self.incoming,
            protocol: self.protocol.into(),
            port: self.port.into(),
            ip: address_bytes(self.ip),
            ..v1::Key::default()
        }
    }

    fn from_wire(wire: v1::Key) -> Checked<Self> {
        Ok(Self {
            incoming: wire.incoming,
            protocol: narrow("protocol", wire.protocol)?,
            port: narrow("port", wire.port)?,
            ip: address("ip", &wire.ip)?,
        })
    }
}
