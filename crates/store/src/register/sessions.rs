//! Paused sessions, and corrections of cost.

use std::sync::Arc;

use tollgate_policy::entry::{Adjusted, Event, SessionPaused, SessionResumed};
use tollgate_policy::id::KeyId;
use tollgate_policy::unit::UnixMs;

use super::{PAUSES_MAX, Register, RegisterFault, TEXT_CHARS_MAX, room};

impl Register {
    /// The sessions that are paused at this instant, those that end first before the others.
    #[must_use]
    pub fn paused(&self, now: UnixMs) -> Vec<Arc<SessionPaused>> {
        self.pauses.load().iter().filter(|pause| pause.until > now).cloned().collect()
    }

    /// The pause of a session, if it is paused at this instant. Takes no lock.
    #[must_use]
    pub fn pause_of(&self, key: KeyId, session: &str, now: UnixMs) -> Option<Arc<SessionPaused>> {
        let pauses = self.pauses.load();
        let mut running = pauses.iter().filter(|pause| pause.until > now);
        running.find(|pause| pause.key == key && pause.session == session).cloned()
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
        let mut pauses = self.paused(now);
        pauses.retain(|other| (other.key, &other.session) != (pause.key, &pause.session));
        room("paused sessions", pauses.len(), PAUSES_MAX)?;
        self.record(Event::SessionPaused(pause.clone()), now)?;
        let pause = Arc::new(pause);
        let place = pauses.partition_point(|other| other.until <= pause.until);
        pauses.insert(place, Arc::clone(&pause));
        self.pauses.store(Arc::new(pauses));
        Ok(pause)
    }

    /// Lets a paused session go on.
    ///
    /// # Errors
    /// [`RegisterFault::NotPaused`], [`RegisterFault::Journal`].
    pub fn resume(&self, by: &str, key: KeyId, session: &str, now: UnixMs) -> Result<(), RegisterFault> {
        let _turn = self.turn();
        let mut pauses = self.paused(now);
        let before = pauses.len();
        pauses.retain(|other| (other.key, other.session.as_str()) != (key, session));
        if pauses.len() == before {
            return Err(RegisterFault::NotPaused);
        }
        let resumed = SessionResumed { by: by.to_owned(), key, session: session.to_owned() };
        self.record(Event::SessionResumed(resumed), now)?;
        self.pauses.store(Arc::new(pauses));
        Ok(())
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
