use super::*;
use proptest::prelude::*;

fn head(bytes: &[u8]) -> (AppEvent, Body, usize) {
    match read_head(bytes, false) {
        Ok(Read::Done { value, consumed }) => (value.0, value.1, consumed),
        other => panic!("{other:?}"),
    }
}

fn request_of(bytes: &[u8]) -> HttpRequest {
    match head(bytes).0 {
        AppEvent::HttpRequest(request) => request,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_request_with_its_body() {
    let bytes =
        b"POST /a?b=1 HTTP/1.1\r\nhost:  example.com \r\nUser-Agent: x y\r\nContent-Length: 5\r\n\r\nhello";
    let (event, body, consumed) = head(bytes);
    assert_eq!(
        event,
        AppEvent::HttpRequest(HttpRequest {
            method: "POST".into(),
            host: Some("example.com".into()),
            uri: "/a?b=1".into(),
            user_agent: Some("x y".into()),
            content_length: Some(5),
        })
    );
    assert_eq!((body, consumed), (Body::Length(5), bytes.len() - 5));
}

#[test]
fn a_response() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=utf-8\r\nServer: nginx\r\nContent-Length: 10\r\n\r\n";
    let (event, body, _) = head(bytes);
    assert_eq!(
        event,
        AppEvent::HttpResponse(HttpResponse {
            status: 200,
            mime: Some("text/html".into()),
            content_length: Some(10),
            server: Some("nginx".into()),
        })
    );
    assert_eq!(body, Body::Length(10));
    assert_eq!(
        head(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n").1,
        Body::Length(0)
    );
    assert_eq!(head(b"HTTP/1.0 200\r\n\r\n").1, Body::Unknown);
    assert_eq!(
        head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n").1,
        Body::Unknown
    );
}

#[test]
fn odd_requests_are_still_requests() {
    let request = request_of(b"GET /a b<>\xff%zz HTTP/1.1\nno colon here\nHost : odd\n\n");
    assert_eq!(request.uri, "/a b<>\u{fffd}%zz");
    assert_eq!(request.host.as_deref(), Some("odd"));
    assert_eq!(request_of(b"CONNECT [::1]:443 HTTP/1.0\r\n\r\n").uri, "[::1]:443");
    assert_eq!(request_of(b"M-SEARCH * HTTP/1.1\r\n\r\n").method, "M-SEARCH");
    assert_eq!(
        request_of(b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").content_length,
        None
    );
}

#[test]
fn what_is_not_http_1() {
    for bytes in [
        b"OPTIONS sip:a@b SIP/2.0\r\n\r\n".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"GET HTTP/1.1\r\n\r\n",
        b"\r\n\r\n",
    ] {
        assert_eq!(
            read_head(bytes, false),
            Err(Malformed),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn an_unfinished_head_waits_or_gives_what_it_has() {
    let bytes = b"GET /x HTTP/1.1\r\nHost: example.com\r\nUser-Ag";
    assert_eq!(read_head(bytes, false), Ok(Read::NeedMore));
    let Ok(Read::Done { value, .. }) = read_head(bytes, true) else {
        panic!("not read");
    };
    let AppEvent::HttpRequest(request) = value.0 else {
        panic!("no request");
    };
    assert_eq!(request.host.as_deref(), Some("example.com"));
    assert_eq!(request.user_agent, None);
}

#[test]
fn first_bytes_tell() {
    assert_eq!(may_be_head(b"GE"), None);
    assert_eq!(may_be_head(b"GET "), Some(true));
    assert_eq!(may_be_head(b"HTTP/"), None);
    assert_eq!(may_be_head(b"HTTP/1.1"), None);
    assert_eq!(may_be_head(b"HTTP/1.1 "), Some(true));
    assert_eq!(
        may_be_head(b"HTTP/1.1\r\n"),
        Some(false),
        "the end of a request line"
    );
    assert_eq!(may_be_head(b"HTTP/2"), Some(false));
    assert_eq!(may_be_head(b"250 ok"), Some(false));
    assert_eq!(may_be_head(&[b'A'; 40]), Some(false));
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), whole: bool) {
        let _ = (read_head(&bytes, whole), may_be_head(&bytes));
    }

    #[test]
    fn never_panics_on_lookalikes(text in "(GET|HTTP/1.1|POST|X)? ?[ -~\r\n]{0,200}\r?\n\r?\n?", whole: bool) {
        if let Ok(Read::Done { consumed, .. }) = read_head(text.as_bytes(), whole) {
            prop_assert!(consumed <= text.len());
        }
    }
}
