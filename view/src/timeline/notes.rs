//! What the application messages of one flow say, a short sentence each.

mod sessions;

use std::time::Duration;

use lynceus_model::app::{AppEvent, AppRecord, Arp, Dhcp, Dns, DnsData, HttpRequest, HttpResponse};

use crate::{human, service};

/// Notes of one flow: more would hide the timeline; the rest is counted.
const MAX_NOTES: usize = 8;
/// Messages of one flow that are looked at: pairing questions and answers compares each with those after it.
const MAX_MESSAGES: usize = 256;
/// Names and addresses of one DNS answer.
const MAX_ANSWERS: usize = 4;
/// Characters of a user agent, URI, text record or banner.
const MAX_TEXT: usize = 100;

/// One sentence per exchange, equal ones once with their number.
pub(super) fn of(messages: &[&AppRecord]) -> Vec<String> {
    let looked_at = &messages[..messages.len().min(MAX_MESSAGES)];
    let mut notes: Vec<(String, u32)> = Vec::new();
    for index in 0..looked_at.len() {
        let Some(note) = note(looked_at, index) else {
            continue;
        };
        match notes.iter_mut().find(|(text, _)| *text == note) {
            Some((_, times)) => *times += 1,
            None => notes.push((note, 1)),
        }
    }
    let left_out = notes.len().saturating_sub(MAX_NOTES) + (messages.len() - looked_at.len());
    let mut lines: Vec<String> = notes
        .into_iter()
        .take(MAX_NOTES)
        .map(|(text, times)| {
            if times > 1 {
                format!("{text} (× {times})")
            } else {
                text
            }
        })
        .collect();
    if left_out > 0 {
        lines.push(format!(
            "and {}",
            human::plural(left_out as u64, "message more", "messages more")
        ));
    }
    lines
}

/// The server's name as the client asked for it.
pub(super) fn peer_name(messages: &[&AppRecord]) -> Option<String> {
    messages.iter().find_map(|record| match &record.event {
        AppEvent::TlsClient(hello) => hello.server_name.clone(),
        AppEvent::HttpRequest(request) => request.host.clone(),
        _ => None,
    })
}

fn note(messages: &[&AppRecord], index: usize) -> Option<String> {
    let (record, later) = (messages[index], &messages[index + 1..]);
    Some(match &record.event {
        AppEvent::Dns(dns) => return dns_note(dns, later),
        AppEvent::TlsClient(hello) => {
            let transport = if hello.quic { "QUIC, " } else { "" };
            let target = hello.server_name.as_deref().unwrap_or("a server without name");
            let alpn = if hello.alpn.is_empty() {
                String::new()
            } else {
                format!(" ({})", hello.alpn.join(", "))
            };
            let version = service::tls_version(hello.version);
            format!(
                "{transport}offers {version} to {}{}, JA4 {}",
                clean(target),
                clean(&alpn),
                hello.ja4
            )
        }
        AppEvent::TlsServer(hello) => {
            let version = service::tls_version(hello.version);
            format!(
                "server chose {version}, cipher {:#06x}, JA3S {}",
                hello.cipher, hello.ja3s
            )
        }
        AppEvent::HttpRequest(request) => http_note(request, later),
        AppEvent::HttpResponse(response) => {
            let before = messages[..index]
                .iter()
                .rev()
                .find_map(|record| match record.event {
                    AppEvent::HttpRequest(_) => Some(true),
                    AppEvent::HttpResponse(_) => Some(false),
                    _ => None,
                });
            // The answer to a request is told with it.
            return (before != Some(true)).then(|| format!("answer {}", response_text(response)));
        }
        AppEvent::Ssh(ssh) => {
            let side = if record.from_responder { "server" } else { "client" };
            format!("SSH {side} is {}", clean(&ssh.banner))
        }
        AppEvent::Dhcp(dhcp) => dhcp_note(dhcp),
        AppEvent::SshKeyExchange(keys) => format!("SSH key exchange, HASSH {}", keys.hassh),
        AppEvent::Arp(message) => neighbour_note(message)?,
        _ => return sessions::of(record),
    })
}

/// Neighbour discovery; ARP has no flow.
fn neighbour_note(message: &Arp) -> Option<String> {
    let said = message.discovery?;
    let card = message.sender_mac.map(|byte| format!("{byte:02x}")).join(":");
    Some(match message.operation {
        1 if said.from.is_unspecified() => format!("asks whether {} is free", message.target),
        1 => format!("asks who has {}", message.target),
        _ if message.sender_mac == [0; 6] => format!("says that {} is here", message.sender),
        _ => format!("says that {} has the card {card}", message.sender),
    })
}

fn dns_note(dns: &Dns, later: &[&AppRecord]) -> Option<String> {
    let question = format!("{} {}", service::dns_type(dns.query_type), clean(&dns.name));
    if dns.response {
        return Some(format!("{question} → {}{}", answers(dns), latency(dns.latency)));
    }
    let answered = later.iter().any(|record| {
        matches!(&record.event, AppEvent::Dns(other)
            if other.response && other.id == dns.id && other.name == dns.name && other.query_type == dns.query_type)
    });
    let unanswered = if dns.multicast {
        "asks the network for"
    } else {
        "no answer seen to"
    };
    (!answered).then(|| format!("{unanswered} {question}"))
}

