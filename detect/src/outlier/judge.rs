//! Judging windows that are over.

use std::time::Duration;

use lynceus_model::evidence::{AttackerSide, Feature, OwnPast};
use lynceus_model::evidence::{Confidence, Evidence, EvidenceId, EvidenceType, Explanation, ThreatLevel};
use lynceus_model::outlier::loda::Opinion;
use lynceus_model::outlier::patterns::Item;
use lynceus_model::outlier::{Account, Counterfactual, FEATURES, Past, Reference, Scorer, sentence};
use lynceus_model::time::Timestamp;

use super::baseline::Lesson;
use super::{Baseline, Closed, Compiled, Outlier, Role};

/// The account of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub closed: Closed,
    /// What people call the role.
    pub role: String,
    /// Windows of peers that it was compared with.
    pub peers: u64,
    pub warmth: Warmth,
    pub account: Account,
    /// Of the peers, for each of the terms in turn: median and 99 % quantile; `None` among too few.
    pub usual: Vec<Option<(f64, f64)>>,
    /// Own past of each of the terms: center, smallest, largest, windows.
    pub own: Vec<Option<(f64, f64, f64, u16)>>,
    /// Score from which on it is flagged; infinite while the baseline is not warm.
    pub threshold: f64,
    /// Windows a day, among those that are as they should be, that would score as high; `None` while not warm.
    pub false_alarms: Option<f64>,
    /// What the second voter says.
    pub odd: Option<Odd>,
    pub flagged: bool,
    pub counterfactual: Option<Counterfactual>,
    /// One sentence.
    pub text: String,
}

/// The opinion of the second voter.
#[derive(Clone, Debug, PartialEq)]
pub struct Odd {
    pub opinion: Opinion,
    /// As [`Judged::threshold`].
    pub threshold: f64,
    /// It alone would have flagged the window.
    pub flagged: bool,
}

/// Whether the baseline knows enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warmth {
    Warm,
    /// Windows and time that it has.
    Cold {
        windows: u64,
        span: Duration,
    },
}

/// What the baseline of a role knows, and what it must know before anything is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knows {
    pub role: String,
    pub windows: u64,
    /// Event time from its first window on.
    pub span: Duration,
    pub wanted_windows: u64,
    pub wanted_span: Duration,
    pub warm: bool,
}

/// Scores among fewer peers say nothing about later ones.
const MIN_PEERS: u64 = 50;
/// Peers up to which a window is taken out of what it is compared with; among more it hardly counts.
const LEAVE_OUT: usize = 48;
/// Nats from which on a feature is an attribute for patterns: 1 in 100.
const FEATURE_ITEM: f64 = 4.6;
/// A day, in seconds.
const DAY: f64 = 86_400.0;

impl Outlier {
    /// Judges windows that began together, then learns them.
    pub fn judge(&mut self, mut closed: Vec<Closed>) -> Vec<Evidence> {
        closed.sort_by_key(|closed| (closed.role, closed.window.profile));
        let per_day = self.windows_per_day(&closed);
        let mut found = Vec::new();
        let mut rest = closed.as_slice();
        while let Some(first) = rest.first() {
            let length = rest.partition_point(|closed| closed.role == first.role);
            let (peers, others) = rest.split_at(length);
            rest = others;
            self.judge_role(first.role, peers, per_day, &mut found);
        }
        found
    }

