//! The record of a virtual key, and whether it is good at an instant.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::Models;
use crate::credential::Digest;
use crate::id::KeyId;
use crate::principal::Principal;
use crate::scope::Scope;
use crate::text::{bounded, bounded_option};
use crate::unit::UnixMs;

/// What is known of a virtual key. Holds its digest and a hint, never the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The public name of the key.
    pub id: KeyId,
    /// What the key is found by.
    pub digest: Digest,
    /// The few characters people know the key by, as [`crate::credential::VirtualKey::hint`] gives them.
    #[serde(serialize_with = "bounded")]
    pub hint: String,
    /// Where its usage is booked.
    pub scope: Scope,
    /// The models it may use; empty means all.
    #[serde(default, skip_serializing_if = "Models::is_empty")]
    pub models: Models,
    /// When it was made.
    pub created_at: UnixMs,
    /// The first instant at which it is no longer good; none means it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<UnixMs>,
    /// Where it stands in its life.
    pub state: KeyState,
    /// The key that this one replaced, when it came from a rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_from: Option<KeyId>,
    /// The first key of its line of rotations; none where it is that itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<KeyId>,
    /// A remark for people.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "bounded_option")]
    pub note: Option<String>,
}

impl KeyRecord {
    /// The key whose counters its use goes to: the first of its line, so that a rotation gives nobody a fresh allowance.
    #[must_use]
    pub fn counted_as(&self) -> KeyId {
        self.first.or(self.rotated_from).unwrap_or(self.id)
    }
}

/// Where a key stands in its life. There is no way back from a later state to an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// In use.
    Active,
    /// Replaced, and still good for a while so that its holders can change over.
    Grace {
        /// The first instant at which it is no longer good.
        until: UnixMs,
        /// The key to change over to.
        replaced_by: KeyId,
    },
    /// Withdrawn, at once and for ever.
    Revoked {
        /// When it was withdrawn; for people, it plays no part in the decision.
        at: UnixMs,
    },
}

/// Why a known key is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its time has run out.
    Expired {
        /// When it ran out.
        at: UnixMs,
    },
    /// It was withdrawn.
    Revoked {
        /// When it was withdrawn.
        at: UnixMs,
    },
    /// It was replaced, and the time to change over has run out.
    GraceOver {
        /// When it ran out.
        at: UnixMs,
    },
    /// It is older than keys may be.
    TooOld {
        /// Its age in whole days.
        days: u32,
        /// The age in days up to which keys are good.
        max_days: u32,
    },
}

/// How old keys may become before they are to be rotated. Zero days set no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgeLimits {
    /// The age in days from which the answer to each request warns.
    pub warn_days: u32,
    /// The age in days from which a key is refused.
    pub max_days: u32,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Judges a key's age: its whole days if it is to be rotated soon, nothing if it is young enough.
///
/// # Errors
/// [`Refusal::TooOld`].
pub fn judge_age(record: &KeyRecord, limits: AgeLimits, now: UnixMs) -> Result<Option<u32>, Refusal> {
    let days = u32::try_from(now.ms_since(record.created_at).max(0) / DAY_MS).unwrap_or(u32::MAX);
    let reaches = |bound: u32| bound > 0 && days >= bound;
    if reaches(limits.max_days) {
        return Err(Refusal::TooOld { days, max_days: limits.max_days });
    }
    Ok(reaches(limits.warn_days).then_some(days))
}

