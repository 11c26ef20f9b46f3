//! `Idempotency-Key`: a request that is sent again because its answer was lost is answered again, not done again.
//!
//! Answers are kept in memory for a day, because some hold a secret that nothing else may keep; a restart forgets
//! them. The meaning of the header follows
//! <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_policy::entry::Hash;
use tollgate_policy::unit::UnixMs;
use zeroize::Zeroizing;

use super::caller::Caller;
use super::fault::AdminFault;

/// How long an answer is kept, in milliseconds.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// The most answers that are kept.
const ANSWERS_MAX: usize = 4096;
/// The most bytes of answers that are kept.
const BYTES_MAX: usize = 16 << 20;
/// The longest key.
pub(super) const KEY_BYTES_MAX: usize = 255;

/// Answers that were given.
#[derive(Default)]
pub(super) struct Replays(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    turns: HashMap<Hash, Turn>,
    /// In the order in which they were given.
    given: VecDeque<Hash>,
    bytes: usize,
}

struct Turn {
    /// The hash of what was asked.
    asked: Hash,
    /// Nothing while it is being answered.
    answer: Option<Given>,
}

/// An answer that was given.
#[derive(Clone)]
pub(super) struct Given {
    pub(super) status: u16,
    pub(super) etag: Option<Hash>,
    pub(super) body: Arc<Zeroizing<Vec<u8>>>,
    pub(super) at: UnixMs,
}

/// What is to be done with a request.
pub(super) enum Begun {
    /// It is new: answer it, and keep the answer.
    New(Running),
    /// It was answered.
    Answered(Given),
}

/// A request that is being answered. Dropped without an answer, it may be sent again.
pub(super) struct Running {
    replays: Arc<Replays>,
    key: Hash,
    is_kept: bool,
}

impl Replays {
    /// Takes a request by its key. `route` is method and path, `asked` the hash of the body.
    pub(super) fn begin(
        self: &Arc<Self>,
        caller: &Caller,
        route: &str,
        key: &str,
        asked: Hash,
        now: UnixMs,
    ) -> Result<Begun, AdminFault> {
        let key = Hash::of(format!("{}\n{route}\n{key}", caller.credential).as_bytes());
        let mut kept = self.lock();
        kept.forget(now);
        match kept.turns.get(&key) {
            None => {
                kept.turns.insert(key, Turn { asked, answer: None });
                drop(kept);
                Ok(Begun::New(Running { replays: Arc::clone(self), key, is_kept: false }))
            }
            Some(turn) if turn.asked != asked => Err(AdminFault::KeyUsed),
            Some(Turn { answer: Some(given), .. }) => Ok(Begun::Answered(given.clone())),
            Some(_) => Err(AdminFault::Conflict(
                "a request with this idempotency-key is being answered; send it again in a moment".to_owned(),
            )),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Keeps the answer.
    pub(super) fn keep(mut self, given: Given) {
        let mut kept = self.replays.lock();
        kept.bytes += given.body.len();
        kept.given.push_back(self.key);
        if let Some(turn) = kept.turns.get_mut(&self.key) {
            turn.answer = Some(given);
        }
        drop(kept);
        self.is_kept = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_kept {
            self.replays.lock().turns.remove(&self.key);
        }
    }
}

impl Kept {
    /// Lets go of what is old, and of the oldest where there is too much.
    fn forget(&mut self, now: UnixMs) {
        while let Some(key) = self.given.front() {
            let given = self.turns.get(key).and_then(|turn| turn.answer.as_ref());
            let is_old = given.is_none_or(|given| now.ms_since(given.at) >= KEPT_MS);
            if !is_old && self.given.len() < ANSWERS_MAX && self.bytes <= BYTES_MAX {
                return;
            }
            self.bytes -= given.map_or(0, |given| given.body.len());
            self.turns.remove(key);
            self.given.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_policy::operator::Role;

    fn caller(credential: &str) -> Caller {
        Caller { name: "ada".into(), role: Role::Admin, credential: Hash::of(credential.as_bytes()) }
    }

    fn given(at: i64, bytes: usize) -> Given {
        Given { status: 201, etag: None, body: Arc::new(Zeroizing::new(vec![7; bytes])), at: UnixMs(at) }
    }

    fn answer(replays: &Arc<Replays>, key: &str, at: i64, bytes: usize) {
        match replays.begin(&caller("a"), "POST /keys", key, Hash::of(b"body"), UnixMs(at)) {
            Ok(Begun::New(running)) => running.keep(given(at, bytes)),
            _ => panic!("{key} is not new"),
        }
    }

    #[test]
    fn an_answer_is_given_again_to_the_same_request_only() {
        let replays = Arc::new(Replays::default());
        answer(&replays, "k", 0, 3);
        let ask = |who: &str, route: &str, key: &str, body: &[u8], at: i64| match replays.begin(
            &caller(who),
            route,
            key,
            Hash::of(body),
            UnixMs(at),
        ) {
            Ok(Begun::New(_)) => "new",
            Ok(Begun::Answered(given)) if given.body.len() == 3 => "again",
            Ok(Begun::Answered(_)) => "another's",
            Err(AdminFault::KeyUsed) => "used",
            Err(_) => "fault",
        };
        let rows = [
            ("a", "POST /keys", "k", &b"body"[..], 1, "again"),
            ("a", "POST /keys", "k", b"other", 1, "used"),
            ("b", "POST /keys", "k", b"body", 1, "new"),
            ("a", "POST /operators", "k", b"body", 1, "new"),
            ("a", "POST /keys", "l", b"body", 1, "new"),
            ("a", "POST /keys", "k", b"body", KEPT_MS - 1, "again"),
            ("a", "POST /keys", "k", b"body", KEPT_MS, "new"),
        ];
        for (who, route, key, body, at, expected) in rows {
            assert_eq!(ask(who, route, key, body, at), expected, "{who} {route} {key} {at}");
        }
    }

    #[test]
    fn while_a_request_is_answered_its_key_waits_and_a_failure_frees_it() {
        let replays = Arc::new(Replays::default());
        let begin = || replays.begin(&caller("a"), "POST /keys", "k", Hash::of(b"body"), UnixMs(0));
        let Ok(Begun::New(running)) = begin() else { panic!("not new") };
        assert!(matches!(begin(), Err(AdminFault::Conflict(_))));
        drop(running);
        assert!(matches!(begin(), Ok(Begun::New(_))));
    }

    #[test]
    fn no_more_is_kept_than_fits() {
        let replays = Arc::new(Replays::default());
        for number in 0..ANSWERS_MAX + 10 {
            answer(&replays, &number.to_string(), 0, 1);
        }
        assert!(replays.lock().turns.len() <= ANSWERS_MAX);
        for number in 0..40 {
            answer(&replays, &format!("large {number}"), 0, 1 << 20);
        }
        let kept = replays.lock();
        assert!(kept.bytes <= BYTES_MAX + (1 << 20), "{}", kept.bytes);
        assert_eq!(kept.given.len(), kept.turns.len());
    }
}
