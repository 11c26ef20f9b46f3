//! The table of animals.

use super::habits::{FAITHFUL, Habits};
use super::limiter::{By, Limit, Way};
use super::tls::{Chain, SOUND, Tls, Versions};
use super::{Animal, answers, requests};

/// A row for each animal: its name, what it does, the rules that fail, and the habits by which it differs.
macro_rules! animals {
    ($($name:literal $about:literal [$($fails:literal),*] { $($habit:ident: $value:expr),* };)*) => {
        /// Every animal, the faithful one first.
        pub static ANIMALS: &[Animal] = &[$(Animal {
            name: $name,
            about: $about,
            fails: &[$($fails),*],
            habits: Habits { $($habit: $value,)* ..FAITHFUL },
        }),*];
    };
}

animals! {
    "faithful" "does everything right"
        [] {};

    // Clients and paths.
    "no-auth" "lets everybody in"
        ["status", "auth.none", "auth.refused"] { identify: requests::anybody };
    "accepts-any-token" "lets in whoever presents anything"
        ["status", "auth.refused"] { identify: requests::any_credential };
    "bearer-only" "does not read x-api-key"
        ["auth.api_key", "endpoint.models"] { identify: requests::bearer_only };
    "api-key-only" "does not read authorization"
        ["auth"] { identify: requests::api_key_only };
    "one-header-only" "refuses a client that presents its credential in both headers"
        ["auth.both"] { identify: requests::one_header_only };
    "refuses-with-400" "refuses bad credentials with status 400"
        ["status", "auth.none", "auth.refused"] { refuse: answers::refuse_unknown_with_400 };
    "refuses-in-html" "refuses bad credentials with a page of HTML"
        ["auth.envelope"] { refuse: answers::refuse_unknown_in_html };
    "refuses-for-now" "does not say that a refusal is final"
        ["auth.should_retry"] { refuse: answers::refuse_for_now };
    "answers-any-path" "sends every unknown path to /v1/messages"
        ["endpoint.control"] { route: requests::any_path };
    "no-count-tokens" "does not serve /v1/messages/count_tokens"
        ["endpoint.count_tokens"] { route: requests::without_count_tokens };
    "no-models" "does not serve /v1/models"
        ["endpoint.models"] { route: requests::without_models };
    "slow-models" "takes 4 s for /v1/models"
        ["endpoint.models"] { pause: requests::slow_models };
    "slow-hello" "takes 4 s for /api/hello"
        ["endpoint.hello"] { pause: requests::slow_hello };
    "redirects-to-slash" "redirects every path to the same with a slash at its end"
        ["endpoint", "endpoint.redirect"]
        { instead: requests::redirect_to_slash, route: requests::with_slash };
    "everything-200-stub" "answers everything with 200 and never asks the upstream"
        ["status", "auth.none", "auth.refused"] { identify: requests::anybody, instead: requests::stub_200 };
    "everything-201-stub" "answers everything with 201 and never asks the upstream"
        ["endpoint", "status", "auth.none", "auth.refused"]
        { identify: requests::anybody, instead: requests::stub_201 };

    // What goes upstream.
    "strips-beta" "drops anthropic-beta"
        ["headers", "headers.beta"] { outgoing: requests::strip_beta };
    "filters-beta" "lets only betas through that it knows"
        ["headers.beta"] { outgoing: requests::known_betas_only };
    "small-heads" "refuses heads above 8 KiB"
        ["headers.beta"] { instead: requests::small_heads };
    "fixes-version" "replaces anthropic-version by 2023-06-01"
        ["headers.version"] { outgoing: requests::fix_version };
    "adds-version-when-absent" "adds an anthropic-version where there is none"
        ["headers.version"] { outgoing: requests::add_version };
    "drops-unknown-headers" "forwards a closed list of headers"
        ["headers.hints", "headers.open"] { outgoing: requests::drop_unknown_headers };
    "uses-up-hints" "drops x-claude-code-*"
        ["headers.hints"] { outgoing: requests::use_up_hints };
    "forwards-cookies" "forwards cookies and origin"
        ["headers.hop"] { outgoing: requests::forward_cookies };
    "drops-query" "drops the query"
        ["query.kept"] { outgoing: requests::drop_query };
    "leaks-client-token" "sends the client's credential upstream in x-forwarded-access-token"
        ["auth.leak"] { outgoing: requests::leak_in_a_header_of_its_own };
    "keeps-authorization" "sets x-api-key and lets the client's authorization through"
        ["auth.leak", "auth.two"] { outgoing: requests::keep_authorization };
    "forwards-two-credentials" "sends its own credential in both headers"
        ["auth.two"] { outgoing: requests::send_two_credentials };
    "reserialises-json" "writes the request's JSON anew"
        ["body.bytes"] { outgoing: requests::reserialise };
    "normalises-unicode-escapes" "writes escaped characters as themselves"
        ["body.bytes"] { outgoing: requests::unescape };
    "flattens-system" "makes one text of the entries of system"
        ["body", "body.bytes", "body.large", "body.markup"] { outgoing: requests::flatten_system };
    "caps-at-1-mb" "refuses bodies above 1 MiB"
        ["body.large"] { most_body_bytes: |_| 1024 * 1024 };
    "html-413" "refuses bodies above 32 MiB with a page of HTML"
        ["body.over"] { refuse: answers::refuse_large_in_html };
    "blocks-markup" "refuses prompts that look like markup"
        ["body.markup"] { blocks: requests::looks_like_markup, refuse: answers::refuse_blocked_in_html };
    "retries-errors" "asks the upstream up to three times while it fails"
        ["errors.once"] { tries: 3 };

    // Answers.
    "reserialises-answers" "writes the answer's JSON anew"
        ["body.answer"] { answer: answers::reserialise };
    "leaks-upstream-key" "shows its own credential in its answers"
        ["auth.swap"] { answer: answers::show_upstream_key };
    "answers-201" "answers 201 where the upstream answers 200"
        ["endpoint"] { answer: answers::success_as_created };
    "200-with-error-inside" "answers 200 where the upstream answers an error"
        ["errors.success"] { answer: answers::errors_as_success };
    "rewrites-429-to-503" "answers 503 where the upstream answers 429"
        ["errors.success"] { answer: answers::limited_as_unavailable };
    "wraps-errors" "wraps errors in an envelope of its own"
        ["errors.verbatim"] { answer: answers::wrap_errors };
    "html-errors" "replaces errors by a page of HTML"
        ["errors.verbatim"] { answer: answers::html_errors };
    "drops-retry-after" "drops retry-after"
        ["errors.retry_after"] { answer: answers::drop_retry_after };
    "drops-should-retry" "drops x-should-retry"
        ["errors.retry_after"] { answer: answers::drop_should_retry };
    "drops-request-id" "drops request-id"
        ["errors.retry_after"] { answer: answers::drop_request_id };
    "sends-retry-after-as-date" "turns the seconds of retry-after into a date"
        ["errors.retry_after"] { answer: answers::retry_after_as_date };

    // Streams.
    "buffers-whole" "gives nothing of an answer before it has all"
        ["stream.arrival", "stream.close", "stream.gzip", "stream.pings"] { answer: answers::buffer };
    "buffers-close-delimited-only" "holds answers back that have neither a length nor chunks"
        ["stream.close"] { answer: answers::buffer_close_delimited };
    "gzips-streams" "compresses streams for clients that take gzip, and never flushes"
        ["stream.gzip"] { answer: answers::gzip_streams };
    "stalls-gzip" "holds compressed answers back"
        ["stream.gzip"] { answer: answers::buffer_gzip };
    "swallows-pings" "drops pings"
        ["body.answer", "stream.pings"] { answer: answers::swallow_pings };
    "drops-error-events" "drops error events"
        ["stream.error_event"] { answer: answers::drop_error_events };
    "no-stream" "makes one JSON of every stream"
        ["stream", "body.answer", "stream.arrival", "stream.close", "stream.error_event", "stream.gzip",
         "stream.idle", "stream.pings", "stream.silence"] { answer: answers::no_stream };
    "routes-by-accept" "streams only to clients whose accept says text/event-stream"
        ["stream", "body.answer", "stream.arrival", "stream.close", "stream.error_event", "stream.gzip",
         "stream.idle", "stream.pings", "stream.silence"] { answer: answers::stream_by_accept };
    "clean-ends-cut-streams" "ends a stream properly that was cut"
        ["stream.cut"] { keeps_cuts: false };
    "ends-idle-streams" "cuts streams that are silent for 29 s"
        ["stream.idle"] { idle: |terms| Some(terms.idle) };
    "ends-short-silences" "cuts streams that are silent for 1 s"
        ["stream.idle", "stream.silence"] { idle: |terms| Some(terms.short_idle) };
    "ignores-cancel" "goes on when the client has left"
        ["stream.cancel"] { cancels: false };

    // Limits.
    "fixed-window" "lets 100 requests in within the minute that begins with the first"
        [] { limit: Some(by_client(Way::FixedWindow)) };
    "clock-window" "lets 100 requests in within each minute of the clock"
        [] { limit: Some(by_client(Way::ClockWindow)) };
    "sliding-window" "lets 100 requests in within any minute"
        [] { limit: Some(by_client(Way::SlidingWindow)) };
    "token-bucket" "has a bucket of 10 requests, filled with 100 a minute"
        [] { limit: Some(by_client(Way::TokenBucket)) };
    "gcra" "lets 100 requests a minute in, each early by the time of 10"
        [] { limit: Some(by_client(Way::Gcra)) };
    "limits-concurrency" "lets 10 requests in at once, as often as they like"
        ["limit.figure"] { limit: Some(by_client(Way::AtOnce)) };
    "counts-refused" "lets 100 requests in within any minute, and counts those that it refuses"
        [] { limit: Some(by_client(Way::CountsRefused)) };
    "tokens-per-minute" "lets requests in until 10,000 tokens were used within a minute"
        [] { limit: Some(by_client(Way::Tokens)) };
    "over-admits" "lets 20 % more in than it should"
        ["limit.figure"] { limit: Some(Limit { percent: 120, ..WINDOW }) };
    "under-admits" "lets half of what it should in"
        ["limit.figure"] { limit: Some(Limit { percent: 50, ..WINDOW }) };
    "shared-between-keys" "counts all clients together"
        ["limit.isolation"] { limit: Some(Limit { by: By::Nothing, ..WINDOW }) };
    "limits-per-connection" "counts each connection by itself"
        ["limit.figure"] { limit: Some(Limit { by: By::Connection, ..WINDOW }) };
    "429-without-retry-after" "does not say when there is room again"
        ["limit.shape"] { limit: Some(WINDOW), refuse: answers::limited_without_retry_after };
    "429-in-html" "says that there is no room in a page of HTML"
        ["limit.shape"] { limit: Some(WINDOW), refuse: answers::limited_in_html };
    "dishonest-retry-after" "always says that there is room in a second"
        ["limit.retry_after"] { limit: Some(WINDOW), refuse: answers::limited_with_false_retry_after };

    // Encryption.
    "faithful-over-tls" "does everything right, and speaks TLS"
        [] { tls: Some(SOUND) };
    "takes-old-tls" "agrees to TLS 1.0 and 1.1"
        ["tls.version"] { tls: Some(Tls { versions: Versions::OldToo, ..SOUND }) };
    "speaks-old-tls-only" "speaks TLS 1.0 and 1.1, and nothing newer"
        ["endpoint", "tls.version"] { tls: Some(Tls { versions: Versions::OldOnly, ..SOUND }) };
    "expired-certificate" "shows a certificate that ended yesterday"
        ["endpoint", "tls.chain"] { tls: Some(Tls { good_days: (-90, -1), ..SOUND }) };
    "future-certificate" "shows a certificate that is good from tomorrow on"
        ["endpoint", "tls.chain"] { tls: Some(Tls { good_days: (1, 90), ..SOUND }) };
    "certificate-ends-soon" "shows a certificate that ends in five days"
        ["tls.chain"] { tls: Some(Tls { good_days: (-85, 5), ..SOUND }) };
    "certificate-of-another" "shows a certificate for another host"
        ["endpoint", "tls.chain"] { tls: Some(Tls { host: Some("another.example"), ..SOUND }) };
    "incomplete-chain" "does not show the certificate between its own and the authority's"
        ["endpoint", "tls.chain"] { tls: Some(Tls { chain: Chain::WithoutIntermediate, ..SOUND }) };
    "unknown-authority" "shows a certificate of an authority that its clients do not know"
        ["endpoint", "tls.chain"] { tls: Some(Tls { chain: Chain::OfAStranger, ..SOUND }) };
    "self-signed" "shows a certificate that has signed itself"
        ["endpoint", "tls.chain"] { tls: Some(Tls { chain: Chain::SelfSigned, ..SOUND }) };
}

/// So many requests in any minute, for each client.
const WINDOW: Limit = by_client(Way::SlidingWindow);

const fn by_client(way: Way) -> Limit {
    Limit { way, by: By::Client, percent: 100 }
}