/// Makes the principal of a key that is good at `now`.
///
/// A revoked key is refused whatever the clock says, so a clock that is wrong cannot bring one back. Both
/// ends of time (expiry, end of grace) are exclusive: at that very instant the key is no longer good. A
/// key made "in the future" is good: the clocks of two instances may differ a little.
///
/// # Errors
/// [`Refusal`], the gravest reason first: revoked, then grace over, then expired.
pub fn identify(record: &Arc<KeyRecord>, now: UnixMs) -> Result<Principal, Refusal> {
    match record.state {
        KeyState::Active => {}
        KeyState::Revoked { at } => return Err(Refusal::Revoked { at }),
        KeyState::Grace { until, .. } if now >= until => {
            return Err(Refusal::GraceOver { at: until });
        }
        KeyState::Grace { .. } => {}
    }
    match record.expires_at {
        Some(at) if now >= at => Err(Refusal::Expired { at }),
        _ => Ok(Principal::new(Arc::clone(record))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::{Pepper, VirtualKey};

    #[test]
    fn age_warns_then_refuses_on_the_day() {
        let created = |days: i64| UnixMs(500 + days * DAY_MS);
        let key = record(KeyState::Active, None);
        let key = KeyRecord { created_at: UnixMs(500), ..(*key).clone() };
        let limits = AgeLimits { warn_days: 60, max_days: 90 };
        let rows = [
            (limits, UnixMs(0), Ok(None)),
            (limits, UnixMs(created(60).0 - 1), Ok(None)),
            (limits, created(60), Ok(Some(60))),
            (limits, UnixMs(created(90).0 - 1), Ok(Some(89))),
            (limits, created(90), Err(Refusal::TooOld { days: 90, max_days: 90 })),
            (AgeLimits::default(), created(5000), Ok(None)),
            (AgeLimits { warn_days: 1, max_days: 0 }, created(5000), Ok(Some(5000))),
        ];
        for (limits, now, expected) in rows {
            assert_eq!(judge_age(&key, limits, now), expected, "{limits:?} {now}");
        }
    }

    const EXPIRY: UnixMs = UnixMs(2_000);
    const GRACE_END: UnixMs = UnixMs(1_000);

    fn record(state: KeyState, expires_at: Option<UnixMs>) -> Arc<KeyRecord> {
        let key = VirtualKey::mint([0x5A; 32]);
        Arc::new(KeyRecord {
            id: KeyId::new(UnixMs(500), [1; 10]),
            digest: Pepper::new([7; 32]).digest(key.reveal().as_bytes()),
            hint: key.hint(),
            scope: Scope::team("platform".parse().unwrap()),
            models: Models::default(),
            created_at: UnixMs(500),
            expires_at,
            state,
            rotated_from: None,
            first: None,
            note: None,
        })
    }

    #[test]
    fn a_key_is_good_until_the_instant_it_ends_and_not_at_it() {
        let grace = KeyState::Grace { until: GRACE_END, replaced_by: KeyId::new(UnixMs(600), [2; 10]) };
        let revoked = KeyState::Revoked { at: UnixMs(700) };
        let expired = Err(Refusal::Expired { at: EXPIRY });
        let grace_over = Err(Refusal::GraceOver { at: GRACE_END });
        let withdrawn = Err(Refusal::Revoked { at: UnixMs(700) });
        let rows = [
            (KeyState::Active, None, i64::MAX, Ok(())),
            (KeyState::Active, None, 499, Ok(())),
            (KeyState::Active, Some(EXPIRY), 1_999, Ok(())),
            (KeyState::Active, Some(EXPIRY), 2_000, expired),
            (KeyState::Active, Some(EXPIRY), 2_001, expired),
            (grace, None, 999, Ok(())),
            (grace, None, 1_000, grace_over),
            (grace, None, 1_001, grace_over),
            // An expiry within the grace ends it; after both, the grace is named.
            (grace, Some(UnixMs(900)), 899, Ok(())),
            (grace, Some(UnixMs(900)), 900, Err(Refusal::Expired { at: UnixMs(900) })),
            (grace, Some(UnixMs(900)), 1_000, grace_over),
            // No clock brings a revoked key back.
            (revoked, None, 0, withdrawn),
            (revoked, None, 699, withdrawn),
            (revoked, None, 700, withdrawn),
            (revoked, Some(EXPIRY), i64::MAX, withdrawn),
        ];
        for (state, expires_at, now, expected) in rows {
            let record = record(state, expires_at);
            let found = identify(&record, UnixMs(now)).map(|principal| {
                assert_eq!(principal.key().id, record.id);
                assert_eq!(principal.key().scope, record.scope);
            });
            assert_eq!(found, expected, "{state:?} {expires_at:?} at {now}");
        }
    }

    #[test]
    fn no_secret_is_in_a_record_or_a_principal() {
        let key = VirtualKey::mint([0x5A; 32]);
        let body = &key.reveal()[7..48];
        let record = record(KeyState::Active, None);
        let principal = identify(&record, UnixMs(0)).unwrap();
        let shown = format!("{record:?} {principal:?} {}", serde_json::to_string(&*record).unwrap());
        assert!(shown.contains(&key.hint()));
        for secret in [body, &body[..12], &body[29..]] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn a_record_comes_back_from_its_text() {
        let record = record(KeyState::Revoked { at: UnixMs(700) }, Some(EXPIRY));
        let text = serde_json::to_string(&*record).unwrap();
        assert!(text.contains(r#""state":{"revoked":{"at":"1970-01-01T00:00:00.700Z"}}"#), "{text}");
        assert_eq!(serde_json::from_str::<KeyRecord>(&text).unwrap(), *record);
    }
}
