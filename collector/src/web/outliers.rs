//! Outliers, what they share, and all about one window, for pages and API.

use std::net::IpAddr;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;

use super::Web;
use super::error::Refusal;
use super::load::Timeline;
use crate::outliers::{AROUND, Account, Alike, Found, NEAR, Pattern, Shared};
use crate::rows::address_bytes;

/// Where nothing is flagged, so many windows with the highest scores count as outliers.
pub(super) const TOP: u32 = 20;
/// Neighbors and earlier windows of a dive.
const NEIGHBORS: usize = 20;
const HISTORY: usize = 12;

type Span = (Option<Timestamp>, Option<Timestamp>);

/// Everything at hand about one window.
pub(super) struct Dive {
    pub(super) account: Account,
    pub(super) evidence: Vec<Evidence>,
    pub(super) alerts: Vec<Alert>,
    /// That show it.
    pub(super) flows: Timeline,
    /// Most bytes first.
    pub(super) neighbors: Vec<(IpAddr, u64)>,
    /// Other windows of the profile, newest first.
    pub(super) history: Vec<Account>,
    pub(super) alike: Vec<Alike>,
    pub(super) patterns: Vec<Pattern>,
}

impl Web {
    /// Blocks, as all below.
    pub(super) fn outliers(
        &self,
        profile: Option<IpAddr>,
        (since, until): Span,
        flagged_only: bool,
        limit: u32,
    ) -> Result<Found, Refusal> {
        let request = v1::ListOutliersRequest {
            profile: profile.map(address_bytes),
            since: since.map(|time| time.0),
            until: until.map(|time| time.0),
            flagged_only,
            limit,
        };
        Found::try_from(self.0.query.outliers(&request)?).map_err(damaged)
    }

    /// `windows`: at most so many of the newest are looked at; 0: as many as one question may.
    pub(super) fn patterns(&self, (since, until): Span, top: u32, windows: u32) -> Result<Shared, Refusal> {
        let request = v1::FindPatternsRequest {
            windows,
            since: since.map(|time| time.0),
            until: until.map(|time| time.0),
            top,
        };
        Shared::try_from(self.0.query.patterns(&request)?).map_err(damaged)
    }

    pub(super) fn account(&self, window: WindowId) -> Result<Account, Refusal> {
        let end = Timestamp(window.start.0.saturating_add(1));
        let found = self.outliers(Some(window.profile), (Some(window.start), Some(end)), false, 1)?;
        found
            .accounts
            .into_iter()
            .next()
            .ok_or_else(|| Refusal::nothing("account: the window is not over, or not kept any more"))
    }

    /// Past cases like a window, and patterns among outliers around its time that it belongs to, with how many
    /// outliers there were.
    pub(super) fn compared(&self, account: &Account) -> Result<(Vec<Alike>, Vec<Pattern>, u64), Refusal> {
        let window = account.id();
        let request = v1::FindAlikeRequest {
            profile: address_bytes(window.profile),
            start: window.start.0,
            limit: 0,
        };
        let cases = self
            .0
            .query
            .alike(&request)?
            .cases
            .into_iter()
            .map(Alike::try_from);
        let alike = cases.collect::<anyhow::Result<_>>().map_err(damaged)?;
        let nanos = i64::try_from(AROUND.as_nanos()).unwrap_or(i64::MAX);
        let around = (
            Some(Timestamp(window.start.0.saturating_sub(nanos))),
            Some(window.start.saturating_add(AROUND)),
        );
        // A capture is not judged, only ranked: its strongest windows are its outliers.
        let top = if account.warming.is_some() { TOP } else { 0 };
        let mut shared = self.patterns(around, top, NEAR)?;
        if shared.cut {
            // The newest ones are not those around it: then those at its time and before.
            let until = Timestamp(window.start.0.saturating_add(1));
            shared = self.patterns((around.0, Some(until)), top, NEAR)?;
        }
        let own = shared.patterns.into_iter().filter(|pattern| account.has(pattern));
        Ok((alike, own.collect(), shared.outliers))
    }

    pub(super) fn dive(&self, window: WindowId) -> Result<Dive, Refusal> {
        let account = self.account(window)?;
        let timeline = if account.flows.is_empty() {
            Timeline::default()
        } else {
            self.timeline(window.profile, None, &account.flows, Vec::new())?
        };
        let around = self.window(window, Vec::new())?;
        let mut neighbors = around.delta.as_ref().map(Self::peers).unwrap_or_default();
        neighbors.truncate(NEIGHBORS);
        let mut history = Vec::new();
        for known in self.windows(window.profile)?.iter().rev() {
            if known.start >= window.start {
                continue;
            }
            if history.len() == HISTORY {
                break;
            }
            let id = WindowId {
                profile: window.profile,
                start: known.start,
            };
            history.push(self.account(id)?);
        }
        let (alike, patterns, _) = self.compared(&account)?;
        Ok(Dive {
            evidence: around.evidence,
            alerts: around.alerts,
            flows: timeline,
            neighbors,
            history,
            alike,
            patterns,
            account,
        })
    }
}

fn damaged(error: anyhow::Error) -> Refusal {
    tracing::error!(%error, "an account does not read as what it is");
    Refusal::internal()
}
