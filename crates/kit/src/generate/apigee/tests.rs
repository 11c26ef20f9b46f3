//! What apigeelint does not see: that properties and values are those that Apigee has.
//!
//! Source: <https://docs.cloud.google.com/apigee/docs/api-platform/reference/endpoint-properties-reference>.

use crate::generate::{Target, tests::made};
use std::collections::BTreeMap;

/// The texts between two others, in order.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split_once(after)).map(|(found, _)| found).collect()
}

const PROPERTIES: [(&str, &str); 5] = [
    ("request.streaming.enabled", "true"),
    ("response.streaming.enabled", "true"),
    ("io.timeout.millis", "600000"),
    ("connect.timeout.millis", "10000"),
    ("success.codes", "1XX,2XX,3XX,4XX,5XX"),
];

/// Every fault of a bundle.
fn faults(files: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    let all: String =
        files.iter().filter(|(path, _)| path.ends_with(".xml")).map(|(_, text)| text.as_str()).collect();
    for property in between(&all, "<Property name=\"", "</Property>") {
        let known = property.split_once("\">").is_some_and(|pair| PROPERTIES.contains(&pair));
        if !known {
            faults.push(property.to_owned());
        }
    }
    for step in between(&all, "<Name>", "</Name>").into_iter().filter(|name| name.contains('-')) {
        if !files.contains_key(&format!("apiproxy/policies/{step}.xml")) {
            faults.push(format!("no policy {step}"));
        }
    }
    for (path, text) in files.iter().filter(|(path, _)| path.contains("/policies/")) {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".xml");
        if !all.contains(&format!("<Name>{name}</Name>")) || !text.contains(&format!("name=\"{name}\"")) {
            faults.push(format!("{name} is used nowhere"));
        }
        // A policy that reads what passes ends streaming.
        for reads in ["request.content", "response.content", "<JSONPayload", "<XMLPayload", "<FormParam"] {
            if text.contains(reads) {
                faults.push(format!("{name}: {reads}"));
            }
        }
    }
    let units = between(&all, "<TimeUnit>", "</TimeUnit>");
    if units != ["minute"]
        || !all.contains("type=\"rollingwindow\"")
        || !all.contains("<Allow count=\"100\"/>")
    {
        faults.push("quota".to_owned());
    }
    if !all.contains("assignTo=\"private.") || !all.contains("<Enforce>true</Enforce>") {
        faults.push("secrets and certificates".to_owned());
    }
    faults
}

#[test]
fn a_bundle_has_what_apigee_knows_and_nothing_that_ends_streaming() {
    let oidc =
        "auth: { oidc: { issuer: 'https://a.example/', audience: b, jwks: 'https://a.example/keys' } }";
    for plan in ["", oidc] {
        assert_eq!(faults(&made(Target::Apigee, plan)), [""; 0]);
    }
}

#[test]
fn what_apigee_does_not_know_is_found() {
    for (file, from, to) in [
        ("targets/anthropic.xml", "io.timeout.millis", "io.timeout.milliseconds"),
        (
            "targets/anthropic.xml",
            "\"response.streaming.enabled\">true",
            "\"response.streaming.enabled\">yes",
        ),
        ("targets/anthropic.xml", "AM-Credentials", "AM-Missing"),
        ("targets/anthropic.xml", "<Enforce>true", "<Enforce>false"),
        ("policies/Q-Messages.xml", "<TimeUnit>minute", "<TimeUnit>minutes"),
        ("policies/EV-Bearer.xml", "<Source>request<", "<Source>request.content<"),
        ("policies/KV-UpstreamKey.xml", "private.upstream.key", "upstream.key"),
    ] {
        let mut files = made(Target::Apigee, "");
        let text = files.get_mut(&format!("apiproxy/{file}")).unwrap();
        assert!(text.contains(from), "{from}");
        *text = text.replace(from, to);
        assert!(!faults(&files).is_empty(), "{from} -> {to}");
    }
}
