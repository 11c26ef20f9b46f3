//! What the books should say, worked out anew each time from everything that ever happened.
//!
//! It shares no arithmetic with the books: no counter is kept, debt is found as the largest sum of charges less drain
//! over all stretches of time that end now, and all fractions are exact.

use super::*;

/// What happened: each allowance as it was from which instant on, and each request.
pub(super) struct Oracle {
    pub(super) allowances: Vec<Vec<(When, Allowance)>>,
    pub(super) people: Vec<(Scope, KeyId)>,
    pub(super) requests: Vec<Request>,
    /// Who shares a counter with whom, for each allowance and person.
    subjects: Vec<Vec<Option<String>>>,
    moves: u32,
}

/// An instant, and the number of the move, which tells what came first at one instant.
type When = (UnixMs, u32);

/// A request that was admitted.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) person: usize,
    pub(super) kind: Kind,
    pub(super) models: Vec<&'static str>,
    pub(super) full: Amounts,
    pub(super) at: When,
    pub(super) expired: Option<When>,
    pub(super) forgotten: bool,
    pub(super) ended: Option<(When, End)>,
}

#[derive(Debug, Clone)]
pub(super) enum End {
    Released,
    Settled(Vec<&'static str>, Amounts),
}

/// What a request means to one allowance.
struct Part {
    at: When,
    /// What it asked for; none if it held nothing.
    asked: Option<u64>,
    expired: Option<When>,
    /// When it ended, and what it used.
    ended: Option<(When, u64)>,
}

impl Oracle {
    pub(super) fn new(allowances: &[Allowance], people: Vec<(Scope, KeyId)>) -> Self {
        let first = |allowance: &Allowance| vec![((UnixMs(i64::MIN), 0), allowance.clone())];
        let of_person = |allowance| people.iter().map(|person| subject_of(allowance, person)).collect();
        Self {
            allowances: allowances.iter().map(first).collect(),
            subjects: allowances.iter().map(of_person).collect(),
            people,
            requests: Vec::new(),
            moves: 0,
        }
    }

    pub(super) fn next(&mut self, now: UnixMs) -> When {
        self.moves += 1;
        (now, self.moves)
    }

    pub(super) fn now(&self, number: usize) -> &Allowance {
        &self.allowances[number].last().unwrap().1
    }

    /// The part of the organisation that shares a counter with this person, as text; none if the allowance does not
    /// count that person.
    pub(super) fn subject(&self, number: usize, person: usize) -> Option<&str> {
        self.subjects[number][person].as_deref()
    }

    /// How much a request asks of an allowance; none if it does not count there.
    pub(super) fn asked(&self, number: usize, request: &Request) -> Option<u64> {
        let allowance = self.now(number);
        self.subject(number, request.person)?;
        let models = &allowance.models;
        let counts = in_measure(request.kind, allowance.measure)
            && (models.is_empty() || request.models.iter().any(|model| models.covers(model)));
        counts.then(|| units(allowance.measure, &request.full))
    }

    fn parts(&self, number: usize, subject: &str) -> Vec<Part> {
        let allowance = self.now(number);
        let of_subject = |request: &&Request| {
            in_measure(request.kind, allowance.measure)
                && self.subject(number, request.person) == Some(subject)
        };
        let requests = self.requests.iter().filter(of_subject);
        let part = |request: &Request| {
            let models = &allowance.models;
            let requested = request.models.first().is_some_and(|model| models.covers(model));
            let used = |end: &End| match end {
                End::Settled(ran, amounts)
                    if models.is_empty() || requested || ran.iter().any(|model| models.covers(model)) =>
                {
                    units(allowance.measure, amounts)
                }
                End::Settled(..) | End::Released => 0,
            };
            let ended = request.ended.as_ref().filter(|_| !request.forgotten);
            let ended = ended.map(|(when, end)| (*when, used(end)));
            Part { at: request.at, asked: self.asked(number, request), expired: request.expired, ended }
        };
        requests.map(part).collect()
    }

