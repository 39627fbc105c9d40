//! What horizontal and vertical port scans have in common.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::app::AppEvent;
use lynceus_model::evidence::Confidence;
use lynceus_model::flow::CommunityId;
use lynceus_model::profile::{Attempt, ProfileDelta, Sample, TupleKey};
use lynceus_model::seeded::Seeded;
use lynceus_model::time::Timestamp;
use lynceus_model::window::{Stage, WindowId};

use crate::ProfileUpdate;
use crate::connection_without_dns::addresses;
use crate::services::{TCP, UDP};
use crate::sightings::{Answer, Sightings, before};

/// Targets of one group (a port, or a host), those that were tried first come first.
pub(crate) struct Group<'a> {
    rows: Vec<(&'a TupleKey, &'a Attempt)>,
    /// Distinct targets, estimated where the profile is truncated.
    pub(crate) targets: f64,
}

/// A group as it stood when it reached a size. It may have grown since, or grow: whoever tells its numbers says "at least".
pub(crate) struct Reached {
    pub(crate) targets: u64,
    pub(crate) packets: u64,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    pub(crate) flows: Vec<CommunityId>,
}

/// Whether a window is worth looking at: regrouping all targets of a window at each update is dear, and only new ones can
/// make a group larger.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Windows with news in a partial update, which is not looked at.
    pending: HashSet<WindowId, Seeded>,
}

impl News {
    /// More cannot be in one partial cut of a sensor. Beyond, news wait for the next ones or the end of the window.
    const MAX_PENDING: usize = 65_536;

    /// `new`: this update brought some.
    pub(crate) fn is_due(&mut self, update: &ProfileUpdate<'_>, new: bool) -> bool {
        let window = update.profile.window;
        match update.stage {
            Stage::Partial => {
                if new && self.pending.len() < Self::MAX_PENDING {
                    self.pending.insert(window);
                }
                false
            }
            Stage::Refreshed => self.take_pending(update) || new,
            Stage::Closed => {
                self.take_pending(update);
                true
            }
        }
    }

    /// Whether a partial update brought news that were not looked at yet.
    pub(crate) fn take_pending(&mut self, update: &ProfileUpdate<'_>) -> bool {
        !self.pending.is_empty() && self.pending.remove(&update.profile.window)
    }
}

/// Addresses that names led to. Who looks for hosts tries addresses; who follows a name knows where it wants to go, and
/// finds it silent where servers are gone, a firewall is in the way, or IPv6 leads nowhere.
#[derive(Debug)]
pub(crate) struct Named(Sightings<IpAddr>);

impl Named {
    /// Addresses of a generation, some 10 MB.
    const MAX_ADDRESSES: usize = 65_536;
    /// So long ago a name may have led to an address that is still used.
    const LOOK_BACK: Duration = Duration::from_secs(24 * 3_600);

    pub(crate) fn new() -> Self {
        Self(Sightings::new(Self::MAX_ADDRESSES))
    }

    /// Learns from answers, whoever asked: hosts have addresses of both IP versions.
    pub(crate) fn note(&mut self, update: &ProfileUpdate<'_>) {
        for record in update.apps {
            if let AppEvent::Dns(dns) = &record.event {
                addresses(dns).for_each(|ip| self.0.note(ip, record.time, record.time));
            }
        }
    }

    /// Whether the attempt looks for a host: no name led there, and the host did not answer the same service by TCP (QUIC
    /// behind a firewall).
    pub(crate) fn is_blind(&self, profile: &ProfileDelta, key: &TupleKey, attempt: &Attempt) -> bool {
        let first = attempt.earliest.first;
        let by_tcp = || {
            let tcp = TupleKey {
                established: true,
                protocol: TCP,
                ..*key
            };
            key.protocol == UDP && profile.out_tuples.get(&tcp).is_some()
        };
        self.0.seen(&key.ip, before(first, Self::LOOK_BACK), first) != Answer::Yes && !by_tcp()
    }

    pub(crate) const fn refused(&self) -> u64 {
        self.0.refused()
    }
}

/// Ports on which browsers try UDP first and TCP a moment later: whether the latter answers shows at the end.
pub(crate) const fn is_quic(protocol: u8, port: u16) -> bool {
    protocol == UDP && matches!(port, 80 | 443)
}

/// Whether a host runs peer-to-peer, and how that shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerToPeer {
    /// Answers from several hosts, each on another high port: nobody's service has its port by chance.
    answers: bool,
    /// Datagrams to many hosts, to hardly any two on the same high port, and to each on one only: no scan looks like that.
    datagrams: bool,
}

