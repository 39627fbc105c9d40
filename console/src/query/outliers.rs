//! Questions about outliers.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::Context;
use lynceus_model::flow::Flow;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;

use super::convert::{self, address_bytes};
use super::{PAGE, Query};
use crate::outliers::{Account, Alike, Found, Shared};
use crate::timeline;
use crate::view::WindowView;

/// Names of one address that are kept.
const MAX_NAMES: usize = 3;

impl Query {
    /// Windows with the highest scores, flagged ones first.
    ///
    /// # Errors
    /// When the collector does not answer, or not as it should.
    pub fn outliers(
        &self,
        profile: Option<IpAddr>,
        span: Option<(Timestamp, Timestamp)>,
        flagged_only: bool,
        limit: u32,
    ) -> anyhow::Result<Found> {
        let request = v1::ListOutliersRequest {
            profile: profile.map(address_bytes),
            since: span.map(|(since, _)| since.0),
            until: span.map(|(_, until)| until.0),
            flagged_only,
            limit,
        };
        let answer = self.ask(async |mut client| client.list_outliers(request).await)?;
        Found::try_from(answer).with_context(|| self.bad_answer())
    }

    /// The account of one window; `None` where there is none (yet).
    ///
    /// # Errors
    /// As [`Query::outliers`].
    pub fn outlier(&self, window: WindowId) -> anyhow::Result<Option<Account>> {
        let span = (window.start, Timestamp(window.start.0.saturating_add(1)));
        let found = self.outliers(Some(window.profile), Some(span), false, 1)?;
        Ok(found.accounts.into_iter().next())
    }

    /// What the outliers of a period share. `top`: so many with the highest scores count, where nothing is flagged.
    /// `windows`: at most so many of the newest are looked at; 0: as many as the collector wants.
    ///
    /// # Errors
    /// As [`Query::outliers`].
    pub fn patterns(
        &self,
        span: Option<(Timestamp, Timestamp)>,
        top: u32,
        windows: u32,
    ) -> anyhow::Result<Shared> {
        let request = v1::FindPatternsRequest {
            windows,
            since: span.map(|(since, _)| since.0),
            until: span.map(|(_, until)| until.0),
            top,
        };
        let answer = self.ask(async |mut client| client.find_patterns(request).await)?;
        Shared::try_from(answer).with_context(|| self.bad_answer())
    }

    /// Past cases with an account like that of a window, most alike first.
    ///
    /// # Errors
    /// As [`Query::outliers`].
    pub fn alike(&self, window: WindowId) -> anyhow::Result<Vec<Alike>> {
        let request = v1::FindAlikeRequest {
            profile: address_bytes(window.profile),
            start: window.start.0,
            limit: 0,
        };
        let answer = self.ask(async |mut client| client.find_alike(request).await)?;
        let cases = answer.cases.into_iter().map(Alike::try_from);
        cases
            .collect::<anyhow::Result<_>>()
            .with_context(|| self.bad_answer())
    }

    /// Notes what an analyst says of a window; an empty text takes it away.
    ///
    /// # Errors
    /// There is no account of the window, the text is too long, or as [`Query::outliers`].
    pub fn label(&self, window: WindowId, text: &str) -> anyhow::Result<Account> {
        let request = v1::SetLabelRequest {
            profile: address_bytes(window.profile),
            start: window.start.0,
            text: text.to_owned(),
        };
        let answer = self.ask(async |mut client| client.set_label(request).await)?;
        let outlier = answer.outlier.with_context(|| self.bad_answer())?;
        Account::try_from(outlier).with_context(|| self.bad_answer())
    }

    /// All windows of a profile, in order of time.
    ///
    /// # Errors
    /// As [`Query::outliers`].
    pub fn windows_of(&self, profile: IpAddr) -> anyhow::Result<Vec<WindowView>> {
        let mut windows = Vec::new();
        let mut page = Vec::new();
        loop {
            let request = v1::ListWindowsRequest {
                profile: address_bytes(profile),
                page_size: PAGE,
                page,
            };
            let answer = self.ask(async |mut client| client.list_windows(request).await)?;
            windows.extend(answer.windows.iter().map(convert::window));
            page = answer.next_page;
            if page.is_empty() {
                return Ok(windows);
            }
        }
    }

    /// Flows in which an address takes part, names of addresses in their messages, and whether there are more.
    ///
    /// # Errors
    /// As [`Query::outliers`].
    #[allow(clippy::type_complexity, reason = "three parts of one answer")]
    pub fn flows_of(
        &self,
        profile: IpAddr,
        from: Timestamp,
        to: Timestamp,
    ) -> anyhow::Result<(Vec<Flow>, BTreeMap<IpAddr, Vec<String>>, bool)> {
        let (traffic, cut) = self.traffic(profile, from, to, &[])?;
        let (flows, messages) = traffic.finish();
        let mut names: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
        for (ip, name) in timeline::names(&messages) {
            let known = names.entry(ip).or_default();
            if known.len() < MAX_NAMES {
                known.push(name);
            }
        }
        Ok((flows, names, cut))
    }
}
