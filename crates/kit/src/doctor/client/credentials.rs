//! What proves who asks: what is sent, what is set beside it, and who could read it.

use std::{fs, os::unix::fs::PermissionsExt};

use super::{Origin, Patient, placed};
use crate::{
    client::{
        backup,
        settings::{Scope, Settings},
    },
    doctor::{
        rules::{CLIENT_CREDENTIAL, CONFLICT, EXPOSED, LOGIN},
        shape::Shape,
    },
    finding::{Finding, Ground::Proven},
};

const AUTH_TOKEN: &str = "ANTHROPIC_AUTH_TOKEN";
const API_KEY: &str = "ANTHROPIC_API_KEY";
const HELPER: &str = "apiKeyHelper";

/// Variables whose values are secrets.
const SECRETS: [&str; 12] = [
    AUTH_TOKEN,
    API_KEY,
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_FOUNDRY_API_KEY",
    "ANTHROPIC_FOUNDRY_AUTH_TOKEN",
    "ANTHROPIC_AWS_API_KEY",
    "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_GATEWAY_TOKEN",
    "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
];

/// What must be shown nowhere: the values of all of these, wherever they are set, and the parts of custom headers.
pub(super) fn secrets(patient: &Patient) -> Vec<String> {
    let values = SECRETS.iter().flat_map(|name| patient.all(name)).map(|set| set.value);
    let parts = values.flat_map(|value| {
        let lines = value.lines().filter_map(|line| Some(line.split_once(':')?.1.trim().to_owned()));
        let mut parts: Vec<String> = lines.collect();
        parts.push(value.clone());
        parts
    });
    parts.filter(|part| part.chars().count() >= 8).collect()
}

/// Looks at what is sent.
pub(super) fn look(patient: &Patient) -> Vec<Finding> {
    let mut findings: Vec<Finding> = forced_login(patient).collect();
    let variables: Vec<_> = [(AUTH_TOKEN, "Authorization"), (API_KEY, "x-api-key")]
        .into_iter()
        .filter_map(|(name, header)| Some((name, header, patient.variable(name)?)))
        .collect();
    let helper = patient.text(HELPER).filter(|(_, command)| !command.trim().is_empty());
    if variables.is_empty() && helper.is_none() {
        let says = "no credential is set, so Claude Code says \"Not logged in\" or uses a subscription";
        let cure = "Set one: `tollgate client setup --url URL --token-env VAR`.";
        findings.push(Finding::fail(&CLIENT_CREDENTIAL, Proven, says).cure(cure));
        return findings;
    }
    for (name, header, set) in &variables {
        let from = set.origin.name();
        let is_one_line = set.value.bytes().all(|byte| (0x21..=0x7e).contains(&byte));
        let (says, cure) = if is_one_line {
            Shape::of(&set.value).says()
        } else {
            let cure = "Put the credential alone there, without `Bearer `, spaces and line ends.";
            ("it holds a space, a line end or something else that is no visible ASCII".to_owned(), Some(cure))
        };
        let says = format!("{name}, from {from}, goes into {header}: {says}");
        let finding = match cure {
            None => Finding::pass(&CLIENT_CREDENTIAL, Proven, says),
            Some(cure) => Finding::fail(&CLIENT_CREDENTIAL, Proven, says).cure(cure),
        };
        findings.push(placed(finding, set.origin, &["env", name]));
    }
    if let Some((origin, _)) = helper {
        let says = format!("the {HELPER} of {} goes into the headers that are left", origin.name());
        findings.push(Finding::pass(&CLIENT_CREDENTIAL, Proven, says));
    }
    let mut names: Vec<&str> = variables.iter().map(|(name, ..)| *name).collect();
    names.extend(helper.map(|_| HELPER));
    findings.extend(conflict(&names));
    findings
}

fn conflict(names: &[&str]) -> Option<Finding> {
    let says = format!("{} are set, and sent side by side", names.join(" and "));
    let cure =
        "Keep one of them. A key of the provider's own would be sent to the gateway with every request.";
    (names.len() > 1).then(|| Finding::fail(&CONFLICT, Proven, says).cure(cure))
}

/// Managed settings that demand a login at the provider.
fn forced_login(patient: &Patient) -> impl Iterator<Item = Finding> {
    let managed = patient.files.iter().filter(|file| file.scope == Scope::Managed);
    managed.filter_map(|file| {
        let key = ["forceLoginMethod", "forceLoginOrgUUID"]
            .into_iter()
            .find(|key| file.value.get(key).is_some())?;
        let says = format!("{key} keeps Claude Code from using a gateway's credential");
        let cure = "Whoever manages this machine takes it out, if the gateway is to be used.";
        Some(placed(Finding::fail(&LOGIN, Proven, says).cure(cure), Origin::File(file), &[key]))
    })
}

/// Who else could read the credentials that stand in files.
pub(super) fn exposed(patient: &Patient) -> Vec<Finding> {
    let with_secret = |file| Some((file, secret_in(file)?));
    let findings: Vec<Finding> = patient
        .files
        .iter()
        .filter_map(with_secret)
        .filter_map(|(file, name)| {
            let finding = exposure(file, name)?;
            Some(placed(finding, Origin::File(file), &["env", name]))
        })
        .collect();
    let any = patient.files.iter().find_map(with_secret);
    if findings.is_empty() && any.is_some() {
        return vec![Finding::pass(&EXPOSED, Proven, "the files with credentials are their owner's alone")];
    }
    findings
}

fn secret_in(file: &Settings) -> Option<&'static str> {
    SECRETS.into_iter().find(|name| file.variable(name).is_some_and(|value| !value.trim().is_empty()))
}

fn exposure(file: &Settings, name: &str) -> Option<Finding> {
    let fail = |says: String, cure: String| Some(Finding::fail(&EXPOSED, Proven, says).cure(cure));
    let path = file.path.display();
    if file.scope == Scope::Project || backup::is_committed(&file.path) {
        return fail(
            format!("{name} stands in a file that git commits"),
            format!(
                "Take it out of {path}, put it into .claude/settings.local.json or ~/.claude/settings.json (`tollgate \
                 client setup`), and have the credential replaced: whoever has the repository has it."
            ),
        );
    }
    let mode = fs::metadata(&file.path).map(|about| about.permissions().mode() & 0o777).unwrap_or_default();
    let cure = if file.scope == Scope::Managed {
        "Use an `apiKeyHelper` there, which prints each person's own credential.".to_owned()
    } else {
        format!("chmod 600 {path}")
    };
    if mode & 0o077 != 0 {
        return fail(format!("{name} stands in a file that others can read (mode {mode:o})"), cure);
    }
    None
}
