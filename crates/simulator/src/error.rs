//! The API's error envelope. Which `error.type` goes with which status is `wire`'s table; the
//! envelope is written here, so that a fault of the gateway's cannot hide itself.
//!
//! Source: <https://platform.claude.com/docs/en/api/errors>.

use serde::Serialize;
use tollgate_wire::error::ErrorType;

use crate::http::reason;

/// An error as the API words it.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) message: String,
    /// `error.details.error_code`, which tells a spend cap from a rate limit.
    pub(crate) code: Option<String>,
}

#[derive(Serialize)]
struct Envelope<'e> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Body<'e>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'e str>,
}

#[derive(Serialize)]
struct Body<'e> {
    #[serde(rename = "type")]
    kind: &'e str,
    message: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'e>>,
}

#[derive(Serialize)]
struct Details<'e> {
    error_code: &'e str,
}

impl ApiError {
    /// The error of `status`; a status outside the documented table gets the type of its class.
    pub(crate) fn of_status(status: u16) -> Self {
        let documented = ErrorType::ALL.into_iter().find(|kind| kind.status() == status);
        let kind =
            documented.unwrap_or(if status < 500 { ErrorType::InvalidRequest } else { ErrorType::Api });
        let message = if documented.is_some() { sentence(kind) } else { reason(status) };
        Self { status, kind: kind.as_str().to_owned(), message: message.to_owned(), code: None }
    }

    /// The error of `status` with a sentence of its own.
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::of_status(status) }
    }

    /// The error named by its type, documented or not.
    pub(crate) fn of_kind(kind: &str) -> Self {
        let documented = ErrorType::parse(kind);
        Self {
            status: documented.map_or(500, ErrorType::status),
            kind: kind.to_owned(),
            message: documented.map_or("Error", sentence).to_owned(),
            code: None,
        }
    }

    /// The JSON body. Inside a stream the API sends no request id.
    pub(crate) fn envelope(&self, request_id: Option<&str>) -> Vec<u8> {
        let envelope = Envelope {
            kind: "error",
            error: Body {
                kind: &self.kind,
                message: &self.message,
                details: self.code.as_deref().map(|error_code| Details { error_code }),
            },
            request_id,
        };
        crate::json(&envelope)
    }
}

/// What is said when a script gives no sentence.
fn sentence(kind: ErrorType) -> &'static str {
    match kind {
        ErrorType::InvalidRequest => "The request is invalid.",
        ErrorType::Authentication => "invalid x-api-key",
        ErrorType::Billing => "The account has a billing problem.",
        ErrorType::Permission => "The credential may not do this.",
        ErrorType::NotFound => "Not found.",
        ErrorType::Conflict => "The request conflicts with another.",
        ErrorType::RequestTooLarge => "The request is too large.",
        ErrorType::RateLimit => "The rate limit is exceeded.",
        ErrorType::Api => "Internal server error",
        ErrorType::Timeout => "The request timed out.",
        ErrorType::Overloaded => "Overloaded",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_is_worded_as_the_api_words_it() {
        let mut error = ApiError::of_status(529);
        assert_eq!(
            error.envelope(Some("req_1")),
            br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#
        );
        error.code = Some("enforced_spend_limit_reached".into());
        error.message = "say \"no\"".into();
        assert_eq!(
            error.envelope(None),
            br#"{"type":"error","error":{"type":"overloaded_error","message":"say \"no\"","details":{"error_code":"enforced_spend_limit_reached"}}}"#
        );
    }

    #[test]
    fn every_status_has_a_type() {
        let rows = [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (409, "conflict_error"),
            (413, "request_too_large"),
            (418, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (503, "api_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ];
        for (status, kind) in rows {
            assert_eq!(ApiError::of_status(status).kind, kind, "{status}");
        }
    }
}
