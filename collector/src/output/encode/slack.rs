//! A message for a Slack incoming webhook.

use serde_json::{Value, json};

use super::Item;
use super::text::{self, time};

pub(super) fn encode(item: Item<'_>) -> Value {
    let text = match item {
        Item::Evidence(evidence) => format!(
            "*{}* ({}, confidence {:.2}) {}\n{}",
            evidence.threat_level.name(),
            evidence.kind.name(),
            evidence.confidence.value(),
            time(evidence.last),
            escape(&evidence.description)
        ),
        Item::Alert(alert) => format!("*ALERT* {}\n{}", time(alert.last), escape(&text::alert(alert))),
    };
    let peers = text::peers_in_words(item);
    let text = if peers.is_empty() {
        text
    } else {
        format!("{text}\n_{}_", escape(&peers))
    };
    json!({ "text": text })
}

/// Slack's three control characters; text from the network must not make links or mentions.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
