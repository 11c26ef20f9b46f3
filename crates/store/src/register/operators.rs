//! Who may use the admin API.

use std::sync::Arc;

use tollgate_policy::credential::OperatorKey;
use tollgate_policy::entry::{Event, OperatorChange};
use tollgate_policy::operator::Operator;
use tollgate_policy::scope::Name;
use tollgate_policy::unit::UnixMs;

use super::{NewOperator, OPERATORS_MAX, Operators, Register, RegisterFault, expected, room};
use crate::expect::Expect;
use crate::fault::StoreFault;
use crate::folder::random;

/// Names that changes are signed with when no operator made them.
const RESERVED: [&str; 4] = ["local-admin", "operator", "brake", "setup"];

impl Register {
    /// The operator whose credential was presented, expired or not. Takes no lock.
    #[must_use]
    pub fn lookup(&self, presented: &[u8]) -> Option<Arc<Operator>> {
        self.operators.load().by_digest.get(&self.pepper.digest(presented)).cloned()
    }

    /// The operator of this name.
    #[must_use]
    pub fn operator(&self, name: &Name) -> Option<Arc<Operator>> {
        self.operators.load().by_name.get(name).cloned()
    }

    /// All operators, in the order of their names.
    #[must_use]
    pub fn operators(&self) -> Vec<Arc<Operator>> {
        self.operators.load().by_name.values().cloned().collect()
    }

    /// Makes an operator. The second value is their credential, which nobody can show again. Blocks until the change
    /// is durable; then it is in force at once. So do all changes here.
    ///
    /// # Errors
    /// [`RegisterFault::OperatorExists`], [`RegisterFault::ReservedName`], [`RegisterFault::Full`],
    /// [`RegisterFault::NoRandom`], [`RegisterFault::Journal`].
    pub fn create_operator(
        &self,
        by: &str,
        new: NewOperator,
        now: UnixMs,
    ) -> Result<(Arc<Operator>, OperatorKey), RegisterFault> {
        let _turn = self.turn();
        let operators = self.operators.load();
        if RESERVED.contains(&new.name.as_str()) {
            return Err(RegisterFault::ReservedName(new.name));
        }
        if operators.by_name.contains_key(&new.name) {
            return Err(RegisterFault::OperatorExists(new.name));
        }
        room("operators", operators.by_name.len(), OPERATORS_MAX)?;
        let (after, key) = self.mint(new, now)?;
        let change = OperatorChange { by: by.to_owned(), before: None, after: Some(after.clone()) };
        self.record(Event::OperatorSet(change), now)?;
        Ok((self.publish_operator(None, after), key))
    }

    /// Gives an operator another credential in place of the one they have, which is void at once. The role and the
    /// time of expiry stay.
    ///
    /// # Errors
    /// [`RegisterFault::UnknownOperator`], [`RegisterFault::Unexpected`], [`RegisterFault::NoRandom`],
    /// [`RegisterFault::Journal`].
    pub fn rotate_operator(
        &self,
        by: &str,
        name: &Name,
        expect: Expect,
        now: UnixMs,
    ) -> Result<(Arc<Operator>, OperatorKey), RegisterFault> {
        let _turn = self.turn();
        let before = self.operator(name).ok_or_else(|| RegisterFault::UnknownOperator(name.clone()))?;
        expected(expect, "operator", name, Some(&*before))?;
        let wish =
            NewOperator { name: name.clone(), role: before.role.clone(), expires_at: before.expires_at };
        let (after, key) = self.mint(wish, now)?;
        let after = Operator { created_at: before.created_at, ..after };
        let change =
            OperatorChange { by: by.to_owned(), before: Some((*before).clone()), after: Some(after.clone()) };
        self.record(Event::OperatorSet(change), now)?;
        Ok((self.publish_operator(Some(&before), after), key))
    }

    /// Takes an operator away; their credential is void at once.
    ///
    /// # Errors
    /// [`RegisterFault::UnknownOperator`], [`RegisterFault::Unexpected`], [`RegisterFault::Journal`].
    pub fn remove_operator(
        &self,
        by: &str,
        name: &Name,
        expect: Expect,
        now: UnixMs,
    ) -> Result<(), RegisterFault> {
        let _turn = self.turn();
        let before = self.operator(name).ok_or_else(|| RegisterFault::UnknownOperator(name.clone()))?;
        expected(expect, "operator", name, Some(&*before))?;
        let change = OperatorChange { by: by.to_owned(), before: Some((*before).clone()), after: None };
        self.record(Event::OperatorSet(change), now)?;
        let mut operators = Operators::clone(&self.operators.load());
        operators.by_name.remove(name);
        operators.by_digest.remove(&before.digest);
        self.operators.store(Arc::new(operators));
        Ok(())
    }

    fn mint(&self, new: NewOperator, now: UnixMs) -> Result<(Operator, OperatorKey), RegisterFault> {
        let key = OperatorKey::mint(random().map_err(|_: StoreFault| RegisterFault::NoRandom)?);
        let operator = Operator {
            name: new.name,
            role: new.role,
            digest: self.pepper.digest(key.reveal().as_bytes()),
            hint: key.hint(),
            created_at: now,
            expires_at: new.expires_at,
        };
        Ok((operator, key))
    }

    fn publish_operator(&self, before: Option<&Operator>, after: Operator) -> Arc<Operator> {
        let after = Arc::new(after);
        let mut operators = Operators::clone(&self.operators.load());
        if let Some(before) = before {
            operators.by_digest.remove(&before.digest);
        }
        operators.by_name.insert(after.name.clone(), Arc::clone(&after));
        operators.by_digest.insert(after.digest, Arc::clone(&after));
        self.operators.store(Arc::new(operators));
        after
    }
}
