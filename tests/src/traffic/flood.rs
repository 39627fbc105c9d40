//! SYNs, each of a flow of its own.

use std::net::Ipv4Addr;

use crate::frames::{Host, SYN, Tcp, checksum, tcp};

const IP: usize = 14;
const PORTS: usize = 34;

/// SYNs of many sources (from 11.0.0.0/8 on) to one service, made in place because a bench sends millions of them.
///
/// The IP header's checksum is right; TCP's is that of the first frame, so a host that is really there would drop them
/// behind the hooks.
#[derive(Clone, Debug)]
pub struct Flood {
    frame: Vec<u8>,
    next: u32,
    end: u32,
}

impl Flood {
    /// Length of every frame.
    pub const FRAME: u64 = 54;

    #[must_use]
    pub fn new(target: &Host, port: u16, flows: u32) -> Self {
        let header = Tcp {
            destination_port: port,
            sequence: 1,
            flags: SYN,
            ..Tcp::default()
        };
        let source = Host::new(Ipv4Addr::new(11, 0, 0, 0));
        Self {
            frame: tcp(&source, target, header, &[]),
            next: 0,
            end: flows,
        }
    }

    /// Writes the next frame into `buffer`; `None` after the last one.
    pub fn next_into(&mut self, buffer: &mut Vec<u8>) -> Option<()> {
        if self.next == self.end {
            return None;
        }
        let number = self.next;
        self.next += 1;
        let [high, a, b, c] = number.to_be_bytes();
        let ip = &mut self.frame[IP..PORTS];
        ip[12..16].copy_from_slice(&[11, a, b, c]);
        ip[10..12].fill(0);
        let sum = checksum(ip, 0);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
        let port = 1024 + u16::from(high);
        self.frame[PORTS..PORTS + 2].copy_from_slice(&port.to_be_bytes());
        buffer.clear();
        buffer.extend_from_slice(&self.frame);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_is_another_flow_with_a_right_header() {
        let target = Host::new(Ipv4Addr::new(10, 0, 0, 1));
        let mut flood = Flood::new(&target, 80, 1000);
        let mut buffer = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while flood.next_into(&mut buffer).is_some() {
            assert_eq!(buffer.len() as u64, Flood::FRAME);
            assert_eq!(checksum(&buffer[IP..PORTS], 0), 0);
            assert!(seen.insert(buffer[IP + 12..PORTS + 4].to_vec()));
        }
        assert_eq!(seen.len(), 1000);
    }
}
