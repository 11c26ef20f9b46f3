//! What people write: the fields of a document, with their defaults.
//!
//! The doc comments of the fields are the descriptions in the JSON Schema and on the reference
//! page, so they speak to whoever configures a gateway.

use crate::{
    Address, duration::Duration, file::FilePath, proxy::Proxy, secret::SecretRef, size::Size, url::Url,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::entry::Durability;

mod books;

pub use books::{Allowance, Books, Brakes, CostCentre, On, Per, Raise, Tag, Visibility, Weekday};

/// The configuration of one gateway. Every field has a default; an empty document is valid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    /// Where clients connect.
    pub listen: Listen,
    /// Where the admin API, the pages, the metrics and the health checks are served.
    pub admin: Admin,
    /// The Anthropic API, or whatever stands in for it.
    pub upstream: Upstream,
    /// What may be asked for, beyond what each virtual key allows.
    pub access: Access,
    /// The models that `GET /v1/models` lists, in this order; each caller sees those of its key.
    /// Absent: the list of the upstream, filtered in the same way. Listing a model grants nothing.
    pub models: Option<Vec<Model>>,
    /// How large things may be, and how many at once.
    pub limits: Limits,
    /// How long things may take. A stream as a whole has no limit, only its silences have.
    pub timeouts: Timeouts,
    /// The folder where the state of this instance lives: journal, directory of virtual keys,
    /// ledger. One instance alone writes to it; it is made if it is missing.
    pub data: FilePath,
    /// How requests are written down.
    pub journal: Journal,
    /// What tokens cost.
    pub prices: Prices,
    /// What holds for all limits, quotas, budgets and records.
    pub books: Books,
    /// Limits, quotas and budgets. A request must fit into every one that counts it. Those that are made through the
    /// admin API come on top.
    pub allowances: Vec<Allowance>,
    /// The tags that requests get, for reports. At most 64 rules.
    pub tags: Vec<Tag>,
    /// Who pays for what. The first rule that fits counts.
    pub cost_centres: Vec<CostCentre>,
    /// When a single session is paused because it runs away.
    pub brakes: Brakes,
    /// What the process says about itself on standard error.
    pub log: Log,
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// The address for clients.
    pub address: Address,
    /// The certificate to serve with. Absent: plain HTTP, for a loopback address or behind
    /// something that ends TLS.
    pub tls: Option<Tls>,
}

/// A server certificate. Both files are read at start and at reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// A PEM file with the certificate chain, the server's own certificate first.
    pub cert: FilePath,
    /// A PEM file with the private key.
    pub key: FilePath,
}

/// The listener for those who run the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// The address of the admin listener. It speaks plain HTTP.
    pub address: Address,
    /// Accept an address that other machines can reach. Whoever reaches the admin listener can
    /// make and revoke keys: put your own gate before it.
    pub allow_remote: bool,
}

/// The server that answers the requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Its base URL. The path of a request, such as `/v1/messages`, is appended.
    pub url: Url,
    /// The API key that the gateway presents in place of the client's credential.
    pub credential: SecretRef,
    /// Accept a plain `http` URL to another machine. Prompts, answers and the API key then cross
    /// the network unencrypted.
    pub allow_plaintext: bool,
    /// Offer HTTP/2 to the upstream. Off by default: over HTTP/1.1 each stream has a connection
    /// of its own, and a fault of one touches no other.
    pub http2: bool,
    /// A PEM file of certificate authorities to trust, in addition to those of the system.
    pub ca_file: Option<FilePath>,
    /// The proxy that connections to the upstream go through.
    pub proxy: Proxy,
}

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// What happens to endpoints below `/v1/` that this gateway does not know, whose cost and
    /// content it therefore cannot account for.
    pub other_v1: Verdict,
    /// The age of a key in days from which each of its answers carries a warning in the header
    /// `x-tollgate-key-warning`. 0: never.
    pub key_warn_days: u32,
    /// The age of a key in days from which it is refused, until it is rotated. 0: never.
    pub key_max_days: u32,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The request is refused.
    Deny,
    /// The request passes, recorded, with a cost of nothing.
    Allow,
}

