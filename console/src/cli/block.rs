//! `lynceus block`, `unblock` and `blocked`: packets that sensors drop on request.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use lynceus_model::address::Network;
use lynceus_model::time::Timestamp;
use lynceus_proto::block::octets;
use lynceus_proto::v1;
use lynceus_sensor::units::Span;

use super::place::{Address, Zone};
use super::{Outcome, say};
use crate::human::{self, Clock};

/// Asks the sensors to drop packets from and to an address or prefix for some time
///
/// The collector must allow it (`block.enabled`), and each sensor too (`block.allow_block`). Addresses of the sensors,
/// their gateways and name servers, and the collector are never blocked. While the collector has `block.dry_run = true`,
/// which is the default, packets are counted and none is dropped.
#[derive(Args)]
#[command(after_help = "Examples:
  lynceus block 192.0.2.7 --for 1h --reason \"scans us\"
  lynceus block 2001:db8:bad::/48 --dry-run    count what would be dropped
  lynceus blocked                              what is blocked and what it dropped
  lynceus unblock 192.0.2.7")]
pub struct BlockOptions {
    /// Address, or prefix as 192.0.2.0/24
    #[arg(value_name = "IP|PREFIX", value_parser = network)]
    network: Network,
    /// How long, as 10m or 1h
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    time: Span,
    /// Count what would be dropped, drop nothing
    #[arg(long)]
    dry_run: bool,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    collector: Address,
    #[command(flatten)]
    zone: Zone,
}

/// Ends a block
#[derive(Args)]
pub struct UnblockOptions {
    /// Address or prefix, as it was blocked
    #[arg(value_name = "IP|PREFIX", value_parser = network)]
    network: Network,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    collector: Address,
}

/// Lists what is blocked, with the packets that it dropped
#[derive(Args)]
pub struct BlockedOptions {
    /// Also blocks that ended
    #[arg(long)]
    all: bool,
    /// What was done with blocks instead, the newest first
    #[arg(long, conflicts_with = "all")]
    log: bool,
    #[command(flatten)]
    collector: Address,
    #[command(flatten)]
    zone: Zone,
}

/// How often, and after what time, it is looked for what sensors say of a new block; each reports every five seconds.
const LOOKS: u32 = 30;
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// What sensors say of the block that was just answered.
fn sensors_of<'a>(answer: &v1::BlockResponse, list: &'a v1::ListBlocksResponse) -> &'a [v1::SensorBlock] {
    let id = answer.block.as_ref().map(|block| &block.id);
    let block = list.blocks.iter().find(|block| Some(&block.id) == id);
    block.map_or(&[], |block| &block.sensors)
}

/// The line about a sensor that does not block.
fn refusal(sensor: &v1::SensorBlock) -> Option<String> {
    let why = human::printable(sensor.refused.as_deref()?, 100);
    let id = uuid::Uuid::from_slice(&sensor.sensor_id).unwrap_or_default();
    Some(format!("    not by sensor {id}: {why}"))
}

fn network(text: &str) -> Result<Network, String> {
    let network: Network = text.parse().map_err(|error| format!("{error}"))?;
    let network = Network::new(network.address(), network.prefix()).unwrap_or(network);
    // What looks like IPv4 in IPv6 is IPv4 on the wire.
    match network.address() {
        IpAddr::V6(ip) if network.prefix() == 128 => Ok(Network::host(ip.to_canonical())),
        _ => Ok(network),
    }
}

