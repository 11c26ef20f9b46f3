//! API Gateway of AWS: a REST API, as a template of CloudFormation and as a description of OpenAPI for those who import one.
//!
//! Sources: <https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/rest-api-parameter-mapping-sources.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, OwnError, prove, unread},
    plan::{Admits, Member, variable},
    template::render,
};
use tollgate_config::SecretRef;

pub(super) const PRODUCT: Product = Product {
    name: "Amazon API Gateway",
    help: "https://aws.amazon.com/premiumsupport",
    versions: "REST APIs",
    is_gateway: true,
};

/// The other kind of API, which [`refuse`] refuses.
pub(super) const HTTP_PRODUCT: Product = Product { versions: "HTTP APIs", ..PRODUCT };

const TEMPLATE: &str = include_str!("aws/cloudformation.yaml");
const OPENAPI: &str = include_str!("aws/openapi.yaml");
const HASH: Comment = Comment::Line("#");

/// What it takes in a request, in MB. Nothing raises it.
const MOST_MB: u32 = 10;

/// A member takes two resources of a template, which may hold 500
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>).
const MOST_MEMBERS: usize = 200;

/// How long a streamed answer may take at all, and how long it may be silent.
const LONGEST_MS: u64 = 900_000;
const IDLE_S: u32 = 300;

/// HTTP APIs end every answer after 30 s and hold it back until it is whole
/// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>).
pub(super) fn refuse(_: &Plan) -> Result<Output, Refusal> {
    Err(Refusal {
        why: "its HTTP APIs end every answer after 30 s and do not stream, so that Claude Code can not work",
        cure: "generate aws-api-gateway, which makes a REST API.",
    })
}

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let Admits::Keys(members) = plan.admits() else {
        return Err(Refusal {
            why: "a REST API verifies tokens of an issuer by a function (Lambda) that you write",
            cure: "give each member a key under auth.keys, or generate envoy, which verifies tokens.",
        });
    };
    if members.len() > MOST_MEMBERS {
        return Err(Refusal {
            why: "a template of CloudFormation holds 500 resources, which are too few for so many members",
            cure: "keep 200 members or fewer under auth.keys.",
        });
    }
    Ok(Output {
        files: vec![
            File::new("cloudformation.yaml", HASH, cloudformation(plan, members)),
            File::new("openapi.yaml", HASH, openapi(plan)),
        ],
        cannot: cannot(plan),
        next: next(plan),
    })
}

/// An endpoint that is passed on.
struct Endpoint {
    /// Its name in the template.
    name: &'static str,
    verb: &'static str,
    path: &'static str,
}

const ENDPOINTS: [Endpoint; 4] = [
    Endpoint { name: "Messages", verb: "POST", path: "/v1/messages" },
    Endpoint { name: "CountTokens", verb: "POST", path: "/v1/messages/count_tokens" },
    Endpoint { name: "Models", verb: "GET", path: "/v1/models" },
    Endpoint { name: "Model", verb: "GET", path: "/v1/models/{model}" },
];

/// Those that are answered here: load balancers ask for one, and clients warm their connection up with the other.
const OWN: [Endpoint; 2] = [
    Endpoint { name: "Health", verb: "GET", path: "/health" },
    Endpoint { name: "Hello", verb: "HEAD", path: "/api/hello" },
];

/// Every part of a path with the resource above it.
const RESOURCES: [(&str, &str, &str); 8] = [
    ("V1", "", "v1"),
    ("Messages", "V1", "messages"),
    ("CountTokens", "Messages", "count_tokens"),
    ("Models", "V1", "models"),
    ("Model", "Models", "{model}"),
    ("Health", "", "health"),
    ("OwnPaths", "", "api"),
    ("Hello", "OwnPaths", "hello"),
];

