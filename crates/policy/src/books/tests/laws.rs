//! The books against the oracle: any allowances, any requests, any order of ends, any clock.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{Index as Pick, select};

use super::oracle::{End, Oracle, Request};
use super::*;

const MODELS: [&str; 3] = ["claude-opus-5", "claude-sonnet-5", "claude-haiku-5-5"];

fn people() -> Vec<(Scope, KeyId)> {
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
enum Move {
    Wait(i64),
    Ask { person: usize, kind: Kind, models: Vec<&'static str>, full: Amounts },
    Settle { which: Pick, served: Option<Pick>, permille: [u64; 3] },
    Release { which: Pick },
    Expire,
    Change { which: Pick, amount: u64, burst: u64 },
}

/// Sums that are small, so that they meet the amounts, or large.
fn any_scale() -> impl Strategy<Value = u64> {
    select(&[4_u64, 30, 1_000, 1_000_000])
}

prop_compose! {
    fn any_selector()(
        org in prop::option::weighted(0.2, select(&["default", "other"])),
        team in prop::option::weighted(0.2, select(&["red", "blue"])),
        project in prop::option::weighted(0.1, Just("web")),
        user in prop::option::weighted(0.2, select(&["ada", "bob"])),
        number in prop::option::weighted(0.2, 1..=5_u8),
    ) -> Selector {
        let [org, team, project, user] = [org, team, project, user].map(|text| text.map(name));
        Selector { org, team, project, user, key: number.map(key) }
    }
}

fn any_span(scale: u64) -> impl Strategy<Value = Span> {
    const PERIODS: [Period; 5] = [Period::Day, Period::Week, Period::Month, Period::Quarter, Period::Year];
    prop_oneof![
        4 => (select(&[1_000, MINUTE_MS, HOUR_MS]), 1..=scale)
            .prop_map(|(per_ms, burst)| Span::Rate { per_ms, burst }),
        2 => (select(&PERIODS), select(&["UTC", "Europe/Berlin", "America/Sao_Paulo"]))
            .prop_map(|(period, zone)| in_zone(period, zone)),
        2 => select(&[MINUTE_MS, 61_234, HOUR_MS, DAY_MS, 7 * DAY_MS]).prop_map(|ms| Span::Rolling { ms }),
    ]
}

fn any_raises(scale: u64) -> impl Strategy<Value = Vec<Raise>> {
    let raise = (0..3 * HOUR_MS, 1..DAY_MS, 0..=2 * scale);
    prop::collection::vec(raise, 0..=2).prop_map(|raises| {
        let mut at = NOW;
        let raise = |(gap_ms, ms, amount)| {
            let from = at.saturating_add_ms(gap_ms);
            at = from.saturating_add_ms(ms);
            Raise { amount, from, until: at, by: "ada".to_owned(), note: None }
        };
        raises.into_iter().map(raise).collect()
    })
}

prop_compose! {
    fn any_allowance(scale: u64, raised: bool)(
        on in any_selector(),
        each in prop::option::of(select(&[Level::Org, Level::Team, Level::Project, Level::User, Level::Key])),
        patterns in prop_oneof![
            3 => Just(&[] as &[&str]), 1 => Just(&["*opus*"] as &[&str]),
            1 => Just(&["claude-sonnet-5", "*haiku*"] as &[&str]),
        ],
        measure in select(&[
            Measure::Requests, Measure::CountTokens, Measure::InputTokens, Measure::OutputTokens, Measure::Tokens,
            Measure::Cost, Measure::Concurrency,
        ]),
        amount in prop_oneof![1 => Just(0), 9 => 0..=scale],
        span in any_span(scale),
        mode in prop_oneof![4 => Just(Mode::Block), 1 => Just(Mode::Observe)],
        raises in any_raises(scale),
    ) -> Allowance {
        let span = if measure == Measure::Concurrency { Span::AtOnce } else { span };
        let raises = if raised { raises } else { Vec::new() };
        let like = allowance("unnamed", measure, amount, span);
        Allowance { on, each, models: models(patterns), mode, raises, ..like }
    }
}

fn any_move(scale: u64) -> impl Strategy<Value = Move> {
    let amount = || prop_oneof![3 => 0..=scale / 4 + 1, 1 => 0..=2 * scale];
    const KINDS: [Kind; 6] =
        [Kind::Messages, Kind::Messages, Kind::Messages, Kind::Messages, Kind::CountTokens, Kind::Other];
    let asked = (0..5_usize, select(&KINDS), prop::sample::subsequence(&MODELS[..], 0..=3).prop_shuffle());
    let waits = prop_oneof![
        3 => 0..100_i64, 3 => 0..3 * MINUTE_MS, 2 => 0..3 * HOUR_MS, 1 => 0..3 * DAY_MS, 1 => -HOUR_MS..0,
    ];
    prop_oneof![
        3 => waits.prop_map(Move::Wait),
        6 => (asked, amount(), amount(), amount()).prop_map(|((person, kind, models), input, output, cost)| {
            let full = amounts(input, output, i64::try_from(cost).unwrap());
            Move::Ask { person, kind, models, full }
        }),
        3 => (any::<Pick>(), prop::option::of(any::<Pick>()), [0..=1000_u64, 0..=1000, 0..=1000])
            .prop_map(|(which, served, permille)| Move::Settle { which, served, permille }),
        1 => any::<Pick>().prop_map(|which| Move::Release { which }),
        1 => Just(Move::Expire),
    ]
}

fn any_wild_move(scale: u64) -> impl Strategy<Value = Move> {
    prop_oneof![
        12 => any_move(scale),
        1 => (any::<Pick>(), prop::option::of(any::<Pick>()), [0..=3000_u64, 0..=3000, 0..=3000])
            .prop_map(|(which, served, permille)| Move::Settle { which, served, permille }),
        1 => (any::<Pick>(), 0..=scale, 1..=scale)
            .prop_map(|(which, amount, burst)| Move::Change { which, amount, burst }),
    ]
}

fn named(allowances: Vec<Allowance>) -> Vec<Allowance> {
    let rename = |(number, allowance)| Allowance { name: name(&format!("a{number}")), ..allowance };
    (0..).zip(allowances).map(|(number, allowance): (usize, _)| rename((number, allowance))).collect()
}

/// The books and the oracle, side by side.
struct Play {
    books: Books,
    oracle: Oracle,
    /// The open reservations, with the number of their request.
    open: Vec<(usize, Reservation)>,
    /// The clock, and the latest instant that it showed.
    clock: UnixMs,
    now: UnixMs,
    /// Whether no request uses more than it asked for, so that nothing may ever be over its amount.
    tame: bool,
}

impl Play {
    fn new(allowances: Vec<Allowance>, tame: bool) -> Self {
        let oracle = Oracle::new(&allowances, people());
        Self { books: Books::new(allowances, NOW), oracle, open: Vec::new(), clock: NOW, now: NOW, tame }
    }

    fn run(mut self, moves: Vec<Move>) {
        for step in moves {
            match step {
                Move::Wait(ms) => self.clock = self.clock.saturating_add_ms(ms),
                Move::Ask { person, kind, models, full } => self.ask(person, kind, models, full),
                Move::Settle { which, served, permille } => {
                    if !self.open.is_empty() {
                        self.settle(which.index(self.open.len()), served, permille);
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
            self.compare();
        }
        self.finish();
    }

    /// A move: only those tell the books the time.
    fn step(&mut self) -> (UnixMs, u32) {
        self.now = self.now.max(self.clock);
        self.oracle.next(self.now)
    }

    fn ask(&mut self, person: usize, kind: Kind, models: Vec<&'static str>, full: Amounts) {
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

    fn settle(&mut self, which: usize, served: Option<Pick>, permille: [u64; 3]) {
        let (number, reservation) = self.open.remove(which);
        let when = self.step();
        let request = &mut self.oracle.requests[number];
        // A tame upstream serves what was asked for.
        let servers = if self.tame { &request.models[..] } else { &MODELS };
        let served = served.filter(|_| !servers.is_empty()).map(|pick| *pick.get(servers));
        let part = |whole: u64, permille: u64| whole * permille / 1000;
        let cost = part(request.full.cost.0.unsigned_abs(), permille[2]);
        let used = amounts(
            part(request.full.input_tokens, permille[0]),
            part(request.full.output_tokens, permille[1]),
            i64::try_from(cost).unwrap(),
        );
        request.ended = Some((when, End::Settled(served, used)));
        self.books.settle(self.clock, reservation, served, used);
    }

    fn release(&mut self, which: usize) {
        let (number, reservation) = self.open.remove(which);
        let when = self.step();
        self.oracle.requests[number].ended = Some((when, End::Released));
        self.books.release(self.clock, reservation);
    }

    fn expire(&mut self) {
        let when = self.step();
        let mut expired = 0;
        for (number, reservation) in &self.open {
            if reservation.ticket.is_none() {
                continue;
            }
            let request = &mut self.oracle.requests[*number];
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
    fn compare(&self) {
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
    fn finish(mut self) {
        for turn in 0..self.open.len() {
            if turn % 2 == 0 { self.settle(0, None, [500; 3]) } else { self.release(0) }
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_request_is_admitted_if_and_only_if_it_fits_everywhere(
        (allowances, moves) in any_scale().prop_flat_map(|scale| (
            prop::collection::vec(any_allowance(scale, true), 0..6),
            prop::collection::vec(any_wild_move(scale), 1..40),
        )),
    ) {
        Play::new(named(allowances), false).run(moves);
    }

    #[test]
    fn no_allowance_is_ever_over_by_a_single_unit(
        (allowances, moves) in any_scale().prop_flat_map(|scale| (
            prop::collection::vec(any_allowance(scale, false), 1..6),
            prop::collection::vec(any_move(scale), 1..40),
        )),
    ) {
        Play::new(named(allowances), true).run(moves);
    }
}
