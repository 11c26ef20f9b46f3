//! Entries as lines: what is written comes back, and what was touched is refused.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::access::Models;
use crate::credential::Pepper;
use crate::key::{KeyRecord, KeyState};
use crate::scope::Scope;
use crate::usage::Iteration;

mod tampering;

const AT: UnixMs = UnixMs(1_795_347_000_123);

fn key_record() -> KeyRecord {
    KeyRecord {
        id: KeyId::new(AT, [2; 10]),
        digest: Pepper::new([7; 32]).digest(b"presented"),
        hint: "tg_abcd\u{2026}wxyz".to_owned(),
        scope: scope(),
        models: Models::new(vec!["claude-haiku-*".to_owned()]).unwrap(),
        created_at: AT,
        expires_at: Some(UnixMs(AT.0 + 1)),
        state: KeyState::Grace { until: AT, replaced_by: KeyId::new(AT, [3; 10]) },
        rotated_from: Some(KeyId::new(AT, [4; 10])),
        first: Some(KeyId::new(AT, [5; 10])),
        note: Some("for the build farm".to_owned()),
    }
}

fn scope() -> Scope {
    Scope { user: Some("ada@example".parse().unwrap()), ..Scope::team("platform".parse().unwrap()) }
}

fn admitted() -> Admitted {
    Admitted {
        request: RequestId::new(AT, [1; 10]),
        key: KeyId::new(AT, [2; 10]),
        scope: scope(),
        peer: "192.0.2.7:50312".to_owned(),
        method: "POST".to_owned(),
        endpoint: "messages".to_owned(),
        path: "/v1/messages".to_owned(),
        model: Some("claude-sonnet-4-6".to_owned()),
        stream: true,
        max_tokens: Some(32_000),
        body_bytes: 48_211,
        upstream: "anthropic".to_owned(),
        reserved: NanoUsd(516_159_000),
        input_estimate: 12_053,
        output_estimate: 0,
        cost_centre: None,
        tags: BTreeMap::new(),
        over: Vec::new(),
        session: Some("0b1f6f9e-3a0c-4a6e-9a52-0a4c5b6d7e8f".to_owned()),
        agent: None,
        headers: BTreeMap::from([
            ("user-agent".to_owned(), "claude-cli/2.0.76 (external, cli)".to_owned()),
            ("anthropic-version".to_owned(), "2023-06-01".to_owned()),
        ]),
    }
}

fn settled() -> Settled {
    Settled {
        request: RequestId::new(AT, [1; 10]),
        admitted: 41,
        admitted_at: Some(UnixMs(1_763_800_000_000)),
        key: KeyId::new(AT, [2; 10]),
        scope: scope(),
        endpoint: "messages".to_owned(),
        model: Some("claude-sonnet-4-6".to_owned()),
        served_model: Some("claude-sonnet-4-6".to_owned()),
        upstream: "anthropic".to_owned(),
        region: None,
        outcome: Outcome::Aborted,
        status: Some(200),
        usage: Usage {
            input_tokens: 12,
            output_tokens: 345,
            iterations: vec![Iteration { kind: "message".to_owned(), ..Iteration::default() }],
            ..Usage::default()
        },
        cost: NanoUsd(5_211_000),
        price_version: "2026-11-16".to_owned(),
        unknown_price: false,
        estimated: true,
        ms_total: 5_512,
        ms_first_byte: Some(812),
        upstream_request_id: Some("req_011CU".to_owned()),
        error: None,
        session: None,
        agent: None,
        cost_centre: None,
        tags: BTreeMap::new(),
    }
}

fn every_kind() -> Vec<Event> {
    let change = |also| KeyChange {
        by: "local-admin".to_owned(),
        before: Some(key_record()),
        after: key_record(),
        also,
    };
    vec![
        Event::Opened(Opened {
            instance: InstanceId::new(AT, [5; 10]),
            version: "0.1.0".to_owned(),
            durability: Durability::Strict,
            torn_bytes: 17,
        }),
        Event::Admitted(admitted()),
        Event::Settled(settled()),
        Event::Denied(Denied {
            request: RequestId::new(AT, [1; 10]),
            key: None,
            scope: None,
            peer: "192.0.2.7:50312".to_owned(),
            method: "POST".to_owned(),
            path: "/v1/messages".to_owned(),
            status: 401,
            code: "unknown_credential".to_owned(),
            model: None,
            allowance: None,
            suppressed: 3,
        }),
        Event::KeyCreated(KeyChange { before: None, ..change(None) }),
        Event::KeyRotated(change(Some(key_record()))),
        Event::KeyRevoked(change(None)),
        Event::ConfigApplied(ConfigApplied {
            by: "local-admin".to_owned(),
            document: "tollgate.yaml".to_owned(),
            before: Some(Hash::of(b"old")),
            after: Hash::of(b"new"),
        }),
        Event::Checkpoint(Checkpoint {
            instance: InstanceId::new(AT, [5; 10]),
            head_seq: 40,
            head: Hash::of(b"head"),
            at: AT,
            durability: Durability::Group,
            oldest_open: Some(12),
            key: "ed25519:2f1c".to_owned(),
            signature: "c2lnbmF0dXJl".to_owned(),
        }),
        Event::Resumed(Resumed { since: UnixMs(1_795_000_000_000), refused: 12 }),
        Event::WitnessLost(WitnessLost { what: vec![Witness::Checkpoints, Witness::Ledger] }),
        Event::Closed,
    ]
}

