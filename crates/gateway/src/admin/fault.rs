//! What the admin API answers when it can not do what was asked.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tollgate_policy::unit::UnixMs;
use tollgate_store::directory::DirectoryFault;
use tollgate_store::history::HistoryFault;
use tollgate_store::register::RegisterFault;
use tollgate_store::{JournalFault, LedgerFault};

/// A refusal or a failure; the text is safe to show to whoever called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminFault {
    /// No credential, or one that nobody has.
    #[error(
        "the credential is missing or unknown: send an operator's token, or the one in instance.json of the data \
         folder, as `Authorization: Bearer`"
    )]
    Unauthorised,
    /// The credential's time has run out.
    #[error("the credential expired at {0}: ask an admin for another")]
    Expired(UnixMs),
    /// The role does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The request looks like one that a web page has sent.
    #[error("the admin API answers no web pages: call it by address, without an Origin")]
    NotForPages,
    /// No such path.
    #[error("there is no such path in the admin API; GET /admin/v1/openapi.json describes all")]
    NoSuchPath,
    /// No such method at this path.
    #[error("this path has no such method; GET /admin/v1/openapi.json describes all")]
    NoSuchMethod,
    /// Nothing has that name.
    #[error("{0}")]
    NotFound(String),
    /// The request can not be read.
    #[error("{0}")]
    BadRequest(String),
    /// The body is not JSON by its own account.
    #[error("send the body as JSON, with `content-type: application/json`")]
    NotJson,
    /// The body is too long.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// The body does not come.
    #[error("the body did not come in time: send the request as a whole")]
    TooSlow,
    /// What was asked for makes no sense; every reason is given.
    #[error("{}", sentence(.0))]
    Unsound(Vec<Problem>),
    /// The state of things does not allow it now.
    #[error("{0}")]
    Conflict(String),
    /// Something is not as the caller expected.
    #[error("{0}; read it again, and decide anew")]
    Unexpected(String),
    /// The caller must say what they expect to find.
    #[error("{0} is there already: send `If-Match` with the etag of what you have seen")]
    ExpectationNeeded(String),
    /// An `idempotency-key` that was sent with something else before.
    #[error("this idempotency-key came with another request before; use a fresh one")]
    KeyUsed,
    /// There is nothing to set up any more.
    #[error("this gateway is set up: an admin makes further operators")]
    SetUp,
    /// The set-up code is wrong.
    #[error("the set-up code is wrong; the gateway printed it at its start")]
    WrongCode,
    /// Too many wrong codes.
    #[error("too many wrong set-up codes: wait a minute")]
    TooManyCodes,
    /// The journal takes no entry, so nothing was changed.
    #[error("nothing was changed, for the change could not be recorded: {0}")]
    Unrecorded(String),
    /// It can not be told at the moment.
    #[error("{0}")]
    Unavailable(String),
    /// Something broke.
    #[error("{0}")]
    Internal(String),
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Problem {
    /// The field.
    pub(crate) field: String,
    /// The rule that it breaks.
    pub(crate) rule: String,
    /// What to do about it.
    pub(crate) cure: String,
}

fn sentence(problems: &[Problem]) -> String {
    let one = |problem: &Problem| format!("{}: {}; {}", problem.field, problem.rule, problem.cure);
    problems.iter().map(one).collect::<Vec<_>>().join(" | ")
}

/// What every refusal looks like.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Refusal")]
pub(super) struct Envelope {
    /// Always `error`.
    #[serde(rename = "type")]
    class: &'static str,
    error: ErrorBody,
}

/// What went wrong.
#[derive(Debug, Serialize, JsonSchema)]
struct ErrorBody {
    /// The kind of refusal, stable.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What happened and what to do, for people.
    message: String,
    /// Each thing that is wrong, where there is more to say than the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<Problem>>,
}

impl AdminFault {
    fn shown(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorised | Self::Expired(_) | Self::WrongCode => {
                (StatusCode::UNAUTHORIZED, "authentication_error")
            }
            Self::Forbidden(_) | Self::NotForPages => (StatusCode::FORBIDDEN, "permission_error"),
            Self::NoSuchPath | Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found_error"),
            Self::NoSuchMethod => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request_error"),
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "invalid_request_error"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error"),
            Self::Unsound(_) | Self::KeyUsed => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_request_error"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict_error"),
            Self::Unexpected(_) => (StatusCode::PRECONDITION_FAILED, "conflict_error"),
            Self::ExpectationNeeded(_) => (StatusCode::PRECONDITION_REQUIRED, "conflict_error"),
            Self::SetUp => (StatusCode::GONE, "not_found_error"),
            Self::TooManyCodes => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
            Self::Unrecorded(_) | Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "api_error"),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
        }
    }
}

