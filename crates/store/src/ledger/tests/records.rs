//! Single records: found by request, in pages, since an instant; and what counters are restored from.

use std::collections::BTreeMap;

use tollgate_policy::allowance::Selector;
use tollgate_policy::entry::{Event, Outcome};
use tollgate_policy::operator::Role;
use tollgate_policy::scope::{Name, Scope};
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_policy::usage::Usage;

use super::{DAY_MS, adjustment, at, book, varied};
use crate::fixture::{NOW, admitted, folder, open, options, request, settled};
use crate::ledger::{Dimension, Filter, Only, PastUse, Query, Record};
use crate::store::Store;

#[test]
fn a_request_is_found_with_all_that_was_booked_and_its_corrections() {
    let folder = folder();
    let store = open(&options(folder.path()));
    varied(&store);
    let before = NOW.saturating_add_ms(-40 * DAY_MS);
    let mut expected = settled(7, 0);
    book(&store, before, 7, |settled| {
        settled.scope.project = Some("search".parse().unwrap());
        settled.scope.user = Some("ada@example.org".parse().unwrap());
        settled.cost_centre = Some("4711".parse().unwrap());
        settled.tags = BTreeMap::from([("app".into(), "a \"b\"".into()), ("stage".into(), "prod".into())]);
        settled.region = Some("eu".into());
        settled.agent = Some("reviewer".into());
        settled.outcome = Outcome::Cut;
        settled.status = None;
        settled.usage.cache_write_1h_tokens = 4;
        settled.estimated = true;
        expected = settled.clone();
    });
    let found = store.ledger.request(request(7)).unwrap();
    let record = found.record.unwrap();
    let attribution = &record.attribution;
    assert_eq!((record.at, record.settled_at, record.request), (before, before, request(7)));
    assert_eq!((&attribution.scope, attribution.key), (&expected.scope, expected.key));
    assert_eq!(
        (attribution.endpoint.as_deref(), attribution.upstream.as_str()),
        (Some("messages"), "anthropic")
    );
    assert_eq!((&attribution.requested_model, &attribution.model), (&expected.model, &expected.served_model));
    assert_eq!((&attribution.region, &attribution.cost_centre), (&expected.region, &expected.cost_centre));
    assert_eq!(attribution.tags, expected.tags);
    assert_eq!((&record.session, &record.agent), (&expected.session, &expected.agent));
    assert_eq!((record.outcome, record.status), (Outcome::Cut, None));
    assert_eq!((record.input_tokens, record.output_tokens, record.cache_write_1h_tokens), (300, 20, 4));
    assert_eq!((record.cost, record.price_version.as_str()), (expected.cost, "2026-11-01"));
    assert_eq!((record.estimated, record.unknown_price, record.ms_total), (true, false, 812));
    assert_eq!(found.adjustments, []);

    for (days, difference) in [(0, -100), (1, 30)] {
        let adjusted = adjustment(&expected, record.seq, difference);
        let now = NOW.saturating_add_ms(days * DAY_MS);
        store.journal.append_synced(now, Event::Adjusted(adjusted)).wait().unwrap();
    }
    let found = store.ledger.request(request(7)).unwrap();
    let corrections: Vec<_> =
        found.adjustments.iter().map(|found| (found.at, found.difference.0, found.settled)).collect();
    assert_eq!(corrections, [(NOW, -100, record.seq), (NOW.saturating_add_ms(DAY_MS), 30, record.seq)]);
    assert_eq!(found.adjustments[0].attribution, record.attribution, "also what the entry does not say");
    assert_eq!(found.adjustments[0].session, record.session);
    let adjustments = |from: UnixMs| {
        let filter = Filter { from: Some(from), ..Filter::default() };
        store.ledger.adjustments(&filter, 0, 9).unwrap().len()
    };
    assert_eq!([adjustments(NOW), adjustments(NOW.saturating_add_ms(1))], [2, 1]);
    let nobody = store.ledger.request(request(99)).unwrap();
    assert_eq!((nobody.record, nobody.adjustments), (None, vec![]));
}

#[test]
fn an_adjustment_that_fits_no_record_is_booked_by_what_it_says() {
    let folder = folder();
    let store = open(&options(folder.path()));
    book(&store, NOW, 1, |_| {});
    let seq = store.ledger.request(request(1)).unwrap().record.unwrap().seq;
    let mut entry = settled(1, 0);
    entry.admitted_at = Some(NOW);
    let of_another_team = {
        let mut adjusted = adjustment(&entry, seq, 1);
        adjusted.scope.team = "research".parse().unwrap();
        adjusted
    };
    let of_no_entry = adjustment(&entry, 999, 10);
    let of_no_month = {
        let mut adjusted = adjustment(&entry, seq, 100);
        adjusted.booked_at = at("2026-01-01T00:00:00.000Z");
        adjusted
    };
    for adjusted in [of_another_team, of_no_entry, of_no_month, adjustment(&entry, seq, 1000)] {
        store.journal.append_synced(NOW, Event::Adjusted(adjusted)).wait().unwrap();
    }
    let by = vec![Dimension::Team, Dimension::Endpoint];
    let rows = store.ledger.report(&Query { by, ..Query::default() }).unwrap();
    let found: Vec<_> = rows.iter().map(|row| (row.group.clone(), row.adjusted.0)).collect();
    let group = |team: &str, endpoint: Option<&str>| vec![Some(team.to_owned()), endpoint.map(str::to_owned)];
    let expected = [
        (group("platform", Some("messages")), 1000),
        (group("platform", None), 110),
        (group("research", None), 1),
    ];
    assert_eq!(found, expected);
}

fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

#[test]
fn records_come_in_pages_in_the_order_of_the_journal() {
    let folder = folder();
    let store = open(&options(folder.path()));
    // Booked in months out of order, as when long requests end late.
    for number in 0..30 {
        let days = [-40, 0, -10, -70][number as usize % 4];
        book(&store, NOW.saturating_add_ms(days * DAY_MS), number, |settled| {
            settled.scope.user = Some(if number % 2 == 0 { "ada" } else { "bob" }.parse().unwrap());
            settled.session = (number % 3 != 0).then(|| format!("s{}", number % 3));
        });
    }
    let all = store.ledger.records(&Filter::default(), 0, 1000).unwrap();
    assert_eq!(all.len(), 30);
    assert!(all.is_sorted_by_key(|record| record.seq));
    let (mut pages, mut after) = (Vec::new(), 0);
    loop {
        let page = store.ledger.records(&Filter::default(), after, 7).unwrap();
        let Some(last) = page.last() else { break };
        after = last.seq;
        pages.extend(page);
    }
    assert_eq!(pages, all);
    assert_eq!(store.ledger.records(&Filter::default(), 0, 0).unwrap(), []);

    type Counts<'a> = &'a dyn Fn(&Record) -> bool;
    let only = |dimension, value: Option<&str>| Only { dimension, values: vec![value.map(str::to_owned)] };
    let rows: &[(Only, Counts<'_>)] = &[
        (only(Dimension::User, Some("ada")), &|record| {
            record.attribution.scope.user == Some("ada".parse().unwrap())
        }),
        (only(Dimension::Session, Some("s1")), &|record| record.session.as_deref() == Some("s1")),
        (only(Dimension::Session, None), &|record| record.session.is_none()),
        (only(Dimension::Month, Some("2026-10")), &|record| record.at.to_string().starts_with("2026-10")),
        (only(Dimension::Day, Some("2026-11-12")), &|record| record.at.to_string().starts_with("2026-11-12")),
        (only(Dimension::Agent, Some("nobody")), &|_| false),
    ];
    for (condition, counts) in rows {
        let expected: Vec<_> = all.iter().filter(|record| counts(record)).cloned().collect();
        let filter = Filter { only: vec![condition.clone()], ..Filter::default() };
        let found = store.ledger.records(&filter, 0, 1000).unwrap();
        assert_eq!(seqs(&found), seqs(&expected), "{condition:?}");
        let rest = store.ledger.records(&filter, all[9].seq, 2).unwrap();
        let expected: Vec<_> =
            expected.into_iter().filter(|record| record.seq > all[9].seq).take(2).collect();
        assert_eq!(rest, expected, "{condition:?}");
    }
    let range = Filter::between(NOW.saturating_add_ms(-41 * DAY_MS), NOW);
    let days = store.ledger.records(&range, 0, 1000).unwrap();
    assert_eq!(days.len(), 15, "of two of the four days");
}

#[test]
fn a_role_sees_what_policy_lets_it_see() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let name = |text: &str| text.parse().unwrap();
    let people =
        [("default", "platform", "ada"), ("default", "research", "ada"), ("subsidiary", "platform", "ada")];
    for (number, (org, team, user)) in (0..).zip(people.into_iter().chain([("default", "platform", "bob")])) {
        book(&store, NOW, number, |settled| {
            (settled.scope.org, settled.scope.team) = (name(org), name(team));
            settled.scope.user = Some(name(user));
        });
    }
    let all = store.ledger.records(&Filter::default(), 0, 99).unwrap();
    let roles = [
        Role::Admin,
        Role::Auditor,
        Role::TeamAdmin { org: name("default"), team: name("platform") },
        Role::Developer { org: name("default"), user: name("ada") },
        Role::Developer { org: name("default"), user: name("eve") },
    ];
    for role in roles {
        let expected = all.iter().filter(|record| role.may_see(&record.attribution.scope)).count();
        let filter = Filter::default().seen_by(&role);
        assert_eq!(store.ledger.records(&filter, 0, 99).unwrap().len(), expected, "{role:?}");
        let query = Query { filter, ..Query::default() };
        assert_eq!(store.ledger.report(&query).unwrap()[0].requests, expected as u64, "{role:?}");
    }
    let key = Selector { key: Some(admitted(0).key), ..Selector::default() };
    assert_eq!(store.ledger.records(&Filter::default().on(&key), 0, 99).unwrap().len(), 4);
}

