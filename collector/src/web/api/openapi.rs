//! The description of the API. Written by hand next to the routes; a test asks every path of it, and schemathesis
//! (`tests/tests/system/web.rs`) checks the answers against it.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::Json;

static DESCRIPTION: LazyLock<Vec<u8>> =
    LazyLock::new(|| serde_json::to_vec(&description()).unwrap_or_default());

pub(super) async fn show() -> Json {
    Json(DESCRIPTION.clone())
}

/// A schema of `docs/schema`, as a part of ours.
fn of_docs(text: &str) -> Value {
    let mut schema: Value = serde_json::from_str(text).unwrap_or_default();
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
        object.remove("$id");
    }
    without_tuples(&mut schema);
    schema
}

/// Tools for OpenAPI read `prefixItems` as the `items` list of old drafts and refuse it: a pair becomes a list of two of
/// either type.
fn without_tuples(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::Array(kinds)) = object.remove("prefixItems") {
                object.insert("items".to_owned(), json!({ "anyOf": kinds }));
            }
            object.values_mut().for_each(without_tuples);
        }
        Value::Array(list) => list.iter_mut().for_each(without_tuples),
        _ => {}
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object all of whose fields are there.
fn object(fields: Value) -> Value {
    let names: Vec<String> = fields
        .as_object()
        .map(|fields| fields.keys().cloned().collect())
        .unwrap_or_default();
    json!({ "type": "object", "properties": fields, "required": names, "additionalProperties": false })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn page(items: Value) -> Value {
    object(json!({ "items": list(items), "next": { "type": ["string", "null"] } }))
}

fn operation(summary: &str, parameters: &[Value], answer: &Value) -> Value {
    let refused = |what: &str| json!({ "description": what, "content": { "application/json": { "schema": reference("Error") } } });
    json!({
        "get": {
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": { "description": "The answer", "content": { "application/json": { "schema": answer } } },
                "400": refused("A parameter is not what it must be"),
                "401": refused("A token is wanted"),
                "404": refused("There is no such thing"),
                "421": refused("The host name is not that of this server"),
                "429": refused("Too many requests"),
                "500": refused("The store is damaged"),
                "503": refused("The store does not answer"),
            }
        }
    })
}

fn query(name: &str, schema: Value, what: &str) -> Value {
    json!({ "name": name, "in": "query", "required": false, "schema": schema, "description": what })
}

