//! Messages in the words of the truth files, and when two of them are the same.

use std::collections::{BTreeMap, BTreeSet};

use lynceus_model::app::{AppEvent, AppRecord, DnsData};
use serde_json::Value;

#[derive(Clone, Debug)]
/// A message as the truth files write it.
pub(crate) struct Seen {
    pub(crate) kind: &'static str,
    pub(crate) time: f64,
    pub(crate) source: (String, u16),
    pub(crate) target: (String, u16),
    pub(crate) values: BTreeMap<&'static str, Value>,
    pub(crate) used: bool,
}

/// `None` for what the truth files do not tell (mDNS, DHCP; ARP is told per address).
pub(crate) fn seen(record: &AppRecord) -> Option<Seen> {
    let mut values = BTreeMap::new();
    let kind = match &record.event {
        AppEvent::Dns(dns) if !dns.multicast => {
            values.insert("id", format!("0x{:04x}", dns.id).into());
            values.insert("response", dns.response.into());
            values.insert("name", dns.name.clone().into());
            values.insert("type", dns.query_type.into());
            if dns.response {
                values.insert("rcode", dns.rcode.into());
                let answers: Vec<Value> = dns
                    .answers
                    .iter()
                    .filter_map(|answer| match &answer.data {
                        DnsData::Address(ip) => Some(ip.to_string().into()),
                        DnsData::Name(name) if answer.record_type == 5 => Some(name.clone().into()),
                        _ => None,
                    })
                    .collect();
                values.insert("answers", answers.into());
            }
            "dns"
        }
        AppEvent::TlsClient(hello) => {
            values.insert("message", "client hello".into());
            values.insert("quic", hello.quic.into());
            values.insert("sni", hello.server_name.clone().into());
            values.insert("ja3", hello.ja3.clone().into());
            values.insert("ja4", hello.ja4.clone().into());
            values.insert("alpn", hello.alpn.clone().into());
            "tls"
        }
        AppEvent::TlsServer(hello) => {
            values.insert("message", "server hello".into());
            values.insert("quic", hello.quic.into());
            values.insert("ja3s", hello.ja3s.clone().into());
            values.insert("cipher", format!("0x{:04x}", hello.cipher).into());
            "tls"
        }
        AppEvent::HttpRequest(request) => {
            values.insert("method", request.method.clone().into());
            values.insert("host", request.host.clone().into());
            values.insert("uri", request.uri.clone().into());
            values.insert("user_agent", request.user_agent.clone().into());
            "http"
        }
        AppEvent::HttpResponse(response) => {
            values.insert("status", response.status.into());
            "http"
        }
        AppEvent::Ssh(ssh) => {
            values.insert("banner", ssh.banner.clone().into());
            "ssh"
        }
        AppEvent::SshKeyExchange(keys) => {
            let name = if record.from_responder {
                "hasshserver"
            } else {
                "hassh"
            };
            values.insert(name, keys.hassh.clone().into());
            "ssh"
        }
        _ => return None,
    };
    let originator = (
        record.tuple.originator.ip.to_string(),
        record.tuple.originator.port,
    );
    let responder = (record.tuple.responder.ip.to_string(), record.tuple.responder.port);
    let (source, target) = if record.from_responder {
        (responder, originator)
    } else {
        (originator, responder)
    };
    Some(Seen {
        kind,
        time: record.time.as_secs_f64(),
        source,
        target,
        values,
        used: false,
    })
}

/// How many marks stand for a run of bytes that are no UTF-8 is a matter of taste.
fn one_mark(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if letter != char::REPLACEMENT_CHARACTER || !out.ends_with(letter) {
            out.push(letter);
        }
    }
    out
}

fn unescape(name: &str) -> String {
    let mut out = Vec::new();
    let mut rest = name;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        out.push(rest[at + 1..at + 4].parse().unwrap());
        rest = &rest[at + 4..];
    }
    out.extend_from_slice(rest.as_bytes());
    one_mark(&String::from_utf8_lossy(&out).to_lowercase())
}

/// Says in which value a message differs from what tshark read.
pub(crate) fn same(seen: &Seen, truth: &Value) -> Result<(), String> {
    for (name, value) in &seen.values {
        let mut expected = truth.get(*name).cloned().unwrap_or(Value::Null);
        let value = &match value {
            Value::String(text) if *name == "name" => unescape(text).into(),
            Value::String(text) if *name == "uri" => text.chars().take(300).collect::<String>().into(),
            Value::Array(list) if *name == "alpn" => list.iter().take(6).cloned().collect(),
            Value::Null => "".into(),
            other => other.clone(),
        };
        if *name == "name" || *name == "answers" {
            expected = match expected {
                Value::String(text) if text == "<Root>" => "".into(),
                Value::String(text) => one_mark(&text.to_lowercase()).into(),
                Value::Array(items) => items
                    .into_iter()
                    .map(|item| item.as_str().unwrap_or_default().to_lowercase())
                    .collect(),
                other => other,
            };
        }
        let equal = match (*name, value, &expected) {
            ("answers", Value::Array(ours), Value::Array(theirs)) => {
                let limited = theirs.len() == 20;
                let theirs: BTreeSet<_> = theirs.iter().map(|item| item.as_str()).collect();
                limited
                    || ours.iter().all(|item| theirs.contains(&item.as_str()))
                        && (ours.is_empty() == theirs.is_empty()
                            || !matches!(truth["type"].as_u64(), Some(1 | 5 | 28)))
            }
            _ => *value == expected,
        };
        if !equal {
            return Err(format!("{name}: {value} but tshark {expected}"));
        }
    }
    Ok(())
}
