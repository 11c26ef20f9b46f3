//! What a gateway may do in more than one way, and how the faithful one does it.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderMap;
use hyper::http::{request, response};

use super::Terms;
use super::limiter::Limit;
use super::refusal::{self, Answer, Refusal};
use super::relay::Sieve;
use super::tls::Tls;

/// How a gateway behaves at each place where gateways go wrong. In the order of a request's way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// How it speaks TLS, if it does.
    pub(super) tls: Option<Tls>,
    /// How long a request for this path waits.
    pub(super) pause: fn(&str, &Terms) -> Duration,
    /// Which client presents these headers, by its credential.
    pub(super) identify: fn(&HeaderMap, &Terms) -> Option<String>,
    /// An answer to this head and body that is given without a look at anything else.
    pub(super) instead: fn(&request::Parts, &[u8]) -> Option<Answer>,
    /// The path at the upstream for this method and path.
    pub(super) route: for<'p> fn(&Method, &'p str) -> Option<&'p str>,
    /// The longest body that passes.
    pub(super) most_body_bytes: fn(&Terms) -> u64,
    /// Whether the body looks dangerous.
    pub(super) blocks: fn(&[u8]) -> bool,
    /// How much a client may ask.
    pub(super) limit: Option<Limit>,
    /// Changes the request that goes upstream.
    pub(super) outgoing: fn(&mut Outgoing, &Terms),
    /// How often the upstream is asked, at most, while it answers that it failed.
    pub(super) tries: usize,
    /// Whether a client that leaves takes its request with it.
    pub(super) cancels: bool,
    /// Changes the head of the upstream's answer; a sieve changes its body.
    pub(super) answer: fn(&mut response::Parts, &HeaderMap, &Terms) -> Option<Box<dyn Sieve>>,
    /// How long the upstream may be silent within an answer, if that has a limit.
    pub(super) idle: fn(&Terms) -> Option<Duration>,
    /// Whether an answer that breaks off breaks off for the client, too.
    pub(super) keeps_cuts: bool,
    /// The gateway's own answer when it says no.
    pub(super) refuse: fn(&Refusal) -> Answer,
}

/// A request as it goes upstream.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// With the upstream's credential in place of the client's.
    pub(super) head: request::Parts,
    /// The body as it came.
    pub(super) body: Bytes,
    /// The headers as they came.
    pub(super) received: HeaderMap,
    /// Who the client is.
    pub(super) credential: String,
}

/// A gateway that does nothing wrong.
pub(super) const FAITHFUL: Habits = Habits {
    tls: None,
    pause: |_, _| Duration::ZERO,
    identify: |headers, terms| {
        let mut presented = bearer(headers).into_iter().chain(api_key(headers));
        presented.find_map(|credential| known(credential, terms))
    },
    instead: |_, _| None,
    route,
    most_body_bytes: |terms| terms.most_body_bytes,
    blocks: |_| false,
    limit: None,
    outgoing: |_, _| {},
    tries: 1,
    cancels: true,
    answer: |_, _, _| None,
    idle: |_| None,
    keeps_cuts: true,
    refuse: refusal::envelope,
};

/// The paths of the API that are served, as they are.
pub(super) fn route<'p>(method: &Method, path: &'p str) -> Option<&'p str> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let known = match path {
        "/v1/messages" | "/v1/messages/count_tokens" => *method == Method::POST,
        "/" | "/api/hello" | "/v1/models" => reads,
        _ => reads && path.strip_prefix("/v1/models/").is_some_and(|id| !id.is_empty() && !id.contains('/')),
    };
    known.then_some(path)
}

/// The client whose credential this is.
pub(super) fn known(credential: &str, terms: &Terms) -> Option<String> {
    terms.client_tokens.iter().find(|token| *token == credential).cloned()
}

/// The credential in `authorization`, if its scheme is `Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, credential) = headers.get("authorization")?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| credential.trim())
}

/// The credential in `x-api-key`.
pub(super) fn api_key(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-api-key")?.to_str().ok()
}
