//! The decisions as the journal left them.

use std::collections::{BTreeMap, HashMap};

use tollgate_policy::allowance::Allowance;
use tollgate_policy::entry::{Event, SessionPaused, StatementClosed};
use tollgate_policy::id::KeyId;
use tollgate_policy::operator::Operator;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;

use super::PAUSES_MAX;

/// The last word on each matter.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    pub(crate) operators: BTreeMap<Name, Operator>,
    pub(crate) allowances: BTreeMap<Name, Allowance>,
    pub(crate) pauses: HashMap<(KeyId, String), SessionPaused>,
    /// In the order in which they were closed.
    pub(crate) statements: Vec<StatementClosed>,
}

impl Decisions {
    /// Takes the next entry; `at` is when it was written.
    pub(crate) fn take(&mut self, event: &Event, at: UnixMs) {
        match event {
            Event::OperatorSet(change) => {
                let named = change.before.iter().chain(&change.after).map(|operator| &operator.name);
                for name in named {
                    self.operators.remove(name);
                }
                self.operators.extend(change.after.clone().map(|operator| (operator.name.clone(), operator)));
            }
            Event::AllowanceSet(change) => {
                let named = change.before.iter().chain(&change.after).map(|allowance| &allowance.name);
                for name in named {
                    self.allowances.remove(name);
                }
                let after = change.after.clone();
                self.allowances.extend(after.map(|allowance| (allowance.name.clone(), allowance)));
            }
            Event::SessionPaused(pause) => {
                if self.pauses.len() >= 2 * PAUSES_MAX {
                    self.pauses.retain(|_, other| other.until > at);
                }
                self.pauses.insert((pause.key, pause.session.clone()), pause.clone());
            }
            Event::SessionResumed(resumed) => {
                self.pauses.remove(&(resumed.key, resumed.session.clone()));
            }
            Event::StatementClosed(closed) => self.statements.push(closed.clone()),
            _ => {}
        }
    }
}
