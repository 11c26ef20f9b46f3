//! Answers, and the one place where a failure becomes one.

use std::time::SystemTime;

use bytes::Bytes;
use thiserror::Error;
use tollgate_policy::allowance::Measure;
use tollgate_policy::books::Overdrawn;
use tollgate_policy::denial::Denial;
use tollgate_policy::id::RequestId;
use tollgate_policy::scope::Name;
use tollgate_store::JournalFault;
use tollgate_wire::error::{ErrorType, envelope};
use tollgate_wire::http1::BadHead;
use tollgate_wire::lens::Malformed;

use crate::relay::Relay;
use crate::shares;
use crate::upstream::UpstreamFault;

/// The gateway's own name for a request, on every answer. The upstream's `request-id` passes beside it.
pub(crate) const REQUEST_ID: &str = "x-tollgate-request-id";
/// Whose error an error answer is: `gateway` or `upstream`.
pub(crate) const ERROR_SOURCE: &str = "x-tollgate-error-source";

/// What the holder of a key should know about it.
pub(crate) const KEY_WARNING: &str = "x-tollgate-key-warning";

/// `retry-after` of a denial, in seconds. Without `x-should-retry: false` Claude Code tries a refused credential for
/// three minutes; where its key comes from an `apiKeyHelper` it does so in spite of it, and gives up only if it is
/// asked to wait for more than a minute.
const DENIED_AFTER: Option<u32> = Some(120);

/// An answer to a client.
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// Header lines, each ended by CRLF, without those that frame the body.
    pub(crate) fields: Vec<u8>,
    /// The body.
    pub(crate) body: AnswerBody,
    /// Whether the connection must end after it.
    pub(crate) close: bool,
}

/// An answer's body.
pub(crate) enum AnswerBody {
    /// All of it is here.
    Whole(Bytes),
    /// It comes from the upstream.
    Relay(Box<Relay>),
}

impl Answer {
    /// An answer of the gateway's own making.
    pub(crate) fn own(status: u16, content_type: &str, body: impl Into<Bytes>, request: RequestId) -> Self {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let fields = format!("date: {date}\r\ncontent-type: {content_type}\r\n{REQUEST_ID}: {request}\r\n")
            .into_bytes();
        Answer { status, fields, body: AnswerBody::Whole(body.into()), close: false }
    }

    /// Adds a header line.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        push_field(&mut self.fields, name.as_bytes(), value.as_bytes());
        self
    }
}

impl Answer {
    /// Tells the holder of an old key that it is due to be rotated.
    pub(crate) fn with_key_warning(self, aged_days: Option<u32>) -> Self {
        match aged_days {
            Some(days) => self.with(KEY_WARNING, &format!("this key is {days} days old: rotate it")),
            None => self,
        }
    }
}

/// Appends a header line.
pub(crate) fn push_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Why a request was not, or not fully, carried. The `Display` text is for the log; clients are shown
/// [`Failure::sentence`].
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The head could not be read without doubt.
    #[error("bad head: {0}")]
    BadHead(BadHead),
    /// The client did not send its request within the time limit.
    #[error("the client was too slow")]
    ClientTooSlow,
    /// The client left. There is nobody to answer.
    #[error("the client left")]
    ClientGone,
    /// The body is larger than the limit, in bytes.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The chunked body is not well formed.
    #[error("the chunked body is not well formed")]
    BodyFraming,
    /// The body is packed in a way that the gateway does not read.
    #[error("the body's content coding is not supported")]
    Encoding,
    /// The body is not what its content coding says.
    #[error("the body could not be unpacked")]
    Unpackable,
    /// The body is not a request that the API could understand in one way only.
    #[error("malformed body: {0}")]
    Malformed(Malformed),
    /// Policy said no.
    #[error("denied: {}", .0.code())]
    Denied(Denial),
    /// No such endpoint.
    #[error("no such endpoint")]
    NotFound {
        /// What to do about it.
        hint: &'static str,
    },
    /// Too many bytes of request bodies are held at this moment.
    #[error("too many bytes of request bodies are held")]
    Overloaded,
    /// The journal takes no entry.
    #[error("the journal refused: {0}")]
    Journal(#[from] JournalFault),
    /// The upstream failed.
    #[error(transparent)]
    Upstream(#[from] UpstreamFault),
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        Failure::Denied(denial)
    }
}

/// How a failure is shown: status, error type, code for records, and whether the client may try again.
struct Shown {
    status: u16,
    kind: ErrorType,
    code: &'static str,
    /// `x-should-retry`: `None` leaves the decision to the client's own rules for the status.
    retry: Option<bool>,
    /// Seconds, for `retry-after`.
    after: Option<u32>,
    close: bool,
}

/// The longest wait that clients are asked to sit out. Claude Code gives up at once if it is asked for more; the SDKs
/// would sit there, so they are told not to.
const PATIENCE_SECONDS: u32 = 60;