/// One model of the list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The id that requests name, such as `claude-sonnet-4-5`.
    pub id: String,
    /// What people are shown. Absent: the id.
    #[serde(default)]
    pub display_name: Option<String>,
}

/// How large things may be, and how many at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest request body; a larger one is answered with 413. The API itself takes 32 MB.
    pub body: Size,
    /// The largest request head: request line and headers together; beyond it the answer is 431.
    pub head: Size,
    /// The longest request target; beyond it the answer is 414.
    pub uri: Size,
    /// The most header lines of a request; beyond it the answer is 431.
    #[schemars(range(min = 16, max = 1000))]
    pub headers: u32,
    /// The most client connections at once; further ones are closed.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: u32,
    /// The most memory that request bodies may take together; beyond it the answer is 529.
    pub buffered: Size,
}

/// How long things may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// To open a connection to the upstream, TLS included.
    pub connect: Duration,
    /// From the end of the request to the first byte of the upstream's answer. Long thinking sends
    /// nothing for minutes: Claude Code waits 370 seconds, the SDKs wait 600.
    pub first_byte: Duration,
    /// Silence inside an answer that has begun. Claude Code gives up after 310 seconds.
    pub stream_idle: Duration,
    /// From the first byte of a request to the end of its head.
    pub client_head: Duration,
    /// Silence while a request body arrives.
    pub client_body: Duration,
    /// How long an idle client connection is kept open for the next request.
    pub keep_alive: Duration,
    /// After a stop signal, how long running requests may still take. `0s` cuts them at once.
    pub drain: Duration,
}

/// How requests are written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// When an entry counts as written.
    pub durability: Durability,
}

/// What tokens cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prices {
    /// A price book to use in place of the one that is built in.
    pub file: Option<FilePath>,
}

/// What the process says about itself on standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// The least important kind of line that is shown.
    pub level: LogLevel,
}

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// `pretty` on a terminal, `json` otherwise.
    Auto,
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// How important a line of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something failed and someone should act.
    Error,
    /// Something is not as it should be.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What helps to understand one request.
    Debug,
    /// Everything.
    Trace,
}

impl Document {
    /// The document as YAML, every field written out.
    ///
    /// Reading it back gives an equal document.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        serde_saphyr::to_string(self).expect("a document has only texts, numbers and flags")
    }
}

impl Default for Document {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            admin: Admin::default(),
            upstream: Upstream::default(),
            access: Access::default(),
            models: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            data: FilePath::of("./tollgate-data"),
            journal: Journal::default(),
            prices: Prices::default(),
            books: Books::default(),
            allowances: Vec::new(),
            tags: Vec::new(),
            cost_centres: Vec::new(),
            brakes: Brakes::default(),
            log: Log::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: Address::loopback(8080), tls: None }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: Address::loopback(8081), allow_remote: false }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: Url::https("api.anthropic.com"),
            credential: SecretRef::Env("ANTHROPIC_API_KEY".to_owned()),
            allow_plaintext: false,
            http2: false,
            ca_file: None,
            proxy: Proxy::Environment,
        }
    }
}

impl Default for Access {
    fn default() -> Self {
        Self { other_v1: Verdict::Deny, key_warn_days: 90, key_max_days: 0 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: Size::from_mb(32),
            head: Size::from_kb(64),
            uri: Size::from_kb(16),
            headers: 200,
            connections: 8_000,
            buffered: Size::from_mb(2048),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(600),
            stream_idle: Duration::from_secs(330),
            client_head: Duration::from_secs(30),
            client_body: Duration::from_secs(60),
            keep_alive: Duration::from_secs(120),
            drain: Duration::from_secs(60),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: LogLevel::Info }
    }
}
