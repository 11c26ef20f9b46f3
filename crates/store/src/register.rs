//! The register: what people decided through the admin API, beside the keys. Who may use that API, which allowances
//! there are beside those of the configuration, which sessions are paused, which periods are closed.
//!
//! Like the directory it is a view of the journal: a change is in force once its entry, with the record before and
//! after, is on the disk (docs/decisions/0004-keys-are-a-view-of-the-journal.md).

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use serde::{Serialize, de::DeserializeOwned};
use tollgate_policy::allowance::{self, Allowance};
use tollgate_policy::credential::{Digest, Pepper};
use tollgate_policy::entry::{Event, SessionPaused, StatementClosed};
use tollgate_policy::id::{InstanceId, KeyId};
use tollgate_policy::operator::{Operator, Role};
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;

use crate::expect::Expect;
use crate::fault::JournalFault;
use crate::journal::Journal;
use crate::journal::checkpoint::Signer;

mod allowances;
mod decisions;
mod operators;
mod sessions;
mod statement;
#[cfg(test)]
mod tests;

pub(crate) use decisions::Decisions;
pub use statement::{Closing, Signature};

/// The most operators.
pub const OPERATORS_MAX: usize = 1_000;
/// The most sessions that are paused at a time.
pub const PAUSES_MAX: usize = 10_000;
/// The most sessions of one key that are paused at a time, and of all keys of a team: whoever makes up sessions leaves room
/// for the others.
pub const PAUSES_OF_KEY_MAX: usize = if cfg!(test) { 3 } else { 500 };
/// See [`PAUSES_OF_KEY_MAX`].
pub const PAUSES_OF_TEAM_MAX: usize = if cfg!(test) { 5 } else { 2_000 };
/// The most allowances on one team, or on parts of it, beside those of the configuration.
pub const ALLOWANCES_OF_TEAM_MAX: usize = if cfg!(test) { 40 } else { 1_000 };
/// The longest name of a session, and the longest reason for its pause, in characters. The journal keeps no more.
pub const TEXT_CHARS_MAX: usize = 256;

/// Operators, allowances, paused sessions and closed periods.
pub struct Register {
    pepper: Arc<Pepper>,
    signer: Arc<Signer>,
    instance: InstanceId,
    /// Where closed statements lie. Not the folder itself: whoever holds that holds its lock.
    statement_files: PathBuf,
    journal: Arc<Journal>,
    operators: ArcSwap<Operators>,
    /// In the order of their names.
    allowances: ArcSwap<Vec<Arc<Allowance>>>,
    /// Who made each of them.
    makers: ArcSwap<BTreeMap<Name, Maker>>,
    pauses: ArcSwap<Pauses>,
    /// In the order in which they were closed.
    statements: ArcSwap<Vec<Arc<StatementClosed>>>,
    /// Held during a change, so that changes come one after the other.
    changes: Mutex<()>,
}

#[derive(Debug, Clone, Default)]
struct Operators {
    by_name: BTreeMap<Name, Arc<Operator>>,
    by_digest: HashMap<Digest, Arc<Operator>>,
}

/// Paused sessions by their keys and names.
type Pauses = HashMap<KeyId, HashMap<String, Arc<SessionPaused>>>;

/// Who made a record first, and when. Later changes do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    /// Their name, as changes are signed.
    pub by: String,
    /// When.
    pub at: UnixMs,
}

