//! The books and the oracle, side by side.

use std::collections::BTreeMap;

use proptest::sample::Index as Pick;

use super::oracle::{End, Oracle, Request};
use super::*;

pub(super) const MODELS: [&str; 3] = ["claude-opus-5", "claude-sonnet-5", "claude-haiku-5-5"];

pub(super) fn people() -> Vec<(Scope, KeyId)> {
    let scopes = [
        "default/red/-/ada",
        "default/red/web/ada",
        "default/blue/-/bob",
        "other/red/web/-",
        "default/red/-/ada",
    ];
    (1..).zip(scopes).map(|(number, text)| (scope(text), key(number))).collect()
}

#[derive(Debug, Clone)]
pub(super) enum Move {
    Wait(i64),
    Ask { person: usize, kind: Kind, models: Vec<&'static str>, full: Amounts },
    Settle { which: Pick, ran: Vec<Pick>, permille: [u64; 3] },
    Release { which: Pick },
    Expire,
    Change { which: Pick, amount: u64, burst: u64 },
}

/// The books and the oracle, side by side.
pub(super) struct Play {
    pub(super) books: Books,
    pub(super) oracle: Oracle,
    /// The open reservations, with the number of their request.
    pub(super) open: Vec<(usize, Reservation)>,
    /// The clock, and the latest instant that it showed.
    pub(super) clock: UnixMs,
    pub(super) now: UnixMs,
    /// Whether no request uses more than it asked for, so that nothing may ever be over its amount.
    tame: bool,
}

impl Play {
    pub(super) fn new(allowances: Vec<Allowance>, people: Vec<(Scope, KeyId)>, tame: bool) -> Self {
        let oracle = Oracle::new(&allowances, people);
        let books = Books::new(allowances, NOW);
        Self { books, oracle, open: Vec::new(), clock: NOW, now: NOW, tame }
    }

    pub(super) fn run(mut self, moves: Vec<Move>) {
        for step in moves {
            self.play(step);
            self.compare();
        }
        self.finish();
    }

    pub(super) fn play(&mut self, step: Move) {
        match step {
            Move::Wait(ms) => self.clock = self.clock.saturating_add_ms(ms),
            Move::Ask { person, kind, models, full } => self.ask(person, kind, models, full),
            Move::Settle { which, ran, permille } => {
                if !self.open.is_empty() {
                    let which = which.index(self.open.len());
                    // A tame upstream serves what was asked for.
                    let models = &self.oracle.requests[self.open[which].0].models;
                    let servers = if self.tame { &models[..] } else { &MODELS };
                    let ran = ran.iter().filter(|_| !servers.is_empty()).map(|pick| *pick.get(servers));
                    self.settle(which, ran.collect(), permille);
                }
            }
            Move::Release { which } => {
                if !self.open.is_empty() {
                    self.release(which.index(self.open.len()));
                }
            }
            Move::Expire => self.expire(),
            Move::Change { which, amount, burst } => self.change(which, amount, burst),
        }
    }

    /// A move: only those tell the books the time.
    fn step(&mut self) -> (UnixMs, u32) {
        self.now = self.now.max(self.clock);
        self.oracle.next(self.now)
    }

    pub(super) fn ask(&mut self, person: usize, kind: Kind, models: Vec<&'static str>, full: Amounts) {
        let at = self.step();
        let request =
            Request { person, kind, models, full, at, expired: None, forgotten: false, ended: None };
        let (scope, key) = &self.oracle.people[person];
        let claim = Claim { scope, key: *key, kind, models: &request.models, full, input_likely: 0 };
        let mut refusing = Vec::new();
        let mut over = Vec::new();
        for number in 0..self.oracle.allowances.len() {
            let Some(asked) = self.oracle.asked(number, &request) else { continue };
            let subject = self.oracle.subject(number, person).unwrap();
            let held = self.oracle.held(number, subject, self.now);
            if !self.oracle.fits(number, subject, self.now, asked, held) {
                match self.oracle.now(number).mode {
                    Mode::Block => refusing.push((number, subject.to_owned(), asked)),
                    Mode::Observe => over.push(self.oracle.now(number).name.clone()),
                }
            }
        }
        match self.books.reserve(self.clock, &claim) {
            Ok(reservation) => {
                assert!(refusing.is_empty(), "admitted against {refusing:?}");
                let mut found = reservation.over().to_vec();
                found.sort();
                assert_eq!(found, over);
                self.open.push((self.oracle.requests.len(), reservation));
                self.oracle.requests.push(request);
            }
            Err(overdrawn) => self.judge(&overdrawn, &refusing),
        }
    }

