//! DHCP for IPv4 (RFC 2131, options of RFC 2132). A broken option ends the list; what stood before it is kept.

use std::net::{IpAddr, Ipv4Addr};

use lynceus_model::app::Dhcp;

use super::Malformed;

const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];
const OPTIONS: usize = 240;

const PAD: u8 = 0;
const HOST_NAME: u8 = 12;
const REQUESTED_ADDRESS: u8 = 50;
const MESSAGE_TYPE: u8 = 53;
const SERVER_IDENTIFIER: u8 = 54;
const VENDOR_CLASS: u8 = 60;
const END: u8 = 255;

/// Reads one message.
///
/// # Errors
/// No fixed part, no magic cookie (plain BOOTP), a hardware that is not Ethernet, or no message type.
pub fn read(message: &[u8]) -> Result<Dhcp, Malformed> {
    let fixed: &[u8; OPTIONS] = message.first_chunk().ok_or(Malformed)?;
    let [operation, hardware, length, ..] = *fixed;
    if fixed[236..] != MAGIC_COOKIE || !matches!(operation, 1 | 2) || (hardware, length) != (1, 6) {
        return Err(Malformed);
    }
    let mut client_mac = [0; 6];
    client_mac.copy_from_slice(&fixed[28..34]);
    let mut dhcp = Dhcp {
        client_mac,
        assigned: address(&fixed[16..20]),
        ..Dhcp::default()
    };
    for (option, value) in Options(&message[OPTIONS..]) {
        match option {
            MESSAGE_TYPE => dhcp.message_type = value.first().copied().unwrap_or_default(),
            REQUESTED_ADDRESS => dhcp.requested = address(value),
            SERVER_IDENTIFIER => dhcp.server = address(value),
            HOST_NAME => dhcp.host_name = Some(text(value)),
            VENDOR_CLASS => dhcp.vendor_class = Some(text(value)),
            _ => {}
        }
    }
    if dhcp.message_type == 0 {
        return Err(Malformed);
    }
    Ok(dhcp)
}

/// `None` for 0.0.0.0, which stands for "not yet".
fn address(bytes: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 4] = bytes.try_into().ok()?;
    (octets != [0; 4]).then(|| IpAddr::V4(Ipv4Addr::from(octets)))
}

/// Senders may end a text with a zero byte (RFC 2132 §2).
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

struct Options<'a>(&'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&option, rest) = self.0.split_first()?;
            self.0 = rest;
            match option {
                PAD => {}
                END => return None,
                _ => {
                    let (&length, rest) = rest.split_first()?;
                    let (value, rest) = rest.split_at_checked(usize::from(length))?;
                    self.0 = rest;
                    return Some((option, value));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; OPTIONS];
        bytes[..3].copy_from_slice(&[1, 1, 6]);
        bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        bytes[236..].copy_from_slice(&MAGIC_COOKIE);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn a_request() {
        let bytes =
            message(b"\x35\x01\x03\x00\x32\x04\xc0\x00\x02\x07\x0c\x05host\0\x3c\x08MSFT 5.0\xff\x0c\x01x");
        assert_eq!(
            read(&bytes),
            Ok(Dhcp {
                message_type: 3,
                client_mac: [2, 0, 0, 0, 0, 9],
                requested: Some("192.0.2.7".parse().unwrap()),
                assigned: None,
                server: None,
                host_name: Some("host".into()),
                vendor_class: Some("MSFT 5.0".into()),
            })
        );
    }

    #[test]
    fn a_broken_option_ends_the_list() {
        let dhcp = read(&message(b"\x35\x01\x01\x0c\xf0short")).unwrap();
        assert_eq!((dhcp.message_type, dhcp.host_name), (1, None));
        assert_eq!(read(&message(b"\x0c\x01a")), Err(Malformed));
        assert_eq!(read(&[0; 100]), Err(Malformed));
    }

    proptest! {
        #[test]
        fn never_panics(options in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..440) {
            let bytes = message(&options);
            let _ = read(&bytes[..cut.min(bytes.len())]);
        }
    }
}
