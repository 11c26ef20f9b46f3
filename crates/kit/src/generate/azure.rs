//! Azure API Management: a policy, and a Bicep file that puts it on an API.
//!
//! Sources: <https://learn.microsoft.com/azure/api-management/api-management-policies>,
//! <https://learn.microsoft.com/azure/api-management/how-to-server-sent-events>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, OwnError, prove, removed_from_answers, removed_from_requests, unread, usual_names},
    plan::{Admits, Member, Oidc},
    template::render,
};
use std::collections::BTreeSet;

pub(super) const PRODUCT: Product = Product {
    name: "Azure API Management",
    help: "https://azure.microsoft.com/support",
    versions: "with API version 2024-05-01",
    is_gateway: true,
};

const POLICY: &str = include_str!("azure/policy.xml");
const BICEP: &str = include_str!("azure/main.bicep");

/// The connection of a silent stream is closed then, in seconds.
const IDLE_S: u32 = 240;

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    // A key vault does not tell upper and lower case apart.
    let mut names = secret_names(plan);
    names.iter_mut().for_each(|name| name.make_ascii_lowercase());
    if names.iter().collect::<BTreeSet<_>>().len() < names.len() {
        return Err(Refusal {
            why: "its secrets are named by letters, digits and hyphens, and two members would share one",
            cure: "rename one of them under auth.keys.",
        });
    }
    Ok(Output {
        files: vec![
            File::new("policy.xml", Comment::Xml, policy(plan)),
            File::new("main.bicep", Comment::Line("//"), bicep(plan)),
        ],
        cannot: cannot(plan),
        next: next(plan),
    })
}

fn policy(plan: &Plan) -> String {
    let deletions = |names: Vec<&str>| -> String {
        names
            .iter()
            .map(|name| format!("<set-header name=\"{name}\" exists-action=\"delete\" />\n"))
            .collect()
    };
    let removed = removed_from_requests().filter(|name| *name != "x-api-key").flat_map(usual_names);
    let who = match plan.admits() {
        Admits::Keys(members) => keys(members),
        Admits::Tokens(oidc) => tokens(oidc),
    };
    render(
        POLICY,
        &[
            ("who", &who),
            ("body_bytes", &plan.body_bytes().to_string()),
            ("too_large", &answer(413, "")),
            ("rpm", &plan.limits.requests_per_minute.to_string()),
            ("removed", &deletions(removed.collect())),
            ("open", "{{"),
            ("close", "}}"),
            ("timeout_s", &plan.timeout_s.to_string()),
            ("hidden", &deletions(removed_from_answers().flat_map(usual_names).collect())),
            ("errors", &errors(plan)),
        ],
    )
}

/// Whose key it is. Clients present it as a bearer token, as x-api-key, or as both.
fn keys(members: &[Member]) -> String {
    let when = |member: &Member| {
        format!(
            "  <when condition=\"@((string)context.Variables[&quot;key&quot;] == &quot;{{{{{}}}}}&quot;)\">\n    <set-variable \
             name=\"member\" value=\"{}\" />\n  </when>\n",
            secret_name(member),
            member.name
        )
    };
    format!(
        "<!-- Clients present their key as a bearer token, as x-api-key, or as both. -->\n\
         <set-variable name=\"bearer\" value=\"@(context.Request.Headers.GetValueOrDefault(&quot;authorization&quot;, \
         &quot;&quot;))\" />\n\
         <set-variable name=\"key\" value=\"@(((string)context.Variables[&quot;bearer&quot;]).StartsWith(&quot;Bearer &quot;, \
         StringComparison.OrdinalIgnoreCase) ? ((string)context.Variables[&quot;bearer&quot;]).Substring(7).Trim() : \
         context.Request.Headers.GetValueOrDefault(&quot;x-api-key&quot;, &quot;&quot;))\" />\n\
         <choose>\n{}  <otherwise>\n    {}\n  </otherwise>\n</choose>",
        members.iter().map(when).collect::<String>(),
        answer(401, NO_RETRY).trim_end().replace('\n', "\n    "),
    )
}