    /// What is held at an instant, ended requests left out.
    pub(super) fn held(&self, number: usize, subject: &str, now: UnixMs) -> u64 {
        if is_charged_at_once(self.now(number)) {
            return 0;
        }
        let parts = self.parts(number, subject);
        let open = parts.iter().filter(|part| part.ended.is_none() && part.expired.is_none());
        open.filter(|part| self.same_period(number, part.at.0, now)).filter_map(|part| part.asked).sum()
    }

    fn same_period(&self, number: usize, one: UnixMs, other: UnixMs) -> bool {
        match &self.now(number).span {
            Span::Period { period, calendar } => {
                period::period_of(*period, calendar, one) == period::period_of(*period, calendar, other)
            }
            _ => true,
        }
    }

    /// What is used, as a fraction: so many parts, of which a unit has the second number.
    pub(super) fn used(&self, number: usize, subject: &str, now: UnixMs) -> (i128, i128) {
        let allowance = self.now(number);
        let parts = self.parts(number, subject);
        let charged = |part: &Part| match (part.ended, part.expired) {
            (Some((_, used)), _) => used,
            (None, Some(_)) => part.asked.unwrap_or(0),
            (None, None) => 0,
        };
        let booked = |counts: &dyn Fn(UnixMs) -> bool| -> i128 {
            parts.iter().filter(|part| counts(part.at.0)).map(|part| i128::from(charged(part))).sum()
        };
        match &allowance.span {
            Span::AtOnce => (0, 1),
            Span::Period { .. } => (booked(&|at| self.same_period(number, at, now)), 1),
            Span::Rolling { ms } => {
                let slot_ms = (ms + 59) / 60;
                let last_of_slot = |at: UnixMs| at.0 - at.0.rem_euclid(slot_ms) + slot_ms - 1;
                (booked(&|at| now.0 - last_of_slot(at) < *ms), 1)
            }
            Span::Rate { per_ms, .. } => (self.debt(number, &parts, now), i128::from(*per_ms)),
        }
    }

    /// What was booked in exactly the window that ends now.
    pub(super) fn in_window(&self, number: usize, subject: &str, now: UnixMs, ms: i64) -> u64 {
        let parts = self.parts(number, subject);
        let booked = parts.iter().filter(|part| now.0 - part.at.0.0 < ms);
        booked.filter_map(|part| part.ended).map(|(_, used)| used).sum()
    }

    fn debt(&self, number: usize, parts: &[Part], now: UnixMs) -> i128 {
        let mut charges: Vec<(When, i128)> =
            parts.iter().flat_map(|part| self.charges(number, part)).collect();
        charges.sort_by_key(|(when, _)| *when);
        let (mut debt, mut sum) = (0, 0);
        for (when, charge) in charges.into_iter().rev() {
            sum += charge;
            debt = debt.max(sum - self.drained(number, when.0, now));
        }
        debt
    }

    /// The charges of a request to a rate, in parts of 1/`per_ms`; what is given back is negative.
    fn charges(&self, number: usize, part: &Part) -> Vec<(When, i128)> {
        let allowance = self.now(number);
        let Span::Rate { per_ms, .. } = allowance.span else { return Vec::new() };
        let scaled = |units: u64| i128::from(units) * i128::from(per_ms);
        let charged = match part.asked {
            Some(asked) if is_charged_at_once(allowance) => Some((part.at, asked)),
            Some(asked) => part.expired.map(|when| (when, asked)),
            None => None,
        };
        let Some((since, charged)) = charged else {
            return part.ended.map(|(when, used)| (when, scaled(used))).into_iter().collect();
        };
        let mut charges = vec![(since, scaled(charged))];
        if let Some((when, used)) = part.ended {
            let difference = scaled(used) - scaled(charged);
            let drained = self.drained(number, since.0, when.0);
            let repaced = self.allowances[number].iter().any(|(from, _)| since.0 < from.0 && *from <= when);
            let back = if repaced { 0 } else { (-difference - drained).max(0) };
            charges.push((when, if difference >= 0 { difference } else { -back }));
        }
        charges
    }

