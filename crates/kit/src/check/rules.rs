//! The rules of `tollgate check`: what must hold of a gateway, in the order in which it is reported. The zoo of the
//! simulator and the reference page name them by their ids.

use crate::finding::{Rule, Severity};

/// Declares each row as a static and all of them as [`TABLE`].
macro_rules! rules {
    ($($name:ident = $id:literal $title:literal $severity:ident $decisive:literal $about:literal;)*) => {
        $(pub(crate) static $name: Rule = Rule {
            id: $id, title: $title, severity: Severity::$severity, is_decisive: $decisive, about: $about,
        };)*
        /// All of them, in the order of a report.
        pub(crate) static TABLE: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    ENDPOINT = "endpoint" "Endpoint Support" Error true
        "`POST /v1/messages?beta=true` is answered with status 200 and a message: the request of every turn of Claude \
         Code.";
    HEADERS = "headers" "Header Forwarding" Error true
        "`anthropic-version`, `anthropic-beta` and `content-type` of an ordinary request reach the upstream as they \
         were sent. Features of the body need their beta, and the client chooses the version.";
    BODY = "body" "Body Preservation" Error true
        "Every member of the request reaches the upstream and every member of the answer reaches the client, with \
         their values and the order of `system`. Spelling is looked at by `body.bytes` and `body.answer`.";
    STATUS = "status" "Status Codes" Error true
        "A credential that nobody gave out is refused with 401, or 403. Claude Code runs its `apiKeyHelper` again on \
         401 only.";
    STREAM = "stream" "SSE Streaming" Error true
        "With `stream: true` the events of the upstream reach the client, all of them, in order, as \
         `text/event-stream`, up to `message_stop`. Their timing is looked at by `stream.arrival`.";
    AUTH = "auth" "Authentication" Error true
        "The credential is accepted in `Authorization: Bearer`, where Claude Code puts `ANTHROPIC_AUTH_TOKEN`.";

    CONTROL = "endpoint.control" "Unknown Path" Error false
        "A path that does not exist is not answered like `/v1/messages`. A gateway that answers everything alike would \
         otherwise pass for one that serves the API.";
    COUNT_TOKENS = "endpoint.count_tokens" "Token Counting" Warning false
        "`POST /v1/messages/count_tokens?beta=true` is answered with `input_tokens`. Without it Claude Code measures \
         its context by requests that are paid for.";
    MODELS = "endpoint.models" "Model Discovery" Warning false
        "`GET /v1/models?limit=1000` is answered within 3 s and without a redirect, with either credential header, \
         and lists ids. Claude Code fills its model picker from it.";
    HELLO = "endpoint.hello" "Connection Warm-Up" Note false
        "`HEAD /api/hello` and `HEAD /` are answered within 3 s, with any status. Claude Code opens its connection so.";
    REDIRECT = "endpoint.redirect" "No Redirects" Error false
        "No request is answered with a redirect: clients lose the body or the credential on the way.";

    QUERY = "query.kept" "Query String" Warning false
        "The query string reaches the upstream as it was sent.";

    VERSION = "headers.version" "API Version" Error false
        "Both values of `anthropic-version` that clients send (2023-06-01 and 2026-10-21) pass unchanged, and where \
         it is absent none is invented: the upstream's own 400 is the answer.";
    BETA = "headers.beta" "Beta Values" Error false
        "`anthropic-beta` passes verbatim: values that nobody knows, many of them, several headers, 20 KB. The list \
         changes with each release, so an allow-list breaks clients.";
    OPEN = "headers.open" "Open List of Headers" Error false
        "`anthropic-*` headers that nobody knows yet reach the upstream.";
    HINTS = "headers.hints" "Client Headers" Note false
        "`x-claude-code-*`, `x-stainless-*`, `x-app` and `user-agent` reach the upstream. A gateway may use them up; \
         the provider then can not join its records with the client's.";
    HOP = "headers.hop" "Browser and Hop-by-Hop Headers" Note false
        "A request with `origin`, `cookie` or hop-by-hop headers is served, and none of these reaches the upstream, \
         which may refuse them (RFC 9110, section 7.6.1).";

    BYTES = "body.bytes" "Request Bytes" Error false
        "The bytes of the request are the bytes that reach the upstream: key order, white space, escapes, numbers. \
         Prompt caches and signatures of thinking depend on them.";
    ANSWER = "body.answer" "Answer Bytes" Error false
        "The bytes of an answer, plain or streamed, reach the client as the upstream sent them, under the same \
         `content-type`.";
    LARGE = "body.large" "Large Requests" Error false
        "A request of 32 MiB, the most that the API takes, reaches the upstream whole.";
    OVER = "body.over" "Too Large Requests" Warning false
        "A larger one is refused with 413, in the API's envelope or in the upstream's own words. Claude Code then \
         tells its user what to do.";
    MARKUP = "body.markup" "No Content Filter" Error false
        "A prompt that looks like markup, source code or an attack on a web page passes: that is what programmers \
         write about, and what web application firewalls block.";

    API_KEY = "auth.api_key" "API Key Header" Warning false
        "The credential is accepted in `x-api-key` as well, where clients put `ANTHROPIC_API_KEY`.";
    BOTH = "auth.both" "Both Credential Headers" Error false
        "The same credential in `Authorization` and `x-api-key` at once is accepted: Claude Code sends that of an \
         `apiKeyHelper` so.";
    REFUSED = "auth.refused" "Bad Credentials" Error false
        "A request with a credential that nobody gave out is refused, and does not reach the upstream.";
    NONE = "auth.none" "No Credential" Error false
        "A request without a credential is refused with 401 or 403, and does not reach the upstream.";
    ENVELOPE = "auth.envelope" "Shape of Refusals" Warning false
        "The gateway's own refusal has the API's form, `{\"type\":\"error\",\"error\":{\"type\":...,\"message\":...}}`: \
         clients show its message.";
    SHOULD_RETRY = "auth.should_retry" "Refusals Are Final" Note false
        "The gateway's own 401 says `x-should-retry: false`. Without it Claude Code tries a bad credential eleven \
         times, for three minutes, before it tells its user.";
    LEAK = "auth.leak" "Client Credential Stays" Error false
        "The client's credential reaches the upstream nowhere: neither in the header it came in nor in another one.";
    TWO = "auth.two" "One Upstream Credential" Error false
        "Every request reaches the upstream with exactly one credential.";
    SWAP = "auth.swap" "Upstream Credential Stays" Error false
        "The credential that the gateway presents to the upstream is in no answer to the client.";

    VERBATIM = "errors.verbatim" "Error Bodies" Error false
        "The body of an upstream's error reaches the client byte for byte: clients match its wording to recover, such \
         as by compacting a prompt that is too long.";
    RETRY_AFTER = "errors.retry_after" "Retry Headers" Error false
        "`retry-after`, `x-should-retry` and `request-id` of an upstream's error reach the client.";
    SUCCESS = "errors.success" "Statuses" Error false
        "The upstream's status is the client's: 200 for an answer, and 400, 402, 403, 404, 409, 413, 429, 500, 503, \
         504 and 529 for the errors. An error inside a 200 is taken for an answer.";
    ONCE = "errors.once" "No Retries" Warning false
        "A request that the upstream refuses is sent to it once. Clients retry by themselves; a second layer \
         multiplies theirs.";

    ARRIVAL = "stream.arrival" "Stream in Time" Error false
        "Events reach the client while the upstream still sends, judged by when they arrive and not by their number.";
    CLOSE = "stream.close" "Stream Without Chunks" Error false
        "The same for a stream that ends with its connection: buffers that let chunks through hold this one back.";
    GZIP = "stream.gzip" "Compressed Stream" Error false
        "The same where the client accepts gzip, both for a stream that the upstream compresses and for one that it \
         does not.";
    PINGS = "stream.pings" "Pings" Error false
        "Pings reach the client while nothing else is sent. Clients give up on a stream that is silent for 300 s.";
    SILENCE = "stream.silence" "Pauses" Error false
        "A stream survives a pause of seconds without a byte.";
    IDLE = "stream.idle" "Long Pauses" Warning false
        "A stream survives a pause of 310 s, longer than clients wait. Looked at with --slow only.";
    ERROR_EVENT = "stream.error_event" "Errors in a Stream" Error false
        "An error event in the middle of a stream reaches the client, and nothing is added.";
    CUT = "stream.cut" "Broken Streams" Error false
        "A stream that the upstream breaks off is broken off for the client: a proper end would make half an answer \
         look like a whole one.";
    CANCEL = "stream.cancel" "Cancelling" Warning false
        "When the client leaves, before the first byte or in the middle of a stream, the upstream's work is ended, \
         which otherwise is paid for.";

    TLS_USED = "tls.used" "Encryption" Error false
        "The gateway is spoken to by https; http is for this machine only, because it shows credentials and prompts \
         to everyone on the way.";
    TLS_VERSION = "tls.version" "TLS Version" Error false
        "TLS 1.2 or newer is agreed on, and TLS 1.1 is refused (RFC 8996).";
    TLS_CHAIN = "tls.chain" "Certificate" Error false
        "The certificate is valid for the host, its chain leads to a known authority, and it does not expire within \
         21 days.";

    LIMIT_SHAPE = "limit.shape" "Shape of Limits" Warning false
        "A limit of the gateway that was met during the check says 429 in the API's envelope with a `retry-after` of \
         at most 60 s. Claude Code waits that long and gives up on more.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_the_guides_six_come_first() {
        let ids: BTreeSet<_> = TABLE.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), TABLE.len());
        let decisive: Vec<_> = TABLE.iter().filter(|rule| rule.is_decisive).map(|rule| rule.id).collect();
        assert_eq!(decisive, ["endpoint", "headers", "body", "status", "stream", "auth"]);
        assert!(TABLE[..6].iter().all(|rule| rule.is_decisive));
    }
}
