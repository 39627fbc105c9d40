//! Headers as bytes, for packets that tests put together: the outermost header comes last.

pub(crate) const A4: [u8; 4] = [10, 0, 0, 1];
pub(crate) const B4: [u8; 4] = [192, 168, 7, 9];
pub(crate) const A6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub(crate) const B6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

pub(crate) fn join(header: &[u8], inside: &[u8]) -> Vec<u8> {
    [header, inside].concat()
}

pub(crate) fn ethernet(ether_type: u16, inside: &[u8]) -> Vec<u8> {
    let mut header = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    header.extend(ether_type.to_be_bytes());
    join(&header, inside)
}

pub(crate) fn vlan(id: u16, ether_type: u16, inside: &[u8]) -> Vec<u8> {
    join(&[id.to_be_bytes(), ether_type.to_be_bytes()].concat(), inside)
}

pub(crate) fn ip4_between(source: [u8; 4], destination: [u8; 4], protocol: u8, inside: &[u8]) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend(u16::try_from(20 + inside.len()).unwrap().to_be_bytes());
    header.extend([0x12, 0x34, 0, 0, 64, protocol, 0, 0]);
    header.extend(source);
    header.extend(destination);
    join(&header, inside)
}

pub(crate) fn ip4(protocol: u8, inside: &[u8]) -> Vec<u8> {
    ip4_between(A4, B4, protocol, inside)
}

pub(crate) fn ip6(next: u8, inside: &[u8]) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(u16::try_from(inside.len()).unwrap().to_be_bytes());
    header.extend([next, 63]);
    header.extend(A6);
    header.extend(B6);
    join(&header, inside)
}

/// 1000 → 80, SYN and ACK, sequence 7.
pub(crate) fn tcp(payload: &[u8]) -> Vec<u8> {
    join(
        &[
            3, 232, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, 0x12, 1, 0, 0, 0, 0, 0,
        ],
        payload,
    )
}

/// 4000 → `port`
pub(crate) fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = 4000u16.to_be_bytes().to_vec();
    header.extend(port.to_be_bytes());
    header.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    header.extend([0, 0]);
    join(&header, payload)
}

pub(crate) fn vxlan(vni: u32, inside: &[u8]) -> Vec<u8> {
    let mut header = vec![8, 0, 0, 0];
    header.extend((vni << 8).to_be_bytes());
    udp(4789, &join(&header, inside))
}

pub(crate) fn geneve(vni: u32, ether_type: u16, options: usize, inside: &[u8]) -> Vec<u8> {
    let mut header = vec![u8::try_from(options).unwrap(), 0];
    header.extend(ether_type.to_be_bytes());
    header.extend((vni << 8).to_be_bytes());
    header.extend(vec![0; options * 4]);
    udp(6081, &join(&header, inside))
}

/// `flags`: 0x8000 checksum, 0x2000 key (5), 0x1000 sequence.
pub(crate) fn gre(flags: u16, ether_type: u16, inside: &[u8]) -> Vec<u8> {
    let mut header = [flags.to_be_bytes(), ether_type.to_be_bytes()].concat();
    for (bit, word) in [(0x8000, 0u32), (0x2000, 5), (0x1000, 77)] {
        if flags & bit != 0 {
            header.extend(word.to_be_bytes());
        }
    }
    join(&header, inside)
}
