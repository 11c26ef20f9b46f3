//! What helps where a rule does not hold: a table, in the words of the product where it is known.

use crate::finding::Rule;

/// Rule, product, cure. Without a product, the cure for all others.
#[rustfmt::skip] // One row, one entry.
static CURES: &[(&str, &str, &str)] = &[
    ("endpoint", "", "route POST /v1/messages, with any query, to the upstream's /v1/messages."),
    ("endpoint", "nginx", "location = /v1/messages { proxy_pass https://api.anthropic.com; proxy_ssl_server_name on; }"),
    ("endpoint", "Kong", "a route with paths: [/v1/messages], strip_path: false, and a service with url: https://api.anthropic.com."),
    ("endpoint", "AWS API Gateway", "a resource /v1/messages with the method POST and an HTTP_PROXY integration, and deploy the stage."),
    ("headers", "", "forward anthropic-version, anthropic-beta and content-type as they come; neither set nor filter them."),
    ("headers", "Kong", "request-transformer: no `replace` or `remove` for anthropic-version and anthropic-beta; headers pass by themselves."),
    ("headers", "nginx", "no proxy_set_header for anthropic-*: nginx forwards request headers by itself."),
    ("headers", "AWS API Gateway", "no mapping to integration.request.header.anthropic-*: HTTP_PROXY passes headers by itself."),
    ("body", "", "forward bodies as they come; leave out every plug-in that transforms requests or answers."),
    ("body", "LiteLLM", "use the pass-through route /anthropic, which does not translate bodies."),
    ("status", "", "answer a bad credential with 401."),
    ("status", "nginx", "return 401, not 444 or a redirect to a login page, where the credential is not in the map."),
    ("stream", "", "forward the answer as it comes, with its content-type, and do not buffer it."),
    ("auth", "", "accept the gateway's credential in `Authorization: Bearer`, and check the credential itself with `tollgate doctor auth`."),
    ("auth", "Kong", "key-auth takes the raw header: a key sent as a bearer is not found. Use the jwt or openid-connect plug-in, or take `Bearer ` off in a pre-function."),
    ("auth", "AWS API Gateway", "API keys are read from x-api-key only: for bearers use a Lambda or JWT authorizer with the key source AUTHORIZER."),
    ("endpoint.control", "", "answer paths that are not served with 404."),
    ("endpoint.count_tokens", "", "route POST /v1/messages/count_tokens too."),
    ("endpoint.models", "", "route GET /v1/models too, and accept either credential header there."),
    ("endpoint.hello", "", "answer HEAD requests at once, with any status."),
    ("endpoint.redirect", "", "serve the URL that clients use; do not redirect to another one, not even from http to https."),
    ("query.kept", "", "forward path and query as they came."),
    ("query.kept", "nginx", "proxy_pass with a variable or a path drops the query: write it without a path, or append $is_args$args."),
    ("query.kept", "HAProxy", "http-request set-path keeps the query, set-uri does not."),
    ("headers.version", "", "forward anthropic-version as it comes; do not set it. Clients send more than one version."),
    ("headers.version", "Kong", "take `anthropic-version` out of request-transformer's `add` and `replace`."),
    ("headers.version", "AWS API Gateway", "delete the mapping of anthropic-version to a constant."),
    ("headers.beta", "", "forward anthropic-beta whole; keep no list of allowed values, and allow headers of 32 KB."),
    ("headers.beta", "nginx", "large_client_header_buffers 8 32k; and no proxy_set_header for anthropic-beta."),
    ("headers.beta", "AWS API Gateway", "request line and headers are held at 10,240 bytes there, which can not be raised."),
    ("headers.open", "", "forward every anthropic-* header: the list grows with each release."),
    ("headers.hints", "", "forward x-claude-code-*, x-stainless-*, x-app and user-agent, so that the provider's records can be joined."),
    ("headers.hop", "", "remove origin, cookie and hop-by-hop headers before the upstream."),
    ("headers.hop", "nginx", "proxy_set_header Origin \"\"; proxy_set_header Cookie \"\"; proxy_set_header TE \"\";"),
    ("body.bytes", "", "forward the received bytes; do not parse and write the JSON anew."),
    ("body.bytes", "Kong", "request-transformer's body operations and the ai-* plug-ins write JSON anew: leave them out."),
    ("body.bytes", "Zuplo", "forward the request itself; `new ZuploRequest(..., { body: JSON.stringify(...) })` writes it anew."),
    ("body.bytes", "LiteLLM", "use the pass-through route /anthropic, which does not write bodies anew."),
    ("body.answer", "", "forward the received bytes; do not parse, wrap or compress answers."),
    ("body.answer", "nginx", "gzip off; and no sub_filter for this location."),
    ("body.large", "", "allow request bodies of 32 MiB."),
    ("body.large", "nginx", "client_max_body_size 32m; proxy_request_buffering off; (the default is 1m)."),
    ("body.large", "Kong", "request-size-limiting: allowed_payload_size 32 or more; nginx_http_client_max_body_size 32m or 0."),
    ("body.large", "AWS API Gateway", "request payloads are held at 10 MB there, which can not be raised: put large requests through another gateway."),
    ("body.large", "Apigee", "payloads are held at 30 MB there (10 MB on Edge), which is below the API's 32 MiB."),
    ("body.over", "", "answer 413 with {\"type\":\"error\",\"error\":{\"type\":\"request_too_large\",\"message\":\"...\"}} in JSON."),
    ("body.over", "nginx", "error_page 413 to a named location that returns the JSON."),
    ("body.markup", "", "exempt /v1/messages from the inspection of bodies by the web application firewall."),
    ("body.markup", "AWS API Gateway", "exempt the path from the WAF rule CrossSiteScripting_Body and its like."),
    ("body.markup", "nginx", "SecRuleEngine Off for this location, where ModSecurity is loaded."),
    ("body.markup", "Cloudflare", "a WAF rule that skips managed rules for the path /v1/messages."),
    ("auth.api_key", "", "accept the gateway's credential in x-api-key too."),
    ("auth.api_key", "Kong", "key-auth: key_names: [x-api-key]."),
    ("auth.both", "", "accept a request whose credential is in both headers; one valid one is enough."),
    ("auth.refused", "", "check the credential before the request is forwarded."),
    ("auth.refused", "nginx", "map the token to a consumer and return 401 where there is none."),
    ("auth.refused", "Kong", "enable an authentication plug-in on the route, without `anonymous`."),
    ("auth.none", "", "refuse requests without a credential, with 401."),
    ("auth.envelope", "", "answer {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"...\"}} in JSON."),
    ("auth.envelope", "nginx", "error_page 401 to a named location that returns the JSON."),
    ("auth.envelope", "Kong", "Kong's own 401 is {\"message\":...}: rewrite it in a post-function or an exit-transformer."),
    ("auth.envelope", "Zuplo", "Zuplo's own errors are application/problem+json: rewrite them in an outbound policy."),
    ("auth.envelope", "AWS API Gateway", "gateway responses for UNAUTHORIZED and ACCESS_DENIED with the API's JSON as body template."),
    ("auth.should_retry", "", "send `x-should-retry: false` with 401."),
    ("auth.leak", "", "remove Authorization and x-api-key, both, before the upstream's credential is set."),
    ("auth.leak", "nginx", "proxy_set_header Authorization \"\"; proxy_set_header X-Api-Key <the upstream's key>;"),
    ("auth.leak", "Kong", "key-auth: hide_credentials: true; request-transformer: remove authorization, then replace and add x-api-key. `add` alone does nothing where the client sends the header."),
    ("auth.leak", "Envoy", "request_headers_to_remove: [authorization]; request_headers_to_add x-api-key with OVERWRITE_IF_EXISTS_OR_ADD."),
    ("auth.leak", "HAProxy", "http-request del-header authorization; http-request set-header x-api-key ..."),
    ("auth.leak", "Caddy", "header_up -Authorization and header_up X-Api-Key {the upstream's key}."),
    ("auth.leak", "Zuplo", "remove-headers-inbound for authorization and x-api-key before set-headers-inbound."),
    ("auth.leak", "AWS API Gateway", "map integration.request.header.Authorization to '' and integration.request.header.x-api-key to the upstream's key."),
    ("auth.two", "", "remove both credential headers of the client, then set one."),
    ("auth.two", "nginx", "proxy_set_header Authorization \"\"; proxy_set_header X-Api-Key <the upstream's key>;"),
    ("auth.swap", "", "do not echo request headers, and keep debugging output out of answers."),
    ("errors.verbatim", "", "forward the upstream's error bodies; do not replace or wrap them."),
    ("errors.verbatim", "nginx", "proxy_intercept_errors off; (the default), so that error_page is for nginx's own errors."),
    ("errors.verbatim", "HAProxy", "no http-error or http-response return for statuses of the upstream."),
    ("errors.verbatim", "Apigee", "no RaiseFault in the FaultRules of the target for the upstream's statuses; success.codes 1xx,2xx,3xx,4xx,5xx."),
    ("errors.retry_after", "", "forward retry-after, x-should-retry and request-id of the upstream."),
    ("errors.success", "", "forward the upstream's status."),
    ("errors.once", "", "switch retries off: clients retry by themselves."),
    ("errors.once", "nginx", "proxy_next_upstream off;"),
    ("errors.once", "Kong", "service: retries: 0."),
    ("errors.once", "Envoy", "no retry_policy on the route."),
    ("errors.once", "HAProxy", "retries 0, and no retry-on."),
    ("errors.once", "LiteLLM", "num_retries: 0 in router_settings and litellm_settings."),
    ("stream.arrival", "", "switch the buffering of answers off."),
    ("stream.arrival", "nginx", "proxy_buffering off; proxy_http_version 1.1; gzip off;"),
    ("stream.arrival", "Kong", "route: response_buffering: false."),
    ("stream.arrival", "Caddy", "reverse_proxy { flush_interval -1 }"),
    ("stream.arrival", "AWS API Gateway", "responseTransferMode: STREAM on a REST API; HTTP APIs can not stream."),
    ("stream.arrival", "Apigee", "response.streaming.enabled true on both endpoints, and no policy that reads the payload."),
    ("stream.close", "", "switch the buffering of answers off, also for those that end with the connection."),
    ("stream.close", "nginx", "proxy_buffering off; (chunks pass even with it on, which hides it)."),
    ("stream.close", "Kong", "route: response_buffering: false."),
    ("stream.gzip", "", "do not compress event streams, and do not hold back those that are compressed."),
    ("stream.gzip", "nginx", "proxy_buffering off; gzip off;"),
    ("stream.pings", "", "forward every event, pings and comments too, at once."),
    ("stream.silence", "", "allow a stream to be silent for 310 s or more."),
    ("stream.silence", "nginx", "proxy_read_timeout 600s;"),
    ("stream.silence", "HAProxy", "timeout server 600s, timeout client 600s."),
    ("stream.silence", "Envoy", "timeout: 0s on the route, idle_timeout and stream_idle_timeout: 600s."),
    ("stream.silence", "Kong", "service: read_timeout: 600000, write_timeout: 600000."),
    ("stream.idle", "", "allow a stream to be silent for 310 s or more."),
    ("stream.idle", "nginx", "proxy_read_timeout 600s; (the default is 60s)."),
    ("stream.idle", "Kong", "service: read_timeout: 600000 (the default is 60000)."),
    ("stream.idle", "Envoy", "timeout: 0s on the route (the default is 15s), stream_idle_timeout: 600s (5 min)."),
    ("stream.idle", "HAProxy", "timeout server 600s, timeout client 600s."),
    ("stream.idle", "AWS API Gateway", "a regional or private endpoint waits 5 min, an edge-optimised one 30 s: use a regional one, and expect the rest."),
    ("stream.error_event", "", "forward the event and end; append nothing of your own."),
    ("stream.cut", "", "where the upstream breaks off, close the connection without the last chunk."),
    ("stream.cancel", "", "end the request to the upstream when the client has gone."),
    ("stream.cancel", "nginx", "proxy_ignore_client_abort off; (the default)."),
    ("stream.cancel", "HAProxy", "option abortonclose."),
    ("tls.used", "", "serve https, with a certificate that clients trust."),
    ("tls.version", "", "allow TLS 1.2 and 1.3 only."),
    ("tls.version", "nginx", "ssl_protocols TLSv1.2 TLSv1.3;"),
    ("tls.version", "HAProxy", "ssl-default-bind-options ssl-min-ver TLSv1.2"),
    ("tls.version", "Envoy", "tls_params: { tls_minimum_protocol_version: TLSv1_2 }"),
    ("tls.chain", "", "renew the certificate, send the whole chain, and let clients name a private authority in NODE_EXTRA_CA_CERTS (here: --ca-file)."),
    ("limit.shape", "", "answer 429 with {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",...}} and a retry-after of 1 to 60 s."),
    ("limit.shape", "nginx", "limit_req_status 429; error_page 429 to a named location that returns the JSON, with add_header retry-after 5 always;"),
];

/// The cure for a rule at this product.
pub(super) fn cure(rule: &Rule, product: Option<&str>) -> Option<&'static str> {
    let of = |wanted: &str| {
        CURES.iter().find(|(id, product, _)| *id == rule.id && *product == wanted).map(|(_, _, cure)| *cure)
    };
    product.and_then(of).or_else(|| of(""))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{product, rules},
        *,
    };

    #[test]
    fn every_rule_has_a_cure_and_every_cure_a_rule_and_a_known_product() {
        for rule in rules::TABLE {
            assert!(cure(rule, None).is_some(), "{} has no cure", rule.id);
            assert_eq!(cure(rule, Some("unheard-of")), cure(rule, None));
        }
        for (index, (id, product, _)) in CURES.iter().enumerate() {
            assert!(rules::TABLE.iter().any(|rule| rule.id == *id), "{id}");
            assert!(product.is_empty() || product::names().contains(product), "{product}");
            let same =
                |(other, other_product, _): &(&str, &str, &str)| other == id && other_product == product;
            assert!(CURES.iter().skip(index + 1).all(|row| !same(row)), "{id} {product} stands twice");
        }
    }
}
