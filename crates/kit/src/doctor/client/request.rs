//! What else a request carries: headers of one's own, and the model.

use super::{Origin, Patient, placed};
use crate::{
    doctor::rules::{HEADERS, MODEL},
    finding::{Finding, Ground::Proven},
    retired,
};

const CUSTOM: &str = "ANTHROPIC_CUSTOM_HEADERS";

/// Headers that Claude Code writes itself; it overwrites a custom `anthropic-beta`, and two of the others are refused.
const OWN: [&str; 8] = [
    "authorization",
    "x-api-key",
    "anthropic-beta",
    "anthropic-version",
    "content-type",
    "content-length",
    "host",
    "connection",
];

/// Variables that name models.
const MODELS: [&str; 6] = [
    "ANTHROPIC_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
];

/// Looks at them.
pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let mut findings: Vec<Finding> = headers(patient).into_iter().collect();
    findings.extend(models(patient));
    findings
}

fn headers(patient: &Patient) -> Option<Finding> {
    let set = patient.variable(CUSTOM)?;
    let lines = || set.value.lines().map(str::trim).filter(|line| !line.is_empty());
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase());
    let is_name = |name: &String| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    let bad = lines().position(|line| !name(line).as_ref().is_some_and(is_name));
    let taken = lines().filter_map(name).find(|name| OWN.contains(&name.as_str()));
    let finding = match (bad, taken) {
        (Some(at), _) => {
            let says = format!("line {} of {CUSTOM} is not `Name: value`", at + 1);
            Finding::fail(&HEADERS, Proven, says).cure("Write one header a line.")
        }
        (None, Some(name)) => {
            let says = format!("{CUSTOM} sets {name}, which Claude Code writes itself");
            Finding::fail(&HEADERS, Proven, says)
                .cure("Take it out; credentials have variables of their own.")
        }
        (None, None) => Finding::pass(&HEADERS, Proven, format!("{CUSTOM} adds {} headers", lines().count())),
    };
    Some(placed(finding, set.origin, &["env", CUSTOM]))
}

fn models(patient: &Patient) -> Vec<Finding> {
    let named = MODELS.iter().filter_map(|name| {
        let set = patient.variable(name)?;
        Some((set.origin, vec!["env", name], set.value))
    });
    let setting = patient.text("model").map(|(origin, model)| (origin, vec!["model"], model.to_owned()));
    let all: Vec<(Origin<'_>, Vec<&str>, String)> = named.chain(setting).collect();
    let retired = all.iter().filter_map(|(origin, path, model)| {
        let (_, day) = retired::find(model)?;
        let name = path.last()?;
        let says = format!("{name} is {model}, which the API has not served since {day}");
        let cure = "Name a model that is served: `opus`, `sonnet` and `haiku` are the newest ones.";
        Some(placed(Finding::fail(&MODEL, Proven, says).cure(cure), *origin, path))
    });
    let retired: Vec<Finding> = retired.collect();
    if retired.is_empty() && !all.is_empty() {
        return vec![Finding::pass(&MODEL, Proven, "no model that was retired is named")];
    }
    retired
}