fn cloudformation(plan: &Plan, members: &[Member]) -> String {
    let errors = errors(plan);
    let per_second = f64::from(plan.limits.requests_per_minute) / 60.0;
    let deployed = ENDPOINTS.iter().chain(&OWN).map(|one| format!("- {}Method\n", one.name));
    let deployed: String =
        deployed.chain(errors.iter().map(|one| format!("- {}Error\n", one.name))).collect();
    render(
        TEMPLATE,
        &[
            ("name", &name(plan)),
            ("resources", &RESOURCES.map(|(name, above, part)| resource(name, above, part)).concat()),
            ("methods", &methods(plan)),
            ("errors", &errors.iter().map(OwnAnswer::resource).collect::<String>()),
            ("deployed", &deployed),
            ("upstream_key", &secret(&plan.upstream.key)),
            ("per_second", &format!("{per_second:.3}")),
            ("burst", &plan.limits.burst.max(1).to_string()),
            ("members", &(1..).zip(members).map(|(number, one)| member_key(number, one)).collect::<String>()),
        ],
    )
}

fn name(plan: &Plan) -> String {
    plan.name.0.as_str().replace('@', "-")
}

/// What CloudFormation puts a field of a secret in place of.
fn secret(secret: &SecretRef) -> String {
    format!("{{{{resolve:secretsmanager:${{UpstreamSecret}}:SecretString:{}}}}}", variable(secret))
}

fn resource(name: &str, above: &str, part: &str) -> String {
    let above =
        if above.is_empty() { "!GetAtt Api.RootResourceId".to_owned() } else { format!("!Ref {above}") };
    format!(
        "{name}:\n  Type: AWS::ApiGateway::Resource\n  Properties:\n    RestApiId: !Ref Api\n    ParentId: {above}\n    \
         PathPart: \"{part}\"\n\n"
    )
}

fn methods(plan: &Plan) -> String {
    let passed = ENDPOINTS.map(|one| {
        let (asked, sent) = match one.name {
            "Model" => (
                "    RequestParameters:\n      method.request.path.model: true\n",
                "        integration.request.path.model: method.request.path.model\n",
            ),
            _ => ("", ""),
        };
        format!(
            "{name}Method:\n  Type: AWS::ApiGateway::Method\n  Properties:\n    RestApiId: !Ref Api\n    ResourceId: !Ref \
             {name}\n    HttpMethod: {verb}\n    AuthorizationType: NONE\n    ApiKeyRequired: true\n{asked}    Integration:\n      \
             Type: HTTP_PROXY\n      IntegrationHttpMethod: {verb}\n      Uri: \"{url}{path}\"\n      # Without it an answer is held \
             back until it is whole, for 29 s at most.\n      ResponseTransferMode: STREAM\n      TimeoutInMillis: {timeout}\n      \
             # The client's key does not go up: the API's stands in its place. All other headers pass as they are.\n      \
             RequestParameters:\n        integration.request.header.x-api-key: stageVariables.upstreamKey\n{sent}\n",
            name = one.name,
            verb = one.verb,
            path = one.path,
            url = base(plan),
            timeout = timeout_ms(plan),
        )
    });
    let own = OWN.map(|one| {
        format!(
            "{name}Method:\n  Type: AWS::ApiGateway::Method\n  Properties:\n    RestApiId: !Ref Api\n    ResourceId: !Ref \
             {name}\n    HttpMethod: {verb}\n    AuthorizationType: NONE\n    Integration:\n      Type: MOCK\n      \
             RequestTemplates:\n        application/json: '{{\"statusCode\": 200}}'\n      IntegrationResponses:\n        - \
             StatusCode: \"200\"\n          ResponseTemplates:\n            application/json: '{{\"status\":\"ok\"}}'\n    \
             MethodResponses:\n      - StatusCode: \"200\"\n\n",
            name = one.name,
            verb = one.verb,
        )
    });
    passed.concat() + &own.concat()
}

fn base(plan: &Plan) -> String {
    plan.upstream.url.to_string().trim_end_matches('/').to_owned()
}

fn timeout_ms(plan: &Plan) -> u64 {
    (u64::from(plan.timeout_s) * 1000).min(LONGEST_MS)
}

