use super::*;
use proptest::prelude::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 1024, target_bytes: 128, fields: 8 };

fn request(text: &str) -> Result<Option<RequestHead>, BadHead> {
    RequestHead::parse(text.as_bytes(), &LIMITS)
}

#[test]
fn whole_requests_are_read() {
    let text = "POST /v1/messages?beta=true HTTP/1.1\r\nHost: a\r\nX-Api-Key:  k \t\r\nContent-Length: 12\r\n\r\nbody";
    let head = request(text).unwrap().unwrap();
    let bytes = text.as_bytes();
    assert_eq!(&text[head.method.start as usize..head.method.end as usize], "POST");
    assert_eq!(&text[head.target.start as usize..head.target.end as usize], "/v1/messages?beta=true");
    assert_eq!(head.value(bytes, "x-api-key"), Some(&b"k"[..]));
    assert_eq!(head.framing, Framing::Length(12));
    assert_eq!(&bytes[head.len..], b"body");
    assert!(head.keep_alive && !head.http_10 && !head.expects_continue);
}

#[test]
fn connection_and_expectations_are_understood() {
    let rows = [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false, false),
        ("GET / HTTP/1.0\r\n\r\n", false, false),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true, false),
        ("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", true, true),
        ("\r\nGET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", true, false),
        ("GET https://[::1]:8080/b?http://x@y HTTP/1.1\r\nHost:\r\nx_y: 1\r\n\r\n", true, false),
    ];
    for (text, keep_alive, expects) in rows {
        let head = request(text).unwrap().unwrap();
        assert_eq!((head.keep_alive, head.expects_continue), (keep_alive, expects), "{text:?}");
    }
    let absolute = request(rows[5].0).unwrap().unwrap();
    assert_eq!(&rows[5].0[absolute.target.start as usize..absolute.target.end as usize], "/b");
}

