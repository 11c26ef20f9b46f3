//! Secrets in files: `${VARIABLE}` until they are filled in.

use super::{Output, Plan, plan::variable};
use crate::fault::Fault;
use std::{collections::BTreeMap, ops::RangeInclusive};
use tollgate_config::SecretRef;

/// The ending of a file whose secrets are not filled in.
const TEMPLATE: &str = ".template";

/// How many characters a secret has. Fewer can be guessed, or are a slip; more do not fit into the tables of nginx.
const SECRET_CHARS: RangeInclusive<usize> = 16..=400;

/// Makes the files final: with the secrets in them if `with_secrets`, else as templates that say where each goes, with
/// the steps that fill them in.
///
/// # Errors
///
/// [`Fault::Unset`], [`Fault::Unreadable`], and [`Fault::Unfit`] for what is no secret or would break the file. The
/// text of a secret is never repeated.
pub(super) fn fill(output: &mut Output, plan: &Plan, with_secrets: bool) -> Result<(), Fault> {
    let mut templates = Vec::new();
    let mut taken = BTreeMap::new();
    for file in output.files.iter_mut().filter(|file| file.is_secret) {
        if with_secrets {
            for secret in plan.secrets() {
                let place = place(secret);
                if file.text.contains(&place) {
                    let text = take(secret)?;
                    apart(secret, &text, &mut taken)?;
                    file.text = file.text.replace(&place, &text);
                }
            }
        } else {
            templates.push(file.path.clone());
            file.path.push_str(TEMPLATE);
            file.is_secret = false;
        }
    }
    if !templates.is_empty() {
        output.next.splice(0..0, steps(plan, &templates));
    }
    Ok(())
}

/// What stands in a file for a secret: a place that the shell's `envsubst` fills, too.
pub(super) fn place(secret: &SecretRef) -> String {
    format!("${{{}}}", variable(secret))
}

/// The steps that set the variables of the plan's secrets and fill these files in.
fn steps(plan: &Plan, files: &[String]) -> Vec<String> {
    let places: Vec<String> = plan.secrets().into_iter().map(place).collect();
    let (places, files) = (places.join(" "), files.join(" "));
    vec![
        exports(plan),
        format!(
            "Fill them in, or let `tollgate generate --fill` do it: `umask 077; for file in {files}; do envsubst \
             '{places}' < \"$file{TEMPLATE}\" > \"$file\"; done`"
        ),
    ]
}

/// The step that sets the variables of the plan's secrets.
pub(super) fn exports(plan: &Plan) -> String {
    let all: Vec<String> = plan.secrets().into_iter().map(setting).collect();
    format!("Have these variables in the environment, out of a secret store: {}", all.join(", "))
}

/// How the variable of a secret is set.
pub(super) fn setting(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => format!("`{name}`"),
        SecretRef::File(path) => format!("`{}=\"$(cat {})\"`", variable(secret), path.display()),
    }
}

fn take(secret: &SecretRef) -> Result<String, Fault> {
    let text = match secret {
        SecretRef::Env(name) => std::env::var(name).map_err(|_| Fault::Unset(name.clone()))?,
        SecretRef::File(path) => {
            std::fs::read_to_string(path).map_err(|cause| Fault::Unreadable { path: path.clone(), cause })?
        }
    };
    let text = text.trim();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=:@".contains(&b);
    // What begins with a tilde is a pattern in a map of nginx.
    if SECRET_CHARS.contains(&text.len()) && text.bytes().all(is_plain) && !text.starts_with('~') {
        return Ok(text.to_owned());
    }
    Err(Fault::Unfit {
        what: "a secret",
        rule: format!(
            "{secret} has not {} to {} characters, or some of them would mean something else in a file",
            SECRET_CHARS.start(),
            SECRET_CHARS.end()
        ),
        cure: "make a new one of letters and digits, as `openssl rand -hex 32` does.".to_owned(),
    })
}

/// Whether no other secret has this text: who presents it would be two, or have the key of the API. Upper and lower case
/// are one, as in a map of nginx.
fn apart<'p>(
    secret: &'p SecretRef,
    text: &str,
    taken: &mut BTreeMap<String, &'p SecretRef>,
) -> Result<(), Fault> {
    match taken.insert(text.to_ascii_lowercase(), secret) {
        Some(other) if other != secret => Err(Fault::Unfit {
            what: "a secret",
            rule: format!("{secret} is the same as {other}, or differs from it in upper and lower case only"),
            cure: "give the API and each member a secret of their own.".to_owned(),
        }),
        _ => Ok(()),
    }
}