fn recent(store: &Store, since: UnixMs) -> Vec<PastUse> {
    let mut found = Vec::new();
    store.ledger.recent(since, &mut |past| found.push(past.clone())).unwrap();
    found
}

/// Some requests have all dims in common with another one.
fn team(number: u64) -> Name {
    format!("team-{}", number % 4).parse().unwrap()
}

#[test]
fn recent_use_is_what_was_settled_since_an_instant() {
    let folder = folder();
    let store = open(&options(folder.path()));
    // Admitted, settled: the clock steps back once, and one request lasts over a month.
    let rows = [(-50, -49), (-2, -2), (-40, 0), (-3, -3), (0, 0)];
    for (number, (admitted_day, settled_day)) in (0..).zip(rows) {
        let seq = store.journal.admit(NOW, admitted(number)).wait().unwrap();
        let mut settled = settled(number, seq);
        settled.admitted_at = Some(NOW.saturating_add_ms(admitted_day * DAY_MS));
        settled.scope.team = team(number);
        settled.usage = Usage {
            input_tokens: 1,
            output_tokens: number,
            cache_write_5m_tokens: 4,
            cache_write_1h_tokens: 8,
            cache_read_tokens: 16,
            ..Usage::default()
        };
        store.journal.settle(NOW.saturating_add_ms(settled_day * DAY_MS), settled).wait().unwrap();
    }
    let expected = [
        (-60, vec![0, 1, 2, 3, 4]),
        (-49, vec![0, 1, 2, 3, 4]),
        (-48, vec![1, 2, 3, 4]),
        (-3, vec![1, 2, 3, 4]),
        (-2, vec![1, 2, 4]),
        (0, vec![2, 4]),
        (1, vec![]),
    ];
    for (since, numbers) in expected {
        let found = recent(&store, NOW.saturating_add_ms(since * DAY_MS));
        let facts = |past: &PastUse| (past.at, past.settled_at, past.scope.team.clone(), past.output_tokens);
        let day = |days: i64| NOW.saturating_add_ms(days * DAY_MS);
        let expected = numbers.iter().map(|number: &u64| {
            let (admitted_day, settled_day) = rows[*number as usize];
            (day(admitted_day), day(settled_day), team(*number), *number)
        });
        assert_eq!(found.iter().map(facts).collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{since}");
    }
    let last = recent(&store, NOW).pop().unwrap();
    let entry = settled(4, 0);
    let expected = PastUse {
        seq: last.seq,
        scope: Scope { team: team(4), ..entry.scope },
        key: entry.key,
        endpoint: "messages".into(),
        requested_model: entry.model,
        model: entry.served_model,
        further_models: None,
        at: NOW,
        settled_at: NOW,
        requests: 1,
        input_tokens: 13,
        output_tokens: 4,
        cost: entry.cost,
    };
    assert_eq!(last, expected);
}

#[test]
fn past_use_is_what_was_admitted_in_a_range_added_up() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let noon = |days: i64| at("2026-10-10T12:00:00.000Z").saturating_add_ms(days * DAY_MS);
    for day in 0..60 {
        book(&store, noon(day), day as u64, |settled| {
            settled.model = Some(if day % 2 == 0 { "even" } else { "odd" }.into());
            settled.outcome = [Outcome::Complete, Outcome::Failed][day as usize / 2 % 2];
            settled.cost = NanoUsd(1 << day);
        });
    }
    // A correction is no use.
    let mut entry = settled(1, 0);
    entry.admitted_at = Some(noon(0));
    entry.scope.team = "research".parse().unwrap();
    store.journal.append_synced(noon(3), Event::Adjusted(adjustment(&entry, 4, 7))).wait().unwrap();
    let past = |from: UnixMs, to: UnixMs| {
        let mut found = Vec::new();
        store.ledger.past(from, to, &mut |past| found.push(past.clone())).unwrap();
        found
    };
    let ms = |ms: i64| move |at: UnixMs| at.saturating_add_ms(ms);
    let rows = [
        (noon(0), noon(60), 0..60),
        (ms(1)(noon(0)), noon(59), 1..59),
        (ms(-1)(noon(7)), ms(1)(noon(50)), 7..51),
        (at("2026-10-13T00:00:00.000Z"), at("2026-10-14T00:00:00.000Z"), 3..4),
        (noon(9), noon(9), 0..0),
        (UnixMs(i64::MIN), UnixMs(i64::MAX), 0..60),
    ];
    for (from, to, days) in rows {
        let found = past(from, to);
        let model = |past: &PastUse| past.requested_model.clone().unwrap();
        for (name, odd) in [("even", 0), ("odd", 1)] {
            let days: Vec<i64> = days.clone().filter(|day| day % 2 == odd).collect();
            let cost: i64 = days.iter().map(|day| 1 << day).sum();
            let found: Vec<_> = found
                .iter()
                .filter(|past| model(past) == name)
                .map(|past| (past.requests, past.cost.0, past.at))
                .collect();
            let expected = (!days.is_empty()).then_some((days.len() as u64, cost, from));
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{from} {to}");
        }
        assert!(found.iter().all(|past| past.input_tokens == 300 * past.requests));
    }
}
