//! JSON of what is not evidence or alert; those have `crate::json`.

use lynceus_model::flow::{Endpoint, Flow};
use lynceus_model::status::Counter;
use lynceus_view::screens::{Histogram, HistogramRow, TupleView, WindowView};
use lynceus_view::timeline::Entry;

use super::super::address::Address;
use super::super::index::Short;
use super::super::link;
use crate::json::{Object, list, number, optional, seconds, text};

/// `{"items": […], "next": token or null}`
pub(super) fn page<T>(items: &[T], next: Option<&[u8]>, each: impl FnMut(&mut Vec<u8>, &T)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.value("items", |out| list(out, items, each));
    object.value("next", |out| match next {
        Some(next) => text(out, &link::token(next)),
        None => out.extend_from_slice(b"null"),
    });
    object.close();
    out
}

/// A line of the JSON output as a value: without its end of line.
pub(super) fn line(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    write(out);
    if out.last() == Some(&b'\n') {
        out.pop();
    }
}

pub(super) fn profile(out: &mut Vec<u8>, short: &Short, me: bool) {
    let mut object = Object::bare(out);
    object.text("ip", &short.ip.to_string());
    object.value("me", |out| flag(out, me));
    for (name, value) in [
        ("windows", short.windows),
        ("flows", short.flows),
        ("packets", short.packets),
        ("bytes", short.bytes),
        ("evidence", short.evidence),
        ("alerts", short.alerts),
    ] {
        object.value(name, |out| number(out, value));
    }
    object.float("threat", Some(short.threat));
    object.float("threshold", Some(short.threshold));
    object.time("telling_window", short.telling);
    object.value("last", |out| match short.last {
        Some(last) => seconds(out, last),
        None => out.extend_from_slice(b"null"),
    });
    object.close();
}

pub(super) fn window(out: &mut Vec<u8>, window: &WindowView) {
    let mut object = Object::bare(out);
    window_fields(&mut object, window);
    object.close();
}

pub(super) fn window_fields(object: &mut Object<'_>, window: &WindowView) {
    object.time("start", window.start);
    object.time("end", window.end);
    object.value("number", |out| number(out, window.number));
    for (name, value) in [
        ("flows", window.flows),
        ("packets", window.packets),
        ("bytes", window.bytes),
        ("evidence_count", window.evidence),
        ("alert_count", window.alerts),
    ] {
        object.value(name, |out| number(out, value));
    }
    object.float("threat", Some(window.threat));
    object.float("threshold", Some(window.threshold));
}

pub(super) fn histogram(out: &mut Vec<u8>, histogram: &Histogram) {
    let rows = |out: &mut Vec<u8>, rows: &[HistogramRow]| {
        list(out, rows, |out, row| {
            let mut object = Object::bare(out);
            object.text("key", &row.key);
            counts(&mut object, row.flows, row.packets, row.bytes);
            object.close();
        });
    };
    let mut object = Object::bare(out);
    object.value("established", |out| rows(out, &histogram.established));
    object.value("not_established", |out| rows(out, &histogram.not_established));
    object.value("truncated", |out| flag(out, histogram.truncated));
    object.close();
}

pub(super) fn tuple(out: &mut Vec<u8>, tuple: &TupleView) {
    let mut object = Object::bare(out);
    object.text("key", &tuple.key);
    object.value("name", |out| maybe_text(out, tuple.name.as_deref()));
    object.text("letters", &tuple.letters);
    counts(&mut object, tuple.flows, tuple.packets, tuple.bytes);
    object.close();
}

fn counts(object: &mut Object<'_>, flows: u64, packets: u64, bytes: u64) {
    object.value("flows", |out| number(out, flows));
    object.value("packets", |out| number(out, packets));
    object.value("bytes", |out| number(out, bytes));
}

