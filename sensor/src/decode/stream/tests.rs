use proptest::prelude::*;

use super::*;

#[derive(Default, Debug, PartialEq)]
struct Log {
    events: Vec<AppEvent>,
    malformed: Vec<Protocol>,
    incomplete: usize,
    repeated: usize,
}

impl Sink for Log {
    fn event(&mut self, event: AppEvent) {
        self.events.push(event);
    }
    fn malformed(&mut self, protocol: Protocol) {
        self.malformed.push(protocol);
    }
    fn incomplete(&mut self) {
        self.incomplete += 1;
    }
    fn repeated(&mut self) {
        self.repeated += 1;
    }
}

impl Log {
    /// Targets of requests and states of responses.
    fn told(&self) -> Vec<String> {
        self.events
            .iter()
            .map(|event| match event {
                AppEvent::HttpRequest(request) => request.uri.clone(),
                AppEvent::HttpResponse(response) => response.status.to_string(),
                AppEvent::Dns(message) => message.name.clone(),
                AppEvent::Ssh(ssh) => ssh.banner.clone(),
                other => format!("{other:?}"),
            })
            .collect()
    }
}

fn segment(seq: u32, bytes: &[u8]) -> Segment<'_> {
    Segment {
        seq,
        bytes,
        cut: false,
        dns_port: false,
        from_client: true,
    }
}

fn feed(segments: &[(u32, &[u8])]) -> Log {
    let (mut direction, mut log) = (Direction::default(), Log::default());
    for (seq, bytes) in segments {
        direction.segment(segment(*seq, bytes), &mut log);
    }
    log
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";

#[test]
fn pieces_out_of_order_over_the_wrap_of_sequence_numbers() {
    let start = u32::MAX - 5;
    let at = |offset: u32| start.wrapping_add(offset);
    let log = feed(&[(at(10), &GET[10..20]), (at(20), &GET[20..]), (at(0), &GET[..10])]);
    assert_eq!(log.told(), ["/a"]);
    let log = feed(&[(at(0), &GET[..10]), (at(20), &GET[20..]), (at(8), &GET[8..22])]);
    assert_eq!(log.told(), ["/a"]);
}

#[test]
fn retransmissions_tell_nothing_twice() {
    let log = feed(&[(100, GET), (100, GET), (100, &GET[..5]), (105, &GET[5..])]);
    assert_eq!(log.told(), ["/a"]);
    assert_eq!(log.repeated, 3);
}

#[test]
fn the_same_ports_again_are_a_new_connection() {
    let log = feed(&[(3_000_000_000, GET), (100, GET), (2_000_000_000, GET)]);
    assert_eq!(log.told(), ["/a", "/a", "/a"]);
}

#[test]
fn pipelined_heads_and_bodies_of_known_length() {
    let bytes =
        b"POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET GET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n";
    assert_eq!(feed(&[(0, bytes)]).told(), ["/1", "/2", "/3"]);
    for cut in 1..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let told = feed(&[(0, first), (cut as u32, second)]).told();
        assert_eq!(told, ["/1", "/2", "/3"], "cut at {cut}");
    }
}

#[test]
fn a_body_need_not_be_seen() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n".as_slice();
    let after = head.len() as u32 + 3000;
    let next = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".as_slice();
    let tail = [&[b'x'; 100], next].concat();
    assert_eq!(feed(&[(0, head), (after - 100, &tail)]).told(), ["200", "404"]);
    assert_eq!(feed(&[(0, head), (after, next)]).told(), ["200", "404"]);
    // The end of the body passed unseen, or its length was a lie.
    assert_eq!(feed(&[(0, head), (after + 500, next)]).told(), ["200", "404"]);
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n".as_slice();
    assert_eq!(
        feed(&[(0, head), (head.len() as u32, head)]).told(),
        ["200", "200"]
    );
    assert_eq!(feed(&[(0, &head.repeat(3))]).told(), ["200", "200", "200"]);
}

