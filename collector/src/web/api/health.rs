//! Sensors, the collector, modules and feeds.

use axum::extract::State;
use lynceus_model::time::Timestamp;
use lynceus_proto::v1;

use super::super::Web;
use super::super::load::Sensor;
use super::{Answer, Json, write};
use crate::json::{self, Object, list, number};

pub(super) async fn status(State(web): State<Web>) -> Answer {
    let (health, index) = web.ask(|web| Ok((web.health()?, web.index()?))).await?;
    let collector = &health.collector;
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.text("version", &collector.version);
    object.time("started", Timestamp(collector.started));
    object.text("engine", &collector.engine);
    object.text("durability", &collector.durability);
    object.value("degraded", |out| {
        write::maybe_text(out, collector.degraded.as_deref())
    });
    object.value("log_bytes", |out| number(out, collector.log_bytes));
    object.value("table_bytes", |out| {
        write::maybe_number(out, collector.table_bytes)
    });
    object.value("accepted", |out| number(out, collector.accepted_position));
    object.value("applied", |out| number(out, collector.applied_position));
    object.value("profiles", |out| number(out, index.profiles.len()));
    object.value("windows", |out| number(out, index.windows));
    object.value("totals", |out| counts(out, &collector.totals));
    object.value("refused", |out| counts(out, &collector.refused));
    object.close();
    Ok(Json(out))
}

fn counts(out: &mut Vec<u8>, counters: &[v1::Counter]) {
    let mut object = Object::bare(out);
    for counter in counters {
        object.value(&counter.reason, |out| number(out, counter.count));
    }
    object.close();
}

pub(super) async fn sensors(State(web): State<Web>) -> Answer {
    let health = web.ask(|web| web.health()).await?;
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.value("items", |out| list(out, &health.sensors, sensor));
    object.value("gaps", |out| {
        list(out, &health.gaps, |out, (sensor, gap)| {
            let mut object = Object::bare(out);
            object.text("sensor", &json::uuid(sensor.0).to_string());
            object.text("reason", gap.reason.name());
            object.time("first", gap.first);
            object.time("last", gap.last);
            for (name, count) in [
                ("batches", gap.batches),
                ("updates", gap.updates),
                ("flows", gap.flows),
                ("messages", gap.apps),
                ("packets", gap.packets),
            ] {
                object.value(name, |out| write::maybe_number(out, count));
            }
            object.close();
        });
    });
    object.value("gaps_total", |out| number(out, health.gaps_total));
    object.close();
    Ok(Json(out))
}

fn sensor(out: &mut Vec<u8>, sensor: &Sensor) {
    let status = &sensor.status;
    let mut object = Object::bare(out);
    object.text("id", &json::uuid(sensor.id.0).to_string());
    object.text("name", &status.name);
    object.text("version", &status.version);
    object.value("kernel", |out| write::maybe_text(out, status.kernel.as_deref()));
    object.value("connected", |out| write::flag(out, sensor.connected));
    object.time("received_at", sensor.received_at);
    object.time("started", status.started);
    object.time("read_at", status.read_at);
    object.float("nanos_per_packet", status.nanos_per_packet);
    object.value("points", |out| {
        list(out, &status.points, |out, point| {
            let mut object = Object::bare(out);
            object.text("interface", &point.interface);
            object.text("direction", if point.egress { "egress" } else { "ingress" });
            object.text("hook", &point.hook);
            for (name, count) in [
                ("seen", point.seen),
                ("recorded", point.recorded),
                ("resident", point.resident),
                ("blocked", point.blocked),
            ] {
                object.value(name, |out| number(out, count));
            }
            object.value("refused", |out| write::counters(out, &point.refused));
            object.value("degraded", |out| write::counters(out, &point.degraded));
            object.value("moved", |out| {
                let mut object = Object::bare(out);
                object.value("seen", |out| number(out, point.moved.seen));
                object.value("recorded", |out| number(out, point.moved.recorded));
                object.close();
            });
            for (name, count) in [("unaccounted", point.unaccounted()), ("missing", point.missing())] {
                // Packets fit an i64 on any machine; JSON knows one kind of number.
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                object.value(name, |out| number(out, count));
            }
            object.close();
        });
    });
    object.value("losses", |out| {
        list(out, &status.losses, |out, loss| {
            let mut object = Object::bare(out);
            object.text("stage", &loss.stage);
            object.text("reason", &loss.reason);
            object.text("unit", &loss.unit);
            object.value("count", |out| number(out, loss.count));
            object.close();
        });
    });
    object.value("fills", |out| {
        list(out, &status.fills, |out, fill| {
            let mut object = Object::bare(out);
            object.text("name", &fill.name);
            object.value("used", |out| number(out, fill.used));
            object.value("limit", |out| number(out, fill.limit));
            object.text("unit", &fill.unit);
            object.close();
        });
    });
    object.close();
}

pub(super) async fn modules(State(web): State<Web>) -> Answer {
    let health = web.ask(|web| web.health()).await?;
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.value("modules", |out| list(out, &health.collector.modules, module));
    object.value("whitelist_entries", |out| {
        number(out, health.collector.whitelist_entries)
    });
    object.value("feeds", |out| {
        list(out, &health.collector.feeds, |out, feed| {
            let mut object = Object::bare(out);
            object.text("name", &feed.name);
            object.value("taken", |out| write::maybe_time(out, feed.taken.map(Timestamp)));
            for (name, count) in [
                ("indicators", feed.indicators),
                ("bad", feed.bad),
                ("expired", feed.expired),
                ("bytes", feed.bytes),
            ] {
                object.value(name, |out| number(out, count));
            }
            object.value("error", |out| write::maybe_text(out, feed.error.as_deref()));
            object.close();
        });
    });
    object.close();
    Ok(Json(out))
}

fn module(out: &mut Vec<u8>, module: &v1::ModuleStatus) {
    let mut object = Object::bare(out);
    object.text("name", &module.name);
    object.text("state", &module.state);
    object.value("version", |out| write::maybe_text(out, module.version.as_deref()));
    object.float("busy", module.busy_nanos.map(|nanos| nanos as f64 / 1e9));
    for (name, count) in [
        ("updates", module.updates),
        ("slow", module.slow),
        ("panics", module.panics),
        ("hangs", module.hangs),
        ("late", module.late),
        ("waiting", module.waiting),
        ("full", module.full),
        ("missed", module.missed),
        ("restarts", module.restarts),
    ] {
        object.value(name, |out| number(out, count));
    }
    object.value("findings", |out| write::maybe_number(out, module.findings));
    object.value("last_fault", |out| {
        write::maybe_text(out, module.last_fault.as_deref())
    });
    object.close();
}

/// What is blocked now.
pub(super) async fn blocks(State(web): State<Web>) -> Answer {
    let blocks = web.ask(Web::blocks).await?;
    let mut out = Vec::new();
    let mut object = Object::bare(&mut out);
    object.value("items", |out| {
        list(out, &blocks, |out, block| {
            let network = lynceus_proto::block::prefix_of(&block.address, block.prefix);
            let mut object = Object::bare(out);
            object.text(
                "network",
                &network.map(|network| network.to_string()).unwrap_or_default(),
            );
            object.time("since", Timestamp(block.since));
            object.time("until", Timestamp(block.until));
            object.value("dry_run", |out| write::flag(out, block.dry_run));
            object.text("origin", &block.origin);
            object.text("reason", &block.reason);
            object.value("packets", |out| number(out, block.packets));
            object.value("bytes", |out| number(out, block.bytes));
            object.close();
        });
    });
    object.close();
    Ok(Json(out))
}
