//! DNS, mDNS and LLMNR messages (RFC 1035, 6762, 4795).
//!
//! A message that ends too early gives what stands in it up to there, marked as truncated: first fragments and cut
//! captures still tell the question. Only a question that cannot be read makes a message malformed.

mod name;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lynceus_model::app::{Dns, DnsAnswer, DnsData};

use self::name::read_name;
use super::Malformed;

/// Answers kept of one message. A full 4 KiB answer of A records holds about 250; 64 addresses tell the story.
const MAX_ANSWERS: usize = 64;
/// Bytes of text kept of one TXT record.
const MAX_TEXT: usize = 4096;

const TYPE_A: u16 = 1;
const TYPE_NS: u16 = 2;
const TYPE_CNAME: u16 = 5;
const TYPE_PTR: u16 = 12;
const TYPE_MX: u16 = 15;
const TYPE_TXT: u16 = 16;
const TYPE_AAAA: u16 = 28;
const TYPE_SRV: u16 = 33;
const TYPE_DNAME: u16 = 39;

/// Reads one message without the length prefix of TCP. Latency is left unknown.
///
/// # Errors
/// No whole header, an opcode that does not exist, or a question that cannot be read.
pub fn read(message: &[u8], multicast: bool) -> Result<Dns, Malformed> {
    let header: &[u8; 12] = message.first_chunk().ok_or(Malformed)?;
    let field = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let flags = field(2);
    // QUERY to DSO (RFC 8490); more than one question is never used in unicast.
    if (flags >> 11) & 15 > 6 {
        return Err(Malformed);
    }
    let (questions, answers) = (field(4), field(6));
    let mut dns = Dns {
        id: field(0),
        response: flags & 0x8000 != 0,
        multicast,
        rcode: (flags & 15) as u8,
        ..Dns::default()
    };
    let mut at = 12;
    for index in 0..questions {
        let mut name = String::new();
        let Some(end) = read_name(message, at, &mut name) else {
            if index == 0 {
                return Err(Malformed);
            }
            dns.truncated = true;
            return Ok(dns);
        };
        let Some(query_type) = be16(message, end) else {
            return Err(Malformed);
        };
        if index == 0 {
            (dns.name, dns.query_type) = (name, query_type);
        }
        at = end + 4;
    }
    read_answers(message, at, questions == 0, answers, &mut dns);
    Ok(dns)
}

/// Reads the answer section. A message without a question (mDNS) is named by its first answer.
fn read_answers(message: &[u8], mut at: usize, names_message: bool, count: u16, dns: &mut Dns) {
    let mut owner = String::new();
    for index in 0..count {
        if dns.answers.len() >= MAX_ANSWERS {
            dns.truncated = true;
            return;
        }
        owner.clear();
        let Some((answer, end)) =
            read_name(message, at, &mut owner).and_then(|end| read_record(message, end))
        else {
            dns.truncated = true;
            return;
        };
        if index == 0 && names_message {
            (dns.name, dns.query_type) = (std::mem::take(&mut owner), answer.record_type);
        }
        dns.answers.push(answer);
        at = end;
    }
}

/// Reads type, class, TTL and data of a record; returns where the next one begins.
fn read_record(message: &[u8], at: usize) -> Option<(DnsAnswer, usize)> {
    let record_type = be16(message, at)?;
    let ttl = u32::from_be_bytes(*message.get(at + 4..)?.first_chunk()?);
    let start = at + 10;
    let end = start + usize::from(be16(message, at + 8)?);
    let data = read_data(message, record_type, start, message.get(start..end)?);
    Some((
        DnsAnswer {
            record_type,
            ttl,
            data,
        },
        end,
    ))
}

fn read_data(message: &[u8], record_type: u16, start: usize, data: &[u8]) -> DnsData {
    let name_at = match record_type {
        TYPE_A => {
            return <[u8; 4]>::try_from(data).map_or(DnsData::Other, |bytes| {
                DnsData::Address(IpAddr::V4(Ipv4Addr::from(bytes)))
            });
        }
        TYPE_AAAA => {
            return <[u8; 16]>::try_from(data).map_or(DnsData::Other, |bytes| {
                DnsData::Address(IpAddr::V6(Ipv6Addr::from(bytes)))
            });
        }
        TYPE_TXT => return DnsData::Text(read_text(data)),
        TYPE_NS | TYPE_CNAME | TYPE_PTR | TYPE_DNAME => start,
        TYPE_MX => start + 2,
        TYPE_SRV => start + 6,
        _ => return DnsData::Other,
    };
    let mut name = String::new();
    match read_name(message, name_at, &mut name) {
        // The name in place must not run over the end of its record.
        Some(end) if end <= start + data.len() => DnsData::Name(name),
        _ => DnsData::Other,
    }
}

fn read_text(mut data: &[u8]) -> String {
    let mut bytes = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        let (text, after) = rest.split_at(usize::from(length).min(rest.len()));
        bytes.extend_from_slice(text);
        data = after;
        if bytes.len() >= MAX_TEXT {
            bytes.truncate(MAX_TEXT);
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn be16(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
