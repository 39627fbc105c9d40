//! ICMP echoes (RFC 792, 4443) to the address itself.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use surge_ping::{Client, Config, ICMP, IcmpPacket, PingIdentifier, PingSequence, SurgeError};

use super::settings::Ping;
use super::tree::Table;
use super::{Cost, Fault, Info, Leak, Provider, Question, Quota, Reply};
use crate::wire::{Sender, Wire};

pub(super) static INFO: Info = Info {
    name: "ping",
    cost: Cost::Free,
    needs_key: false,
    sends: true,
    leak: Leak::Target,
    who: "the address, and the networks on the way, see your address",
    quota: Quota::UNLIMITED,
    fresh: None,
    any_address: true,
    needs_position: false,
};

/// What came back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Echoes {
    pub sent: u16,
    /// Round-trip times of those that were answered, in the order of sending. Never shorter than the truth: the clock
    /// starts before the packet is handed to the kernel.
    pub times: Vec<Duration>,
    /// Time to live of the last answer, where the kernel says it.
    pub ttl: Option<u8>,
}

impl Echoes {
    #[must_use]
    pub fn min(&self) -> Option<Duration> {
        self.times.iter().min().copied()
    }

    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        self.times.iter().max().copied()
    }

    #[must_use]
    pub fn average(&self) -> Option<Duration> {
        let count = u32::try_from(self.times.len()).ok().filter(|count| *count > 0)?;
        Some(self.times.iter().sum::<Duration>() / count)
    }

    /// Percent that were not answered.
    #[must_use]
    pub fn loss(&self) -> f64 {
        let lost = usize::from(self.sent).saturating_sub(self.times.len());
        100.0 * lost as f64 / f64::from(self.sent.max(1))
    }
}

/// Bytes behind the ICMP header, as of the usual `ping`.
const PAYLOAD: [u8; 56] = *b"lynceus ip --active: see the sender's address for why.  ";
/// Between two echoes.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends `count` echoes, one after the other. Blocks for at most `count` time-outs and pauses.
///
/// # Errors
/// The system gives no ICMP socket (it needs `CAP_NET_RAW` or the group in `net.ipv4.ping_group_range`), or has no route.
pub fn echo(ip: IpAddr, count: u16, timeout: Duration) -> Result<Echoes, Fault> {
    let local = |error: std::io::Error| Fault::Local(format!("no ICMP socket: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(local)?;
    runtime.block_on(async {
        let kind = if ip.is_ipv4() { ICMP::V4 } else { ICMP::V6 };
        let client = Client::new(&Config::builder().kind(kind).build()).map_err(local)?;
        let identifier = uuid::Uuid::new_v4().into_bytes();
        let identifier = PingIdentifier(u16::from_be_bytes([identifier[0], identifier[1]]));
        let mut pinger = client.pinger(ip, identifier).await;
        pinger.timeout(timeout);
        let mut echoes = Echoes::default();
        for number in 0..count {
            if number > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            echoes.sent += 1;
            let begin = Instant::now();
            match pinger.ping(PingSequence(number), &PAYLOAD).await {
                Ok((packet, _)) => {
                    echoes.times.push(begin.elapsed());
                    echoes.ttl = match packet {
                        IcmpPacket::V4(packet) => packet.get_ttl(),
                        IcmpPacket::V6(packet) => Some(packet.get_max_hop_limit()),
                    };
                }
                Err(SurgeError::IOError(error)) => return Err(Fault::Unreachable(error.to_string())),
                Err(_) => {}
            }
        }
        Ok(echoes)
    })
}

pub(super) struct PingProvider {
    pub(super) settings: Ping,
    pub(super) wire: Arc<Wire>,
}

impl Provider for PingProvider {
    fn info(&self) -> &'static Info {
        &INFO
    }

    fn enabled(&self) -> bool {
        self.settings.enabled
    }

    fn ask(&self, question: &Question) -> Result<Reply, Fault> {
        let Ping { timeout, count, .. } = self.settings;
        let what = format!("{count} ICMP echoes");
        self.wire
            .note(Sender::of(&INFO, question.ip), &question.ip.to_string(), &what)?;
        let echoes = echo(question.ip, count, Duration::from_millis(timeout))?;
        let mut table = Table::new(INFO.name);
        table.put("timeout", Some(timeout));
        table.put("count", Some(count));
        table.put("max", echoes.max().map(milliseconds));
        table.put("min", echoes.min().map(milliseconds));
        table.put("avg", echoes.average().map(milliseconds));
        table.put("percent_loss", Some(echoes.loss()));
        table.put("ttl", echoes.ttl);
        Ok(Reply::found(table.done()))
    }
}

/// To the microsecond.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
