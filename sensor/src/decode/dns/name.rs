//! Names in wire form (RFC 1035 §4.1.4), hostile ones too.

/// Bytes that a name may have on the wire (RFC 1035 §2.3.4), length bytes included.
const MAX_WIRE: usize = 255;

/// Appends the name at `at` to `out`: lower case, labels joined by dots, no final dot, the root as nothing. Bytes that
/// are no printable ASCII, and dots and backslashes inside a label, become `\DDD`, so that two different names never
/// read the same.
///
/// Returns where the name ends in place (behind the first pointer). `None`: it runs over the end, is longer than 255
/// bytes, or has a pointer that does not point back; so loops end.
pub(super) fn read_name(message: &[u8], at: usize, out: &mut String) -> Option<usize> {
    let mut end = None;
    let mut at = at;
    // A pointer must point before the part of the name that holds it.
    let mut part_start = at;
    let mut wire = 1;
    let begin = out.len();
    loop {
        let length = *message.get(at)?;
        match length >> 6 {
            0 if length == 0 => return end.or(Some(at + 1)),
            0 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                wire += label.len() + 1;
                if wire > MAX_WIRE {
                    return None;
                }
                if out.len() > begin {
                    out.push('.');
                }
                push_label(label, out);
                at += 1 + label.len();
            }
            3 => {
                let target = usize::from(u16::from_be_bytes([length & 0x3f, *message.get(at + 1)?]));
                end = end.or(Some(at + 2));
                if target >= part_start {
                    return None;
                }
                (at, part_start) = (target, target);
            }
            _ => return None,
        }
    }
}

fn push_label(label: &[u8], out: &mut String) {
    for &byte in label {
        match byte {
            b'.' | b'\\' | 0..=32 | 127..=255 => {
                out.push('\\');
                for digit in [byte / 100, byte / 10 % 10, byte % 10] {
                    out.push(char::from(b'0' + digit));
                }
            }
            _ => out.push(char::from(byte.to_ascii_lowercase())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(message: &[u8], at: usize) -> Option<(String, usize)> {
        let mut out = String::new();
        read_name(message, at, &mut out).map(|end| (out, end))
    }

    #[test]
    fn compressed_and_plain() {
        let message = b"\x03www\x07Example\x03com\x00\x04mail\xc0\x04\xc0\x00";
        assert_eq!(name(message, 0), Some(("www.example.com".into(), 17)));
        assert_eq!(name(message, 17), Some(("mail.example.com".into(), 24)));
        assert_eq!(name(message, 24), Some(("www.example.com".into(), 26)));
        assert_eq!(name(message, 16), Some((String::new(), 17)));
    }

    #[test]
    fn hostile_bytes_are_escaped_so_that_names_stay_different() {
        assert_eq!(
            name(b"\x05a.b\\\xff\x01 \x00", 0),
            Some(("a\\046b\\092\\255.\\032".into(), 9))
        );
    }

    #[test]
    fn loops_forward_pointers_and_overlong_names_end() {
        assert_eq!(name(b"\xc0\x00", 0), None);
        assert_eq!(name(b"\x01a\xc0\x00", 0), None);
        assert_eq!(name(b"\x01a\xc0\x04\x01b\xc0\x00", 4), None);
        assert_eq!(name(b"\xc0\x02\x00", 0), None);
        assert_eq!(name(b"\x40ab\x00", 0), None);
        let long = [&[63u8; 64 * 4][..], &[0]].concat();
        assert_eq!(name(&long, 0), None);
    }

    proptest! {
        #[test]
        fn never_panics_and_is_bounded(message in prop::collection::vec(any::<u8>(), 0..600), at in 0usize..700) {
            if let Some((name, end)) = name(&message, at) {
                prop_assert!(name.len() <= 4 * MAX_WIRE);
                prop_assert!(end <= message.len() && end > at);
                prop_assert!(name.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
}
