//! A faulty form for each rule: a good file with one thing changed. Exactly the rules of the row must be found.

use super::*;

/// A good file, what is replaced in it, by what, and the rules that must find it.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

const NGINX: &[Row] = &[
    ("nginx.conf", "events {\n}", "events {\n", &["lint.syntax"]),
    ("nginx.conf", "Connection \"\"", "X-Key sk-ant-api03-0123456789abcdef", &["lint.secret"]),
    ("nginx.conf", "X-Api-Key $upstream_key", "X-Api-Key 0123456789abcdef", &["lint.secret"]),
    ("nginx.conf", "$upstream_key", "${ANTHROPIC_API_KEY}", &["lint.reference"]),
    ("nginx.conf", "proxy_set_header X-Api-Key $upstream_key;", "", &["lint.credential"]),
    ("nginx.conf", "proxy_set_header Authorization \"\";", "", &["lint.leak"]),
    ("nginx.conf", "Authorization \"\"", "Authorization $http_authorization", &["lint.leak"]),
    ("nginx.conf", "Authorization \"\"", "Authorization \"Bearer $anthropic_api_key\"", &["lint.bearer"]),
    (
        "nginx.conf",
        "if ($consumer = \"\") { return 401; }\n            limit_req",
        "limit_req",
        &["lint.auth"],
    ),
    ("nginx.conf", "Connection \"\"", "anthropic-version 2023-06-01", &["lint.version"]),
    ("nginx.conf", "Connection \"\"", "anthropic-beta \"\"", &["lint.version"]),
    ("nginx.conf", "listen", "proxy_pass_request_headers off; listen", &["lint.version"]),
    ("nginx.conf", "Connection \"\"", "anthropic-beta $http_anthropic_beta", &["lint.default"]),
    ("nginx.conf", "listen", "proxy_pass_request_headers on; listen", &["lint.default"]),
    ("nginx.conf", "        proxy_buffering off;\n", "", &["lint.buffering"]),
    ("nginx.conf", "proxy_buffering off", "proxy_buffering on", &["lint.buffering"]),
    ("nginx.conf", "proxy_request_buffering off;", "", &["lint.request_buffering"]),
    ("nginx.conf", "listen", "gzip on; gzip_types text/event-stream; listen", &["lint.compression"]),
    ("nginx.conf", "proxy_read_timeout 10m;", "", &["lint.timeout"]),
    ("nginx.conf", "proxy_read_timeout 10m", "proxy_read_timeout 2m", &["lint.timeout"]),
    ("nginx.conf", "proxy_next_upstream off", "proxy_next_upstream error non_idempotent", &["lint.retries"]),
    ("nginx.conf", "client_max_body_size 32m;", "", &["lint.body_size"]),
    ("nginx.conf", "client_max_body_size 32m", "client_max_body_size 10m", &["lint.body_size"]),
    ("nginx.conf", "listen", "proxy_intercept_errors on; listen", &["lint.errors"]),
    ("nginx.conf", "location = /v1/messages/count_tokens", "location = /count_tokens", &["lint.endpoints"]),
    ("nginx.conf", "location = /v1/messages {", "location /v1/messages {", &["lint.prefix"]),
    ("nginx.conf", "if ($consumer = \"\")", "if ($request_uri = /v1/messages)", &["lint.query"]),
    ("nginx.conf", "proxy_pass https://anthropic;", "proxy_pass https://anthropic$uri;", &["lint.query"]),
    ("nginx.conf", "listen", "if ($http_accept ~ event) { } listen", &["lint.accept"]),
    ("nginx.conf", "nodelay;\n            proxy_pass https://anthropic;", "nodelay;", &["lint.upstream"]),
    ("nginx.conf", "Host api.anthropic.com", "Host $host", &["lint.host"]),
    ("nginx.conf", "proxy_set_header Host api.anthropic.com;", "", &["lint.host"]),
    ("nginx.conf", "proxy_ssl_server_name on;", "", &["lint.tls"]),
    ("nginx.conf", "proxy_ssl_name api.anthropic.com;", "", &["lint.tls"]),
    ("nginx.conf", "proxy_ssl_verify on;", "", &["lint.verify"]),
    ("nginx.conf", "limit_req_zone $consumer", "limit_req_zone $binary_remote_addr", &["lint.limit_key"]),
    ("nginx.conf", "limit_req_status 429;", "", &["lint.limit_status"]),
    ("sites/nginx.conf", "location /v1/ {", "location /v1/ { limit_req zone=login;", &["lint.limit_key"]),
    (
        "sites/nginx.conf",
        "location /v1/ {",
        "location /v1/ { add_header X-Suffix $webp_suffix;",
        &["lint.accept"],
    ),
    ("sites/nginx.conf", "proxy_buffering off", "proxy_buffering on", &["lint.buffering"]),
    (
        "sites/nginx.conf",
        "proxy_pass https://api.anthropic.com;",
        "set $api api.anthropic.com; proxy_pass https://${api}$request_uri; proxy_intercept_errors on;",
        &["lint.errors"],
    ),
    ("sites/nginx.conf", "X-User $USER", "X-User $PERSON", &["lint.reference"]),
    ("nginx.conf", "$uri $status", "$http_x_api_key $status", &["lint.log"]),
    ("nginx.conf", "keepalive 64", "keepalive 64; set $model claude-3-5-haiku-20241022", &["lint.model"]),
    ("nginx.conf", "Connection \"\"", "anthropic-client-version $version", &["lint.header"]),
    ("nginx.conf", "keepalive 64", "set $issuer https://a.okta.com/oauth2/v1", &["lint.issuer"]),
    ("nginx.conf", "third-party", "", &["lint.notice"]),
    ("nginx.conf", "proxy_http_version 1.1;", "", &["nginx.http_version"]),
];