#[test]
fn a_body_of_unknown_length_ends_with_the_next_head() {
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".as_slice();
    assert_eq!(feed(&[(0, head), (10_000, head)]).told(), ["200", "200"]);
}

#[test]
fn several_messages_of_dns_in_one_segment() {
    let message = b"\x00\x17\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05Query\x00\x00\x01\x00\x01";
    let bytes = message.repeat(3);
    let (mut direction, mut log) = (Direction::default(), Log::default());
    let (first, second) = bytes.split_at(40);
    for (seq, bytes) in [(7, first), (47, second)] {
        let segment = Segment {
            dns_port: true,
            ..segment(seq, bytes)
        };
        direction.segment(segment, &mut log);
    }
    assert_eq!(log.told(), ["query", "query", "query"]);
}

#[test]
fn a_cut_segment_gives_the_head_as_far_as_it_is_there() {
    let (mut direction, mut log) = (Direction::default(), Log::default());
    let cut = Segment {
        cut: true,
        ..segment(0, b"GET /images/a.gif HTT")
    };
    direction.segment(cut, &mut log);
    direction.segment(segment(900, GET), &mut log);
    assert_eq!(log.told(), ["/images/a.gif", "/a"]);
}

#[test]
fn what_never_gets_whole_is_given_up_and_counted() {
    let mut segments: Vec<(u32, &[u8])> = vec![(0, b"GET /never")];
    segments.extend((1..12).map(|index| (index * 1000, b"a hole before this".as_slice())));
    segments.push((200_000, GET));
    let log = feed(&segments);
    assert_eq!((log.told(), log.incomplete), (vec!["/a".to_owned()], 1));
}

#[test]
fn a_broken_hello_is_malformed_and_the_next_message_is_read() {
    let log = feed(&[(0, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"), (10, GET)]);
    assert_eq!(log.malformed, [Protocol::Tls]);
    assert_eq!(log.told(), ["/a"]);
}

proptest! {
    /// However a message is cut, doubled and shuffled, it tells the same.
    #[test]
    fn order_does_not_matter(
        cuts in prop::collection::btree_set(1usize..70, 0..5),
        order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
        again in 0usize..6,
    ) {
        let bytes = b"GET /one HTTP/1.1\r\nHost: a\r\nAccept: b\r\nUser-Agent: somebody/1.0 (X)\r\n\r\n";
        let mut edges: Vec<usize> = cuts.into_iter().collect();
        edges.insert(0, 0);
        edges.push(bytes.len());
        let pieces: Vec<(u32, &[u8])> = edges
            .windows(2)
            .map(|edge| (5000 + edge[0] as u32, &bytes[edge[0]..edge[1]]))
            .collect();
        let mut shuffled: Vec<_> = order.into_iter().filter_map(|index| pieces.get(index).copied()).collect();
        if let Some(piece) = pieces.get(again) {
            shuffled.push(*piece);
        }
        let told = feed(&shuffled).told();
        prop_assert_eq!(told, ["/one"]);
    }

    #[test]
    fn never_panics_and_is_bounded(
        segments in prop::collection::vec(
            (0u32..40_000, "(GET|HTTP/1.1|SSH-|\x16\x03\x01\x02\x00\x01)?[ -~\r\n]{0,60}(\r\n\r\n)?", any::<bool>(), any::<bool>()),
            0..40,
        ),
    ) {
        let (mut direction, mut log) = (Direction::default(), Log::default());
        for (seq, text, cut, dns_port) in &segments {
            let segment = Segment { cut: *cut, dns_port: *dns_port, ..segment(*seq, text.as_bytes()) };
            direction.segment(segment, &mut log);
            prop_assert!(direction.pending.ready().len() <= MAX_PENDING);
        }
        prop_assert!(log.events.len() <= 20 * segments.len());
    }
}