#[test]
fn smuggling_shapes_are_refused() {
    use BadHead::*;
    let host = "POST / HTTP/1.1\r\nHost: a\r\n";
    let rows: Vec<(String, BadHead)> = vec![
        (format!("{host}Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), ContentLength),
        (format!("{host}Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), ContentLength),
        (format!("{host}Content-Length: 5, 5\r\n\r\n"), ContentLength),
        (format!("{host}Content-Length: +5\r\n\r\n"), ContentLength),
        (format!("{host}Content-Length: -1\r\n\r\n"), ContentLength),
        (format!("{host}Content-Length: 0x5\r\n\r\n"), ContentLength),
        (format!("{host}Content-Length:\r\n\r\n"), ContentLength),
        (format!("{host}Content-Length: 99999999999999999999\r\n\r\n"), ContentLength),
        (format!("{host}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), TwoFramings),
        (format!("{host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), TwoFramings),
        (format!("{host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), TransferEncoding),
        (format!("{host}Transfer-Encoding: gzip, chunked\r\n\r\n"), TransferEncoding),
        (format!("{host}Transfer-Encoding: xchunked\r\n\r\n"), TransferEncoding),
        (format!("{host}Transfer-Encoding: \u{b}chunked\r\n\r\n"), FieldValue),
        (format!("{host}Transfer-Encoding : chunked\r\n\r\n"), FieldName),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(), TransferEncoding),
        (format!("{host}X: a\r\n b\r\n\r\n"), Folded),
        (format!("{host}X: a\r\n\tb\r\n\r\n"), Folded),
        (format!("{host}X: a\nY: b\r\n\r\n"), LineEnd),
        ("GET / HTTP/1.1\nHost: a\n\n".into(), LineEnd),
        (format!("{host}X: a\rb\r\n\r\n"), FieldValue),
        (format!("{host}X: a\0b\r\n\r\n"), FieldValue),
        (format!("{host}: v\r\n\r\n"), FieldName),
        (format!("{host}novalue\r\n\r\n"), FieldName),
        (format!("{host}a b: v\r\n\r\n"), FieldName),
        (format!("{host}Host: b\r\n\r\n"), Host),
        ("GET / HTTP/1.1\r\n\r\n".into(), Host),
        (format!("{host}content_length: 5\r\n\r\n"), FieldName),
        (format!("{host}Transfer_Encoding: chunked\r\n\r\n"), FieldName),
        (format!("{host}x_api-key: k\r\n\r\n"), FieldName),
        (format!("{host}X-Api_Key: k\r\n\r\n"), FieldName),
        (format!("{host}Expect: 200-ok\r\n\r\n"), Expect),
        (format!("{host}Expect: 100-continue, x\r\n\r\n"), Expect),
        (format!("{host}Expect: 100-continue\r\nExpect: x\r\n\r\n"), Expect),
        (format!("{host}Expect:\r\n\r\n"), Expect),
        ("GET / HTTP/1.1\r\nHost: a/?\r\n\r\n".into(), Host),
        ("GET / HTTP/1.0\r\nHost: a, b\r\n\r\n".into(), Host),
        ("GET http://u:p@evil/v1/messages HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET http://evil?/v1/messages HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET http://evil HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET http:///v1/messages HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET http://a,b/v1 HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n".into(), StartLine),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".into(), Version),
        ("GET / HTTP/1.1x\r\nHost: a\r\n\r\n".into(), Version),
        ("GET /\r\nHost: a\r\n\r\n".into(), StartLine),
    ];
    for (text, why) in rows {
        assert_eq!(request(&text), Err(why), "{text:?}");
    }
}

#[test]
fn sizes_are_refused_before_the_head_is_whole() {
    let long_target = format!("GET /{}", "a".repeat(300));
    assert_eq!(request(&long_target), Err(BadHead::TargetTooLong));
    let whole_target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(128));
    assert_eq!(request(&whole_target), Err(BadHead::TargetTooLong));
    let long_field = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(1024));
    assert_eq!(request(&long_field), Err(BadHead::HeadTooLarge));
    let many = format!("GET / HTTP/1.1\r\n{}", "X: a\r\n".repeat(9));
    assert_eq!(request(&many), Err(BadHead::HeadTooLarge));
    assert_eq!(request("GET / HTTP/1.1\r\nX: a\r\n"), Ok(None));
}

#[test]
fn responses_say_how_they_end() {
    let rows = [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200, Framing::Length(3), true),
        ("HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n", 200, Framing::Chunked, true),
        ("HTTP/1.1 200 OK\r\n\r\n", 200, Framing::UntilClose, false),
        ("HTTP/1.1 204 No\r\n\r\n", 204, Framing::None, true),
        ("HTTP/1.1 100 Continue\r\n\r\n", 100, Framing::None, true),
        ("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", 200, Framing::Length(3), false),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", 200, Framing::Length(3), false),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            200,
            Framing::Chunked,
            false,
        ),
    ];
    for (text, status, framing, keep_alive) in rows {
        let head = ResponseHead::parse(text.as_bytes(), &LIMITS, false).unwrap().unwrap();
        assert_eq!((head.status, head.framing, head.keep_alive), (status, framing, keep_alive), "{text:?}");
    }
    for text in
        ["HTTP/1.1 20 OK\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 999 X\r\n\r\n", "HTTP/1.1 2000\r\n\r\n"]
    {
        assert_eq!(
            ResponseHead::parse(text.as_bytes(), &LIMITS, false),
            Err(BadHead::StatusLine),
            "{text:?}"
        );
    }
    let gzip = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n";
    assert_eq!(ResponseHead::parse(gzip.as_bytes(), &LIMITS, false), Err(BadHead::TransferEncoding));
}

proptest! {
    #[test]
    fn a_prefix_is_unfinished_or_refused_but_never_whole(cut in 0usize..80) {
        let text = b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nAccept: */*\r\n\r\n";
        let cut = cut.min(text.len() - 1);
        prop_assert_eq!(RequestHead::parse(&text[..cut], &LIMITS), Ok(None));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = RequestHead::parse(&bytes, &LIMITS);
        let _ = ResponseHead::parse(&bytes, &LIMITS, false);
    }

    #[test]
    fn what_is_accepted_has_one_reading(
        text in "(GET|POST) /[a-z]{0,4} HTTP/1\\.[01]\r\n(Host: a\r\n)?((Content-Length|Transfer-Encoding|content-length ?): ?(5|chunked|5, 5|gzip|\t5)\r\n){0,3}( ?X: y\r?\n)?\r\n",
    ) {
        if let Ok(Some(head)) = RequestHead::parse(text.as_bytes(), &LIMITS) {
            let lower = text.to_ascii_lowercase();
            let lengths = lower.matches("content-length").count();
            let codings = lower.matches("transfer-encoding").count();
            prop_assert!(lengths + codings <= 1, "{text:?}");
            prop_assert!(!text.contains("\n X"), "{text:?}");
            prop_assert!(!lower.contains("content-length :"), "{text:?}");
            prop_assert_eq!(matches!(head.framing, Framing::Length(5)), lengths == 1);
            prop_assert_eq!(head.framing == Framing::Chunked, codings == 1);
        }
    }
}
