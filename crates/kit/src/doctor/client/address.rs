//! Where requests go.

use tollgate_config::Url;

use super::{Patient, placed};
use crate::{
    doctor::{
        line,
        rules::{BASE_URL, PROVIDER, URL},
    },
    finding::{Finding, Ground::Proven},
};

/// Switches to the endpoint of a cloud, and the variables that name a gateway for it.
const CLOUDS: [(&str, &str, &str); 6] = [
    ("CLAUDE_CODE_USE_BEDROCK", "ANTHROPIC_BEDROCK_BASE_URL", "Bedrock"),
    ("CLAUDE_CODE_USE_VERTEX", "ANTHROPIC_VERTEX_BASE_URL", "Vertex"),
    ("CLAUDE_CODE_USE_FOUNDRY", "ANTHROPIC_FOUNDRY_BASE_URL", "Foundry"),
    ("CLAUDE_CODE_USE_ANTHROPIC_AWS", "ANTHROPIC_AWS_BASE_URL", "Claude Platform on AWS"),
    ("CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD", "ANTHROPIC_GOOGLE_CLOUD_BASE_URL", "Google Cloud"),
    ("CLAUDE_CODE_USE_MANTLE", "ANTHROPIC_BEDROCK_MANTLE_BASE_URL", "Bedrock Mantle"),
];

/// Looks at the base URL and at what passes it by.
pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let switched: Vec<_> = CLOUDS.iter().filter(|(switch, ..)| is_on(patient, switch)).collect();
    let Some((switch, url_name, cloud)) = switched.first() else {
        return base_url(patient, "ANTHROPIC_BASE_URL");
    };
    if patient.variable(url_name).is_some() {
        let says = format!("{switch} is set: requests have the form of {cloud}, and go to {url_name}");
        let mut findings = vec![Finding::pass(&PROVIDER, Proven, says)];
        // These base URLs may end in /v1.
        findings.extend(base_url(patient, url_name).into_iter().filter(|finding| finding.rule != &URL));
        return findings;
    }
    let says = format!("{switch} is set: requests go to {cloud} itself, whatever ANTHROPIC_BASE_URL says");
    let finding = Finding::fail(&PROVIDER, Proven, says);
    let finding = finding.cure(format!(
        "Unset {switch} to use the gateway by ANTHROPIC_BASE_URL; or, if the gateway speaks the form of {cloud}, name it \
         by {url_name}."
    ));
    let origin = patient.variable(switch).map(|set| set.origin);
    vec![match origin {
        Some(origin) => placed(finding, origin, &["env", switch]),
        None => finding,
    }]
}

fn is_on(patient: &Patient, switch: &str) -> bool {
    patient
        .variable(switch)
        .is_some_and(|set| !matches!(set.value.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off"))
}

fn base_url(patient: &Patient, name: &str) -> Vec<Finding> {
    let Some(set) = patient.variable(name) else {
        let says = format!("{name} is not set, so requests go to the provider itself");
        let cure = "Set it: `tollgate client setup --url URL ...`.";
        return vec![Finding::fail(&BASE_URL, Proven, says).cure(cure)];
    };
    let path = ["env", name];
    let url: Url = match set.value.trim().parse() {
        Ok(url) => url,
        Err(fault) => {
            let finding = Finding::fail(&BASE_URL, Proven, format!("{name} is no base URL: {fault}"));
            let cure = "Write it as https://HOST, with :PORT and /PATH if need be, and without /v1.";
            return vec![placed(finding.cure(cure), set.origin, &path)];
        }
    };
    let from = set.origin.name();
    let seen = line::url(&url).into_iter().map(|finding| placed(finding, set.origin, &path));
    std::iter::once(Finding::pass(&BASE_URL, Proven, format!("{name} is {url}, from {from}")))
        .chain(seen)
        .collect()
}
