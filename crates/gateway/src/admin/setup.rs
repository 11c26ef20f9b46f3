//! The first operator of a gateway: made once, with a code that only whoever started the gateway has seen.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::operator::Role;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;
use tollgate_store::register::{NewOperator, Register};
use zeroize::Zeroizing;

use super::Admin;
use super::fault::AdminFault;
use super::operators::{Operator, Presented};
use super::route::{Answer, Anybody, Ask, Nothing};
use crate::{now, random};

/// Who makes the first operator, in the journal.
const BY: &str = "setup";
/// Wrong codes in a minute, at most.
const WRONG_PER_MINUTE: u32 = 5;
const MINUTE_MS: i64 = 60_000;
/// Crockford's base 32: no two characters look alike.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The code of a gateway that has no operator, until it has one.
pub(crate) struct Setup(Mutex<State>);

#[derive(Default)]
struct State {
    code: Option<Zeroizing<String>>,
    /// When the running minute began, and the wrong codes in it.
    minute: (UnixMs, u32),
}

impl Setup {
    /// Draws a code if there is no operator.
    pub(crate) fn new(register: &Register) -> Self {
        let code = register.operators().is_empty().then(draw);
        Self(Mutex::new(State { code, ..State::default() }))
    }

    /// The code, to be shown to whoever starts the gateway.
    pub(crate) fn code(&self) -> Option<Zeroizing<String>> {
        self.lock().code.clone()
    }

    /// Makes the first operator for the right code, once. The code stays good if that fails.
    fn redeem<T>(
        &self,
        presented: &str,
        now: UnixMs,
        make: impl FnOnce() -> Result<T, AdminFault>,
    ) -> Result<T, AdminFault> {
        let mut state = self.lock();
        let code = state.code.clone().ok_or(AdminFault::SetUp)?;
        if now.ms_since(state.minute.0) >= MINUTE_MS {
            state.minute = (now, 0);
        }
        if state.minute.1 >= WRONG_PER_MINUTE {
            return Err(AdminFault::TooManyCodes);
        }
        let (plain, presented) = (plain(&code), plain(presented));
        aws_lc_rs::constant_time::verify_slices_are_equal(plain.as_bytes(), presented.as_bytes()).map_err(
            |_| {
                state.minute.1 += 1;
                AdminFault::WrongCode
            },
        )?;
        let made = make()?;
        state.code = None;
        Ok(made)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 100 random bits, in four groups of five characters.
fn draw() -> Zeroizing<String> {
    let random = Zeroizing::new(random::<20>());
    let mut code = Zeroizing::new(String::with_capacity(23));
    for (place, byte) in random.iter().enumerate() {
        if place > 0 && place % 5 == 0 {
            code.push('-');
        }
        code.push(char::from(ALPHABET[usize::from(byte % 32)]));
    }
    code
}

/// The code as people may type it: dashes, blanks and case do not matter.
fn plain(code: &str) -> Zeroizing<String> {
    let characters = code.chars().filter(|character| !matches!(character, '-' | ' '));
    Zeroizing::new(characters.take(64).map(|character| character.to_ascii_uppercase()).collect())
}

/// `POST /admin/v1/setup`
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SetUpWish")]
pub(super) struct Wish {
    /// The code that the gateway printed at its start.
    code: String,
    /// What the first admin shall be called.
    name: Name,
}

/// An operator just made: the only time that the token is shown.
#[derive(Serialize, JsonSchema)]
pub(super) struct SetUp {
    operator: Operator,
    /// The credential, to be sent as `Authorization: Bearer`.
    token: Presented,
}

pub(super) async fn set_up(
    admin: Admin,
    ask: Ask<Nothing, Wish, Anybody>,
) -> Result<Answer<SetUp>, AdminFault> {
    let Wish { code, name } = ask.body;
    let code = Zeroizing::new(code);
    let setup = admin.setup.clone();
    let made = admin.blocking(move |shared| {
        setup.redeem(&code, now(), || {
            if !shared.register.operators().is_empty() {
                return Err(AdminFault::SetUp);
            }
            let new = NewOperator { name, role: Role::Admin, expires_at: None };
            Ok(shared.register.create_operator(BY, new, now())?)
        })
    });
    let (operator, key) = made.await?;
    tracing::info!(operator = %operator.name, "the first operator was made with the set-up code");
    let answer = SetUp { operator: Operator::of(&operator), token: Presented::of(&key) };
    Ok(Answer::new(StatusCode::CREATED, answer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(code: &str) -> Setup {
        Setup(Mutex::new(State { code: Some(Zeroizing::new(code.to_owned())), ..State::default() }))
    }

    #[test]
    fn a_code_is_good_once_however_it_is_typed() {
        let setup = setup("ABCDE-01234");
        let failed = setup.redeem("ABCDE-01234", UnixMs(0), || Err::<(), _>(AdminFault::NotJson));
        assert!(matches!(failed, Err(AdminFault::NotJson)), "the code stays good");
        assert_eq!(setup.redeem(" abcde 01234 ", UnixMs(0), || Ok(7)).ok(), Some(7));
        let again = setup.redeem("ABCDE-01234", UnixMs(0), || Ok(7));
        assert!(matches!(again, Err(AdminFault::SetUp)));
    }

    #[test]
    fn codes_can_not_be_tried_out() {
        let setup = setup("ABCDE");
        for _ in 0..WRONG_PER_MINUTE {
            assert!(matches!(setup.redeem("ABCDF", UnixMs(5), || Ok(7)), Err(AdminFault::WrongCode)));
        }
        let at = |ms| setup.redeem("ABCDE", UnixMs(ms), || Err::<(), _>(AdminFault::NotJson));
        assert!(matches!(at(5), Err(AdminFault::TooManyCodes)), "not even the right one");
        assert!(matches!(at(MINUTE_MS + 5), Err(AdminFault::NotJson)));
    }

    #[test]
    fn codes_are_drawn_from_an_alphabet_without_lookalikes() {
        let (one, other) = (draw(), draw());
        assert_ne!(*one, *other);
        assert_eq!((one.len(), plain(&one).len()), (23, 20));
        assert!(plain(&one).bytes().all(|byte| ALPHABET.contains(&byte)));
    }
}
