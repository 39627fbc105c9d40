//! JA3 and JA3S: MD5 over the numbers of a hello in the order of the wire (Salesforce's description of 2017).

use std::fmt::Write as _;

use md5::{Digest as _, Md5};

use super::tls::{ClientHello, ServerHello, is_grease};

/// `version,ciphers,extensions,groups,point formats`, GREASE left out; 32 hexadecimal digits.
#[must_use]
pub fn client(hello: &ClientHello<'_>) -> String {
    digest(&client_text(hello))
}

/// `version,cipher,extensions`; 32 hexadecimal digits.
#[must_use]
pub fn server(hello: &ServerHello<'_>) -> String {
    let mut text = format!("{},{},", hello.version, hello.cipher);
    join(&mut text, hello.extensions().map(|(kind, _)| kind));
    digest(&text)
}

fn client_text(hello: &ClientHello<'_>) -> String {
    let mut text = String::with_capacity(256);
    join(&mut text, [hello.version]);
    text.push(',');
    join(&mut text, hello.ciphers().filter(|value| !is_grease(*value)));
    text.push(',');
    let extensions = hello.extensions().map(|(kind, _)| kind);
    join(&mut text, extensions.filter(|value| !is_grease(*value)));
    text.push(',');
    join(&mut text, hello.groups().filter(|value| !is_grease(*value)));
    text.push(',');
    join(&mut text, hello.point_formats().iter().copied().map(u16::from));
    text
}

fn join(text: &mut String, numbers: impl IntoIterator<Item = u16>) {
    for (index, number) in numbers.into_iter().enumerate() {
        let dash = if index > 0 { "-" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{dash}{number}");
    }
}

fn digest(text: &str) -> String {
    super::hex(&Md5::digest(text.as_bytes()))
}
