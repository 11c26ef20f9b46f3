//! Which product a gateway seems to be, told by its answers.

use crate::exchange::Answer;

/// Where a product shows itself.
enum Sign {
    /// A header of this name.
    Header(&'static str),
    /// A header whose value holds this, in any case.
    Value(&'static str, &'static str),
    /// A body that holds this.
    Body(&'static str),
}

use Sign::{Body, Header, Value};

/// Each product and one of its signs; the first that is seen decides. What stands in front of a gateway comes after
/// the gateways, and Cloudflare last, because it stands in front of the provider too.
#[rustfmt::skip] // One row, one line.
static SIGNS: &[(&str, Sign)] = &[
    ("Tollgate", Header("x-tollgate-request-id")),
    ("LiteLLM", Header("x-litellm-call-id")),
    ("LiteLLM", Header("x-litellm-version")),
    ("LiteLLM", Body("litellm.")),
    ("Kong", Header("x-kong-request-id")),
    ("Kong", Header("x-kong-response-latency")),
    ("Kong", Value("server", "kong/")),
    ("Kong", Value("via", "kong/")),
    ("Zuplo", Header("zp-rid")),
    ("TrueFoundry", Header("x-tfy-trace-id")),
    ("TrueFoundry", Header("x-tfy-resolved-model")),
    ("Apigee", Header("x-apigee-message-id")),
    ("Apigee", Body("\"errorcode\":\"steps.")),
    ("Apigee", Body("\"errorcode\":\"messaging.")),
    ("AWS API Gateway", Header("x-amz-apigw-id")),
    ("AWS API Gateway", Header("apigw-requestid")),
    ("AWS API Gateway", Body("Missing Authentication Token")),
    ("Azure API Management", Body("Access denied due to missing subscription key")),
    ("Azure API Management", Body("Access denied due to invalid subscription key")),
    ("Azure API Management", Value("request-context", "appid=cid")),
    ("Portkey", Header("x-portkey-trace-id")),
    ("Traefik", Value("server", "traefik")),
    ("Envoy", Header("x-envoy-upstream-service-time")),
    ("Envoy", Value("server", "envoy")),
    ("Envoy", Value("server", "istio-envoy")),
    ("Envoy", Body("upstream connect error or disconnect/reset before headers")),
    ("Caddy", Value("server", "caddy")),
    ("Caddy", Value("via", "caddy")),
    ("HAProxy", Body("No server is available to handle this request.")),
    ("HAProxy", Body("You need a valid user and password to access this content.")),
    ("nginx", Value("server", "nginx")),
    ("nginx", Value("server", "openresty")),
    ("nginx", Body("<center>nginx")),
    ("Cloudflare", Value("server", "cloudflare")),
];

/// Every product that can be told.
#[cfg(test)]
pub(super) fn names() -> std::collections::BTreeSet<&'static str> {
    SIGNS.iter().map(|(product, _)| *product).collect()
}

/// The product behind these answers.
pub(super) fn detect(answers: &[Answer]) -> Option<&'static str> {
    let seen = |sign: &Sign| answers.iter().any(|answer| shows(answer, sign));
    SIGNS.iter().find(|(_, sign)| seen(sign)).map(|(product, _)| *product)
}

fn shows(answer: &Answer, sign: &Sign) -> bool {
    let value = |name: &str, part: &str| {
        answer.headers.iter().any(|(given, value)| given == name && value.to_ascii_lowercase().contains(part))
    };
    match sign {
        Header(name) => answer.header(name).is_some(),
        Value(name, part) => value(name, part),
        // A message may talk about any product; only errors are asked for their author.
        Body(part) => answer.status >= 400 && answer.text().contains(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{End, Piece};
    use std::time::Duration;

    fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let pieces = vec![Piece { at: Duration::ZERO, bytes: body.into() }];
        Answer { status, headers, head_at: Duration::ZERO, pieces, end: End::Whole }
    }

    #[test]
    fn products_are_told_by_their_answers() {
        let rows: [(Answer, Option<&str>); 8] = [
            (answer(200, &[("server", "nginx/1.22.1")], ""), Some("nginx")),
            (answer(200, &[("server", "nginx"), ("x-kong-request-id", "1")], ""), Some("Kong")),
            (answer(200, &[("via", "1.1 Caddy")], ""), Some("Caddy")),
            (answer(200, &[("server", "cloudflare"), ("zp-rid", "1")], ""), Some("Zuplo")),
            (answer(403, &[], r#"{"message":"Missing Authentication Token"}"#), Some("AWS API Gateway")),
            (answer(200, &[], "<center>nginx</center>"), None),
            (answer(502, &[], "<center>nginx</center>"), Some("nginx")),
            (answer(200, &[("server", "unheard-of")], ""), None),
        ];
        for (answer, product) in rows {
            assert_eq!(detect(std::slice::from_ref(&answer)), product, "{answer:?}");
        }
    }
}