#[test]
fn every_kind_of_entry_comes_back_and_chains() {
    let (mut journal, mut prev) = (Vec::new(), GENESIS);
    for (seq, event) in (1..).zip(every_kind()) {
        prev = write_line(&mut journal, seq, AT, &prev, &event);
    }
    let mut chain = Chain::new();
    let lines: Vec<_> = journal.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), every_kind().len());
    for (line, event) in lines.iter().zip(every_kind()) {
        let entry = read_line(line).unwrap();
        assert_eq!(entry.event, event);
        assert_eq!(entry.link.at, AT);
        assert!(String::from_utf8_lossy(line).contains(&format!("\"kind\":\"{}\"", event.kind())));
        chain.follow(&entry).unwrap();
    }
    assert_eq!(chain, Chain { next_seq: 13, prev });
}

fn line_of(event: &Event) -> Vec<u8> {
    let mut line = Vec::new();
    write_line(&mut line, 7, AT, &Hash::of(b"before"), event);
    line
}

#[test]
fn a_line_is_written_to_the_byte_as_documented() {
    // The id and the hash were computed by an independent program.
    let expected = concat!(
        r#"{"seq":1,"at":"2026-11-22T11:30:00.123Z","#,
        r#""prev":"0000000000000000000000000000000000000000000000000000000000000000","kind":"opened","#,
        r#""instance":"ins_01M81GAASV0M2GA1850M2GA185","version":"0.1.0","durability":"strict","torn_bytes":17,"#,
        r#""hash":"08893e81ab6ae5847f52910cf682e727dff6810ede15ac1b3222069664a5e71b"}"#,
        "\n"
    );
    let mut journal = b"earlier\n".to_vec();
    let hash = write_line(&mut journal, 1, AT, &GENESIS, &every_kind()[0]);
    assert_eq!(String::from_utf8_lossy(&journal[8..]), expected);
    assert_eq!(read_line(&journal[8..]).unwrap().link, Link { seq: 1, at: AT, prev: GENESIS, hash });
}

#[test]
fn texts_from_outside_are_cut_and_escaped() {
    let hostile = format!("\n\r\t\u{0}\u{7f}\u{2028}\"\\,\"hash\":\"{}", "\u{1f600}".repeat(2_000));
    let mut event = admitted();
    for text in [&mut event.peer, &mut event.path, &mut event.method, &mut event.upstream] {
        text.clone_from(&hostile);
    }
    event.session = Some(hostile.clone());
    event.headers = (0..100).map(|at| (format!("{at:03}{hostile}"), hostile.clone())).collect();
    let line = line_of(&Event::Admitted(event));
    assert_eq!(line.iter().filter(|byte| **byte < 0x20).count(), 1, "the line end alone");
    let Event::Admitted(read) = read_line(&line).unwrap().event else { panic!("another kind") };
    let start: String = hostile.chars().take(255).collect();
    assert_eq!(read.path, format!("{start}\u{2026}"));
    assert_eq!(read.session, Some(read.path));
    assert_eq!(read.headers.len(), 32);
    assert!(
        read.headers
            .iter()
            .all(|(name, value)| { name.chars().count() == 256 && value.chars().count() == 1024 })
    );
}

#[test]
fn the_longest_lines_stay_below_the_limit() {
    // The worst character: one in the text, six bytes in the line.
    let worst = "\u{1}".repeat(5_000);
    let mut opened_wide = admitted();
    opened_wide.headers = (0..500).map(|at| (format!("{at:03}{worst}"), worst.clone())).collect();
    let mut used = settled();
    let iteration = Iteration {
        kind: worst.clone(),
        model: Some(worst.clone()),
        input_tokens: u64::MAX,
        output_tokens: u64::MAX,
        cache_write_5m_tokens: u64::MAX,
        cache_write_1h_tokens: u64::MAX,
        cache_read_tokens: u64::MAX,
    };
    used.usage.iterations = vec![iteration; 5_000];
    let bound_key = KeyRecord {
        models: Models::new(vec!["\"".repeat(128); 256]).unwrap(),
        note: Some(worst.clone()),
        hint: worst.clone(),
        ..key_record()
    };
    let rotated = KeyChange {
        by: worst,
        before: Some(bound_key.clone()),
        after: bound_key.clone(),
        also: Some(bound_key),
    };
    for event in [Event::Admitted(opened_wide), Event::Settled(used), Event::KeyRotated(rotated)] {
        let line = line_of(&event);
        assert!((100_000..LINE_BYTES_MAX).contains(&line.len()), "{}: {}", event.kind(), line.len());
        assert!(read_line(&line).is_ok());
    }
}

