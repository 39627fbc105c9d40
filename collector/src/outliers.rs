//! Accounts of outliers as they are shown and written as JSON: by the commands, the terminal UI, the page and its API.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use lynceus_model::flow::CommunityId;
use lynceus_model::outlier::features::place_of;
use lynceus_model::outlier::score::STRONGEST;
use lynceus_model::outlier::{Reference, sentence};
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;
use lynceus_view::human::plural;
use serde::Serialize;

/// Outliers so long before and after a window make the patterns that it may belong to.
pub const AROUND: Duration = Duration::from_secs(12 * 3600);
/// Windows around one that are looked at for patterns: a dive must not take longer in a large network.
pub const NEAR: u32 = 20_000;

/// Why a window is an outlier, or how far it is from being one. Absent is null in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Account {
    kind: &'static str,
    pub profile: IpAddr,
    /// Number of the window for people.
    pub window: i64,
    #[serde(serialize_with = "seconds")]
    pub window_start: Timestamp,
    /// Peers that it was compared with, and how many of their windows.
    pub role: String,
    pub peers: u64,
    pub features_version: u32,
    pub flagged: bool,
    /// The sum of `nats` of the first three terms, exactly.
    pub score: f64,
    pub threshold: Option<f64>,
    pub false_alarms_per_day: Option<f64>,
    /// What the baseline knows while it is not warm; nothing is raised then.
    pub warming: Option<Warming>,
    /// All features that have a value, strongest first.
    pub terms: Vec<Term>,
    pub odd: Option<Odd>,
    /// `None`: no single feature would change that it is flagged, or it is not flagged.
    pub limit: Option<Limit>,
    pub text: String,
    pub attributes: Vec<Attribute>,
    /// That show it.
    #[serde(serialize_with = "community_ids")]
    pub flows: Vec<CommunityId>,
    /// What an analyst said of it.
    pub label: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Warming {
    pub windows: u64,
    pub hours: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Term {
    pub feature: String,
    pub value: f64,
    pub unit: String,
    pub nats: f64,
    pub peers_nats: f64,
    pub own_nats: Option<f64>,
    pub high: bool,
    pub extrapolated: bool,
    pub peers_median: Option<f64>,
    pub peers_p99: Option<f64>,
    pub own: Option<Own>,
}

/// Own past of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Own {
    pub center: f64,
    pub smallest: f64,
    pub largest: f64,
    pub windows: u32,
}

/// What the second voter says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Odd {
    pub score: f64,
    pub flagged: bool,
    /// Features in which the combination is odd, with their t.
    pub features: Vec<(String, f64)>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    pub feature: String,
    pub limit: f64,
    pub below: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attribute {
    pub attribute: String,
    pub value: String,
}

/// Outliers of a question.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Flagged ones first, then the highest score.
    pub accounts: Vec<Account>,
    /// Windows that were looked at.
    pub windows: u64,
    /// There are older ones that were not.
    pub cut: bool,
}

/// What outliers share and others do not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shared {
    kind: &'static str,
    pub outliers: u64,
    pub others: u64,
    /// Nothing is flagged: the highest scores count as outliers.
    pub by_score: bool,
    pub patterns: Vec<Pattern>,
    pub groups: Vec<Group>,
    /// Combinations that were left out because there were too many.
    pub refused: u64,
    pub cut: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pattern {
    pub attributes: Vec<Attribute>,
    pub outliers: u64,
    pub others: u64,
    pub risk_ratio: f64,
    /// 95 % confidence interval.
    pub low: f64,
    pub high: f64,
    pub false_discovery_rate: f64,
}

/// Outliers with the same account.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    pub windows: u64,
    pub profiles: u64,
    /// Share of each feature in the account.
    pub features: Vec<(String, f64)>,
    /// Attributes that all have.
    pub shared: Vec<Attribute>,
    /// Highest scores first; at most 64.
    pub members: Vec<Member>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Member {
    pub profile: IpAddr,
    #[serde(serialize_with = "seconds")]
    pub window_start: Timestamp,
    pub score: f64,
}

/// A past case like the one that is looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alike {
    /// Cosine of the accounts.
    pub likeness: f64,
    pub account: Account,
}

impl Account {
    #[must_use]
    pub const fn id(&self) -> WindowId {
        WindowId {
            profile: self.profile,
            start: self.window_start,
        }
    }

