//! What is decided is on record first, in force at once, and comes back after a restart.

use std::fs;
use std::thread;

use tollgate_policy::allowance::{
    AMOUNT_MAX, Allowance, Measure, Mode, Period, Raise, Reserve, Selector, Span,
};
use tollgate_policy::entry::{AllowanceChange, Event, Hash, SessionPaused, read_line};
use tollgate_policy::id::KeyId;
use tollgate_policy::operator::Role;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::{Closing, NewOperator, RegisterFault};
use crate::audit;
use crate::expect::{Expect, fingerprint};
use crate::fixture::{NOW, folder, open, options, scope};
use crate::store::{Options, Store};

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn new_operator(text: &str) -> NewOperator {
    NewOperator { name: name(text), role: Role::Admin, expires_at: None }
}

fn allowance(text: &str, amount: u64) -> Allowance {
    Allowance {
        name: name(text),
        on: Selector { team: Some(name("platform")), ..Selector::default() },
        each: None,
        models: Default::default(),
        measure: Measure::Cost,
        amount,
        span: Span::Period { period: Period::Month, calendar: Default::default() },
        reserve: Reserve::Full,
        mode: Mode::Block,
        warn_at: vec![80],
        message: None,
        raises: Vec::new(),
    }
}

fn pause(number: u8, session: &str, until: UnixMs) -> SessionPaused {
    SessionPaused {
        by: "brake".into(),
        key: KeyId::new(NOW, [number; 10]),
        scope: scope(),
        session: session.into(),
        why: "the same request twenty times".into(),
        until,
        before: None,
    }
}

fn closing(period: &str) -> Closing {
    Closing {
        period: period.into(),
        from: UnixMs(NOW.0 - 1),
        to: NOW,
        upto: 3,
        total: NanoUsd(12),
        text: "{\"total\":12}\n".into(),
    }
}

/// The entries of a store's journal that decide something, after it has been closed.
fn decisions(options: &Options) -> Vec<Event> {
    let text = fs::read_to_string(options.data.join("journal/00000000000000000001.jsonl")).unwrap();
    let events = text.lines().map(|line| read_line(line.as_bytes()).unwrap().event);
    let own = ["operator_set", "allowance_set", "session_paused", "session_resumed", "statement_closed"];
    events.filter(|event| own.contains(&event.kind())).collect()
}

#[test]
fn all_that_was_decided_comes_back_in_its_last_state() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let register = &store.register;
    let (_, gone) = register.create_operator("ada", new_operator("gone"), NOW).unwrap();
    let (kept, _) = register.create_operator("ada", new_operator("kept"), NOW).unwrap();
    let (rotated, fresh) = register.rotate_operator("ada", &kept.name, Expect::Present, NOW).unwrap();
    register.remove_operator("ada", &name("gone"), Expect::Present, NOW).unwrap();
    register.set_allowance("ada", allowance("b", 5), Expect::Absent, NOW).unwrap();
    register.set_allowance("ada", allowance("a", 5), Expect::Absent, NOW).unwrap();
    register.set_allowance("tony", allowance("b", 7), Expect::Present, NOW).unwrap();
    register.set_allowance("ada", allowance("c", 7), Expect::Absent, NOW).unwrap();
    register.remove_allowance("ada", &name("c"), Expect::Present, NOW).unwrap();
    let end = UnixMs(NOW.0 + 1000);
    register.pause(pause(1, "late", UnixMs(end.0 + 1)), NOW).unwrap();
    register.pause(pause(1, "early", end), NOW).unwrap();
    register.pause(pause(2, "late", end), NOW).unwrap();
    register.pause(pause(1, "over", UnixMs(NOW.0 + 1)), NOW).unwrap();
    register.resume("ada", pause(2, "late", end).key, "late", NOW).unwrap();
    register.close_statement("ada", &closing("2026-10"), NOW).unwrap();
    let some = |text: &str| Some(text.to_owned());
    let see = |store: &Store| {
        let register = &store.register;
        let makers = ["a", "b", "c"].map(|one| register.maker(&name(one)));
        assert_eq!(makers.map(|maker| maker.map(|maker| maker.by)), [some("ada"), some("ada"), None]);
        (
            register.operators(),
            register.allowances(),
            register.paused(UnixMs(NOW.0 + 1)),
            register.statements(),
        )
    };
    let seen = see(&store);
    assert_eq!(seen.0, [rotated]);
    assert_eq!(
        seen.1.iter().map(|one| (one.name.as_str(), one.amount)).collect::<Vec<_>>(),
        [("a", 5), ("b", 7)]
    );
    assert_eq!(seen.2.iter().map(|one| one.session.as_str()).collect::<Vec<_>>(), ["early", "late"]);
    assert_eq!(seen.3.len(), 1);
    let ends = |session| register.pause_of(pause(1, "", NOW).key, session, NOW).map(|pause| pause.until);
    assert_eq!(["early", "over", "none"].map(ends), [Some(end), Some(UnixMs(NOW.0 + 1)), None]);
    assert!(register.pause_of(pause(1, "", NOW).key, "early", end).is_none(), "it is over");
    assert!(register.pause_of(pause(2, "", NOW).key, "late", NOW).is_none(), "it was resumed");
    store.close(NOW).unwrap();

    let store = open(&options);
    assert_eq!(see(&store), seen);
    assert_eq!(store.register.lookup(fresh.reveal().as_bytes()).unwrap().name, name("kept"));
    assert!(store.register.lookup(gone.reveal().as_bytes()).is_none());
    store.close(NOW).unwrap();
    let report = audit::verify(&options.data, &audit::Options::default()).unwrap();
    assert!(report.is_proven() && !report.unchecked.iter().any(|what| what.contains("kinds")), "{report:?}");
}

