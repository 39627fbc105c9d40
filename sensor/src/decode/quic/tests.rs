//! Vectors of RFC 9001 Appendix A and RFC 9369 Appendix A. The client's packets are sealed here with the keys that the
//! RFCs print; that they begin and end (with the tag over everything) as printed proves them equal to the RFCs'.

use lynceus_model::app::{TlsClient, TlsServer};
use proptest::prelude::*;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey, quic};

use super::*;

/// CRYPTO frame with the ClientHello for example.com; padded to 1,162 bytes.
const CLIENT_FRAME: &str = "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868\
    04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578\
    616d706c652e636f6dff01000100000a00080006001d00170018001000070005\
    04616c706e000500050100000000003300260024001d00209370b2c9caa47fba\
    baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400\
    0d0010000e0403050306030203080408050806002d00020101001c0002400100\
    3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000\
    75300901100f088394c8f03e51570806048000ffff";

struct Vector {
    header: &'static str,
    key: &'static str,
    iv: &'static str,
    hp: &'static str,
    begins: &'static str,
    ends: &'static str,
    server: &'static str,
}

const VERSION_1: Vector = Vector {
    header: "c300000001088394c8f03e5157080000449e00000002",
    key: "1f369613dd76d5467730efcbe3b1a22d",
    iv: "fa044b2f42a3fd3b46fb255c",
    hp: "9f50449e04a0e810283a1e9933adedd2",
    begins: "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11",
    ends: "e221af44860018ab0856972e194cd934",
    server: "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a\
        5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3\
        dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84\
        022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4\
        2158407dd074ee",
};

const VERSION_2: Vector = Vector {
    header: "d36b3343cf088394c8f03e5157080000449e00000002",
    key: "8b1a0bc121284290a29e0971b5cd045d",
    iv: "91f73e2351d8fa91660e909f",
    hp: "45b95e15235d6f45a6b19cbcb0294ba9",
    begins: "d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485",
    ends: "a18b2faa745b6fe189cf772a9f84cbfc",
    server: "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698\
        baeea26b91eb761d9b89237bbf87263017915358230035f7fd3945d88965cf17\
        f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2\
        c984c707f0a0812d8cd5a6881eaf21ceda98f4bd23f6fe1a3e2c43edd9ce7ca8\
        4bed8521e2e140",
};

fn unhex(digits: &str) -> Vec<u8> {
    let nibbles: Vec<u8> = digits
        .chars()
        .map(|digit| digit.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    nibbles.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

impl Vector {
    /// Seals `payload` behind the header with the packet number `number`.
    fn seal(&self, payload: &[u8], number: u8) -> Vec<u8> {
        let mut header = unhex(self.header);
        let at = header.len() - 4;
        let length = (payload.len() + 20) as u16 | 0x4000;
        header[at - 2..at].copy_from_slice(&length.to_be_bytes());
        header[at + 3] = number;
        let mut nonce: [u8; 12] = unhex(self.iv).try_into().unwrap();
        nonce[11] ^= number;
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &unhex(self.key)).unwrap());
        let mut sealed = payload.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(header.as_slice()),
            &mut sealed,
        )
        .unwrap();
        let hp = quic::HeaderProtectionKey::new(&quic::AES_128, &unhex(self.hp)).unwrap();
        let mask = hp.new_mask(&sealed[..16]).unwrap();
        header[0] ^= mask[0] & 0x0f;
        for index in 0..4 {
            header[at + index] ^= mask[1 + index];
        }
        header.extend(sealed);
        header
    }
}

fn padded(mut frames: Vec<u8>) -> Vec<u8> {
    frames.resize(1162, 0);
    frames
}

