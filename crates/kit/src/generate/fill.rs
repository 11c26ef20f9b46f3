//! Secrets in files: `${VARIABLE}` until they are filled in.

use super::{Output, Plan, plan::variable};
use crate::fault::Fault;
use tollgate_config::SecretRef;

/// The ending of a file whose secrets are not filled in.
const TEMPLATE: &str = ".template";

/// The fewest characters of a secret. Fewer can be guessed, or are a slip.
const SECRET_CHARS: usize = 16;

/// Makes the files final: with the secrets in them if `with_secrets`, else as templates that say where each goes, with
/// the steps that fill them in.
///
/// # Errors
///
/// [`Fault::Unset`], [`Fault::Unreadable`], and [`Fault::Unfit`] for what is no secret or would break the file. The
/// text of a secret is never repeated.
pub(super) fn fill(output: &mut Output, plan: &Plan, with_secrets: bool) -> Result<(), Fault> {
    let mut templates = Vec::new();
    for file in output.files.iter_mut().filter(|file| file.is_secret) {
        if with_secrets {
            for secret in plan.secrets() {
                let place = place(secret);
                if file.text.contains(&place) {
                    file.text = file.text.replace(&place, &take(secret)?);
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
    let set = |secret: &SecretRef| match secret {
        SecretRef::Env(name) => format!("`{name}`"),
        SecretRef::File(path) => format!("`{}=\"$(cat {})\"`", variable(secret), path.display()),
    };
    let all: Vec<String> = plan.secrets().into_iter().map(set).collect();
    format!("Have these variables in the environment, out of a secret store: {}", all.join(", "))
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
    if text.len() >= SECRET_CHARS && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(Fault::Unfit {
        what: "a secret",
        rule: format!(
            "{secret} is shorter than {SECRET_CHARS} characters, or holds some that would end its place in a file"
        ),
        cure: "make a new one of letters and digits, as `openssl rand -hex 32` does.".to_owned(),
    })
}
