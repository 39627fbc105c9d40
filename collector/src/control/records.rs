//! Blocks and what was done with them, in the store.

use lynceus_model::address::Network;
use lynceus_model::time::Timestamp;
use lynceus_proto::block::octets;
use lynceus_proto::v1;

use super::Origin;
use crate::rows::{self, time_key};
use crate::store::{Change, Flush, KeyRange, Order, Store, StoreError, Table};

/// Records that are kept and shown; each is some hundred bytes.
const RECORDS: usize = 1000;
/// What is beyond goes in steps, so that not every write looks for it.
const SLACK: usize = 100;

/// Writes a block and, in the same write, what was done with it.
pub(super) fn write(
    store: &dyn Store,
    block: &v1::Block,
    action: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let record = v1::BlockRecord {
        time: now.0,
        block_id: block.id.clone(),
        address: block.address.clone(),
        prefix: block.prefix,
        action: action.to_owned(),
        reason: reason.chars().take(200).collect(),
        origin: block.origin.clone(),
        until: block.until,
        dry_run: block.dry_run,
        packets: block.packets,
    };
    let key = [time_key(now).as_slice(), &block.id].concat();
    let mut changes = vec![put(block), rows::put(Table::BlockLog, key, &record)];
    changes.extend(too_many(store)?);
    store.write(&changes, Flush::Durable)
}

/// Writes that somebody asked for a block that is never done.
pub(super) fn refused(
    store: &dyn Store,
    network: Network,
    origin: Origin,
    why: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = uuid::Uuid::new_v4().as_bytes().to_vec();
    let record = v1::BlockRecord {
        time: now.0,
        address: octets(network),
        prefix: u32::from(network.prefix()),
        action: "refused".to_owned(),
        reason: why.to_owned(),
        origin: origin.name().to_owned(),
        block_id: id,
        ..v1::BlockRecord::default()
    };
    let key = [time_key(now).as_slice(), &record.block_id].concat();
    let mut changes = vec![rows::put(Table::BlockLog, key, &record)];
    changes.extend(too_many(store)?);
    store.write(&changes, Flush::Durable)
}

/// Rows beyond what is kept.
fn too_many(store: &dyn Store) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for table in [Table::BlockLog, Table::Blocks] {
        let kept = store.scan(table, &KeyRange::all(), Order::Descending, RECORDS + SLACK)?;
        if kept.len() == RECORDS + SLACK {
            let old = kept.into_iter().skip(RECORDS);
            changes.extend(
                old.filter(|(_, value)| !is_active(table, value))
                    .map(|(key, _)| Change {
                        table,
                        key,
                        value: None,
                    }),
            );
        }
    }
    Ok(changes)
}

fn is_active(table: Table, value: &[u8]) -> bool {
    table == Table::Blocks && rows::read::<v1::Block>(table, value).is_ok_and(|block| block.ended.is_none())
}

/// The row of a block; rows are in the order in which blocks began.
pub(super) fn put(block: &v1::Block) -> Change {
    let key = [time_key(Timestamp(block.since)).as_slice(), &block.id].concat();
    rows::put(Table::Blocks, key, block)
}

/// The newest blocks, active or not.
pub(super) fn blocks(store: &dyn Store, most: usize) -> Result<Vec<v1::Block>, StoreError> {
    let found = store.scan(Table::Blocks, &KeyRange::all(), Order::Descending, most)?;
    found
        .iter()
        .map(|(_, value)| rows::read(Table::Blocks, value))
        .collect()
}

/// The newest records.
pub(super) fn log(store: &dyn Store) -> Result<Vec<v1::BlockRecord>, StoreError> {
    let found = store.scan(Table::BlockLog, &KeyRange::all(), Order::Descending, RECORDS)?;
    found
        .iter()
        .map(|(_, value)| rows::read(Table::BlockLog, value))
        .collect()
}
