//! What all generated gateways share with Tollgate: the headers that do not pass, the errors of their own, the endpoints.

use super::{
    Plan, Refusal,
    plan::{Admits, variable},
};
use std::net::IpAddr;
use tollgate_wire::{
    error::{ErrorType, envelope},
    header::{Action, TABLE},
};

/// Request headers that no gateway lets through, by the table that Tollgate obeys: credentials, and what tells too much.
/// A `*` at the end of a name stands for any rest. What frames a message is the product's own affair, and not listed.
pub(super) fn removed_from_requests() -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(|row| row.request != Action::Forward && !FRAMING.contains(&row.name))
        .map(|row| row.name)
}

/// The same on the way back.
pub(super) fn removed_from_answers() -> impl Iterator<Item = &'static str> {
    TABLE
        .iter()
        .filter(|row| row.response != Action::Forward && !FRAMING.contains(&row.name))
        .map(|row| row.name)
}

/// What every proxy sets for its own connections (RFC 9110 section 7.6.1). `accept-encoding` is among them because only a
/// gateway that reads usage must restrict it.
const FRAMING: [&str; 7] =
    ["host", "accept-encoding", "content-length", "transfer-encoding", "connection", "upgrade", "expect"];

/// Names that stand for a family where a product can name headers only one by one.
pub(super) fn usual_names(name: &'static str) -> Vec<&'static str> {
    match name {
        "x-forwarded-*" => {
            vec![
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-port",
                "x-forwarded-proto",
                "x-forwarded-server",
            ]
        }
        "cf-*" => vec!["cf-connecting-ip", "cf-ipcountry", "cf-ray", "cf-visitor", "cf-worker"],
        "x-tollgate-*" => vec!["x-tollgate-request-id", "x-tollgate-error-source", "x-tollgate-key-warning"],
        one => vec![one],
    }
}

/// An error that a gateway answers by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnError {
    /// The HTTP status.
    pub(super) status: u16,
    kind: ErrorType,
    message: &'static str,
}

/// All of them. Any other error is the API's, and passes as it is.
pub(super) const OWN_ERRORS: [OwnError; 7] = [
    own(400, ErrorType::InvalidRequest, "The gateway can not read the request."),
    own(401, ErrorType::Authentication, "The gateway does not know this credential."),
    own(404, ErrorType::NotFound, "The gateway serves no such endpoint."),
    own(413, ErrorType::RequestTooLarge, "The request is larger than the gateway accepts."),
    own(429, ErrorType::RateLimit, "Your limit of requests at the gateway is reached."),
    own(502, ErrorType::Api, "The gateway can not reach the API."),
    own(504, ErrorType::Timeout, "The API did not answer the gateway in time."),
];

const fn own(status: u16, kind: ErrorType, message: &'static str) -> OwnError {
    OwnError { status, kind, message }
}

impl OwnError {
    /// The one with this status.
    ///
    /// # Panics
    ///
    /// If there is none: callers name constants.
    pub(super) fn of(status: u16) -> Self {
        OWN_ERRORS
            .into_iter()
            .find(|error| error.status == status)
            .expect("gateways answer with it themselves")
    }

    /// Its JSON body in the envelope of the API. `request_id` is the product's own variable for the id of the request.
    pub(super) fn body(self, request_id: &str) -> String {
        String::from_utf8_lossy(&envelope(self.kind, self.message, request_id)).into_owned()
    }
}

/// Refuses an upstream whose certificate is for an address, where the product compares certificates with names alone.
pub(super) fn named(plan: &Plan) -> Result<(), Refusal> {
    let url = &plan.upstream.url;
    if url.tls() && url.host().parse::<IpAddr>().is_ok() {
        return Err(Refusal {
            why: "it compares the certificate of the API with a name, and not with an address",
            cure: "write the name of the host in upstream.url, or generate envoy.",
        });
    }
    Ok(())
}

/// What a product leaves undone that passes bodies on without reading them.
pub(super) fn unread(plan: &Plan) -> Vec<String> {
    let tokens = plan.limits.tokens_per_minute;
    let tokens = tokens
        .map(|tokens| format!("The {tokens} tokens a minute are not enforced: it does not read answers."));
    let models = (!plan.models.is_empty()).then(|| {
        "The models are not enforced: it does not read requests, and the API's whole list is shown."
            .to_owned()
    });
    tokens.into_iter().chain(models).collect()
}

/// Where a product limits by windows, which know no burst. `why` is a clause.
pub(super) fn no_burst(plan: &Plan, why: &str) -> Option<String> {
    let burst = plan.limits.burst;
    (burst > 0).then(|| format!("The burst of {burst} is not kept: {why}."))
}

/// What several products do not do, in the same words.
pub(super) const NAMED_ONE_BY_ONE: &str =
    "Headers are named one by one: others that begin with x-forwarded-, cf- or x-tollgate- pass.";
pub(super) const NO_ACCOUNT: &str = "It keeps no account of tokens or cost.";
pub(super) const NO_ACCOUNT_BUT_A_LOG: &str =
    "It keeps no account of tokens, cost or prompts; its log says who asked, when, and what the status was.";
pub(super) const NO_LENGTH_OF_CHUNKS: &str = "A request in chunks has no length: the API itself refuses one that is too \
                                              large. Claude Code always says the length.";

/// The last step of every gateway.
pub(super) fn prove(plan: &Plan) -> String {
    let token = match plan.admits() {
        Admits::Keys(members) => members.first().map_or_else(String::new, |member| variable(&member.key)),
        Admits::Tokens(_) => "TOKEN".to_owned(),
    };
    format!("Prove it: `tollgate check --url {} --token-env {token}`", plan.client_url())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_wire::header::request_action;

    #[test]
    fn credentials_are_removed_and_what_clients_need_is_not() {
        let removed: Vec<&str> = removed_from_requests().collect();
        for name in
            ["authorization", "x-api-key", "api-key", "cookie", "proxy-authorization", "x-forwarded-*"]
        {
            assert!(removed.contains(&name), "{name}");
        }
        for name in ["anthropic-version", "anthropic-beta", "x-claude-code-*", "accept", "user-agent", "host"]
        {
            assert!(!removed.contains(&name), "{name}");
        }
        assert!(removed_from_answers().any(|name| name == "set-cookie"));
    }

    #[test]
    fn framing_and_families_are_rows_of_the_table() {
        for name in FRAMING {
            assert!(TABLE.iter().any(|row| row.name == name), "{name}");
        }
        for name in removed_from_requests().chain(removed_from_answers()).flat_map(usual_names) {
            assert!(!name.ends_with('*'), "{name} has no usual names");
            let action = request_action(name.as_bytes());
            assert!(action != Action::Forward || TABLE.iter().any(|row| row.name == name), "{name}");
        }
    }
}
