//! The guide's own snippets, good files of every kind, and a faulty and a good form for each rule.

use super::*;
use crate::finding::Finding;
use proptest::prelude::*;
use std::{collections::BTreeSet, fs, path::PathBuf};

mod credentials;
mod rows;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/lint")
}

/// What is found in a text.
fn found(name: &str, text: &str, policies: Option<&str>) -> Vec<Finding> {
    let kind = Kind::of(name, text).unwrap_or_else(|| panic!("{name}: its kind can not be told"));
    lint(&Subject { name, text, is_private: false, policies }, kind)
}

/// `line rule`, in the order of the lines.
fn lines(findings: &[Finding]) -> Vec<String> {
    let line = |finding: &Finding| finding.place.as_ref().map_or(0, |place| place.line);
    findings.iter().map(|finding| format!("{} {}", line(finding), finding.rule.id)).collect()
}

/// The guide's snippets, and at which line which rule is broken.
const GUIDE: [(&str, &[&str]); 11] = [
    (
        "nginx.conf",
        &[
            "1 lint.notice",
            "1 lint.upstream",
            "1 lint.buffering",
            "1 lint.request_buffering",
            "1 lint.timeout",
            "1 lint.body_size",
            "1 lint.prefix",
            "1 lint.leak",
            "1 lint.auth",
            "1 lint.tls",
            "1 lint.verify",
            "1 nginx.http_version",
            "1 lint.endpoints",
            "2 lint.default",
            "3 lint.default",
            "4 lint.default",
            "5 lint.reference",
            "5 lint.bearer",
        ],
    ),
    ("nginx-streaming.conf", &[]),
    (
        "kong-headers.yaml",
        &[
            "1 lint.notice",
            "1 kong.format",
            "1 lint.upstream",
            "2 lint.leak",
            "2 lint.leak",
            "6 lint.default",
            "7 lint.reference",
            "7 lint.append",
            "7 lint.bearer",
            "8 kong.pass",
            "10 lint.header",
        ],
    ),
    ("kong-limits.yaml", &["1 kong.format", "1 lint.upstream", "2 lint.limit_key", "5 lint.limit_shared"]),
    ("kong-streaming.yaml", &["1 kong.format", "1 lint.upstream", "2 kong.plugin"]),
    (
        "routes.oas.json",
        &[
            "1 zuplo.openapi",
            "3 lint.endpoints",
            "5 zuplo.cors",
            "6 zuplo.handler",
            "13 lint.credential",
            "13 zuplo.undefined",
            "13 zuplo.undefined",
        ],
    ),
    (
        "rate-limit.json",
        &["1 zuplo.policy", "3 zuplo.option", "3 zuplo.option", "4 zuplo.option", "5 zuplo.option"],
    ),
    ("zuplo-config.yaml", &["1 lint.notice", "1 zuplo.file"]),
    (
        "truefoundry-config.yaml",
        &["1 lint.notice", "2 truefoundry.type", "5 lint.reference", "7 lint.model", "8 lint.model"],
    ),
    ("truefoundry-limits.yaml", &["1 truefoundry.limits"]),
    (
        "aws.yaml",
        &[
            "1 lint.notice",
            "6 lint.endpoints",
            "9 aws.stream",
            "9 lint.timeout",
            "9 lint.credential",
            "13 lint.version",
            "14 lint.default",
            "14 aws.declared",
        ],
    ),
];

