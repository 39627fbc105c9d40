//! Keys of Initial packets, header and payload protection (RFC 9001 §5, RFC 9369 §3.3).

use std::ops::Range;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey, quic};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};

use super::packet::LongHeader;
use crate::decode::Malformed;

const SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
    0xbb, 0x7f, 0x0a,
];
const SALT_V2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9,
    0xbd, 0x2e, 0xd9,
];
/// Version 2 before it was an RFC (0x709a50c4).
const SALT_V2_DRAFT: [u8; 20] = [
    0xa7, 0x07, 0xc2, 0x03, 0xa5, 0x9b, 0x47, 0x18, 0x4a, 0x1d, 0x62, 0xca, 0x57, 0x04, 0x06, 0xea, 0x7a,
    0xe3, 0xe5, 0xd3,
];
const SALT_DRAFT_29: [u8; 20] = [
    0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97, 0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43,
    0x90, 0xa8, 0x99,
];

/// Header protection samples 16 bytes that begin 4 bytes behind the packet number.
const SAMPLE_OFFSET: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

/// Keys with which one side protects its Initials.
pub(super) struct Keys {
    header: quic::HeaderProtectionKey,
    packet: LessSafeKey,
    iv: [u8; NONCE_LEN],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Keys")
    }
}

impl Keys {
    /// `destination`: the connection id that the client chose for the server.
    pub(super) fn derive(version: u32, destination: &[u8], role: Role) -> Result<Self, Malformed> {
        let (salt, labels) = match version {
            0x0000_0001 | 0xff00_0021 | 0xff00_0022 => (&SALT_V1, ["quic key", "quic iv", "quic hp"]),
            0x6b33_43cf => (&SALT_V2, ["quicv2 key", "quicv2 iv", "quicv2 hp"]),
            0x709a_50c4 => (&SALT_V2_DRAFT, ["quicv2 key", "quicv2 iv", "quicv2 hp"]),
            0xff00_001d..=0xff00_0020 => (&SALT_DRAFT_29, ["quic key", "quic iv", "quic hp"]),
            _ => return Err(Malformed),
        };
        let initial = Salt::new(HKDF_SHA256, salt).extract(destination);
        let label = match role {
            Role::Client => "client in",
            Role::Server => "server in",
        };
        let secret = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(&initial, label)?);
        let iv = expand::<NONCE_LEN>(&secret, labels[1])?;
        let key = UnboundKey::new(&AES_128_GCM, &expand::<16>(&secret, labels[0])?).map_err(|_| Malformed)?;
        let header = quic::HeaderProtectionKey::new(&quic::AES_128, &expand::<16>(&secret, labels[2])?)
            .map_err(|_| Malformed)?;
        Ok(Self {
            header,
            packet: LessSafeKey::new(key),
            iv,
        })
    }

    /// Opens `packet` into `scratch` and says where in it the payload stands; `None` if these are not its keys.
    pub(super) fn open(
        &self,
        header: &LongHeader<'_>,
        packet: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Option<Range<usize>> {
        let at = header.number_offset;
        let sample = packet
            .get(at + SAMPLE_OFFSET..)?
            .get(..self.header.algorithm().sample_len())?;
        let mask = self.header.new_mask(sample).ok()?;
        scratch.clear();
        scratch.extend_from_slice(packet);
        scratch[0] ^= mask[0] & 0x0f;
        let number_length = usize::from(scratch[0] & 3) + 1;
        // Initials have small numbers: the truncated number is the number.
        let mut nonce = self.iv;
        for index in 0..number_length {
            scratch[at + index] ^= mask[1 + index];
            nonce[NONCE_LEN - number_length + index] ^= scratch[at + index];
        }
        let (aad, sealed) = scratch.split_at_mut(at + number_length);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self
            .packet
            .open_in_place(nonce, Aad::from(&*aad), sealed)
            .ok()?
            .len();
        Some(at + number_length..at + number_length + plain)
    }
}

/// `HKDF-Expand-Label` with an empty context (RFC 8446 §7.1).
fn expand<const N: usize>(secret: &Prk, label: &str) -> Result<[u8; N], Malformed> {
    let length = (N as u16).to_be_bytes();
    let label_length = [6 + label.len() as u8];
    let info = [
        &length,
        label_length.as_slice(),
        b"tls13 ",
        label.as_bytes(),
        &[0],
    ];
    let mut out = [0; N];
    secret
        .expand(&info, Length(N))
        .and_then(|okm| okm.fill(&mut out))
        .map_err(|_| Malformed)?;
    Ok(out)
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