/// How long to wait for other requests to end, in seconds.
const RUNNING_SECONDS: u32 = 2;

/// Tells clients not to try again where that could not help, or not soon.
fn overdrawn_shown(code: &'static str, overdrawn: &Overdrawn) -> Shown {
    let waits_for_others = overdrawn.waits_for_others();
    let is_spent = overdrawn.measure == Measure::Cost && !waits_for_others;
    let after = match overdrawn.retry_ms {
        _ if waits_for_others => Some(RUNNING_SECONDS),
        Some(ms) => Some(whole_seconds(ms)),
        None => DENIED_AFTER,
    };
    let is_soon = !is_spent && after.is_some_and(|seconds| seconds <= PATIENCE_SECONDS);
    let kind = if is_spent { ErrorType::Billing } else { ErrorType::RateLimit };
    Shown { status: 429, kind, code, retry: if is_soon { None } else { Some(false) }, after, close: false }
}

/// Seconds for `retry-after`: whole ones, at least one, so that whoever waits does not come too early.
fn whole_seconds(ms: i64) -> u32 {
    u32::try_from(ms.max(1).saturating_add(999) / 1000).unwrap_or(u32::MAX)
}

impl Failure {
    pub(crate) fn not_found(path: &str) -> Self {
        let hint = if path.starts_with("/v1/v1/") {
            "the base URL ends in /v1, which clients add themselves: remove it from ANTHROPIC_BASE_URL."
        } else {
            "this gateway serves /v1/messages, /v1/messages/count_tokens and /v1/models."
        };
        Failure::NotFound { hint }
    }

    /// Whether anybody is there to read an answer.
    pub(crate) fn is_for_somebody(&self) -> bool {
        !matches!(self, Failure::ClientGone)
    }

    /// The model that was asked for, where the refusal is about it.
    pub(crate) fn model(&self) -> Option<&str> {
        match self {
            Failure::Denied(Denial::ModelNotAllowed { model }) => Some(model),
            _ => None,
        }
    }

    /// The allowance that had no room, where that was the reason.
    pub(crate) fn allowance(&self) -> Option<&Name> {
        match self {
            Failure::Denied(Denial::Overdrawn(overdrawn)) => Some(&overdrawn.allowance),
            _ => None,
        }
    }

    /// A stable name for records and metrics.
    pub(crate) fn code(&self) -> &'static str {
        self.shown().code
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> u16 {
        self.shown().status
    }

    /// The answer: the API's error envelope, our request id, whose error it is, and whether to try again.
    pub(crate) fn answer(&self, request: RequestId) -> Answer {
        let shown = self.shown();
        let id = request.to_string();
        let body = envelope(shown.kind, &self.sentence(), &id);
        let mut answer = Answer::own(shown.status, "application/json", body, request)
            .with("request-id", &id)
            .with(ERROR_SOURCE, "gateway");
        if let Some(retry) = shown.retry {
            answer = answer.with("x-should-retry", if retry { "true" } else { "false" });
        }
        if let Some(seconds) = shown.after {
            answer = answer.with("retry-after", &seconds.to_string());
        }
        if let Failure::Denied(Denial::Overdrawn(overdrawn)) = self {
            answer.fields.extend(shares::refusal_fields(overdrawn));
        }
        answer.close = shown.close;
        answer
    }

    fn shown(&self) -> Shown {
        use ErrorType::{
            Api, Authentication, InvalidRequest, NotFound, Overloaded, Permission, RateLimit,
            RequestTooLarge, Timeout,
        };
        let shown = |status, kind, code| Shown { status, kind, code, retry: None, after: None, close: false };
        match self {
            Failure::BadHead(bad) => Shown { close: true, ..bad_head(*bad) },
            Failure::ClientTooSlow => Shown { close: true, ..shown(408, Timeout, "client_too_slow") },
            Failure::ClientGone => shown(499, InvalidRequest, "client_gone"),
            Failure::BodyTooLarge { .. } => shown(413, RequestTooLarge, "body_too_large"),
            Failure::BodyFraming => Shown { close: true, ..shown(400, InvalidRequest, "body_framing") },
            Failure::Encoding => shown(415, InvalidRequest, "content_encoding"),
            Failure::Unpackable => shown(400, InvalidRequest, "content_encoding"),
            Failure::Malformed(_) => shown(400, InvalidRequest, "malformed_body"),
            Failure::Denied(denial @ Denial::Unauthenticated(_)) => {
                Shown { retry: Some(false), after: DENIED_AFTER, ..shown(401, Authentication, denial.code()) }
            }
            Failure::Denied(denial @ Denial::Overdrawn(overdrawn)) => {
                overdrawn_shown(denial.code(), overdrawn)
            }
            Failure::Denied(denial @ Denial::SessionPaused { left_ms, .. }) => {
                let after = Some(whole_seconds(*left_ms));
                Shown { retry: Some(false), after, ..shown(429, RateLimit, denial.code()) }
            }
            Failure::Denied(denial) => {
                Shown { retry: Some(false), after: DENIED_AFTER, ..shown(403, Permission, denial.code()) }
            }
            Failure::NotFound { .. } => shown(404, NotFound, "no_such_endpoint"),
            Failure::Overloaded => Shown { after: Some(1), ..shown(529, Overloaded, "gateway_overloaded") },
            Failure::Journal(_) => Shown { after: Some(2), ..shown(503, Api, "journal_refused") },
            Failure::Upstream(fault) => upstream(fault),
        }
    }

