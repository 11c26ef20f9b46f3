//! Questions that need no credential: is the gateway alive, is it ready, and the clients' connection warm-up.

use tollgate_wire::endpoint::Endpoint;

use crate::Shared;
use crate::answer::Answer;
use crate::inbound::Inbound;

/// The answer, where the request is such a question.
pub(crate) fn answer(shared: &Shared, inbound: &Inbound<'_>) -> Option<Answer> {
    let text = |status, text: &'static str| {
        Some(Answer::own(status, "text/plain; charset=utf-8", text, inbound.request))
    };
    let reads = matches!(inbound.head.method(), "GET" | "HEAD");
    match inbound.head.path() {
        "/healthz" if reads => text(200, "ok\n"),
        "/readyz" if reads => match shared.unready() {
            None => text(200, "ready\n"),
            Some(reason) => text(503, reason),
        },
        _ if inbound.endpoint == Endpoint::Hello => text(200, ""),
        _ => None,
    }
}
