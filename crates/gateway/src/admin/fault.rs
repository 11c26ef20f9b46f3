//! What the admin API answers when it can not do what was asked.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tollgate_store::LedgerFault;
use tollgate_store::directory::DirectoryFault;

/// A refusal or a failure; the text is safe to show to an administrator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminFault {
    /// No token, or not this instance's.
    #[error("the admin token is missing or not this instance's: it is in instance.json of the data folder")]
    Unauthorised,
    /// The request looks like one that a web page has sent.
    #[error("the admin API answers no web pages: call it by address, without an Origin")]
    NotForPages,
    /// No such path.
    #[error("there is no such path in the admin API")]
    NoSuchPath,
    /// A field of the request is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// No key has that id.
    #[error("no key has the id {0}: `tollgate key list` shows all")]
    NoSuchKey(String),
    /// The key is in a state in which this can not be done.
    #[error("{0}")]
    Conflict(String),
    /// The journal takes no entry, so nothing was changed.
    #[error("nothing was changed, for the change could not be recorded: {0}")]
    Unrecorded(String),
    /// Something broke.
    #[error("{0}")]
    Internal(String),
}

impl IntoResponse for AdminFault {
    fn into_response(self) -> Response {
        let (status, kind) = match self {
            AdminFault::Unauthorised => (StatusCode::UNAUTHORIZED, "authentication_error"),
            AdminFault::NotForPages => (StatusCode::FORBIDDEN, "permission_error"),
            AdminFault::NoSuchPath | AdminFault::NoSuchKey(_) => (StatusCode::NOT_FOUND, "not_found_error"),
            AdminFault::BadRequest(_) => (StatusCode::BAD_REQUEST, "invalid_request_error"),
            AdminFault::Conflict(_) => (StatusCode::CONFLICT, "conflict_error"),
            AdminFault::Unrecorded(_) => (StatusCode::SERVICE_UNAVAILABLE, "api_error"),
            AdminFault::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
        };
        let body = json!({ "type": "error", "error": { "type": kind, "message": self.to_string() } });
        (status, Json(body)).into_response()
    }
}

impl From<LedgerFault> for AdminFault {
    fn from(fault: LedgerFault) -> Self {
        AdminFault::Internal(fault.to_string())
    }
}

impl From<DirectoryFault> for AdminFault {
    fn from(fault: DirectoryFault) -> Self {
        match fault {
            DirectoryFault::UnknownKey(id) => AdminFault::NoSuchKey(id.to_string()),
            DirectoryFault::NotActive(_) | DirectoryFault::Unexpected(_) | DirectoryFault::Full => {
                AdminFault::Conflict(fault.to_string())
            }
            DirectoryFault::NoteTooLong => AdminFault::BadRequest(fault.to_string()),
            DirectoryFault::Journal(cause) => AdminFault::Unrecorded(cause.to_string()),
            DirectoryFault::NoRandom => AdminFault::Internal(fault.to_string()),
        }
    }
}

impl From<JsonRejection> for AdminFault {
    fn from(rejection: JsonRejection) -> Self {
        AdminFault::BadRequest(rejection.body_text())
    }
}

impl From<QueryRejection> for AdminFault {
    fn from(rejection: QueryRejection) -> Self {
        AdminFault::BadRequest(rejection.body_text())
    }
}
