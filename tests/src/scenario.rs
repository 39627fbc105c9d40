//! The demo's small network: a laptop that browses and calls home, and a scanner that looks for open doors.
//!
//! Addresses are private or from the documentation ranges (RFC 5737). Everything is computed, so every run sends the
//! same frames.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::frames::{ACK, FIN, Host, PSH, RST, SYN, Tcp, arp_request, icmp_echo, tcp, udp};

/// A frame and when it is sent, from the start of the scenario.
#[derive(Clone, Debug)]
pub struct TimedFrame {
    pub at: Duration,
    pub bytes: Vec<u8>,
}

const LAPTOP: Host = Host::new(Ipv4Addr::new(192, 168, 77, 10));
const ROUTER: Host = Host::new(Ipv4Addr::new(192, 168, 77, 1));
const SCANNER: Host = Host::new(Ipv4Addr::new(192, 168, 77, 66));
const WEB: Host = Host::new(Ipv4Addr::new(198, 51, 100, 20));
const SHOP: Host = Host::new(Ipv4Addr::new(203, 0, 113, 80));
const HOME: Host = Host::new(Ipv4Addr::new(203, 0, 113, 66));

/// Hosts that the scanner probes, and ports on each: enough that Slips' default threshold of 15 is crossed within one
/// window by horizontal scans alone (22 ports at weight 0.8).
pub const SCANNED_HOSTS: u8 = 12;
pub const SCANNED_PORTS: [u16; 22] = [
    21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 443, 445, 993, 995, 1723, 2323, 3306, 3389, 5900, 7547,
    8080,
];

/// The scenario in the order of time; about six seconds long.
#[must_use]
pub fn demo() -> Vec<TimedFrame> {
    let mut frames = Vec::new();
    browse(&mut frames, 100, 40_001, "www.example.net", &WEB);
    browse(&mut frames, 900, 40_002, "shop.example.org", &SHOP);
    plain_http(&mut frames, 1_600);
    call_home(&mut frames, 400);
    arp_scan(&mut frames, 1_000);
    ping_sweep(&mut frames, 1_800);
    port_scan(&mut frames, 2_500);
    frames.sort_by_key(|frame| frame.at);
    frames
}

/// Writes frames as a nanosecond pcap that begins at `start` (Unix time).
///
/// # Errors
/// Those of the writer.
pub fn write_pcap(frames: &[TimedFrame], start: Duration, mut out: impl Write) -> io::Result<()> {
    out.write_all(&0xa1b2_3c4d_u32.to_le_bytes())?;
    out.write_all(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0])?;
    out.write_all(&262_144_u32.to_le_bytes())?;
    out.write_all(&1_u32.to_le_bytes())?;
    for frame in frames {
        let at = start + frame.at;
        let seconds = u32::try_from(at.as_secs()).map_err(io::Error::other)?;
        let length = u32::try_from(frame.bytes.len()).map_err(io::Error::other)?;
        for word in [seconds, at.subsec_nanos(), length, length] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&frame.bytes)?;
    }
    out.flush()
}

/// A DNS question and its answer, then a TLS session to the address.
fn browse(frames: &mut Vec<TimedFrame>, at: u64, port: u16, name: &str, server: &Host) {
    push(
        frames,
        at,
        udp(&LAPTOP, &ROUTER, port, 53, &dns(port, name, None)),
    );
    push(
        frames,
        at + 12,
        udp(&ROUTER, &LAPTOP, 53, port, &dns(port, name, Some(server.ip))),
    );
    session(
        frames,
        at + 20,
        port,
        server,
        443,
        &client_hello(name),
        &[0x16; 900],
    );
}

fn plain_http(frames: &mut Vec<TimedFrame>, at: u64) {
    let request =
        b"GET /index.html HTTP/1.1\r\nHost: www.example.net\r\nUser-Agent: demo/1.0\r\nAccept: */*\r\n\r\n";
    let body = [b'x'; 600];
    let mut response = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 600\r\n\r\n".to_vec();
    response.extend(body);
    session(frames, at, 40_003, &WEB, 80, request, &response);
}

/// The same small session every quarter of a second.
fn call_home(frames: &mut Vec<TimedFrame>, at: u64) {
    for beat in 0..20_u16 {
        session(
            frames,
            at + 250 * u64::from(beat),
            41_000 + beat,
            &HOME,
            4444,
            &[0x42; 48],
            &[0x43; 32],
        );
    }
}

fn arp_scan(frames: &mut Vec<TimedFrame>, at: u64) {
    for host in 100..130_u8 {
        push(
            frames,
            at + u64::from(host - 100) * 15,
            arp_request(&SCANNER, neighbor(host).ip),
        );
    }
}

fn ping_sweep(frames: &mut Vec<TimedFrame>, at: u64) {
    for host in 100..130_u8 {
        push(
            frames,
            at + u64::from(host - 100) * 15,
            icmp_echo(&SCANNER, &neighbor(host), 8, 7, u16::from(host)),
        );
    }
}