    /// The stretch of time in which a rate that never changed was charged most above what it grants: by how many parts
    /// of 1/`per_ms`. What was given back was never charged.
    pub(super) fn worst_stretch(&self, number: usize, subject: &str) -> i128 {
        let allowance = self.now(number);
        let Span::Rate { per_ms, burst } = allowance.span else { return 0 };
        let at_once = is_charged_at_once(allowance);
        let charge = |part: Part| {
            let (ended, used) = part.ended?;
            let at = if at_once && part.asked.is_some() { part.at } else { part.expired.unwrap_or(ended) };
            Some((at, i128::from(used) * i128::from(per_ms)))
        };
        let mut charges: Vec<(When, i128)> =
            self.parts(number, subject).into_iter().filter_map(charge).collect();
        charges.sort_unstable();
        let mut worst = 0;
        for first in 0..charges.len() {
            let mut sum = 0;
            for (when, charge) in &charges[first..] {
                sum += charge;
                let granted = i128::from(burst) * i128::from(per_ms)
                    + i128::from(allowance.amount) * i128::from(when.0.0 - charges[first].0.0.0);
                worst = worst.max(sum - granted);
            }
        }
        worst
    }

    /// What drains between two instants, in parts of 1/`per_ms`.
    pub(super) fn drained(&self, number: usize, from: UnixMs, to: UnixMs) -> i128 {
        let versions = &self.allowances[number];
        let raises = versions.iter().flat_map(|(_, allowance)| &allowance.raises);
        let mut cuts: Vec<UnixMs> = raises.flat_map(|raise| [raise.from, raise.until]).collect();
        cuts.extend(versions.iter().map(|(from, _)| from.0));
        cuts.extend([from, to]);
        cuts.retain(|cut| (from..=to).contains(cut));
        cuts.sort_unstable();
        let stretches = cuts.windows(2).map(|cut| {
            let (_, allowance) = versions.iter().rfind(|(from, _)| from.0 <= cut[0]).unwrap();
            i128::from(allowance.amount_at(cut[0])) * i128::from(cut[1].0 - cut[0].0)
        });
        stretches.sum()
    }

    /// Whether so many units fit on one counter.
    pub(super) fn fits(&self, number: usize, subject: &str, now: UnixMs, asked: u64, held: u64) -> bool {
        let capacity = i128::from(self.now(number).capacity_at(now));
        let (used, whole) = self.used(number, subject, now);
        capacity > 0 && used + (i128::from(held) + i128::from(asked)) * whole <= capacity * whole
    }
}

fn subject_of(allowance: &Allowance, (scope, key): &(Scope, KeyId)) -> Option<String> {
    let Allowance { on, each, .. } = allowance;
    let wrong = |wanted: &Option<Name>, found: Option<&Name>| {
        wanted.as_ref().is_some_and(|wanted| found != Some(wanted))
    };
    if wrong(&on.org, Some(&scope.org))
        || wrong(&on.team, Some(&scope.team))
        || wrong(&on.project, scope.project.as_ref())
        || wrong(&on.user, scope.user.as_ref())
        || on.key.is_some_and(|wanted| wanted != *key)
    {
        return None;
    }
    Some(match each {
        None => String::new(),
        Some(Level::Org) => scope.org.to_string(),
        Some(Level::Team) => format!("{}/{}", scope.org, scope.team),
        Some(Level::Project) => format!("{}/{}/{}", scope.org, scope.team, scope.project.as_ref()?),
        Some(Level::User) => format!("{}/{}", scope.org, scope.user.as_ref()?),
        Some(Level::Key) => key.to_string(),
    })
}

fn in_measure(kind: Kind, measure: Measure) -> bool {
    match measure {
        Measure::Requests | Measure::Concurrency => kind != Kind::CountTokens,
        Measure::CountTokens => kind == Kind::CountTokens,
        Measure::InputTokens | Measure::OutputTokens | Measure::Tokens | Measure::Cost => {
            kind == Kind::Messages
        }
    }
}

fn units(measure: Measure, amounts: &Amounts) -> u64 {
    match measure {
        Measure::Requests | Measure::CountTokens | Measure::Concurrency => 1,
        Measure::InputTokens => amounts.input_tokens,
        Measure::OutputTokens => amounts.output_tokens,
        Measure::Tokens => amounts.input_tokens + amounts.output_tokens,
        Measure::Cost => amounts.cost.0.unsigned_abs(),
    }
}
