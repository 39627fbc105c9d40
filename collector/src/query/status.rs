//! How sensors and collector are doing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lynceus_detect::outlier::Knows;
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::v1;
use tonic::Status;

use super::{QueryService, failed};
use crate::attach::SeatFigures;
use crate::knowledge::Known;
use crate::modules::ModuleFigures;
use crate::rows;
use crate::store::{KeyRange, Order, Table};

/// Sensors in one answer.
const MAX_SENSORS: usize = 1000;
/// Gaps in one answer, and gaps that are counted.
const GAPS: (usize, usize) = (100, 10_000);

impl QueryService {
    /// Sensors, gaps and the collector itself. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn status(&self) -> Result<v1::GetStatusResponse, Status> {
        let mut sensors = Vec::new();
        for (_, value) in self.scan(Table::Sensors, &KeyRange::all(), MAX_SENSORS)? {
            let mut sensor = rows::read_sensor(&value).map_err(|error| failed(&error))?;
            let id = sensor.id.as_slice().try_into().map(SensorId);
            sensor.connected = id.is_ok_and(|id| self.shared.is_connected(id));
            sensors.push(sensor);
        }
        let (shown, counted) = GAPS;
        let gaps = self
            .store
            .scan(Table::Gaps, &KeyRange::all(), Order::Descending, counted);
        let gaps = gaps.map_err(|error| failed(&error))?;
        let newest: Result<_, _> = gaps
            .iter()
            .take(shown)
            .map(|(_, value)| rows::read_gap(value))
            .collect();
        Ok(v1::GetStatusResponse {
            sensors,
            collector: Some(self.collector()),
            gaps: newest.map_err(|error| failed(&error))?,
            gaps_total: gaps.len() as u64,
        })
    }

    /// Figures of this process and its store.
    #[must_use]
    pub fn collector(&self) -> v1::CollectorStatus {
        let store = self.store.status();
        let engine = self.live.figures();
        let missing: u64 = self
            .store
            .marks()
            .iter()
            .map(|(_, mark)| mark.missing_count())
            .sum();
        let counter = |(reason, count): (&str, u64)| v1::Counter {
            reason: reason.to_owned(),
            count,
        };
        let mut totals: Vec<v1::Counter> = self.shared.counters.totals().into_iter().map(counter).collect();
        let now = [
            ("missing_now", missing),
            ("windows_in_memory", engine.windows),
            ("window_bytes", engine.window_bytes),
            ("outlier_bytes", engine.outlier_bytes),
            ("damaged_blocks", store.damaged),
            ("recovered_bytes", store.recovered_bytes),
            ("dossier_hits", self.dossiers.hits.load(Ordering::Relaxed)),
            ("dossier_misses", self.dossiers.misses.load(Ordering::Relaxed)),
            ("dossier_evicted", self.dossiers.evicted.load(Ordering::Relaxed)),
        ];
        totals.extend(now.map(counter));
        let mut refused: Vec<v1::Counter> = self
            .shared
            .counters
            .refused()
            .iter()
            .map(|(reason, count)| counter((reason, *count)))
            .collect();
        if engine.evidence_refused > 0 {
            refused.push(counter(("evidence_beyond_bound", engine.evidence_refused)));
        }
        if engine.evidence_whitelisted > 0 {
            refused.push(counter(("evidence_whitelisted", engine.evidence_whitelisted)));
        }
        let outliers = engine.outliers;
        for (what, count) in [
            ("outlier_windows_open", outliers.open_refused),
            ("outlier_windows_judged_early", outliers.judged_early),
            ("outlier_windows_late", outliers.late),
            ("outlier_windows_too_old", outliers.too_old),
            ("outlier_sensors_forgotten", outliers.sensors_forgotten),
            ("outlier_pasts_forgotten", outliers.pasts_forgotten),
        ] {
            if count > 0 {
                refused.push(counter((what, count)));
            }
        }
        let facts = self.live.facts();
        let feeds = facts.known().iter().map(feed).collect();
        for (name, output) in self.shared.counters.outputs() {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            for (what, count) in [
                ("delivered", read(&output.delivered)),
                ("retries", read(&output.retries)),
                ("waiting_bytes", read(&output.waiting)),
            ] {
                totals.push(counter((&format!("output_{name}_{what}"), count)));
            }
            for (what, count) in [
                ("rejected", read(&output.rejected)),
                ("no_room", read(&output.refused)),
            ] {
                if count > 0 {
                    refused.push(counter((&format!("output_{name}_{what}"), count)));
                }
            }
        }
        if let Some(lookups) = facts.lookups() {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let counters = lookups.counters();
            totals.push(counter(("lookups_answered", read(&counters.answered))));
            totals.push(counter(("lookups_failed", read(&counters.failed))));
            for (what, count) in [
                ("lookups_no_room", read(&counters.refused)),
                ("lookups_forgotten", read(&counters.forgotten)),
            ] {
                if count > 0 {
                    refused.push(counter((what, count)));
                }
            }
        }
        let mut modules: Vec<v1::ModuleStatus> = self.live.modules().into_iter().map(module).collect();
        modules.extend(self.shared.seats.figures().into_iter().map(attached));
        let streams = self.shared.streams();
        if !streams.modules.is_empty() {
            totals.push(counter(("module_stream_entries", streams.entries)));
            totals.push(counter(("module_stream_trimmed", streams.trimmed)));
            totals.push(counter(("module_findings_waiting", streams.waiting)));
        }
        modules.extend(streams.modules);
        v1::CollectorStatus {
            feeds,
            whitelist_entries: facts.whitelist().len() as u64,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.shared.started.0,
            engine: store.engine.to_owned(),
            durability: store.durability.name().to_owned(),
            degraded: self
                .shared
                .fatal()
                .or(store.degraded)
                .or_else(|| self.shared.degraded()),
            log_bytes: store.log_bytes,
            table_bytes: store.table_bytes,
            accepted_position: store.last_position.0,
            applied_position: self.shared.applied().0,
            totals,
            refused,
            modules,
            outliers: self.live.warmths().into_iter().map(warmth).collect(),
        }
    }
}