const HAPROXY: &[Row] = &[
    ("haproxy.cfg", "mode http", "mode http '", &["lint.syntax"]),
    ("haproxy.cfg", "\"${ANTHROPIC_API_KEY}\"", "0123456789abcdef", &["lint.secret"]),
    ("haproxy.cfg", "\"${ANTHROPIC_API_KEY}\"", "${ANTHROPIC_API_KEY}", &["lint.reference"]),
    ("haproxy.cfg", "set-header x-api-key \"${", "set-header x-key \"${", &["lint.credential"]),
    ("haproxy.cfg", "http-request del-header authorization", "", &["lint.leak"]),
    ("haproxy.cfg", "set-header x-api-key", "add-header x-api-key", &["lint.append"]),
    (
        "haproxy.cfg",
        "set-header x-api-key \"${",
        "set-header authorization \"Bearer ${",
        &["lint.bearer", "lint.leak"],
    ),
    (
        "haproxy.cfg",
        "http-request return status 401 unless { var(txn.consumer) -m found }",
        "",
        &["lint.auth"],
    ),
    (
        "haproxy.cfg",
        "del-header authorization",
        "del-header authorization\n    http-request del-header anthropic-beta",
        &["lint.version"],
    ),
    ("haproxy.cfg", "timeout server 10m", "timeout server 50s", &["lint.timeout"]),
    ("haproxy.cfg", "timeout client 600s", "", &["lint.timeout"]),
    (
        "haproxy.cfg",
        "\nbackend anthropic\n",
        "\nbackend anthropic\n    timeout server 50s\n",
        &["lint.timeout"],
    ),
    (
        "haproxy.cfg",
        "frontend gateway\n",
        "defaults\n    mode tcp\n\nfrontend gateway\n",
        &["haproxy.mode", "lint.timeout"],
    ),
    ("haproxy.cfg", "    default_backend", "    retry-on 503\n    default_backend", &["lint.retries"]),
    (
        "haproxy.cfg",
        "    default_backend",
        "    option http-buffer-request\n    default_backend",
        &["lint.request_buffering"],
    ),
    (
        "haproxy.cfg",
        "    default_backend",
        "    compression type text/event-stream\n    default_backend",
        &["lint.compression"],
    ),
    ("haproxy.cfg", "unless { path /v1/messages", "unless { url /v1/messages", &["lint.query"]),
    (
        "haproxy.cfg",
        "    default_backend",
        "    acl s req.hdr(accept) -m sub event\n    default_backend",
        &["lint.accept"],
    ),
    ("haproxy.cfg", "http-request set-header host api.anthropic.com", "", &["lint.host"]),
    ("haproxy.cfg", "ssl verify required ca-file @system-ca sni str(api.anthropic.com)", "", &["lint.tls"]),
    ("haproxy.cfg", " sni str(api.anthropic.com)", "", &["lint.tls"]),
    ("haproxy.cfg", "verify required ca-file @system-ca", "verify none", &["lint.verify"]),
    ("haproxy.cfg", "track-sc0 var(txn.consumer)", "track-sc0 src", &["lint.limit_key"]),
    ("haproxy.cfg", "deny deny_status 429", "deny", &["lint.limit_status"]),
    (
        "haproxy.cfg",
        "    default_backend",
        "    capture request header authorization len 99\n    default_backend",
        &["lint.log"],
    ),
    ("haproxy.cfg", "    mode http\n", "", &["haproxy.mode"]),
    ("haproxy.cfg", "var(txn.key),map(", "req.hdr(authorization),map(", &["haproxy.map"]),
    ("haproxy.cfg", "tune.bufsize 65536", "tune.bufsize 16384", &["haproxy.buffer"]),
];

