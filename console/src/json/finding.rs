//! The lines of evidence, alerts, windows and the summary of an analysis. All but the windows are the collector's own.

use std::net::IpAddr;

use lynceus_collector::json::Object;
pub use lynceus_collector::json::{Summary, write_alert, write_evidence, write_summary};

use super::number;
use crate::view::WindowView;

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