impl PeerToPeer {
    pub(crate) fn of(profile: &ProfileDelta) -> Self {
        const ANSWERED: usize = 8;
        const TRIED: usize = 16;
        let high = |key: &&TupleKey| key.port >= 1024;
        let tuples = profile.out_tuples.rows().map(|(key, _)| key).filter(high);
        let (ports, hosts): (BTreeSet<u16>, BTreeSet<IpAddr>) = tuples
            .filter(|key| key.established)
            .map(|key| (key.port, key.ip))
            .unzip();
        let answers = ports.len() >= ANSWERED && hosts.len() >= ANSWERED;
        let tried = profile.attempts.rows().map(|(key, _)| key).filter(high);
        let tried: Vec<&TupleKey> = tried.filter(|key| key.protocol == UDP).collect();
        let ports: BTreeSet<u16> = tried.iter().map(|key| key.port).collect();
        let hosts: BTreeSet<IpAddr> = tried.iter().map(|key| key.ip).collect();
        let spread = ports.len() * 2 >= tried.len() && hosts.len() * 4 >= tried.len() * 3;
        Self {
            answers,
            datagrams: tried.len() >= TRIED && spread,
        }
    }

    /// What goes to this port may be for peers. A bot that finds its like by datagrams still scans by TCP.
    pub(crate) const fn covers(self, protocol: u8, port: u16) -> bool {
        port >= 1024 && (self.answers || self.datagrams && protocol == UDP)
    }
}

/// Groups the targets that did not answer, of those that are wanted, by a part of their key.
pub(crate) fn group_by<K: Ord>(
    attempts: &Sample<TupleKey, Attempt>,
    wanted: impl Fn(&TupleKey, &Attempt) -> bool,
    part: impl Fn(&TupleKey) -> K,
) -> BTreeMap<K, Group<'_>> {
    let mut groups: BTreeMap<K, Group<'_>> = BTreeMap::new();
    for (key, attempt) in attempts.rows().filter(|(key, attempt)| wanted(key, attempt)) {
        let group = groups.entry(part(key)).or_insert_with(|| Group {
            rows: Vec::new(),
            targets: 0.0,
        });
        group.rows.push((key, attempt));
    }
    for group in groups.values_mut() {
        group.targets = group.rows.len() as f64 * attempts.weight_of_row();
    }
    groups
}

impl Group<'_> {
    /// Powers of ten that the group has reached, from `least` on.
    pub(crate) fn sizes(&self, least: u64) -> impl Iterator<Item = u64> + use<> {
        let targets = self.targets;
        std::iter::successors(Some(least.max(1)), |size| size.checked_mul(10))
            .take_while(move |size| *size as f64 <= targets)
    }

    /// The first `size` targets, with the packets of the first flow to each.
    pub(crate) fn at(&mut self, size: u64) -> Reached {
        self.rows
            .sort_unstable_by_key(|(key, attempt)| (attempt.earliest, **key));
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let rows = &self.rows[..size.min(self.rows.len())];
        Reached {
            targets: size as u64,
            packets: rows.iter().map(|(_, attempt)| attempt.earliest.packets).sum(),
            first: rows
                .first()
                .map_or(Timestamp(0), |(_, attempt)| attempt.earliest.first),
            last: rows
                .last()
                .map_or(Timestamp(0), |(_, attempt)| attempt.earliest.first),
            flows: crate::report::samples(rows.iter().map(|(_, attempt)| attempt.earliest.community_id)),
        }
    }
}

impl Reached {
    /// Slips' rule: sure above ten packets.
    pub(crate) fn confidence(&self) -> Confidence {
        Confidence::new(match self.packets {
            0 => 0.3,
            1..=10 => self.packets as f64 / 10.0,
            _ => 1.0,
        })
    }
}

/// Distinct out tuples with an answer that `part` chooses, estimated where the profile is truncated.
pub(crate) fn answered(profile: &ProfileDelta, part: impl Fn(&TupleKey) -> bool) -> f64 {
    let rows = profile
        .out_tuples
        .rows()
        .filter(|(key, _)| key.established && part(key))
        .count();
    rows as f64 * profile.out_tuples.weight_of_row()
}

/// How sure the number of targets with answer is: past its bound a table keeps a sample.
pub(crate) const fn estimate(profile: &ProfileDelta) -> &'static str {
    if profile.out_tuples.truncated() {
        "about"
    } else {
        "exactly"
    }
}

/// Share of the tried targets that did not answer.
pub(crate) fn silent_share(silent: f64, answered: f64) -> f64 {
    silent / (silent + answered).max(1.0)
}