#[test]
fn every_change_is_recorded_with_before_and_after_and_no_credential_is() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let register = &store.register;
    let (first, old) = register.create_operator("ada", new_operator("grace"), NOW).unwrap();
    let (second, new) = register.rotate_operator("edsger", &first.name, Expect::Present, NOW).unwrap();
    register.set_allowance("ada", allowance("a", 5), Expect::Absent, NOW).unwrap();
    register
        .edit_allowance("tony", &name("a"), Expect::Present, |one| Allowance { amount: 6, ..one }, NOW)
        .unwrap();
    register.remove_allowance("tony", &name("a"), Expect::Present, NOW).unwrap();
    store.close(NOW).unwrap();
    let mut found = Vec::new();
    for event in decisions(&options) {
        match event {
            Event::OperatorSet(change) => {
                let hints = [change.before, change.after].map(|one| one.map(|one| one.hint));
                found.push((change.by, hints));
            }
            Event::AllowanceSet(change) => {
                let amounts = [change.before, change.after].map(|one| one.map(|one| one.amount.to_string()));
                found.push((change.by, amounts));
            }
            other => panic!("{other:?}"),
        }
    }
    let some = |text: &str| Some(text.to_owned());
    let expected = [
        ("ada".to_owned(), [None, some(&first.hint)]),
        ("edsger".to_owned(), [some(&first.hint), some(&second.hint)]),
        ("ada".to_owned(), [None, some("5")]),
        ("tony".to_owned(), [some("5"), some("6")]),
        ("tony".to_owned(), [some("6"), None]),
    ];
    assert_eq!(found, expected);
    let journal = fs::read_to_string(options.data.join("journal/00000000000000000001.jsonl")).unwrap();
    assert!(!journal.contains(old.reveal()) && !journal.contains(new.reveal()));
}

#[test]
fn nobody_overwrites_what_they_have_not_seen() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let register = &store.register;
    let seen = register.set_allowance("ada", allowance("a", 5), Expect::Absent, NOW).unwrap().0;
    let seen = Expect::Exactly(fingerprint(&*seen));
    let other = Expect::Exactly(Hash::of(b"other"));
    let set =
        |expect| register.set_allowance("ada", allowance("a", 9), expect, NOW).map(|(_, is_new)| is_new);
    for expect in [Expect::Absent, other] {
        assert!(matches!(set(expect), Err(RegisterFault::Unexpected(_))), "{expect:?}");
    }
    assert_eq!(set(seen), Ok(false));
    assert!(matches!(set(seen), Err(RegisterFault::Unexpected(_))), "it was changed since");
    let missing =
        |expect| register.set_allowance("ada", allowance("b", 9), expect, NOW).map(|(_, is_new)| is_new);
    for expect in [Expect::Present, other] {
        assert!(matches!(missing(expect), Err(RegisterFault::Unexpected(_))), "{expect:?}");
    }
    assert_eq!(missing(Expect::Absent), Ok(true));
    let refused = register.remove_allowance("ada", &name("b"), other, NOW);
    assert!(matches!(refused, Err(RegisterFault::Unexpected(_))));
    assert_eq!(missing(Expect::Present), Ok(false));
}

