//! Blocking on the wire.

use std::time::Duration;

use lynceus_model::address::Network;
use lynceus_model::block::{BlockId, BlockOrder, BlockOrders, BlockStatus};

use crate::field::{
    Checked, Invalid, Problem, address, address_bytes, array, cut_name, limits, list, name, nanos,
};
use crate::v1;

impl TryFrom<v1::BlockOrder> for BlockOrder {
    type Error = Invalid;

    fn try_from(wire: v1::BlockOrder) -> Checked<Self> {
        Ok(Self {
            id: BlockId(array("id", &wire.id, "16")?),
            network: prefix_of(&wire.address, wire.prefix)?,
            remaining: Duration::from_nanos(wire.remaining_nanos),
            dry_run: wire.dry_run,
        })
    }
}

impl From<BlockOrder> for v1::BlockOrder {
    fn from(order: BlockOrder) -> Self {
        Self {
            id: order.id.0.to_vec(),
            address: octets(order.network),
            prefix: u32::from(order.network.prefix()),
            remaining_nanos: nanos(order.remaining),
            dry_run: order.dry_run,
        }
    }
}

/// Address of a network in network order: 4 or 16 bytes.
#[must_use]
pub fn octets(network: Network) -> Vec<u8> {
    address_bytes(network.address())
}

impl TryFrom<v1::BlockOrders> for BlockOrders {
    type Error = Invalid;

    fn try_from(wire: v1::BlockOrders) -> Checked<Self> {
        Ok(Self {
            blocks: list("blocks", wire.blocks, limits::BLOCKS, BlockOrder::try_from)?,
            lease: Duration::from_nanos(wire.lease_nanos),
        })
    }
}

impl From<BlockOrders> for v1::BlockOrders {
    fn from(orders: BlockOrders) -> Self {
        let blocks = orders.blocks.into_iter().take(limits::BLOCKS);
        Self {
            blocks: blocks.map(Into::into).collect(),
            lease_nanos: nanos(orders.lease),
        }
    }
}

/// A prefix as people write it: bits behind it are cleared.
///
/// # Errors
/// No address, or no room for the prefix.
pub fn prefix_of(bytes: &[u8], prefix: u32) -> Checked<Network> {
    let ip = address("address", bytes)?;
    let network = u8::try_from(prefix)
        .ok()
        .and_then(|prefix| Network::new(ip, prefix));
    network.ok_or_else(|| {
        Invalid::new(
            "prefix",
            Problem::Range {
                value: i128::from(prefix),
            },
        )
    })
}

impl TryFrom<v1::BlockStatus> for BlockStatus {
    type Error = Invalid;

    fn try_from(wire: v1::BlockStatus) -> Checked<Self> {
        let refused = wire.refused.map(|reason| name("refused", reason)).transpose()?;
        Ok(Self {
            id: BlockId(array("id", &wire.id, "16")?),
            dry_run: wire.dry_run,
            packets: wire.packets,
            bytes: wire.bytes,
            refused: refused.map(Into::into),
        })
    }
}

impl From<BlockStatus> for v1::BlockStatus {
    fn from(status: BlockStatus) -> Self {
        Self {
            id: status.id.0.to_vec(),
            dry_run: status.dry_run,
            packets: status.packets,
            bytes: status.bytes,
            refused: status.refused.map(cut_name),
        }
    }
}
