//! The rule of the books: tables of what passes and what is said, and laws against an oracle.

use super::index::whose;
use super::*;
use crate::access::Models;
use crate::allowance::{Calendar, Level, Period, Raise};
use crate::entry::ThresholdPassed;

mod counted;
mod laws;
mod moves;
mod oracle;
mod play;
mod recalled;
mod sentences;
mod week;

/// 22 November 2026, 11:30 in UTC, a Sunday.
const NOW: UnixMs = UnixMs(1_795_347_000_000);
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

fn later(ms: i64) -> UnixMs {
    NOW.saturating_add_ms(ms)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn key(number: u8) -> KeyId {
    KeyId::new(UnixMs(0), [number; 10])
}

fn models(patterns: &[&str]) -> Models {
    Models::new(patterns.iter().map(|pattern| (*pattern).to_owned()).collect()).unwrap()
}

/// A scope such as `default/platform/-/ada`.
fn scope(text: &str) -> Scope {
    let parts: Vec<Option<Name>> = text.split('/').map(|part| (part != "-").then(|| name(part))).collect();
    let [org, team, project, user] = parts.try_into().unwrap();
    Scope { org: org.unwrap(), team: team.unwrap(), project, user }
}

fn allowance(text: &str, measure: Measure, amount: u64, span: Span) -> Allowance {
    Allowance {
        name: name(text),
        on: Selector::default(),
        each: None,
        models: Models::default(),
        measure,
        amount,
        span,
        reserve: Reserve::Full,
        mode: Mode::Block,
        warn_at: Vec::new(),
        message: None,
        raises: Vec::new(),
    }
}

fn per_minute(burst: u64) -> Span {
    Span::Rate { per_ms: MINUTE_MS, burst }
}

fn per(period: Period) -> Span {
    Span::Period { period, calendar: Calendar::default() }
}

fn in_zone(period: Period, zone: &str) -> Span {
    Span::Period { period, calendar: Calendar { zone: zone.parse().unwrap(), ..Calendar::default() } }
}

fn amounts(input_tokens: u64, output_tokens: u64, nano_usd: i64) -> Amounts {
    Amounts { input_tokens, output_tokens, cost: NanoUsd(nano_usd) }
}

impl Books {
    /// Where the chosen allowances stand, in their order.
    fn standing(&self, now: UnixMs, filter: impl Fn(&Allowance) -> bool) -> Vec<Standing> {
        let (mut lines, mut next) = (Vec::new(), Some(0));
        while let Some(place) = next {
            let (more, further) = self.standing_from(now, place, &filter);
            lines.extend(more);
            next = further;
        }
        let order = |line: &Standing| self.allowances.iter().position(|one| one.name == line.allowance);
        lines.sort_by(|one, other| (order(one), &one.whose).cmp(&(order(other), &other.whose)));
        lines
    }
}

/// A request of ada of team red, for a message that uses at most this.
struct Desk {
    books: Books,
    scope: Scope,
    models: Vec<&'static str>,
    kind: Kind,
}

impl Desk {
    fn new(allowances: Vec<Allowance>) -> Self {
        let (scope, models) = (scope("default/red/-/ada"), vec!["claude-opus-5"]);
        Self { books: Books::new(allowances, NOW), scope, models, kind: Kind::Messages }
    }

    fn ask(&mut self, at_ms: i64, full: Amounts) -> Result<Reservation, Box<Overdrawn>> {
        let claim = Claim {
            scope: &self.scope,
            key: key(1),
            kind: self.kind,
            models: &self.models,
            full,
            input_likely: full.input_tokens / 2,
        };
        self.books.reserve(later(at_ms), &claim)
    }

    /// Asks for output tokens.
    fn output(&mut self, at_ms: i64, tokens: u64) -> Result<Reservation, Box<Overdrawn>> {
        self.ask(at_ms, amounts(0, tokens, 0))
    }

    fn settle(&mut self, at_ms: i64, reservation: Reservation, output_tokens: u64) -> Vec<ThresholdPassed> {
        self.books.settle(later(at_ms), reservation, &[], amounts(0, output_tokens, 0))
    }

    /// What is used and held of the only counter.
    fn level(&self, at_ms: i64) -> (u64, u64) {
        let lines = self.books.standing(later(at_ms), |_| true);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        (line.used, line.held)
    }
}