impl IntoResponse for AdminFault {
    fn into_response(self) -> Response {
        let (status, kind) = self.shown();
        let message = self.to_string();
        let after = matches!(self, Self::TooManyCodes).then_some("60");
        let problems = if let Self::Unsound(problems) = self { Some(problems) } else { None };
        let error = ErrorBody { kind, message, problems };
        let mut response = (status, Json(Envelope { class: "error", error })).into_response();
        if status == StatusCode::REQUEST_TIMEOUT {
            // RFC 9110, section 15.5.9: nobody waits for this connection any longer.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, section 15.5.2: a 401 names a scheme.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<JournalFault> for AdminFault {
    fn from(fault: JournalFault) -> Self {
        AdminFault::Unrecorded(fault.to_string())
    }
}

impl From<LedgerFault> for AdminFault {
    fn from(fault: LedgerFault) -> Self {
        match fault {
            LedgerFault::Behind { .. } => AdminFault::Unavailable(fault.to_string()),
            LedgerFault::Dropped { .. } | LedgerFault::TooManyGroups | LedgerFault::NoSuchGroup => {
                AdminFault::BadRequest(fault.to_string())
            }
            LedgerFault::Database(_) | LedgerFault::Damaged(_) | LedgerFault::Journal(_) => {
                AdminFault::Internal(fault.to_string())
            }
        }
    }
}

impl From<DirectoryFault> for AdminFault {
    fn from(fault: DirectoryFault) -> Self {
        match fault {
            DirectoryFault::UnknownKey(id) => no_such_key(&id.to_string()),
            DirectoryFault::NotActive(_) | DirectoryFault::Full => AdminFault::Conflict(fault.to_string()),
            DirectoryFault::Unexpected(_) => AdminFault::Unexpected(fault.to_string()),
            DirectoryFault::NoteTooLong => AdminFault::BadRequest(fault.to_string()),
            DirectoryFault::Journal(cause) => cause.into(),
            DirectoryFault::NoRandom => AdminFault::Internal(fault.to_string()),
        }
    }
}

impl From<HistoryFault> for AdminFault {
    fn from(fault: HistoryFault) -> Self {
        AdminFault::Internal(fault.to_string())
    }
}

impl From<RegisterFault> for AdminFault {
    fn from(fault: RegisterFault) -> Self {
        let text = fault.to_string();
        match fault {
            RegisterFault::UnknownOperator(_)
            | RegisterFault::UnknownAllowance(_)
            | RegisterFault::NotPaused
            | RegisterFault::NotClosed(_) => AdminFault::NotFound(text),
            RegisterFault::OperatorExists(_)
            | RegisterFault::ReservedName(_)
            | RegisterFault::Full { .. }
            | RegisterFault::AlreadyClosed(_) => AdminFault::Conflict(text),
            RegisterFault::Unexpected(_) => AdminFault::Unexpected(text),
            RegisterFault::Unsound(faults) => {
                AdminFault::Unsound(faults.iter().map(super::allowances::problem).collect())
            }
            RegisterFault::TooLong(_) => AdminFault::BadRequest(text),
            RegisterFault::Journal(cause) => cause.into(),
            RegisterFault::Altered(_) | RegisterFault::File(_) | RegisterFault::NoRandom => {
                AdminFault::Internal(text)
            }
        }
    }
}

/// The cure of what can not be read.
const DESCRIBED: &str = "GET /admin/v1/openapi.json describes what it may hold";

impl From<JsonRejection> for AdminFault {
    fn from(rejection: JsonRejection) -> Self {
        AdminFault::BadRequest(format!("{}; {DESCRIBED}", rejection.body_text()))
    }
}

impl From<QueryRejection> for AdminFault {
    fn from(rejection: QueryRejection) -> Self {
        AdminFault::BadRequest(format!("{}; {DESCRIBED}", rejection.body_text()))
    }
}

/// No key has this id, or none that the caller may see.
pub(super) fn no_such_key(id: &str) -> AdminFault {
    let id: String = id.chars().take(64).collect();
    AdminFault::NotFound(format!("no key has the id {id}: `tollgate key list` shows all"))
}