/// Every mistake of the guide that its snippets show is found at its line, and nothing else.
#[test]
fn the_mistakes_of_the_guide_are_found() {
    let mut wrong = Vec::new();
    for (file, expected) in GUIDE {
        let text = fs::read_to_string(folder().join("guide").join(file)).unwrap();
        let findings = lines(&found(file, &text, None));
        if findings != expected {
            wrong.push(format!("{file}: {findings:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn good_files_of_every_kind_are_let_be() {
    let policies = fs::read_to_string(folder().join("good/zuplo/policies.json")).unwrap();
    let files = gather::below(&folder().join("good")).unwrap();
    let mut kinds = BTreeSet::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.display().to_string();
        // Editors of Windows write other ends of lines, and a mark before the first.
        let of_windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        for text in [&text, &of_windows] {
            let findings = found(&name, text, Some(&policies));
            assert!(findings.is_empty(), "{name}: {findings:#?}");
        }
        kinds.extend(Kind::of(&name, &text).map(Kind::product));
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

/// A good file, a text of it, and a fault in its place: what the cure is pasted over.
const CURED: [(&str, &str, &str); 19] = [
    ("nginx.conf", "proxy_buffering off;", "proxy_buffering on;"),
    ("nginx.conf", "proxy_read_timeout 10m;", "proxy_read_timeout 2m;"),
    ("nginx.conf", "client_max_body_size 32m;", "client_max_body_size 1m;"),
    ("nginx.conf", "proxy_set_header Host api.anthropic.com;", "proxy_set_header Host $host;"),
    ("nginx.conf", "location = /v1/messages {", "location /v1/messages {"),
    ("nginx.conf", "proxy_next_upstream off;", "proxy_next_upstream http_502;"),
    ("haproxy.cfg", "timeout server 10m", "timeout server 50s"),
    ("haproxy.cfg", "verify required ca-file @system-ca", "verify none"),
    (
        "haproxy.cfg",
        "http-request deny deny_status 429 if { sc_http_req_rate(0) gt 100 }",
        "http-request deny if { sc_http_req_rate(0) gt 100 }",
    ),
    ("kong.yaml", "\"~/v1/messages$\"", "/v1/messages"),
    ("kong.yaml", "retries: 0", "retries: 3"),
    ("kong.yaml", "limit_by: consumer", "limit_by: ip"),
    ("kong.yaml", "strip_path: false", "strip_path: true"),
    ("envoy.yaml", "stream_idle_timeout: 600s", "stream_idle_timeout: 60s"),
    ("zuplo/policies.json", "\"rateLimitBy\": \"user\"", "\"rateLimitBy\": \"ip\""),
    ("zuplo/policies.json", "\"requestsAllowed\": 100", "\"requestsPerMinute\": 100"),
    ("truefoundry.yaml", "unit: tokens_per_minute", "unit: tpm"),
    ("aws.yaml", "ResponseTransferMode: STREAM", "ResponseTransferMode: BUFFERED"),
    ("aws.yaml", "TimeoutInMillis: 900000", "TimeoutInMillis: 29000"),
];

#[test]
fn a_cure_that_is_pasted_over_the_fault_cures_it() {
    for (file, good, fault) in CURED {
        let text = fs::read_to_string(folder().join("good").join(file)).unwrap();
        let faulty = text.replacen(good, fault, 1);
        let findings = found(file, &faulty, None);
        assert!(!findings.is_empty(), "{file}: {fault}");
        for finding in findings {
            let cure = finding.cure.as_deref().unwrap_or_default();
            let cured = found(file, &faulty.replacen(fault, cure, 1), None);
            assert!(
                !cured.iter().any(|other| other.rule == finding.rule),
                "{file}: {fault} -> {cure}: {cured:#?}"
            );
        }
    }
}

#[test]
fn the_cure_for_a_policy_that_is_not_defined_defines_it() {
    let text = fs::read_to_string(folder().join("guide/routes.oas.json")).unwrap();
    let findings = found("routes.oas.json", &text, None);
    let undefined = findings.iter().filter(|finding| finding.rule == &rules::ZUPLO_UNDEFINED);
    let cures: Vec<&str> = undefined.filter_map(|finding| finding.cure.as_deref()).collect();
    let policies = format!("{{ \"policies\": [{}] }}", cures.join(", "));
    assert!(found("policies.json", &policies, None).is_empty(), "{policies}");
    let left = found("routes.oas.json", &text, Some(&policies));
    assert!(!left.iter().any(|finding| finding.rule == &rules::ZUPLO_UNDEFINED), "{left:#?}");
    assert!(!left.iter().any(|finding| finding.rule == &rules::AUTH), "{left:#?}");
}

/// An API of AWS beside others, what of it is wrong, and where.
const BESIDE: [(&str, &[&str]); 5] = [
    // A good API does not excuse another one, which says its path as a route.
    (
        "  Quick:\n    Type: AWS::ApiGatewayV2::Api\n    Properties: { ProtocolType: HTTP }\n  Route:\n    \
         Type: AWS::ApiGatewayV2::Route\n    Properties: { ApiId: !Ref Quick, RouteKey: POST /v1/messages }\n",
        &["aws.http_api Quick"],
    ),
    // Others are what they like.
    (
        "  Shop:\n    Type: AWS::ApiGatewayV2::Api\n    Properties: { ProtocolType: HTTP }\n  \
         Wares:\n    Type: AWS::ApiGateway::RestApi\n    Properties: { MinimumCompressionSize: 0 }\n  \
         Ware:\n    Type: AWS::ApiGateway::Method\n    Properties:\n      RestApiId: { Ref: Wares }\n      \
         Integration: { Type: AWS, Uri: https://shop.example.com }\n",
        &[],
    ),
    (
        "  Second:\n    Type: AWS::ApiGateway::RestApi\n    Properties: { Name: second }\n  \
         Ask:\n    Type: AWS::ApiGateway::Method\n    Properties:\n      RestApiId: { Ref: Second }\n      \
         ApiKeyRequired: true\n      Integration:\n        Type: HTTP_PROXY\n        Uri: !Sub \"${Upstream}/v1\"\n        \
         ResponseTransferMode: BUFFERED\n        TimeoutInMillis: 900000\n        RequestParameters:\n          \
         integration.request.header.x-api-key: stageVariables.key\n          \
         integration.request.header.authorization: context.authorizer.none\n\
         Parameters:\n  Upstream: { Type: String, Default: https://api.anthropic.com }\n",
        &["aws.edge Second", "aws.stream Ask"],
    ),
    (
        "  Fast:\n    Type: AWS::Serverless::HttpApi\n    Properties: { StageName: a }\n  \
         Fn:\n    Type: AWS::Serverless::Function\n    Properties:\n      Events:\n        \
         Ask: { Type: HttpApi, Properties: { ApiId: !Ref Fast, Path: /v1/messages } }\n",
        &["aws.http_api Fast"],
    ),
    (
        "  Chat:\n    Type: AWS::ApiGatewayV2::Api\n    Properties: { ProtocolType: WEBSOCKET, Name: anthropic }\n",
        &[],
    ),
];

#[test]
fn each_api_of_a_template_is_judged_by_itself_and_named() {
    let good = fs::read_to_string(folder().join("good/aws.yaml")).unwrap();
    for (beside, expected) in BESIDE {
        let text = format!("{good}{beside}");
        let findings = found("template.yaml", &text, None);
        let named: Vec<String> = findings
            .iter()
            .map(|one| format!("{} {}", one.rule.id, one.says.split_once(": ").unwrap_or_default().0))
            .collect();
        assert_eq!(named, expected, "{beside}: {findings:#?}");
        for finding in &findings {
            let line = finding.place.as_ref().unwrap().line;
            assert!(line > good.lines().count(), "{beside}: {finding:#?}");
        }
    }
}

#[test]
fn where_it_can_not_be_told_which_api_serves_all_are_judged() {
    let text = "# third-party gateway\nDescription: before api.anthropic.com\nResources:\n  A:\n    \
                Type: AWS::Serverless::HttpApi\n    Properties: { StageName: a }\n  B:\n    \
                Type: AWS::ApiGatewayV2::Api\n    Properties: { ProtocolType: HTTP }\n";
    let findings = found("template.yaml", text, None);
    let apis = findings.iter().filter(|one| one.rule == &rules::AWS_HTTP_API);
    let apis: Vec<&str> = apis.map(|one| &one.says[..2]).collect();
    assert_eq!(apis, ["A:", "B:"], "{findings:#?}");
}

/// Whose credential is sent makes no difference: the form of the requests is another.
#[test]
fn a_plain_proxy_before_a_cloud_is_told() {
    let is_found = |file: &str, host: &str, more: &str| {
        let good = fs::read_to_string(folder().join("good").join(file)).unwrap();
        let text = good.replace("api.anthropic.com", host) + more;
        let findings = found(file, &text, None);
        let at = findings.iter().find(|one| one.rule == &rules::CLOUD)?.place.as_ref()?.line;
        Some(text.lines().nth(at - 1)?.contains(host))
    };
    for host in ["us-east5-aiplatform.googleapis.com", "bedrock-runtime.us-east-1.amazonaws.com"] {
        for file in ["nginx.conf", "haproxy.cfg", "kong.yaml", "envoy.yaml"] {
            assert_eq!(is_found(file, host, ""), Some(true), "{file}");
            assert_eq!(is_found(file, host, "# https://api.anthropic.com\n"), Some(true), "{file}");
        }
        // Both at once: which path leads where is for the reader.
        let both = "server { location /x/ { proxy_pass https://api.anthropic.com; } }\n";
        assert_eq!(is_found("nginx.conf", host, both), None);
        let own = "server { location ~ rawPredict$ { return 404; } location ~ /invoke$ { return 404; } }\n";
        assert_eq!(is_found("nginx.conf", host, own), None);
    }
    assert_eq!(is_found("nginx.conf", "llm.example.com", ""), None);
}

#[test]
fn private_files_of_nginx_may_hold_secrets() {
    let text = "proxy_set_header X-Api-Key sk-ant-api03-0123456789abcdef;\n";
    let ids = |is_private| {
        let subject = Subject { name: "upstream.conf", text, is_private, policies: None };
        lint(&subject, Kind::Nginx).iter().map(|finding| finding.rule.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(false), ["lint.secret"]);
    assert!(ids(true).is_empty());
}

#[test]
fn a_secret_is_found_and_never_repeated() {
    let canary = "sk-ant-api03-canary0123456789";
    let rows = [
        (
            Kind::Nginx,
            format!("location /v1/messages {{ proxy_set_header Authorization \"Bearer {canary}\"; }}"),
        ),
        (
            Kind::Haproxy,
            format!("backend anthropic\n  server a b:1\n  http-request set-header x-api-key {canary}\n"),
        ),
        (Kind::Kong, format!("plugins:\n  - name: {canary}\n    {canary}: {canary}\n")),
        (Kind::Envoy, format!("static_resources: {{ a: \"${{{canary}}}\" }}\n")),
        (
            Kind::Zuplo,
            format!(
                "{{\"export\": \"RateLimitInboundPolicy\", \"options\": {{\"{canary}\": \"{canary}\"}}}}"
            ),
        ),
        (
            Kind::Truefoundry,
            format!("type: provider-account/anthropic\n{canary}: 1\nauth_data: {{ api_key: {canary} }}\n"),
        ),
        (
            Kind::Aws,
            format!(
                "paths: {{ /v1/: {{ get: {{ x-amazon-apigateway-integration: {{ type: {canary} }} }} }} }}\n"
            ),
        ),
    ];
    for (kind, text) in rows {
        let findings = lint(&Subject { name: "f", text: &text, is_private: false, policies: None }, kind);
        assert!(findings.iter().any(|finding| finding.rule.id == "lint.secret"), "{kind:?}: {findings:#?}");
        let shown = format!("{findings:?}").to_lowercase();
        assert!(!shown.contains("canary"), "{kind:?}: {shown}");
    }
}

proptest! {
    /// Any text, and any part of a good one, of any kind.
    #[test]
    fn no_text_is_too_odd(
        text in "[ -~\\n\u{e9}]{0,120}",
        file in prop::sample::select(vec!["nginx.conf", "haproxy.cfg", "kong.yaml", "envoy.yaml", "truefoundry.yaml",
            "aws.yaml", "aws-openapi.json", "zuplo/routes.oas.json", "zuplo/policies.json"]),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let good = fs::read_to_string(folder().join("good").join(file)).unwrap();
        // The files are in ASCII, so every byte is the border of a character.
        let (cut, at) = (cut.index(good.len()), at.index(good.len()));
        let mixed = format!("{}{text}{}", &good[..at], &good[cut..]);
        for text in [&text, &good[..cut], &mixed] {
            let _ = Kind::of(file, text);
            for kind in <Kind as clap::ValueEnum>::value_variants() {
                lint(&Subject { name: file, text, is_private: false, policies: Some(text) }, *kind);
            }
        }
    }
}

#[test]
fn deep_and_repeated_texts_are_bounded() {
    let bomb = (0..30).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
        format!("{text}a{}: &a{} [*a{n}, *a{n}]\n", n + 1, n + 1)
    });
    let apis = (0..10_000).fold("Resources:\n  Api: { Description: anthropic }\n".to_owned(), |text, n| {
        format!("{text}  A{n}: {{ Type: AWS::ApiGatewayV2::Api, Properties: {{ Name: a }} }}\n")
    });
    let rows = [
        (Kind::Aws, apis),
        (Kind::Nginx, "a {".repeat(100_000)),
        (Kind::Kong, "[".repeat(100_000)),
        (Kind::Envoy, format!("static_resources: {{}}\n{bomb}")),
        (Kind::Haproxy, "http-request set-header anthropic-beta x\n".repeat(5_000)),
    ];
    for (kind, text) in rows {
        let findings = lint(&Subject { name: "f", text: &text, is_private: false, policies: None }, kind);
        assert!((1..=PER_RULE_MAX + 10).contains(&findings.len()), "{kind:?}: {}", findings.len());
    }
}
