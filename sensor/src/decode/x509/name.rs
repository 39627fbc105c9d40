//! Distinguished names as text (RFC 4514).

use std::fmt::Write as _;

use x509_parser::x509::{AttributeTypeAndValue, X509Name};

const BMP_STRING: u32 = 30;
const UNIVERSAL_STRING: u32 = 28;

/// The last relative name first, `,` between them, `+` between the parts of one.
pub(super) fn text(name: &X509Name<'_>) -> String {
    let relative: Vec<_> = name.iter_rdn().collect();
    let mut text = String::new();
    for (index, relative) in relative.into_iter().rev().enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, attribute) in relative.iter().enumerate() {
            if index > 0 {
                text.push('+');
            }
            add_attribute(&mut text, attribute);
        }
    }
    text
}

/// The value of one attribute, without escapes.
pub(super) fn plain_value(attribute: &AttributeTypeAndValue<'_>) -> String {
    string(attribute).unwrap_or_else(|| hexadecimal(attribute))
}

fn add_attribute(text: &mut String, attribute: &AttributeTypeAndValue<'_>) {
    let oid = attribute.attr_type().to_id_string();
    text.push_str(short_name(&oid).unwrap_or(&oid));
    text.push('=');
    match string(attribute) {
        Some(value) => add_escaped(text, &value),
        None => text.push_str(&hexadecimal(attribute)),
    }
}

/// RFC 4514 §3, RFC 4519, and the name by which everybody knows PKCS #9's address.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.6" => "C",
        "2.5.4.9" => "STREET",
        "2.5.4.5" => "serialNumber",
        "2.5.4.4" => "SN",
        "2.5.4.42" => "GN",
        "2.5.4.12" => "title",
        "2.5.4.15" => "businessCategory",
        "2.5.4.17" => "postalCode",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// `None` where the value is no string.
fn string(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let value = attribute.attr_value();
    let bytes = value.data;
    match value.tag().0 {
        BMP_STRING => {
            let units: Vec<u16> = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect();
            Some(String::from_utf16_lossy(&units))
        }
        UNIVERSAL_STRING => Some(
            bytes
                .chunks_exact(4)
                .map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]))
                .map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect(),
        ),
        // UTF8, Numeric, Printable, Teletex (in practice Latin-1), IA5, Visible.
        12 | 18..=20 | 22 | 26 => Some(match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.iter().copied().map(char::from).collect(),
        }),
        _ => None,
    }
}

fn hexadecimal(attribute: &AttributeTypeAndValue<'_>) -> String {
    format!("#{}", crate::decode::hex(attribute.as_slice()))
}

fn add_escaped(text: &mut String, value: &str) {
    let last = value.chars().count().saturating_sub(1);
    for (index, letter) in value.chars().enumerate() {
        match letter {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => text.extend(['\\', letter]),
            ' ' if index == 0 || index == last => text.push_str("\\ "),
            '#' if index == 0 => text.push_str("\\#"),
            // RFC 4514 wants it of NUL; the others do no good on terminals either.
            letter if letter.is_ascii_control() => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\{:02x}", u32::from(letter));
            }
            letter => text.push(letter),
        }
    }
}