const KONG: &[Row] = &[
    ("kong.yaml", "services:", "services: [", &["lint.syntax"]),
    ("kong.yaml", "${{ env \"DECK_ALICE_KEY\" }}", "0123456789abcdef", &["lint.secret"]),
    ("kong.yaml", "${{ env \"DECK_ALICE_KEY\" }}", "${ALICE_KEY}", &["lint.reference"]),
    ("kong.yaml", "${{ env \"DECK_ALICE_KEY\" }}", "\"Bearer {vault://env/alice}\"", &["lint.reference"]),
    ("kong.yaml", "request-transformer", "cors", &["lint.credential"]),
    ("kong.yaml", "headers: [authorization]", "headers: [x-other]", &["lint.leak"]),
    ("kong.yaml", "hide_credentials: true", "hide_credentials: false", &["lint.leak"]),
    (
        "kong.yaml",
        "          replace:\n            headers: ['x-api-key",
        "          replace:\n            headers: ['x-other",
        &["lint.append", "lint.leak"],
    ),
    (
        "kong.yaml",
        "headers: ['x-api-key:${{ env",
        "headers: ['authorization:Bearer ${{ env",
        &["lint.append", "lint.bearer", "lint.leak"],
    ),
    ("kong.yaml", "- name: key-auth", "- name: cors", &["lint.auth", "lint.limit_key"]),
    ("kong.yaml", "headers: [authorization]", "headers: [authorization, anthropic-beta]", &["lint.version"]),
    (
        "kong.yaml",
        "headers: ['x-api-key",
        "headers: ['anthropic-version:2023-06-01', 'x-api-key",
        &["lint.version"],
    ),
    (
        "kong.yaml",
        "          add:\n            headers: ['x-api-key",
        "          add:\n            headers: ['anthropic-version:2023-06-01', 'x-api-key",
        &["lint.default"],
    ),
    ("kong.yaml", "        response_buffering: false\n", "", &["lint.buffering"]),
    ("kong.yaml", "request_buffering: false", "request_buffering: true", &["lint.request_buffering"]),
    ("kong.yaml", "read_timeout: 600000", "read_timeout: 60000", &["lint.timeout"]),
    ("kong.yaml", "    write_timeout: 600000\n", "", &["lint.timeout"]),
    ("kong.yaml", "    retries: 0\n", "", &["lint.retries"]),
    ("kong.yaml", "allowed_payload_size: 32", "allowed_payload_size: 8", &["lint.body_size"]),
    ("kong.yaml", "          - \"~/v1/messages/count_tokens$\"\n", "", &["lint.endpoints"]),
    ("kong.yaml", "\"~/v1/messages$\"", "/v1/messages", &["lint.prefix"]),
    ("kong.yaml", "\"~/v1/messages$\"", "\"~/v1/messages?beta=true$\"", &["lint.query"]),
    ("kong.yaml", "preserve_host: false", "headers: { accept: [text/event-stream] }", &["lint.accept"]),
    ("kong.yaml", "preserve_host: false", "preserve_host: true", &["lint.host"]),
    ("kong.yaml", "https://api", "http://api", &["lint.tls"]),
    ("kong.yaml", "api.anthropic.com", "us-east5-aiplatform.googleapis.com", &["lint.cloud"]),
    ("kong.yaml", "    retries: 0", "    retries: 0\n    tls_verify: false", &["lint.verify"]),
    ("kong.yaml", "limit_by: consumer", "limit_by: ip", &["lint.limit_key"]),
    ("kong.yaml", "policy: redis", "policy: local", &["lint.limit_shared"]),
    ("kong.yaml", "limit_by: consumer", "error_code: 503", &["lint.limit_status"]),
    ("kong.yaml", "connect_timeout", "conect_timeout", &["kong.key"]),
    ("kong.yaml", "limit_by: consumer", "limitBy: consumer", &["kong.key"]),
    ("kong.yaml", "consumers:", "users:", &["kong.key"]),
    ("kong.yaml", "retries: 0", "retries: \"0\"", &["kong.value", "lint.retries"]),
    ("kong.yaml", "limit_by: consumer", "limit_by: user", &["kong.value"]),
    ("kong.yaml", "[GET, POST]", "[get, POST]", &["kong.value"]),
    ("kong.yaml", "/v1/models", "v1/models", &["kong.value", "lint.endpoints"]),
    (
        "kong.yaml",
        "    plugins:\n",
        "      - {name: messages, paths: [/v2], strip_path: false, request_buffering: false, response_buffering: \
         false}\n    plugins:\n",
        &["kong.value"],
    ),
    (
        "kong.yaml",
        "    plugins:\n",
        "    plugins:\n      - {name: response-transformer, config: {remove: {header: [server]}}}\n",
        &["kong.key"],
    ),
    (
        "kong.yaml",
        "    plugins:\n",
        "    plugins:\n      - {name: request-termination, config: {status: 404}}\n",
        &["kong.key"],
    ),
    ("kong.yaml", "          remove:", "          pass: [anthropic-beta]\n          remove:", &["kong.pass"]),
    ("kong.yaml", "- name: request-size-limiting", "- name: response-buffering", &["kong.plugin"]),
    ("kong.yaml", "- name: request-size-limiting", "- name: oidc", &["kong.plugin"]),
    ("kong.yaml", "- name: request-size-limiting", "- name: my-own", &["kong.plugin"]),
    ("kong.yaml", "\"3.0\"", "3.0", &["kong.format"]),
    ("kong.yaml", "          minute: 100\n", "", &["kong.limit"]),
    ("kong.yaml", "            host: redis.example.com\n", "", &["kong.limit"]),
    ("kong.yaml", "key_names: [x-api-key]", "key_names: [authorization]", &["kong.key_auth"]),
    ("kong.yaml", "          key_names: [x-api-key]\n", "", &["kong.key_auth"]),
    ("kong.yaml", "        strip_path: false\n", "", &["kong.strip_path"]),
    ("kong.yaml", "- name: request-size-limiting", "- name: ai-proxy", &["kong.ai_proxy"]),
];