    /// The terms that make the score.
    #[must_use]
    pub fn strongest(&self) -> &[Term] {
        &self.terms[..self.terms.len().min(STRONGEST)]
    }

    /// So few that nothing can be said of it against them.
    #[must_use]
    pub const fn few_peers(&self) -> bool {
        self.peers < Reference::MIN_COUNT
    }

    /// The features that make the score with their values, those that make less than a twentieth of it left out.
    #[must_use]
    pub fn reasons(&self) -> String {
        if self.score <= 0.0 {
            let said = if self.few_peers() {
                "too few peers to say"
            } else {
                "nothing is odd"
            };
            return said.to_owned();
        }
        let terms = self
            .strongest()
            .iter()
            .filter(|term| term.nats * 20.0 >= self.score);
        let terms: Vec<String> = terms
            .map(|term| format!("{} = {}", term.feature, value(&term.feature, term.value)))
            .collect();
        terms.join(", ")
    }

    /// Whether it has what a pattern asks for.
    #[must_use]
    pub fn has(&self, pattern: &Pattern) -> bool {
        pattern
            .attributes
            .iter()
            .all(|attribute| self.attributes.contains(attribute))
    }
}

impl Pattern {
    /// `port 23/tcp & sensor 3`.
    #[must_use]
    pub fn text(&self) -> String {
        let items = self.attributes.iter();
        let items: Vec<String> = items
            .map(|item| format!("{} {}", item.attribute, item.value))
            .collect();
        items.join(" & ")
    }
}

impl Group {
    /// `37 addresses, 40 windows, same reason: dst_ips (80 %)`.
    #[must_use]
    pub fn title(&self) -> String {
        let features: Vec<String> = self
            .features
            .iter()
            .map(|(feature, share)| format!("{feature} ({:.0} %)", 100.0 * share))
            .collect();
        format!(
            "{}, {}, same reason: {}",
            plural(self.profiles, "address", "addresses"),
            plural(self.windows, "window", "windows"),
            features.join(", ")
        )
    }

    /// `port 23/tcp, country US`: what all have beside their features; empty for a single window, of which all is so.
    #[must_use]
    pub fn shared(&self) -> String {
        if self.windows < 2 {
            return String::new();
        }
        let shared: Vec<String> = self
            .shared
            .iter()
            .filter(|item| !item.attribute.starts_with("feature ") && item.attribute != "sensor")
            .map(|item| format!("{} {}", item.attribute, item.value))
            .collect();
        shared.join(", ")
    }
}

impl Warming {
    /// That ranks are only ranks.
    #[must_use]
    pub fn sentence(self) -> String {
        format!(
            "The baseline is not warm (it knew {} windows over {:.1} hours): these are ranks among the windows at hand, \
             and nothing is raised.",
            self.windows, self.hours
        )
    }
}

/// A value of a feature as people read it.
#[must_use]
pub fn value(feature: &str, number: f64) -> String {
    place_of(feature).map_or_else(|| number.to_string(), |place| sentence::quantity(place, number))
}

impl TryFrom<v1::Outlier> for Account {
    type Error = anyhow::Error;

    fn try_from(wire: v1::Outlier) -> anyhow::Result<Self> {
        let sum: f64 = wire.terms.iter().take(STRONGEST).map(|term| term.nats).sum();
        ensure!(sum == wire.score, "the score is not the sum of its terms");
        let flows = wire.flows.into_iter().map(|id| {
            let id: [u8; 20] = id.try_into().ok().context("a Community ID of another length")?;
            Ok(CommunityId(id))
        });
        Ok(Self {
            kind: "outlier",
            profile: address(&wire.profile)?,
            window: wire.number,
            window_start: Timestamp(wire.start),
            role: wire.role,
            peers: wire.peers,
            features_version: wire.features_version,
            flagged: wire.flagged,
            score: wire.score,
            threshold: wire.threshold,
            false_alarms_per_day: wire.false_alarms_per_day,
            warming: wire.warming.map(|warming| Warming {
                windows: warming.windows,
                hours: warming.hours,
            }),
            terms: wire.terms.into_iter().map(Term::from).collect(),
            odd: wire.odd_score.map(|score| Odd {
                score,
                flagged: wire.odd_flagged,
                features: pairs(wire.odd_features),
            }),
            limit: wire.limit.map(|limit| Limit {
                feature: limit.feature,
                limit: limit.limit,
                below: limit.below,
            }),
            text: wire.text,
            attributes: wire.items.into_iter().map(Attribute::from).collect(),
            flows: flows.collect::<anyhow::Result<_>>()?,
            label: wire.label.map(|label| label.text),
        })
    }
}

