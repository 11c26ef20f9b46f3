use super::*;

fn head(fields: &str) -> Head {
    let text = format!("POST /v1/messages?a=1&b=2 HTTP/1.1\r\n{fields}\r\n");
    let (head, length) = Head::parse(text.as_bytes()).unwrap().unwrap();
    assert_eq!(length, text.len());
    head
}

#[test]
fn a_head_keeps_names_as_they_were_sent() {
    let head = head("X-B: 1\r\nx-a:  two \r\nX-b: 3\r\n");
    let fields: Vec<_> = head.headers.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fields, [("X-B", "1"), ("x-a", "two "), ("X-b", "3")].map(|(n, v)| (n, v.trim())));
    assert_eq!(head.path(), "/v1/messages");
    assert_eq!(head.parameter("b"), Some("2"));
    assert_eq!(head.parameter("c"), None);
    assert_eq!(head.headers.all("x-b").collect::<Vec<_>>(), ["1", "3"]);
}

#[test]
fn a_value_that_is_not_utf8_keeps_its_bytes() {
    let bytes = b"GET / HTTP/1.1\r\nA: \xff\r\nB: \xc3\xa4\r\n\r\n";
    let (head, _) = Head::parse(bytes).unwrap().unwrap();
    assert_eq!(head.headers.first("a"), Some("\u{ff}"));
    assert_eq!(head.headers.first("b"), Some("\u{e4}"));
}

#[test]
fn a_head_is_read_only_when_it_is_complete() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for length in 0..text.len() {
        assert!(Head::parse(&text[..length]).unwrap().is_none(), "{length}");
    }
    assert!(Head::parse(text).unwrap().is_some());
    let long = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'a'; MAX_HEAD_BYTES]].concat();
    assert_eq!(Head::parse(&long).unwrap_err(), Malformed::HeadTooLarge);
    assert!(matches!(Head::parse(b"GET / HTTP/2.0\r\n\r\n"), Err(Malformed::Head(_))));
}

#[test]
fn a_body_has_one_framing() {
    let rows = [
        ("", Ok(Framing::None)),
        ("Content-Length: 5\r\n", Ok(Framing::Length(5))),
        ("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(Malformed::Length)),
        ("Content-Length: 5, 5\r\n", Err(Malformed::Length)),
        ("Content-Length: +5\r\n", Err(Malformed::Length)),
        ("Content-Length:\r\n", Err(Malformed::Length)),
        ("Content-Length: 99999999999999999999\r\n", Err(Malformed::Length)),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(Malformed::TwoFramings)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(Malformed::TransferEncoding)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(Malformed::TransferEncoding)),
    ];
    for (fields, expected) in rows {
        assert_eq!(head(fields).framing(), expected, "{fields}");
    }
}

#[test]
fn a_connection_is_kept_unless_the_client_says_otherwise() {
    let rows = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "Connection: foo, Close\r\n", false),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "Connection: Keep-Alive\r\n", true),
    ];
    for (version, fields, expected) in rows {
        let text = format!("GET / {version}\r\n{fields}\r\n");
        let (head, _) = Head::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(head.keeps_alive(), expected, "{version} {fields}");
    }
}

#[test]
fn a_chunked_body_is_read_however_it_arrives() {
    const SENT: &[u8] =
        b"4;ext=1\r\nWiki\r\n6 \r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nA: b\r\n\r\nGET /";
    for step in 1..SENT.len() {
        let mut decoder = ChunkedBody::default();
        let mut inbox = BytesMut::new();
        let mut ended = false;
        for piece in SENT.chunks(step) {
            inbox.extend_from_slice(piece);
            ended = ended || decoder.take_from(&mut inbox).unwrap();
        }
        assert!(ended, "{step}");
        assert_eq!(&decoder.body[..], b"Wikipedia in \r\n\r\nchunks.", "{step}");
        assert_eq!(&inbox[..], b"GET /", "{step}");
    }
}

#[test]
fn a_malformed_chunk_is_refused() {
    let rows: &[&[u8]] = &[
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"0x1\r\n",
        b"1\n",
        b"1\r\nabc",
        b"1111111111111111\r\n",
        &[b'1'; MAX_CHUNK_LINE_BYTES + 1],
    ];
    for bytes in rows {
        let mut inbox = BytesMut::from(*bytes);
        let result = ChunkedBody::default().take_from(&mut inbox);
        assert_eq!(result, Err(Malformed::Chunk), "{}", bytes.escape_ascii());
    }
}
