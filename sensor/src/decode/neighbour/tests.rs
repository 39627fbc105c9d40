use proptest::prelude::*;

use super::*;

const ROUTER: &str = "fe80::1";
const HOST: &str = "2001:db8::5";
const CARD: [u8; 6] = [2, 0, 0, 0, 0, 5];

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn bytes(kind: u8, flags: u8, target: &str, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    bytes.extend(ip(target).octets());
    bytes.extend(options);
    bytes
}

fn option(kind: u8) -> Vec<u8> {
    [&[kind, 1][..], &CARD].concat()
}

fn message<'a>(from: &str, to: &str, bytes: &'a [u8]) -> Message<'a> {
    Message {
        from: ip(from),
        to: ip(to),
        hop_limit: 255,
        link: 7,
        bytes,
        length: bytes.len(),
    }
}

#[test]
fn a_solicitation_and_its_answer() {
    // An option that is not known (a nonce, RFC 3971 §5.3.2) stands before.
    let options = [vec![14, 1, 1, 2, 3, 4, 5, 6], option(1)].concat();
    let asked = bytes(135, 0xe0, ROUTER, &options);
    let asked = read(&message(HOST, "ff02::1:ff00:1", &asked)).unwrap();
    assert_eq!(
        (asked.operation, asked.sender_mac, asked.target_mac),
        (1, CARD, [0; 6])
    );
    assert_eq!((asked.sender, asked.target), (ip(HOST).into(), ip(ROUTER).into()));
    let said = asked.discovery.unwrap();
    assert_eq!(
        (said.from, said.to, said.link),
        (ip(HOST), ip("ff02::1:ff00:1"), 7)
    );
    assert!(
        !said.router && !said.solicited && !said.overrides,
        "reserved bits"
    );

    let answer = bytes(136, 0xc0, ROUTER, &option(2));
    let answer = read(&message(ROUTER, HOST, &answer)).unwrap();
    assert_eq!((answer.operation, answer.sender_mac), (2, CARD));
    assert_eq!(
        (answer.sender, answer.target),
        (ip(ROUTER).into(), ip(HOST).into())
    );
    let said = answer.discovery.unwrap();
    assert!(said.router && said.solicited && !said.overrides);
}

#[test]
fn no_card_where_none_of_ethernet_is_named() {
    // The other kind of option, and one of eight bytes as 802.15.4 has it.
    let other = [option(1), vec![2, 2, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0]].concat();
    let packet = bytes(136, 0x20, HOST, &other);
    assert_eq!(
        read(&message(HOST, "ff02::1", &packet)).unwrap().sender_mac,
        [0; 6]
    );
}

#[test]
fn what_a_host_would_not_believe() {
    let ask = bytes(135, 0, ROUTER, &option(1));
    let group = "ff02::1:ff00:1";
    let refused = |message: Message<'_>| read(&message).unwrap_err();
    let far = Message {
        hop_limit: 64,
        ..message(HOST, group, &ask)
    };
    assert_eq!(refused(far), Refused::HopLimit);
    let cut = Message {
        length: 40,
        ..message(HOST, group, &ask)
    };
    assert_eq!(refused(cut), Refused::Cut);
    assert_eq!(refused(message(HOST, group, &ask[..23])), Refused::Short);
    assert_eq!(refused(message(HOST, group, &ask[..31])), Refused::Option);
    assert_eq!(refused(message(HOST, group, &ask[..25])), Refused::Option);
    let empty = bytes(135, 0, ROUTER, &[1, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(refused(message(HOST, group, &empty)), Refused::Option);
    let mut coded = ask.clone();
    coded[1] = 1;
    assert_eq!(refused(message(HOST, group, &coded)), Refused::Code);
    let kind = bytes(134, 0, ROUTER, &[]);
    assert_eq!(refused(message(HOST, group, &kind)), Refused::Type);
    let many = bytes(136, 0x20, "ff02::1", &option(2));
    assert_eq!(refused(message(HOST, "ff02::1", &many)), Refused::Target);
    let solicited = bytes(136, 0x60, HOST, &option(2));
    assert_eq!(refused(message(HOST, "ff02::1", &solicited)), Refused::Solicited);

    let probe = bytes(135, 0, "fe80::1234:5678", &[]);
    assert!(read(&message("::", "ff02::1:ff34:5678", &probe)).is_ok());
    assert_eq!(refused(message("::", "ff02::1", &probe)), Refused::Unspecified);
    let named = bytes(135, 0, "fe80::1234:5678", &option(1));
    assert_eq!(
        refused(message("::", "ff02::1:ff34:5678", &named)),
        Refused::Unspecified
    );
}

#[test]
fn links_differ_by_interface_and_vlan() {
    let plain = FlowKey::default();
    let tagged = FlowKey {
        vlan: [5, 0],
        ..plain
    };
    assert_eq!(link(2, &plain), link(2, &plain));
    assert!(link(2, &plain) != link(3, &plain) && link(2, &plain) != link(2, &tagged));
}

proptest! {
    /// Whatever comes: no panic, and what is read keeps to the rules.
    #[test]
    fn any_bytes(
        from: [u8; 16], to: [u8; 16], hop_limit in prop_oneof![Just(255), any::<u8>()], cut in 0_usize..4,
        kind in prop_oneof![Just(135), Just(136), any::<u8>()], rest in proptest::collection::vec(any::<u8>(), 0..90),
    ) {
        let bytes = [&[kind, 0][..], &rest].concat();
        let message = Message {
            from: from.into(), to: to.into(), hop_limit, link: 0, bytes: &bytes, length: bytes.len() + cut,
        };
        match read(&message) {
            Ok(read) => {
                prop_assert!(cut == 0 && hop_limit == 255 && bytes.len() >= FIXED_BYTES);
                let said = read.discovery.unwrap();
                prop_assert!(!(said.solicited && message.to.is_multicast()));
                prop_assert!(matches!((kind, read.operation), (135, REQUEST) | (136, REPLY)));
                prop_assert!(read.sender.is_ipv6() && read.target.is_ipv6());
            }
            Err(reason) => prop_assert!(Refused::ALL[reason as usize] == reason),
        }
    }

    /// What is well formed is read as it was written, whatever options stand around.
    #[test]
    fn what_was_written(
        target in any::<u128>().prop_filter("no group", |ip| ip >> 120 != 0xff), card: [u8; 6],
        before in 3_u8..200, units in 1_u8..5, solicits: bool,
    ) {
        let target = Ipv6Addr::from_bits(target);
        let (kind, option) = if solicits { (135, 1) } else { (136, 2) };
        let mut bytes = vec![kind, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(target.octets());
        bytes.extend([before, units]);
        bytes.resize(FIXED_BYTES + usize::from(units) * 8, 0xaa);
        bytes.extend([option, 1]);
        bytes.extend(card);
        let (from, to) = (ip(HOST), group_of(target));
        let message = Message { from, to, hop_limit: 255, link: 0, bytes: &bytes, length: bytes.len() };
        let read = read(&message).unwrap();
        prop_assert_eq!(read.sender_mac, card);
        let (sender, asked) = if solicits { (from, target) } else { (target, to) };
        prop_assert_eq!((read.sender, read.target), (sender.into(), asked.into()));
    }
}
