use proptest::prelude::*;

use super::*;
use crate::decode::hex;

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn numbers(values: &[u16]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_be_bytes()).collect()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [numbers(&[kind]), vector16(body)].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 0], vector16(body).as_slice()].concat()
}

fn client_hello(version: u16, ciphers: &[u16], extensions: &[u8]) -> Vec<u8> {
    let mut body = numbers(&[version]);
    body.extend([7; 32]);
    body.push(0);
    body.extend(vector16(&numbers(ciphers)));
    body.extend([1, 0]);
    body.extend(vector16(extensions));
    handshake(CLIENT_HELLO, &body)
}

fn record(payload: &[u8]) -> Vec<u8> {
    [&[22, 3, 1], vector16(payload).as_slice()].concat()
}

/// The ClientHello behind the example of the JA4 specification (t13d1516h2_8daaf6152771_e5627efa2ab1).
fn specification_hello() -> Vec<u8> {
    let algorithms = [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601];
    let mut extensions = extension(0x1a1a, &[]);
    extensions.extend(extension(0, &vector16(b"\0\0\x0bexample.com")));
    extensions.extend(extension(0x10, &vector16(b"\x02h2\x08http/1.1")));
    extensions.extend(extension(
        0x2b,
        &[&[8], numbers(&[0x3a3a, 0x0304, 0x0303, 0x0302]).as_slice()].concat(),
    ));
    extensions.extend(extension(0x0d, &vector16(&numbers(&algorithms))));
    extensions.extend(extension(0x0a, &vector16(&numbers(&[0x4a4a, 0x001d, 0x0017]))));
    extensions.extend(extension(0x0b, &[1, 0]));
    for kind in [0x05, 0x12, 0x15, 0x17, 0x1b, 0x23, 0x2d, 0x33, 0x4469, 0xff01] {
        extensions.extend(extension(kind, b"x"));
    }
    let ciphers = [
        0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
        0x009c, 0x009d, 0x002f, 0x0035,
    ];
    client_hello(0x0303, &ciphers, &extensions)
}

