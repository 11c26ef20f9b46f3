//! The same for products that nobody can run here: what must be in their files, and what must not.

use super::{facts, made, plan, targets};
use crate::{
    fault::Fault,
    generate::{Comment, Target},
};
use serde_json::Value;

/// A file of a target, what must be in it, and what must not.
type Row = (Target, &'static str, &'static [&'static str], &'static [&'static str]);

/// The mistakes of configurations that go round, one row for each file.
const MISTAKES: [Row; 18] = [
    (
        Target::Kong,
        "deck/kong.yaml",
        &[
            "_format_version: \"3.0\"",
            "'x-api-key:${{ env \"DECK_ANTHROPIC_API_KEY\" }}'",
            "replace:",
            "response_buffering: false",
            "request_buffering: false",
            "hide_credentials: true",
            "limit_by: consumer",
            "retries: 0",
            "read_timeout: 600000",
            "kong.request.get_header(\"authorization\")",
            "- authorization",
            "~/v1/messages/count_tokens$",
            "~/v1/messages$",
            "name: claude-gateway-health",
            "name: post-function",
            "\"type\":\"authentication_error\"",
        ],
        &[
            "pass:",
            "name: response-buffering",
            "Authorization:Bearer",
            "anthropic-version",
            "anthropic-beta",
            "ai-proxy",
        ],
    ),
    (
        Target::Kong,
        "db-less/kong.yaml.template",
        &["'x-api-key:${ANTHROPIC_API_KEY}'", "policy: local"],
        &["DECK_", "policy: cluster"],
    ),
    (Target::Kong, "db-less/kong.conf", &["large_client_header_buffers = 8 32k", "database = off"], &[]),
    (
        Target::Zuplo,
        "config/policies.json",
        &[
            "requestsAllowed",
            "timeWindowMinutes",
            "\"rateLimitBy\": \"user\"",
            "$env(ANTHROPIC_API_KEY)",
            "\"authorization\"",
        ],
        &["requestsPerMinute", "consumer", "Bearer $", "anthropic-version", "anthropic-beta"],
    ),
    (
        Target::Zuplo,
        "config/routes.oas.json",
        &[
            "\"openapi\": \"3.1.0\"",
            "$import(@zuplo/runtime)",
            "${env.UPSTREAM_URL}",
            "\"get\"",
            "/v1/messages/count_tokens",
            "\"/health\"",
        ],
        &["$env(", "\"corsPolicy\": \"anything-goes\""],
    ),
    (
        Target::Truefoundry,
        "truefoundry-config.yaml",
        &[
            "type: provider-account/anthropic",
            "type: gateway-rate-limiting-config",
            "tfy-secret://",
            "unit: requests_per_minute",
            "unit: tokens_per_minute",
            "model_types: [chat]",
        ],
        &["providers:", "rate_limits:", "${", "20241022"],
    ),
    (
        Target::Apigee,
        "apiproxy/targets/anthropic.xml",
        &["response.streaming.enabled\">true", "io.timeout.millis\">600000", "30 MB", "<Enforce>true"],
        &["EventFlow", "response.content"],
    ),
    (
        Target::Apigee,
        "apiproxy/policies/AM-Credentials.xml",
        &["{private.upstream.key}", "<Header name=\"authorization\"/>"],
        &["AssignTo", "sk-ant", "<Header name=\"anthropic-beta", "<Header name=\"anthropic-version"],
    ),
    (
        Target::AwsApiGateway,
        "cloudformation.yaml",
        &[
            "ResponseTransferMode: STREAM",
            "TimeoutInMillis: 600000",
            "Types: [REGIONAL]",
            "integration.request.header.x-api-key: stageVariables.upstreamKey",
            "{{resolve:secretsmanager:",
            "10 MB",
            "/v1/messages/POST",
            "PathPart: \"count_tokens\"",
            "ApiKeyRequired: true",
            "DataTraceEnabled: false",
        ],
        &["anthropic-version", "AWS::ApiGatewayV2", "request.header.x-api-key: \"'"],
    ),
    (
        Target::AwsApiGateway,
        "openapi.yaml",
        &["responseTransferMode: STREAM", "timeoutInMillis: 600000", "description: A gateway", "THROTTLED:"],
        &["anthropic-version", "request.header.x-api-key: \"'"],
    ),
    (
        Target::AzureApim,
        "policy.xml",
        &[
            "buffer-response=\"false\"",
            "buffer-request-body=\"false\"",
            "timeout=\"600\"",
            "fail-on-error-status-code=\"false\"",
            "name=\"authorization\" exists-action=\"delete\"",
            "<value>{{anthropic-api-key}}</value>",
            "{{gateway-key-team}}",
            "rate-limit-by-key",
            "x-should-retry",
        ],
        &["validate-content", "cache-lookup", "anthropic-version", "anthropic-beta"],
    ),
    (
        Target::AzureApim,
        "main.bicep",
        &["keyVault: {", "subscriptionRequired: false", "count_tokens"],
        &["sk-ant"],
    ),
    (
        Target::Litellm,
        "config.yaml",
        &[
            "os.environ/ANTHROPIC_API_KEY",
            "os.environ/LITELLM_MASTER_KEY",
            "num_retries: 0",
            "request_timeout: 600",
            "?beta=true",
            "turn_off_message_logging: true",
        ],
        &["${", "sk-1234", "drop_params: true"],
    ),
    (Target::Litellm, "README.md", &["-H @auth"], &["client_secret", "Bearer $", "Bearer sk-"]),
    (Target::Truefoundry, "README.md", &["tfy apply -f"], &["truefoundry apply"]),
    (Target::ClaudeCode, "README.md", &["start `claude`, type `/status`"], &["claude /status"]),
    (
        Target::ClaudeCode,
        "user/settings.json",
        &["\"apiKeyHelper\""],
        &["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "ANTHROPIC_CUSTOM_HEADERS"],
    ),
    (
        Target::Litellm,
        "members/team.json",
        &["\"rpm_limit\": 100", "\"tpm_limit\": 400000"],
        &["sk-", "\"key\""],
    ),
];

#[test]
fn known_mistakes_are_not_made_for_products_that_are_not_here() {
    for (target, path, wanted, unwanted) in MISTAKES {
        let files = made(target, "");
        let file = files.get(path).unwrap_or_else(|| panic!("{target:?} has no {path}: {:?}", files.keys()));
        // What a comment says about a mistake is not the mistake.
        let said: String = file.lines().filter(|line| !line.trim_start().starts_with(['#', '/'])).collect();
        for text in wanted {
            assert!(file.contains(text), "{path} lacks {text}");
        }
        for text in unwanted {
            assert!(!said.contains(text), "{path} has {text}");
        }
    }
}

#[test]
fn no_model_is_named_that_is_out_of_service_and_no_secret_on_a_command_line() {
    for target in targets() {
        for (path, text) in made(target, "") {
            assert_eq!(text.lines().find_map(crate::retired::find), None, "{target:?} {path}");
            assert!(!text.contains("--token ") && !text.contains("client_secret="), "{target:?} {path}");
        }
    }
}

#[test]
fn what_the_table_of_headers_removes_they_remove_where_they_can() {
    for (target, path) in [
        (Target::Kong, "deck/kong.yaml"),
        (Target::Zuplo, "config/policies.json"),
        (Target::Apigee, "apiproxy/policies/AM-Credentials.xml"),
        (Target::AzureApim, "policy.xml"),
    ] {
        let file = &made(target, "")[path];
        for name in facts::removed_from_requests().flat_map(facts::usual_names) {
            assert!(file.contains(name), "{path} does not remove {name}");
        }
    }
}

#[test]
fn xml_and_json_are_well_formed() {
    let oidc =
        "auth: { oidc: { issuer: 'https://a.example/', audience: b, jwks: 'https://a.example/keys' } }";
    let mut pages = 0;
    for text in ["", super::RICH, oidc] {
        for target in targets() {
            let Ok(output) = target.generate(&plan(text), false) else { continue };
            for file in output.files {
                let fault = match file.path.rsplit('.').next() {
                    Some("xml" | "plist") => xml_fault(&file.text),
                    Some("json") => {
                        serde_json::from_str::<Value>(&file.text).err().map(|fault| fault.to_string())
                    }
                    _ => continue,
                };
                assert_eq!(fault, None, "{target:?} {}\n{}", file.path, file.text);
                pages += 1;
            }
        }
    }
    assert!(pages > 50, "{pages}");
    assert!(xml_fault("<a><b></a>").is_some() && xml_fault("<a b=\"1\" b=\"2\"/>").is_some());
    assert!(xml_fault("<a><!-- -- --></a>").is_some() && xml_fault("<a>&quot</a>").is_some());
}

fn xml_fault(text: &str) -> Option<String> {
    use quick_xml::{Reader, events::Event};
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_comments = true;
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return None,
            Ok(Event::Start(tag) | Event::Empty(tag)) => {
                if let Some(fault) = tag.attributes().find_map(Result::err) {
                    return Some(fault.to_string());
                }
            }
            Ok(_) => {}
            Err(fault) => return Some(fault.to_string()),
        }
    }
}

#[test]
fn what_can_not_work_is_refused_with_the_reason() {
    let oidc =
        "auth: { oidc: { issuer: 'https://a.example/', audience: b, jwks: 'https://a.example/keys' } }";
    let many: Vec<String> = (0..201).map(|one| format!("{{ name: m{one}, key: env:K{one} }}")).collect();
    let many = format!("auth: {{ keys: [{}] }}", many.join(", "));
    let rows = [
        (Target::AwsHttpApi, ""),
        (Target::Kong, oidc),
        (Target::AwsApiGateway, oidc),
        (Target::Litellm, oidc),
        (Target::Truefoundry, "models: [claude-*]"),
        (Target::AzureApim, "auth: { keys: [{ name: a.b, key: env:A }, { name: A-b, key: env:B }] }"),
        (Target::AwsApiGateway, &many),
        (Target::Nginx, "upstream: { url: 'https://10.0.0.1' }"),
        (Target::Haproxy, "upstream: { url: 'https://[::1]' }"),
    ];
    let refusals = rows.map(|(target, text)| {
        let fault = target.generate(&plan(text), false).unwrap_err();
        assert!(matches!(fault, Fault::Unfit { .. }));
        format!("{fault}\n  cure: {}\n", fault.cure().unwrap())
    });
    insta::assert_snapshot!(refusals.concat());
}

#[test]
fn what_is_asked_for_and_can_not_be_had_is_said() {
    let said = |target: Target, text: &str| target.generate(&plan(text), false).unwrap().cannot.join("\n");
    for (target, asked, text) in [
        (Target::AwsApiGateway, "body_mb: 32", "10 MB at most"),
        (Target::AwsApiGateway, "timeout_s: 600", "silent for 300 s"),
        (Target::Apigee, "body_mb: 32", "30 MB at most"),
        (Target::AzureApim, "timeout_s: 600", "silent for 240 s"),
        (Target::Kong, "limits: { burst: 7 }", "burst of 7"),
        (Target::Zuplo, "models: [claude-opus-5-5]", "models are not enforced"),
        (Target::Zuplo, "limits: { tokens_per_minute: 9 }", "9 tokens a minute are not enforced"),
    ] {
        assert!(said(target, asked).contains(text), "{target:?} {asked}: {}", said(target, asked));
    }
    let modest = "body_mb: 8\ntimeout_s: 200\nlimits: { burst: 0, tokens_per_minute: null }";
    for target in [Target::AwsApiGateway, Target::Apigee, Target::AzureApim, Target::Kong] {
        let said = said(target, modest);
        assert!(!said.contains("are not reached") && !said.contains("not kept"), "{target:?}: {said}");
    }
}

#[test]
fn only_files_that_can_not_say_it_leave_the_notice_to_the_readme() {
    for target in targets() {
        for file in target.generate(&plan(""), false).unwrap().files {
            let is_mute =
                file.path.ends_with(".json") || file.path.contains("/policies/") || file.path == "README.md";
            assert_eq!(file.comment == Comment::Nowhere, is_mute, "{target:?} {}", file.path);
        }
    }
}
