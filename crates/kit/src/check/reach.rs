//! What stands between us and the gateway when there is no gateway to look at, and what helps then.

use tollgate_policy::unit::UnixMs;

use super::scene::{Scene, Trial};
use crate::{doctor::line, exchange::ExchangeFault};

/// What kept a request from the gateway.
pub(super) struct Barrier {
    /// What happened.
    pub(super) says: String,
    /// What to do about it.
    pub(super) cure: String,
}

const HANGS: &str =
    "Look into the gateway's log, and follow a request step by step with `tollgate doctor auth`.";
const PROXY_ASKS: &str = "Put user and password into the variable that names the proxy, or list the gateway in \
     NO_PROXY if it can be reached directly; `tollgate doctor proxy` says more.";

/// What kept this request from the gateway, if anything did. An answer with 407 is the proxy's, never the gateway's
/// (RFC 9110, section 15.5.8).
pub(super) fn barrier(scene: &Scene, trial: &Trial, now: UnixMs) -> Option<Barrier> {
    let proxy = scene.way.proxy.as_ref();
    match (&trial.answer, proxy) {
        (Ok(answer), Some(proxy)) if answer.status == 407 => Some(Barrier {
            says: format!("the proxy of {} demands a credential (status 407)", proxy.source),
            cure: PROXY_ASKS.to_owned(),
        }),
        (Ok(_), _) => None,
        (Err(ExchangeFault::Dial(fault)), _) => {
            let told = line::closed(&scene.way, fault, now);
            Some(Barrier { says: told.says, cure: told.cure.unwrap_or_default() })
        }
        (Err(fault), proxy) => {
            let through = proxy.map(|proxy| format!(" (through the proxy of {})", proxy.source));
            let (what, cure) = match fault.explained() {
                Some((what, cure)) => (what.to_owned(), cure),
                None => (fault.to_string(), HANGS),
            };
            Some(Barrier { says: format!("{what}{}", through.unwrap_or_default()), cure: cure.to_owned() })
        }
    }
}
