//! Community ID v1 of a flow key (community-id-spec, seed 0).

use lynceus_model::flow::CommunityId;
use sensor_ebpf::flow::{FlowKey, OneWay};
use sha1::{Digest, Sha1};

use super::address::{is_v4, v4};

/// Protocols whose ports (for ICMP: the type pair) are part of the identity.
const WITH_PORTS: [u8; 5] = [1, 6, 17, 58, 132];

/// SHA-1 over seed, addresses, protocol and ports, the lower end first. A one-way ICMP message keeps its direction.
#[must_use]
pub fn community_id(key: &FlowKey) -> CommunityId {
    let low = (&key.low, key.low_port);
    let high = (&key.high, key.high_port);
    let (from, to) = if key.one_way == OneWay::HighToLow as u8 {
        (high, low)
    } else {
        (low, high)
    };
    let mut text = [0; 2 + 32 + 2 + 4];
    let mut length = 2;
    let mut add = |bytes: &[u8]| {
        text[length..length + bytes.len()].copy_from_slice(bytes);
        length += bytes.len();
    };
    if is_v4(from.0) && is_v4(to.0) {
        add(&v4(from.0));
        add(&v4(to.0));
    } else {
        add(from.0);
        add(to.0);
    }
    add(&[key.protocol, 0]);
    if WITH_PORTS.contains(&key.protocol) {
        add(&from.1.to_be_bytes());
        add(&to.1.to_be_bytes());
    }
    CommunityId(Sha1::digest(&text[..length]).into())
}
