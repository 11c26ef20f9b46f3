//! Whose credential goes upstream: the gateway's, each client's own on purpose, or the wrong one.

use super::*;

const LOCATION: &str = "server {
    location = /v1/messages {
        proxy_pass https://api.anthropic.com;
        PUT
    }
}
";
const BACKEND: &str = "backend anthropic
    PUT
    server api api.anthropic.com:443 ssl
";
const SERVICE: &str = "services:
  - url: https://api.anthropic.com
    routes: [{ paths: [/v1/messages] }]
    plugins: [PUT]
";
const ROUTE: &str = r#"{ "paths": { "/v1/messages": { "post": { "x-zuplo-route": {
    "handler": { "export": "urlForwardHandler", "options": { "baseUrl": "https://api.anthropic.com" } },
    "policies": { "inbound": [PUT] }
} } } } }
"#;
const METHOD: &str = "Resources:
  Ask:
    Type: AWS::ApiGateway::Method
    Properties:
      Integration:
        Uri: https://api.anthropic.com/v1/messages
PUT
";
const POLICIES: &str = r#"{ "policies": [
    { "name": "keys", "handler": { "export": "ApiKeyInboundPolicy" } },
    { "name": "limit", "handler": { "export": "RateLimitInboundPolicy" } },
    { "name": "remove", "handler": { "export": "RemoveHeadersInboundPolicy",
      "options": { "headers": ["authorization"] } } },
    { "name": "set", "handler": { "export": "SetHeadersInboundPolicy",
      "options": { "headers": [{ "name": "x-api-key", "value": "$env(KEY)" }] } } }
] }"#;

/// A gateway, what is put into it, and what is found about credentials.
const ROWS: [(Kind, &str, &str, &[&str]); 31] = [
    (Kind::Nginx, LOCATION, "", &["lint.pass_through"]),
    (Kind::Nginx, LOCATION, "deny 192.0.2.0/24;", &["lint.pass_through"]),
    (Kind::Nginx, LOCATION, "ssl_verify_client on;", &["lint.pass_through"]),
    (Kind::Nginx, LOCATION, "proxy_set_header X-Api-Key $http_x_api_key;", &["lint.pass_through"]),
    (Kind::Nginx, LOCATION, "proxy_set_header X-Api-Key $http_authorization;", &["lint.credential"]),
    (Kind::Nginx, LOCATION, "proxy_set_header Authorization \"\";", &["lint.credential"]),
    (Kind::Nginx, LOCATION, "auth_basic gateway;", &["lint.credential"]),
    (Kind::Nginx, LOCATION, "if ($consumer = \"\") { return 401; }", &["lint.credential"]),
    (Kind::Nginx, LOCATION, "auth_request /auth; proxy_set_header X-Api-Key $key;", &["lint.leak"]),
    (Kind::Haproxy, BACKEND, "", &["lint.pass_through"]),
    (Kind::Haproxy, BACKEND, "http-request deny unless { path /v1/messages }", &["lint.pass_through"]),
    (Kind::Haproxy, BACKEND, "http-request track-sc0 req.hdr(x-api-key)", &["lint.pass_through"]),
    (Kind::Haproxy, BACKEND, "http-request auth", &["lint.credential"]),
    (Kind::Haproxy, BACKEND, "http-request del-header Authorization", &["lint.credential"]),
    (Kind::Haproxy, BACKEND, "acl known req.hdr(authorization),map(keys.map) -m found", &["lint.credential"]),
    (Kind::Kong, SERVICE, "", &["lint.pass_through"]),
    (Kind::Kong, SERVICE, "{ name: mtls-auth }", &["lint.pass_through"]),
    (Kind::Kong, SERVICE, "{ name: openid-connect }", &["lint.credential"]),
    (
        Kind::Kong,
        SERVICE,
        "{ name: request-transformer, config: { remove: { headers: [authorization] } } }",
        &["lint.credential"],
    ),
    (Kind::Zuplo, ROUTE, "", &["lint.pass_through"]),
    (Kind::Zuplo, ROUTE, r#""limit""#, &["lint.pass_through"]),
    (Kind::Zuplo, ROUTE, r#""keys""#, &["lint.credential"]),
    (Kind::Zuplo, ROUTE, r#""remove""#, &["lint.credential"]),
    (Kind::Zuplo, ROUTE, r#""not-defined""#, &["lint.credential"]),
    (Kind::Zuplo, ROUTE, r#""keys", "set""#, &["lint.leak"]),
    (Kind::Zuplo, ROUTE, r#""remove", "set""#, &["lint.auth"]),
    (Kind::Aws, METHOD, "", &["lint.pass_through"]),
    (
        Kind::Aws,
        METHOD,
        "        RequestParameters: { integration.request.header.x-api-key: method.request.header.x-api-key }",
        &["lint.pass_through"],
    ),
    (
        Kind::Aws,
        METHOD,
        "        RequestParameters: { integration.request.header.anthropic-beta: method.request.header.anthropic-beta }",
        &["lint.credential"],
    ),
    (Kind::Aws, METHOD, "      ApiKeyRequired: true", &["lint.credential"]),
    (
        Kind::Aws,
        METHOD,
        "        RequestParameters: { integration.request.header.x-api-key: stageVariables.key }",
        &["lint.leak", "lint.auth"],
    ),
];

#[test]
fn credentials_that_pass_on_purpose_are_told_from_those_that_leak() {
    for (kind, gateway, put, expected) in ROWS {
        let text = gateway.replace("PUT", put);
        check(kind, &text, expected);
    }
}

#[test]
fn so_they_are_in_envoy() {
    let good = fs::read_to_string(folder().join("good/envoy.yaml")).unwrap();
    let lines = |without: &[&str]| -> String {
        let kept = good.lines().filter(|line| !without.iter().any(|part| line.contains(part)));
        kept.map(|line| format!("{line}\n")).collect()
    };
    let filter = ["http.api_key_auth", "v3.ApiKeyAuth", "key_sources"];
    // The line of the types of filters, which comes before its message.
    let bare = lines(&filter).replace("                    typed_config:\n", "");
    let sets = ["request_headers_to_add", "key: x-api-key", "append_action"];
    let without = |parts: &[&str]| -> String {
        let kept = bare.lines().filter(|line| !parts.iter().any(|part| line.contains(part)));
        kept.map(|line| format!("{line}\n")).collect()
    };
    check(Kind::Envoy, &bare, &["lint.auth"]);
    check(Kind::Envoy, &without(&sets), &["lint.credential"]);
    check(
        Kind::Envoy,
        &without(&[&sets[..], &["request_headers_to_remove"]].concat()),
        &["lint.pass_through"],
    );
    check(Kind::Envoy, &lines(&[&sets[..], &["request_headers_to_remove"]].concat()), &["lint.credential"]);
}

fn check(kind: Kind, text: &str, expected: &[&str]) {
    let subject = Subject { name: "f", text, is_private: false, policies: Some(POLICIES) };
    let about = ["lint.credential", "lint.pass_through", "lint.leak", "lint.auth", "lint.syntax"];
    let mut ids: Vec<&str> = lint(&subject, kind).iter().map(|finding| finding.rule.id).collect();
    ids.retain(|id| about.contains(id));
    ids.dedup();
    assert_eq!(ids, expected, "{text}");
}
