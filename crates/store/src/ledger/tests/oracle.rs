//! Whatever is settled and adjusted, in whatever order: sums, records and a plain calculation agree.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use tollgate_policy::entry::{Adjusted, Event, Outcome, Settled};
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_policy::usage::Usage;

use super::{adjustment, at};
use crate::fixture::{folder, settled};
use crate::ledger::bulk::Bulk;
use crate::ledger::{Dimension, Filter, Only, Order, Query, ReportRow};

const DAY_MS: i64 = 86_400_000;
/// The random days are those of these.
const DAYS: i64 = 100;

fn start() -> UnixMs {
    at("2026-10-05T00:00:00.000Z")
}

/// An instant of the random days, often at the border of one.
fn instant() -> impl Strategy<Value = UnixMs> {
    let within = prop_oneof![Just(0), Just(1), Just(DAY_MS - 1), 0..DAY_MS];
    (0..DAYS, within).prop_map(|(day, ms)| start().saturating_add_ms(day * DAY_MS + ms))
}

fn name(prefix: &'static str, count: u32) -> impl Strategy<Value = Option<String>> {
    prop_oneof![1 => Just(None), 3 => (0..count).prop_map(move |number| Some(format!("{prefix}{number}")))]
}

fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![8 => -1_000_000..9_000_000_i64, 1 => Just(i64::MAX), 1 => Just(i64::MIN)]
}

fn settlement() -> impl Strategy<Value = (UnixMs, Event)> {
    use Outcome::{Aborted, Complete, Cut, Failed, Unknown, UpstreamError};
    let scope = (name("t", 3), name("p", 2), name("u", 3), name("c", 2));
    let what = (name("m", 2), name("m", 3), name("s", 3), name("a", 2), name("app", 2), name("r", 2));
    let figures = (proptest::array::uniform5(0..u64::MAX / 2), amount(), any::<[bool; 2]>(), 0..3 * DAY_MS);
    let end = select(vec![Complete, Aborted, Cut, UpstreamError, Failed, Unknown]);
    (instant(), scope, what, figures, end).prop_map(|(booked_at, scope, what, figures, outcome)| {
        let mut settled = settled(1, 1);
        settled.outcome = outcome;
        settled.admitted_at = Some(booked_at);
        settled.scope.team = scope.0.unwrap_or_else(|| "none".into()).parse().unwrap();
        settled.scope.project = scope.1.map(|name| name.parse().unwrap());
        settled.scope.user = scope.2.map(|name| name.parse().unwrap());
        settled.cost_centre = scope.3.map(|name| name.parse().unwrap());
        (settled.model, settled.served_model, settled.session, settled.agent) =
            (what.0, what.1, what.2, what.3);
        settled.tags = what.4.map(|app| ("app".to_owned(), app)).into_iter().collect();
        settled.region = what.5;
        // Mostly sensible numbers of tokens.
        let [input, output, write_5m, write_1h, read] = figures.0.map(|count| count >> (count % 64));
        settled.usage = Usage {
            input_tokens: input,
            output_tokens: output,
            cache_write_5m_tokens: write_5m,
            cache_write_1h_tokens: write_1h,
            cache_read_tokens: read,
            ..Usage::default()
        };
        settled.cost = NanoUsd(figures.1);
        [settled.estimated, settled.unknown_price] = figures.2;
        (booked_at.saturating_add_ms(figures.3), Event::Settled(settled))
    })
}

/// Settlements, with adjustments of some of them after the last.
fn entries() -> impl Strategy<Value = Vec<(UnixMs, Event)>> {
    let settlements = proptest::collection::vec(settlement(), 0..40);
    (settlements, proptest::collection::vec((any::<prop::sample::Index>(), instant(), amount()), 0..6))
        .prop_map(|(mut entries, adjustments)| {
            for (number, seq) in (1..).zip(&mut entries) {
                let Event::Settled(settled) = &mut seq.1 else { continue };
                settled.request = crate::fixture::request(number);
            }
            let settlements = entries.len();
            for (index, at, difference) in adjustments.into_iter().filter(|_| settlements > 0) {
                let seq = index.index(settlements);
                let Event::Settled(settled) = &entries[seq].1 else { continue };
                let adjusted = adjustment(settled, seq as u64 + 1, difference);
                entries.push((at, Event::Adjusted(adjusted)));
            }
            entries
        })
}

