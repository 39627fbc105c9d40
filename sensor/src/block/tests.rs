use std::time::Duration;

use lynceus_model::block::BlockOrder;

use super::*;

#[derive(Debug, Default)]
struct Table(BTreeMap<Network, BlockRule>);

impl Rules for Table {
    fn set(&mut self, network: Network, rule: BlockRule) -> anyhow::Result<()> {
        self.0.insert(network, rule);
        Ok(())
    }

    fn remove(&mut self, network: Network) -> anyhow::Result<()> {
        self.0.remove(&network);
        Ok(())
    }

    fn counts(&self, _: u32) -> anyhow::Result<Tally> {
        Ok(Tally::default())
    }

    fn clear(&mut self, _: u32) -> anyhow::Result<()> {
        Ok(())
    }
}

const SECOND: u64 = 1_000_000_000;

fn network(text: &str) -> Network {
    text.parse().unwrap()
}

fn orders(blocks: &[(u8, &str, u64, bool)]) -> BlockOrders {
    let one = |(id, text, seconds, dry_run): &(u8, &str, u64, bool)| BlockOrder {
        id: BlockId([*id; 16]),
        network: network(text),
        remaining: Duration::from_secs(*seconds),
        dry_run: *dry_run,
    };
    BlockOrders {
        blocks: blocks.iter().map(one).collect(),
        lease: Duration::from_secs(30),
    }
}

fn actions(blocker: &Blocker<Table>) -> Vec<(String, u32)> {
    assert_eq!(blocker.rules.0, blocker.installed);
    let rules = blocker.installed.iter();
    rules
        .map(|(network, rule)| (network.to_string(), rule.action))
        .collect()
}

#[test]
fn no_block_outlives_its_lease() {
    let mut blocker = Blocker::new(Table::default());
    let allow = AllowList::fixed(&[]);
    blocker.order(
        &orders(&[(1, "192.0.2.1", 3600, false), (2, "192.0.2.2", 10, true)]),
        SECOND,
    );
    blocker.keep(&allow, SECOND);
    let expiries: Vec<u64> = blocker.installed.values().map(BlockRule::expires).collect();
    assert_eq!(expiries, [31 * SECOND, 11 * SECOND]);
    assert_eq!(blocker.fills().map(|fill| fill.used), [2, 0]);
    blocker.keep(&allow, 11 * SECOND);
    assert_eq!(actions(&blocker), [("192.0.2.1/32".to_owned(), DROP)]);
    blocker.keep(&allow, 31 * SECOND);
    assert_eq!(actions(&blocker), []);
    assert_eq!(blocker.fills().map(|fill| fill.used), [0, 0]);
    assert_eq!(blocker.statuses().len(), 2, "their numbers are told for a minute");
    blocker.keep(&allow, 91 * SECOND);
    assert_eq!(blocker.statuses(), []);
    assert_eq!(blocker.free.len(), BLOCK_SLOTS as usize, "slots come back");
}

#[test]
fn the_allow_list_wins_over_narrow_and_wide_blocks() {
    let mut blocker = Blocker::new(Table::default());
    let gateway = AllowList::fixed(&[network("10.0.0.1")]);
    blocker.order(
        &orders(&[(1, "10.0.0.0/8", 20, false), (2, "10.0.0.1", 20, false)]),
        0,
    );
    blocker.keep(&gateway, 0);
    let both = |second| {
        [
            ("10.0.0.0/8".to_owned(), DROP),
            ("10.0.0.1/32".to_owned(), second),
        ]
    };
    assert_eq!(actions(&blocker), both(ALLOW));
    let refused: Vec<_> = blocker
        .statuses()
        .into_iter()
        .map(|status| status.refused)
        .collect();
    let entry = "the allow-list wins: 10.0.0.1/32 (in block.never of the sensor)";
    assert_eq!(refused, [None, Some(entry.into())]);
    blocker.keep(&AllowList::fixed(&[]), 0);
    assert_eq!(actions(&blocker), both(DROP), "it is a gateway no more");
}

#[test]
fn orders_replace_each_other() {
    let mut blocker = Blocker::new(Table::default());
    let allow = AllowList::fixed(&[]);
    blocker.order(
        &orders(&[(1, "192.0.2.1", 20, true), (2, "2001:db8::/32", 20, false)]),
        0,
    );
    blocker.keep(&allow, 0);
    assert_eq!(blocker.installed[&network("192.0.2.1")].action, COUNT);
    blocker.order(&orders(&[(1, "192.0.2.1", 20, false)]), SECOND);
    blocker.keep(&allow, SECOND);
    assert_eq!(actions(&blocker), [("192.0.2.1/32".to_owned(), DROP)]);
    blocker.order(&orders(&[(3, "0.0.0.0/0", 20, false)]), SECOND);
    blocker.keep(&allow, SECOND);
    assert_eq!(actions(&blocker), [], "the whole Internet is not blocked");
}