#[test]
fn what_cannot_be_decided_is_refused_by_type() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let register = &store.register;
    register.create_operator("ada", new_operator("grace"), NOW).unwrap();
    let refused = |wish| register.create_operator("ada", new_operator(wish), NOW).unwrap_err();
    assert_eq!(refused("grace"), RegisterFault::OperatorExists(name("grace")));
    assert_eq!(refused("local-admin"), RegisterFault::ReservedName(name("local-admin")));
    let nobody = name("nobody");
    let unknown = RegisterFault::UnknownOperator(nobody.clone());
    assert_eq!(register.remove_operator("ada", &nobody, Expect::Present, NOW).unwrap_err(), unknown);
    assert_eq!(register.rotate_operator("ada", &nobody, Expect::Present, NOW).unwrap_err(), unknown);
    let unknown = RegisterFault::UnknownAllowance(nobody.clone());
    assert_eq!(register.remove_allowance("ada", &nobody, Expect::Present, NOW).unwrap_err(), unknown);
    let unsound = Allowance { warn_at: vec![0], ..allowance("a", AMOUNT_MAX + 1) };
    match register.set_allowance("ada", unsound, Expect::Absent, NOW).unwrap_err() {
        RegisterFault::Unsound(faults) => assert_eq!(faults.len(), 2),
        other => panic!("{other:?}"),
    }
    let long = SessionPaused { why: "x".repeat(257), ..pause(1, "s", UnixMs(NOW.0 + 1)) };
    assert_eq!(register.pause(long, NOW).unwrap_err(), RegisterFault::TooLong("a reason"));
    let key = pause(1, "s", NOW).key;
    assert_eq!(register.resume("ada", key, "s", NOW).unwrap_err(), RegisterFault::NotPaused);
}

#[test]
fn a_pause_that_changes_or_ends_is_recorded_as_it_was() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let register = &store.register;
    let [first, second] = [1_000, 2_000].map(|ms| pause(1, "s", UnixMs(NOW.0 + ms)));
    register.pause(first.clone(), NOW).unwrap();
    register.pause(SessionPaused { by: "ada".into(), ..second.clone() }, NOW).unwrap();
    let kept = register.paused(NOW);
    register.resume("ada", first.key, "s", NOW).unwrap();
    // A pause that is over by itself is no longer there to be changed.
    register.pause(first.clone(), NOW).unwrap();
    register.pause(second.clone(), first.until).unwrap();
    drop(store);
    let before = decisions(&options).into_iter().map(|event| match event {
        Event::SessionPaused(paused) => paused.before,
        Event::SessionResumed(resumed) => resumed.before,
        other => panic!("{other:?}"),
    });
    let before: Vec<_> = before.map(|before| before.map(|before| (before.by, before.until))).collect();
    let was = |by: &str, until| Some((by.to_owned(), until));
    assert_eq!(before, [None, was("brake", first.until), was("ada", second.until), None, None]);
    assert_eq!(kept[0].before, Some(first.as_before()));
}

#[test]
fn an_amount_of_zero_on_record_comes_back_and_can_be_changed_or_removed_but_not_set_anew() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    for text in ["a", "b"] {
        let after = Some(allowance(text, 0));
        let set = Event::AllowanceSet(AllowanceChange { by: "ada".into(), before: None, after });
        store.register.record(set, NOW).unwrap();
    }
    drop(store);
    let store = open(&options);
    let register = &store.register;
    assert_eq!(register.allowances().iter().map(|one| one.amount).collect::<Vec<_>>(), [0, 0]);
    let set = |amount| register.set_allowance("ada", allowance("a", amount), Expect::Present, NOW);
    assert!(matches!(set(0), Err(RegisterFault::Unsound(_))));
    assert_eq!(set(5).unwrap().0.amount, 5);
    register.remove_allowance("ada", &name("b"), Expect::Present, NOW).unwrap();
    drop(store);
    assert_eq!(open(&options).register.allowances().len(), 1);
}

#[test]
fn an_allowance_in_force_is_the_one_that_a_restart_brings_back() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let raise = Raise {
        amount: 9,
        from: NOW,
        until: UnixMs(NOW.0 + 1),
        by: "ada".into(),
        note: Some("n".repeat(900)),
    };
    let wish = Allowance { raises: vec![raise], ..allowance("a", 5) };
    let (kept, _) = store.register.set_allowance("ada", wish, Expect::Absent, NOW).unwrap();
    store.close(NOW).unwrap();
    assert_eq!(open(&options).register.allowance(&kept.name).unwrap(), kept);
}