    fn judge_role(&mut self, role: Role, closed: &[Closed], per_day: f64, found: &mut Vec<Evidence>) {
        let start = closed[0].window.start;
        let mut baseline = self
            .baselines
            .remove(&role)
            .unwrap_or_else(|| Baseline::new(start));
        let warmth = self.warmth(&baseline, start);
        let name = self.name_of(role);
        // The bearable alarms are shared by both voters.
        let bearable = self.config.alarms_per_day.max(0.0) / 2.0;
        let needed = libm::log(per_day / bearable);
        let mut judged = Vec::with_capacity(closed.len());
        if warmth == Warmth::Warm {
            let compiled = baseline.compiled();
            let limits = (
                limit(&compiled.scores, needed),
                limit(&compiled.odd_scores, needed),
            );
            for closed in closed {
                let own = self.owns.get(&closed.window.profile).map(|own| &own.past);
                let mut one = compare(closed, compiled, own, &name);
                one.decide(compiled, own, limits, (per_day, bearable));
                judged.push(one);
            }
        } else {
            let generations = [&baseline.current, &baseline.previous];
            let all = || closed.iter().map(|closed| &closed.values);
            let together = Compiled::of_few(&generations, all());
            for (place, closed_one) in closed.iter().enumerate() {
                let own = self.owns.get(&closed_one.window.profile).map(|own| &own.past);
                let mut one = if closed.len() <= LEAVE_OUT {
                    let others = all().enumerate().filter(|(at, _)| *at != place);
                    let others = Compiled::of_few(&generations, others.map(|(_, values)| values));
                    compare(closed_one, &others, own, &name)
                } else {
                    compare(closed_one, &together, own, &name)
                };
                one.warmth = warmth;
                one.text = format!("{} {}", one.text, cold(warmth, &self.config));
                judged.push(one);
            }
        }
        for one in judged {
            let lesson = Lesson {
                start: one.closed.window.start,
                values: &one.closed.values,
                types: one.closed.types,
                score: (one.peers >= MIN_PEERS).then(|| one.account.score.min(one.threshold)),
                odd_score: one
                    .odd
                    .as_ref()
                    .filter(|_| one.peers >= MIN_PEERS)
                    .map(|odd| odd.opinion.score.min(odd.threshold)),
                flagged: one.flagged,
                expected_flags: 2.0 * bearable / per_day,
            };
            if !baseline.learn(&lesson) {
                self.counters.too_old += 1;
            } else if !one.flagged {
                self.learn_own(&one.closed);
            }
            if one.flagged {
                found.push(evidence(&one));
            }
            if self.judged.len() < Self::MAX_JUDGED {
                self.judged.push(one);
            }
        }
        // Evidence of other detectors asks it between two judgements.
        baseline.compiled();
        self.baselines.insert(role, baseline);
    }

    fn learn_own(&mut self, closed: &Closed) {
        if self.owns.len() >= self.config.max_profiles.saturating_mul(2)
            && !self.owns.contains_key(&closed.window.profile)
            && let Some(oldest) = self.owns.iter().map(|(ip, own)| (own.last, *ip)).min()
        {
            self.counters.pasts_forgotten += 1;
            self.owns.remove(&oldest.1);
        }
        let own = self.owns.entry(closed.window.profile).or_default();
        own.learn(closed.window.start, &closed.values, self.position);
    }

    /// Whether a role's baseline knows enough to judge windows that begin now.
    #[must_use]
    pub fn warmth(&self, baseline: &Baseline, now: Timestamp) -> Warmth {
        let (windows, span) = (baseline.windows(), baseline.span(now));
        // Scores begin only with some peers, so they may be a few windows behind.
        let enough = windows >= self.config.warm_windows && baseline.scores() * 2 >= self.config.warm_windows;
        if enough && span >= self.config.warm_after {
            Warmth::Warm
        } else {
            Warmth::Cold { windows, span }
        }
    }

    /// What the baseline of each role knows, as of the latest window that was judged, by the names of the roles.
    pub fn warmths(&self) -> impl Iterator<Item = Knows> {
        self.baselines.iter().map(move |(role, baseline)| {
            let now = baseline.current.last.max(baseline.previous.last);
            Knows {
                role: self.name_of(*role),
                windows: baseline.windows(),
                span: baseline.span(now),
                wanted_windows: self.config.warm_windows,
                wanted_span: self.config.warm_after,
                warm: self.warmth(baseline, now) == Warmth::Warm,
            }
        })
    }

