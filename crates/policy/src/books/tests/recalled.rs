//! Books that were opened again go on where they were.

use proptest::prelude::*;

use super::laws::{any_allowance, any_scale, any_settled_move, named};
use super::oracle::{End, Request};
use super::play::{Play, people};
use super::*;

/// What the ledger knows of a request that was settled.
fn past<'a>((scope, key): &'a (Scope, KeyId), request: &'a Request) -> Option<Past<'a>> {
    let ((settled_at, _), End::Settled(ran, amounts)) = request.ended.as_ref()? else { return None };
    Some(Past {
        scope,
        key: *key,
        kind: request.kind,
        requested: request.models.first().copied(),
        ran,
        at: request.at.0,
        settled_at: *settled_at,
        requests: 1,
        amounts: *amounts,
    })
}

/// Adds up what differs in nothing that allowances look at, as the ledger does.
fn grouped<'a>(all: &[Past<'a>]) -> Vec<Past<'a>> {
    let mut groups: Vec<Past<'a>> = Vec::new();
    for past in all {
        let like = |group: &&mut Past<'a>| {
            (group.scope, group.key, group.kind, group.requested, group.ran)
                == (past.scope, past.key, past.kind, past.requested, past.ran)
        };
        match groups.iter_mut().find(like) {
            None => groups.push(*past),
            Some(group) => {
                group.requests += past.requests;
                group.amounts.input_tokens += past.amounts.input_tokens;
                group.amounts.output_tokens += past.amounts.output_tokens;
                group.amounts.cost = group.amounts.cost.saturating_add(past.amounts.cost);
            }
        }
    }
    groups
}

