use super::*;
use proptest::prelude::*;

/// Response with a question for `example.com` A and the given answer section.
fn response(answers: u16, section: &[u8]) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0x81, 0x80, 0, 1];
    message.extend(answers.to_be_bytes());
    message.extend([0; 4]);
    message.extend(b"\x07Example\x03com\x00\x00\x01\x00\x01");
    message.extend(section);
    message
}

fn record(record_type: u16, data: &[u8]) -> Vec<u8> {
    let mut record = vec![0xc0, 12];
    record.extend(record_type.to_be_bytes());
    record.extend([0, 1, 0, 0, 0, 60]);
    record.extend((data.len() as u16).to_be_bytes());
    record.extend(data);
    record
}

#[test]
fn every_kind_of_answer() {
    let section = [
        record(TYPE_A, &[192, 0, 2, 1]),
        record(
            TYPE_AAAA,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        ),
        record(TYPE_CNAME, b"\x03www\xc0\x0c"),
        record(TYPE_MX, b"\x00\x0a\x04mail\xc0\x0c"),
        record(TYPE_SRV, b"\x00\x00\x00\x00\x01\xbb\x03srv\xc0\x0c"),
        record(TYPE_TXT, b"\x03abc\x02de"),
        record(6, b"anything"),
    ]
    .concat();
    let dns = read(&response(7, &section), false).unwrap();
    assert_eq!((dns.id, dns.response, dns.query_type), (0x1234, true, 1));
    assert_eq!(dns.name, "example.com");
    let data: Vec<_> = dns.answers.iter().map(|answer| answer.data.clone()).collect();
    assert_eq!(
        data,
        [
            DnsData::Address("192.0.2.1".parse().unwrap()),
            DnsData::Address("2001:db8::1".parse().unwrap()),
            DnsData::Name("www.example.com".into()),
            DnsData::Name("mail.example.com".into()),
            DnsData::Name("srv.example.com".into()),
            DnsData::Text("abcde".into()),
            DnsData::Other,
        ]
    );
    assert!(!dns.truncated);
}

#[test]
fn a_cut_message_keeps_what_was_readable() {
    let section = [record(TYPE_A, &[192, 0, 2, 1]), record(TYPE_A, &[192, 0, 2, 2])].concat();
    let message = response(2, &section);
    let dns = read(&message[..message.len() - 1], false).unwrap();
    assert_eq!(dns.answers.len(), 1);
    assert!(dns.truncated);
    assert_eq!(read(&message[..20], false), Err(Malformed));
}

#[test]
fn a_wrong_length_of_an_address_is_no_address() {
    let dns = read(&response(1, &record(TYPE_A, &[1, 2, 3])), false).unwrap();
    assert_eq!(dns.answers[0].data, DnsData::Other);
    let dns = read(&response(1, &record(TYPE_CNAME, b"\x03ab")), false).unwrap();
    assert_eq!(dns.answers[0].data, DnsData::Other);
}

#[test]
fn a_flood_of_answers_is_bounded() {
    let section = record(TYPE_A, &[1, 2, 3, 4]).repeat(300);
    let dns = read(&response(300, &section), false).unwrap();
    assert_eq!(dns.answers.len(), MAX_ANSWERS);
    assert!(dns.truncated);
}

#[test]
fn an_mdns_answer_without_question_is_named_by_its_first_record() {
    let mut message = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    message.extend(b"\x07Printer\x05local\x00\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\xc0\x00\x02\x05");
    let dns = read(&message, true).unwrap();
    assert_eq!(
        (dns.name.as_str(), dns.query_type, dns.multicast),
        ("printer.local", 1, true)
    );
}

proptest! {
    #[test]
    fn never_panics(message in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = read(&message, false);
    }

    #[test]
    fn never_panics_behind_a_good_header(answers in 0u16..200, rest in prop::collection::vec(any::<u8>(), 0..600)) {
        let dns = read(&response(answers, &rest), false).unwrap();
        prop_assert!(dns.answers.len() <= usize::from(answers).min(MAX_ANSWERS));
    }
}
