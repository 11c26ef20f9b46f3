//! How the counters of allowances stand, for the admin API.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;
use tollgate_policy::allowance::Selector;
use tollgate_policy::books::Standing;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;

use crate::Shared;

/// How one counter of an allowance stands, in the unit of its measure.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CounterStanding {
    /// Whose use it counts, in words. Keys that were rotated count as one, by the id of the first.
    whose: String,
    /// Whose use it counts.
    subject: Selector,
    /// What is used up.
    used: u64,
    /// What running requests hold.
    held: u64,
    /// The amount in force; of a rate, what can be in store at most.
    amount: u64,
    /// The first instant that counts.
    from: Option<UnixMs>,
    /// When it starts afresh, or a rate is full again.
    resets_at: Option<UnixMs>,
    /// What will be used at the end of the period if it goes on like this.
    forecast: Option<u64>,
}

/// The counters of some allowances, read in one go.
pub(super) struct Standings(HashMap<Name, Vec<CounterStanding>>);

impl Standings {
    /// Those counters of the allowances that may be seen.
    pub(super) fn of<'n>(
        shared: &Shared,
        names: impl Iterator<Item = &'n Name>,
        may_see: impl Fn(&Selector) -> bool,
    ) -> Self {
        let names: HashSet<&Name> = names.collect();
        let standings =
            shared.counters.standing(shared.steady_now(), |allowance| names.contains(&allowance.name));
        let mut by_name: HashMap<Name, Vec<CounterStanding>> = HashMap::new();
        for standing in standings.into_iter().filter(|standing| may_see(&standing.subject)) {
            by_name.entry(standing.allowance.clone()).or_default().push(standing.into());
        }
        by_name.values_mut().for_each(|counters| counters.sort_by(CounterStanding::by_part));
        Standings(by_name)
    }

    /// Those of one allowance, the fullest ones first.
    pub(super) fn take(&mut self, name: &Name) -> Vec<CounterStanding> {
        self.0.remove(name).unwrap_or_default()
    }
}

impl CounterStanding {
    /// Orders by the part of the amount that is taken, the largest first.
    fn by_part(&self, other: &Self) -> Ordering {
        let taken = |one: &Self| u128::from(one.used) + u128::from(one.held);
        let (mine, theirs) = (taken(self) * u128::from(other.amount), taken(other) * u128::from(self.amount));
        theirs.cmp(&mine).then_with(|| self.whose.cmp(&other.whose))
    }
}

impl From<Standing> for CounterStanding {
    fn from(standing: Standing) -> Self {
        let Standing { whose, subject, used, held, amount, from, resets_at, forecast, .. } = standing;
        CounterStanding { whose, subject, used, held, amount, from, resets_at, forecast }
    }
}
