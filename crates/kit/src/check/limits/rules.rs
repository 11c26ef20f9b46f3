//! The rules of `tollgate check rate-limit`. `limit.shape` is one of [`crate::check::rules`], as an ordinary check may
//! meet a limit, too.

use crate::finding::rules;

rules! {
    FIGURE = "limit.figure" "Figure" Error true
        "A client is let in as often as was said, within 5 %: so many requests, or tokens, in so much time. Without \
         --rpm and --tpm it is enough that a limit is found.";
    SOURCE = "limit.source" "Whose Refusal" Warning false
        "What refuses is the gateway and not the provider: a limit of the provider is shared by all clients of the \
         gateway, and each of them can use it up.";
    ISOLATION = "limit.isolation" "Isolation" Error false
        "While one credential is refused, another is let in.";
    RETRY_AFTER = "limit.retry_after" "Honest retry-after" Error false
        "Who waits as long as `retry-after` says is let in, and who waits a second less is not. Claude Code waits \
         exactly so long; where it is too short it is refused again, until it gives up.";
    HEADERS = "limit.headers" "Limit Headers" Note false
        "`anthropic-ratelimit-requests-limit`, where a refusal has it, is the limit that the client met and not the \
         provider's.";
}