const API_KEY_AUTH: &str = "                  - name: envoy.filters.http.api_key_auth
                    typed_config:
                      \"@type\": type.googleapis.com/envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth
                      key_sources: [{ header: authorization }, { header: x-api-key }]
";

const ENVOY: &[Row] = &[
    ("envoy.yaml", "%ENVIRONMENT(ANTHROPIC_API_KEY)%", "0123456789abcdef", &["lint.secret"]),
    ("envoy.yaml", "%ENVIRONMENT(ANTHROPIC_API_KEY)%", "${ANTHROPIC_API_KEY}", &["lint.reference"]),
    ("envoy.yaml", "key: x-api-key,", "key: x-other,", &["lint.credential"]),
    (
        "envoy.yaml",
        "request_headers_to_remove: [authorization]",
        "request_headers_to_remove: []",
        &["lint.leak"],
    ),
    (
        "envoy.yaml",
        "append_action: OVERWRITE_IF_EXISTS_OR_ADD",
        "append_action: ADD_IF_ABSENT",
        &["lint.append"],
    ),
    (
        "envoy.yaml",
        "key: x-api-key, value: \"%",
        "key: authorization, value: \"Bearer %",
        &["lint.bearer", "lint.leak"],
    ),
    ("envoy.yaml", API_KEY_AUTH, "", &["lint.auth"]),
    ("envoy.yaml", "[authorization]", "[authorization, anthropic-beta]", &["lint.version"]),
    (
        "envoy.yaml",
        "- name: envoy.filters.http.router",
        "- name: envoy.filters.http.buffer",
        &["lint.buffering"],
    ),
    (
        "envoy.yaml",
        "- name: envoy.filters.http.router",
        "- name: envoy.filters.http.compressor\n                    typed_config: { content_type: [text/event-stream] }",
        &["lint.compression"],
    ),
    ("envoy.yaml", "timeout: 0s", "timeout: 60s", &["lint.timeout"]),
    ("envoy.yaml", "stream_idle_timeout: 600s", "streamIdleTimeout: 60s", &["envoy.idle"]),
    ("envoy.yaml", "validation_context:", "validationContext:", &[]),
    ("envoy.yaml", "                            timeout: 0s\n", "", &["lint.timeout"]),
    (
        "envoy.yaml",
        "timeout: 0s",
        "timeout: 0s\n                            retry_policy: { retry_on: 5xx }",
        &["lint.retries"],
    ),
    ("envoy.yaml", "{ path: /v1/messages/count_tokens }", "{ path: /count_tokens }", &["lint.endpoints"]),
    ("envoy.yaml", "{ path: /v1/messages }", "{ prefix: /v1/messages }", &["lint.prefix"]),
    ("envoy.yaml", "{ path: /v1/messages }", "{ path: \"/v1/messages?beta=true\" }", &["lint.query"]),
    (
        "envoy.yaml",
        "{ path: /v1/messages }",
        "{ path: /v1/messages, headers: [{ name: accept }] }",
        &["lint.accept"],
    ),
    (
        "envoy.yaml",
        "                            host_rewrite_literal: api.anthropic.com\n",
        "",
        &["lint.host"],
    ),
    ("envoy.yaml", "          sni: api.anthropic.com\n", "", &["lint.tls"]),
    ("envoy.yaml", "transport_socket:", "metadata:", &["lint.tls"]),
    ("envoy.yaml", "validation_context:", "alpn_protocols:", &["lint.verify"]),
    ("envoy.yaml", "stat_prefix: gateway", "stat_prefix: \"%REQ(AUTHORIZATION)%\"", &["lint.log"]),
    ("envoy.yaml", "                stream_idle_timeout: 600s\n", "", &["envoy.idle"]),
    ("envoy.yaml", "stream_idle_timeout: 600s", "stream_idle_timeout: 60s", &["envoy.idle"]),
];