/// A member's key, and its place in the plan.
fn member_key(number: usize, member: &Member) -> String {
    format!(
        "MemberKey{number}:\n  Type: AWS::ApiGateway::ApiKey\n  DependsOn: Stage\n  Properties:\n    Name: \"{}\"\n    Enabled: \
         true\n    Value: !Sub \"{}\"\n\nMemberPlan{number}:\n  Type: AWS::ApiGateway::UsagePlanKey\n  Properties:\n    KeyId: \
         !Ref MemberKey{number}\n    KeyType: API_KEY\n    UsagePlanId: !Ref Plan\n\n",
        member.name,
        secret(&member.key)
    )
}

/// What API Gateway says by itself, in the form that clients of the API understand.
struct OwnAnswer {
    /// Its name in the template.
    name: &'static str,
    /// What API Gateway calls it.
    kind: &'static str,
    error: OwnError,
    /// A header with its value.
    header: Option<(&'static str, String)>,
}

fn errors(plan: &Plan) -> [OwnAnswer; 8] {
    let answer = |name, kind, status| OwnAnswer { name, kind, error: OwnError::of(status), header: None };
    let retry_after = ("retry-after", plan.retry_after_s().to_string());
    // Claude Code asks again after a 401, for minutes, unless it is told not to.
    let no_retry = ("x-should-retry", "false".to_owned());
    [
        OwnAnswer { header: Some(no_retry), ..answer("UnknownKey", "INVALID_API_KEY", 401) },
        answer("NotFound", "MISSING_AUTHENTICATION_TOKEN", 404),
        answer("BadRequest", "DEFAULT_4XX", 400),
        OwnAnswer { header: Some(retry_after), ..answer("Limited", "THROTTLED", 429) },
        answer("TooLarge", "REQUEST_TOO_LARGE", 413),
        answer("Unreachable", "INTEGRATION_FAILURE", 502),
        answer("Silent", "INTEGRATION_TIMEOUT", 504),
        answer("Fault", "DEFAULT_5XX", 502),
    ]
}

impl OwnAnswer {
    fn resource(&self) -> String {
        let header = self.header.as_ref().map_or_else(String::new, |(name, value)| {
            format!("    ResponseParameters:\n      gatewayresponse.header.{name}: \"'{value}'\"\n")
        });
        format!(
            "{}Error:\n  Type: AWS::ApiGateway::GatewayResponse\n  Properties:\n    RestApiId: !Ref Api\n    ResponseType: \
             {}\n    StatusCode: \"{}\"\n{header}    ResponseTemplates:\n      application/json: '{}'\n\n",
            self.name,
            self.kind,
            self.error.status,
            self.error.body("$context.requestId")
        )
    }

