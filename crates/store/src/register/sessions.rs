//! Paused sessions, and corrections of cost.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_policy::entry::{Adjusted, Event, SessionPaused, SessionResumed};
use tollgate_policy::id::KeyId;
use tollgate_policy::unit::UnixMs;

use super::{
    PAUSES_MAX, PAUSES_OF_KEY_MAX, PAUSES_OF_TEAM_MAX, Pauses, Register, RegisterFault, TEXT_CHARS_MAX, room,
};

impl Register {
    /// The sessions that are paused at this instant, those that end first before the others.
    #[must_use]
    pub fn paused(&self, now: UnixMs) -> Vec<Arc<SessionPaused>> {
        let pauses = self.pauses.load();
        let all = pauses.values().flat_map(HashMap::values).filter(|pause| pause.until > now);
        let mut paused: Vec<_> = all.cloned().collect();
        paused.sort_by(|a, b| (a.until, a.key, &a.session).cmp(&(b.until, b.key, &b.session)));
        paused
    }

    /// The pause of a session at this instant, if it is paused. Takes no lock.
    #[must_use]
    pub fn pause_of(&self, key: KeyId, session: &str, now: UnixMs) -> Option<Arc<SessionPaused>> {
        let pauses = self.pauses.load();
        pauses.get(&key)?.get(session).filter(|pause| pause.until > now).cloned()
    }

    /// Pauses a session, or gives the pause that it has another end and reason.
    ///
    /// # Errors
    /// [`RegisterFault::TooLong`], [`RegisterFault::Full`], [`RegisterFault::Journal`].
    pub fn pause(&self, pause: SessionPaused, now: UnixMs) -> Result<Arc<SessionPaused>, RegisterFault> {
        for (what, text) in [("the name of a session", &pause.session), ("a reason", &pause.why)] {
            if text.chars().nth(TEXT_CHARS_MAX).is_some() {
                return Err(RegisterFault::TooLong(what));
            }
        }
        let _turn = self.turn();
        let mut pauses = self.running(now);
        let is_new = pauses.get(&pause.key).is_none_or(|sessions| !sessions.contains_key(&pause.session));
        if is_new {
            room_for(&pause, &pauses)?;
        }
        self.record(Event::SessionPaused(pause.clone()), now)?;
        let pause = Arc::new(pause);
        pauses.entry(pause.key).or_default().insert(pause.session.clone(), Arc::clone(&pause));
        self.pauses.store(Arc::new(pauses));
        Ok(pause)
    }

    /// Lets a paused session go on.
    ///
    /// # Errors
    /// [`RegisterFault::NotPaused`], [`RegisterFault::Journal`].
    pub fn resume(&self, by: &str, key: KeyId, session: &str, now: UnixMs) -> Result<(), RegisterFault> {
        let _turn = self.turn();
        let mut pauses = self.running(now);
        let sessions = pauses.get_mut(&key).ok_or(RegisterFault::NotPaused)?;
        sessions.remove(session).ok_or(RegisterFault::NotPaused)?;
        let resumed = SessionResumed { by: by.to_owned(), key, session: session.to_owned() };
        self.record(Event::SessionResumed(resumed), now)?;
        self.pauses.store(Arc::new(pauses));
        Ok(())
    }

    /// The pauses that are not over.
    fn running(&self, now: UnixMs) -> Pauses {
        let mut pauses = Pauses::clone(&self.pauses.load());
        pauses.values_mut().for_each(|sessions| sessions.retain(|_, pause| pause.until > now));
        pauses.retain(|_, sessions| !sessions.is_empty());
        pauses
    }

    /// Records corrections of cost, in order. If the journal refuses one, those before it stand: to correct again is
    /// to correct the rest.
    ///
    /// # Errors
    /// [`RegisterFault::Journal`].
    pub fn adjust(&self, corrections: Vec<Adjusted>, now: UnixMs) -> Result<(), RegisterFault> {
        /// How many corrections share a sync.
        const BATCH: usize = 500;
        let _turn = self.turn();
        for batch in corrections.chunks(BATCH) {
            let appends: Vec<_> = batch
                .iter()
                .map(|adjusted| self.journal.append_synced(now, Event::Adjusted(adjusted.clone())))
                .collect();
            for append in appends {
                append.wait()?;
            }
        }
        Ok(())
    }
}

/// Whether one pause more may be remembered.
fn room_for(pause: &SessionPaused, pauses: &Pauses) -> Result<(), RegisterFault> {
    let of_key = pauses.get(&pause.key).map_or(0, HashMap::len);
    room("paused sessions of this key", of_key, PAUSES_OF_KEY_MAX)?;
    let team = (&pause.scope.org, &pause.scope.team);
    let of_team = pauses.values().flat_map(HashMap::values);
    let of_team = of_team.filter(|other| (&other.scope.org, &other.scope.team) == team).count();
    room("paused sessions of this team", of_team, PAUSES_OF_TEAM_MAX)?;
    room("paused sessions", pauses.values().map(HashMap::len).sum(), PAUSES_MAX)
}
