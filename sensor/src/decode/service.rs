//! Which application protocol the first payload of a flow shows: by content, only where the content is certain.

use std::sync::LazyLock;

use lynceus_model::app::AppEvent;
use lynceus_model::flow::Service;
use memchr::memmem::Finder;

use super::{TCP, http};

/// The protocol of a message that a decoder read.
pub(super) const fn of_event(event: &AppEvent) -> Service {
    match event {
        AppEvent::Dns(message) if message.multicast => Service::Mdns,
        AppEvent::Dns(_) => Service::Dns,
        AppEvent::TlsClient(hello) if hello.quic => Service::Quic,
        AppEvent::TlsServer(hello) if hello.quic => Service::Quic,
        AppEvent::TlsClient(_) | AppEvent::TlsServer(_) | AppEvent::Certificate(_) => Service::Tls,
        AppEvent::HttpRequest(_) | AppEvent::HttpResponse(_) => Service::Http,
        AppEvent::Ssh(_) | AppEvent::SshKeyExchange(_) => Service::Ssh,
        AppEvent::Dhcp(_) => Service::Dhcp,
        AppEvent::Smtp(_) => Service::Smtp,
        AppEvent::Ftp(_) => Service::Ftp,
        AppEvent::Login(_) => Service::Telnet,
        _ => Service::Unseen,
    }
}

/// The protocol that begins with these bytes; [`Service::Unrecognized`] where they do not tell.
///
/// Sources: the RFCs of the protocols; BEP 3 and 5 (BitTorrent), MS-RDPBCGR §2.2.1.1 (RDP), MS-SMB2 §2.2.1 (SMB).
#[must_use]
pub fn recognize(protocol: u8, bytes: &[u8]) -> Service {
    let known = if protocol == TCP {
        stream(bytes)
    } else {
        datagram(bytes)
    };
    known.unwrap_or(Service::Unrecognized)
}

fn stream(bytes: &[u8]) -> Option<Service> {
    Some(match *bytes {
        // Record with a hello; a fatal alert in place of one; an SSLv2 hello that offers SSL 3 or TLS.
        [0x16, 3, 0..=4, _, _, 1 | 2, ..] | [0x15, 3, 0..=4, 0, 2, 2, _] => Service::Tls,
        [0x80..=0x8f, _, 1, 3, 0..=4, 0, _, ..] => Service::Tls,
        [b'S', b'S', b'H', b'-', b'1' | b'2', ..] => Service::Ssh,
        [19, ref rest @ ..] if rest.starts_with(b"BitTorrent protocol") => Service::BitTorrent,
        [0, _, _, _, 0xff | 0xfe, b'S', b'M', b'B', ..] => Service::Smb,
        // TPKT, X.224 connection request or confirm, then RDP's cookie or negotiation.
        [3, 0, _, _, _, 0xe0, _, _, _, _, _, ref rest @ ..] if is_rdp(rest, 1) => Service::Rdp,
        [3, 0, _, _, _, 0xd0, _, _, _, _, _, ref rest @ ..] if is_rdp(rest, 2) || is_rdp(rest, 3) => {
            Service::Rdp
        }
        // Version, number of methods, methods, nothing else.
        [5, count @ 1..=8, ref methods @ ..]
            if methods.len() == usize::from(count) && methods.iter().all(|method| *method <= 9) =>
        {
            Service::Socks
        }
        [4, 1 | 2, _, _, _, _, _, _, .., 0] => Service::Socks,
        // A server's greeting: length, number 0, protocol 10, version as text.
        [_, _, 0, 0, 10, b'3'..=b'9', b'.' | b'0'..=b'9', ..] => Service::Mysql,
        [b'R', b'F', b'B', b' ', b'0', b'0', b'3' | b'4', b'.', ..] => Service::Vnc,
        [0x10, _, 0, 4, b'M', b'Q', b'T', b'T', ..] => Service::Mqtt,
        // WILL, WONT, DO, DONT and an option.
        [0xff, 0xfb..=0xfe, 0..=50, ..] => Service::Telnet,
        [b'+', b'O', b'K', b' ', ..] => Service::Pop3,
        [b'*', b' ', b'O', b'K', b' ' | b'[', ..] => Service::Imap,
        _ => return lines(bytes),
    })
}

/// What lines and messages are searched for. Making a searcher costs more than a search.
static WORDS: LazyLock<Words> = LazyLock::new(|| Words {
    smtp: Finder::new(b"SMTP"),
    ftp: Finder::new(b"FTP"),
    irc: Finder::new(b" :"),
    sip: [Finder::new(b" SIP:"), Finder::new(b" SIP/2.0")],
    http: Finder::new(b" HTTP/1."),
    dht: [b"1:y1:q", b"1:y1:r", b"1:y1:e"].map(Finder::new),
});