const ZUPLO: &[Row] = &[
    ("zuplo/policies.json", "\"cacheTtlSeconds\": 60", "\"secret\": \"0123456789abcdef\"", &["lint.secret"]),
    ("zuplo/policies.json", "$env(ANTHROPIC_API_KEY)", "${env.ANTHROPIC_API_KEY}", &["lint.reference"]),
    ("zuplo/routes.oas.json", "${env.UPSTREAM_URL}", "$env(UPSTREAM_URL)", &["lint.reference"]),
    (
        "zuplo/routes.oas.json",
        "              \"remove-credentials\",\n              \"set-upstream-key\"",
        "              \"remove-credentials\"",
        &["lint.credential"],
    ),
    ("zuplo/routes.oas.json", "\"inbound\": [", "\"inbound\": [], \"was\": [", &["lint.pass_through"]),
    ("zuplo/routes.oas.json", "              \"remove-credentials\",\n", "", &["lint.leak"]),
    ("zuplo/routes.oas.json", "              \"keys\",\n", "", &["lint.auth"]),
    (
        "zuplo/policies.json",
        "\"allowUnauthenticatedRequests\": false",
        "\"allowUnauthenticatedRequests\": true",
        &["lint.auth"],
    ),
    ("zuplo/policies.json", "\"overwrite\": true", "\"overwrite\": false", &["lint.append"]),
    (
        "zuplo/policies.json",
        "\"authorization\",",
        "\"authorization\", \"anthropic-beta\",",
        &["lint.version"],
    ),
    (
        "zuplo/policies.json",
        "RemoveHeadersInboundPolicy\",\n        \"options\": {",
        "RequestSizeLimitInboundPolicy\",\n        \"options\": { \"maxSizeInBytes\": 1000,",
        &["lint.body_size", "zuplo.policy"],
    ),
    ("zuplo/routes.oas.json", "\"/v1/models\"", "\"/v2/models\"", &["lint.endpoints"]),
    ("zuplo/routes.oas.json", "\"baseUrl\":", "\"forwardSearch\": false, \"baseUrl\":", &["lint.query"]),
    ("zuplo/routes.oas.json", "${env.UPSTREAM_URL}", "http://api.anthropic.com", &["lint.tls"]),
    ("zuplo/policies.json", "\"rateLimitBy\": \"user\"", "\"rateLimitBy\": \"ip\"", &["lint.limit_key"]),
    ("zuplo/routes.oas.json", "\"openapi\": \"3.1.0\",", "", &["zuplo.openapi"]),
    ("zuplo/routes.oas.json", "\"module\": \"$import(@zuplo/runtime)\",", "", &["zuplo.handler"]),
    ("zuplo/policies.json", "\"policyType\": \"api-key-inbound\",", "", &["zuplo.policy"]),
    (
        "zuplo/policies.json",
        "\"ApiKeyInboundPolicy\"",
        "\"RateLimitInboundPolicy\"",
        &["zuplo.option", "zuplo.policy"],
    ),
    ("zuplo/routes.oas.json", "\"limit\"", "\"limits\"", &["zuplo.undefined"]),
    ("zuplo/policies.json", "\"requestsAllowed\"", "\"requestsPerMinute\"", &["zuplo.option"]),
    ("zuplo/policies.json", "\"rateLimitBy\": \"user\"", "\"rateLimitBy\": \"consumer\"", &["zuplo.option"]),
    (
        "zuplo/routes.oas.json",
        "\"keys\",\n              \"limit\"",
        "\"limit\",\n              \"keys\"",
        &["zuplo.order"],
    ),
    ("zuplo/routes.oas.json", "\"corsPolicy\": \"none\",", "", &["zuplo.cors"]),
];

