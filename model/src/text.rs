//! How identities are written: UUIDs with hyphens, Community IDs as `1:` and base64 (RFC 4648, with padding).

use core::fmt;

use uuid::Uuid;

use crate::alert::AlertId;
use crate::evidence::EvidenceId;
use crate::flow::CommunityId;

impl fmt::Display for EvidenceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(formatter)
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(formatter)
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl CommunityId {
    /// Length of the text: `1:` and 28 characters.
    pub const TEXT_LEN: usize = 30;

    /// The text as ASCII, without allocating: flows are written by the million.
    #[must_use]
    pub fn text(&self) -> [u8; Self::TEXT_LEN] {
        let mut text = [b'='; Self::TEXT_LEN];
        text[..2].copy_from_slice(b"1:");
        // 20 bytes are six groups of three and two bytes more: 27 digits and one '='.
        for (group, digits) in self.0.chunks(3).zip(text[2..].chunks_mut(4)) {
            let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for (index, digit) in digits.iter_mut().enumerate().take(group.len() + 1) {
                *digit = ALPHABET[(bits >> (18 - 6 * index) & 63) as usize];
            }
        }
        text
    }
}

impl fmt::Display for CommunityId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text()
            .iter()
            .try_for_each(|byte| fmt::Write::write_char(formatter, char::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn community_ids_are_padded_base64() {
        assert_eq!(CommunityId([0; 20]).to_string(), "1:AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        assert_eq!(
            CommunityId([255; 20]).to_string(),
            "1://////////////////////////8="
        );
        let mut counting = [0; 20];
        for (index, byte) in counting.iter_mut().enumerate() {
            *byte = index as u8;
        }
        assert_eq!(
            CommunityId(counting).to_string(),
            "1:AAECAwQFBgcICQoLDA0ODxAREhM="
        );
    }

    #[test]
    fn evidence_ids_are_uuids() {
        let id = EvidenceId([0x12; 16]);
        assert_eq!(id.to_string(), "12121212-1212-1212-1212-121212121212");
    }
}
