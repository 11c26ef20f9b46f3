//! The answers that a gateway gives by itself.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::Response;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};

use super::relay::Pieces;
use crate::error::ApiError;

/// What a client gets.
pub(super) type Answer = Response<Either<Full<Bytes>, Pieces>>;

/// Why a gateway says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No credential, or none that is known.
    Unknown,
    /// There is no such path.
    NotFound,
    /// The body is too large.
    TooLarge,
    /// The body looks dangerous.
    Blocked,
    /// The client asked too much; there is room again after this time.
    Limited(Duration),
    /// The upstream gave no answer.
    NoAnswer,
}

impl Refusal {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Unknown => 401,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::Blocked => 403,
            Self::Limited(_) => 429,
            Self::NoAnswer => 502,
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Unknown => "This credential is not known to the gateway.",
            Self::NotFound => "The gateway has no such path.",
            Self::TooLarge => "The body is larger than the gateway takes.",
            Self::Blocked => "The gateway does not take such content.",
            Self::Limited(_) => "The gateway's rate limit is exceeded.",
            Self::NoAnswer => "The upstream gave the gateway no answer.",
        }
    }
}

/// As the API words its own errors (<https://platform.claude.com/docs/en/api/errors>).
pub(super) fn envelope(refusal: &Refusal) -> Answer {
    let error = ApiError::new(refusal.status(), refusal.sentence());
    let mut answer = answer(refusal.status(), "application/json", error.envelope(None));
    let headers = answer.headers_mut();
    match refusal {
        // Claude Code would try again for minutes.
        Refusal::Unknown => {
            headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
        }
        Refusal::Limited(wait) => {
            headers.insert(RETRY_AFTER, whole_seconds(*wait).into());
        }
        Refusal::NotFound | Refusal::TooLarge | Refusal::Blocked | Refusal::NoAnswer => {}
    }
    answer
}

/// Rounded up: who waits so long finds room.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// An answer whose body is known whole.
pub(super) fn answer(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() = status.try_into().expect("the zoo gives statuses of three digits");
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