/// Blocks.
///
/// # Errors
/// The collector does not answer or refuses.
pub fn block(options: &BlockOptions) -> anyhow::Result<Outcome> {
    let request = v1::BlockRequest {
        address: octets(options.network),
        prefix: u32::from(options.network.prefix()),
        for_nanos: u64::try_from(options.time.0.as_nanos()).context("--for: too long")?,
        dry_run: options.dry_run,
        reason: options.reason.clone(),
    };
    let (runtime, mut client) = options.collector.control()?;
    let result = runtime.block_on(async {
        let answer = client.block(request).await?.into_inner();
        let mut looks = 0;
        loop {
            let list = client
                .list_blocks(v1::ListBlocksRequest::default())
                .await?
                .into_inner();
            looks += 1;
            if looks == LOOKS || sensors_of(&answer, &list).len() >= answer.sensors as usize {
                return Ok::<_, tonic::Status>((answer, list));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    });
    let (answer, list) = result.map_err(|status| options.collector.explain(&status))?;
    let block = answer.block.as_ref().context("the collector answered nothing")?;
    let said = sensors_of(&answer, &list);
    let refusals: Vec<String> = said.iter().filter_map(refusal).collect();
    let doing = u64::from(answer.sensors).saturating_sub(refusals.len() as u64);
    if doing == 0 && !refusals.is_empty() {
        say(&format!("{} is not blocked by any sensor", options.network));
        refusals.iter().for_each(|line| say(line));
        return Ok(Outcome::Damaged);
    }
    let clock = options.zone.clock();
    let mode = if block.dry_run || list.dry_run {
        "packets are counted, not dropped (dry run)"
    } else {
        "packets are dropped"
    };
    say(&format!(
        "{} is blocked until {} {}: {mode} by {}",
        options.network,
        clock.date_time(Timestamp(block.until)),
        clock.label(),
        human::plural(doing, "sensor", "sensors")
    ));
    refusals.iter().for_each(|line| say(line));
    if said.len() < answer.sensors as usize {
        say("not all sensors have answered yet; `lynceus blocked` shows what they say");
    }
    if answer.sensors == 0 {
        say("no connected sensor takes part; each needs `allow_block = true` in [block]");
    }
    Ok(Outcome::Done)
}

/// Unblocks.
///
/// # Errors
/// The collector does not answer, or the prefix is not blocked.
pub fn unblock(options: &UnblockOptions) -> anyhow::Result<Outcome> {
    let request = v1::UnblockRequest {
        address: octets(options.network),
        prefix: u32::from(options.network.prefix()),
        reason: options.reason.clone(),
    };
    let (runtime, mut client) = options.collector.control()?;
    let answer = runtime
        .block_on(client.unblock(request))
        .map_err(|status| options.collector.explain(&status))?
        .into_inner();
    let packets = answer.block.map_or(0, |block| block.packets);
    say(&format!(
        "{} is not blocked any more; {} so far",
        options.network,
        human::plural(packets, "packet", "packets")
    ));
    Ok(Outcome::Done)
}

/// Lists.
///
/// # Errors
/// The collector does not answer, or standard output cannot be written.
pub fn blocked(options: &BlockedOptions) -> anyhow::Result<Outcome> {
    let request = v1::ListBlocksRequest {
        ended: options.all,
        log: options.log,
    };
    let (runtime, mut client) = options.collector.control()?;
    let list = runtime
        .block_on(client.list_blocks(request))
        .map_err(|status| options.collector.explain(&status))?
        .into_inner();
    let clock = options.zone.clock();
    let mut out = std::io::stdout().lock();
    if options.log {
        for record in &list.log {
            let prefix = prefix(&record.address, record.prefix);
            let reason = human::printable(&record.reason, 100);
            let time = clock.date_time(Timestamp(record.time));
            writeln!(
                out,
                "{time}  {:9}  {prefix}  by {}  {reason}",
                record.action, record.origin
            )?;
        }
        return Ok(Outcome::Done);
    }
    for block in &list.blocks {
        writeln!(out, "{}", line(block, list.dry_run, &clock))?;
        for line in block.sensors.iter().filter_map(refusal) {
            writeln!(out, "{line}")?;
        }
    }
    if !list.enabled {
        say("blocking is off in the collector's configuration (block.enabled)");
    } else if list.blocks.is_empty() {
        say("nothing is blocked");
    }
    Ok(Outcome::Done)
}

fn line(block: &v1::Block, dry_run: bool, clock: &Clock) -> String {
    let state = match block.ended {
        Some(ended) => format!("ended {}", clock.date_time(Timestamp(ended))),
        None => format!("until {}", clock.date_time(Timestamp(block.until))),
    };
    let verb = if block.dry_run || dry_run {
        "dry run, counted"
    } else {
        "dropped"
    };
    let reason = human::printable(&block.reason, 100);
    format!(
        "{}  {state} {}  {verb} {} ({})  by {}  {reason}",
        prefix(&block.address, block.prefix),
        clock.label(),
        human::plural(block.packets, "packet", "packets"),
        human::bytes(block.bytes),
        block.origin,
    )
}

fn prefix(address: &[u8], prefix: u32) -> String {
    lynceus_proto::block::prefix_of(address, prefix)
        .map_or_else(|_| "?".to_owned(), |network| network.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_written_as_people_write_them() {
        for (text, meant) in [
            ("192.0.2.7", "192.0.2.7/32"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), meant);
        }
        assert!(network("192.0.2.7/33").is_err());
    }
}
