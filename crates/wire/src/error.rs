//! The error bodies of the Anthropic API: <https://platform.claude.com/docs/en/api/errors>.

use serde::Serialize;

/// A documented `error.type` and the HTTP status it comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// 400: the request cannot be understood or is not lawful.
    InvalidRequest,
    /// 401: no valid credential.
    Authentication,
    /// 402: payment or budget. A spend cap is answered with this type and status 429.
    Billing,
    /// 403: the credential may not do this.
    Permission,
    /// 404: no such path, model or object.
    NotFound,
    /// 409: the object is in another state.
    Conflict,
    /// 413: the body exceeds the limit of the endpoint.
    RequestTooLarge,
    /// 429: too many requests or tokens at the moment.
    RateLimit,
    /// 500: a fault of the server.
    Api,
    /// 504: the server took too long.
    Timeout,
    /// 529: the API has too much to do.
    Overloaded,
}

impl ErrorType {
    /// Every documented type, by status.
    pub const ALL: [Self; 11] = [
        Self::InvalidRequest,
        Self::Authentication,
        Self::Billing,
        Self::Permission,
        Self::NotFound,
        Self::Conflict,
        Self::RequestTooLarge,
        Self::RateLimit,
        Self::Api,
        Self::Timeout,
        Self::Overloaded,
    ];

    /// The documented HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Authentication => 401,
            Self::Billing => 402,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::RequestTooLarge => 413,
            Self::RateLimit => 429,
            Self::Api => 500,
            Self::Timeout => 504,
            Self::Overloaded => 529,
        }
    }

    /// The text of `error.type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Billing => "billing_error",
            Self::Permission => "permission_error",
            Self::NotFound => "not_found_error",
            Self::Conflict => "conflict_error",
            Self::RequestTooLarge => "request_too_large",
            Self::RateLimit => "rate_limit_error",
            Self::Api => "api_error",
            Self::Timeout => "timeout_error",
            Self::Overloaded => "overloaded_error",
        }
    }

    /// The type with this text; `None` if it is not a documented one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Detail<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
}

/// The JSON body of an error answer. `request_id` must be what the `request-id` header of the answer says.
#[must_use]
pub fn envelope(kind: ErrorType, message: &str, request_id: &str) -> Vec<u8> {
    let detail = Detail { kind: kind.as_str(), message };
    // Writing plain strings to memory has no way to fail.
    serde_json::to_vec(&Envelope { kind: "error", error: detail, request_id }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_statuses_are_the_documented_ones() {
        let rows = [
            ("invalid_request_error", 400),
            ("authentication_error", 401),
            ("billing_error", 402),
            ("permission_error", 403),
            ("not_found_error", 404),
            ("conflict_error", 409),
            ("request_too_large", 413),
            ("rate_limit_error", 429),
            ("api_error", 500),
            ("timeout_error", 504),
            ("overloaded_error", 529),
        ];
        assert_eq!(rows.len(), ErrorType::ALL.len());
        for (text, status) in rows {
            let kind = ErrorType::parse(text).unwrap();
            assert_eq!((kind.as_str(), kind.status()), (text, status));
        }
        assert_eq!(ErrorType::parse("invalid_request"), None);
    }

    #[test]
    fn the_envelope_keeps_the_documented_order_and_escapes_the_message() {
        let body = envelope(ErrorType::NotFound, "no \"x\"\n\u{1}\u{e9}", "req_1");
        assert_eq!(
            String::from_utf8(body).unwrap(),
            "{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\
             \"message\":\"no \\\"x\\\"\\n\\u0001\u{e9}\"},\"request_id\":\"req_1\"}"
        );
    }
}