fn dimensions() -> Vec<Dimension> {
    let tags = ["app", "none"].map(|name| Dimension::Tag(name.to_owned()));
    Dimension::PLAIN.into_iter().chain(tags).collect()
}

fn query() -> impl Strategy<Value = Query> {
    let condition = (select(dimensions()), proptest::collection::vec(name("x", 1), 1..3), any::<u8>());
    (
        subsequence(dimensions(), 0..4).prop_shuffle(),
        proptest::option::of(instant()),
        proptest::option::of(instant()),
        proptest::collection::vec(condition, 0..2),
        select(vec![Order::Cost, Order::Group]),
    )
        .prop_map(|(by, from, to, only, order)| {
            let condition = |(dimension, mut values, number): (Dimension, Vec<Option<String>>, u8)| {
                // Values that occur: the first of some dimensions, days of the range.
                for value in values.iter_mut().flatten() {
                    *value = match dimension {
                        Dimension::Team => "t1".to_owned(),
                        Dimension::User => "u1".to_owned(),
                        Dimension::Model | Dimension::RequestedModel => "m1".to_owned(),
                        Dimension::Session => "s1".to_owned(),
                        Dimension::Agent => "a1".to_owned(),
                        Dimension::Tag(_) => "app1".to_owned(),
                        Dimension::Month => "2026-11".to_owned(),
                        Dimension::Day => day(start().saturating_add_ms(i64::from(number) % DAYS * DAY_MS)),
                        Dimension::Outcome => "cut".to_owned(),
                        _ => "none".to_owned(),
                    };
                }
                Only { dimension, values }
            };
            let filter = Filter { from, to, only: only.into_iter().map(condition).collect() };
            Query { by, filter, order, ..Query::default() }
        })
}

fn day(at: UnixMs) -> String {
    at.to_string()[..10].to_owned()
}

/// The value of a dimension, plainly.
fn value(dimension: &Dimension, at: UnixMs, settled: &Settled) -> Option<String> {
    let scope = &settled.scope;
    match dimension {
        Dimension::Org => Some(scope.org.to_string()),
        Dimension::Team => Some(scope.team.to_string()),
        Dimension::Project => scope.project.as_ref().map(ToString::to_string),
        Dimension::User => scope.user.as_ref().map(ToString::to_string),
        Dimension::Key => Some(settled.key.to_string()),
        Dimension::Endpoint => Some(settled.endpoint.clone()),
        Dimension::RequestedModel => settled.model.clone(),
        Dimension::Model => settled.served_model.clone().or(settled.model.clone()),
        Dimension::FurtherModels => {
            let mut models: Vec<_> =
                settled.usage.iterations.iter().filter_map(|one| one.model.clone()).collect();
            models.retain(|model| Some(model) != settled.served_model.as_ref().or(settled.model.as_ref()));
            models.sort();
            models.dedup();
            (!models.is_empty()).then(|| models.join(","))
        }
        Dimension::Upstream => Some(settled.upstream.clone()),
        Dimension::Region => settled.region.clone(),
        Dimension::CostCentre => settled.cost_centre.as_ref().map(ToString::to_string),
        Dimension::Session => settled.session.clone(),
        Dimension::Agent => settled.agent.clone(),
        Dimension::Day => Some(day(at)),
        Dimension::Month => Some(day(at)[..7].to_owned()),
        Dimension::Outcome => {
            Some(serde_json::to_value(settled.outcome).unwrap().as_str().unwrap().to_owned())
        }
        Dimension::Tag(name) => settled.tags.get(name).cloned(),
    }
}

