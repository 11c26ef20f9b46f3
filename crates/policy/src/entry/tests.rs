//! Entries as lines: what is written comes back, and what was touched is refused.

use std::collections::BTreeMap;

use super::*;
use crate::access::Models;
use crate::credential::Pepper;
use crate::key::KeyState;
use crate::scope::Scope;
use crate::usage::Iteration;

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
        state: KeyState::Grace {
            until: AT,
            replaced_by: KeyId::new(AT, [3; 10]),
        },
        rotated_from: Some(KeyId::new(AT, [4; 10])),
        note: Some("for the build farm".to_owned()),
    }
}

fn scope() -> Scope {
    Scope {
        user: Some("ada@example".parse().unwrap()),
        ..Scope::team("platform".parse().unwrap())
    }
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
        session: Some("0b1f6f9e-3a0c-4a6e-9a52-0a4c5b6d7e8f".to_owned()),
        agent: None,
        headers: BTreeMap::from([
            (
                "user-agent".to_owned(),
                "claude-cli/2.0.76 (external, cli)".to_owned(),
            ),
            ("anthropic-version".to_owned(), "2023-06-01".to_owned()),
        ]),
    }
}

fn settled() -> Settled {
    Settled {
        request: RequestId::new(AT, [1; 10]),
        admitted: 41,
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
            iterations: vec![Iteration {
                kind: "message".to_owned(),
                ..Iteration::default()
            }],
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
            suppressed: 3,
        }),
        Event::KeyCreated(KeyChange {
            before: None,
            ..change(None)
        }),
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
    assert_eq!(chain, Chain { next_seq: 11, prev });
}
