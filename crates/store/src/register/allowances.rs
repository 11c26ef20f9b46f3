//! Allowances beside those of the configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use tollgate_policy::allowance::{ALLOWANCES_MAX, Allowance};
use tollgate_policy::entry::{AllowanceChange, Event};
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;

use super::{ALLOWANCES_OF_TEAM_MAX, Maker, Register, RegisterFault, as_recorded, expected, room};
use crate::expect::Expect;

impl Register {
    /// All allowances of the register, in the order of their names.
    #[must_use]
    pub fn allowances(&self) -> Arc<Vec<Arc<Allowance>>> {
        self.allowances.load_full()
    }

    /// The allowance of this name.
    #[must_use]
    pub fn allowance(&self, name: &Name) -> Option<Arc<Allowance>> {
        let allowances = self.allowances.load();
        let place = allowances.binary_search_by(|other| other.name.cmp(name)).ok()?;
        Some(Arc::clone(&allowances[place]))
    }

    /// Who made the allowance of this name.
    #[must_use]
    pub fn maker(&self, name: &Name) -> Option<Maker> {
        self.makers.load().get(name).cloned()
    }

    /// Makes an allowance or changes the one of its name. The second value is whether it is new. A wish that is
    /// fulfilled already records nothing.
    ///
    /// # Errors
    /// [`RegisterFault::Unsound`], [`RegisterFault::Unexpected`], [`RegisterFault::Full`], [`RegisterFault::Journal`].
    pub fn set_allowance(
        &self,
        by: &str,
        wish: Allowance,
        expect: Expect,
        now: UnixMs,
    ) -> Result<(Arc<Allowance>, bool), RegisterFault> {
        let _turn = self.turn();
        let before = self.allowance(&wish.name);
        expected(expect, "allowance", &wish.name, before.as_deref())?;
        let is_new = before.is_none();
        self.replace_allowance(by, before, wish, now).map(|after| (after, is_new))
    }

    /// Changes an allowance by what it is at that moment.
    ///
    /// # Errors
    /// [`RegisterFault::UnknownAllowance`], and those of [`Self::set_allowance`].
    pub fn edit_allowance(
        &self,
        by: &str,
        name: &Name,
        expect: Expect,
        edit: impl FnOnce(Allowance) -> Allowance,
        now: UnixMs,
    ) -> Result<Arc<Allowance>, RegisterFault> {
        let _turn = self.turn();
        let before = self.allowance(name).ok_or_else(|| RegisterFault::UnknownAllowance(name.clone()))?;
        expected(expect, "allowance", name, Some(&*before))?;
        let wish = Allowance { name: name.clone(), ..edit((*before).clone()) };
        self.replace_allowance(by, Some(before), wish, now)
    }

    /// Takes an allowance away.
    ///
    /// # Errors
    /// [`RegisterFault::UnknownAllowance`], [`RegisterFault::Unexpected`], [`RegisterFault::Journal`].
    pub fn remove_allowance(
        &self,
        by: &str,
        name: &Name,
        expect: Expect,
        now: UnixMs,
    ) -> Result<(), RegisterFault> {
        let _turn = self.turn();
        let before = self.allowance(name).ok_or_else(|| RegisterFault::UnknownAllowance(name.clone()))?;
        expected(expect, "allowance", name, Some(&*before))?;
        let change = AllowanceChange { by: by.to_owned(), before: Some((*before).clone()), after: None };
        self.record(Event::AllowanceSet(change), now)?;
        let others = self.allowances.load().iter().filter(|other| other.name != *name).cloned().collect();
        let mut makers = BTreeMap::clone(&self.makers.load());
        makers.remove(name);
        self.makers.store(Arc::new(makers));
        self.publish_allowances(others);
        Ok(())
    }

    fn replace_allowance(
        &self,
        by: &str,
        before: Option<Arc<Allowance>>,
        wish: Allowance,
        now: UnixMs,
    ) -> Result<Arc<Allowance>, RegisterFault> {
        let faults = wish.faults();
        if !faults.is_empty() {
            return Err(RegisterFault::Unsound(faults));
        }
        let after = as_recorded(&wish).unwrap_or(wish);
        if let Some(before) = before.as_ref().filter(|before| ***before == after) {
            return Ok(Arc::clone(before));
        }
        let mut allowances = Vec::clone(&self.allowances.load());
        let is_new = before.is_none();
        if is_new {
            room("allowances", allowances.len(), ALLOWANCES_MAX)?;
            let team = after.on.team.as_ref().map(|team| (after.on.org.as_ref(), team));
            let is_of_team = |other: &&Arc<Allowance>| {
                other.on.team.as_ref().map(|team| (other.on.org.as_ref(), team)) == team
            };
            let of_team = team.map_or(0, |_| allowances.iter().filter(is_of_team).count());
            room("allowances of this team", of_team, ALLOWANCES_OF_TEAM_MAX)?;
        }
        let change = AllowanceChange {
            by: by.to_owned(),
            before: before.map(|before| (*before).clone()),
            after: Some(after.clone()),
        };
        self.record(Event::AllowanceSet(change), now)?;
        let after = Arc::new(after);
        match allowances.binary_search_by(|other| other.name.cmp(&after.name)) {
            Ok(place) => allowances[place] = Arc::clone(&after),
            Err(place) => allowances.insert(place, Arc::clone(&after)),
        }
        if is_new {
            let mut makers = BTreeMap::clone(&self.makers.load());
            makers.insert(after.name.clone(), Maker { by: by.to_owned(), at: now });
            self.makers.store(Arc::new(makers));
        }
        self.publish_allowances(allowances);
        Ok(after)
    }

    fn publish_allowances(&self, allowances: Vec<Arc<Allowance>>) {
        self.allowances.store(Arc::new(allowances));
    }
}
