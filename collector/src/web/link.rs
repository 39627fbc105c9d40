//! Addresses of pages: every profile, window, alert and evidence has one that stays.
//!
//! Times stand in them as in the JSON output: seconds since the epoch as an exact decimal fraction.

use std::net::IpAddr;

use lynceus_model::alert::Alert;
use lynceus_model::evidence::Evidence;
use lynceus_model::time::Timestamp;
use lynceus_model::window::WindowId;

/// `1495447200.0`
pub(super) fn seconds(time: Timestamp) -> String {
    let mut out = Vec::new();
    crate::json::seconds(&mut out, time);
    // Digits, a point and a sign.
    String::from_utf8(out).unwrap_or_default()
}

/// Reads what [`seconds`] writes, and whole seconds.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_number(whole, 10) || !is_number(fraction, 9) {
        return None;
    }
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    let total = sign * (whole.parse::<i128>().ok()? * 1_000_000_000 + nanos);
    i64::try_from(total).ok().map(Timestamp)
}

pub(super) fn profile(ip: IpAddr) -> String {
    format!("/profile/{ip}")
}

pub(super) fn window(id: WindowId) -> String {
    format!("/profile/{}/{}", id.profile, seconds(id.start))
}

/// Why a window is an outlier, and all about it.
pub(super) fn outlier(id: WindowId) -> String {
    format!("/outlier/{}/{}", id.profile, seconds(id.start))
}

pub(super) fn alert(alert: &Alert) -> String {
    format!(
        "/alert/{}/{}/{}",
        alert.profile,
        seconds(alert.window_start),
        crate::json::uuid(alert.id.0)
    )
}

pub(super) fn evidence(evidence: &Evidence) -> String {
    format!(
        "/evidence/{}/{}/{}",
        evidence.profile,
        seconds(evidence.window_start),
        crate::json::uuid(evidence.id.0)
    )
}

pub(super) fn ip(ip: IpAddr) -> String {
    format!("/ip/{ip}")
}

/// Text for a query string (RFC 3986: everything but the unreserved characters).
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// A page token as text.
pub(super) fn token(page: &[u8]) -> String {
    page.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`token`] writes.
pub(super) fn page(text: &str) -> Option<Vec<u8>> {
    if text.len() > 128 || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

/// Reads a UUID.
pub(super) fn id(text: &str) -> Option<[u8; 16]> {
    text.parse::<uuid::Uuid>().ok().map(uuid::Uuid::into_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_come_back(nanos: i64) {
            prop_assert_eq!(time(&seconds(Timestamp(nanos))), Some(Timestamp(nanos)));
        }

        #[test]
        fn tokens_come_back(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(page(&token(&bytes)), Some(bytes));
        }

        #[test]
        fn foreign_text_does_not_panic(text in "\\PC{0,40}") {
            let _ = (time(&text), page(&text), id(&text));
        }
    }

    #[test]
    fn times_are_read_as_people_shorten_them() {
        assert_eq!(time("1495447200"), Some(Timestamp::from_secs(1_495_447_200)));
        assert_eq!(time("-1.5"), Some(Timestamp(-1_500_000_000)));
        for text in ["", "-", "1.", ".5", "1e9", "99999999999", "1.0000000001", "+1"] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