    /// What happened and what to do, in words that are safe to show.
    fn sentence(&self) -> String {
        match self {
            Failure::BadHead(bad) => format!("The request could not be read: {bad}."),
            Failure::ClientTooSlow => "The request did not arrive in time. Send it again.".into(),
            Failure::ClientGone => "The client left.".into(),
            Failure::BodyTooLarge { limit } => {
                format!("The request body is larger than {limit} bytes, the most this gateway accepts.")
            }
            Failure::BodyFraming => "The request's chunked body is not well formed.".into(),
            Failure::Encoding => {
                "The request body's content-encoding is not supported: send it plain, or packed by gzip."
                    .into()
            }
            Failure::Unpackable => {
                "The request body is not the gzip that its content-encoding announces.".into()
            }
            Failure::Malformed(malformed) => malformed.to_string(),
            Failure::Denied(denial) => denial.message(),
            Failure::NotFound { hint } => format!("Not found: {hint}"),
            Failure::Overloaded => {
                "The gateway holds as many requests as it may. Try again in a moment.".into()
            }
            Failure::Journal(_) => {
                "The gateway can not record requests at the moment, so it serves none. Its \
                                    operator must make room for the journal; it goes on by itself then."
                    .into()
            }
            Failure::Upstream(fault) => upstream_sentence(fault).into(),
        }
    }
}

fn bad_head(bad: BadHead) -> Shown {
    let (status, kind, code) = match bad {
        BadHead::HeadTooLarge => (431, ErrorType::InvalidRequest, "headers_too_large"),
        BadHead::TargetTooLong => (414, ErrorType::InvalidRequest, "url_too_long"),
        BadHead::Version => (505, ErrorType::InvalidRequest, "http_version"),
        BadHead::Expect => (417, ErrorType::InvalidRequest, "expectation"),
        BadHead::StartLine
        | BadHead::LineEnd
        | BadHead::Folded
        | BadHead::FieldName
        | BadHead::FieldValue
        | BadHead::ContentLength
        | BadHead::TwoFramings
        | BadHead::TransferEncoding
        | BadHead::Host
        | BadHead::StatusLine => (400, ErrorType::InvalidRequest, "malformed_head"),
    };
    Shown { status, kind, code, retry: None, after: None, close: true }
}

fn upstream(fault: &UpstreamFault) -> Shown {
    let (status, kind, code, retry) = match fault {
        UpstreamFault::Connect(_) => (502, ErrorType::Api, "upstream_unreachable", None),
        UpstreamFault::ConnectTimeout(_) => (504, ErrorType::Timeout, "upstream_unreachable", None),
        UpstreamFault::Proxy(_) => (502, ErrorType::Api, "egress_proxy", None),
        UpstreamFault::Broken(_) => (502, ErrorType::Api, "upstream_broken", None),
        UpstreamFault::FirstByteTimeout(_) => (504, ErrorType::Timeout, "upstream_silent", None),
        UpstreamFault::BadHead(_) | UpstreamFault::NotHttp => {
            (502, ErrorType::Api, "upstream_not_http", None)
        }
        // Trying again can not mend the gateway's credential.
        UpstreamFault::Credential => (502, ErrorType::Api, "upstream_credential", Some(false)),
    };
    Shown { status, kind, code, retry, after: None, close: false }
}

fn upstream_sentence(fault: &UpstreamFault) -> &'static str {
    match fault {
        UpstreamFault::Connect(_) | UpstreamFault::ConnectTimeout(_) => {
            "The gateway could not reach the upstream. Nothing was sent; try again."
        }
        UpstreamFault::Proxy(_) => {
            "The gateway's egress proxy refused the way to the upstream. Ask the gateway's operator."
        }
        UpstreamFault::Broken(_) => "The upstream's connection broke before it answered.",
        UpstreamFault::FirstByteTimeout(_) => "The upstream did not begin to answer in time.",
        UpstreamFault::BadHead(_) | UpstreamFault::NotHttp => "The upstream's answer is not valid HTTP.",
        UpstreamFault::Credential => {
            "The upstream refused the gateway's own credential. Your key is fine; the gateway's operator must \
             replace the upstream credential."
        }
    }
}
