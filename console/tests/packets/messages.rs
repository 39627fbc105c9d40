//! What the hosts say: DNS (RFC 1035), DHCP (RFC 2131), HTTP, TLS (RFC 5246).

/// Of DNS.
pub(crate) const A: u16 = 1;
pub(crate) const PTR: u16 = 12;
pub(crate) const TXT: u16 = 16;
pub(crate) const NXDOMAIN: u8 = 3;

fn name_of(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| {
        let length = u8::try_from(label.len()).unwrap();
        std::iter::once(length).chain(label.bytes())
    });
    labels.chain([0]).collect()
}

pub(crate) fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let header = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    [&header, &name_of(name)[..], &kind.to_be_bytes(), &[0, 1]].concat()
}

/// The answer to a question, with the data of one record of its type, or none.
pub(crate) fn answer(id: u16, name: &str, kind: u16, code: u8, data: Option<&[u8]>) -> Vec<u8> {
    let mut message = question(id, name, kind);
    message[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    if let Some(data) = data {
        message[7] = 1;
        message.extend([0xc0, 12]);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1, 0, 0, 1, 44]);
        message.extend(sized16(data));
    }
    message
}

/// The data of a TXT record.
pub(crate) fn text(words: &str) -> Vec<u8> {
    [&[u8::try_from(words.len()).unwrap()], words.as_bytes()].concat()
}

/// A DHCP request of a card for an address.
pub(crate) fn dhcp_request(card: [u8; 6], wanted: [u8; 4]) -> Vec<u8> {
    let mut message = vec![1, 1, 6, 0, 0x5a, 0x5a, 0, wanted[3], 0, 0, 0, 0];
    message.resize(28, 0);
    message.extend(card);
    message.resize(236, 0);
    message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, 3, 50, 4]);
    message.extend(wanted);
    message.push(255);
    message
}

pub(crate) fn get(host: &str, path: &str, agent: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n").into_bytes()
}

/// An answer with a body of `length` bytes.
pub(crate) fn response(status: &str, media_type: &str, length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n");
    [head.into_bytes(), vec![b'x'; length]].concat()
}

/// A ClientHello of TLS 1.2 with a server name.
pub(crate) fn client_hello(name: &str) -> Vec<u8> {
    let host = [&[0_u8][..], &sized16(name.as_bytes())].concat();
    let extensions = [
        extension(0, &sized16(&host)),
        extension(10, &sized16(&[0, 29, 0, 23])),
        extension(11, &[1, 0]),
        extension(13, &sized16(&[4, 3, 8, 4, 4, 1])),
    ]
    .concat();
    let mut body = vec![3, 3];
    body.extend([0x5a; 32]);
    body.push(0);
    body.extend(sized16(&[0xc0, 0x2f, 0xc0, 0x30]));
    body.extend([1, 0]);
    body.extend(sized16(&extensions));
    record(&handshake(1, &body))
}

/// ServerHello of TLS 1.2 and the server's certificate, which is sent in the clear.
pub(crate) fn server_hello(certificate: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0x6b; 32]);
    body.push(0);
    body.extend([0xc0, 0x2f, 0]);
    body.extend(sized16(&extension(11, &[1, 0])));
    let hello = handshake(2, &body);
    let chain = sized24(&sized24(certificate));
    record(&[hello, handshake(11, &chain)].concat())
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &sized24(body)].concat()
}

fn record(payload: &[u8]) -> Vec<u8> {
    [&[22, 3, 3][..], &sized16(payload)].concat()
}

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized16(body)].concat()
}

fn sized16(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn sized24(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[1..], bytes].concat()
}
