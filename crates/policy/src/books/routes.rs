//! Which counters the use of a key goes to, found once and remembered: so a request looks up its key, and not its org,
//! team, project and user for every allowance anew.

use std::collections::HashMap;

use crate::allowance::Allowance;
use crate::id::KeyId;
use crate::scope::Scope;

use super::Entry;
use super::index::{Index, subject};

/// The routes of the keys that asked.
#[derive(Debug, Default)]
pub(super) struct Routes {
    routes: HashMap<KeyId, Route>,
    /// How often all were forgotten. Each is found anew when its key asks: to drop all at once would take long.
    turn: u64,
}

#[derive(Debug)]
struct Route {
    /// The turn in which it was found.
    turn: u64,
    scope: Scope,
    stops: Vec<Stop>,
}

/// An allowance that counts the use of the key, if kind and model fit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stop {
    /// The number of the allowance.
    pub(super) number: u32,
    /// The place of the counter; none if there was none when that was last looked at.
    pub(super) counter: Option<u32>,
}

impl Routes {
    /// The allowances that count the use of this key in this scope, each once, in their order.
    pub(super) fn stops(
        &mut self,
        index: &Index,
        allowances: &[Allowance],
        entries: &[Entry],
        scope: &Scope,
        key: KeyId,
    ) -> &mut [Stop] {
        if allowances.is_empty() {
            return &mut [];
        }
        let stop = |number: u32| {
            let subject = subject(&allowances[number as usize], scope, key)?;
            Some(Stop { number, counter: entries[number as usize].counter_of(&subject) })
        };
        let find = || {
            let stops = index.candidates(scope, key).filter_map(stop).collect();
            Route { turn: self.turn, scope: scope.clone(), stops }
        };
        let route = self.routes.entry(key).or_insert_with(find);
        if route.turn != self.turn || route.scope != *scope {
            *route = find();
        }
        &mut route.stops
    }

    /// Forgets all routes. Due when allowances change and when counters leave, whose places others may take.
    pub(super) fn forget(&mut self) {
        self.turn += 1;
    }
}
