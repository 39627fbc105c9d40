//! `/metrics` in the Prometheus text format and `/healthz`, on loopback.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use lynceus_model::status::{PointStatus, SensorStatus};

use crate::board::Board;
use crate::export::counters::Counters;
use crate::export::outbox::Outbox;

/// A pipeline that put up no status for so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Serves both until the task is dropped.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: tokio::net::TcpListener,
    board: Arc<Board>,
    outbox: Arc<Outbox>,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .with_state((board, outbox));
    axum::serve(listener, router).await
}

async fn metrics(State((board, outbox)): State<(Arc<Board>, Arc<Outbox>)>) -> impl IntoResponse {
    let text = render(&board.status().0, outbox.counters());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// Healthy = the pipeline moves. A collector that is away is no fault of ours; the text says so.
async fn health(State((board, outbox)): State<(Arc<Board>, Arc<Outbox>)>) -> impl IntoResponse {
    let (_, age) = board.status();
    let collector = if outbox.counters().is_connected() {
        "connected"
    } else {
        "away"
    };
    if age > HANGS_AFTER {
        let text = format!(
            "the pipeline does not move since {} s; collector: {collector}\n",
            age.as_secs()
        );
        return (StatusCode::SERVICE_UNAVAILABLE, text);
    }
    (StatusCode::OK, format!("ok; collector: {collector}\n"))
}

/// The page, from the newest status.
#[must_use]
pub fn render(status: &SensorStatus, export: &Counters) -> String {
    let mut page = Page::default();
    for (name, kind) in [
        ("packets_seen_total", "counter"),
        ("packets_recorded_total", "counter"),
        ("packets_resident", "gauge"),
        ("packets_blocked_total", "counter"),
        // What seen − recorded − resident − refused may be off by: more than was seen meanwhile, or more than was
        // recorded meanwhile to the other side, is a loss without a name.
        ("packets_moved_seen", "gauge"),
        ("packets_moved_recorded", "gauge"),
    ] {
        page.family(name, kind);
        for point in &status.points {
            let value = match name {
                "packets_seen_total" => point.seen,
                "packets_recorded_total" => point.recorded,
                "packets_blocked_total" => point.blocked,
                "packets_moved_seen" => point.moved.seen,
                "packets_moved_recorded" => point.moved.recorded,
                _ => point.resident,
            };
            page.sample(name, &labels_of(point), value);
        }
    }
    for (name, degraded) in [("packets_refused_total", false), ("packets_degraded_total", true)] {
        page.family(name, "counter");
        for point in &status.points {
            for counter in if degraded { &point.degraded } else { &point.refused } {
                let labels = [labels_of(point), vec![("reason", &counter.reason)]].concat();
                page.sample(name, &labels, counter.count);
            }
        }
    }
    page.family("drops_total", "counter");
    for loss in &status.losses {
        let labels = [
            ("stage", &*loss.stage),
            ("reason", &*loss.reason),
            ("unit", &*loss.unit),
        ];
        page.sample("drops_total", &labels, loss.count);
    }
    for (name, limit) in [("fill", false), ("fill_limit", true)] {
        page.family(name, "gauge");
        for fill in &status.fills {
            let labels = [("store", &*fill.name), ("unit", &*fill.unit)];
            page.sample(name, &labels, if limit { fill.limit } else { fill.used });
        }
    }
    for (name, value) in export.values() {
        let name = format!("export_{name}_total");
        page.family(&name, "counter");
        page.sample(&name, &[], value);
    }
    page.family("export_connected", "gauge");
    page.sample("export_connected", &[], export.is_connected().into());
    page.text
}

fn labels_of(point: &PointStatus) -> Vec<(&'static str, &str)> {
    let direction = if point.egress { "egress" } else { "ingress" };
    vec![("interface", &point.interface), ("direction", direction)]
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# TYPE lynceus_sensor_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        let _ = write!(self.text, "lynceus_sensor_{name}");
        for (place, (label, text)) in labels.iter().enumerate() {
            let text = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let open = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{close} {value}");
    }
}

#[cfg(test)]
mod tests {
    use lynceus_model::status::{Counter, Fill, Loss};

    use super::*;

    #[test]
    fn every_number_of_a_status_stands_on_the_page() {
        let status = SensorStatus {
            points: vec![PointStatus {
                interface: "eth\"0".to_owned(),
                egress: true,
                seen: 11,
                recorded: 5,
                resident: 4,
                refused: vec![Counter {
                    reason: "no_ip".into(),
                    count: 2,
                }],
                ..PointStatus::default()
            }],
            losses: vec![Loss {
                stage: "spool".into(),
                reason: "spool_full".into(),
                unit: "flows".into(),
                count: 7,
            }],
            fills: vec![Fill {
                name: "spool".into(),
                used: 8,
                limit: 9,
                unit: "bytes".into(),
            }],
            ..SensorStatus::default()
        };
        let page = render(&status, &Counters::default());
        for line in [
            r#"lynceus_sensor_packets_seen_total{interface="eth\"0",direction="egress"} 11"#,
            r#"lynceus_sensor_packets_resident{interface="eth\"0",direction="egress"} 4"#,
            r#"lynceus_sensor_packets_refused_total{interface="eth\"0",direction="egress",reason="no_ip"} 2"#,
            r#"lynceus_sensor_drops_total{stage="spool",reason="spool_full",unit="flows"} 7"#,
            r#"lynceus_sensor_fill{store="spool",unit="bytes"} 8"#,
            r#"lynceus_sensor_fill_limit{store="spool",unit="bytes"} 9"#,
            "lynceus_sensor_export_batches_sent_total 0",
            "lynceus_sensor_export_connected 0",
        ] {
            assert!(
                page.lines().any(|other| other == line),
                "{line}\nis not in\n{page}"
            );
        }
    }
}
