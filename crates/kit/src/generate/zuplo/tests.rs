//! What Zuplo's own lint demands.
//!
//! Source: <https://zuplo.com/docs/policies/overview> and the pages of the policies below it.

use crate::generate::{Target, tests::made};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Each kind of policy with its class and its options.
const KINDS: [(&str, &str, &[&str]); 7] = [
    (
        "api-key-inbound",
        "ApiKeyInboundPolicy",
        &["allowUnauthenticatedRequests", "authHeader", "authScheme", "cacheTtlSeconds", "bucketName"],
    ),
    (
        "open-id-jwt-auth-inbound",
        "OpenIdJwtInboundPolicy",
        &["allowUnauthenticatedRequests", "issuer", "audience", "jwkUrl", "secret", "subPropertyName"],
    ),
    (
        "rate-limit-inbound",
        "RateLimitInboundPolicy",
        &[
            "rateLimitBy",
            "requestsAllowed",
            "timeWindowMinutes",
            "identifier",
            "headerMode",
            "mode",
            "throwOnFailure",
        ],
    ),
    ("request-size-limit-inbound", "RequestSizeLimitInboundPolicy", &["maxSizeInBytes"]),
    ("remove-headers-inbound", "RemoveHeadersInboundPolicy", &["headers"]),
    ("set-headers-inbound", "SetHeadersInboundPolicy", &["headers"]),
    ("remove-headers-outbound", "RemoveHeadersOutboundPolicy", &["headers"]),
];

/// Every fault of a project.
fn faults(files: &BTreeMap<String, String>) -> Vec<String> {
    let read = |path: &str| serde_json::from_str::<Value>(&files[path]).unwrap();
    let (routes, policies) = (read("config/routes.oas.json"), read("config/policies.json"));
    let mut faults = Vec::new();
    let mut names = Vec::new();
    for policy in policies["policies"].as_array().unwrap() {
        let name = policy["name"].as_str().unwrap();
        names.push(name);
        let handler = &policy["handler"];
        let kind = policy["policyType"].as_str().unwrap_or_default();
        if let Some(module) = handler["module"].as_str().and_then(|text| text.strip_prefix("$import(./")) {
            if kind != "custom-code-inbound" || !files.contains_key(&module.replace(')', ".ts")) {
                faults.push(format!("{name}: {module}"));
            }
            continue;
        }
        let Some((_, class, options)) = KINDS.iter().find(|(known, ..)| *known == kind) else {
            faults.push(format!("{name}: {kind}"));
            continue;
        };
        if handler["module"] != "$import(@zuplo/runtime)" || handler["export"] != *class {
            faults.push(format!("{name}: handler"));
        }
        let unknown =
            handler["options"].as_object().unwrap().keys().filter(|key| !options.contains(&key.as_str()));
        faults.extend(unknown.map(|key| format!("{name}.{key}")));
        let by = &handler["options"]["rateLimitBy"];
        if !by.is_null() && !["user", "ip", "function", "all"].contains(&by.as_str().unwrap()) {
            faults.push(format!("{name}: by {by}"));
        }
        if handler["options"].to_string().contains("${") {
            faults.push(format!("{name}: options take $env()"));
        }
    }
    if routes["openapi"] != "3.1.0" || !routes["info"]["title"].is_string() {
        faults.push("no OpenAPI".to_owned());
    }
    for (path, operations) in routes["paths"].as_object().unwrap() {
        for (verb, operation) in operations.as_object().unwrap() {
            let route = &operation["x-zuplo-route"];
            if route["corsPolicy"] != "none" || !route["handler"]["module"].is_string() {
                faults.push(format!("{verb} {path}: route"));
            }
            let forwards = route["handler"]["export"] == "urlForwardHandler";
            if forwards && route["handler"]["options"]["baseUrl"] != "${env.UPSTREAM_URL}" {
                faults.push(format!("{verb} {path}: base"));
            }
            let used = ["inbound", "outbound"]
                .map(|way| route["policies"][way].as_array().cloned().unwrap_or_default());
            if route["policies"]["inbound"].as_array().is_some_and(Vec::is_empty) {
                faults.push(format!("{verb} {path}: no policy"));
            }
            for one in used.concat() {
                if !names.contains(&one.as_str().unwrap()) {
                    faults.push(format!("{verb} {path}: {one}"));
                }
            }
            // First who asks, then what is theirs to present is taken away, last the gateway's own credential.
            let place = |name: &str| used[0].iter().position(|one| one == name);
            let in_order = place("who") < place("credentials-away")
                && place("credentials-away") < place("upstream-credential");
            if forwards && (place("who").is_none() || !in_order) {
                faults.push(format!("{verb} {path}: order"));
            }
        }
    }
    faults
}

#[test]
fn what_zuplo_is_given_its_lint_accepts() {
    let oidc =
        "auth: { oidc: { issuer: 'https://a.example/', audience: b, jwks: 'https://a.example/keys' } }";
    for plan in ["", oidc] {
        assert_eq!(faults(&made(Target::Zuplo, plan)), [""; 0]);
    }
}

#[test]
fn what_its_lint_refuses_is_found() {
    let rows = [
        ("config/policies.json", "requestsAllowed", "requestsPerMinute"),
        ("config/policies.json", "\"rateLimitBy\": \"user\"", "\"rateLimitBy\": \"consumer\""),
        ("config/policies.json", "$import(@zuplo/runtime)", "@zuplo/runtime"),
        ("config/policies.json", "\"name\": \"who\"", "\"name\": \"somebody\""),
        ("config/policies.json", "$env(ANTHROPIC_API_KEY)", "${ANTHROPIC_API_KEY}"),
        ("config/policies.json", "./modules/one-credential", "./modules/two-credentials"),
        ("config/routes.oas.json", "\"openapi\": \"3.1.0\"", "\"openapi\": null"),
        ("config/routes.oas.json", "${env.UPSTREAM_URL}", "$env(UPSTREAM_URL)"),
        ("config/routes.oas.json", "\"corsPolicy\": \"none\"", "\"corsPolicy\": \"anything-goes\""),
    ];
    for (file, from, to) in rows {
        let mut files = made(Target::Zuplo, "");
        let text = files.get_mut(file).unwrap();
        assert!(text.contains(from), "{from}");
        *text = text.replace(from, to);
        assert!(!faults(&files).is_empty(), "{from} -> {to}");
    }
    let mut files = made(Target::Zuplo, "");
    let mut routes: Value = serde_json::from_str(&files["config/routes.oas.json"]).unwrap();
    let inbound = &mut routes["paths"]["/v1/messages"]["post"]["x-zuplo-route"]["policies"]["inbound"];
    *inbound = json!(["upstream-credential", "credentials-away", "who"]);
    files.insert("config/routes.oas.json".to_owned(), routes.to_string());
    assert_eq!(faults(&files), ["post /v1/messages: order"]);
}