/// SYNs to every port of every host; one port in eight answers with RST, the others are silent.
fn port_scan(frames: &mut Vec<TimedFrame>, at: u64) {
    let mut when = at * 1_000;
    for (index, port) in (0_u16..).zip(SCANNED_PORTS) {
        for host in 0..SCANNED_HOSTS {
            let target = neighbor(100 + host);
            let source_port = 50_000 + index * u16::from(SCANNED_HOSTS) + u16::from(host);
            let header = Tcp {
                source_port,
                destination_port: port,
                sequence: 1,
                acknowledgment: 0,
                flags: SYN,
            };
            push_micros(frames, when, tcp(&SCANNER, &target, header, &[]));
            if host % 8 == 0 {
                let header = Tcp {
                    source_port: port,
                    destination_port: source_port,
                    sequence: 0,
                    acknowledgment: 2,
                    flags: RST | ACK,
                };
                push_micros(frames, when + 300, tcp(&target, &SCANNER, header, &[]));
            }
            when += 10_000;
        }
    }
}

/// A whole TCP connection: handshake, one message each way, both FINs.
fn session(
    frames: &mut Vec<TimedFrame>,
    at: u64,
    port: u16,
    server: &Host,
    server_port: u16,
    request: &[u8],
    response: &[u8],
) {
    let sent = u32::try_from(request.len()).expect("small message");
    let received = u32::try_from(response.len()).expect("small message");
    let there = |flags, sequence, acknowledgment| Tcp {
        source_port: port,
        destination_port: server_port,
        sequence,
        acknowledgment,
        flags,
    };
    let back = |flags, sequence, acknowledgment| Tcp {
        source_port: server_port,
        destination_port: port,
        sequence,
        acknowledgment,
        flags,
    };
    let steps: [(bool, Tcp, &[u8]); 8] = [
        (true, there(SYN, 1_000, 0), &[]),
        (false, back(SYN | ACK, 9_000, 1_001), &[]),
        (true, there(ACK, 1_001, 9_001), &[]),
        (true, there(PSH | ACK, 1_001, 9_001), request),
        (false, back(PSH | ACK, 9_001, 1_001 + sent), response),
        (true, there(FIN | ACK, 1_001 + sent, 9_001 + received), &[]),
        (false, back(FIN | ACK, 9_001 + received, 1_002 + sent), &[]),
        (true, there(ACK, 1_002 + sent, 9_002 + received), &[]),
    ];
    for (step, (outgoing, header, payload)) in (0_u64..).zip(steps) {
        let bytes = if outgoing {
            tcp(&LAPTOP, server, header, payload)
        } else {
            tcp(server, &LAPTOP, header, payload)
        };
        push(frames, at + 5 * step, bytes);
    }
}

/// A question for the A record of `name`, or the answer to it.
pub fn dns(id: u16, name: &str, answer: Option<Ipv4Addr>) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend(if answer.is_some() {
        [0x81, 0x80]
    } else {
        [0x01, 0x00]
    });
    message.extend([0, 1, 0, u8::from(answer.is_some()), 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("labels of the demo are short"));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    if let Some(address) = answer {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
        message.extend(address.octets());
    }
    message
}

/// A small TLS 1.3 ClientHello (RFC 8446 §4.1.2) with server name, ALPN, groups, versions and signature algorithms.
pub(crate) fn client_hello(name: &str) -> Vec<u8> {
    let name = name.as_bytes();
    let host = [&[0_u8][..], &sized16(name)].concat();
    let extensions = [
        extension(0, &sized16(&host)),
        extension(10, &sized16(&[0, 29, 0, 23])),
        extension(13, &sized16(&[4, 3, 8, 4, 4, 1])),
        extension(16, &sized16(&[&[2][..], b"h2", &[8], b"http/1.1"].concat())),
        extension(43, &[4, 3, 4, 3, 3]),
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.push(0);
    body.extend(sized16(&[0x13, 1, 0x13, 2, 0xc0, 0x2f]));
    body.extend([1, 0]);
    body.extend(sized16(&extensions));
    let mut handshake = vec![1, 0];
    handshake.extend(sized16(&body));
    let mut record = vec![0x16, 3, 1];
    record.extend(sized16(&handshake));
    record
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized16(body)].concat()
}

/// `bytes` behind their length in 16 bits.
fn sized16(bytes: &[u8]) -> Vec<u8> {
    [
        &u16::try_from(bytes.len())
            .expect("messages of the demo are short")
            .to_be_bytes()[..],
        bytes,
    ]
    .concat()
}

const fn neighbor(last: u8) -> Host {
    Host::new(Ipv4Addr::new(192, 168, 77, last))
}

fn push(frames: &mut Vec<TimedFrame>, milliseconds: u64, bytes: Vec<u8>) {
    push_micros(frames, milliseconds * 1_000, bytes);
}

fn push_micros(frames: &mut Vec<TimedFrame>, microseconds: u64, bytes: Vec<u8>) {
    frames.push(TimedFrame {
        at: Duration::from_micros(microseconds),
        bytes,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_in_order_and_the_same_every_time() {
        let frames = demo();
        assert!(frames.is_sorted_by_key(|frame| frame.at));
        let again = demo();
        assert!(
            frames
                .iter()
                .zip(&again)
                .all(|(one, other)| one.at == other.at && one.bytes == other.bytes)
        );
        assert!(frames.last().is_some_and(|last| last.at < Duration::from_secs(8)));
    }

    #[test]
    fn pcap_has_one_record_a_frame() {
        let frames = demo();
        let mut file = Vec::new();
        write_pcap(&frames, Duration::from_secs(1_700_000_000), &mut file)
            .expect("a vector takes everything");
        assert_eq!(
            file.len(),
            24 + frames.iter().map(|frame| 16 + frame.bytes.len()).sum::<usize>()
        );
    }
}