    /// A refusal names one of the allowances that refuse, with true numbers and the first instant at which it fits.
    fn judge(&self, overdrawn: &Overdrawn, refusing: &[(usize, String, u64)]) {
        let fits = |(number, subject, asked): &(usize, String, u64), at| {
            self.oracle.fits(*number, subject, at, *asked, 0)
        };
        let of_name =
            |(number, ..): &&(usize, String, u64)| self.oracle.now(*number).name == overdrawn.allowance;
        let named =
            refusing.iter().find(of_name).unwrap_or_else(|| panic!("refused by nothing: {overdrawn:?}"));
        let (used, whole) = self.oracle.used(named.0, &named.1, self.now);
        assert_eq!(i128::from(overdrawn.used), (used + whole - 1) / whole);
        assert_eq!(overdrawn.held, self.oracle.held(named.0, &named.1, self.now));
        assert_eq!(overdrawn.asked, named.2);
        assert_eq!(overdrawn.amount, self.oracle.now(named.0).capacity_at(self.now));
        let raised = |(number, ..): &(usize, String, u64)| !self.oracle.now(*number).raises.is_empty();
        let ever = self.now.saturating_add_ms(400 * 366 * DAY_MS);
        match overdrawn.retry_ms {
            Some(ms) => {
                let at = self.clock.saturating_add_ms(ms);
                assert!(fits(named, at), "too early: {overdrawn:?}");
                assert!(!fits(named, at.saturating_add_ms(-1)), "too late: {overdrawn:?}");
                assert!(!overdrawn.never && at > self.now);
                // It is the longest wait of all.
                let plain = refusing.iter().filter(|refusing| !raised(refusing));
                plain.for_each(|refusing| assert!(fits(refusing, at), "{refusing:?} waits longer"));
            }
            None if overdrawn.never => assert!(!fits(named, ever), "{overdrawn:?}"),
            None => {
                assert!(fits(named, self.now), "waits for more than requests that run: {overdrawn:?}");
                let plain = refusing.iter().filter(|refusing| !raised(refusing));
                plain.for_each(|refusing| assert!(fits(refusing, self.now), "{refusing:?} waits longer"));
            }
        }
    }

    pub(super) fn settle(&mut self, which: usize, ran: Vec<&'static str>, permille: [u64; 3]) {
        let (number, reservation) = self.open.remove(which);
        let when = self.step();
        let request = &mut self.oracle.requests[number];
        let part = |whole: u64, permille: u64| whole * permille / 1000;
        let cost = part(request.full.cost.0.unsigned_abs(), permille[2]);
        let used = amounts(
            part(request.full.input_tokens, permille[0]),
            part(request.full.output_tokens, permille[1]),
            i64::try_from(cost).unwrap(),
        );
        self.books.settle(self.clock, reservation, &ran, used);
        request.ended = Some((when, End::Settled(ran, used)));
    }

    pub(super) fn release(&mut self, which: usize) {
        let (number, reservation) = self.open.remove(which);
        let when = self.step();
        self.oracle.requests[number].ended = Some((when, End::Released));
        self.books.release(self.clock, reservation);
    }

    pub(super) fn expire(&mut self) {
        let when = self.step();
        let mut expired = 0;
        for request in self.oracle.requests.iter_mut().filter(|request| request.ended.is_none()) {
            let waited = self.now.0 - request.at.0.0;
            if waited >= TERM_MS && request.expired.is_none() {
                request.expired = Some(when);
                expired += 1;
            }
            request.forgotten |= waited >= 2 * TERM_MS;
        }
        assert_eq!(self.books.expire(self.clock), expired);
    }