fn recall(books: &mut Books, all: &[Past<'_>], now: UnixMs) {
    for start in books.starts(now) {
        let booked: Vec<Past<'_>> = all.iter().filter(|past| past.at >= start).copied().collect();
        for past in grouped(&booked) {
            books.recall_period(start, &past, now);
        }
    }
    let Some(since) = books.recent_since(now) else { return };
    let mut recent: Vec<&Past<'_>> = all.iter().filter(|past| past.settled_at >= since).collect();
    recent.sort_by_key(|past| past.settled_at);
    for past in recent {
        books.recall_recent(past, now);
    }
}

/// Whether what a rate is used can be worked out from its recent past alone: it was never overdrawn.
fn keeps_within(allowance: &Allowance) -> bool {
    allowance.mode == Mode::Block && allowance.models.is_empty()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn what_is_recalled_is_what_was_used(
        (allowances, moves) in any_scale().prop_flat_map(|scale| (
            prop::collection::vec(any_allowance(scale, true), 1..5),
            prop::collection::vec(any_settled_move(scale), 1..60),
        )),
    ) {
        let mut play = Play::new(named(allowances), people(), false);
        moves.into_iter().for_each(|step| play.play(step));
        while !play.open.is_empty() {
            play.settle(0, Vec::new(), [1_000; 3]);
        }
        let now = play.now;
        let all: Vec<Past<'_>> = play
            .oracle
            .requests
            .iter()
            .filter_map(|request| past(&play.oracle.people[request.person], request))
            .collect();
        let mut books = Books::new(play.books.allowances().to_vec(), now);
        recall(&mut books, &all, now);
        let found = books.standing(now, |_| true);
        for line in play.books.standing(now, |_| true) {
            let like = |other: &&Standing| (&other.allowance, &other.subject) == (&line.allowance, &line.subject);
            let recalled = found.iter().find(like).map_or(0, |line| line.used);
            let allowance = books.allowances().iter().find(|one| one.name == line.allowance).unwrap();
            match allowance.span {
                Span::Period { .. } | Span::Rolling { .. } | Span::AtOnce => {
                    prop_assert_eq!(recalled, line.used, "{:?}", line);
                }
                Span::Rate { .. } if keeps_within(allowance) => {
                    prop_assert!(recalled >= line.used, "{} of {:?}", recalled, line);
                }
                Span::Rate { .. } => {}
            }
        }
        // Once recalled, nothing is recalled twice.
        books.recalled();
        prop_assert_eq!(books.recent_since(now), None);
        let before = books.standing(now, |_| true);
        recall(&mut books, &all, now);
        for past in &all {
            books.recall_recent(past, now);
        }
        prop_assert_eq!(books.standing(now, |_| true), before);
    }
}

#[test]
fn an_allowance_made_later_recalls_alone() {
    let month = |text| allowance(text, Measure::OutputTokens, 1_000, per(Period::Month));
    let mut desk = Desk::new(vec![month("old")]);
    desk.books.recalled();
    let reservation = desk.output(0, 100).unwrap();
    desk.settle(0, reservation, 100);
    desk.books.replace(vec![month("old"), month("new")], NOW);
    let [start] = desk.books.starts(NOW)[..] else { panic!("both periods begin at one instant") };
    assert_eq!(start.to_string(), "2026-11-01T00:00:00.000Z");
    let past = Past {
        scope: &scope("default/red/-/ada"),
        key: key(1),
        kind: Kind::Messages,
        requested: None,
        ran: &[],
        at: NOW,
        settled_at: NOW,
        requests: 1,
        amounts: amounts(0, 100, 0),
    };
    desk.books.recall_period(start, &past, NOW);
    let used: Vec<u64> = desk.books.standing(NOW, |_| true).iter().map(|line| line.used).collect();
    assert_eq!(used, [100, 100]);
}

#[test]
fn what_a_rate_depends_on_reaches_back_as_long_as_eight_bursts_drain() {
    let rate = |amount, burst, raises| {
        let like = allowance("a", Measure::Requests, amount, per_minute(burst));
        vec![Allowance { raises, ..like }]
    };
    let raise = |from_ms, until_ms| {
        let (from, until) = (later(from_ms), later(until_ms));
        vec![Raise { amount: 1_000, from, until, by: "ada".into(), note: None }]
    };
    let rows = [
        (rate(60, 120, Vec::new()), Some(-16 * MINUTE_MS - 1)),
        (rate(0, 0, Vec::new()), Some(0)),
        (rate(1, 1_000_000_000, Vec::new()), Some(-92 * DAY_MS)),
        // What a raise let pass drains at the lower pace, or not at all.
        (rate(60, 60, raise(-90_000, -30_000)), Some(-90_000)),
        (rate(60, 60, raise(-HOUR_MS, -30_000)), Some(-508_201)),
        (rate(1, 1, raise(-3 * HOUR_MS, -HOUR_MS)), Some(-HOUR_MS - 476_401)),
        (rate(0, 0, raise(-3 * HOUR_MS, -2 * HOUR_MS)), Some(-2 * HOUR_MS - 480_001)),
        // Held while the raise ran, and charged after it.
        (rate(60, 60, raise(-3 * HOUR_MS, -HOUR_MS)), Some(-HOUR_MS - 264_001)),
        (rate(60, 60, raise(10_000, 20_000)), Some(-480_001)),
        (vec![allowance("a", Measure::Cost, 1, Span::Rolling { ms: DAY_MS })], Some(-DAY_MS - DAY_MS / 60)),
        (vec![allowance("a", Measure::Cost, 1, per(Period::Day))], None),
        (vec![allowance("a", Measure::Concurrency, 1, Span::AtOnce)], None),
    ];
    for (allowances, expected) in rows {
        let books = Books::new(allowances.clone(), NOW);
        assert_eq!(books.recent_since(NOW), expected.map(later), "{allowances:?}");
    }
}

#[test]
fn what_was_held_under_a_raise_and_charged_after_it_is_recalled() {
    let raise = Raise { amount: 1_000, from: later(0), until: later(HOUR_MS), by: "ada".into(), note: None };
    let like = allowance("a", Measure::OutputTokens, 60, per_minute(60));
    let allowances = vec![Allowance { raises: vec![raise], ..like }];
    let mut desk = Desk::new(allowances.clone());
    let reservation = desk.output(0, 900).unwrap();
    desk.settle(HOUR_MS + MINUTE_MS, reservation, 900);
    let now_ms = HOUR_MS + 11 * MINUTE_MS;
    assert_eq!(desk.level(now_ms), (300, 0));
    let past = Past {
        scope: &desk.scope,
        key: key(1),
        kind: Kind::Messages,
        requested: None,
        ran: &[],
        at: NOW,
        settled_at: later(HOUR_MS + MINUTE_MS),
        requests: 1,
        amounts: amounts(0, 900, 0),
    };
    let mut books = Books::new(allowances, later(now_ms));
    recall(&mut books, &[past], later(now_ms));
    assert_eq!(books.standing(later(now_ms), |_| true)[0].used, 300);
}

#[test]
fn a_rate_is_recalled_exactly_where_it_ran_empty_and_never_too_low() {
    let allowances = || vec![allowance("a", Measure::Requests, 60, per_minute(60))];
    let scope = scope("default/red/-/ada");
    // Forty requests long ago, then one every so often: what is used now, and what is recalled, at most a request
    // above the amount.
    let rows = [(2_000, 1, 1), (1_500, 1, 1), (1_100, 1, 16), (1_000, 41, 61)];
    for (every_ms, used, recalled) in rows {
        let long_ago_ms = -10 * MINUTE_MS;
        let mut desk = Desk::new(Vec::new());
        desk.books = Books::new(allowances(), later(long_ago_ms));
        let mut all = Vec::new();
        let steady = (0..).map(|turn| long_ago_ms + turn * every_ms).take_while(|at_ms| *at_ms <= 0);
        for at_ms in std::iter::repeat_n(long_ago_ms, 40).chain(steady) {
            let reservation = desk.output(at_ms, 1).unwrap();
            desk.settle(at_ms, reservation, 1);
            all.push(Past {
                scope: &scope,
                key: key(1),
                kind: Kind::Messages,
                requested: None,
                ran: &[],
                at: later(at_ms),
                settled_at: later(at_ms),
                requests: 1,
                amounts: Amounts::default(),
            });
        }
        assert_eq!(desk.level(0), (used, 0), "every {every_ms} ms");
        let mut books = Books::new(allowances(), NOW);
        recall(&mut books, &all, NOW);
        assert_eq!(books.standing(NOW, |_| true)[0].used, recalled, "every {every_ms} ms");
    }
}

#[test]
fn what_is_recalled_while_requests_come_drains_as_it_did() {
    let rate = || vec![allowance("a", Measure::Requests, 60, per_minute(60))];
    let scope = scope("default/red/-/ada");
    // One request each second: hardly more than drains.
    let past = |second: i64| Past {
        scope: &scope,
        key: key(1),
        kind: Kind::Messages,
        requested: None,
        ran: &[],
        at: later((second - 59) * 1_000),
        settled_at: later((second - 59) * 1_000),
        requests: 1,
        amounts: Amounts::default(),
    };
    let mut desk = Desk::new(rate());
    (0..60).for_each(|second| desk.books.recall_recent(&past(second), NOW));
    assert_eq!(desk.level(0), (1, 0));
    let mut desk = Desk::new(rate());
    for second in 0..60 {
        if second % 20 == 0 {
            let _ = desk.output(0, 1).unwrap();
        }
        desk.books.recall_recent(&past(second), NOW);
    }
    // The three that came meanwhile, and what was left of the last before.
    assert_eq!(desk.level(0), (4, 0));
}

#[test]
fn a_request_that_began_without_an_allowance_counts_for_one_made_meanwhile() {
    let mut desk = Desk::new(Vec::new());
    let reservation = desk.output(0, 50).unwrap();
    desk.books.replace(vec![allowance("a", Measure::OutputTokens, 100, per(Period::Day))], NOW);
    desk.settle(0, reservation, 40);
    assert_eq!(desk.level(0), (40, 0));
}
