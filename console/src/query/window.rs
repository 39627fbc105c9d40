//! One window as the screens show it: its beginning at once, the rest of a long timeline when nothing else is asked.

use std::net::IpAddr;

use anyhow::Context;
use lynceus_collector::query::Collected;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::profile::ProfileDelta;
use lynceus_model::window::WindowId;
use lynceus_proto::v1;

use super::{MAX_TRAFFIC, Query, Wanted, convert, names};
use crate::desk::{Answer, Spare, WindowAnswer};
use crate::peers::{self, other_side};
use crate::timeline;
use crate::view::{Tables, WindowDetail, WindowView};

/// A window whose timeline is not read to its end.
pub(super) struct Reading {
    id: WindowId,
    window: WindowView,
    profile: Option<ProfileDelta>,
    evidence: Vec<Evidence>,
    alerts: Vec<Alert>,
    traffic: Collected,
    /// Where it goes on; empty: nowhere.
    page: Vec<u8>,
}

impl Query {
    /// A window that was not shown before comes with the first page of its timeline; [`Query::read_on`] brings the rest.
    pub(super) fn load_window(&mut self, id: WindowId) -> anyhow::Result<Option<WindowAnswer>> {
        let request = v1::GetWindowRequest {
            profile: super::address_bytes(id.profile),
            start: id.start.0,
        };
        let answer = match self.ask_raw(async |mut client| client.get_window(request).await) {
            Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
            other => other.map_err(|status| self.explain(&status))?,
        };
        let summary = answer.summary.with_context(|| self.bad_answer())?;
        let window = convert::window(&summary);
        let shown = self.shown.as_ref().filter(|(_, answer)| answer.detail.id == id);
        if let Some((_, answer)) = shown.filter(|(shown, _)| *shown == window) {
            return Ok(Some(answer.clone()));
        }
        // What the reader looks at already must not shrink to its first page because it grew.
        let whole = shown.is_some();
        let profile = answer
            .profile
            .map(ProfileDelta::try_from)
            .transpose()
            .with_context(|| self.bad_answer())?;
        let wanted = Wanted {
            profile: Some(id.profile),
            window: Some(id.start),
            span: None,
        };
        let mut reading = Reading {
            id,
            window,
            profile,
            evidence: self.evidence(&wanted)?.items,
            alerts: self.alerts(&wanted)?.items,
            traffic: Collected::default(),
            page: Vec::new(),
        };
        self.read_page(&mut reading)?;
        while whole && reading.goes_on() {
            self.read_page(&mut reading)?;
        }
        self.reading = None;
        if reading.goes_on() {
            let first = reading.answer(reading.traffic.clone());
            self.reading = Some(reading);
            self.shown = None;
            return Ok(Some(first));
        }
        Ok(Some(self.finish(reading)))
    }

    /// The next page of the window that was opened last; `None`: it is read.
    pub(super) fn read_on(&mut self) -> anyhow::Result<Option<Spare>> {
        let Some(mut reading) = self.reading.take() else {
            return Ok(None);
        };
        if let Err(error) = self.read_page(&mut reading) {
            // It goes on where it stopped when the collector is back.
            self.reading = Some(reading);
            return Err(error);
        }
        if reading.goes_on() {
            self.reading = Some(reading);
            return Ok(Some(Spare::More));
        }
        let answer = self.finish(reading);
        Ok(Some(Spare::Answer(Answer::Window(Box::new(answer)))))
    }

    fn read_page(&self, reading: &mut Reading) -> anyhow::Result<()> {
        let span = (reading.window.start, reading.window.end);
        let page = reading.page.clone();
        reading.page = self.traffic_page(reading.id.profile, span, &[], page, &mut reading.traffic)?;
        Ok(())
    }

    fn finish(&mut self, mut reading: Reading) -> WindowAnswer {
        let traffic = std::mem::take(&mut reading.traffic);
        let answer = reading.answer(traffic);
        self.shown = Some((reading.window, answer.clone()));
        answer
    }
}

impl Reading {
    fn goes_on(&self) -> bool {
        !self.page.is_empty() && self.traffic.len() < MAX_TRAFFIC
    }

    fn answer(&self, traffic: Collected) -> WindowAnswer {
        let (flows, messages) = traffic.finish();
        let mut names = timeline::names(&messages);
        let tables = self
            .profile
            .as_ref()
            .map(|profile| Tables::of(profile, &names))
            .unwrap_or_default();
        names::of_hosts(&messages, &mut names);
        let left_out = if self.page.is_empty() {
            0
        } else {
            self.window.flows.saturating_sub(flows.len() as u64).max(1)
        };
        let detail = WindowDetail {
            id: self.id,
            end: self.window.end,
            number: self.window.number,
            entries: timeline::build(self.id.profile, &flows, &messages),
            left_out,
            evidence: self.evidence.clone(),
            alerts: self.alerts.clone(),
            tables,
        };
        WindowAnswer {
            peers: peers::of(addresses(&detail), &detail.evidence),
            names,
            detail,
        }
    }
}

/// Everybody whom a window's screens name.
fn addresses(detail: &WindowDetail) -> impl Iterator<Item = IpAddr> {
    let tables = &detail.tables;
    let rows = tables
        .destination_ips
        .established
        .iter()
        .chain(&tables.destination_ips.not_established);
    let tuples = tables.out_tuples.iter().chain(&tables.in_tuples);
    [detail.id.profile]
        .into_iter()
        .chain(rows.filter_map(|row| row.ip))
        .chain(tuples.map(|tuple| tuple.ip))
        .chain(detail.entries.iter().map(|entry| entry.peer))
        .chain(detail.evidence.iter().filter_map(other_side))
}
