//! The decisions as the journal left them.

use std::collections::{BTreeMap, HashMap};

use tollgate_policy::allowance::Allowance;
use tollgate_policy::entry::{Event, SessionPaused, StatementClosed};
use tollgate_policy::id::KeyId;
use tollgate_policy::operator::Operator;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;

use super::{Maker, PAUSES_MAX};

/// The last word on each matter.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    pub(crate) operators: BTreeMap<Name, Operator>,
    pub(crate) allowances: BTreeMap<Name, Allowance>,
    /// Who made each allowance.
    pub(crate) makers: BTreeMap<Name, Maker>,
    pub(crate) pauses: HashMap<(KeyId, String), SessionPaused>,
    /// In the order in which they were closed.
    pub(crate) statements: Vec<StatementClosed>,
}

impl Decisions {
    /// Takes the next entry; `at` is when it was written.
    pub(crate) fn take(&mut self, event: &Event, at: UnixMs) {
        match event {
            Event::OperatorSet(change) => match (&change.before, &change.after) {
                (_, Some(after)) => {
                    self.operators.insert(after.name.clone(), after.clone());
                }
                (Some(before), None) => {
                    self.operators.remove(&before.name);
                }
                (None, None) => {}
            },
            Event::AllowanceSet(change) => match (&change.before, &change.after) {
                (before, Some(after)) => {
                    if before.is_none() {
                        self.makers.insert(after.name.clone(), Maker { by: change.by.clone(), at });
                    }
                    self.allowances.insert(after.name.clone(), after.clone());
                }
                (Some(before), None) => {
                    self.makers.remove(&before.name);
                    self.allowances.remove(&before.name);
                }
                (None, None) => {}
            },
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