pub(super) fn entry(out: &mut Vec<u8>, entry: &Entry) {
    let mut object = Object::bare(out);
    object.time("time", entry.time);
    object.text("what", &entry.what);
    object.text("direction", entry.direction.word());
    object.text("peer", &entry.peer.to_string());
    object.value("peer_name", |out| maybe_text(out, entry.peer_name.as_deref()));
    object.text("port", &entry.port);
    object.text("outcome", entry.outcome);
    object.value("established", |out| flag(out, entry.established));
    object.value("sent", |out| number(out, entry.sent));
    object.value("received", |out| number(out, entry.received));
    object.value("packets", |out| number(out, entry.packets));
    object.float("duration", Some(entry.duration.as_secs_f64()));
    object.value("notes", |out| {
        list(out, &entry.notes, |out, note| text(out, note))
    });
    object.value("community_id", |out| match entry.community_id {
        Some(id) => text(out, &id.to_string()),
        None => out.extend_from_slice(b"null"),
    });
    object.close();
}

pub(super) fn flow(out: &mut Vec<u8>, flow: &Flow, notes: &[String]) {
    let end = |out: &mut Vec<u8>, end: &Endpoint| {
        let mut object = Object::bare(out);
        object.text("ip", &end.ip.to_string());
        object.value("port", |out| number(out, end.port));
        object.close();
    };
    let mut object = Object::bare(out);
    object.text("community_id", &flow.community_id.to_string());
    object.time("first", flow.first);
    object.time("last", flow.last);
    object.value("originator", |out| end(out, &flow.tuple.originator));
    object.value("responder", |out| end(out, &flow.tuple.responder));
    object.value("proto", |out| number(out, flow.tuple.protocol));
    object.text("state", flow.state.name());
    object.value("established", |out| flag(out, flow.established()));
    for (name, value) in [
        ("out_packets", flow.out.packets),
        ("out_bytes", flow.out.bytes),
        ("back_packets", flow.back.packets),
        ("back_bytes", flow.back.bytes),
    ] {
        object.value(name, |out| number(out, value));
    }
    object.value("vlan", |out| list(out, &flow.vlan, |out, id| number(out, *id)));
    object.value("notes", |out| list(out, notes, |out, note| text(out, note)));
    object.close();
}

/// What is known of an address.
pub(in super::super) fn dossier(out: &mut Vec<u8>, address: &Address) {
    let mut object = Object::bare(out);
    object.text("ip", &address.ip.to_string());
    object.text("kind", address.kind());
    object.value("windows", |out| number(out, address.windows));
    object.value("first", |out| maybe_time(out, address.first));
    object.value("last", |out| maybe_time(out, address.last));
    object.value("feeds", |out| match &address.listed {
        Some(feeds) => list(out, feeds, |out, feed| text(out, feed)),
        None => out.extend_from_slice(b"null"),
    });
    object.value("dossier", |out| {
        out.extend_from_slice(lynceus_enrich::dossier::dossier_json(&address.dossier).as_bytes());
    });
    object.value("evidence", |out| {
        list(out, &address.evidence, |out, found| {
            line(out, |out| crate::json::write_evidence(out, found))
        });
    });
    object.close();
}

pub(super) fn counters(out: &mut Vec<u8>, counters: &[Counter]) {
    let mut object = Object::bare(out);
    for counter in counters {
        object.value(&counter.reason, |out| number(out, counter.count));
    }
    object.close();
}

pub(super) fn flag(out: &mut Vec<u8>, flag: bool) {
    out.extend_from_slice(if flag { b"true" } else { b"false" });
}

pub(super) fn maybe_text(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

pub(super) fn maybe_time(out: &mut Vec<u8>, time: Option<lynceus_model::time::Timestamp>) {
    match time {
        Some(time) => seconds(out, time),
        None => out.extend_from_slice(b"null"),
    }
}

pub(super) fn maybe_number(out: &mut Vec<u8>, value: Option<u64>) {
    optional(out, value);
}
