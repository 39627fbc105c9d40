//! JSON as `docs/json.md` describes it, written by hand: millions of lines, and numbers that must stay exact.

pub mod finding;
pub mod flow;

use lynceus_model::time::Timestamp;

/// Seconds since the epoch as an exact decimal fraction, which no floating point number could hold.
pub(crate) fn seconds(out: &mut Vec<u8>, time: Timestamp) {
    let nanos = time.0.unsigned_abs();
    if time.0 < 0 {
        out.push(b'-');
    }
    number(out, nanos / 1_000_000_000);
    out.push(b'.');
    let fraction = nanos % 1_000_000_000;
    let mut digits = [b'0'; 9];
    let mut rest = fraction;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let used = digits
        .iter()
        .rposition(|digit| *digit != b'0')
        .map_or(1, |at| at + 1);
    out.extend_from_slice(&digits[..used]);
}

pub(crate) fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// `null` for what is absent.
pub(crate) fn optional(out: &mut Vec<u8>, value: Option<impl itoa::Integer>) {
    match value {
        Some(value) => number(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_exact() {
        for (nanos, text) in [
            (0, "0.0"),
            (1_495_451_029_466_717_000, "1495451029.466717"),
            (1_000_000_001, "1.000000001"),
            (-1_500_000_000, "-1.5"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            let mut out = Vec::new();
            seconds(&mut out, Timestamp(nanos));
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }
}