    /// Windows of all roles in a day, these included.
    fn windows_per_day(&self, closed: &[Closed]) -> f64 {
        let known: u64 = self.baselines.values().map(Baseline::windows).sum();
        let first = self
            .baselines
            .values()
            .map(|baseline| baseline.current.first.min(baseline.previous.first))
            .min()
            .unwrap_or(Timestamp::MAX);
        let start = closed
            .first()
            .map_or(Timestamp::MIN, |closed| closed.window.start);
        let days = start
            .saturating_add(self.width)
            .since(first.min(start))
            .as_secs_f64()
            / DAY;
        (known + closed.len() as u64).max(1) as f64 / days.max(1.0)
    }
}

/// The account of a window against `compiled`; nothing is decided yet.
fn compare(closed: &Closed, compiled: &Compiled, own: Option<&Past>, role: &str) -> Judged {
    let scorer = Scorer {
        peers: &compiled.features,
        own,
    };
    let account = scorer.account(&closed.values);
    let usual = account
        .terms
        .iter()
        .map(|term| compiled.features[term.feature].usual())
        .collect();
    let summaries = account
        .terms
        .iter()
        .map(|term| {
            let summary = own?.summary(term.feature)?;
            Some((
                summary.center(term.feature),
                f64::from(summary.smallest),
                f64::from(summary.largest),
                summary.count,
            ))
        })
        .collect();
    let peers = compiled.features.iter().map(Reference::count).max().unwrap_or(0);
    let mut closed = closed.clone();
    for term in account
        .terms
        .iter()
        .filter(|term| term.peers.nats >= FEATURE_ITEM)
    {
        let side = if term.peers.high { "top 1 %" } else { "bottom 1 %" };
        closed.items.insert(Item {
            attribute: format!("feature {}", term.name()),
            value: side.to_owned(),
        });
    }
    let text = text_of(&account, compiled, own, peers, role);
    Judged {
        role: role.to_owned(),
        peers,
        warmth: Warmth::Warm,
        usual,
        own: summaries,
        threshold: f64::INFINITY,
        false_alarms: None,
        odd: compiled.shares.opinion(&closed.values).map(|opinion| Odd {
            opinion,
            threshold: f64::INFINITY,
            flagged: false,
        }),
        flagged: false,
        counterfactual: None,
        text,
        account,
        closed,
    }
}

/// The account in words; among too few peers only what its own past says.
fn text_of(account: &Account, compiled: &Compiled, own: Option<&Past>, peers: u64, role: &str) -> String {
    let said = sentence::of(account, &compiled.features, own);
    let said = said.unwrap_or_else(|| "no feature has a value".to_owned());
    if peers >= Reference::MIN_COUNT {
        return format!(
            "{said}; compared with {} of role {role}",
            sentence::windows(peers)
        );
    }
    let few = sentence::few_peers(peers, role);
    if account.score > 0.0 {
        format!("{few}; against its own past alone: {said}")
    } else {
        few
    }
}

impl Judged {
    fn decide(
        &mut self,
        compiled: &Compiled,
        own: Option<&Past>,
        (limit, odd_limit): (f64, f64),
        (per_day, bearable): (f64, f64),
    ) {
        let rarest = |scores: &Reference, score: f64| per_day * libm::exp(-scores.upper_nats(score));
        let mut expected = rarest(&compiled.scores, self.account.score);
        self.threshold = limit;
        let by_score = self.account.score >= limit;
        if let Some(odd) = &mut self.odd {
            odd.threshold = odd_limit;
            odd.flagged = odd.opinion.score >= odd_limit;
            expected = expected.min(rarest(&compiled.odd_scores, odd.opinion.score));
        }
        let by_combination = self.odd.as_ref().is_some_and(|odd| odd.flagged);
        self.flagged = bearable > 0.0 && (by_score || by_combination);
        // Two voters: either may have been wrong.
        self.false_alarms = Some(2.0 * expected);
        if !self.flagged {
            return;
        }
        let scorer = Scorer {
            peers: &compiled.features,
            own,
        };
        if by_score && !by_combination {
            self.counterfactual = Counterfactual::find(&scorer, &self.closed.values, &self.account, limit);
            self.text = format!(
                "{}; {}",
                self.text,
                sentence::counterfactual(self.counterfactual.as_ref())
            );
        } else if let Some(odd) = &self.odd {
            let names: Vec<&str> = odd
                .opinion
                .features
                .iter()
                .take(3)
                .map(|(feature, _)| FEATURES[*feature].name)
                .collect();
            self.text = format!(
                "{}; the combination is unusual{}, which no single feature explains",
                self.text,
                if names.is_empty() {
                    String::new()
                } else {
                    format!(", most of all in {}", names.join(", "))
                }
            );
        }
    }