#[test]
fn a_closed_statement_stays_as_it_is_and_shows_if_it_does_not() {
    let folder = folder();
    let options = options(folder.path());
    let store = open(&options);
    let closed = store.register.close_statement("ada", &closing("2026-10"), NOW).unwrap();
    let again = store.register.close_statement("ada", &closing("2026-10"), NOW).unwrap_err();
    assert_eq!(again, RegisterFault::AlreadyClosed("2026-10".into()));
    for period in ["2026-09", "", "../pepper", "a/b"] {
        assert!(matches!(store.register.statement(period), Err(RegisterFault::NotClosed(_))), "{period}");
    }
    let strange = Closing { period: "../x".into(), ..closing("2026-09") };
    assert!(store.register.close_statement("ada", &strange, NOW).is_err());
    let (text, signature) = store.register.statement("2026-10").unwrap();
    assert_eq!((Hash::of(text.as_bytes()), signature.statement), (closed.statement, closed.statement));
    let public = fs::read_to_string(options.data.join("secrets/journal.pub")).unwrap().parse().unwrap();
    assert!(signature.verifies(&public, &text) && !signature.verifies(&public, "{}"));
    for (file, bytes) in [("2026-10.json", "{\"total\":1}\n"), ("2026-10.sig", "{}")] {
        let path = options.data.join("statements").join(file);
        let before = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        assert_eq!(
            store.register.statement("2026-10").unwrap_err(),
            RegisterFault::Altered("2026-10".into())
        );
        let doubts = audit::verify(&options.data, &audit::Options::default()).unwrap().doubts;
        let sees = doubts.iter().any(|doubt| doubt.contains("2026-10.json was altered"));
        assert_eq!(sees, file == "2026-10.json", "{doubts:?}");
        fs::write(&path, before).unwrap();
    }
    store.register.statement("2026-10").unwrap();
}

#[test]
fn changes_from_many_threads_all_count() {
    let folder = folder();
    let options = Options { sync_ms: 1, ..options(folder.path()) };
    let store = open(&options);
    thread::scope(|scope| {
        for thread in 0..6 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..5 {
                    let text = format!("{thread}-{number}");
                    store.register.create_operator("ada", new_operator(&text), NOW).unwrap();
                    store.register.set_allowance("ada", allowance(&text, 1), Expect::Absent, NOW).unwrap();
                }
            });
        }
    });
    assert_eq!((store.register.operators().len(), store.register.allowances().len()), (30, 30));
    let seen = (store.register.operators(), store.register.allowances());
    store.close(NOW).unwrap();
    let store = open(&options);
    assert_eq!((store.register.operators(), store.register.allowances()), seen);
}

#[test]
fn nobody_takes_the_room_of_others() {
    let folder = folder();
    let store = open(&options(folder.path()));
    let end = UnixMs(NOW.0 + 1_000);
    let paused = |number: u8, session: &str, team: &str| {
        let mut pause = pause(number, session, end);
        pause.scope.team = name(team);
        store.register.pause(pause, NOW).map(drop)
    };
    let full = |what, most| Err(RegisterFault::Full { what, most });
    for session in ["a", "b", "c"] {
        paused(1, session, "red").unwrap();
    }
    assert_eq!(paused(1, "d", "red"), full("paused sessions of this key", 3));
    assert_eq!(paused(1, "a", "red"), Ok(()), "another end of a pause is not one more");
    assert_eq!((paused(2, "a", "red"), paused(3, "a", "red")), (Ok(()), Ok(())));
    assert_eq!(paused(4, "a", "red"), full("paused sessions of this team", 5));
    assert_eq!(paused(5, "a", "blue"), Ok(()));

    let set = |text: &str, team: Option<&str>| {
        let mut wish = allowance(text, 1);
        wish.on.team = team.map(name);
        store.register.set_allowance("ada", wish, Expect::Absent, NOW).map(drop)
    };
    for number in 0..40 {
        set(&format!("red-{number}"), Some("red")).unwrap();
    }
    assert_eq!(set("more", Some("red")), full("allowances of this team", 40));
    assert_eq!((set("blue", Some("blue")), set("all", None)), (Ok(()), Ok(())));
}

#[test]
fn counts_have_a_bound() {
    assert_eq!(super::room("things", 9, 10), Ok(()));
    assert_eq!(super::room("things", 10, 10), Err(RegisterFault::Full { what: "things", most: 10 }));
}
