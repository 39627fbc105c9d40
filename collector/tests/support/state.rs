//! What a store holds, for comparing one run with another.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use lynceus_collector::rows;
use lynceus_collector::store::{KeyRange, LogRange, Order, Store, Table};
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::profile::ProfileDelta;

#[derive(Debug, PartialEq)]
pub(crate) struct State {
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) alerts: Vec<Alert>,
    pub(crate) windows: Vec<ProfileDelta>,
    /// Flows, packets, bytes, evidence, alerts by window.
    pub(crate) summaries: Vec<[u64; 6]>,
}

impl State {
    pub(crate) fn of(store: &dyn Store) -> Self {
        let all = |table| {
            store
                .scan(table, &KeyRange::all(), Order::Ascending, usize::MAX >> 1)
                .unwrap()
        };
        let value = |(_, value): (Vec<u8>, Vec<u8>)| value;
        let summary = |bytes: Vec<u8>| {
            let one = rows::read_summary(&bytes).unwrap();
            [
                one.start as u64,
                one.flows,
                one.packets,
                one.bytes,
                one.evidence,
                one.alerts,
            ]
        };
        Self {
            evidence: all(Table::Evidence)
                .into_iter()
                .map(|row| rows::read_evidence(&row.1).unwrap().evidence)
                .collect(),
            alerts: all(Table::Alerts)
                .into_iter()
                .map(|row| rows::read_alert(&row.1).unwrap())
                .collect(),
            windows: all(Table::Windows)
                .into_iter()
                .map(|row| ProfileDelta::clone(&rows::read_window(&row.1).unwrap().profile))
                .collect(),
            summaries: all(Table::Summaries)
                .into_iter()
                .map(value)
                .map(summary)
                .collect(),
        }
    }
}

/// How often each sequence number stands in the log.
#[allow(dead_code, reason = "only some tests count")]
pub(crate) fn log_counts(store: &dyn Store) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    let mut count = |record: lynceus_collector::store::LogRecord| {
        *counts.entry(record.seq).or_default() += 1;
        ControlFlow::Continue(())
    };
    store.read_log(&LogRange::default(), &mut count).unwrap();
    counts
}
