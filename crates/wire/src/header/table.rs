//! The rows of the header table.

use super::{Action, Row};
use Action::{Drop, Forward, Replace};

const fn row(name: &'static str, request: Action, response: Action, why: &'static str) -> Row {
    Row { name, request, response, why }
}

/// What happens to each header, in the order of the reference page: what must pass, credentials, framing, hop
/// by hop, what says too much.
#[rustfmt::skip] // One row, one line.
pub static TABLE: &[Row] = &[
    row("anthropic-version", Forward, Forward, "The client chooses the version of the API; adding or changing it breaks clients."),
    row("anthropic-beta", Forward, Forward, "Features of the body need their value here; the list changes with each release."),
    row("anthropic-workspace-id", Forward, Forward, "Claude Platform on AWS needs it."),
    row("anthropic-*", Forward, Forward, "An open list: new ones arrive with releases."),
    row("x-claude-code-*", Forward, Forward, "An open list: session, agent and routing hints of Claude Code."),
    row("x-claude-1p-request-class", Forward, Forward, "A routing hint of Claude Code."),
    row("x-stainless-*", Forward, Forward, "What the client library says about itself."),
    row("x-client-request-id", Forward, Forward, "The client's own id of the request."),
    row("x-app", Forward, Forward, "The kind of client."),
    row("user-agent", Forward, Forward, "The client and its version."),
    row("accept", Forward, Forward, "Said by the client; whether an answer streams is decided by the body."),
    row("accept-language", Forward, Forward, "Said by the client."),
    row("content-type", Forward, Forward, "Clients tell streams and answers apart by it."),
    row("content-encoding", Forward, Forward, "Bodies pass as they are, so what they are stays true."),
    row("traceparent", Forward, Forward, "W3C Trace Context: joins the client's trace with the upstream's."),
    row("tracestate", Forward, Forward, "W3C Trace Context."),
    row("baggage", Forward, Forward, "W3C Baggage."),
    row("request-id", Forward, Forward, "The upstream's id of the request; its error bodies repeat it."),
    row("x-request-id", Forward, Forward, "Somebody's id of the request; ours has another name."),
    row("retry-after", Forward, Forward, "Clients wait this long."),
    row("retry-after-ms", Forward, Forward, "Client libraries wait this long."),
    row("x-should-retry", Forward, Forward, "Clients obey it before any rule of their own."),
    row("cache-control", Forward, Forward, "Keeps caches in between from storing or holding back an answer."),
    row("server", Forward, Forward, "Clients name it when an answer makes no sense."),
    row("authorization", Replace, Forward, "A client's credential never leaves; the upstream's is set instead."),
    row("x-api-key", Replace, Forward, "A client's credential never leaves, not even beside another one."),
    row("api-key", Drop, Forward, "A credential in the form of Azure: see x-api-key."),
    row("x-goog-api-key", Drop, Forward, "A credential in the form of Google: see x-api-key."),
    row("x-amz-security-token", Drop, Forward, "A credential in the form of AWS: see x-api-key."),
    row("cookie", Drop, Forward, "A credential of a browser."),
    row("set-cookie", Forward, Drop, "A cookie of the upstream's edge would be kept for the gateway's name."),
    row("origin", Drop, Forward, "The API may refuse cross-origin requests; the gateway is not a browser."),
    row("host", Replace, Forward, "Names the upstream on the way up (RFC 9110 section 7.2)."),
    row("accept-encoding", Replace, Forward, "Only what the usage meter can read: gzip or nothing."),
    row("content-length", Replace, Replace, "Framing: each hop frames anew (RFC 9112 section 6)."),
    row("transfer-encoding", Drop, Replace, "Framing: each hop frames anew (RFC 9112 section 6)."),
    row("trailer", Drop, Drop, "Framing: trailers are not relayed (RFC 9110 section 6.6.2)."),
    row("te", Drop, Drop, "Hop by hop (RFC 9110 section 10.1.4)."),
    row("connection", Drop, Drop, "Hop by hop, as is every header it lists (RFC 9110 section 7.6.1)."),
    row("keep-alive", Drop, Drop, "Hop by hop (RFC 9110 section 7.6.1)."),
    row("proxy-connection", Drop, Drop, "Hop by hop (RFC 9110 section 7.6.1)."),
    row("proxy-authorization", Drop, Drop, "A credential for the first proxy (RFC 9110 section 11.7.2)."),
    row("proxy-authenticate", Drop, Drop, "Speaks to the first client only (RFC 9110 section 11.7.1)."),
    row("proxy-authentication-info", Drop, Drop, "Speaks to the first client only (RFC 9110 section 11.7.3)."),
    row("upgrade", Drop, Drop, "Hop by hop; no upgrade is offered (RFC 9110 section 7.8)."),
    row("http2-settings", Drop, Drop, "Belongs to an upgrade (RFC 7540 section 3.2.1)."),
    row("expect", Drop, Forward, "100-continue is answered here (RFC 9110 section 10.1.1)."),
    row("forwarded", Drop, Forward, "Addresses inside the company stay inside (RFC 7239 section 8.3)."),
    row("x-forwarded-*", Drop, Forward, "Addresses inside the company stay inside."),
    row("x-real-ip", Drop, Forward, "Addresses inside the company stay inside."),
    row("x-client-ip", Drop, Forward, "Addresses inside the company stay inside."),
    row("x-cluster-client-ip", Drop, Forward, "Addresses inside the company stay inside."),
    row("true-client-ip", Drop, Forward, "Addresses inside the company stay inside."),
    row("cf-*", Drop, Forward, "Set by a network edge in front of the gateway; the upstream's edge refuses foreign ones."),
    row("via", Drop, Forward, "Names of proxies inside the company stay inside."),
    row("alt-svc", Forward, Drop, "Would send clients to the upstream's other ports at the gateway's name (RFC 7838)."),
    row("strict-transport-security", Forward, Drop, "A rule for the upstream's name, not for the gateway's (RFC 6797)."),
    row("nel", Forward, Drop, "Would make clients report to the upstream's edge."),
    row("report-to", Forward, Drop, "Would make clients report to the upstream's edge."),
    row("reporting-endpoints", Forward, Drop, "Would make clients report to the upstream's edge."),
];
