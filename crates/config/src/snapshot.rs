//! What a request reads: the configuration in force, in the types of the machine, immutable.

use crate::{
    document::{LogFormat, LogLevel, Model},
    problem::Problem,
    proxy::Proxy,
    secret::SecretRef,
    url::Url,
};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tollgate_policy::{allowance::Allowance, entry::Durability};

mod books;

pub use books::{Books, Brakes, CostCentreRule, TagRule, TagSource, cost_centre, tags};

/// The configuration in force. It is shared by reference and never changed: a reload makes
/// another one, and a request keeps the one that it began with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Where clients connect.
    pub listen: Listen,
    /// Where the admin API, the pages, the metrics and the health checks are served.
    pub admin: SocketAddr,
    /// The server that answers the requests.
    pub upstream: Upstream,
    /// Whether endpoints below `/v1/` that the gateway does not know pass.
    pub other_v1_allowed: bool,
    /// The age of a key in days from which its answers warn; 0: never.
    pub key_warn_days: u32,
    /// The age of a key in days from which it is refused; 0: never.
    pub key_max_days: u32,
    /// The fixed list of models, or nothing when the upstream's list is to be shown.
    pub models: Option<Vec<Model>>,
    /// How large things may be, and how many at once.
    pub limits: Limits,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The folder that holds journal, directory and ledger.
    pub data: PathBuf,
    /// When an entry of the journal counts as written.
    pub durability: Durability,
    /// A price book in place of the one that is built in.
    pub price_file: Option<PathBuf>,
    /// What holds for all counting of use.
    pub books: Books,
    /// Limits, quotas and budgets, each sound by itself, each name once.
    pub allowances: Vec<Allowance>,
    /// The rules that give requests their tags; see [`tags`].
    pub tags: Vec<TagRule>,
    /// The rules that say who pays; see [`cost_centre`].
    pub cost_centres: Vec<CostCentreRule>,
    /// When a session is paused because it runs away; nothing when no brake is on.
    pub brakes: Option<Brakes>,
    /// How lines of the log look.
    pub log_format: LogFormat,
    /// The least important kind of line that is shown.
    pub log_level: LogLevel,
    /// What is allowed and yet probably not meant.
    pub warnings: Vec<Problem>,
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address.
    pub address: SocketAddr,
    /// The files of the certificate; nothing for plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// The files of a server certificate, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The server that answers the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its base URL.
    pub url: Url,
    /// Where the API key is that the gateway presents.
    pub credential: SecretRef,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Certificate authorities to trust in addition to those of the system.
    pub ca_file: Option<PathBuf>,
    /// The proxy on the way.
    pub proxy: Proxy,
}

/// How large things may be, and how many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes.
    pub body_bytes: usize,
    /// Largest request head, in bytes.
    pub head_bytes: usize,
    /// Longest request target, in bytes.
    pub uri_bytes: usize,
    /// Most header lines of a request.
    pub headers: usize,
    /// Most client connections at once.
    pub connections: usize,
    /// Most memory for all request bodies together, in bytes.
    pub buffered_bytes: usize,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To open a connection to the upstream, TLS included.
    pub connect: Duration,
    /// From the end of the request to the first byte of the upstream's answer.
    pub first_byte: Duration,
    /// Silence inside an answer that has begun.
    pub stream_idle: Duration,
    /// From the first byte of a request to the end of its head.
    pub client_head: Duration,
    /// Silence while a request body arrives.
    pub client_body: Duration,
    /// How long an idle client connection is kept open.
    pub keep_alive: Duration,
    /// How long running requests may still take after a stop signal; zero cuts them at once.
    pub drain: Duration,
}

/// A fact that a running process cannot change, and how to see that two snapshots differ in it.
type Fixed = (&'static str, fn(&Snapshot, &Snapshot) -> bool);

/// What takes effect only at the next start: sockets that are bound, the data folder that is
/// locked, and the writers that are already running. Certificates are read again at reload;
/// only turning TLS on or off needs a new listener.
static FIXED: [Fixed; 7] = [
    ("listen.address", |a, b| a.listen.address != b.listen.address),
    ("listen.tls", |a, b| a.listen.tls.is_some() != b.listen.tls.is_some()),
    ("admin.address", |a, b| a.admin != b.admin),
    ("limits.connections", |a, b| a.limits.connections != b.limits.connections),
    ("data", |a, b| a.data != b.data),
    ("journal.durability", |a, b| a.durability != b.durability),
    ("log.format", |a, b| a.log_format != b.log_format),
];

/// The paths of all fields that need a restart, for the reference page.
pub(crate) fn fixed() -> impl Iterator<Item = &'static str> {
    FIXED.iter().map(|(path, _)| *path)
}

impl Snapshot {
    /// The fields in which `next` differs from this snapshot and that only a restart can change.
    ///
    /// When it is empty, `next` may take the place of this snapshot while the process runs.
    #[must_use]
    pub fn restart_needed(&self, next: &Self) -> Vec<&'static str> {
        FIXED.iter().filter(|(_, differ)| differ(self, next)).map(|(path, _)| *path).collect()
    }
}
