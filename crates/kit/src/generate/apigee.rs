//! Apigee: the bundle of a proxy.
//!
//! Sources: <https://docs.cloud.google.com/apigee/docs/api-platform/reference/api-proxy-configuration-reference>,
//! <https://docs.cloud.google.com/apigee/docs/api-platform/develop/enabling-streaming>,
//! <https://docs.cloud.google.com/apigee/docs/api-platform/antipatterns/payload-with-streaming>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{
        self, OWN_ERRORS, OwnError, prove, removed_from_answers, removed_from_requests, unread, usual_names,
    },
    plan::{Admits, Oidc},
    template::render,
};

pub(super) const PRODUCT: Product = Product {
    name: "Apigee",
    help: "https://cloud.google.com/apigee/docs/support",
    versions: "X, and hybrid 1.15 and later",
    is_gateway: true,
};

const PROXY: &str = include_str!("apigee/proxy.xml");
const DEFAULT: &str = include_str!("apigee/default.xml");
const ANTHROPIC: &str = include_str!("apigee/anthropic.xml");

/// What Apigee X takes in a request, in MB.
const MOST_MB: u32 = 30;

/// The name of the API's key in the key value map.
const UPSTREAM_KEY: &str = "anthropic-api-key";

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let name = name(plan);
    let policies = policies(plan);
    let (who, failed) = match plan.admits() {
        Admits::Keys(_) => ("VA-Member", "verifyapikey.VA-Member.failed"),
        Admits::Tokens(_) => ("VJ-Member", "jwt.VJ-Member.failed"),
    };
    let list: String = policies.iter().map(|(name, _)| format!("<Policy>{name}</Policy>\n")).collect();
    let page = |path: &str, text: String| File::new(path, Comment::Xml, text);
    let mut files = vec![
        page(&format!("apiproxy/{name}.xml"), render(PROXY, &[("name", &name), ("policies", &list)])),
        page("apiproxy/proxies/default.xml", render(DEFAULT, &[("who", who), ("who_failed", failed)])),
        page("apiproxy/targets/anthropic.xml", target(plan)),
    ];
    // Nobody opens a policy before the endpoints that use it: those say what holds for all.
    files.extend(
        policies
            .into_iter()
            .map(|(name, text)| File::new(&format!("apiproxy/policies/{name}.xml"), Comment::Nowhere, text)),
    );
    Ok(Output { files, cannot: cannot(plan), next: next(plan) })
}

fn name(plan: &Plan) -> String {
    plan.name.0.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-")
}

fn target(plan: &Plan) -> String {
    let url = &plan.upstream.url;
    let ssl = if url.tls() {
        "<SSLInfo>\n  <Enabled>true</Enabled>\n  <!-- Apigee does not look at the certificate unless it is told to. -->\n  \
         <Enforce>true</Enforce>\n  <IgnoreValidationErrors>false</IgnoreValidationErrors>\n</SSLInfo>"
    } else {
        ""
    };
    let timeout_ms = u64::from(plan.timeout_s) * 1000;
    render(
        ANTHROPIC,
        &[("upstream", &url.to_string()), ("ssl", ssl), ("timeout_ms", &timeout_ms.to_string())],
    )
}

/// The policies by name, in the order of their use.
fn policies(plan: &Plan) -> Vec<(String, String)> {
    let removed: Vec<&str> =
        removed_from_requests().filter(|name| *name != "x-api-key").flat_map(usual_names).collect();
    let hidden: Vec<&str> = removed_from_answers().flat_map(usual_names).collect();
    let mut rows = vec![
        policy("ExtractVariables", "EV-Bearer", BEARER),
        policy("AssignMessage", "AM-ApiKey", API_KEY),
        match plan.admits() {
            Admits::Keys(_) => policy("VerifyAPIKey", "VA-Member", "<APIKey ref=\"client.key\"/>\n"),
            Admits::Tokens(oidc) => policy("VerifyJWT", "VJ-Member", &token(oidc)),
        },
        quota(plan),
        policy("KeyValueMapOperations", "KV-UpstreamKey", &upstream_key(plan)),
        policy(
            "AssignMessage",
            "AM-Credentials",
            &format!(
                "{}<Set>\n  <Headers>\n    <Header name=\"x-api-key\">{{private.upstream.key}}</Header>\n  </Headers>\n</Set>\n\
                 <IgnoreUnresolvedVariables>false</IgnoreUnresolvedVariables>\n",
                headers_away(&removed)
            ),
        ),
        policy("AssignMessage", "AM-Answers", &headers_away(&hidden)),
        policy("AssignMessage", "AM-Health", &payload(200, "{\"status\":\"ok\"}", "")),
        policy("RaiseFault", "RF-NotFound", NOT_FOUND),
    ];
    let errors = OWN_ERRORS.iter().filter(|error| error.status != 400);
    rows.extend(errors.map(|error| error_policy(plan, *error)));
    rows
}

fn policy(kind: &str, name: &str, body: &str) -> (String, String) {
    let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<{kind} name=\"{name}\" continueOnError=\"false\" \
         enabled=\"true\">\n{body}</{kind}>\n"
    );
    (name.to_owned(), text)
}

/// Headers only: a policy that reads a body ends streaming.
const BEARER: &str = "\
<Source>request</Source>
<VariablePrefix>client</VariablePrefix>
<Header name=\"authorization\">
  <Pattern ignoreCase=\"true\">bearer {key}</Pattern>
</Header>
<IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables>
";

const API_KEY: &str = "\
<AssignVariable>
  <Name>client.key</Name>
  <Ref>request.header.x-api-key</Ref>