fn path(name: &str, schema: Value) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn description() -> Value {
    let count = || json!({ "type": "integer", "minimum": 0 });
    let time = || json!({ "type": "number", "description": "seconds since 1970, exact to the nanosecond" });
    let maybe = |kind: &str| json!({ "type": [kind, "null"] });
    let text = || json!({ "type": "string" });
    let flag = || json!({ "type": "boolean" });
    let number = || json!({ "type": "number" });
    let counts = || json!({ "type": "object", "additionalProperties": { "type": "integer" } });
    let address = || json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] });
    let start = || json!({ "type": "string", "pattern": "^-?[0-9]{1,9}(\\.[0-9]{1,9})?$" });
    let id = || json!({ "type": "string", "format": "uuid" });
    let limit = || {
        query(
            "limit",
            json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }),
            "rows of a page",
        )
    };
    let token = || {
        query(
            "page",
            json!({ "type": "string", "pattern": "^([0-9a-f]{2}){0,64}$" }),
            "`next` of the page before",
        )
    };
    let search = || {
        query(
            "q",
            json!({ "type": "string", "maxLength": 1000 }),
            "the query language of docs/web.md",
        )
    };
    let window_fields = json!({
        "start": time(), "end": time(), "number": { "type": "integer" }, "flows": count(), "packets": count(),
        "bytes": count(), "evidence_count": count(), "alert_count": count(), "threat": number(), "threshold": number(),
    });
    let tuple = object(json!({
        "key": text(), "name": maybe("string"), "letters": text(), "flows": count(), "packets": count(), "bytes": count(),
    }));
    let row = object(json!({ "key": text(), "flows": count(), "packets": count(), "bytes": count() }));
    let histogram = object(
        json!({ "established": list(row.clone()), "not_established": list(row), "truncated": flag() }),
    );
    let mut window = window_fields.clone();
    let more = json!({
        "profile": address(), "closed": flag(), "truncated": flag(),
        "source_ports": histogram, "destination_ips": histogram, "destination_ports": histogram, "server_ports": histogram,
        "out_tuples": list(tuple.clone()), "in_tuples": list(tuple), "tuples_truncated": flag(),
        "evidence": list(reference("Evidence")), "alerts": list(reference("Alert")),
    });
    if let (Some(fields), Value::Object(more)) = (window.as_object_mut(), more) {
        fields.extend(more);
    }
    let entry = object(json!({
        "time": time(), "what": text(), "direction": { "enum": ["to", "from"] }, "peer": address(),
        "peer_name": maybe("string"), "port": text(), "outcome": text(), "established": flag(), "sent": count(),
        "received": count(), "packets": count(), "duration": number(), "notes": list(text()),
        "community_id": maybe("string"),
    }));
    let end = object(json!({ "ip": address(), "port": count() }));
    let flow = object(json!({
        "community_id": text(), "first": time(), "last": time(), "originator": end, "responder": end, "proto": count(),
        "state": text(), "established": flag(), "out_packets": count(), "out_bytes": count(), "back_packets": count(),
        "back_bytes": count(), "vlan": list(count()), "notes": list(text()),
    }));
    let profile = object(json!({
        "ip": address(), "me": flag(), "windows": count(), "flows": count(), "packets": count(), "bytes": count(),
        "evidence": count(), "alerts": count(), "threat": number(), "threshold": number(), "telling_window": time(),
        "last": maybe("number"),
    }));
    let point = object(json!({
        "interface": text(), "direction": { "enum": ["ingress", "egress"] }, "hook": text(), "seen": count(),
        "recorded": count(), "resident": count(), "blocked": count(), "refused": counts(), "degraded": counts(),
        "moved": object(json!({ "seen": count(), "recorded": count() })),
        "unaccounted": { "type": "integer" }, "missing": { "type": "integer" },
    }));
    let sensor = object(json!({
        "id": id(), "name": text(), "version": text(), "kernel": maybe("string"), "connected": flag(),
        "received_at": time(), "started": time(), "read_at": time(), "nanos_per_packet": maybe("number"),
        "points": list(point),
        "losses": list(object(json!({ "stage": text(), "reason": text(), "unit": text(), "count": count() }))),
        "fills": list(object(json!({ "name": text(), "used": count(), "limit": count(), "unit": text() }))),
    }));
    let gap = object(json!({
        "sensor": id(), "reason": text(), "first": time(), "last": time(), "batches": maybe("integer"),
        "updates": maybe("integer"), "flows": maybe("integer"), "messages": maybe("integer"), "packets": maybe("integer"),
    }));
    let feed = object(json!({
        "name": text(), "taken": maybe("number"), "indicators": count(), "bad": count(), "expired": count(),
        "bytes": count(), "error": maybe("string"),
    }));
    let block = object(json!({
        "network": text(), "since": time(), "until": time(), "dry_run": flag(), "origin": text(), "reason": text(),
        "packets": count(), "bytes": count(),
    }));
    let module = object(json!({
        "name": text(), "state": text(), "version": maybe("string"), "busy": maybe("number"), "updates": count(),
        "slow": count(), "panics": count(), "hangs": count(), "late": count(), "restarts": count(),
        "waiting": count(), "full": count(), "missed": count(),
        "findings": maybe("integer"), "last_fault": maybe("string"),
    }));
    let known = object(json!({
        "ip": address(), "kind": text(), "windows": count(), "first": maybe("number"), "last": maybe("number"),
        "feeds": { "type": ["array", "null"], "items": text() },
        "dossier": { "type": "object" },
        "evidence": list(reference("Evidence")),
    }));
    let moment = |name: &str, what: &str| {
        query(
            name,
            json!({ "type": "string", "pattern": "^-?[0-9]{1,9}(\\.[0-9]{1,9})?$" }),
            what,
        )
    };
    let shared = of_docs(include_str!("../../../../docs/schema/patterns.json"));
    let pattern = shared["properties"]["patterns"].clone();
    let compared = object(json!({
        "account": reference("Outlier"),
        "alike": list(object(json!({ "likeness": number(), "account": reference("Outlier") }))),
        "patterns": pattern,
        "outliers": count(),
    }));
    let status = object(json!({
        "version": text(), "started": time(), "engine": text(), "durability": text(), "degraded": maybe("string"),
        "log_bytes": count(), "table_bytes": maybe("integer"), "accepted": count(), "applied": count(),
        "profiles": count(), "windows": count(), "totals": counts(), "refused": counts(),
    }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lynceus collector",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the collector knows: profiles, windows, flows, evidence, alerts, sensors. The live stream \
                            (server-sent events) is at /api/v1/events.",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "security": [{}, { "token": [] }],
        "paths": {
            "/api/v1/status": operation("The collector itself", &[], &status),
            "/api/v1/sensors": operation("Sensors with the accounting law of each interface and direction, and gaps", &[],
                &object(json!({ "items": list(sensor), "gaps": list(gap), "gaps_total": count() }))),
            "/api/v1/modules": operation("Detectors that are on, and feeds", &[],
                &object(json!({ "modules": list(module), "whitelist_entries": count(), "feeds": list(feed) }))),
            "/api/v1/blocks": operation("What is blocked now", &[], &object(json!({ "items": list(block) }))),
            "/api/v1/profiles": operation("Profiles, the most threatening first", &[
                    query("q", json!({ "type": "string", "maxLength": 1000 }), "a prefix, or a part of the address"),
                    query("detected", flag(), "only those with alerts"),
                    query("from", json!({ "type": "integer", "minimum": 0, "maximum": 1_000_000 }), "`next` of the page before"),
                    limit(),
                ], &object(json!({ "items": list(profile), "next": maybe("integer"), "total": count() }))),
            "/api/v1/profiles/{ip}": operation("The windows of a profile", &[path("ip", address())],
                &object(json!({ "ip": address(), "me": flag(), "windows": list(object(window_fields)) }))),
            "/api/v1/profiles/{ip}/windows/{start}": operation("A window with its tables, letters, evidence and alerts",
                &[path("ip", address()), path("start", start())], &object(window)),
            "/api/v1/profiles/{ip}/windows/{start}/timeline": operation("What happened in a window",
                &[path("ip", address()), path("start", start()), token()], &page(entry)),
            "/api/v1/evidence": operation("Evidence, the newest first", &[search(), token(), limit()],
                &page(reference("Evidence"))),
            "/api/v1/evidence/{ip}/{start}/{id}": operation("One evidence",
                &[path("ip", address()), path("start", start()), path("id", id())], &reference("Evidence")),
            "/api/v1/alerts": operation("Alerts, the newest first", &[search(), token(), limit()], &page(reference("Alert"))),
            "/api/v1/alerts/{ip}/{start}/{id}": operation("One alert with the evidence of its terms",
                &[path("ip", address()), path("start", start()), path("id", id())],
                &object(json!({ "alert": reference("Alert"), "evidence": list(reference("Evidence")) }))),
            "/api/v1/flows": operation("Flows in the order of their arrival; a page may hold more than `limit`",
                &[search(), token(), limit()], &page(flow)),
            "/api/v1/outliers": operation("Windows by how odd they are: flagged ones first, then the highest score", &[
                    query("ip", address(), "only of this address"),
                    query("flagged", flag(), "only flagged ones"),
                    moment("since", "windows that begin at this time (seconds since 1970) or later"),
                    moment("until", "windows that begin before this time"),
                    limit(),
                ], &object(json!({ "items": list(reference("Outlier")), "windows": count(), "cut": flag() }))),
            "/api/v1/outliers/{ip}/{start}": operation(
                "Why a window is an outlier, past cases like it, and the patterns of outliers that it belongs to",
                &[path("ip", address()), path("start", start())], &compared),
            "/api/v1/patterns": operation("What outliers share and others do not", &[
                    moment("since", "windows that begin at this time (seconds since 1970) or later"),
                    moment("until", "windows that begin before this time"),
                    query("top", json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 20 }),
                        "where nothing is flagged, so many with the highest scores count as outliers"),
                ], &shared),
            "/api/v1/ip/{ip}": operation("What is known of an address", &[path("ip", address())], &known),
        },
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Error": object(json!({ "error": text(), "status": { "type": "integer" } })),
                "Evidence": of_docs(include_str!("../../../../docs/schema/evidence.json")),
                "Outlier": of_docs(include_str!("../../../../docs/schema/outlier.json")),
                "Alert": of_docs(include_str!("../../../../docs/schema/alert.json")),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lead_somewhere() {
        let description = description();
        let text = description.to_string();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(description.pointer(pointer).is_some(), "{pointer}");
        }
        for schema in ["Evidence", "Alert", "Outlier"] {
            let schema = &description["components"]["schemas"][schema];
            assert!(schema["properties"]["profile"].is_object(), "{schema}");
        }
    }
}
