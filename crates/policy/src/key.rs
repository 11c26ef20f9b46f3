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
    /// A remark for people.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "bounded_option"
    )]
    pub note: Option<String>,
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
}

/// Makes the principal of a key that is good at `now`.
///
/// A revoked key is refused whatever the clock says, so a clock that is wrong cannot bring one back. Both ends of
/// time (expiry, end of grace) are exclusive: at that very instant the key is no longer good. A key made "in the
/// future" is good: the clocks of two instances may differ a little.
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
