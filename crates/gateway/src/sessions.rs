//! Sessions that are paused, by a brake or by an operator.

use tollgate_policy::denial::Denial;
use tollgate_policy::id::KeyId;
use tollgate_policy::unit::UnixMs;
use tollgate_store::register::Register;

use crate::inbound::Head;

/// The header by which Claude Code names its session.
pub(crate) const SESSION: &str = "x-claude-code-session-id";

/// Refuses a request of a paused session.
pub(crate) fn check(register: &Register, now: UnixMs, key: KeyId, head: &Head) -> Result<(), Denial> {
    let Some(pause) = head.text_value(SESSION).and_then(|session| register.pause_of(key, session, now)) else {
        return Ok(());
    };
    Err(Denial::SessionPaused {
        why: pause.why.clone(),
        until: pause.until,
        left_ms: pause.until.ms_since(now),
    })
}
