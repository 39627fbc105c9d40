//! JA4, the TLS client fingerprint, after FoxIO's technical details (`JA4.md`, BSD 3-Clause). The other fingerprints
//! of the JA4+ family have another license and are not implemented.

use std::fmt::Write as _;

use ring::digest::{SHA256, digest};

use super::tls::{ClientHello, is_grease};

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// `a_b_c`: what is offered, the ciphers, the extensions with the signature algorithms.
#[must_use]
pub fn client(hello: &ClientHello<'_>, quic: bool) -> String {
    let mut ciphers: Vec<u16> = hello.ciphers().filter(|value| !is_grease(*value)).collect();
    let mut extensions: Vec<u16> = hello
        .extensions()
        .map(|(kind, _)| kind)
        .filter(|value| !is_grease(*value))
        .collect();
    let mut text = String::with_capacity(36);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{}{}{}{:02}{:02}{}",
        if quic { 'q' } else { 't' },
        version(hello.highest_version()),
        if extensions.contains(&SERVER_NAME) {
            'd'
        } else {
            'i'
        },
        ciphers.len().min(99),
        extensions.len().min(99),
        alpn_ends(hello.alpn().next().unwrap_or_default()),
    );

    ciphers.sort_unstable();
    text.push('_');
    text.push_str(&short_hash(&list(ciphers)));

    extensions.retain(|kind| !matches!(*kind, SERVER_NAME | ALPN));
    extensions.sort_unstable();
    let mut hashed = list(extensions);
    let algorithms = list(hello.signature_algorithms().filter(|value| !is_grease(*value)));
    if !algorithms.is_empty() {
        hashed.push('_');
        hashed.push_str(&algorithms);
    }
    text.push('_');
    text.push_str(&short_hash(&hashed));
    text
}

const fn version(number: u16) -> &'static str {
    match number {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

/// First and last character of the first protocol name. Where one of them is not alphanumeric: first and last digit of
/// the name in hexadecimal. `00` where there is none.
fn alpn_ends(name: &[u8]) -> String {
    let (Some(&first), Some(&last)) = (name.first(), name.last()) else {
        return "00".into();
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [char::from(first), char::from(last)].into_iter().collect();
    }
    format!("{:x}{:x}", first >> 4, last & 15)
}

fn list(numbers: impl IntoIterator<Item = u16>) -> String {
    let mut text = String::with_capacity(128);
    for number in numbers {
        if !text.is_empty() {
            text.push(',');
        }
        super::push_hex(&mut text, &number.to_be_bytes());
    }
    text
}

/// First 12 digits of the SHA-256; zeros for an empty list.
fn short_hash(text: &str) -> String {
    if text.is_empty() {
        return "000000000000".into();
    }
    super::hex(&digest(&SHA256, text.as_bytes()).as_ref()[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpn_ends_of_odd_names() {
        // The cases of the specification.
        assert_eq!(alpn_ends(b"h2"), "h2");
        assert_eq!(alpn_ends(b"http/1.1"), "h1");
        assert_eq!(alpn_ends(b"a"), "aa");
        assert_eq!(alpn_ends(b""), "00");
        assert_eq!(alpn_ends(&[0xab]), "ab");
        assert_eq!(alpn_ends(&[0xab, 0xcd]), "ad");
        assert_eq!(alpn_ends(&[0x30, 0xab]), "3b");
        assert_eq!(alpn_ends(&[0x30, 0x31, 0xab, 0xcd]), "3d");
        assert_eq!(alpn_ends(&[0x30, 0xab, 0xcd, 0x31]), "01");
    }

    #[test]
    fn hashes_of_the_specification() {
        let ciphers = "002f,0035,009c,009d,1301,1302,1303,c013,c014,c02b,c02c,c02f,c030,cca8,cca9";
        assert_eq!(short_hash(ciphers), "8daaf6152771");
        let extensions = "0005,000a,000b,000d,0012,0015,0017,001b,0023,002b,002d,0033,4469,ff01\
                          _0403,0804,0401,0503,0805,0501,0806,0601";
        assert_eq!(short_hash(extensions), "e5627efa2ab1");
        assert_eq!(short_hash(""), "000000000000");
    }
}