/// What a new operator shall be.
#[derive(Debug, Clone)]
pub struct NewOperator {
    /// What changes are signed with.
    pub name: Name,
    /// What they may do.
    pub role: Role,
    /// The first instant at which the credential is no longer good; none means it does not expire.
    pub expires_at: Option<UnixMs>,
}

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegisterFault {
    /// No operator has this name.
    #[error("no operator is called {0}")]
    UnknownOperator(Name),
    /// There is an operator of this name.
    #[error("there is an operator called {0} already")]
    OperatorExists(Name),
    /// The gateway signs with this name itself.
    #[error("the name {0} is the gateway's own; choose another")]
    ReservedName(Name),
    /// No allowance of the register has this name.
    #[error("no allowance that was made by the admin API is called {0}")]
    UnknownAllowance(Name),
    /// The allowance breaks rules; all of them are here.
    #[error("the allowance is not sound: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unsound(Vec<allowance::Fault>),
    /// The session is not paused.
    #[error("this session is not paused")]
    NotPaused,
    /// A text is too long.
    #[error("{0} has at most {TEXT_CHARS_MAX} characters")]
    TooLong(&'static str),
    /// What is there is not what the change expected.
    #[error("{0} is not what was expected: somebody changed, made or removed it meanwhile")]
    Unexpected(String),
    /// There are as many as there may be.
    #[error("there are {most} {what}, and there can be no more")]
    Full {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// The period is closed.
    #[error("the period {0} is closed; corrections come into the next statement")]
    AlreadyClosed(String),
    /// The period is not closed.
    #[error("the period {0} is not closed")]
    NotClosed(String),
    /// A statement's file is not what was closed.
    #[error("the file of the statement {0} is missing or was altered; restore it from a copy")]
    Altered(String),
    /// A statement's file could not be written or read.
    #[error("{0}")]
    File(String),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandom,
    /// The change could not be recorded, so it was not made.
    #[error("{0}")]
    Journal(#[from] JournalFault),
}

/// What the register needs of its store.
pub(crate) struct Ground {
    pub(crate) pepper: Arc<Pepper>,
    pub(crate) signer: Arc<Signer>,
    pub(crate) instance: InstanceId,
    pub(crate) statement_files: PathBuf,
    pub(crate) journal: Arc<Journal>,
}

impl Register {
    pub(crate) fn open(ground: Ground, decisions: Decisions, now: UnixMs) -> Self {
        let Ground { pepper, signer, instance, statement_files, journal } = ground;
        let Decisions { operators, allowances, makers, pauses, statements } = decisions;
        let by_name: BTreeMap<_, _> =
            operators.into_iter().map(|(name, operator)| (name, Arc::new(operator))).collect();
        let by_digest = by_name.values().map(|operator| (operator.digest, Arc::clone(operator))).collect();
        let mut running = Pauses::new();
        for ((key, session), pause) in pauses.into_iter().filter(|(_, pause)| pause.until > now) {
            running.entry(key).or_default().insert(session, Arc::new(pause));
        }
        Self {
            pepper,
            signer,
            instance,
            statement_files,
            journal,
            operators: ArcSwap::from_pointee(Operators { by_name, by_digest }),
            allowances: ArcSwap::from_pointee(allowances.into_values().map(Arc::new).collect()),
            makers: ArcSwap::from_pointee(makers),
            pauses: ArcSwap::from_pointee(running),
            statements: ArcSwap::from_pointee(statements.into_iter().map(Arc::new).collect()),
            changes: Mutex::new(()),
        }
    }

    /// The instance that this folder belongs to.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    fn record(&self, event: Event, now: UnixMs) -> Result<u64, RegisterFault> {
        Ok(self.journal.append_synced(now, event).wait()?)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        // What is changed is stored in one assignment, after the journal has it.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn expected(
    expect: Expect,
    what: &str,
    name: &Name,
    found: Option<&impl Serialize>,
) -> Result<(), RegisterFault> {
    if expect.meets(found) { Ok(()) } else { Err(RegisterFault::Unexpected(format!("the {what} {name}"))) }
}

fn room(what: &'static str, there: usize, most: usize) -> Result<(), RegisterFault> {
    if there < most { Ok(()) } else { Err(RegisterFault::Full { what, most }) }
}

/// The record as it is read back after a restart: the journal cuts long texts.
fn as_recorded<T: Serialize + DeserializeOwned>(record: &T) -> Option<T> {
    serde_json::from_slice(&serde_json::to_vec(record).ok()?).ok()
}

impl std::fmt::Debug for Register {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Register")
            .field("operators", &self.operators.load().by_name.len())
            .field("allowances", &self.allowances.load().len())
            .field("pauses", &self.pauses.load().values().map(HashMap::len).sum::<usize>())
            .field("statements", &self.statements.load().len())
            .finish()
    }
}
