//! ARP for Ethernet and IPv4 (RFC 826).

use std::net::{IpAddr, Ipv4Addr};

use lynceus_model::app::Arp;

use super::Malformed;

const ETHERNET: u16 = 1;
const IEEE_802: u16 = 6;

/// Reads an ARP packet. `frame_destination` is that of the frame, where the link has one.
///
/// # Errors
/// It is cut, or not about Ethernet and IPv4 addresses.
pub fn read(packet: &[u8], frame_destination: Option<[u8; 6]>) -> Result<Arp, Malformed> {
    let packet: &[u8; 28] = packet.first_chunk().ok_or(Malformed)?;
    let hardware = u16::from_be_bytes([packet[0], packet[1]]);
    if !matches!(hardware, ETHERNET | IEEE_802) || packet[2..6] != [8, 0, 6, 4] {
        return Err(Malformed);
    }
    let mac = |at: usize| [0, 1, 2, 3, 4, 5].map(|index| packet[at + index]);
    let ip = |at: usize| IpAddr::V4(Ipv4Addr::from([0, 1, 2, 3].map(|index| packet[at + index])));
    Ok(Arp {
        operation: u16::from_be_bytes([packet[6], packet[7]]),
        sender_mac: mac(8),
        sender: ip(14),
        target_mac: mac(18),
        target: ip(24),
        frame_destination,
        discovery: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request() {
        let packet = b"\0\x01\x08\0\x06\x04\0\x01\x02\0\0\0\0\x01\xc0\0\x02\x01\0\0\0\0\0\0\xc0\0\x02\x02";
        let arp = read(packet, Some([255; 6])).unwrap();
        assert_eq!((arp.operation, arp.sender_mac), (1, [2, 0, 0, 0, 0, 1]));
        assert_eq!(arp.sender, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(arp.target, "192.0.2.2".parse::<IpAddr>().unwrap());
        assert_eq!(read(&packet[..27], None), Err(Malformed));
        assert_eq!(read(&[0; 28], None), Err(Malformed));
    }
}