impl TryFrom<v1::Alike> for Alike {
    type Error = anyhow::Error;

    fn try_from(wire: v1::Alike) -> anyhow::Result<Self> {
        let outlier = wire.outlier.context("a case without its account")?;
        Ok(Self {
            likeness: wire.likeness,
            account: Account::try_from(outlier)?,
        })
    }
}

impl TryFrom<v1::ListOutliersResponse> for Found {
    type Error = anyhow::Error;

    fn try_from(wire: v1::ListOutliersResponse) -> anyhow::Result<Self> {
        let accounts = wire.outliers.into_iter().map(Account::try_from);
        Ok(Self {
            accounts: accounts.collect::<anyhow::Result<_>>()?,
            windows: wire.windows,
            cut: wire.cut,
        })
    }
}

impl From<v1::OutlierTerm> for Term {
    fn from(wire: v1::OutlierTerm) -> Self {
        let own = wire.own_center.zip(wire.own_smallest).zip(wire.own_largest);
        Self {
            feature: wire.feature,
            value: wire.value,
            unit: wire.unit,
            nats: wire.nats,
            peers_nats: wire.peers_nats,
            own_nats: wire.own_nats,
            high: wire.high,
            extrapolated: wire.extrapolated,
            peers_median: wire.peers_median,
            peers_p99: wire.peers_p99,
            own: own.map(|((center, smallest), largest)| Own {
                center,
                smallest,
                largest,
                windows: wire.own_windows,
            }),
        }
    }
}

impl From<v1::OutlierItem> for Attribute {
    fn from(wire: v1::OutlierItem) -> Self {
        Self {
            attribute: wire.attribute,
            value: wire.value,
        }
    }
}

impl TryFrom<v1::FindPatternsResponse> for Shared {
    type Error = anyhow::Error;

    fn try_from(wire: v1::FindPatternsResponse) -> anyhow::Result<Self> {
        Ok(Self {
            kind: "patterns",
            outliers: wire.outliers,
            others: wire.others,
            by_score: wire.by_score,
            patterns: wire
                .patterns
                .into_iter()
                .map(|pattern| Pattern {
                    attributes: pattern.items.into_iter().map(Attribute::from).collect(),
                    outliers: pattern.outliers,
                    others: pattern.others,
                    risk_ratio: pattern.risk_ratio,
                    low: pattern.low,
                    high: pattern.high,
                    false_discovery_rate: pattern.false_discovery_rate,
                })
                .collect(),
            groups: wire
                .groups
                .into_iter()
                .map(Group::try_from)
                .collect::<anyhow::Result<_>>()?,
            refused: wire.refused,
            cut: wire.cut,
        })
    }
}

impl TryFrom<v1::OutlierGroup> for Group {
    type Error = anyhow::Error;

    fn try_from(wire: v1::OutlierGroup) -> anyhow::Result<Self> {
        let members = wire.members.into_iter().map(|member| {
            Ok(Member {
                profile: address(&member.profile)?,
                window_start: Timestamp(member.start),
                score: member.score,
            })
        });
        Ok(Self {
            windows: wire.windows,
            profiles: wire.profiles,
            features: pairs(wire.features),
            shared: wire.shared.into_iter().map(Attribute::from).collect(),
            members: members.collect::<anyhow::Result<_>>()?,
        })
    }
}

fn pairs(features: Vec<v1::OddFeature>) -> Vec<(String, f64)> {
    features
        .into_iter()
        .map(|feature| (feature.feature, feature.t))
        .collect()
}

fn address(bytes: &[u8]) -> anyhow::Result<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Ok(four.into());
    }
    let sixteen = <[u8; 16]>::try_from(bytes)
        .ok()
        .context("an address of another length")?;
    Ok(sixteen.into())
}

fn community_ids<S: serde::Serializer>(ids: &[CommunityId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(ToString::to_string))
}

/// Seconds since the epoch, to a microsecond: a name for a window, which also has its number.
///
/// # Errors
/// Those of the serializer.
pub fn seconds<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}
