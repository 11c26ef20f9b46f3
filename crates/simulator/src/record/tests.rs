use super::*;
use crate::http::Headers;

fn head() -> Head {
    Head { method: "POST".into(), target: "/v1/messages".into(), minor: 1, headers: Headers::default() }
}

fn record(requests: usize, body_bytes: usize, total_body_bytes: usize) -> Record {
    Record::new(Keep { requests, body_bytes, total_body_bytes })
}

#[test]
fn the_oldest_requests_are_forgotten_but_counted() {
    let record = record(2, 10, 100);
    for _ in 0..5 {
        record.arrived(1, &head()).end(Ending::Complete);
    }
    let ids: Vec<u64> = record.requests().iter().map(|seen| seen.id).collect();
    assert_eq!(ids, [4, 5]);
    let served = record.served();
    assert_eq!((served.requests, served.forgotten), (5, 3));
}

#[test]
fn bodies_are_kept_within_their_bounds() {
    let record = record(10, 4, 8);
    for body in ["123456", "abcd", "xyz", ""] {
        let entry = record.arrived(1, &head());
        entry.body(&Bytes::from(body), true);
        entry.end(Ending::Complete);
    }
    let kept: Vec<(u64, Bytes)> =
        record.requests().into_iter().map(|seen| (seen.body_bytes, seen.body)).collect();
    // The first was cut to its bound, and forgotten when the third came.
    let expected = [(6, ""), (4, "abcd"), (3, "xyz"), (0, "")];
    assert_eq!(kept, expected.map(|(bytes, body)| (bytes, Bytes::from(body))));
}

#[test]
fn bodies_of_forgotten_requests_leave_room() {
    let record = record(1, 8, 8);
    for _ in 0..100 {
        let entry = record.arrived(1, &head());
        entry.body(&Bytes::from_static(b"12345678"), true);
        entry.end(Ending::Complete);
    }
    assert_eq!(record.last().unwrap().body, "12345678");
    assert_eq!(record.books().bodies.len(), 1);
    assert_eq!(record.books().body_bytes, 8);
    record.clear();
    assert_eq!(record.books().body_bytes, 0);
}

#[test]
fn notes_hold_once_their_bytes_were_sent() {
    let record = record(10, 10, 10);
    let mut entry = record.arrived(1, &head());
    let event = |chars| Note { is_event: true, chars, ..Note::default() };
    entry.expect(3, event(1));
    entry.expect(6, event(2));
    let mut seen = Vec::new();
    for bytes in [b"ab".as_slice(), b"cd", b"e", b"f"] {
        entry.sent(bytes);
        entry.show();
        let answer = record.last().unwrap().answer;
        seen.push((answer.events, answer.chars, answer.body_bytes));
    }
    assert_eq!(seen, [(0, 0, 2), (1, 1, 4), (1, 1, 5), (2, 3, 6)]);
    entry.end(Ending::Complete);
    let answer = record.last().unwrap().answer;
    // SHA-256 of "abcdef".
    assert_eq!(
        answer.body_sha256.as_deref(),
        Some("bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721")
    );
}

#[test]
fn an_entry_that_is_dropped_ends_as_stopped() {
    let record = record(10, 10, 10);
    drop(record.arrived(1, &head()));
    assert_eq!(record.last().unwrap().answer.ending, Ending::Stopped);
    assert_eq!(record.served().stopped, 1);
    assert_eq!(record.served().open, 0);
}

#[test]
fn clearing_keeps_what_is_under_way() {
    let record = record(10, 10, 10);
    record.arrived(1, &head()).end(Ending::Complete);
    let open = record.arrived(1, &head());
    record.clear();
    assert_eq!(record.requests().len(), 1);
    assert_eq!(record.served().requests, 0);
    open.end(Ending::Complete);
    assert_eq!(record.served().requests, 1);
    assert_eq!(record.served().open, 0);
}
