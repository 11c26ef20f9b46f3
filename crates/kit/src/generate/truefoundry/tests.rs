//! What the published types of TrueFoundry accept, and nothing else.
//!
//! Source: the package `truefoundry_sdk`, version 0.6.0. Its own types let unknown fields pass; these do not.

use crate::generate::{Target, tests::made};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Account {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    auth_data: Auth,
    base_url: Option<String>,
    integrations: Vec<Integration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    #[serde(rename = "type")]
    kind: String,
    api_key: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Integration {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    model_id: String,
    model_types: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    id: String,
    when: When,
    limit_to: u64,
    unit: String,
    rate_limit_applies_per: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct When {}

/// Every fault of a file.
fn faults(text: &str) -> Vec<String> {
    let Some((account, limits)) = text.split_once("\n---\n") else { return vec!["one document".to_owned()] };
    let (account, limits): (Account, Limits) =
        match (serde_saphyr::from_str(account), serde_saphyr::from_str(limits)) {
            (Ok(account), Ok(limits)) => (account, limits),
            (Err(fault), _) | (_, Err(fault)) => return vec![fault.to_string()],
        };
    let mut rows = vec![
        ("account", account.kind == "provider-account/anthropic" && !account.name.contains('_')),
        ("auth_data", account.auth_data.kind == "api-key"),
        (
            "api_key",
            account
                .auth_data
                .api_key
                .strip_prefix("tfy-secret://")
                .is_some_and(|it| it.split(':').count() == 3),
        ),
        ("base_url", account.base_url.is_none_or(|url| url.ends_with("/v1"))),
        ("limits", limits.kind == "gateway-rate-limiting-config" && !limits.name.is_empty()),
    ];
    for one in &account.integrations {
        let is_chat = one.kind == "integration/model/anthropic" && one.model_types == ["chat"];
        rows.push(("integration", is_chat && one.name == one.model_id));
    }
    for rule in &limits.rules {
        let When {} = rule.when;
        let known = ["requests_per_minute", "requests_per_hour", "tokens_per_minute", "tokens_per_hour"];
        rows.push(("unit", known.contains(&rule.unit.as_str()) && rule.limit_to > 0 && !rule.id.is_empty()));
        let per = |one: &String| ["user", "virtualaccount", "model"].contains(&one.as_str());
        rows.push(("per", rule.rate_limit_applies_per.iter().all(per)));
    }
    rows.iter().filter(|(_, holds)| !holds).map(|(name, _)| (*name).to_owned()).collect()
}

const FILE: &str = "truefoundry-config.yaml";

#[test]
fn what_truefoundry_is_given_its_types_accept() {
    let elsewhere = "upstream: { url: 'https://api.example.com' }\nmodels: [claude-opus-5-5]";
    for plan in ["", elsewhere] {
        assert_eq!(faults(&made(Target::Truefoundry, plan)[FILE]), [""; 0]);
    }
}

#[test]
fn what_its_types_refuse_is_found() {
    let good = &made(Target::Truefoundry, "")[FILE];
    for (from, to) in [
        ("integrations:", "models:"),
        ("type: provider-account/anthropic", "type: anthropic"),
        ("tfy-secret://TENANT:", "${TENANT}"),
        ("type: gateway-rate-limiting-config", "type: rate_limits"),
        ("unit: requests_per_minute", "unit: rpm"),
        ("  limit_to: 100", "  requests_per_minute: 100"),
        ("[virtualaccount]", "[consumer]"),
    ] {
        assert!(good.contains(from), "{from}");
        assert!(!faults(&good.replace(from, to)).is_empty(), "{from} -> {to}");
    }
}
