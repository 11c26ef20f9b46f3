//! The rules of `tollgate lint`: what must hold of the configuration of a gateway before the Anthropic API, as far as
//! its file shows it. Those that begin with `lint` are about every product, the others about one.

use crate::finding::rules;

rules! {
    SYNTAX = "lint.syntax" "Readable" Error false
        "The file can be read by the grammar of its product.";
    SECRET = "lint.secret" "No Secret in Clear Text" Error false
        "No key, token or password stands in the file: whoever reads the repository, a backup or a review has it. \
         nginx can not refer to secrets, so a file of nginx that only its owner may read is let be.";
    REFERENCE = "lint.reference" "References Are Expanded" Error false
        "A reference to a secret or a variable has the form that this product expands. Another form is sent to the API \
         as it is written, or keeps the product from starting.";
    CREDENTIAL = "lint.credential" "Upstream Credential" Error false
        "The gateway sets the credential of the API, and replaces what the client sent there.";
    PASS_THROUGH = "lint.pass_through" "Clients' Own Credentials" Note false
        "Nothing sets a credential of the API, and nothing reads or removes those of clients: each client presents one of \
         the API itself. That may be meant. A gateway that is to hold the key, and to know who asks, sets it.";
    LEAK = "lint.leak" "Client Credential Stays" Error false
        "Both headers in which clients present their credential, `Authorization` and `x-api-key`, are removed or replaced \
         before a request goes to the API. Claude Code sends both when it has an `apiKeyHelper`.";
    APPEND = "lint.append" "One Upstream Credential" Error false
        "A credential header is replaced, not added to: with `add`, the value of the client stays, alone or as well.";
    BEARER = "lint.bearer" "API Key in x-api-key" Warning false
        "An API key of Anthropic goes upstream in `x-api-key`; `Authorization: Bearer` is for OAuth tokens \
         (docs.claude.com, API overview).";
    AUTH = "lint.auth" "Clients Are Identified" Error false
        "A gateway that presents its own credential to the API asks its clients for theirs. Otherwise everyone who \
         reaches it spends the money.";
    VERSION = "lint.version" "Open List of Headers" Error false
        "`anthropic-version`, `anthropic-beta` and the other `anthropic-*` headers go upstream as clients sent them. \
         They change with each release of the clients, so a fixed value or an allow-list breaks features.";
    DEFAULT = "lint.default" "No Empty Settings" Note false
        "A setting that does what happens anyway makes readers believe that it is needed.";
    BUFFERING = "lint.buffering" "Streams Are Not Held Back" Error false
        "Answers are passed on as they come. A buffer holds back streams that are compressed or that end with their \
         connection, even where it lets chunked ones through.";
    REQUEST_BUFFERING = "lint.request_buffering" "Requests Are Not Held Back" Note false
        "Requests, which may have 32 MB, are passed on as they come and not written to a disk first.";
    COMPRESSION = "lint.compression" "Streams Are Not Compressed" Warning false
        "The gateway compresses no `text/event-stream`: a compressor waits for enough to compress.";
    TIMEOUT = "lint.timeout" "Long Silences" Error false
        "No timeout on the way is shorter than 300 s, the time after which Claude Code itself gives up on a silent \
         stream; 600 s are usual.";
    RETRIES = "lint.retries" "No Retries" Warning false
        "The gateway does not send a request twice. Clients retry by themselves, and what was sent may be billed.";
    BODY_SIZE = "lint.body_size" "Large Requests" Error false
        "Requests of 32 MB pass, the most that the API takes. A default of 1 MB ends a session after a few turns.";
    ERRORS = "lint.errors" "Errors Pass Unchanged" Error false
        "Errors of the API reach the client byte for byte: clients match their wording to recover.";
    ENDPOINTS = "lint.endpoints" "All Endpoints" Warning false
        "Besides `/v1/messages`, Claude Code asks for `/v1/messages/count_tokens` and `/v1/models`.";
    PREFIX = "lint.prefix" "Exact Paths" Warning false
        "A path is matched as a whole: what matches `/v1/messages` as a prefix also serves `/v1/messages/batches` and \
         `/v1/messagesfoo`. Which endpoints are open is decided on purpose.";
    QUERY = "lint.query" "Query String" Error false
        "The query string passes, and nobody compares a path with it: Claude Code asks for `/v1/messages?beta=true`.";
    ACCEPT = "lint.accept" "Nothing Depends on Accept" Warning false
        "Nothing is decided by `Accept`: Claude Code sends `application/json` for streams too.";
    UPSTREAM = "lint.upstream" "Something Is Proxied" Error false
        "The configuration leads requests for the API to an upstream.";
    CLOUD = "lint.cloud" "Form of the Upstream" Error false
        "The Messages API leads to an upstream that speaks it. Vertex AI and Bedrock take another URL and another body \
         (`:rawPredict` and `/invoke`, with `anthropic_version` in it), which no credential makes up for: a gateway before \
         them translates, or its clients speak that form themselves.";
    HOST = "lint.host" "Host of the API" Error false
        "The upstream sees its own name in `Host`. The API does not answer to the name of the gateway.";
    TLS = "lint.tls" "TLS to the API" Error false
        "The connection to the API is encrypted and names the server (SNI); without it the API's front refuses it.";
    VERIFY = "lint.verify" "Certificate of the API" Warning false
        "The certificate of the API is checked. Otherwise whoever stands on the way receives the provider's key.";
    LIMIT_KEY = "lint.limit_key" "Limits by Consumer" Warning false
        "Limits count by consumer and not by address: a whole office shares one address.";
    LIMIT_SHARED = "lint.limit_shared" "Limits Are Shared" Warning false
        "All instances count together. A limit that each counts for itself is as many times larger as there are \
         instances.";
    LIMIT_STATUS = "lint.limit_status" "Limits Say 429" Warning false
        "A limit answers with 429, after which clients wait.";
    LOG = "lint.log" "Logs Hold No Secrets" Error false
        "Neither credentials nor bodies are logged.";
    MODEL = "lint.model" "Models in Service" Warning false
        "No model is named that the API has retired (docs.claude.com, model deprecations).";
    HEADER = "lint.header" "Headers That Exist" Note false
        "No client of the API sends `anthropic-client-version`. They are told by `user-agent`, `x-app` and \
         `x-stainless-*`.";
    ISSUER = "lint.issuer" "Issuer with Custom Scopes" Warning false
        "Tokens come from a custom authorization server: Okta's own one, `/oauth2/v1`, refuses custom scopes.";
    NOTICE = "lint.notice" "Third-Party Notice" Note false
        "The file says that the gateway is a third party's, which Anthropic neither makes nor supports, and where to \
         find help.";

    NGINX_HTTP_VERSION = "nginx.http_version" "HTTP/1.1 to the API" Warning false
        "`proxy_http_version 1.1`: the default of most versions in use is 1.0, which has neither chunks nor connections that \
         are kept.";

    HAPROXY_MODE = "haproxy.mode" "HTTP Mode" Error false
        "`mode http`: the default is tcp, in which rules on requests are not obeyed.";
    HAPROXY_MAP = "haproxy.map" "Keys of Maps" Error false
        "A map is asked for the bare key: its keys can not hold the space of `Bearer KEY`.";
    HAPROXY_BUFFER = "haproxy.buffer" "Room for Headers" Warning false
        "`tune.bufsize` is at least 32768: a head that does not fit into the default of 16384 is refused, and \
         `anthropic-beta` may have 20 KB.";

    KONG_KEY = "kong.key" "Known Keys" Error false
        "Every key of the file, of its entities and of the configuration of its plugins exists. Kong refuses the whole \
         file for one that does not.";
    KONG_VALUE = "kong.value" "Fitting Values" Error false
        "Values have the types and bounds of Kong's schemas.";
    KONG_PASS = "kong.pass" "No List of Headers to Pass" Error false
        "`request-transformer` has no `pass`: all headers pass by themselves.";
    KONG_PLUGIN = "kong.plugin" "Known Plugins" Error false
        "Every plugin is one of Kong's. Buffering is no plugin; OpenID Connect is `openid-connect`.";
    KONG_FORMAT = "kong.format" "Format Version" Error false
        "The file says `_format_version: \"3.0\"`, as a text. Without it nothing is loaded.";
    KONG_LIMIT = "kong.limit" "Limits That Count" Error false
        "`rate-limiting` has at least one window, a policy that the mode has (DB-less: local or redis), and the host of \
         its Redis.";
    KONG_KEY_AUTH = "kong.key_auth" "Keys Are Found" Error false
        "`key-auth` reads the keys from `x-api-key`. It compares whole values, so that it never finds one in \
         `Authorization: Bearer KEY`.";
    KONG_STRIP_PATH = "kong.strip_path" "Path Is Kept" Error false
        "`strip_path: false` on the route: by default Kong cuts off what the route matched.";
    KONG_AI_PROXY = "kong.ai_proxy" "No ai-proxy" Error false
        "`ai-proxy` and its kin speak OpenAI's format to clients. Claude Code needs a plain proxy.";

    ENVOY_IDLE = "envoy.idle" "Idle Streams" Warning false
        "`stream_idle_timeout` is longer than 300 s, which is its default and the patience of Claude Code: whichever \
         ends first decides what the user reads.";

    ZUPLO_FILE = "zuplo.file" "Files of Zuplo" Error false
        "Zuplo is configured by `config/routes.oas.json` and `config/policies.json`. It reads no YAML.";
    ZUPLO_OPENAPI = "zuplo.openapi" "OpenAPI Document" Error false
        "The routes are an OpenAPI document, with `openapi` and `info`.";
    ZUPLO_HANDLER = "zuplo.handler" "Handler" Error false
        "A handler names its `module` and its `export`.";
    ZUPLO_POLICY = "zuplo.policy" "Policy" Error false
        "A policy stands in `policies` with a `name`, a `policyType` and a `handler` that belong together.";
    ZUPLO_UNDEFINED = "zuplo.undefined" "Defined Policies" Error false
        "Each policy that a route names is defined in `policies.json`.";
    ZUPLO_OPTION = "zuplo.option" "Options of Policies" Error false
        "The options of a policy are those of its schema, with fitting values.";
    ZUPLO_ORDER = "zuplo.order" "Order of Policies" Error false
        "Policies stand in the order in which they work: identify, limit, remove the client's credential, set the \
         upstream's.";
    ZUPLO_CORS = "zuplo.cors" "CORS Policy" Warning false
        "A route says its `corsPolicy`; no browser calls this API, so `none`.";

    TRUEFOUNDRY_TYPE = "truefoundry.type" "Type of the Manifest" Error false
        "A manifest says its `type`; `tfy apply` refuses it otherwise.";
    TRUEFOUNDRY_KEY = "truefoundry.key" "Known Keys" Error false
        "Every key exists in the models of TrueFoundry's SDK, which ignore others in silence, and none is missing.";
    TRUEFOUNDRY_VALUE = "truefoundry.value" "Fitting Values" Error false
        "Values have the types of the models, and units exist.";
    TRUEFOUNDRY_LIMITS = "truefoundry.limits" "Limits Are a Manifest" Error false
        "Limits are a manifest of type `gateway-rate-limiting-config` with one rule for each unit.";
    TRUEFOUNDRY_BASE_URL = "truefoundry.base_url" "Base URL with /v1" Error false
        "The `base_url` of an Anthropic account ends with `/v1`.";

    AWS_HTTP_API = "aws.http_api" "REST API" Error false
        "It is a REST API: HTTP APIs end every request after 30 s and do not stream.";
    AWS_STREAM = "aws.stream" "Response Streaming" Error false
        "`responseTransferMode` is `STREAM`; otherwise the answer is held back whole, for 29 s at most.";
    AWS_INTEGRATION = "aws.integration" "Plain Proxy" Error false
        "The integration is `HTTP_PROXY`: others rewrite bodies with templates and can not stream.";
    AWS_DECLARED = "aws.declared" "Declared Headers" Error false
        "A header of the client that a mapping names is declared as a parameter of the method.";
    AWS_EDGE = "aws.edge" "Regional Endpoint" Error false
        "The endpoint is regional or private: an edge-optimised one, the default, ends streams after 30 s of silence.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_say_what_they_are_about() {
        let ids: BTreeSet<_> = TABLE.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), TABLE.len());
        for rule in TABLE {
            let (room, _) = rule.id.split_once('.').unwrap();
            let known = ["lint", "nginx", "haproxy", "kong", "envoy", "zuplo", "truefoundry", "aws"];
            assert!(known.contains(&room), "{}", rule.id);
        }
    }
}
