//! When sessions are paused, and that nothing else is.

use proptest::prelude::*;

use super::*;

const NOW: UnixMs = UnixMs(1_795_347_000_000);
const MINUTE_MS: i64 = 60_000;

fn later(ms: i64) -> UnixMs {
    NOW.saturating_add_ms(ms)
}

fn key(number: u8) -> KeyId {
    KeyId::new(UnixMs(0), [number; 10])
}

fn dollars(amount: i64) -> NanoUsd {
    NanoUsd(amount * NanoUsd::DOLLAR.0)
}

fn brakes(change: impl FnOnce(&mut Brake)) -> Brakes {
    let mut brake = Brake::default();
    change(&mut brake);
    Brakes::new(brake)
}

#[test]
fn a_session_that_repeats_itself_is_paused_alone() {
    let mut brakes = brakes(|brake| brake.repeats = Some(3));
    for second in 0..3 {
        assert_eq!(brakes.check(later(second * 1_000), key(1), "loop", 7), Ok(()));
        assert_eq!(
            brakes.check(later(second * 1_000), key(1), "work", u64::try_from(second).unwrap()),
            Ok(())
        );
        assert_eq!(brakes.check(later(second * 1_000), key(2), "loop", 7), Ok(()));
    }
    let paused = brakes.check(later(3_000), key(1), "loop", 7).unwrap_err();
    let why = "This session is paused until 2026-11-22T11:45:03.000Z: it sent the same request 4 times within 10 \
               minutes. The gateway's operator can resume it earlier.";
    let until = later(3_000 + 15 * MINUTE_MS);
    assert_eq!(paused.pause, Pause { by: "brake".to_owned(), why: why.to_owned(), until });
    assert!(paused.begins);
    // Whatever it asks now; but it begins only once.
    let again = brakes.check(later(4_000), key(1), "loop", 8).unwrap_err();
    assert_eq!((again.begins, &again.pause), (false, &paused.pause));
    assert_eq!(brakes.check(later(4_000), key(1), "work", 8), Ok(()));
    assert_eq!(brakes.check(later(4_000), key(1), "work", 9), Ok(()));
    // By itself it goes on at that instant, as if it were new.
    assert!(brakes.check(UnixMs(until.0 - 1), key(1), "loop", 7).is_err());
    for _ in 0..3 {
        assert_eq!(brakes.check(until, key(1), "loop", 7), Ok(()));
    }
    assert!(brakes.check(until, key(1), "loop", 7).is_err());
}

#[test]
fn repetition_is_counted_within_the_window() {
    let mut brakes = brakes(|brake| brake.repeats = Some(2));
    // Twice each ten minutes is fine for ever.
    for turn in 0..50 {
        for part in 0..2 {
            let at = later(turn * 10 * MINUTE_MS + part * 1_000);
            assert_eq!(brakes.check(at, key(1), "poll", 7), Ok(()), "{turn}");
        }
    }
}

#[test]
fn a_session_that_burns_too_fast_is_paused() {
    let mut brakes = brakes(|brake| brake.cost = Some(dollars(20)));
    assert_eq!(brakes.settled(NOW, key(1), "s", dollars(20)), None);
    assert_eq!(brakes.settled(NOW, key(1), "other", dollars(1)), None);
    assert_eq!(brakes.settled(NOW, key(1), "s", NanoUsd(-5)), None);
    let pause = brakes.settled(later(MINUTE_MS), key(1), "s", NanoUsd(1)).unwrap();
    let why = "This session is paused until 2026-11-22T11:46:00.000Z: it cost $20.000000001 within 10 minutes, and \
               $20.00 is the most. The gateway's operator can resume it earlier.";
    assert_eq!(pause.why, why);
    // Requests that were running end later; the session is paused already.
    assert_eq!(brakes.settled(later(MINUTE_MS), key(1), "s", dollars(9)), None);
    assert_eq!(brakes.check(later(MINUTE_MS), key(1), "s", 1).unwrap_err().pause, pause);
    assert_eq!(brakes.check(later(MINUTE_MS), key(1), "other", 1), Ok(()));
    // What left the window burns no more.
    let after = later(20 * MINUTE_MS);
    assert_eq!(brakes.check(after, key(1), "s", 1), Ok(()));
    assert_eq!(brakes.settled(after, key(1), "s", dollars(20)), None);
    assert_eq!(brakes.settled(after.saturating_add_ms(10 * MINUTE_MS), key(1), "s", dollars(20)), None);
}

