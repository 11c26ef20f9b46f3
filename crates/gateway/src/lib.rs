//! What is carried: listeners, the pipeline, upstreams, the admin API, telemetry.
//!
//! [`Gateway::start`] makes a running gateway out of a [`Snapshot`]; the way of a request is in `pipeline`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod admin;
mod admission;
mod answer;
mod books;
mod clock;
mod denied;
mod drain;
mod force;
mod forward;
mod http1;
mod http2;
mod identify;
mod inbound;
mod intake;
mod listen;
pub mod metering;
mod metrics;
mod models;
mod pipeline;
mod probe;
mod relay;
mod reserve;
mod running;
mod secret;
mod sessions;
mod shares;
mod stream;
mod upstream;
mod watch;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use tollgate_policy::id::RequestId;
use tollgate_policy::unit::UnixMs;
use tollgate_store::counters::Counters;
use tollgate_store::directory::Directory;
use tollgate_store::history::History;
use tollgate_store::journal::Journal;
use tollgate_store::ledger::Ledger;
use tollgate_store::register::Register;
use tollgate_wire::http1::HeadLimits;

use crate::clock::Steady;
use crate::denied::Sparing;
use crate::drain::Drain;
use crate::force::InForce;
use crate::inbound::Room;
use crate::metrics::Metrics;
use crate::sessions::Watch;

pub use force::{ForceFault, price_text};
pub use running::{Gateway, ReloadFault, Source, StartFault, Stopped};
pub use secret::SecretFault;
pub use tollgate_config::Snapshot;
pub use watch::follow;

/// What all requests share.
struct Shared {
    force: ArcSwap<InForce>,
    journal: Arc<Journal>,
    directory: Arc<Directory>,
    ledger: Arc<Ledger>,
    register: Arc<Register>,
    history: Arc<History>,
    counters: Counters,
    /// Held while what is in force changes, so that of two changes the later one stays.
    booking: tokio::sync::Mutex<()>,
    steady: Steady,
    watch: Watch,
    metrics: Metrics,
    drain: Arc<Drain>,
    room: Arc<Room>,
    sparing: Sparing,
    tls: listen::Tls,
}

impl Shared {
    /// The configuration in force. A request takes it once.
    fn in_force(&self) -> Arc<InForce> {
        self.force.load_full()
    }

    fn head_limits(&self) -> HeadLimits {
        let limits = &self.force.load().config.limits;
        HeadLimits { head_bytes: limits.head_bytes, target_bytes: limits.uri_bytes, fields: limits.headers }
    }

    fn now(&self) -> UnixMs {
        now()
    }

    fn new_request_id(&self) -> RequestId {
        RequestId::new(now(), random())
    }

    /// Why the gateway is not ready, if it is not.
    fn unready(&self) -> Option<&'static str> {
        if self.drain.is_draining() {
            return Some("draining\n");
        }
        (!self.journal.state().writable).then_some("the journal takes no entries\n")
    }
}

/// The time of this machine's clock.
fn now() -> UnixMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Random bytes.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // The generator fails only where the operating system has no entropy source; nothing could go on safely.
    aws_lc_rs::rand::fill(&mut bytes).unwrap_or_else(|_| panic!("the system's random generator failed"));
    bytes
}
