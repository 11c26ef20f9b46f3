//! The table of animals.

use super::habits::{FAITHFUL, Habits};
use super::limiter::{By, Limit, Way};
use super::{Animal, answers, requests};

/// Every animal, the faithful one first.
pub static ANIMALS: &[Animal] = &[
    animal("faithful", "does everything right", &[], FAITHFUL),
    // Clients and paths.
    animal(
        "no-auth",
        "lets everybody in",
        &["status", "auth.none", "auth.refused"],
        Habits { identify: requests::anybody, ..FAITHFUL },
    ),
    animal(
        "accepts-any-token",
        "lets in whoever presents anything",
        &["status", "auth.refused"],
        Habits { identify: requests::any_credential, ..FAITHFUL },
    ),
    animal(
        "bearer-only",
        "does not read x-api-key",
        &["auth.api_key", "endpoint.models"],
        Habits { identify: requests::bearer_only, ..FAITHFUL },
    ),
    animal(
        "api-key-only",
        "does not read authorization",
        &["auth"],
        Habits { identify: requests::api_key_only, ..FAITHFUL },
    ),
    animal(
        "one-header-only",
        "refuses a client that presents its credential in both headers",
        &["auth.both"],
        Habits { identify: requests::one_header_only, ..FAITHFUL },
    ),
    animal(
        "refuses-with-400",
        "refuses bad credentials with status 400",
        &["status", "auth.none", "auth.refused"],
        Habits { refuse: answers::refuse_unknown_with_400, ..FAITHFUL },
    ),
    animal(
        "refuses-in-html",
        "refuses bad credentials with a page of HTML",
        &["auth.envelope"],
        Habits { refuse: answers::refuse_unknown_in_html, ..FAITHFUL },
    ),
    animal(
        "refuses-for-now",
        "does not say that a refusal is final",
        &["auth.should_retry"],
        Habits { refuse: answers::refuse_for_now, ..FAITHFUL },
    ),
    animal(
        "answers-any-path",
        "sends every unknown path to /v1/messages",
        &["endpoint.control"],
        Habits { route: requests::any_path, ..FAITHFUL },
    ),
    animal(
        "no-count-tokens",
        "does not serve /v1/messages/count_tokens",
        &["endpoint.count_tokens"],
        Habits { route: requests::without_count_tokens, ..FAITHFUL },
    ),
    animal(
        "no-models",
        "does not serve /v1/models",
        &["endpoint.models"],
        Habits { route: requests::without_models, ..FAITHFUL },
    ),
    animal(
        "slow-models",
        "takes 4 s for /v1/models",
        &["endpoint.models"],
        Habits { pause: requests::slow_models, ..FAITHFUL },
    ),
    animal(
        "slow-hello",
        "takes 4 s for /api/hello",
        &["endpoint.hello"],
        Habits { pause: requests::slow_hello, ..FAITHFUL },
    ),
    animal(
        "redirects-to-slash",
        "redirects every path to the same with a slash at its end",
        &["endpoint", "endpoint.redirect"],
        Habits { instead: requests::redirect_to_slash, route: requests::with_slash, ..FAITHFUL },
    ),
    animal(
        "everything-200-stub",
        "answers everything with 200 and never asks the upstream",
        &["status", "auth.none", "auth.refused"],
        Habits { identify: requests::anybody, instead: requests::stub_200, ..FAITHFUL },
    ),
    animal(
        "everything-201-stub",
        "answers everything with 201 and never asks the upstream",
        &["endpoint", "status", "auth.none", "auth.refused"],
        Habits { identify: requests::anybody, instead: requests::stub_201, ..FAITHFUL },
    ),
    // What goes upstream.
    animal(
        "strips-beta",
        "drops anthropic-beta",
        &["headers", "headers.beta"],
        Habits { outgoing: requests::strip_beta, ..FAITHFUL },
    ),
    animal(
        "filters-beta",
        "lets only betas through that it knows",
        &["headers.beta"],
        Habits { outgoing: requests::known_betas_only, ..FAITHFUL },
    ),
    animal(
        "small-heads",
        "refuses heads above 8 KiB",
        &["headers.beta"],
        Habits { instead: requests::small_heads, ..FAITHFUL },
    ),
    animal(
        "fixes-version",
        "replaces anthropic-version by 2023-06-01",
        &["headers.version"],
        Habits { outgoing: requests::fix_version, ..FAITHFUL },
    ),
    animal(
        "adds-version-when-absent",
        "adds an anthropic-version where there is none",
        &["headers.version"],
        Habits { outgoing: requests::add_version, ..FAITHFUL },
    ),
    animal(
        "drops-unknown-headers",
        "forwards a closed list of headers",
        &["headers.hints", "headers.open"],
        Habits { outgoing: requests::drop_unknown_headers, ..FAITHFUL },
    ),
    animal(
        "uses-up-hints",
        "drops x-claude-code-*",
        &["headers.hints"],
        Habits { outgoing: requests::use_up_hints, ..FAITHFUL },
    ),
    animal(
        "forwards-cookies",
        "forwards cookies and origin",
        &["headers.hop"],
        Habits { outgoing: requests::forward_cookies, ..FAITHFUL },
    ),
    animal(
        "drops-query",
        "drops the query",
        &["query.kept"],
        Habits { outgoing: requests::drop_query, ..FAITHFUL },
    ),
    animal(
        "leaks-client-token",
        "sends the client's credential upstream in x-forwarded-access-token",
        &["auth.leak"],
        Habits { outgoing: requests::leak_in_a_header_of_its_own, ..FAITHFUL },
    ),
    animal(
        "keeps-authorization",
        "sets x-api-key and lets the client's authorization through",
        &["auth.leak", "auth.two"],
        Habits { outgoing: requests::keep_authorization, ..FAITHFUL },
    ),
    animal(
        "forwards-two-credentials",
        "sends its own credential in both headers",
        &["auth.two"],
        Habits { outgoing: requests::send_two_credentials, ..FAITHFUL },
    ),
    animal(
        "reserialises-json",
        "writes the request's JSON anew",
        &["body.bytes"],
        Habits { outgoing: requests::reserialise, ..FAITHFUL },
    ),
    animal(
        "normalises-unicode-escapes",
        "writes escaped characters as themselves",
        &["body.bytes"],
        Habits { outgoing: requests::unescape, ..FAITHFUL },
    ),
    animal(
        "flattens-system",
        "makes one text of the entries of system",
        &["body", "body.bytes", "body.large", "body.markup"],
        Habits { outgoing: requests::flatten_system, ..FAITHFUL },
    ),
    animal(
        "caps-at-1-mb",
        "refuses bodies above 1 MiB",
        &["body.large"],
        Habits { most_body_bytes: |_| 1024 * 1024, ..FAITHFUL },
    ),
    animal(
        "html-413",
        "refuses bodies above 32 MiB with a page of HTML",
        &["body.over"],
        Habits { refuse: answers::refuse_large_in_html, ..FAITHFUL },
    ),
    animal(
        "blocks-markup",
        "refuses prompts that look like markup",
        &["body.markup"],
        Habits { blocks: requests::looks_like_markup, refuse: answers::refuse_blocked_in_html, ..FAITHFUL },
    ),
    animal(
        "retries-errors",
        "asks the upstream up to three times while it fails",
        &["errors.once"],
        Habits { tries: 3, ..FAITHFUL },
    ),
    // Answers.
    animal(
        "reserialises-answers",
        "writes the answer's JSON anew",
        &["body.answer"],
        Habits { answer: answers::reserialise, ..FAITHFUL },
    ),
    animal(
        "leaks-upstream-key",
        "shows its own credential in its answers",
        &["auth.swap"],
        Habits { answer: answers::show_upstream_key, ..FAITHFUL },
    ),
    animal(
        "answers-201",
        "answers 201 where the upstream answers 200",
        &["endpoint"],
        Habits { answer: answers::success_as_created, ..FAITHFUL },
    ),
    animal(
        "200-with-error-inside",
        "answers 200 where the upstream answers an error",
        &["errors.success"],
        Habits { answer: answers::errors_as_success, ..FAITHFUL },
    ),
    animal(
        "rewrites-429-to-503",
        "answers 503 where the upstream answers 429",
        &["errors.success"],
        Habits { answer: answers::limited_as_unavailable, ..FAITHFUL },
    ),
    animal(
        "wraps-errors",
        "wraps errors in an envelope of its own",
        &["errors.verbatim"],
        Habits { answer: answers::wrap_errors, ..FAITHFUL },
    ),
    animal(
        "html-errors",
        "replaces errors by a page of HTML",
        &["errors.verbatim"],
        Habits { answer: answers::html_errors, ..FAITHFUL },
    ),
    animal(
        "drops-retry-after",
        "drops retry-after",
        &["errors.retry_after"],
        Habits { answer: answers::drop_retry_after, ..FAITHFUL },
    ),
    animal(
        "drops-should-retry",
        "drops x-should-retry",
        &["errors.retry_after"],
        Habits { answer: answers::drop_should_retry, ..FAITHFUL },
    ),
    animal(
        "drops-request-id",
        "drops request-id",
        &["errors.retry_after"],
        Habits { answer: answers::drop_request_id, ..FAITHFUL },
    ),
    animal(
        "sends-retry-after-as-date",
        "turns the seconds of retry-after into a date",
        &["errors.retry_after"],
        Habits { answer: answers::retry_after_as_date, ..FAITHFUL },
    ),
    // Streams.
    animal(
        "buffers-whole",
        "gives nothing of an answer before it has all",
        &["stream.arrival", "stream.close", "stream.gzip", "stream.pings"],
        Habits { answer: answers::buffer, ..FAITHFUL },
    ),
    animal(
        "buffers-close-delimited-only",
        "holds answers back that have neither a length nor chunks",
        &["stream.close"],
        Habits { answer: answers::buffer_close_delimited, ..FAITHFUL },
    ),
    animal(
        "gzips-streams",
        "compresses streams for clients that take gzip, and never flushes",
        &["stream.gzip"],
        Habits { answer: answers::gzip_streams, ..FAITHFUL },
    ),
    animal(
        "stalls-gzip",
        "holds compressed answers back",
        &["stream.gzip"],
        Habits { answer: answers::buffer_gzip, ..FAITHFUL },
    ),
    animal(
        "swallows-pings",
        "drops pings",
        &["body.answer", "stream.pings"],
        Habits { answer: answers::swallow_pings, ..FAITHFUL },
    ),
    animal(
        "drops-error-events",
        "drops error events",
        &["stream.error_event"],
        Habits { answer: answers::drop_error_events, ..FAITHFUL },
    ),
    animal(
        "no-stream",
        "makes one JSON of every stream",
        &[
            "stream",
            "body.answer",
            "stream.arrival",
            "stream.close",
            "stream.error_event",
            "stream.gzip",
            "stream.idle",
            "stream.pings",
            "stream.silence",
        ],
        Habits { answer: answers::no_stream, ..FAITHFUL },
    ),
    animal(
        "routes-by-accept",
        "streams only to clients whose accept says text/event-stream",
        &[
            "stream",
            "body.answer",
            "stream.arrival",
            "stream.close",
            "stream.error_event",
            "stream.gzip",
            "stream.idle",
            "stream.pings",
            "stream.silence",
        ],
        Habits { answer: answers::stream_by_accept, ..FAITHFUL },
    ),
    animal(
        "clean-ends-cut-streams",
        "ends a stream properly that was cut",
        &["stream.cut"],
        Habits { keeps_cuts: false, ..FAITHFUL },
    ),
    animal(
        "ends-idle-streams",
        "cuts streams that are silent for 29 s",
        &["stream.idle"],
        Habits { idle: |terms| Some(terms.idle), ..FAITHFUL },
    ),
    animal(
        "ends-short-silences",
        "cuts streams that are silent for 1 s",
        &["stream.idle", "stream.silence"],
        Habits { idle: |terms| Some(terms.short_idle), ..FAITHFUL },
    ),
    animal(
        "ignores-cancel",
        "goes on when the client has left",
        &["stream.cancel"],
        Habits { cancels: false, ..FAITHFUL },
    ),
    // Limits.
    animal(
        "fixed-window",
        "lets 100 requests in within the minute that begins with the first",
        &[],
        Habits { limit: Some(by_client(Way::FixedWindow)), ..FAITHFUL },
    ),
    animal(
        "clock-window",
        "lets 100 requests in within each minute of the clock",
        &[],
        Habits { limit: Some(by_client(Way::ClockWindow)), ..FAITHFUL },
    ),
    animal(
        "sliding-window",
        "lets 100 requests in within any minute",
        &[],
        Habits { limit: Some(by_client(Way::SlidingWindow)), ..FAITHFUL },
    ),
    animal(
        "token-bucket",
        "has a bucket of 10 requests, filled with 100 a minute",
        &[],
        Habits { limit: Some(by_client(Way::TokenBucket)), ..FAITHFUL },
    ),
    animal(
        "gcra",
        "lets 100 requests a minute in, each early by the time of 10",
        &[],
        Habits { limit: Some(by_client(Way::Gcra)), ..FAITHFUL },
    ),
    animal(
        "tokens-per-minute",
        "lets requests in until 10,000 tokens were used within a minute",
        &[],
        Habits { limit: Some(by_client(Way::Tokens)), ..FAITHFUL },
    ),
    animal(
        "over-admits",
        "lets 20 % more in than it should",
        &["limit.figure"],
        Habits { limit: Some(Limit { percent: 120, ..WINDOW }), ..FAITHFUL },
    ),
    animal(
        "under-admits",
        "lets half of what it should in",
        &["limit.figure"],
        Habits { limit: Some(Limit { percent: 50, ..WINDOW }), ..FAITHFUL },
    ),
    animal(
        "shared-between-keys",
        "counts all clients together",
        &["limit.isolation"],
        Habits { limit: Some(Limit { by: By::Nothing, ..WINDOW }), ..FAITHFUL },
    ),
    animal(
        "limits-per-connection",
        "counts each connection by itself",
        &["limit.figure"],
        Habits { limit: Some(Limit { by: By::Connection, ..WINDOW }), ..FAITHFUL },
    ),
    animal(
        "429-without-retry-after",
        "does not say when there is room again",
        &["limit.shape"],
        Habits { limit: Some(WINDOW), refuse: answers::limited_without_retry_after, ..FAITHFUL },
    ),
    animal(
        "429-in-html",
        "says that there is no room in a page of HTML",
        &["limit.shape"],
        Habits { limit: Some(WINDOW), refuse: answers::limited_in_html, ..FAITHFUL },
    ),
    animal(
        "dishonest-retry-after",
        "always says that there is room in a second",
        &["limit.retry_after"],
        Habits { limit: Some(WINDOW), refuse: answers::limited_with_false_retry_after, ..FAITHFUL },
    ),
];

/// So many requests in any minute, for each client.
const WINDOW: Limit = by_client(Way::SlidingWindow);

const fn by_client(way: Way) -> Limit {
    Limit { way, by: By::Client, percent: 100 }
}

const fn animal(
    name: &'static str,
    about: &'static str,
    fails: &'static [&'static str],
    habits: Habits,
) -> Animal {
    Animal { name, about, fails, habits }
}
