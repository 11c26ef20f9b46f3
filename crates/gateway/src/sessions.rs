//! Sessions: those that are paused, and the brakes that pause one that runs away.
//!
//! The register says which are paused; the brakes watch. A pause by a brake is in force at once and recorded right after.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tollgate_config::snapshot;
use tollgate_policy::brake::{Brake, Brakes, Pause, Rising};
use tollgate_policy::denial::Denial;
use tollgate_policy::entry::{SessionPaused, Settled};
use tollgate_policy::id::KeyId;
use tollgate_policy::key::KeyRecord;
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::{NanoUsd, UnixMs};
use tollgate_store::register::TEXT_CHARS_MAX;

use crate::inbound::Head;
use crate::{InForce, Shared};

/// What watches over sessions, if anything does.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Option<Brakes>>);

impl Watch {
    /// Puts other brakes in force. What was seen stays seen, if the window stays as long.
    pub(crate) fn brake(&self, brakes: Option<snapshot::Brakes>) {
        let mut watch = self.lock();
        match (&mut *watch, brakes.map(brake)) {
            (Some(watch), Some(brake)) => watch.replace(brake),
            (watch, brake) => *watch = brake.map(Brakes::new),
        }
    }

    /// A session that somebody resumed is seen with new eyes.
    pub(crate) fn resumed(&self, now: UnixMs, key: KeyId, session: &str) {
        if let Some(brakes) = &mut *self.lock() {
            brakes.resume(now, key, session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Brakes>> {
        // Each method of the brakes leaves them whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn brake(settings: snapshot::Brakes) -> Brake {
    Brake {
        window_ms: settings.window_ms,
        cost: settings.cost,
        repeats: settings.repeats,
        rising: settings.rising_percent.map(|percent| Rising { percent, floor: settings.rising_floor }),
        pause_ms: settings.pause_ms,
    }
}

/// The session that a request belongs to, if it names one.
pub(crate) fn session(head: &Head) -> Option<&str> {
    name(head, "x-claude-code-session-id")
}

/// The agent within its session that a request comes from, if it names one.
pub(crate) fn agent(head: &Head) -> Option<&str> {
    name(head, "x-claude-code-agent-id")
}

/// A name out of a header: cut to the length that the register and the journal keep, so that one session has the same
/// name everywhere. An empty one is none, or all who send it would be one session.
fn name<'h>(head: &'h Head, header: &str) -> Option<&'h str> {
    let name = head.text_value(header)?.trim();
    let end = name.char_indices().nth(TEXT_CHARS_MAX).map_or(name.len(), |(end, _)| end);
    Some(&name[..end]).filter(|name| !name.is_empty())
}

/// Refuses a request of a paused session.
pub(crate) fn unpaused(shared: &Shared, now: UnixMs, key: &KeyRecord, session: &str) -> Result<(), Denial> {
    match shared.register.pause_of(key.id, session, now) {
        Some(pause) => Err(denial(now, &pause.by, &pause.why, pause.until)),
        None => Ok(()),
    }
}

/// Counts a request that would go upstream, and refuses it if its session repeats it too often.
pub(crate) fn watch(
    shared: &Arc<Shared>,
    force: &InForce,
    now: UnixMs,
    key: &KeyRecord,
    session: &str,
    body: &[u8],
) -> Result<(), Denial> {
    if force.config.brakes.is_none() {
        return Ok(());
    }
    // Before the lock: a large body keeps no other request waiting.
    let digest = digest(body);
    let watched = match &mut *shared.watch.lock() {
        Some(brakes) => brakes.check(now, key.id, session, digest),
        None => Ok(()),
    };
    watched.map_err(|paused| {
        let Pause { by, why, until } = &paused.pause;
        let denial = denial(now, by, why, *until);
        if paused.begins {
            braked(shared, key.id, key.scope.clone(), session.to_owned(), paused.pause);
        }
        denial
    })
}

/// Tells the brakes what a request of a session cost.
pub(crate) fn settled(shared: &Arc<Shared>, now: UnixMs, settled: &Settled) {
    let Some(session) = &settled.session else {
        return;
    };
    let pause = match &mut *shared.watch.lock() {
        Some(brakes) if settled.cost > NanoUsd::ZERO => {
            brakes.settled(now, settled.key, session, settled.cost)
        }
        _ => None,
    };
    if let Some(pause) = pause {
        braked(shared, settled.key, settled.scope.clone(), session.clone(), pause);
    }
}

fn denial(now: UnixMs, by: &str, why: &str, until: UnixMs) -> Denial {
    Denial::SessionPaused { by: by.to_owned(), why: why.to_owned(), until, left_ms: until.ms_since(now) }
}

/// Records that a brake paused a session. Waits for the disk, so it does so apart.
fn braked(shared: &Arc<Shared>, key: KeyId, scope: Scope, session: String, pause: Pause) {
    tracing::warn!(%key, session, why = pause.why, "a session was paused");
    shared.metrics.braked();
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    let shared = shared.clone();
    let Pause { by, why, until } = pause;
    let paused = SessionPaused { by, key, scope, session, why, until, before: None };
    drop(runtime.spawn_blocking(move || {
        if let Err(fault) = shared.register.pause(paused, shared.now()) {
            tracing::error!(%fault, "a paused session could not be recorded; it stays paused while this process runs");
        }
    }));
}

/// A number that tells bodies apart. No proof: a client that makes two bodies collide pauses itself.
fn digest(body: &[u8]) -> u64 {
    u64::from(crc32fast::hash(body)) << 32 | (body.len() as u64 & 0xFFFF_FFFF)
}