#[test]
fn a_session_that_suddenly_costs_more_than_before_is_paused() {
    let rising = Rising { percent: 500, floor: dollars(5) };
    let hour_ms = 60 * MINUTE_MS;
    // What it cost in each hour before, what it costs now, and whether that is too much.
    let rows: [(&[i64], i64, bool); 7] = [
        (&[1, 1, 1], 6, true),
        (&[1, 1, 1], 5, false),
        (&[1, 1], 600, false),
        (&[2, 1, 3, 2], 11, true),
        (&[2, 1, 3, 2], 10, false),
        // A mean of next to nothing is no reason below the floor.
        (&[0, 0, 0, 0], 4, false),
        (&[10, 10, 10], 50, false),
    ];
    for (before, cost, expected) in rows {
        let mut brakes = brakes(|brake| brake.rising = Some(rising));
        let mut at = NOW;
        for cost in before {
            assert_eq!(brakes.settled(at, key(1), "s", NanoUsd(dollars(*cost).0 + 1)), None);
            at = at.saturating_add_ms(hour_ms);
        }
        // The last window is complete once a later one has begun to leave.
        assert_eq!(brakes.settled(at, key(1), "s", NanoUsd(1)), None);
        at = at.saturating_add_ms(hour_ms);
        let pause = brakes.settled(at, key(1), "s", dollars(cost));
        assert_eq!(pause.is_some(), expected, "{before:?} {cost} {pause:?}");
    }
}

#[test]
fn the_mean_is_that_of_the_windows_before() {
    let mut brakes = brakes(|brake| brake.rising = Some(Rising { percent: 300, floor: dollars(1) }));
    for turn in 0..6 {
        assert_eq!(brakes.settled(later(turn * 20 * MINUTE_MS), key(1), "s", dollars(2)), None);
    }
    let at = later(6 * 20 * MINUTE_MS);
    assert_eq!(brakes.settled(at, key(1), "s", dollars(6)), None);
    let why = brakes.settled(at, key(1), "s", dollars(1)).unwrap().why;
    let seen = ": it cost $7.00 within 10 minutes, and $2.00 in its windows before on average. ";
    assert!(why.contains(seen), "{why}");
}

#[test]
fn people_resume() {
    let mut brakes = brakes(|brake| brake.repeats = Some(1));
    assert_eq!(brakes.check(NOW, key(1), "s", 1), Ok(()));
    let pause = brakes.check(NOW, key(1), "s", 1).unwrap_err().pause;
    assert!(brakes.check(later(1), key(1), "s", 2).is_err());
    assert_eq!(brakes.check(later(1), key(2), "s", 2), Ok(()));
    assert_eq!(brakes.resume(later(1), key(2), "s"), None);
    assert_eq!(brakes.resume(later(1), key(1), "s"), Some(pause));
    assert_eq!(brakes.resume(later(1), key(1), "s"), None);
    assert_eq!(brakes.check(later(1), key(1), "s", 1), Ok(()));
    // One that is over is none.
    let again = brakes.check(later(2), key(1), "s", 1).unwrap_err().pause;
    assert_eq!(brakes.resume(again.until, key(1), "s"), None);
}

#[test]
fn without_a_brake_nothing_is_watched() {
    let mut brakes = brakes(|_| {});
    for _ in 0..10_000 {
        assert_eq!(brakes.check(NOW, key(1), "s", 7), Ok(()));
        assert_eq!(brakes.settled(NOW, key(1), "s", NanoUsd(i64::MAX)), None);
    }
    assert_eq!(brakes.watched.len(), 0);
    brakes.replace(Brake { repeats: Some(1), ..Brake::default() });
    assert_eq!(brakes.check(NOW, key(1), "s", 7), Ok(()));
    assert!(brakes.check(NOW, key(1), "s", 7).is_err());
}

