//! Zuplo: the files of a project.
//!
//! Sources: <https://zuplo.com/docs/concepts/project-structure>, <https://zuplo.com/docs/policies/overview>,
//! <https://zuplo.com/docs/articles/limits>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, prove, removed_from_answers, removed_from_requests, unread, usual_names},
    plan::{Admits, variable},
    template::render,
};
use serde_json::{Value, json};

pub(super) const PRODUCT: Product =
    Product { name: "Zuplo", help: "https://zuplo.com/support", versions: "7", is_gateway: true };

const PROJECT: &str = include_str!("zuplo/zuplo.jsonc");
const ONE_CREDENTIAL: &str = include_str!("zuplo/one-credential.ts");
const HEALTH: &str = include_str!("zuplo/health.ts");
const ENVIRONMENT: &str = include_str!("zuplo/env.example");
const SLASHES: Comment = Comment::Line("//");

/// Zuplo's own classes, as its files name them.
const RUNTIME: &str = "$import(@zuplo/runtime)";

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let key = variable(&plan.upstream.key);
    let url = plan.upstream.url.to_string();
    Ok(Output {
        files: vec![
            File::new("zuplo.jsonc", SLASHES, PROJECT.to_owned()),
            File::new("config/routes.oas.json", Comment::Nowhere, pretty(&routes(plan))),
            File::new("config/policies.json", Comment::Nowhere, pretty(&policies(plan))),
            File::new("modules/one-credential.ts", SLASHES, ONE_CREDENTIAL.to_owned()),
            File::new("modules/health.ts", SLASHES, HEALTH.to_owned()),
            File::new(
                "env.example",
                Comment::Line("#"),
                render(ENVIRONMENT, &[("upstream", &url), ("upstream_key", &key)]),
            ),
        ],
        cannot: cannot(plan),
        next: next(plan, &key),
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// An OpenAPI description whose extensions say what happens to a request.
fn routes(plan: &Plan) -> Value {
    let all = ["one-credential", "who", "size", "credentials-away", "upstream-credential"];
    let limited = ["one-credential", "who", "limit", "size", "credentials-away", "upstream-credential"];
    let forward = |summary: &str, id: &str, inbound: &[&str]| {
        let handler = json!({
            "module": RUNTIME,
            "export": "urlForwardHandler",
            "options": { "baseUrl": "${env.UPSTREAM_URL}" },
        });
        let mut route = operation(summary, id, &handler);
        route["x-zuplo-route"]["policies"] = json!({ "inbound": inbound, "outbound": ["answers"] });
        route
    };
    let own = |summary: &str, id: &str| {
        let handler = json!({ "module": "$import(./modules/health)", "export": "default" });
        operation(summary, id, &handler)
    };
    let mut model = forward("Show a model", "model", &all);
    model["parameters"] =
        json!([{ "name": "model", "in": "path", "required": true, "schema": { "type": "string" } }]);
    json!({
        "openapi": "3.1.0",
        "info": { "title": plan.name.to_string(), "version": "1.0.0" },
        "paths": {
            "/v1/messages": { "post": forward("Send a message", "messages", &limited) },
            // Free: Claude Code sends it in bursts of 26.
            "/v1/messages/count_tokens": { "post": forward("Count the tokens of a message", "count-tokens", &all) },
            "/v1/models": { "get": forward("List the models", "models", &all) },
            "/v1/models/{model}": { "get": model },
            "/api/hello": { "head": own("Warm a connection up", "hello") },
            "/health": { "get": own("Tell that the gateway runs", "health") },
        },
    })
}

fn operation(summary: &str, id: &str, handler: &Value) -> Value {
    json!({
        "operationId": id,
        "summary": summary,
        "description": format!("{summary}."),
        "tags": ["Claude"],
        "responses": { "200": { "description": "The answer of the API." } },
        // No page of another site calls an API by the browser of a member.
        "x-zuplo-route": { "corsPolicy": "none", "label": summary, "handler": handler },
    })
}

fn policies(plan: &Plan) -> Value {
    let removed: Vec<&str> =
        removed_from_requests().filter(|name| *name != "x-api-key").flat_map(usual_names).collect();
    let hidden: Vec<&str> = removed_from_answers().flat_map(usual_names).collect();
    let key = format!("$env({})", variable(&plan.upstream.key));
    json!({ "policies": [
        {
            "name": "one-credential",
            "policyType": "custom-code-inbound",
            "handler": { "module": "$import(./modules/one-credential)", "export": "default" },
        },
        who(plan),
        policy("limit", "rate-limit-inbound", "RateLimitInboundPolicy", &json!({
            "rateLimitBy": "user",
            "requestsAllowed": plan.limits.requests_per_minute,
            "timeWindowMinutes": 1,
        })),
        policy("size", "request-size-limit-inbound", "RequestSizeLimitInboundPolicy", &json!({
            "maxSizeInBytes": plan.body_bytes(),
        })),
        policy("credentials-away", "remove-headers-inbound", "RemoveHeadersInboundPolicy", &json!({
            "headers": removed,
        })),
        policy("upstream-credential", "set-headers-inbound", "SetHeadersInboundPolicy", &json!({
            "headers": [{ "name": "x-api-key", "value": key, "overwrite": true }],
        })),
        policy("answers", "remove-headers-outbound", "RemoveHeadersOutboundPolicy", &json!({ "headers": hidden })),
    ] })
}

/// The policy that finds out which member asks.
fn who(plan: &Plan) -> Value {
    match plan.admits() {
        Admits::Keys(_) => policy(
            "who",
            "api-key-inbound",
            "ApiKeyInboundPolicy",
            &json!({
                "allowUnauthenticatedRequests": false,
                "authHeader": "authorization",
                "authScheme": "Bearer",
                "cacheTtlSeconds": 60,
            }),
        ),
        Admits::Tokens(oidc) => policy(
            "who",
            "open-id-jwt-auth-inbound",
            "OpenIdJwtInboundPolicy",
            &json!({
                "allowUnauthenticatedRequests": false,
                "issuer": oidc.issuer,
                "audience": oidc.audience,
                "jwkUrl": oidc.jwks.to_string(),
            }),
        ),
    }
}

fn policy(name: &str, kind: &str, export: &str, options: &Value) -> Value {
    json!({
        "name": name,
        "policyType": kind,
        "handler": { "module": RUNTIME, "export": export, "options": options },
    })
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = unread(plan);
    cannot.extend(facts::no_burst(plan, "its limit is a window of a minute that slides"));
    cannot.push(format!(
        "The {} s of silence are not set here: on the free and builder plans a request ends after 30 s, which breaks \
         answers; the others have no such limit.",
        plan.timeout_s
    ));
    cannot.extend(
        [
            "Its own errors are problem details (RFC 9457), not the API's envelope: members see them less well.",
            "It adds a header zp-rid, and takes bodies up to 500 MB.",
            facts::NAMED_ONE_BY_ONE,
            "An answer that the API breaks off ends for the client as if it were whole, and where a client leaves, the \
             API goes on: so does its own server for development (7.4.5).",
            facts::NO_ACCOUNT,
        ]
        .map(str::to_owned),
    );
    cannot
}

fn next(plan: &Plan, key: &str) -> Vec<String> {
    let members = match plan.admits() {
        Admits::Keys(_) => {
            format!(
                "Make a consumer with a key for each member in the portal of Zuplo (Services, API key service): {}",
                plan.members()
            )
        }
        Admits::Tokens(oidc) => format!("Give members tokens of {} for {}", oidc.issuer, oidc.audience),
    };
    vec![
        format!(
            "Set UPSTREAM_URL and, as a secret, {key} in the portal (Settings, Environment variables); env.example shows \
             them for `zup dev`, which reads .env. Never commit that file"
        ),
        members,
        "Check the files: `npx zuplo lint --fail-on warn`".to_owned(),
        "Push the project to the repository that Zuplo deploys from".to_owned(),
        prove(plan),
    ]
}

#[cfg(test)]
mod tests;
