//! Mixed traffic without end: many conversations at once, as on the uplink of a busy office.
//!
//! Of the conversations 4 in 10 are a DNS question and its answer, 3 are a TLS session with 4 to 60 segments of data,
//! 1 is a plain HTTP session, 1 is a UDP stream, and 1 is a SYN that nobody answers. The mean frame is about 700 bytes.
//! The same seed gives the same frames.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use crate::frames::{ACK, FIN, Host, PSH, SYN, Tcp, tcp, udp};
use crate::scenario::{client_hello, dns};

/// Conversations that go on at the same time.
const CONCURRENT: usize = 1024;
const DNS_SERVER: Host = Host::new(Ipv4Addr::new(10, 20, 0, 53));
/// Data of a full segment.
const SEGMENT: usize = 1400;

/// Makes the frames, one after the other.
#[derive(Debug)]
pub struct Mix {
    random: u64,
    conversations: Vec<VecDeque<Vec<u8>>>,
    left: u64,
}

impl Mix {
    #[must_use]
    pub fn new(frames: u64) -> Self {
        Self {
            random: 0x9e37_79b9_7f4a_7c15,
            conversations: vec![VecDeque::new(); CONCURRENT],
            left: frames,
        }
    }

    /// Writes the next frame into `buffer`; `None` after the last one.
    pub fn next_into(&mut self, buffer: &mut Vec<u8>) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        let place = self.below(CONCURRENT as u64) as usize;
        if self.conversations[place].is_empty() {
            self.conversations[place] = self.conversation();
        }
        *buffer = self.conversations[place].pop_front()?;
        Some(())
    }

    fn conversation(&mut self) -> VecDeque<Vec<u8>> {
        let client = Host::new(Ipv4Addr::new(10, 20, 1, 1 + self.below(200) as u8));
        let server = Host::new(Ipv4Addr::new(
            198,
            18 + self.below(2) as u8,
            self.below(250) as u8,
            1 + self.below(250) as u8,
        ));
        let port = 32_768 + self.below(28_000) as u16;
        match self.below(10) {
            0..4 => {
                let name = format!("host{}.example.net", self.below(5_000));
                VecDeque::from([
                    udp(&client, &DNS_SERVER, port, 53, &dns(port, &name, None)),
                    udp(&DNS_SERVER, &client, 53, port, &dns(port, &name, Some(server.ip))),
                ])
            }
            4..7 => {
                let hello = client_hello(&format!("www{}.example.org", self.below(5_000)));
                let segments = 4 + self.below(57) as usize;
                session((&client, port), (&server, 443), &hello, segments)
            }
            7 => {
                let request = b"GET /news HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: mix/1\r\n\r\n";
                let segments = 1 + self.below(8) as usize;
                session((&client, port), (&server, 80), request, segments)
            }
            8 => (0..2 + self.below(40))
                .map(|number| match number % 4 {
                    3 => udp(&server, &client, 3478, port, &[0x52; 40]),
                    _ => udp(&client, &server, port, 3478, &[0x51; 900]),
                })
                .collect(),
            _ => {
                let header = Tcp {
                    source_port: port,
                    destination_port: 23,
                    flags: SYN,
                    ..Tcp::default()
                };
                VecDeque::from([tcp(&client, &server, header, &[])])
            }
        }
    }

    /// xorshift64*; a number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// A whole TCP connection: handshake, request, response segments with an ACK for every second one, both FINs.
fn session(client: (&Host, u16), server: (&Host, u16), request: &[u8], segments: usize) -> VecDeque<Vec<u8>> {
    let there = |flags, sequence, payload: &[u8]| {
        let header = Tcp {
            source_port: client.1,
            destination_port: server.1,
            sequence,
            acknowledgment: 1,
            flags,
        };
        tcp(client.0, server.0, header, payload)
    };
    let back = |flags, sequence, payload: &[u8]| {
        let header = Tcp {
            source_port: server.1,
            destination_port: client.1,
            sequence,
            acknowledgment: 1,
            flags,
        };
        tcp(server.0, client.0, header, payload)
    };
    let sent = 1 + u32::try_from(request.len()).expect("a short request");
    let mut frames = VecDeque::from([
        there(SYN, 0, &[]),
        back(SYN | ACK, 0, &[]),
        there(ACK, 1, &[]),
        there(PSH | ACK, 1, request),
    ]);
    let mut received = 1;
    for number in 0..segments {
        frames.push_back(back(ACK, received, &[0x17; SEGMENT]));
        received += SEGMENT as u32;
        if number % 2 == 1 {
            frames.push_back(there(ACK, sent, &[]));
        }
    }
    frames.push_back(back(FIN | ACK, received, &[]));
    frames.push_back(there(FIN | ACK, sent, &[]));
    frames.push_back(back(ACK, received + 1, &[]));
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_every_time_and_of_the_stated_size() {
        let (mut one, mut other) = (Mix::new(20_000), Mix::new(20_000));
        let (mut a, mut b) = (Vec::new(), Vec::new());
        let (mut frames, mut bytes) = (0_usize, 0);
        while one.next_into(&mut a).is_some() {
            other.next_into(&mut b).expect("as long as the first");
            assert_eq!(a, b);
            frames += 1;
            bytes += a.len();
        }
        assert_eq!(frames, 20_000);
        assert!((500..900).contains(&(bytes / frames)), "mean {}", bytes / frames);
    }
}
