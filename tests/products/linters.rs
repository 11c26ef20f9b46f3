//! What the linters of AWS and Apigee and the models of TrueFoundry say about files for products that can not be run
//! here.

use std::path::Path;
use std::process::{Command, Output};

use tollgate_acceptance::serve::tollgate;

use crate::judges::{installed, node, said, script};

pub(crate) const KEYS: &str = "\
auth:
  keys:
    - { name: ada@example.org, key: env:ADA_KEY }
    - { name: bob, key: file:/run/secrets/bob }
limits: { requests_per_minute: 7, burst: 0, tokens_per_minute: null }
";

pub(crate) const TOKENS: &str =
    "auth: { oidc: { issuer: 'https://a.example/', audience: b, jwks: 'https://a.example/keys' } }\n";

pub(crate) fn make(target: &str, plan: &str, folder: &Path) {
    let file = folder.join("plan.yaml");
    std::fs::write(&file, plan).unwrap();
    let mut command = Command::new(tollgate());
    command.args(["generate", target, "--force", "--plan"]).arg(&file).arg("--out").arg(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub(crate) fn change(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} has no {from:?} to break", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

fn cfn_lint(folder: &Path) -> Output {
    let mut command = Command::new(installed("python/bin/cfn-lint"));
    command.current_dir(folder).arg("cloudformation.yaml").output().unwrap()
}

#[test]
fn cfn_lint_accepts_the_template_and_finds_what_is_broken_in_it() {
    let folder = tempfile::tempdir().unwrap();
    for plan in ["", KEYS] {
        make("aws-api-gateway", plan, folder.path());
        let output = cfn_lint(folder.path());
        assert!(output.status.success(), "{}", said(&output));
    }
    for (from, to, expected) in [
        ("ResponseTransferMode: STREAM", "ResponseTransferMode: STREAMING", "STREAMING"),
        ("ResponseTransferMode:", "ResponseMode:", "ResponseMode"),
        ("!Ref CountTokens", "!Ref Tokens", "Tokens"),
    ] {
        make("aws-api-gateway", "", folder.path());
        change(&folder.path().join("cloudformation.yaml"), from, to);
        let output = cfn_lint(folder.path());
        assert!(!output.status.success() && said(&output).contains(expected), "{from}: {}", said(&output));
    }
}

fn apigeelint(folder: &Path) -> Output {
    let mut command = node();
    command.arg(installed("node_modules/apigeelint/cli.js"));
    command.args(["-s", "apiproxy", "-f", "unix.js", "--profile", "apigeex"]);
    command.current_dir(folder).env("HOME", folder).output().unwrap()
}

#[test]
fn apigeelint_accepts_the_bundle_and_finds_what_is_broken_in_it() {
    for plan in ["", KEYS, TOKENS] {
        let folder = tempfile::tempdir().unwrap();
        make("apigee", plan, folder.path());
        let output = apigeelint(folder.path());
        assert!(output.status.success() && !said(&output).contains("[Error"), "{}", said(&output));
    }
    for (file, from, to) in [
        ("targets/anthropic.xml", "<Name>AM-Credentials</Name>", "<Name>AM-Nothing</Name>"),
        ("policies/Q-Messages.xml", "<Distributed>", "<Scattered/><Distributed>"),
        ("proxies/default.xml", "request.verb = \"POST\")", "request.verb = \"POST\""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        make("apigee", "", folder.path());
        change(&folder.path().join("apiproxy").join(file), from, to);
        let output = apigeelint(folder.path());
        assert!(said(&output).contains("[Error"), "{file} {to}: {}", said(&output));
    }
}

fn models_of_truefoundry(folder: &Path) -> Output {
    script("truefoundry.py").arg(folder.join("truefoundry-config.yaml")).output().unwrap()
}

#[test]
fn the_models_of_truefoundry_accept_the_manifests_and_find_what_is_broken_in_them() {
    const ELSEWHERE: &str =
        "upstream: { url: 'https://api.example.com' }\nlimits: { tokens_per_minute: null }\n";
    let folder = tempfile::tempdir().unwrap();
    for plan in ["", KEYS, TOKENS, ELSEWHERE] {
        make("truefoundry", plan, folder.path());
        let output = models_of_truefoundry(folder.path());
        assert!(output.status.success() && said(&output).contains("2 manifests"), "{}", said(&output));
    }
    for (from, to, expected) in [
        ("unit: requests_per_minute", "unit: requests_per_moment", "rules[0].unit: no such value"),
        ("rate_limit_applies_per:", "per:", "rules[0].per: no such field"),
        ("limit_to: 100", "limit_to: many", "rules.0.limit_to: "),
        ("model_types: [chat]", "model_types: [talk]", "integrations[0].model_types[0]: no such value"),
        ("model_id:", "model:", "integrations.0.model_id: Field required"),
        ("api_key:", "key:", "auth_data.api_key: Field required"),
        ("type: gateway-rate-limiting-config", "type: gateway-limits", "gateway-limits: no such type"),
        ("type: integration/model/anthropic", "type: integration/model/other", "integrations"),
    ] {
        make("truefoundry", "", folder.path());
        change(&folder.path().join("truefoundry-config.yaml"), from, to);
        let output = models_of_truefoundry(folder.path());
        assert!(!output.status.success() && said(&output).contains(expected), "{to}: {}", said(&output));
    }
}