fn client_of(outcome: Outcome) -> TlsClient {
    match outcome.event {
        Some(AppEvent::TlsClient(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

fn server_of(outcome: Outcome) -> TlsServer {
    match outcome.event {
        Some(AppEvent::TlsServer(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_rfcs() {
    for vector in [VERSION_1, VERSION_2] {
        let packet = vector.seal(&padded(unhex(CLIENT_FRAME)), 2);
        assert_eq!(packet.len(), 1200);
        assert!(packet.starts_with(&unhex(vector.begins)));
        assert!(packet.ends_with(&unhex(vector.ends)));

        let mut flow = QuicFlow::default();
        let hello = client_of(flow.datagram(&packet, Side::Low, &mut Vec::new()));
        assert_eq!(hello.server_name.as_deref(), Some("example.com"));
        assert_eq!(hello.alpn, ["alpn"]);
        assert_eq!((hello.version, hello.quic), (0x0304, true));
        assert!(hello.ja4.starts_with("q13d0211an_"), "{}", hello.ja4);

        let hello = server_of(flow.datagram(&unhex(vector.server), Side::High, &mut Vec::new()));
        assert_eq!((hello.version, hello.cipher), (0x0304, 0x1301));
        assert!(!flow.is_incomplete());
    }
}

#[test]
fn a_hello_in_pieces_out_of_order_over_packets_and_coalesced() {
    let frame = unhex(CLIENT_FRAME);
    let hello = &frame[4..];
    let piece = |from: usize, to: usize| {
        let mut frame = vec![6, 0x40 | (from >> 8) as u8, from as u8, 0x40, (to - from) as u8];
        frame.extend(&hello[from..to]);
        frame
    };
    let mut late = piece(180, 241);
    late.push(1);
    late.extend(piece(60, 130));
    // An ACK frame with one more range, then the middle.
    let mut middle = vec![2, 5, 0, 1, 0, 0, 0];
    middle.extend(piece(130, 180));
    let mut datagram = VERSION_1.seal(&middle, 1);
    datagram.extend(VERSION_1.seal(&padded(piece(0, 70)), 2));

    let mut flow = QuicFlow::default();
    let mut scratch = Vec::new();
    let outcome = flow.datagram(&VERSION_1.seal(&late, 0), Side::High, &mut scratch);
    assert!(outcome.event.is_none() && !outcome.malformed && flow.is_incomplete());
    let hello = client_of(flow.datagram(&datagram, Side::High, &mut scratch));
    assert_eq!(hello.server_name.as_deref(), Some("example.com"));
    let outcome = flow.datagram(&datagram, Side::High, &mut scratch);
    assert!(outcome.event.is_none(), "a hello is told once");
}

#[test]
fn a_forged_or_cut_packet_is_malformed() {
    let mut packet = VERSION_1.seal(&padded(unhex(CLIENT_FRAME)), 2);
    assert!(
        QuicFlow::default()
            .datagram(&packet[..600], Side::Low, &mut Vec::new())
            .event
            .is_none()
    );
    packet[700] ^= 1;
    let outcome = QuicFlow::default().datagram(&packet, Side::Low, &mut Vec::new());
    assert!(outcome.malformed && outcome.event.is_none());
}

#[test]
fn variable_length_integers() {
    for (bytes, value) in [
        (unhex("c2197c5eff14e88c"), 151_288_809_941_952_652),
        (unhex("9d7f3e7d"), 494_878_333),
        (unhex("7bbd"), 15_293),
        (unhex("25"), 37),
    ] {
        assert_eq!(varint(&mut bytes.as_slice()), Ok(value));
        assert_eq!(varint(&mut &bytes[1..1]), Err(Malformed));
    }
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0usize..3) {
        let start: &[u8] = [b"\xc3\0\0\0\x01".as_slice(), b"\xd3\x6b\x33\x43\xcf", b""][version];
        let datagram = [start, &bytes].concat();
        QuicFlow::default().datagram(&datagram, Side::Low, &mut Vec::new());
    }

    #[test]
    fn never_panics_behind_the_seal(frames in prop::collection::vec(any::<u8>(), 30..300)) {
        let mut flow = QuicFlow::default();
        flow.datagram(&VERSION_1.seal(&frames, 3), Side::Low, &mut Vec::new());
        let mut more = vec![6];
        more.extend(&frames);
        flow.datagram(&VERSION_1.seal(&more, 4), Side::Low, &mut Vec::new());
    }
}
