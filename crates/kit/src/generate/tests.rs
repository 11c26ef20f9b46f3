//! What holds for every target, and the examples that are kept in `templates/enterprise`.

mod vendors;

use super::*;
use crate::{
    lint::{Kind, Subject, gather::may_be, lint},
    source::Source,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use tollgate_config::tree::{self, Node};

fn plan(text: &str) -> Plan {
    Plan::read(Some(&Source { name: "plan.yaml".to_owned(), text: text.to_owned() })).unwrap()
}

/// The targets that something is made for.
fn targets() -> impl Iterator<Item = Target> {
    Target::value_variants().iter().copied().filter(|target| *target != Target::AwsHttpApi)
}

/// All that a target makes, by path.
pub(super) fn made(target: Target, text: &str) -> BTreeMap<String, String> {
    let output = target.generate(&plan(text), false).unwrap();
    output.files.into_iter().map(|file| (file.path, file.text)).collect()
}

const RICH: &str = "\
name: gate
listen: '[::1]:9000'
tls: { cert: /etc/tls/a.pem, key: /etc/tls/a.key }
upstream: { url: 'http://127.0.0.1:9001', key: 'file:/run/secrets/anthropic', ca_file: /etc/tls/ca.pem }
auth:
  keys:
    - { name: ada@example.org, key: env:ADA_KEY }
    - { name: bob, key: env:BOB_KEY }
limits: { requests_per_minute: 6000, burst: 0, tokens_per_minute: null }
body_mb: 16
timeout_s: 310
models: [claude-opus-5-5]
";

#[test]
fn every_target_works_without_a_plan_and_with_all_of_one() {
    for target in targets() {
        for text in ["", RICH] {
            let files = made(target, text);
            assert!(files.len() > 1 && files.contains_key("README.md"), "{target:?}: {:?}", files.keys());
        }
    }
}

/// What is made is what the linter asks for, which knows the schemas of the products.
#[test]
fn what_is_made_passes_lint() {
    // What a product can not do, its file says, and what to do instead: API Gateway removes no header, Kong shares
    // limits through Redis only.
    let known = [(Kind::Aws, "lint.leak"), (Kind::Kong, "lint.limit_shared")];
    let mut products = BTreeSet::new();
    // Bodies of 16 MB are what that plan asks for, and a fault.
    let rich = RICH.replace("body_mb: 16", "body_mb: 32");
    for (target, text) in targets().flat_map(|target| ["", &rich].map(|text| (target, text))) {
        let files = made(target, text);
        let policies = files.get("config/policies.json").map(String::as_str);
        for (name, text) in files.iter().filter(|(name, _)| may_be(name)) {
            let Some(kind) = Kind::of(name, text) else { continue };
            let mut findings = lint(&Subject { name, text, is_private: false, policies }, kind);
            findings.retain(|finding| !known.contains(&(kind, finding.rule.id)));
            assert!(findings.is_empty(), "{findings:#?}");
            products.insert(kind.product());
        }
    }
    assert_eq!(products.len(), Kind::value_variants().len(), "{products:?}");
}

/// A name may look like a number or a truth value, and an address may hold colons and brackets.
#[test]
fn what_stands_in_yaml_is_the_text_that_the_plan_says() {
    let odd = "name: '123'\nmodels: ['1e3']\nupstream: { url: 'https://[::1]:9443' }\n";
    let is_named =
        |name: &str| ["name", "title", "model_id", "UsagePlanName", "sni", "exact"].contains(&name);
    fn look(tree: &Node, is_named: &dyn Fn(&str) -> bool, path: &str) {
        tree.items().iter().for_each(|item| look(item, is_named, path));
        for (key, value) in tree.fields() {
            let is_text = value.text().is_some() || !(value.items().is_empty() && value.fields().is_empty());
            assert!(!is_named(&key.name) || is_text, "{path}: {} is no text", key.name);
            look(value, is_named, path);
        }
    }
    let mut looked_at = 0;
    for target in targets() {
        // Some products take no address with a certificate, which is their refusal.
        let Ok(output) = target.generate(&plan(odd), false) else { continue };
        for file in output.files.iter().filter(|file| file.path.contains(".yaml")) {
            let trees =
                tree::read_all(&file.text).unwrap_or_else(|problem| panic!("{}: {problem:?}", file.path));
            trees.iter().for_each(|tree| look(tree, &is_named, &file.path));
            looked_at += 1;
        }
    }
    assert_eq!(looked_at, 7);
}

#[test]
fn every_file_tells_whose_product_it_is_for_and_what_that_can_not_do() {
    for target in targets() {
        let output = target.generate(&plan(""), false).unwrap();
        for file in
            output.files.iter().filter(|file| file.comment != Comment::Nowhere || file.path == "README.md")
        {
            let words = |text: &str| text.replace(['\n', ' ', '#', ';', '/', '-'], "");
            let has = |text: &str| words(&file.text).contains(&words(text));
            assert!(
                has("third-party gateway") && has("Anthropic neither makes nor supports"),
                "{}",
                file.path
            );
            assert!(
                has("security and privacy") && has("is needed to use the Claude API directly"),
                "{}",
                file.path
            );
            for one in &output.cannot {
                assert!(has(one), "{target:?} {}: {one}", file.path);
            }
        }
    }
}

/// The mistakes of configurations that go round, as texts that must be in a file and texts that must not.
static MISTAKES: [(Target, &str, &[&str], &[&str]); 4] = [
    (
        Target::Nginx,
        "nginx.conf",
        &[
            "proxy_buffering off;",
            "proxy_request_buffering off;",
            "gzip off;",
            "proxy_http_version 1.1;",
            "proxy_ssl_server_name on;",
            "proxy_ssl_verify on;",
            "client_max_body_size 32m;",
            "proxy_read_timeout 600s;",
            "proxy_next_upstream off;",
            "proxy_set_header authorization \"\";",
            "location = /v1/messages {",
            "/v1/messages/count_tokens",
            "location = /health {",
            "location = /api/hello {",
            "proxy_set_header Host api.example.com;",
            "limit_req_zone $member",
        ],
        &["${", "anthropic-client-version", "Bearer $", "proxy_pass_request_headers", "$binary_remote_addr"],
    ),
    (
        Target::Haproxy,
        "haproxy.cfg",
        &[
            "del-header authorization",
            "del-header x-api-key",
            "set-header x-api-key \"${ANTHROPIC_API_KEY}\"",
            "sni str(api.example.com)",
            "verify required",
            "verifyhost api.example.com",
            "timeout server 600s",
            "retries 0",
            "option abortonclose",
            "path /v1/messages",
            "33554432",
        ],
        &["verify none", "add-header authorization", "option http-buffer-request"],
    ),
    (
        Target::Caddy,
        "Caddyfile",
        &[
            "header_up -authorization",
            "header_up x-api-key {$ANTHROPIC_API_KEY}",
            "tls_server_name api.example.com",
            "response_header_timeout 600s",
            "compression off",
            "33554432",
        ],
        &["tls_insecure_skip_verify", "header_up Authorization"],
    ),
    (
        Target::Envoy,
        "envoy.yaml.template",
        &[
            "sni: \"api.example.com\"",
            "match_typed_subject_alt_names",
            "timeout: 0s",
            "stream_idle_timeout: 600s",
            "OVERWRITE_IF_EXISTS_OR_ADD",
            "- authorization",
            "hide_credentials: true",
            "33554433",
        ],
        &["envoy.filters.http.buffer", "APPEND_IF_EXISTS_OR_ADD", "retry_policy"],
    ),
];

#[test]
fn known_mistakes_are_not_made() {
    let https = "upstream: { url: 'https://api.example.com' }";
    for (target, path, wanted, unwanted) in MISTAKES {
        let files = made(target, https);
        for text in wanted {
            assert!(files[path].contains(text), "{path} lacks {text}");
        }
        for text in unwanted {
            assert!(!files[path].contains(text), "{path} has {text}");
        }
    }
}

#[test]
fn what_the_table_of_headers_removes_every_gateway_removes() {
    for (target, path) in [
        (Target::Nginx, "nginx.conf"),
        (Target::Haproxy, "haproxy.cfg"),
        (Target::Caddy, "Caddyfile"),
        (Target::Envoy, "envoy.yaml.template"),
    ] {
        let file = &made(target, "")[path];
        for name in facts::removed_from_requests().chain(facts::removed_from_answers()) {
            let start = name.trim_end_matches('*');
            assert!(name == "x-api-key" || file.contains(start), "{path} does not remove {name}");
        }
        for name in ["anthropic-beta", "anthropic-version", "x-claude-code", "user-agent"] {
            let directives: Vec<&str> = file
                .lines()
                .filter(|line| !line.trim_start().starts_with('#') && line.contains(name))
                .collect();
            assert!(directives.is_empty(), "{path}: {directives:?}");
        }
    }
}

#[test]
fn a_product_that_can_not_verify_tokens_refuses_an_issuer() {
    let oidc =
        "auth: { oidc: { issuer: 'https://a.example/', audience: b, jwks: 'https://a.example/keys' } }";
    let refusals: Vec<String> = [Target::Nginx, Target::Haproxy, Target::Caddy]
        .into_iter()
        .map(|target| {
            let fault = target.generate(&plan(oidc), false).unwrap_err();
            format!("{fault}\n  cure: {}\n", fault.cure().unwrap())
        })
        .collect();
    insta::assert_snapshot!(refusals.concat());
    let envoy = &made(Target::Envoy, oidc)["envoy.yaml.template"];
    assert!(envoy.contains("issuer: \"https://a.example/\"") && !envoy.contains("api_key_auth"), "{envoy}");
}

#[test]
fn secrets_are_filled_into_the_files_that_need_them_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (api, ada) = (secret("api", "canary-api-0123456\n"), secret("ada", "canary-ada-0123456\n"));
    let text =
        format!("upstream: {{ key: 'file:{api}' }}\nauth: {{ keys: [{{ name: ada, key: 'file:{ada}' }}] }}");
    for target in [Target::Nginx, Target::Envoy] {
        let output = target.generate(&plan(&text), true).unwrap();
        for file in &output.files {
            assert_eq!(file.text.contains("canary"), file.is_secret, "{}", file.path);
        }
        assert!(output.files.iter().any(|file| file.is_secret));
        write::write(&output.files, &folder.path().join("out"), true).unwrap();
    }
    use std::os::unix::fs::PermissionsExt;
    let mode =
        |path: &str| fs::metadata(folder.path().join("out").join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("secrets/members.map"), mode("envoy.yaml"), mode("nginx.conf")), (0o600, 0o600, 0o644));
    let long = "a".repeat(401);
    // nginx reads what begins with a tilde as a pattern.
    for bad in
        ["tiny", "with \"quotes\" 0123456789", "two\nlines-0123456789", "~.*0123456789abcdef", &long, ""]
    {
        fs::write(&api, bad).unwrap();
        let fault = Target::Nginx.generate(&plan(&text), true).unwrap_err().to_string();
        assert!(fault.contains("16 to 400") && (bad.is_empty() || !fault.contains(bad)), "{fault}");
    }
    // One key for two, and a member with the key of the API. nginx would print the key, and does not tell cases apart.
    for same in ["canary-ada-0123456", "CANARY-ada-0123456"] {
        fs::write(&api, same).unwrap();
        let fault = Target::Nginx.generate(&plan(&text), true).unwrap_err().to_string();
        assert!(fault.contains("the same as") && !fault.to_lowercase().contains("canary"), "{fault}");
    }
}