    /// How bad it would be: an outlier is odd before it is bad, so rarity alone never makes it more than medium.
    fn threat_level(&self) -> ThreatLevel {
        let rare = self.false_alarms.is_some_and(|alarms| alarms < 0.01);
        if rare {
            ThreatLevel::Medium
        } else {
            ThreatLevel::Low
        }
    }

    /// ½ where it just is flagged, towards 1 the rarer a window as it should be scores so high.
    fn confidence(&self) -> Confidence {
        let alarms = self.false_alarms.unwrap_or(1.0);
        Confidence::new(1.0 / (1.0 + alarms.min(1.0)))
    }
}

/// The smallest score whose upper tail is as rare as needed; infinite where none is.
fn limit(scores: &Reference, needed: f64) -> f64 {
    // More than three features or 64 projections can give.
    const MOST: f64 = 200.0;
    let rare = |score: f64| scores.upper_nats(score) >= needed;
    if !rare(MOST) {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (0_u64, MOST.to_bits());
    while high - low > 1 {
        let middle = low.midpoint(high);
        if rare(f64::from_bits(middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    f64::from_bits(high)
}

fn cold(warmth: Warmth, config: &super::Config) -> String {
    let hours = |span: Duration| span.as_secs_f64() / 3600.0;
    match warmth {
        Warmth::Warm => String::new(),
        Warmth::Cold { windows, span } => format!(
            "(warming up: the baseline knows {}, so nothing is raised)",
            sentence::progress(
                (windows, config.warm_windows),
                (hours(span), hours(config.warm_after))
            )
        ),
    }
}

fn evidence(judged: &Judged) -> Evidence {
    let closed = &judged.closed;
    let window = closed.window;
    let features = judged
        .account
        .strongest()
        .iter()
        .zip(judged.usual.iter().zip(&judged.own))
        .map(|(term, (usual, own))| Feature {
            name: term.name().into(),
            value: term.value,
            unit: FEATURES[term.feature].unit.into(),
            baseline: usual.map(|(median, _)| median),
            threshold: judged
                .counterfactual
                .filter(|found| found.feature == term.feature)
                .map(|found| found.limit),
            surprisal: Some(term.nats),
            own: own.zip(term.own).map(|((mean, _, _, windows), past)| OwnPast {
                mean,
                surprisal: past.nats,
                windows: windows.into(),
            }),
        });
    Evidence {
        id: EvidenceId::new(closed.sensor, EvidenceType::Outlier, window, ""),
        kind: EvidenceType::Outlier,
        profile: window.profile,
        window_start: window.start,
        window: closed.number,
        attacker: window.profile,
        attacker_side: AttackerSide::Source,
        victim: None,
        subject: None,
        dst_port: None,
        protocol: None,
        threat_level: judged.threat_level(),
        confidence: judged.confidence(),
        description: format!(
            "{} is an outlier in this window: {}",
            window.profile,
            judged
                .account
                .terms
                .first()
                .map_or_else(String::new, |term| format!(
                    "{} = {}",
                    term.name(),
                    sentence::quantity(term.feature, term.value)
                ))
        ),
        explanation: Explanation {
            features: features.collect(),
            text: judged.text.clone(),
        },
        flows: closed.flows.clone(),
        first: closed.span.0,
        last: closed.span.1,
        revision: 0,
        account: None,
        related: Vec::new(),
        accumulated: None,
        src_port: None,
    }
}
