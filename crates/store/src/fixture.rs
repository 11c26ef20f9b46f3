//! What the tests of this room share: a folder, and events to put in it.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;
use tollgate_policy::access::Models;
use tollgate_policy::entry::{Admitted, Outcome, Settled};
use tollgate_policy::id::{KeyId, RequestId};
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_policy::usage::Usage;

use crate::directory::NewKey;
use crate::store::{Options, Store};

/// 2026-11-22T11:30:00Z.
pub(crate) const NOW: UnixMs = UnixMs(1_795_347_000_000);

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Options whose timers do not stir during a test, unless it says so.
pub(crate) fn options(folder: &Path) -> Options {
    Options { checkpoint_ms: 3_600_000, ..Options::new(folder.join("data")) }
}

pub(crate) fn open(options: &Options) -> Store {
    Store::open(options, NOW).unwrap()
}

pub(crate) fn request(number: u64) -> RequestId {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&number.to_be_bytes());
    RequestId::new(NOW, random)
}

pub(crate) fn scope() -> Scope {
    Scope::team("platform".parse().unwrap())
}

pub(crate) fn new_key() -> NewKey {
    NewKey { scope: scope(), models: Models::default(), expires_at: None, note: None }
}

pub(crate) fn admitted(number: u64) -> Admitted {
    Admitted {
        request: request(number),
        key: KeyId::new(NOW, [7; 10]),
        scope: scope(),
        peer: "192.0.2.7:50123".into(),
        method: "POST".into(),
        endpoint: "messages".into(),
        path: "/v1/messages".into(),
        model: Some("claude-sonnet-4-5".into()),
        stream: true,
        max_tokens: Some(4096),
        body_bytes: 1234,
        upstream: "anthropic".into(),
        reserved: NanoUsd(61_000_000),
        input_estimate: 310,
        output_estimate: 0,
        cost_centre: None,
        tags: BTreeMap::new(),
        over: Vec::new(),
        session: Some("a \"quoted\" session".into()),
        agent: None,
        headers: BTreeMap::from([("user-agent".to_owned(), "claude-cli/2.0".to_owned())]),
    }
}

/// The settlement of `admitted(number)`, which became entry `seq`.
pub(crate) fn settled(number: u64, seq: u64) -> Settled {
    Settled {
        request: request(number),
        admitted: seq,
        admitted_at: None,
        key: KeyId::new(NOW, [7; 10]),
        scope: scope(),
        endpoint: "messages".into(),
        model: Some("claude-sonnet-4-5".into()),
        served_model: Some("claude-sonnet-4-5-20250929".into()),
        upstream: "anthropic".into(),
        region: None,
        outcome: Outcome::Complete,
        status: Some(200),
        usage: Usage { input_tokens: 300, output_tokens: 20, ..Usage::default() },
        cost: NanoUsd(1_200_000 + i64::try_from(number).unwrap()),
        price_version: "2026-11-01".into(),
        unknown_price: false,
        estimated: false,
        ms_total: 812,
        ms_first_byte: Some(230),
        upstream_request_id: Some("req_011CQ".into()),
        error: None,
        session: Some("a \"quoted\" session".into()),
        agent: None,
        cost_centre: None,
        tags: BTreeMap::new(),
    }
}

/// Admits and settles request `number`.
pub(crate) fn serve(store: &Store, number: u64) {
    let seq = store.journal.admit(NOW, admitted(number)).wait().unwrap();
    store.journal.settle(NOW, settled(number, seq)).wait().unwrap();
}