    fn change(&mut self, which: Pick, amount: u64, burst: u64) {
        if self.oracle.allowances.is_empty() {
            return;
        }
        let when = self.step();
        let number = which.index(self.oracle.allowances.len());
        let mut allowance = self.oracle.now(number).clone();
        let paced = allowance.amount != amount;
        allowance.amount = amount;
        if let Span::Rate { burst: before, .. } = &mut allowance.span {
            *before = burst;
        }
        let from = if paced { when } else { self.oracle.allowances[number].pop().unwrap().0 };
        self.oracle.allowances[number].push((from, allowance));
        let all = 0..self.oracle.allowances.len();
        // Their order means nothing.
        let reversed = all.rev().map(|number| self.oracle.now(number).clone()).collect();
        self.books.replace(reversed, self.clock);
    }

    /// Every counter says what the oracle says, and none is over its amount.
    pub(super) fn compare(&self) {
        let now = self.now.max(self.clock);
        let mut lines: BTreeMap<(Name, String), Standing> = BTreeMap::new();
        for line in self.books.standing(self.clock, |_| true) {
            let allowance = self.books.allowances().iter().find(|one| one.name == line.allowance).unwrap();
            lines.insert((line.allowance.clone(), subject_text(allowance.each, &line.subject)), line);
        }
        for number in 0..self.oracle.allowances.len() {
            let subjects =
                (0..self.oracle.people.len()).filter_map(|person| self.oracle.subject(number, person));
            for subject in subjects {
                let allowance = self.oracle.now(number);
                let (used, whole) = self.oracle.used(number, subject, now);
                let held = self.oracle.held(number, subject, now);
                let line = lines.get(&(allowance.name.clone(), subject.to_owned()));
                let found = line.map_or((0, 0), |line| (i128::from(line.used), line.held));
                assert_eq!(found, ((used + whole - 1) / whole, held), "{allowance:?} for {subject}");
                let capacity = allowance.capacity_at(now);
                if self.tame && allowance.mode == Mode::Block {
                    let most = i128::from(capacity) * whole;
                    assert!(used + i128::from(held) * whole <= most, "{allowance:?} is over");
                    if let Span::Rolling { ms } = allowance.span {
                        let exact = self.oracle.in_window(number, subject, now, ms);
                        assert!(exact + held <= capacity, "{allowance:?} is over");
                    }
                }
            }
        }
    }

    /// When all has ended nothing is held, and when all is past no counter is left.
    pub(super) fn finish(mut self) {
        for turn in 0..self.open.len() {
            if turn % 2 == 0 { self.settle(0, Vec::new(), [500; 3]) } else { self.release(0) }
        }
        self.compare();
        if self.tame {
            for number in 0..self.oracle.allowances.len() {
                let blocks = self.oracle.now(number).mode == Mode::Block;
                for person in (0..self.oracle.people.len()).filter(|_| blocks) {
                    let subject = self.oracle.subject(number, person);
                    let worst = subject.map_or(0, |subject| self.oracle.worst_stretch(number, subject));
                    assert!(worst <= 0, "{:?} granted {worst} too much", self.oracle.now(number));
                }
            }
        }
        assert_eq!(self.books.open(), 0);
        let standing = self.books.standing(self.clock, |_| true);
        assert!(standing.iter().all(|line| line.held == 0), "{standing:?}");
        self.books.expire(self.now.saturating_add_ms(100 * 366 * DAY_MS));
        let drains =
            |allowance: &Allowance| allowance.amount > 0 || !matches!(allowance.span, Span::Rate { .. });
        if self.books.allowances().iter().all(drains) {
            assert_eq!(self.books.counters.iter_mut().count(), 0);
        }
        assert_eq!(self.books.reservations.iter_mut().count(), 0);
    }
}

fn subject_text(each: Option<Level>, subject: &Selector) -> String {
    let text = |name: &Option<Name>| name.as_ref().unwrap().to_string();
    match each {
        None => String::new(),
        Some(Level::Org) => text(&subject.org),
        Some(Level::Team) => format!("{}/{}", text(&subject.org), text(&subject.team)),
        Some(Level::Project) => {
            format!("{}/{}/{}", text(&subject.org), text(&subject.team), text(&subject.project))
        }
        Some(Level::User) => format!("{}/{}", text(&subject.org), text(&subject.user)),
        Some(Level::Key) => subject.key.unwrap().to_string(),
    }
}