/// The answer, by a plain calculation over all entries.
fn expected(entries: &[(UnixMs, Event)], query: &Query) -> Vec<ReportRow> {
    let settlement = |adjusted: &Adjusted| match &entries[adjusted.settled as usize - 1].1 {
        Event::Settled(settled) => settled,
        other => panic!("{other:?}"),
    };
    let mut groups: BTreeMap<Vec<Option<String>>, (ReportRow, i128, i128)> = BTreeMap::new();
    if query.by.is_empty() {
        groups.entry(Vec::new()).or_default();
    }
    for (written_at, event) in entries {
        let (at, settled, difference) = match event {
            Event::Settled(settled) => (settled.booked_at(*written_at), settled, None),
            Event::Adjusted(adjusted) => (*written_at, settlement(adjusted), Some(adjusted.difference)),
            other => panic!("{other:?}"),
        };
        let Filter { from, to, only } = &query.filter;
        let counts = from.is_none_or(|from| at >= from)
            && to.is_none_or(|to| at < to)
            && only.iter().all(|only| only.values.contains(&value(&only.dimension, at, settled)));
        if !counts {
            continue;
        }
        let group = query.by.iter().map(|dimension| value(dimension, at, settled)).collect();
        let (row, cost, adjusted) = groups.entry(group).or_default();
        match difference {
            Some(difference) => {
                row.adjustments += 1;
                *adjusted += i128::from(difference.0);
            }
            None => {
                count(row, settled);
                *cost += i128::from(settled.cost.0);
            }
        }
    }
    let finish = |(group, (row, cost, adjusted))| ReportRow {
        group,
        cost: NanoUsd::saturating_from(cost),
        adjusted: NanoUsd::saturating_from(adjusted),
        total: NanoUsd::saturating_from(cost + adjusted),
        ..row
    };
    let mut rows: Vec<ReportRow> = groups.into_iter().map(finish).collect();
    if query.order == Order::Cost {
        // A stable sort: what costs the same stays in the order of the groups.
        rows.sort_by_key(|row| std::cmp::Reverse(row.total));
    }
    rows
}

fn count(row: &mut ReportRow, settled: &Settled) {
    let is = |outcomes: &[Outcome]| u64::from(outcomes.contains(&settled.outcome));
    let held = |count: u64| count.min(tollgate_policy::usage::COUNT_MAX);
    row.requests += 1;
    row.errors += is(&[Outcome::Cut, Outcome::UpstreamError, Outcome::Failed]);
    row.aborted += is(&[Outcome::Aborted]);
    row.unknown += is(&[Outcome::Unknown]);
    row.estimated += u64::from(settled.estimated);
    row.unknown_price += u64::from(settled.unknown_price);
    row.input_tokens += held(settled.usage.input_tokens);
    row.output_tokens += held(settled.usage.output_tokens);
    row.cache_write_5m_tokens += held(settled.usage.cache_write_5m_tokens);
    row.cache_write_1h_tokens += held(settled.usage.cache_write_1h_tokens);
    row.cache_read_tokens += held(settled.usage.cache_read_tokens);
}

/// Books the entries in transactions of this size.
fn booked(path: &std::path::Path, entries: &[(UnixMs, Event)], step: usize) -> Bulk {
    let mut ledger = Bulk::open(path).unwrap();
    entries.chunks(step).for_each(|step| ledger.book(step.to_vec()).unwrap());
    ledger
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn every_report_equals_a_plain_calculation(
        entries in entries(),
        step in 1..50_usize,
        queries in proptest::collection::vec(query(), 12),
    ) {
        let folder = folder();
        let ledger = booked(&folder.path().join("ledger.db"), &entries, step);
        for query in queries {
            prop_assert_eq!(ledger.report(&query).unwrap(), expected(&entries, &query), "{:?}", query);
        }
    }

    #[test]
    fn pages_put_together_are_the_report(
        entries in entries(),
        query in query(),
        limit in 1..7_usize,
    ) {
        let folder = folder();
        let ledger = booked(&folder.path().join("ledger.db"), &entries, 50);
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let page = Query { after: after.clone(), limit: Some(limit), ..query.clone() };
            let rows = ledger.report(&page).unwrap();
            prop_assert!(rows.len() <= limit);
            pages.extend(rows.iter().cloned());
            match rows.last() {
                Some(last) => after = Some(last.group.clone()),
                None => break,
            }
        }
        prop_assert_eq!(pages, expected(&entries, &query));
    }

    #[test]
    fn sums_outlive_their_records(entries in entries(), by in subsequence(dimensions(), 0..3), days in 0..DAYS) {
        let folder = folder();
        let mut ledger = booked(&folder.path().join("ledger.db"), &entries, 50);
        ledger.drop_raw_before("2030-01".parse().unwrap()).unwrap();
        let filter = Filter::between(start().saturating_add_ms(3 * DAY_MS), start().saturating_add_ms(days * DAY_MS));
        for filter in [filter, Filter::default()] {
            let query = Query { by: by.clone(), filter, ..Query::default() };
            prop_assert_eq!(ledger.report(&query).unwrap(), expected(&entries, &query), "{:?}", query);
        }
    }
}