const TRUEFOUNDRY: &[Row] = &[
    ("truefoundry.yaml", "tfy-secret://tenant:gateway:anthropic", "0123456789abcdef", &["lint.secret"]),
    (
        "truefoundry.yaml",
        "tfy-secret://tenant:gateway:anthropic",
        "${ANTHROPIC_API_KEY}",
        &["lint.reference"],
    ),
    (
        "truefoundry.yaml",
        "model_id: claude-sonnet-5-5",
        "model_id: claude-3-5-sonnet-20241022",
        &["lint.model"],
    ),
    ("truefoundry.yaml", "type: gateway-rate-limiting-config", "kind: limits", &["truefoundry.type"]),
    ("truefoundry.yaml", "rate_limit_applies_per", "per", &["truefoundry.key"]),
    ("truefoundry.yaml", "    model_types: [chat]\n", "", &["truefoundry.key"]),
    ("truefoundry.yaml", "[chat]", "[embedding]", &["truefoundry.value"]),
    ("truefoundry.yaml", "unit: tokens_per_minute", "unit: tpm", &["truefoundry.value"]),
    ("truefoundry.yaml", "limit_to: 100\n", "limit_to: \"100\"\n", &["truefoundry.value"]),
    (
        "truefoundry.yaml",
        "type: gateway-rate-limiting-config\nname: limits\nrules:",
        "rate_limits:",
        &["truefoundry.limits"],
    ),
    ("truefoundry.yaml", "anthropic.com/v1", "anthropic.com", &["truefoundry.base_url"]),
];