    fn extension(&self) -> String {
        let header = self.header.as_ref().map_or_else(String::new, |(name, value)| {
            format!("  responseParameters:\n    gatewayresponse.header.{name}: \"'{value}'\"\n")
        });
        format!(
            "{}:\n  statusCode: {}\n{header}  responseTemplates:\n    application/json: '{}'\n",
            self.kind,
            self.error.status,
            self.error.body("$context.requestId")
        )
    }
}

fn openapi(plan: &Plan) -> String {
    let passed = ENDPOINTS.map(|one| {
        let (asked, sent) = match one.name {
            "Model" => (
                "    parameters:\n      - { name: model, in: path, required: true, schema: { type: string } }\n",
                "        integration.request.path.model: method.request.path.model\n",
            ),
            _ => ("", ""),
        };
        format!(
            "{path}:\n  {verb}:\n    security: [{{ key: [] }}]\n{asked}    responses: {{ \"200\": {{ description: The answer of the \
             API. }} }}\n    x-amazon-apigateway-integration:\n      type: http_proxy\n      httpMethod: {method}\n      uri: \
             \"{url}{path}\"\n      # Without it an answer is held back until it is whole, for 29 s at most.\n      \
             responseTransferMode: STREAM\n      timeoutInMillis: {timeout}\n      # The client's key does not go up: the API's \
             stands in its place. All other headers pass as they are.\n      requestParameters:\n        \
             integration.request.header.x-api-key: stageVariables.upstreamKey\n{sent}",
            path = one.path,
            verb = one.verb.to_ascii_lowercase(),
            method = one.verb,
            url = base(plan),
            timeout = timeout_ms(plan),
        )
    });
    let own = OWN.map(|one| {
        format!(
            "{}:\n  {}:\n    responses: {{ \"200\": {{ description: It runs. }} }}\n    x-amazon-apigateway-integration:\n      type: \
             mock\n      requestTemplates: {{ application/json: '{{\"statusCode\": 200}}' }}\n      responses:\n        default: {{ \
             statusCode: \"200\", responseTemplates: {{ application/json: '{{\"status\":\"ok\"}}' }} }}\n",
            one.path,
            one.verb.to_ascii_lowercase(),
        )
    });
    let errors: String = errors(plan).iter().map(OwnAnswer::extension).collect();
    render(
        OPENAPI,
        &[("name", &name(plan)), ("paths", &(passed.concat() + &own.concat())), ("errors", &errors)],
    )
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = Vec::new();
    if plan.body_mb > MOST_MB {
        cannot.push(format!(
            "It takes requests of {MOST_MB} MB at most, and nothing raises that: the {} MB asked for are not reached, and a \
             long session of Claude Code with images is refused.",
            plan.body_mb
        ));
    } else {
        cannot.push(format!(
            "The {} MB are not enforced: it takes {MOST_MB} MB whatever is asked for.",
            plan.body_mb
        ));
    }
    if plan.timeout_s > IDLE_S {
        cannot.push(format!(
            "It ends a stream that is silent for {IDLE_S} s: the {} s asked for are not kept. The API's pings hold a stream \
             open.",
            plan.timeout_s
        ));
    }
    cannot.extend(unread(plan));
    cannot.extend(
        [
            "It removes no header: a bearer token that a client presents goes on to the API, which then sees two credentials. \
             Let clients present x-api-key alone (ANTHROPIC_API_KEY in Claude Code, neither ANTHROPIC_AUTH_TOKEN nor \
             apiKeyHelper), or refuse requests with an Authorization header by a rule of AWS WAF.",
            "Headers that it does not remove are also cookies, other credentials, and what the API says to its own clients.",
            "Whoever may read the stage (apigateway:GET) may read the API's key in its variables.",
            "A stream may take 15 minutes; beyond its first 10 MB it passes 2 MB/s. A request is not streamed: it goes up once \
             it is whole.",
            "The request line and the headers may have 10,240 bytes together: a very long anthropic-beta is refused.",
            "Its limits are a best effort: somewhat more may pass.",
            "No AWS was at hand to run this: cfn-lint accepts the template. Prove it by `tollgate check`.",
            facts::NO_ACCOUNT,
        ]
        .map(str::to_owned),
    );
    cannot
}

fn next(plan: &Plan) -> Vec<String> {
    let names: Vec<String> = plan.secrets().into_iter().map(variable).collect();
    vec![
        format!(
            "Make a secret {} in Secrets Manager, JSON with these fields, each of 20 characters or more: {}",
            name(plan),
            names.join(", ")
        ),
        "Check the template: `cfn-lint cloudformation.yaml`".to_owned(),
        format!(
            "Deploy it: `aws cloudformation deploy --template-file cloudformation.yaml --stack-name {}`. A change of methods \
             later needs a new deployment of the stage: `aws apigateway create-deployment`",
            name(plan)
        ),
        "Or import openapi.yaml (`aws apigateway import-rest-api --body fileb://openapi.yaml --parameters \
         endpointConfigurationTypes=REGIONAL`), and make the stage with its variable upstreamKey, the keys and the usage plan \
         yourself"
            .to_owned(),
        prove(plan),
    ]
}
