//! A past: requests that ended before the gateway of a test was started.

use std::collections::BTreeMap;
use std::path::Path;

use tollgate_policy::entry::{Admitted, Outcome, Settled};
use tollgate_policy::id::{KeyId, RequestId};
use tollgate_policy::price::{PriceBook, Sale};
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_policy::usage::Usage;
use tollgate_store::{Options, Store};

/// The model that all requests of the past asked for.
pub const MODEL: &str = "claude-opus-5-5";

/// One request: when it was admitted, for which team and user, and who pays.
pub type Past<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

/// Puts a past into a data folder, and gives what each request cost. Number n, from 1, used n hundred output tokens.
pub fn live_through(data: &Path, past: &[Past<'_>]) -> Vec<NanoUsd> {
    let first: UnixMs = past[0].0.parse().unwrap();
    let store = Store::open(&Options::new(data), first).unwrap();
    let mut costs = Vec::new();
    for (number, one) in (1..).zip(past) {
        let admitted = admitted(number, one);
        let at: UnixMs = one.0.parse().unwrap();
        let seq = store.journal.admit(at, admitted.clone()).wait().unwrap();
        let settled = settled(number, at, seq, admitted);
        costs.push(settled.cost);
        store.journal.settle(UnixMs(at.0 + 812), settled).wait().unwrap();
    }
    store.close(first).unwrap();
    costs
}

fn admitted(number: u8, (at, team, user, cost_centre): &Past<'_>) -> Admitted {
    let at: UnixMs = at.parse().unwrap();
    Admitted {
        request: RequestId::new(at, [number; 10]),
        key: KeyId::new(at, [7; 10]),
        scope: Scope { user: Some(user.parse().unwrap()), ..Scope::team(team.parse().unwrap()) },
        peer: "192.0.2.7:50123".into(),
        method: "POST".into(),
        endpoint: "messages".into(),
        path: "/v1/messages".into(),
        model: Some(MODEL.into()),
        stream: false,
        max_tokens: Some(4096),
        body_bytes: 10,
        upstream: "anthropic".into(),
        reserved: NanoUsd(61_000_000),
        input_estimate: 310,
        output_estimate: 4096,
        cost_centre: cost_centre.map(|name| name.parse().unwrap()),
        tags: BTreeMap::new(),
        over: Vec::new(),
        session: None,
        agent: None,
        headers: BTreeMap::new(),
    }
}

fn settled(number: u8, at: UnixMs, seq: u64, admitted: Admitted) -> Settled {
    let usage = Usage { input_tokens: 1000, output_tokens: 100 * u64::from(number), ..Usage::default() };
    let mut settled = Settled {
        request: admitted.request,
        admitted: seq,
        admitted_at: Some(at),
        key: admitted.key,
        scope: admitted.scope,
        endpoint: admitted.endpoint,
        model: admitted.model,
        served_model: Some(MODEL.into()),
        upstream: admitted.upstream,
        region: None,
        outcome: Outcome::Complete,
        status: Some(200),
        usage,
        cost: NanoUsd::ZERO,
        price_version: PriceBook::builtin().version().into(),
        unknown_price: false,
        estimated: false,
        ms_total: 812,
        ms_first_byte: None,
        upstream_request_id: None,
        error: None,
        session: None,
        agent: None,
        cost_centre: admitted.cost_centre,
        tags: BTreeMap::new(),
    };
    settled.cost = PriceBook::builtin().cost(&Sale::of(&settled, at)).amount;
    settled
}