</AssignVariable>
<IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables>
";

const NOT_FOUND: &str = "\
<FaultResponse>
  <Set>
    <StatusCode>404</StatusCode>
  </Set>
</FaultResponse>
<IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables>
";

fn token(oidc: &Oidc) -> String {
    format!(
        "<Algorithm>RS256</Algorithm>\n<Source>client.key</Source>\n<PublicKey>\n  <JWKS uri=\"{}\"/>\n</PublicKey>\n\
         <Issuer>{}</Issuer>\n<Audience>{}</Audience>\n",
        oidc.jwks, oidc.issuer, oidc.audience
    )
}

fn quota(plan: &Plan) -> (String, String) {
    let member = match plan.admits() {
        Admits::Keys(_) => "verifyapikey.VA-Member.client_id",
        Admits::Tokens(_) => "jwt.VJ-Member.claim.subject",
    };
    let (name, text) = policy(
        "Quota",
        "Q-Messages",
        &format!(
            "<Identifier ref=\"{member}\"/>\n<Allow count=\"{}\"/>\n<Interval>1</Interval>\n<TimeUnit>minute</TimeUnit>\n\
             <Distributed>true</Distributed>\n<Synchronous>true</Synchronous>\n",
            plan.limits.requests_per_minute
        ),
    );
    (name, text.replace("<Quota name", "<Quota type=\"rollingwindow\" name"))
}

fn upstream_key(plan: &Plan) -> String {
    format!(
        "<Scope>environment</Scope>\n<MapName>{}</MapName>\n<Get assignTo=\"private.upstream.key\">\n  <Key>\n    \
         <Parameter>{UPSTREAM_KEY}</Parameter>\n  </Key>\n</Get>\n<ExpiryTimeInSecs>300</ExpiryTimeInSecs>\n",
        name(plan)
    )
}

fn headers_away(names: &[&str]) -> String {
    let headers: String = names.iter().map(|name| format!("    <Header name=\"{name}\"/>\n")).collect();
    format!("<Remove>\n  <Headers>\n{headers}  </Headers>\n</Remove>\n")
}

fn error_policy(plan: &Plan, error: OwnError) -> (String, String) {
    let more = match error.status {
        // Claude Code asks again after a 401, for minutes, unless it is told not to.
        401 => "    <Header name=\"x-should-retry\">false</Header>\n".to_owned(),
        429 => format!("    <Header name=\"retry-after\">{}</Header>\n", plan.retry_after_s()),
        _ => String::new(),
    };
    let body = error.body("%messageid#");
    policy("AssignMessage", &format!("AM-Error{}", error.status), &payload(error.status, &body, &more))
}

/// Other marks of variables than braces, which are JSON's own.
fn payload(status: u16, body: &str, headers: &str) -> String {
    let id = if status == 200 { "" } else { "    <Header name=\"request-id\">{messageid}</Header>\n" };
    let headers = match [id, headers].concat() {
        none if none.is_empty() => none,
        some => format!("  <Headers>\n{some}  </Headers>\n"),
    };
    format!(
        "<Set>\n{headers}  <Payload contentType=\"application/json\" variablePrefix=\"%\" \
         variableSuffix=\"#\">{body}</Payload>\n  <StatusCode>{status}</StatusCode>\n</Set>\n\
         <IgnoreUnresolvedVariables>true</IgnoreUnresolvedVariables>\n"
    )
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = Vec::new();
    if plan.body_mb > MOST_MB {
        cannot.push(format!(
            "Apigee X takes requests of {MOST_MB} MB at most (Edge: 10 MB): the {} MB asked for are not reached, and a long \
             session of Claude Code with images may be refused.",
            plan.body_mb
        ));
    } else {
        cannot.push(format!(
            "The {} MB are not enforced: Apigee X takes {MOST_MB} MB, and the API itself refuses what is larger.",
            plan.body_mb
        ));
    }
    cannot.extend(unread(plan));
    cannot.extend(facts::no_burst(plan, "its quota is a window of a minute that rolls on"));
    cannot.extend(
        [
            "The load balancer before Apigee X has a timeout of its own: raise that of its backend service to the same length.",
            "No Apigee was at hand to run this: apigeelint accepts the bundle, which sees neither the names of properties nor \
             values. Prove it by `tollgate check`.",
            "It tells the API the addresses of its clients (X-Forwarded-For).",
            facts::NAMED_ONE_BY_ONE,
            facts::NO_ACCOUNT,
        ]
        .map(str::to_owned),
    );
    cannot
}

fn next(plan: &Plan) -> Vec<String> {
    let name = name(plan);
    let members = match plan.admits() {
        Admits::Keys(_) => {
            format!(
                "Make an API product with the proxy {name} in it, and for each member a developer and an app of that \
                 product, whose key is the member's: {}",
                plan.members()
            )
        }
        Admits::Tokens(oidc) => format!("Give members tokens of {} for {}", oidc.issuer, oidc.audience),
    };
    vec![
        format!(
            "Make an encrypted key value map {name} in the environment, with an entry {UPSTREAM_KEY} that holds the key of \
             the API: `apigeecli kvms create` and `apigeecli kvms entries create`"
        ),
        "Check the bundle: `apigeelint -s apiproxy -f table.js --profile apigeex`".to_owned(),
        format!(
            "Deploy it: `apigeecli apis create bundle --name {name} --proxy-folder apiproxy`, then `apigeecli apis deploy`"
        ),
        members,
        prove(plan),
    ]
}

#[cfg(test)]
mod tests;