fn answers(dns: &Dns) -> String {
    if dns.rcode != 0 {
        return service::dns_rcode(dns.rcode);
    }
    if dns.answers.is_empty() {
        return "no records".to_owned();
    }
    let mut shown: Vec<String> = dns
        .answers
        .iter()
        .take(MAX_ANSWERS)
        .map(|answer| match &answer.data {
            DnsData::Address(ip) => ip.to_string(),
            DnsData::Name(name) => clean(name),
            DnsData::Text(text) => format!("\"{}\"", clean(text)),
            DnsData::Other => service::dns_type(answer.record_type),
        })
        .collect();
    let more = dns.answers.len().saturating_sub(MAX_ANSWERS);
    match (more, dns.truncated) {
        (0, false) => {}
        (0, true) => shown.push("more".to_owned()),
        (more, false) => shown.push(format!("{more} more")),
        (more, true) => shown.push(format!("more than {more} more")),
    }
    shown.join(", ")
}

fn latency(latency: Option<Duration>) -> String {
    // The coarse clock of a live capture tells nothing below a tick: zero is not known, not fast.
    let told = latency.filter(|time| !time.is_zero());
    told.map_or_else(String::new, |time| format!(" ({})", human::duration(time)))
}

fn http_note(request: &HttpRequest, later: &[&AppRecord]) -> String {
    let host = request.host.as_deref().map(clean).unwrap_or_default();
    let agent = request
        .user_agent
        .as_deref()
        .map_or_else(String::new, |agent| format!(", agent {}", clean(agent)));
    // HTTP answers come in the order of the requests; the next response is this request's if no request is between.
    let response = later
        .iter()
        .take_while(|record| !matches!(record.event, AppEvent::HttpRequest(_)))
        .find_map(|record| match &record.event {
            AppEvent::HttpResponse(response) => Some(response_text(response)),
            _ => None,
        });
    let answer = response.map_or_else(String::new, |text| format!(" → {text}"));
    format!(
        "{} {host}{}{answer}{agent}",
        clean(&request.method),
        clean(&request.uri)
    )
}

fn response_text(response: &HttpResponse) -> String {
    let mime = response
        .mime
        .as_deref()
        .map_or_else(String::new, |mime| format!(" {}", clean(mime)));
    let length = response
        .content_length
        .map_or_else(String::new, |length| format!(", {}", human::bytes(length)));
    format!("{}{mime}{length}", response.status)
}

fn dhcp_note(dhcp: &Dhcp) -> String {
    let mut note = format!(
        "DHCP {} of {}",
        service::dhcp_message(dhcp.message_type),
        mac(dhcp.client_mac)
    );
    if let Some(name) = &dhcp.host_name {
        note.push_str(&format!(", host name {}", clean(name)));
    }
    if let Some(ip) = dhcp.requested {
        note.push_str(&format!(", asks for {ip}"));
    }
    if let Some(ip) = dhcp.assigned.filter(|ip| !ip.is_unspecified()) {
        note.push_str(&format!(", gets {ip}"));
    }
    note
}

fn mac(address: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = address;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn clean(text: &str) -> String {
    human::printable(text, MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{flow, message};
    use lynceus_model::flow::ConnState;

    #[test]
    fn requests_are_told_with_their_own_answers() {
        let flow = flow(1, "10.0.0.5", "10.0.0.80", 80, 6, ConnState::Sf);
        let get = |uri: &str| {
            let uri = uri.to_owned();
            let request = HttpRequest {
                method: "GET".into(),
                host: Some("a.example".into()),
                uri,
                ..HttpRequest::default()
            };
            message(&flow, false, AppEvent::HttpRequest(request))
        };
        let answer = |status| {
            let mime = Some("text/html".into());
            message(
                &flow,
                true,
                AppEvent::HttpResponse(HttpResponse {
                    status,
                    mime,
                    ..HttpResponse::default()
                }),
            )
        };
        let records = [
            answer(301),
            get("/"),
            answer(200),
            get("/x"),
            get("/y"),
            answer(404),
        ];
        let notes = of(&records.iter().collect::<Vec<_>>());
        assert_eq!(
            notes,
            [
                "answer 301 text/html",
                "GET a.example/ → 200 text/html",
                "GET a.example/x",
                "GET a.example/y → 404 text/html"
            ]
        );
    }

    #[test]
    fn questions_without_answer_say_so_and_repeats_are_counted() {
        let flow = flow(1, "10.0.0.5", "10.0.0.1", 53, 17, ConnState::S0);
        let dns = Dns {
            name: "gone.example".into(),
            query_type: 28,
            ..Dns::default()
        };
        let record = message(&flow, false, AppEvent::Dns(dns));
        assert_eq!(
            of(&[&record, &record, &record]),
            ["no answer seen to AAAA gone.example (× 3)"]
        );
    }

    #[test]
    fn notes_are_bounded() {
        let flow = flow(1, "10.0.0.5", "10.0.0.1", 53, 17, ConnState::S0);
        let records: Vec<AppRecord> = (0..1000)
            .map(|n| {
                let dns = Dns {
                    name: format!("{n}.example"),
                    query_type: 1,
                    ..Dns::default()
                };
                message(&flow, false, AppEvent::Dns(dns))
            })
            .collect();
        let notes = of(&records.iter().collect::<Vec<_>>());
        assert_eq!(notes.len(), MAX_NOTES + 1);
        assert_eq!(notes[MAX_NOTES], "and 992 messages more");
    }
}
