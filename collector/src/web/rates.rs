//! Packets and loss of sensors over the last minutes: statuses hold totals, a rate needs two of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lynceus_model::status::SensorStatus;
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;

use super::Web;

/// Between two readings; sensors report every few seconds.
const EVERY: Duration = Duration::from_secs(5);
/// Readings that are kept of a sensor: ten minutes.
const KEPT: usize = 120;
/// Sensors of which readings are kept; those beyond show no rate.
const SENSORS: usize = 1000;

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Timestamp,
    started: Timestamp,
    seen: u64,
    lost: u64,
}

#[derive(Default)]
pub(super) struct Rates(Mutex<BTreeMap<SensorId, VecDeque<Reading>>>);

/// Rates of one sensor, oldest first, by the second.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) packets: Vec<f64>,
    pub(super) lost: Vec<f64>,
}

/// Packets that the kernel or a stage behind it let go.
pub(super) fn lost(status: &SensorStatus) -> u64 {
    let refused = |point: &lynceus_model::status::PointStatus| -> u64 {
        let full = |counter: &&lynceus_model::status::Counter| counter.reason == "ring_full";
        point
            .refused
            .iter()
            .filter(full)
            .map(|counter| counter.count)
            .sum()
    };
    let points: u64 = status.points.iter().map(refused).sum();
    points + status.losses.iter().map(|loss| loss.count).sum::<u64>()
}

/// Packets that the hooks were called for.
pub(super) fn seen(status: &SensorStatus) -> u64 {
    status.points.iter().map(|point| point.seen).sum()
}

impl Rates {
    fn take(&self, sensor: SensorId, status: &SensorStatus) {
        let mut sensors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !sensors.contains_key(&sensor) && sensors.len() >= SENSORS {
            return;
        }
        let readings = sensors.entry(sensor).or_default();
        let reading = Reading {
            at: status.read_at,
            started: status.started,
            seen: seen(status),
            lost: lost(status),
        };
        if readings.back().is_some_and(|last| last.at >= reading.at) {
            return;
        }
        if readings.len() == KEPT {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    pub(super) fn line(&self, sensor: SensorId) -> Line {
        let sensors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = Line::default();
        let Some(readings) = sensors.get(&sensor) else {
            return line;
        };
        for (before, after) in readings.iter().zip(readings.iter().skip(1)) {
            let seconds = after.at.since(before.at).as_secs_f64();
            // A sensor that was started again counts from 0.
            if before.started == after.started && seconds > 0.0 {
                line.packets
                    .push(after.seen.saturating_sub(before.seen) as f64 / seconds);
                line.lost
                    .push(after.lost.saturating_sub(before.lost) as f64 / seconds);
            }
        }
        line
    }
}

impl Web {
    /// Reads what sensors say, for as long as the page is served.
    pub(super) async fn sample(self) {
        let mut every = tokio::time::interval(EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let sampled = self.ask(|web| {
                for sensor in web.0.query.status()?.sensors {
                    let id = sensor.id.as_slice().try_into().map(SensorId);
                    let status = sensor.status.map(SensorStatus::try_from).transpose()?;
                    if let (Ok(id), Some(status)) = (id, status) {
                        web.0.rates.take(id, &status);
                    }
                }
                Ok(())
            });
            if let Err(refusal) = sampled.await {
                tracing::debug!(reason = refusal.message, "no rates now");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lynceus_model::status::PointStatus;

    use super::*;

    fn status(at: i64, started: i64, seen: u64) -> SensorStatus {
        SensorStatus {
            started: Timestamp::from_secs(started),
            read_at: Timestamp::from_secs(at),
            points: vec![PointStatus {
                seen,
                ..PointStatus::default()
            }],
            ..SensorStatus::default()
        }
    }

    #[test]
    fn a_restart_is_no_rate_and_readings_are_bounded() {
        let rates = Rates::default();
        let sensor = SensorId([1; 16]);
        for (at, started, seen) in [
            (10, 1, 100),
            (20, 1, 1100),
            (20, 1, 1100),
            (30, 25, 5),
            (40, 25, 105),
        ] {
            rates.take(sensor, &status(at, started, seen));
        }
        assert_eq!(rates.line(sensor).packets, [100.0, 10.0]);
        for at in 50..400 {
            rates.take(sensor, &status(at, 25, at as u64 * 2));
        }
        assert_eq!(rates.line(sensor).packets.len(), KEPT - 1);
        assert!(rates.line(SensorId([2; 16])).packets.is_empty());
    }
}
