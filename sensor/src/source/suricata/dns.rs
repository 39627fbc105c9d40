//! DNS events of the versions 1 (an answer record a line), 2 (an answer a line) and 3 (request and response).

use std::borrow::Cow;

use lynceus_model::app::{AppEvent, Dns, DnsAnswer, DnsData};
use serde::Deserialize;

use super::{Event, member, message};
use crate::source::log::facts;
use crate::source::log::{Refusal, Row};

/// Answers that are read of an event.
const MOST_ANSWERS: usize = 256;
const MDNS: u16 = 5353;

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    id: u16,
    #[serde(borrow, default)]
    rrname: Cow<'a, str>,
    #[serde(borrow, default)]
    rrtype: Cow<'a, str>,
    #[serde(borrow)]
    rcode: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    queries: Vec<Question<'a>>,
    #[serde(borrow, default)]
    answers: Vec<Answer<'a>>,
    // Of version 1.
    #[serde(borrow)]
    rdata: Option<Cow<'a, str>>,
    ttl: Option<u32>,
}

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow, default)]
    rrname: Cow<'a, str>,
    #[serde(borrow, default)]
    rrtype: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    rrtype: Cow<'a, str>,
    #[serde(default)]
    ttl: u32,
    #[serde(default)]
    rdata: Option<serde_json::Value>,
}

pub(super) fn read(event: &Event<'_>, rows: &mut Vec<Row>) -> Result<(), Refusal> {
    let time = event.time()?;
    let part: Part<'_> = member(event.dns, "dns")?;
    let response = matches!(&*part.kind, "answer" | "response");
    // An answer may be written in the direction of its packet.
    let is_server = |port: u16| matches!(port, 53 | MDNS | 5355);
    let ends = if response && is_server(event.src_port) && !is_server(event.dest_port) {
        event.turned()?
    } else {
        event.ends()?
    };
    let (name, kind) = match part.queries.first() {
        Some(question) => (&question.rrname, &question.rrtype),
        None => (&part.rrname, &part.rrtype),
    };
    let mut answers: Vec<DnsAnswer> = part.answers.iter().take(MOST_ANSWERS).map(answer).collect();
    if let Some(data) = &part.rdata {
        answers.push(DnsAnswer {
            record_type: number(kind),
            ttl: part.ttl.unwrap_or(0),
            data: data_of(kind, data),
        });
    }
    let dns = Dns {
        id: part.id,
        response,
        multicast: ends.tuple.responder.port == MDNS,
        name: facts::domain(name),
        query_type: number(kind),
        rcode: part.rcode.as_deref().map_or(0, rcode),
        truncated: part.answers.len() > MOST_ANSWERS,
        answers: if response { answers } else { Vec::new() },
        latency: None,
    };
    rows.push(message(time, &ends, response, AppEvent::Dns(dns)));
    Ok(())
}

fn answer(answer: &Answer<'_>) -> DnsAnswer {
    let data = match &answer.rdata {
        Some(serde_json::Value::String(text)) => data_of(&answer.rrtype, text),
        // Of SOA and SRV an object.
        Some(serde_json::Value::Object(fields)) => {
            let name = fields
                .get("name")
                .or_else(|| fields.get("mname"))
                .and_then(|name| name.as_str());
            name.map_or(DnsData::Other, |name| DnsData::Name(facts::domain(name)))
        }
        _ => DnsData::Other,
    };
    DnsAnswer {
        record_type: number(&answer.rrtype),
        ttl: answer.ttl,
        data,
    }
}

fn data_of(kind: &str, text: &str) -> DnsData {
    match (kind, text.parse()) {
        (_, Ok(ip)) => DnsData::Address(ip),
        ("TXT", _) => DnsData::Text(text.to_owned()),
        ("CNAME" | "PTR" | "NS" | "DNAME" | "MX" | "SRV", _) => DnsData::Name(facts::domain(text)),
        _ => DnsData::Other,
    }
}

/// Number of a record type (IANA).
fn number(name: &str) -> u16 {
    match name {
        "A" => 1,
        "NS" => 2,
        "CNAME" => 5,
        "SOA" => 6,
        "NULL" => 10,
        "PTR" => 12,
        "HINFO" => 13,
        "MX" => 15,
        "TXT" => 16,
        "AAAA" => 28,
        "SRV" => 33,
        "NAPTR" => 35,
        "DNAME" => 39,
        "DS" => 43,
        "RRSIG" => 46,
        "NSEC" => 47,
        "DNSKEY" => 48,
        "TLSA" => 52,
        "SVCB" => 64,
        "HTTPS" => 65,
        "AXFR" => 252,
        "ANY" => 255,
        other => {
            let digits = other.strip_prefix("TYPE").unwrap_or(other);
            digits.parse().unwrap_or(0)
        }
    }
}

/// Number of a response code (IANA); 2, a failure, where the name is not known.
fn rcode(name: &str) -> u8 {
    match name {
        "NOERROR" => 0,
        "FORMERR" => 1,
        "NXDOMAIN" => 3,
        "NOTIMP" => 4,
        "REFUSED" => 5,
        "YXDOMAIN" => 6,
        "YXRRSET" => 7,
        "NXRRSET" => 8,
        "NOTAUTH" => 9,
        "NOTZONE" => 10,
        _ => 2,
    }
}