fn warmth(known: Knows) -> v1::OutlierWarmth {
    let hours = |span: Duration| span.as_secs_f64() / 3600.0;
    v1::OutlierWarmth {
        role: known.role,
        windows: known.windows,
        hours: hours(known.span),
        wanted_windows: known.wanted_windows,
        wanted_hours: hours(known.wanted_span),
        warm: known.warm,
    }
}

fn module(figures: ModuleFigures) -> v1::ModuleStatus {
    let state = if figures.stopped { "stopped" } else { "running" };
    v1::ModuleStatus {
        name: figures.name.to_owned(),
        state: state.to_owned(),
        version: None,
        findings: None,
        updates: figures.updates,
        busy_nanos: Some(u64::try_from(figures.busy.as_nanos()).unwrap_or(u64::MAX)),
        slow: figures.slow,
        panics: figures.panics,
        hangs: figures.hangs,
        late: figures.late,
        restarts: figures.restarts(),
        last_fault: figures.last_fault,
        position: None,
        refused: figures.refused,
        waiting: figures.waiting,
        full: figures.full,
        missed: figures.missed,
    }
}

fn attached(figures: SeatFigures) -> v1::ModuleStatus {
    let state = if figures.attached { "attached" } else { "away" };
    v1::ModuleStatus {
        name: figures.name,
        state: state.to_owned(),
        version: Some(figures.version),
        updates: figures.updates,
        restarts: figures.restarts,
        findings: Some(figures.findings),
        last_fault: figures.last_fault,
        position: Some(figures.position),
        ..v1::ModuleStatus::default()
    }
}

fn feed(known: &Known) -> v1::FeedStatus {
    v1::FeedStatus {
        name: known.name.clone(),
        taken: known.taken.map(|seconds| Timestamp::from_secs(seconds).0),
        indicators: known.indicators,
        bad: known.bad,
        expired: known.expired,
        bytes: known.bytes,
        error: known.error.clone(),
    }
}