/// `templates/enterprise` is what the example plan makes.
#[test]
fn the_reference_is_current() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/enterprise");
    let mut wanted =
        BTreeMap::from([("plan.yaml".to_owned(), EXAMPLE.to_owned()), ("README.md".to_owned(), index())]);
    for target in targets() {
        let folder = name(target);
        wanted
            .extend(made(target, EXAMPLE).into_iter().map(|(path, text)| (format!("{folder}/{path}"), text)));
    }
    if std::env::var_os("TOLLGATE_UPDATE").is_some() {
        for (path, text) in &wanted {
            let path = top.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    let mut kept = BTreeMap::new();
    collect(&top, &top, &mut kept);
    let stale: Vec<&String> =
        wanted.iter().filter(|(path, text)| kept.get(*path) != Some(text)).map(|(path, _)| path).collect();
    let foreign: Vec<&String> = kept.keys().filter(|path| !wanted.contains_key(*path)).collect();
    assert!(
        stale.is_empty() && foreign.is_empty(),
        "renew them: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current; stale: {stale:?}, foreign: {foreign:?}"
    );
}

fn name(target: Target) -> String {
    target.to_possible_value().unwrap().get_name().to_owned()
}

fn index() -> String {
    let mut page = "\
# Configurations for other products

<!-- Made from crates/kit. To renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current -->

Each folder is what `tollgate generate` makes of [plan.yaml](plan.yaml) for one product. Make your own rather than copy
these: [the guide](../../docs/guide/generating.md) says how.

| folder | product | versions |
|---|---|---|
"
    .to_owned();
    for target in targets() {
        let (folder, product) = (name(target), target.product());
        page.push_str(&format!(
            "| [{folder}]({folder}/README.md) | {} | {} |\n",
            product.name, product.versions
        ));
    }
    page
}

fn collect(top: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            collect(top, &path, files);
        } else {
            let name = path.strip_prefix(top).unwrap().display().to_string();
            files.insert(name, fs::read_to_string(&path).unwrap());
        }
    }
}