#[test]
fn a_checkpoint_signs_every_fact_on_a_line_of_its_own() {
    let Event::Checkpoint(checkpoint) = every_kind().remove(8) else { panic!("another kind") };
    let head = Hash::of(b"head");
    let instance = checkpoint.instance;
    assert_eq!(
        checkpoint.signed_text(),
        format!("tollgate-journal-v1\n{instance}\n40\n{head}\n2026-11-22T11:30:00.123Z\ngroup\n12\n")
    );
    let none_open = Checkpoint { oldest_open: None, ..checkpoint };
    assert!(none_open.signed_text().ends_with("\ngroup\n-\n"));
}

/// A journal of five entries, as read.
fn journal() -> Vec<Entry> {
    let mut prev = GENESIS;
    let entries = (1..=5).map(|seq| {
        let mut line = Vec::new();
        prev = write_line(&mut line, seq, AT, &prev, &every_kind()[seq as usize]);
        read_line(&line).unwrap()
    });
    entries.collect()
}

#[test]
fn a_chain_names_the_first_entry_that_does_not_belong() {
    type Tamper = fn(&mut Vec<Entry>);
    let sequence = |expected, found| Some(Break::Sequence { expected, found });
    let hash = |seq: usize| journal()[seq - 1].link.hash;
    let stranger = Hash::of(b"stranger");
    let rows: [(&str, Tamper, Option<Break>); 9] = [
        ("untouched", |_| {}, None),
        ("first removed", |entries| drop(entries.remove(0)), sequence(1, 2)),
        ("one removed", |entries| drop(entries.remove(2)), sequence(3, 4)),
        ("two swapped", |entries| entries.swap(1, 2), sequence(2, 3)),
        ("one repeated", |entries| entries.insert(3, entries[2].clone()), sequence(4, 3)),
        (
            "one replaced",
            |entries| entries[2].link.hash = Hash::of(b"stranger"),
            Some(Break::Predecessor { seq: 4, expected: stranger, found: hash(3) }),
        ),
        (
            "one removed and the rest renumbered",
            |entries| {
                entries.remove(2);
                entries[2].link.seq = 3;
            },
            Some(Break::Predecessor { seq: 3, expected: hash(2), found: hash(3) }),
        ),
        (
            "the start of another journal",
            |entries| entries[0].link.prev = Hash::of(b"stranger"),
            Some(Break::Predecessor { seq: 1, expected: GENESIS, found: stranger }),
        ),
        ("started at zero", |entries| entries[0].link.seq = 0, sequence(1, 0)),
    ];
    for (name, tamper, expected) in rows {
        let mut entries = journal();
        tamper(&mut entries);
        let mut chain = Chain::new();
        let found = entries.iter().find_map(|entry| {
            let before = chain;
            let broken = chain.follow(entry).err()?;
            assert_eq!(chain, before, "a chain does not move over an entry it refuses");
            Some(broken)
        });
        assert_eq!(found, expected, "{name}");
    }
    let mut exhausted = Chain { next_seq: u64::MAX, prev: GENESIS };
    let last = Link { seq: u64::MAX, prev: GENESIS, ..journal()[0].link };
    assert_eq!(exhausted.follow_link(&last), Err(Break::Exhausted));
}

proptest! {
    #[test]
    fn any_event_comes_back(
        texts in proptest::collection::vec(any::<String>(), 4),
        numbers: [u64; 4],
        cost: i64,
        seq in 1..=u64::MAX,
        ms in UnixMs::MIN.0..=UnixMs::MAX.0,
    ) {
        let mut event = settled();
        event.endpoint.clone_from(&texts[0]);
        event.model = Some(texts[1].clone());
        event.error = Some(texts[2].clone());
        event.usage.speed = Some(texts[3].clone());
        event.usage.input_tokens = numbers[0];
        event.usage.iterations[0].output_tokens = numbers[1];
        event.ms_total = numbers[2];
        event.admitted = numbers[3];
        event.cost = NanoUsd(cost);
        let event = Event::Settled(event);
        let mut line = Vec::new();
        let hash = write_line(&mut line, seq, UnixMs(ms), &GENESIS, &event);
        let entry = read_line(&line).unwrap();
        prop_assert_eq!(entry.link, Link { seq, at: UnixMs(ms), prev: GENESIS, hash });
        prop_assert_eq!(entry.event, event);
    }
}
