//! The lines of evidence, alerts, windows and the summary of an analysis.

use std::net::IpAddr;
use std::time::Duration;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::flow::CommunityId;
use lynceus_model::time::Timestamp;

use super::{number, optional, seconds};
use crate::view::WindowView;

/// What an analysis came to.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub packets: u64,
    pub flows: u64,
    pub profiles: u64,
    pub windows: u64,
    pub evidence: u64,
    pub alerts: u64,
    /// Packets without a flow, by reason.
    pub refused: Vec<(String, u64)>,
    /// Time that it took: the only thing that differs between two runs.
    pub took: Duration,
}

/// Appends the line of an evidence.
pub fn write_evidence(out: &mut Vec<u8>, evidence: &Evidence) {
    let mut object = Object::new(out, "evidence");
    object.text("id", &evidence.id.to_string());
    object.text("type", evidence.kind.name());
    object.text("profile", &evidence.profile.to_string());
    object.value("window", |out| number(out, evidence.window));
    object.time("window_start", evidence.window_start);
    object.text("attacker", &evidence.attacker.to_string());
    object.value("victim", |out| address(out, evidence.victim));
    object.value("dst_port", |out| optional(out, evidence.dst_port));
    object.value("proto", |out| optional(out, evidence.protocol));
    object.text("threat_level", evidence.threat_level.name());
    object.float("confidence", Some(evidence.confidence.value()));
    object.text("description", &evidence.description);
    object.value("explanation", |out| explanation(out, evidence));
    object.value("flows", |out| flows(out, &evidence.flows));
    object.time("first", evidence.first);
    object.time("last", evidence.last);
    object.end();
}

/// Appends the line of an alert.
pub fn write_alert(out: &mut Vec<u8>, alert: &Alert) {
    let mut object = Object::new(out, "alert");
    object.text("id", &alert.id.to_string());
    object.text("profile", &alert.profile.to_string());
    object.value("window", |out| number(out, alert.window));
    object.time("window_start", alert.window_start);
    object.float("sum", Some(alert.sum));
    object.float("threshold", Some(alert.threshold));
    object.float("confidence", Some(alert.confidence.value()));
    object.value("terms", |out| {
        list(out, &alert.terms, |out, term| {
            let mut object = Object::bare(out);
            object.text("evidence", &term.evidence.to_string());
            object.float("weight", Some(term.weight));
            object.close();
        });
    });
    object.value("flows", |out| flows(out, &alert.flows));
    object.time("first", alert.first);
    object.time("last", alert.last);
    object.end();
}

/// Appends the line of one window of a profile.
pub fn write_window(out: &mut Vec<u8>, profile: IpAddr, window: &WindowView) {
    let mut object = Object::new(out, "window");
    object.text("profile", &profile.to_string());
    object.value("window", |out| number(out, window.number));
    object.time("window_start", window.start);
    object.time("window_end", window.end);
    object.value("flows", |out| number(out, window.flows));
    object.value("packets", |out| number(out, window.packets));
    object.value("bytes", |out| number(out, window.bytes));
    object.value("evidence", |out| number(out, window.evidence));
    object.value("alerts", |out| number(out, window.alerts));
    object.float("threat", Some(window.threat));
    object.float("threshold", Some(window.threshold));
    object.end();
}

/// Appends the line of the summary.
pub fn write_summary(out: &mut Vec<u8>, summary: &Summary) {
    let mut object = Object::new(out, "summary");
    for (name, value) in [
        ("packets", summary.packets),
        ("flows", summary.flows),
        ("profiles", summary.profiles),
        ("windows", summary.windows),
        ("evidence", summary.evidence),
        ("alerts", summary.alerts),
    ] {
        object.value(name, |out| number(out, value));
    }
    object.value("refused", |out| {
        let mut reasons = Object::bare(out);
        for (reason, packets) in &summary.refused {
            reasons.value(reason, |out| number(out, *packets));
        }
        reasons.close();
    });
    object.float("seconds", Some(summary.took.as_secs_f64()));
    object.end();
}

fn explanation(out: &mut Vec<u8>, evidence: &Evidence) {
    let mut object = Object::bare(out);
    object.value("features", |out| {
        list(out, &evidence.explanation.features, |out, feature| {
            let mut object = Object::bare(out);
            object.text("name", &feature.name);
            object.float("value", Some(feature.value));
            object.text("unit", &feature.unit);
            object.float("baseline", feature.baseline);
            object.float("threshold", feature.threshold);
            object.close();
        });
    });
    object.text("text", &evidence.explanation.text);
    object.close();
}

fn flows(out: &mut Vec<u8>, flows: &[CommunityId]) {
    list(out, flows, |out, id| {
        out.push(b'"');
        out.extend_from_slice(&id.text());
        out.push(b'"');
    });
}

fn address(out: &mut Vec<u8>, address: Option<IpAddr>) {
    match address {
        Some(address) => text(out, &address.to_string()),
        None => out.extend_from_slice(b"null"),
    }
}

fn list<T>(out: &mut Vec<u8>, items: &[T], mut each: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (place, item) in items.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        each(out, item);
    }
    out.push(b']');
}

fn text(out: &mut Vec<u8>, text: &str) {
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// An object under construction.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    /// A line of its own, which begins with what it is.
    fn new(out: &'a mut Vec<u8>, kind: &str) -> Self {
        let mut object = Self::bare(out);
        object.text("kind", kind);
        object
    }

    fn bare(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn value(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        text(self.out, name);
        self.out.push(b':');
        write(self.out);
    }

    fn text(&mut self, name: &str, value: &str) {
        self.value(name, |out| text(out, value));
    }

    fn time(&mut self, name: &str, value: Timestamp) {
        self.value(name, |out| seconds(out, value));
    }

    /// JSON knows no infinity and no not-a-number: they are absent.
    fn float(&mut self, name: &str, value: Option<f64>) {
        self.value(name, |out| match value.filter(|value| value.is_finite()) {
            Some(value) => out.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes()),
            None => out.extend_from_slice(b"null"),
        });
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::{detail, overview};

    fn line(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        let line = String::from_utf8(out).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
        line
    }

    #[test]
    fn lines_hold_what_the_issue_names() {
        let detail = detail();
        let mut evidence = detail.evidence[0].clone();
        evidence.description = "quote \" and \u{1b}[0m".into();
        let window = &overview().profiles[1].windows[0];
        let summary = Summary {
            packets: 5,
            refused: vec![("no_ip".into(), 2)],
            ..Summary::default()
        };
        insta::assert_snapshot!(
            [
                line(|out| write_evidence(out, &evidence)),
                line(|out| write_alert(out, &detail.alerts[0])),
                line(|out| write_window(out, detail.id.profile, window)),
                line(|out| write_summary(out, &summary)),
            ]
            .concat()
        );
    }

    #[test]
    fn what_json_cannot_say_is_null() {
        let mut evidence = detail().evidence[0].clone();
        evidence.explanation.features[0].value = f64::NAN;
        let text = line(|out| write_evidence(out, &evidence));
        assert!(
            text.contains("\"name\":\"destinations\",\"value\":null"),
            "{text}"
        );
    }
}
