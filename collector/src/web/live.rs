//! What changes, as server-sent events: `alert` and `evidence` with the same JSON as everywhere, `windows` with the
//! addresses of profiles that changed, `missed` when the reader is too slow and should load anew.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt as _;
use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_proto::v1;
use lynceus_proto::v1::watch_response::Change;
use tokio_stream::wrappers::BroadcastStream;

use super::Web;
use super::error::Refusal;
use crate::json;

/// Between two signs of life, so that dead connections are noticed.
const ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/api/v1/events", get(events))
}

async fn events(State(web): State<Web>) -> Response {
    let Ok(permit) = std::sync::Arc::clone(&web.0.streams).try_acquire_owned() else {
        return Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too many readers of events").json();
    };
    let changes = BroadcastStream::new(web.0.query.changes()).filter_map(|change| async move {
        match change {
            Ok(change) => event(change),
            Err(_) => Some(Event::default().event("missed").data("{}")),
        }
    });
    let begin = futures_util::stream::iter([Event::default().event("watching").data("{}")]);
    let stream = begin.chain(changes).map(move |event| {
        // The permit ends with the stream.
        let _ = &permit;
        Ok::<_, Infallible>(event)
    });
    Sse::new(stream)
        .keep_alive(KeepAlive::new().interval(ALIVE))
        .into_response()
}

fn event(change: v1::WatchResponse) -> Option<Event> {
    let mut data = Vec::new();
    let name = match change.change? {
        Change::Alert(alert) => {
            json::write_alert(&mut data, &Alert::try_from(alert).ok()?);
            "alert"
        }
        Change::Evidence(evidence) => {
            json::write_evidence(&mut data, &Evidence::try_from(evidence).ok()?);
            "evidence"
        }
        Change::Windows(changed) => {
            let profiles = changed
                .windows
                .iter()
                .filter_map(|window| address(&window.profile));
            let mut profiles: Vec<String> = profiles.map(|ip| format!("\"{ip}\"")).collect();
            profiles.dedup();
            data.extend_from_slice(format!("{{\"profiles\":[{}]}}", profiles.join(",")).as_bytes());
            "windows"
        }
        Change::Missed(_) => {
            data.extend_from_slice(b"{}");
            "missed"
        }
        Change::Watching(_) => return None,
    };
    let data = String::from_utf8(data).ok()?;
    Some(Event::default().event(name).data(data.trim_end()))
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(Into::into)
}