const AWS: &[Row] = &[
    (
        "aws.yaml",
        "x-api-key: context.authorizer.apiKey",
        "x-api-key: \"'0123456789abcdef'\"",
        &["lint.secret"],
    ),
    (
        "aws.yaml",
        "          integration.request.header.x-api-key: context.authorizer.apiKey\n          integration.request.header.authorization: context.authorizer.nothing\n",
        "          integration.request.header.x-other: context.requestId\n",
        &["lint.credential"],
    ),
    (
        "aws.yaml",
        "          integration.request.header.authorization: context.authorizer.nothing\n",
        "",
        &["lint.leak"],
    ),
    ("aws.yaml", "AuthorizationType: CUSTOM", "AuthorizationType: NONE", &["lint.auth"]),
    ("aws-openapi.json", "\"keys\": []", "", &["lint.auth"]),
    (
        "aws.yaml",
        "        RequestParameters:\n",
        "        RequestParameters:\n          integration.request.header.anthropic-version: \"'2023-06-01'\"\n",
        &["lint.version"],
    ),
    (
        "aws.yaml",
        "        RequestParameters:\n",
        "        RequestParameters:\n          integration.request.header.anthropic-beta: method.request.header.anthropic-beta\n",
        &["aws.declared", "lint.default"],
    ),
    ("aws.yaml", "      Name:", "      MinimumCompressionSize: 0\n      Name:", &["lint.compression"]),
    ("aws.yaml", "TimeoutInMillis: 900000", "TimeoutInMillis: 29000", &["lint.timeout"]),
    ("aws-openapi.json", "\"timeoutInMillis\": 900000,", "", &["lint.timeout"]),
    ("aws-openapi.json", "/v1/{proxy+}", "/v1/messages", &["lint.endpoints"]),
    ("aws.yaml", "AWS::ApiGateway::RestApi", "AWS::ApiGatewayV2::Api", &["aws.http_api"]),
    ("sites/aws-sam.yaml", "EndpointConfiguration: REGIONAL", "Name: gateway", &["aws.edge"]),
    ("sites/aws-sam.yaml", "responseTransferMode: STREAM", "responseTransferMode: BUFFERED", &["aws.stream"]),
    (
        "aws-openapi.json",
        "\"type\": \"http_proxy\",",
        "\"payloadFormatVersion\": \"1.0\",",
        &["aws.http_api"],
    ),
    ("aws.yaml", "ResponseTransferMode: STREAM", "ResponseTransferMode: BUFFERED", &["aws.stream"]),
    ("aws-openapi.json", "\"responseTransferMode\": \"STREAM\",", "", &["aws.stream"]),
    ("aws.yaml", "Type: HTTP_PROXY", "Type: HTTP", &["aws.integration"]),
    ("aws.yaml", "      EndpointConfiguration:\n        Types: [REGIONAL]\n", "", &["aws.edge"]),
];

/// Rules that only the snippets of the guide break, which are whole files of another form.
const ELSEWHERE: [&str; 1] = ["zuplo.file"];

#[test]
fn each_rule_finds_its_fault_and_no_other_rule_does() {
    let policies = fs::read_to_string(folder().join("good/zuplo/policies.json")).unwrap();
    let mut wrong = Vec::new();
    let mut seen: BTreeSet<&str> = ELSEWHERE.into();
    for (file, from, to, expected) in [NGINX, HAPROXY, KONG, ENVOY, ZUPLO, TRUEFOUNDRY, AWS].concat() {
        let good = fs::read_to_string(folder().join("good").join(file)).unwrap();
        assert!(good.contains(from), "{file} does not hold {from:?}");
        let findings = found(file, &good.replacen(from, to, 1), Some(&policies));
        let ids: BTreeSet<&str> = findings.iter().map(|finding| finding.rule.id).collect();
        if ids != expected.iter().copied().collect() {
            wrong.push(format!(
                "{file}: {from:?} -> {to:?}: expected {expected:?}, found {:?}",
                lines(&findings)
            ));
        }
        seen.extend(ids);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let unseen: Vec<&str> = rules::TABLE.iter().map(|rule| rule.id).filter(|id| !seen.contains(id)).collect();
    assert!(unseen.is_empty(), "no row for {unseen:?}");
}

#[test]
fn findings_stand_where_the_fault_is() {
    let rows = [
        ("nginx.conf", "proxy_buffering off", "proxy_buffering on"),
        ("haproxy.cfg", "timeout server 10m", "timeout server 50s"),
        ("kong.yaml", "limit_by: consumer", "limitBy: consumer"),
        ("envoy.yaml", "stream_idle_timeout: 600s", "stream_idle_timeout: 60s"),
        ("zuplo/policies.json", "\"requestsAllowed\"", "\"requestsPerMinute\""),
        ("truefoundry.yaml", "unit: tokens_per_minute", "unit: tpm"),
        ("aws.yaml", "ResponseTransferMode: STREAM", "ResponseTransferMode: BUFFERED"),
    ];
    for (file, from, to) in rows {
        let good = fs::read_to_string(folder().join("good").join(file)).unwrap();
        let faulty = good.replacen(from, to, 1);
        let line = faulty[..faulty.find(to).unwrap()].lines().count();
        let findings = found(file, &faulty, None);
        let places: Vec<usize> = findings.iter().filter_map(|one| Some(one.place.as_ref()?.line)).collect();
        assert!(places.contains(&line), "{file}: {places:?} has no {line}");
    }
}