struct Words {
    smtp: Finder<'static>,
    ftp: Finder<'static>,
    irc: Finder<'static>,
    sip: [Finder<'static>; 2],
    http: Finder<'static>,
    dht: [Finder<'static>; 3],
}

fn is_rdp(rest: &[u8], negotiation: u8) -> bool {
    rest.starts_with(b"Cookie: mstshash=") || matches!(*rest, [kind, _, 8, 0, ..] if kind == negotiation)
}

/// Protocols of lines whose first line says which.
fn lines(bytes: &[u8]) -> Option<Service> {
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    let line = bytes[..end].to_ascii_uppercase();
    let words = &*WORDS;
    let holds = |word: &Finder<'_>| word.find(&line).is_some();
    if line.starts_with(b"220") && (holds(&words.smtp) || holds(&words.ftp)) {
        return Some(if holds(&words.smtp) {
            Service::Smtp
        } else {
            Service::Ftp
        });
    }
    let begins = |words: &[u8]| line.starts_with(words);
    if begins(b"EHLO ") || begins(b"HELO ") {
        Some(Service::Smtp)
    } else if begins(b"NICK ") || begins(b"CAP LS") || begins(b"USER ") && holds(&words.irc) {
        Some(Service::Irc)
    } else if words.sip.iter().all(holds) || begins(b"SIP/2.0 ") {
        Some(Service::Sip)
    } else if begins(b"HTTP/1.")
        || holds(&words.http)
        || end == bytes.len() && http::may_be_head(bytes) == Some(true)
    {
        // Of a long target only the beginning may be here.
        Some(Service::Http)
    } else {
        None
    }
}

fn datagram(bytes: &[u8]) -> Option<Service> {
    Some(match *bytes {
        // Two zero bits, length in words, magic cookie (RFC 8489 §5).
        [0..=0x3f, _, _, length, 0x21, 0x12, 0xa4, 0x42, ..] if bytes.len() >= 20 && length % 4 == 0 => {
            Service::Stun
        }
        [b'd', b'1', b':', b'a' | b'r' | b'e', ..] | [b'd', b'2', b':', b'i', b'p', ..] if is_dht(bytes) => {
            Service::BitTorrent
        }
        // Long header of a version that has a decoder.
        [first, 0, 0, 0, 1, ..] | [first, 0x6b, 0x33, 0x43, 0xcf, ..] if first & 0x80 != 0 => Service::Quic,
        // Version 1 to 4, a mode of two hosts, at least the fixed part, a stratum that exists (RFC 5905 §7.3).
        [first, stratum, ..]
            if bytes.len() >= 48
                && matches!(first >> 3 & 7, 1..=4)
                && matches!(first & 7, 1..=5)
                && stratum <= 16 =>
        {
            Service::Ntp
        }
        _ => return None,
    })
}

/// A message of BEP 5 says which kind it is: query, response, error.
fn is_dht(bytes: &[u8]) -> bool {
    WORDS.dht.iter().any(|kind| kind.find(bytes).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::UDP;
    use super::*;

    #[test]
    fn by_content() {
        let ntp = [&[0x23, 0], [0; 46].as_slice()].concat();
        let stun = b"\0\x01\0\x08\x21\x12\xa4\x42............";
        for (protocol, bytes, service) in [
            (TCP, b"\x16\x03\x01\x02\0\x01\0".as_slice(), Service::Tls),
            (TCP, b"\x80\x2e\x01\x03\x01\0\x15", Service::Tls),
            (TCP, b"SSH-2.0-x", Service::Ssh),
            (TCP, b"GET / HTTP/1.1\r\n", Service::Http),
            (TCP, b"GET /a/long/target/that/goes/on", Service::Http),
            (TCP, b"LIST all of them\r\n", Service::Unrecognized),
            (TCP, b"\x13BitTorrent protocol....", Service::BitTorrent),
            (TCP, b"\0\0\0\x54\xffSMBr", Service::Smb),
            (
                TCP,
                b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0",
                Service::Rdp,
            ),
            // The same request for S7: another protocol of TPKT.
            (
                TCP,
                b"\x03\0\0\x16\x11\xe0\0\0\0\x01\0\xc0\x01\x0a\xc1\x02\x01\0",
                Service::Unrecognized,
            ),
            (TCP, b"\x05\x02\0\x02", Service::Socks),
            (TCP, b"\x05\x02\0\x02more", Service::Unrecognized),
            (TCP, b"220 mail.example ESMTP Postfix\r\n", Service::Smtp),
            (TCP, b"220 (vsFTPd 3.0.3)\r\n", Service::Ftp),
            (TCP, b"220 welcome\r\n", Service::Unrecognized),
            (TCP, b"ehlo client\r\n", Service::Smtp),
            (TCP, b"NICK bot\r\nUSER bot 0 * :bot\r\n", Service::Irc),
            (TCP, b"\xff\xfd\x18\xff\xfd\x20", Service::Telnet),
            (TCP, b"RFB 003.008\n", Service::Vnc),
            (TCP, b"", Service::Unrecognized),
            (UDP, stun, Service::Stun),
            (
                UDP,
                b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:aa1:y1:qe",
                Service::BitTorrent,
            ),
            (UDP, &ntp, Service::Ntp),
            (UDP, b"d1:ad2:id", Service::Unrecognized),
        ] {
            assert_eq!(recognize(protocol, bytes), service, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(recognize(TCP, &bytes) != Service::Unseen);
            prop_assert!(recognize(UDP, &bytes) != Service::Unseen);
        }
    }
}
