//! The API's error envelope: which `error.type` goes with which status.
//!
//! Source: <https://platform.claude.com/docs/en/api/errors>.

use serde::Serialize;

/// One documented pair of status and type, with a sentence for when a script gives none.
struct Row {
    status: u16,
    kind: &'static str,
    message: &'static str,
}

const TABLE: &[Row] = &[
    row(400, "invalid_request_error", "The request is invalid."),
    row(401, "authentication_error", "invalid x-api-key"),
    row(402, "billing_error", "The account has a billing problem."),
    row(403, "permission_error", "The credential may not do this."),
    row(404, "not_found_error", "Not found."),
    row(409, "conflict_error", "The request conflicts with another."),
    row(413, "request_too_large", "The request is too large."),
    row(429, "rate_limit_error", "The rate limit is exceeded."),
    row(500, "api_error", "Internal server error"),
    row(504, "timeout_error", "The request timed out."),
    row(529, "overloaded_error", "Overloaded"),
];

const fn row(status: u16, kind: &'static str, message: &'static str) -> Row {
    Row {
        status,
        kind,
        message,
    }
}

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
        let (kind, message) = TABLE
            .iter()
            .find(|row| row.status == status)
            .map(|row| (row.kind, row.message))
            .unwrap_or(if status < 500 {
                ("invalid_request_error", crate::http::reason(status))
            } else {
                ("api_error", crate::http::reason(status))
            });
        Self {
            status,
            kind: kind.to_owned(),
            message: message.to_owned(),
            code: None,
        }
    }

    /// The error of `status` with a sentence of its own.
    pub(crate) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::of_status(status)
        }
    }

    /// The error that arrives inside a stream, named by its type alone.
    pub(crate) fn of_kind(kind: &str) -> Self {
        let known = TABLE.iter().find(|row| row.kind == kind);
        Self {
            status: known.map_or(500, |row| row.status),
            kind: kind.to_owned(),
            message: known.map_or("Error", |row| row.message).to_owned(),
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
                details: self
                    .code
                    .as_deref()
                    .map(|error_code| Details { error_code }),
            },
            request_id,
        };
        crate::json(&envelope)
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
