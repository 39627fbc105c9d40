//! The 16 bytes of a key as an address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4_PREFIX: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

pub(super) fn is_v4(address: &[u8; 16]) -> bool {
    address.starts_with(&V4_PREFIX)
}

pub(super) const fn v4(address: &[u8; 16]) -> [u8; 4] {
    [address[12], address[13], address[14], address[15]]
}

/// IPv4 where it is mapped, else IPv6.
pub(super) fn ip(address: &[u8; 16]) -> IpAddr {
    if is_v4(address) {
        Ipv4Addr::from(v4(address)).into()
    } else {
        Ipv6Addr::from(*address).into()
    }
}