fn client_of(bytes: &[u8]) -> TlsClient {
    match read_hello(bytes) {
        Ok(Read::Done {
            value: (AppEvent::TlsClient(hello), _),
            consumed,
        }) => {
            assert!(consumed <= bytes.len());
            hello
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_example_of_the_ja4_specification() {
    let hello = client_of(&record(&specification_hello()));
    assert_eq!(hello.ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    assert_eq!(hello.server_name.as_deref(), Some("example.com"));
    assert_eq!(hello.alpn, ["h2", "http/1.1"]);
    assert_eq!(hello.version, 0x0304);
}

#[test]
fn ja3_leaves_grease_out_and_keeps_the_order() {
    use md5::{Digest as _, Md5};
    let hello = client_of(&record(&specification_hello()));
    let text = "771,4865-4866-4867-49195-49199-49196-49200-52393-52392-49171-49172-156-157-47-53,\
                0-16-43-13-10-11-5-18-21-23-27-35-45-51-17513-65281,29-23,0";
    assert_eq!(hello.ja3, hex(&Md5::digest(text)));
}

#[test]
fn a_hello_without_extensions() {
    let mut bytes = client_hello(0x0301, &[0x0005, 0x000a], &[]);
    bytes.truncate(bytes.len() - 2);
    bytes[3] -= 2;
    let hello = client_of(&record(&bytes));
    assert!(hello.ja4.starts_with("t10i020000_"), "{}", hello.ja4);
    assert!(hello.ja4.ends_with("_000000000000"));
    assert_eq!((hello.server_name, hello.alpn.len()), (None, 0));
}

#[test]
fn a_hello_in_several_records_and_behind_change_cipher_spec() {
    let hello = specification_hello();
    let (a, b) = hello.split_at(3);
    let (b, c) = b.split_at(100);
    let mut bytes = vec![20, 3, 3, 0, 1, 1];
    for part in [a, b, c] {
        bytes.extend(record(part));
    }
    assert_eq!(client_of(&bytes).server_name.as_deref(), Some("example.com"));
    for end in 0..bytes.len() {
        assert_eq!(read_hello(&bytes[..end]), Ok(Read::NeedMore), "{end}");
    }
}

#[test]
fn a_broken_extension_costs_only_itself() {
    let mut extensions = extension(0, b"\0\x50garbage");
    extensions.extend(extension(10, &vector16(&numbers(&[29]))));
    extensions.extend([0, 16, 0xff, 0xff, 1]);
    let hello = client_of(&record(&client_hello(0x0303, &[0x1301], &extensions)));
    assert_eq!(hello.server_name, None);
    assert!(hello.ja4.starts_with("t12d010200_"), "{}", hello.ja4);
}

#[test]
fn a_server_hello() {
    let mut body = numbers(&[0x0303]);
    body.extend([9; 32]);
    body.extend([0, 0x13, 0x02, 0]);
    body.extend(vector16(
        &[
            extension(0x2b, &numbers(&[0x0304])),
            extension(16, &vector16(b"\x02h2")),
        ]
        .concat(),
    ));
    let Ok(Read::Done {
        value: (AppEvent::TlsServer(hello), 0),
        ..
    }) = read_hello(&record(&handshake(SERVER_HELLO, &body)))
    else {
        panic!("not read");
    };
    assert_eq!((hello.version, hello.cipher), (0x0304, 0x1302));
    assert_eq!(hello.alpn.as_deref(), Some("h2"));
}

#[test]
fn what_is_no_hello() {
    assert_eq!(
        read_hello(&record(&handshake(11, b"certificate"))),
        Err(Malformed)
    );
    assert_eq!(read_hello(&[23, 3, 3, 0, 1, 1]), Err(Malformed));
    assert_eq!(read_hello(&[22, 3, 3, 0xff, 0xff, 1]), Err(Malformed));
    assert_eq!(
        read_hello(&record(&handshake(CLIENT_HELLO, b"short"))),
        Err(Malformed)
    );
}

#[test]
fn grease() {
    assert!(is_grease(0x0a0a) && is_grease(0xfafa));
    assert!(!is_grease(0x0a1a) && !is_grease(0x1301));
}

#[test]
fn the_first_certificate_of_a_flight() {
    let chain = b"\0\0\x0b\0\0\x03abc\0\0\x02de";
    let message = handshake(CERTIFICATE, chain);
    let found = |value: Option<&[u8]>, consumed| {
        Ok(Read::Done {
            value: value.map(<[u8]>::to_vec),
            consumed,
        })
    };
    // In the rest of the hello's record, in one of its own, cut into records of two bytes.
    assert_eq!(read_certificate(&message, 18), found(Some(b"abc"), 18));
    let own = record(&message);
    assert_eq!(read_certificate(&own, 0), found(Some(b"abc"), own.len()));
    let pieces: Vec<u8> = message.chunks(2).flat_map(record).collect();
    assert_eq!(read_certificate(&pieces, 0), found(Some(b"abc"), 7 * 7));
    for cut in 0..48 {
        assert_eq!(
            read_certificate(&pieces[..cut], 0),
            Ok(Read::NeedMore),
            "cut at {cut}"
        );
    }
    // A resumed session, no certificate at all, and lengths that lie.
    assert_eq!(read_certificate(b"\x14\x03\x03\0\x01\x01", 0), found(None, 0));
    let ticket = record(&handshake(4, b"ticket"));
    assert_eq!(read_certificate(&ticket, 0), found(None, ticket.len()));
    let none = record(&handshake(CERTIFICATE, &[0, 0, 0]));
    assert_eq!(read_certificate(&none, 0), found(None, none.len()));
    let lie = record(&handshake(CERTIFICATE, b"\0\0\x05\0\0\x03abc"));
    assert_eq!(read_certificate(&lie, 0), Err(Malformed));
}

#[test]
fn a_hello_says_what_is_left_of_its_record() {
    let hello = specification_hello();
    let whole = record(&[hello.as_slice(), b"rest"].concat());
    let Ok(Read::Done { value, consumed }) = read_hello(&whole) else {
        panic!("not read");
    };
    assert_eq!((value.1, consumed), (4, whole.len() - 4));
    let (first, second) = hello.split_at(100);
    let second = [second, b"rest".as_slice()].concat();
    let cut = [record(first), record(&second)].concat();
    let Ok(Read::Done { value, consumed }) = read_hello(&cut) else {
        panic!("not read");
    };
    assert_eq!((value.1, consumed), (4, cut.len() - 4));
}

proptest! {
    #[test]
    fn flights_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), left in 0u16..400) {
        if let Ok(Read::Done { consumed, .. }) = read_certificate(&bytes, left) {
            prop_assert!(consumed <= bytes.len());
        }
        let framed = record(&handshake(CERTIFICATE, &bytes));
        let _ = read_certificate(&framed, 0);
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = (read_hello(&bytes), read_handshake(&bytes, true));
        let _ = read_hello(&record(&handshake(CLIENT_HELLO, &bytes)));
        let _ = read_hello(&record(&handshake(SERVER_HELLO, &bytes)));
    }

    #[test]
    fn any_extensions_give_fingerprints(extensions in prop::collection::vec(any::<u8>(), 0..300)) {
        let hello = client_of(&record(&client_hello(0x0303, &[0x1301], &extensions)));
        prop_assert_eq!(hello.ja3.len(), 32);
        prop_assert_eq!(hello.ja4.len(), 36);
        prop_assert!(hello.alpn.len() <= MAX_ALPN);
    }
}