/// Names of named values and secrets of a key vault: letters, digits and hyphens.
fn secret_name(member: &Member) -> String {
    format!("gateway-key-{}", member.name.0.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-"))
}

fn tokens(oidc: &Oidc) -> String {
    format!(
        "<!-- Clients present their token as a bearer token. -->\n\
         <validate-jwt header-name=\"authorization\" require-scheme=\"Bearer\" require-expiration-time=\"true\" \
         require-signed-tokens=\"true\" output-token-variable-name=\"token\">\n  \
         <openid-config url=\"{}/.well-known/openid-configuration\" />\n  \
         <audiences><audience>{}</audience></audiences>\n  <issuers><issuer>{}</issuer></issuers>\n</validate-jwt>\n\
         <set-variable name=\"member\" value=\"@(((Jwt)context.Variables[&quot;token&quot;]).Subject)\" />",
        oidc.issuer.trim_end_matches('/'),
        oidc.audience,
        oidc.issuer
    )
}

/// Claude Code asks again after a 401, for minutes, unless it is told not to.
const NO_RETRY: &str =
    "  <set-header name=\"x-should-retry\" exists-action=\"override\"><value>false</value></set-header>\n";

/// An answer of the service's own in the API's envelope.
fn answer(status: u16, more: &str) -> String {
    const ID: &str = "REQUEST_ID";
    let body = OwnError::of(status).body(ID).replace('"', "\\&quot;");
    format!(
        "<return-response>\n  <set-status code=\"{status}\" />\n{more}  <set-header name=\"content-type\" \
         exists-action=\"override\"><value>application/json</value></set-header>\n  \
         <set-body>@(&quot;{}&quot;)</set-body>\n</return-response>\n",
        body.replace(ID, "&quot; + context.RequestId + &quot;")
    )
}

fn errors(plan: &Plan) -> String {
    let retry_after = format!(
        "  <set-header name=\"retry-after\" exists-action=\"skip\"><value>{}</value></set-header>\n",
        plan.retry_after_s()
    );
    let rows = [
        ("context.LastError.Source == &quot;validate-jwt&quot;", 401, NO_RETRY),
        ("context.LastError.Source == &quot;rate-limit-by-key&quot;", 429, retry_after.as_str()),
        ("context.LastError.Reason == &quot;OperationNotFound&quot;", 404, ""),
        ("context.LastError.Reason == &quot;Timeout&quot;", 504, ""),
        ("context.LastError.Source == &quot;forward-request&quot;", 502, ""),
    ];
    rows.map(|(condition, status, more)| {
        let answer = answer(status, more).trim_end().replace('\n', "\n  ");
        format!("<when condition=\"@({condition})\">\n  {answer}\n</when>\n")
    })
    .concat()
}

fn bicep(plan: &Plan) -> String {
    let names = secret_names(plan);
    render(
        BICEP,
        &[
            ("secrets", &names.iter().map(|name| format!("'{name}'\n")).collect::<String>()),
            ("name", &plan.name.0.as_str().replace(|c: char| !c.is_ascii_alphanumeric(), "-")),
            ("upstream", &plan.upstream.url.to_string()),
        ],
    )
}

fn secret_names(plan: &Plan) -> Vec<String> {
    let members = match plan.admits() {
        Admits::Keys(members) => members,
        Admits::Tokens(_) => &[],
    };
    std::iter::once("anthropic-api-key".to_owned()).chain(members.iter().map(secret_name)).collect()
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = unread(plan);
    cannot.extend(facts::no_burst(plan, "its limit is a window of a minute"));
    if plan.timeout_s > IDLE_S {
        cannot.push(format!(
            "A connection that is silent for {IDLE_S} s is closed by the network before it, whatever the policy says: the \
             {} s asked for are not kept. The API's pings hold a stream open; an answer without a stream may end early.",
            plan.timeout_s
        ));
    }
    if let Admits::Tokens(_) = plan.admits() {
        cannot.push("A token in x-api-key is not read: let clients present a bearer token.".to_owned());
    }
    cannot.extend(
        [
            "The Consumption tier neither streams nor has this limit: take another.",
            "Each region and each self-hosted gateway counts for itself, and may let somewhat more pass.",
            "Requests in two headers of the same name, and sizes that are no number, are errors of the policy (500).",
            "No Azure was at hand to run this: the files are checked for their form. Prove them by `tollgate check`.",
            facts::NAMED_ONE_BY_ONE,
        ]
        .map(str::to_owned),
    );
    cannot
}

fn next(plan: &Plan) -> Vec<String> {
    vec![
        format!("Put these secrets in a key vault that the service may read by its managed identity: {}",
            secret_names(plan).join(", ")),
        "See what would change by `az deployment group what-if --resource-group GROUP --template-file main.bicep \
         --parameters serviceName=NAME keyVaultUri=https://VAULT.vault.azure.net`; then `az deployment group create` with \
         the same arguments"
            .to_owned(),
        "Let no policy of the whole service look at bodies, cache answers or log them: each ends streaming".to_owned(),
        prove(plan),
    ]
}
