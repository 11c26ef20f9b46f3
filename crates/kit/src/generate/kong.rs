//! Kong: a declarative file for decK, the same for a Kong without a database, and the settings that neither can hold.
//!
//! Sources: <https://developer.konghq.com/gateway/entities/>, <https://developer.konghq.com/plugins/>,
//! <https://developer.konghq.com/deck/gateway/>.

use super::{
    Comment, File, Output, Plan, Product, Refusal,
    facts::{self, OWN_ERRORS, prove, removed_from_answers, removed_from_requests, unread, usual_names},
    fill,
    plan::{Admits, Member, variable},
    template::render,
};
use tollgate_config::SecretRef;

pub(super) const PRODUCT: Product =
    Product { name: "Kong", help: "https://support.konghq.com", versions: "3.5 and later", is_gateway: true };

const CONFIG: &str = include_str!("kong/kong.yaml");
const SETTINGS: &str = include_str!("kong/kong.conf");
const HASH: Comment = Comment::Line("#");

/// On every route. Kong holds bodies back unless it is told not to, in either direction.
const ROUTE: &str = "\
strip_path: false
preserve_host: false
request_buffering: false
response_buffering: false";

pub(super) fn generate(plan: &Plan) -> Result<Output, Refusal> {
    let Admits::Keys(members) = plan.admits() else {
        return Err(Refusal {
            why: "its free edition does not fetch the keys of an issuer of tokens",
            cure: "give each member a key under auth.keys, or generate envoy, which verifies tokens.",
        });
    };
    Ok(Output {
        files: vec![
            File::new("deck/kong.yaml", HASH, config(plan, members, deck_place)),
            File::secret("db-less/kong.yaml", HASH, config(plan, members, fill::place)),
            File::new("db-less/kong.conf", HASH, settings(plan)),
        ],
        cannot: cannot(plan),
        next: next(plan),
    })
}

/// What decK puts a variable of its environment in place of. It reads only those that begin so.
fn deck_place(secret: &SecretRef) -> String {
    format!("${{{{ env \"{}\" }}}}", deck_variable(secret))
}

fn deck_variable(secret: &SecretRef) -> String {
    format!("DECK_{}", variable(secret))
}

fn config(plan: &Plan, members: &[Member], place: fn(&SecretRef) -> String) -> String {
    let items = |names: Vec<&str>| names.iter().map(|name| format!("- {name}\n")).collect::<String>();
    let removed = removed_from_requests().filter(|name| *name != "x-api-key").flat_map(usual_names);
    let url = &plan.upstream.url;
    let tls_verify = if url.tls() {
        "# Kong does not look at the certificate unless it is told to.\ntls_verify: true\ntls_verify_depth: 4"
    } else {
        ""
    };
    // The JSON stands between Lua's long brackets, which it leaves for the id of the request.
    let errors: String = OWN_ERRORS
        .iter()
        .map(|error| format!("[{}] = [[{}]],\n", error.status, error.body("]] .. id .. [[")))
        .collect();
    render(
        CONFIG,
        &[
            ("name", &plan.name.0.to_string().replace('@', "-")),
            ("upstream", &url.to_string()),
            ("timeout_ms", &(u64::from(plan.timeout_s) * 1000).to_string()),
            ("tls_verify", tls_verify),
            ("route", ROUTE),
            ("rpm", &plan.limits.requests_per_minute.to_string()),
            ("body_mb", &plan.body_mb.to_string()),
            ("removed", &items(removed.collect())),
            ("upstream_key", &place(&plan.upstream.key)),
            ("hidden", &items(removed_from_answers().flat_map(usual_names).collect())),
            ("errors", &errors),
            ("consumers", &members.iter().map(|member| consumer(member, place)).collect::<String>()),
        ],
    )
}

fn consumer(member: &Member, place: fn(&SecretRef) -> String) -> String {
    format!("- username: \"{}\"\n  keyauth_credentials:\n    - key: '{}'\n", member.name, place(&member.key))
}

fn settings(plan: &Plan) -> String {
    let (ssl, tls) = plan.tls.as_ref().map_or(("", String::new()), |tls| {
        (" ssl http2", format!("ssl_cert = {}\nssl_cert_key = {}\n", tls.cert, tls.key))
    });
    render(
        SETTINGS,
        &[
            ("listen", &format!("{}{ssl}", plan.listen)),
            ("tls", &tls),
            ("ca_file", &plan.upstream.ca_file.to_string()),
        ],
    )
}

fn cannot(plan: &Plan) -> Vec<String> {
    let mut cannot = unread(plan);
    cannot.extend(facts::no_burst(
        plan,
        "its free limit counts whole minutes, so twice the limit may pass around the end of one",
    ));
    cannot.extend(
        [
            "Each Kong counts requests for itself (policy local): to share the count, set policy redis and redis.host.",
            "No Kong was at hand to run these files: they are checked against what its own schemas accept. Prove them by \
             `tollgate check` before members use them.",
            "Paths that no route has are answered by Kong in its own form of error, not the API's.",
            "It tells the API the addresses of its clients (X-Forwarded-For, X-Real-IP), which no free plugin takes away.",
            facts::NAMED_ONE_BY_ONE,
            facts::NO_ACCOUNT_BUT_A_LOG,
        ]
        .map(str::to_owned),
    );
    cannot
}

fn next(plan: &Plan) -> Vec<String> {
    let variables: Vec<String> =
        plan.secrets().into_iter().map(|secret| format!("`{}`", deck_variable(secret))).collect();
    let name = &plan.name;
    vec![
        format!(
            "With a database or Konnect: have {} in the environment; see what would change by `deck gateway diff \
             --select-tag {name} deck/kong.yaml`, and do it by `deck gateway sync --select-tag {name} deck/kong.yaml`. \
             Without the tag decK deletes all that this file does not name",
            variables.join(", ")
        ),
        "With a database: copy the lines that begin with nginx_ in db-less/kong.conf into your own kong.conf".to_owned(),
        "Without a database: put both files of db-less/ in /etc/kong, kong.yaml readable by the user of Kong alone; then \
         `kong config parse /etc/kong/kong.yaml` and `kong start -c /etc/kong/kong.conf`"
            .to_owned(),
        prove(plan),
    ]
}