#[test]
fn memory_is_bounded_whatever_clients_send() {
    let mut brakes = brakes(|brake| (brake.repeats, brake.cost) = (Some(1), Some(dollars(1))));
    for number in 0..3 * SESSIONS_MAX {
        let at = later(i64::try_from(number).unwrap());
        let session = format!("{number}-{}", "x".repeat(1_000));
        assert_eq!(brakes.check(at, key(1), &session, 7), Ok(()));
        assert!(brakes.check(at, key(1), &session, 7).unwrap_err().begins);
    }
    assert!(brakes.watched.len() <= SESSIONS_MAX && brakes.pauses.len() <= PAUSES_MAX);
    let count = |sessions: &mut dyn Iterator<Item = usize>| sessions.sum::<usize>();
    assert_eq!(brakes.watched.len(), count(&mut brakes.watched.iter().map(|_| 1)));
    assert_eq!(brakes.pauses.len(), count(&mut brakes.pauses.iter().map(|_| 1)));
    // The last ones are kept.
    let last = format!("{}-{}", 3 * SESSIONS_MAX - 1, "x".repeat(1_000));
    assert!(!brakes.check(later(30_000), key(1), &last, 7).unwrap_err().begins);
    for digest in 0..1_000 {
        assert_eq!(brakes.check(later(30_000), key(2), "one", digest), Ok(()));
    }
    let watch = brakes.watched.at_mut(key(2), "one").unwrap();
    assert_eq!(watch.requests.len(), REQUESTS_MAX);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Ask(u8, u64),
    Spend(u8, i64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (-1_000..4 * MINUTE_MS).prop_map(Step::Wait),
        3 => (0..3_u8, 0..4_u64).prop_map(|(session, digest)| Step::Ask(session, digest)),
        2 => (0..3_u8, 0..8_i64).prop_map(|(session, cost)| Step::Spend(session, cost)),
    ]
}

proptest! {
    /// Against everything that happened: a pause has its reason within the window, and what goes on has none in nine
    /// tenths of it.
    #[test]
    fn a_session_is_paused_if_and_only_if_it_ran_away(steps in prop::collection::vec(any_step(), 1..120)) {
        let most = dollars(20);
        // The pause is shorter than the window, so what was seen before it would still count.
        let pause_ms = 2 * MINUTE_MS;
        let brake = Brake { repeats: Some(4), cost: Some(most), pause_ms, ..Brake::default() };
        let mut brakes = Brakes::new(brake);
        let (mut clock, mut now) = (NOW, NOW);
        let mut asked: Vec<(UnixMs, u8, u64)> = Vec::new();
        let mut spent: Vec<(UnixMs, u8, i64)> = Vec::new();
        let mut until = [UnixMs(i64::MIN); 3];
        for step in steps {
            let session = match step {
                Step::Wait(ms) => {
                    clock = clock.saturating_add_ms(ms);
                    continue;
                }
                Step::Ask(session, _) | Step::Spend(session, _) => session,
            };
            now = now.max(clock);
            let name = session.to_string();
            let end = &mut until[usize::from(session)];
            let is_paused = now < *end;
            if !is_paused && end.0 > i64::MIN {
                // After a pause it is as if it were new.
                asked.retain(|(_, other, _)| *other != session);
                spent.retain(|(_, other, _)| *other != session);
                *end = UnixMs(i64::MIN);
            }
            match step {
                Step::Ask(_, digest) => {
                    let found = brakes.check(clock, key(1), &name, digest);
                    asked.push((now, session, digest));
                    let like = |one: &&(UnixMs, u8, u64)| (one.1, one.2) == (session, digest);
                    let times = |parts| asked.iter().filter(like).filter(|one| within(one.0, now, parts)).count();
                    match found {
                        Ok(()) => prop_assert!(!is_paused && times(9) <= 4),
                        Err(paused) => {
                            prop_assert_eq!(paused.begins, !is_paused);
                            prop_assert!(is_paused || times(10) > 4);
                            *end = paused.pause.until;
                        }
                    }
                }
                Step::Spend(_, cost) => {
                    let found = brakes.settled(clock, key(1), &name, dollars(cost));
                    spent.push((now, session, cost));
                    let like = |one: &&(UnixMs, u8, i64)| one.1 == session;
                    let costs = |parts| spent.iter().filter(like).filter(move |one| within(one.0, now, parts));
                    let sum = |parts| costs(parts).map(|one| one.2).sum::<i64>();
                    match found {
                        None => prop_assert!(is_paused || cost == 0 || sum(9) <= 20),
                        Some(pause) => {
                            prop_assert!(!is_paused && sum(10) > 20);
                            *end = pause.until;
                        }
                    }
                }
                Step::Wait(_) => {}
            }
        }
    }
}

/// Whether an instant is within so many tenths of the window of ten minutes that ends now.
fn within(at: UnixMs, now: UnixMs, tenths: i64) -> bool {
    now.ms_since(at) < MINUTE_MS * tenths
}
