//! Who asks: the credential that was presented, and the principal it stands for.

use tollgate_policy::denial::{Denial, Unauthenticated};
use tollgate_policy::key::{self, AgeLimits};
use tollgate_policy::principal::Principal;
use tollgate_policy::unit::UnixMs;
use tollgate_store::directory::Directory;

use crate::inbound::Head;

/// Credentials looked at in one request. Clients send one or two.
const CANDIDATES: usize = 4;

/// Who asks, and what they are to be told about their key.
#[derive(Debug)]
pub(crate) struct Identified {
    /// Who asks.
    pub(crate) principal: Principal,
    /// The key's age in days, where it is due to be rotated.
    pub(crate) aged_days: Option<u32>,
}

/// The principal of the first valid credential among `Authorization: Bearer` and `x-api-key`.
///
/// Claude Code sends the same key in both, or a gateway key in one and somebody's own key in the other; one
/// valid credential is enough, and neither is ever forwarded.
pub(crate) fn identify(
    head: &Head,
    directory: &Directory,
    ages: AgeLimits,
    now: UnixMs,
) -> Result<Identified, Denial> {
    let mut reason = Unauthenticated::NoCredential;
    for presented in head.fields().filter_map(credential).take(CANDIDATES) {
        let Some(record) = directory.lookup(presented) else {
            if reason == Unauthenticated::NoCredential {
                reason = Unauthenticated::UnknownCredential;
            }
            continue;
        };
        let identified = key::identify(&record, now).and_then(|principal| {
            Ok(Identified { principal, aged_days: key::judge_age(&record, ages, now)? })
        });
        match identified {
            Ok(identified) => return Ok(identified),
            Err(refusal) => reason = Unauthenticated::Refused(refusal),
        }
    }
    Err(reason.into())
}

/// The credential in a header, where it holds one.
fn credential<'a>((name, value): (&[u8], &'a [u8])) -> Option<&'a [u8]> {
    let presented = if name.eq_ignore_ascii_case(b"x-api-key") {
        value
    } else if name.eq_ignore_ascii_case(b"authorization") {
        let (scheme, rest) = value.split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())?
    } else {
        return None;
    };
    (!presented.is_empty()).then_some(presented)
}
