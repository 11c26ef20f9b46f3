//! What is wished: configuration text to [`Document`] to [`Snapshot`].
//!
//! A person writes YAML (or JSON, which is a subset of it). [`load`] turns the text into the
//! [`Snapshot`] that requests read, or into every [`Problem`] of the text at once, each with its
//! line, its column, the rule it breaks and the cure. This room reads no file, no environment
//! variable and no clock: the caller hands it text, and secrets stay references until the shell
//! resolves them.
//!
//! The types in [`document`] are the only description of a configuration. The JSON Schema is
//! derived from them ([`schema`]), the loader obeys that schema, and the reference page is
//! printed from it ([`reference()`]), so the three cannot disagree.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod amount;
pub mod document;
pub mod duration;
pub mod file;
pub mod instant;
pub mod named;
pub mod problem;
pub mod proxy;
pub mod secret;
pub mod size;
pub mod snapshot;
pub mod tree;
pub mod url;
pub mod window;

mod address;
mod check;
mod compile;
mod leaf;
mod reference;
mod schema;

pub use address::Address;
pub use compile::{compile, compile_priced, unserved};
pub use document::Document;
pub use leaf::Fault;
pub use problem::{Problem, Severity};
pub use proxy::Proxy;
pub use reference::reference;
pub use schema::schema;
pub use secret::SecretRef;
pub use snapshot::{Snapshot, TlsFiles};
pub use url::Url;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use std::path::Path;
use tollgate_policy::allowance::{Allowance, Calendar};

/// Reads a document from YAML or JSON text.
///
/// `name` is what problems call the text, usually the file name. A field that is absent takes its
/// default, so an empty text is a valid document.
///
/// # Errors
///
/// Every problem found: fields that do not exist, values of the wrong form, literal secrets. Text
/// that is not YAML at all has exactly one problem, because nothing after it can be read.
pub fn parse(text: &str, name: &str) -> Result<Document, Vec<Problem>> {
    let reading = check::read(text);
    if reading.problems.is_empty() { Ok(reading.document) } else { Err(finish(reading.problems, name)) }
}

/// Reads text and compiles it: [`parse`], then [`compile()`].
///
/// Rules that span several fields are applied wherever all of those fields are readable, so that
/// one call reports as much as possible of what there is to repair. The warnings of a good document are
/// in [`Snapshot::warnings`].
///
/// # Errors
///
/// Every problem found, warnings among them, in the order of the text.
pub fn load(text: &str, name: &str) -> Result<Snapshot, Vec<Problem>> {
    load_priced(text, name, |_| None)
}

/// Like [`load`], and judges allowances by the price book that `prices.file` names, whose text `read` gives: they may
/// name its models only, and those of `models`. Where it gives none, that book is not looked at.
///
/// # Errors
///
/// As [`load`]; a price book that is unsound is a problem of `prices.file`.
pub fn load_priced(
    text: &str,
    name: &str,
    read: impl FnOnce(&Path) -> Option<String>,
) -> Result<Snapshot, Vec<Problem>> {
    let reading = check::read(text);
    let (snapshot, mut findings) = compile::judge(&reading, read);
    let mut problems = reading.problems;
    problems.append(&mut findings);
    let mut problems = finish(problems, name);
    if problems.iter().any(Problem::is_error) {
        return Err(problems);
    }
    let mut snapshot = snapshot;
    snapshot.warnings.clear();
    snapshot.warnings.append(&mut problems);
    Ok(snapshot)
}

/// Reads one allowance, written like an entry of `allowances`, whose periods go by `calendar` unless it says otherwise.
///
/// # Errors
///
/// Every problem found, as [`load`]. The warnings of a good allowance stand beside it.
pub fn load_allowance(
    text: &str,
    name: &str,
    calendar: &Calendar,
) -> Result<(Allowance, Vec<Problem>), Vec<Problem>> {
    let (reading, wished) = check::read_allowance(text);
    let (made, mut findings) = match &wished {
        Some(wished) => compile::judge_allowance(&reading, wished, calendar),
        None => (None, Vec::new()),
    };
    let mut problems = reading.problems;
    problems.append(&mut findings);
    let problems = finish(problems, name);
    match made {
        Some(made) if !problems.iter().any(Problem::is_error) => Ok((made, problems)),
        _ => Err(problems),
    }
}

/// Reads something else that people write, in the same way as a document of a gateway: its type says what it may hold,
/// and may use the leaves of this room. `judge` knows the rules that span several fields; it names the field that breaks
/// one by its path, such as `auth.keys[0].name`.
///
/// # Errors
///
/// Every problem found, as [`parse`].
pub fn parse_as<T: DeserializeOwned + JsonSchema>(
    text: &str,
    name: &str,
    judge: impl FnOnce(&T) -> Vec<(String, Fault)>,
) -> Result<T, Vec<Problem>> {
    let (mut reading, value) = check::read_as::<T>(text);
    if reading.problems.is_empty()
        && let Some(value) = value
    {
        let found = judge(&value);
        if found.is_empty() {
            return Ok(value);
        }
        reading.problems.extend(found.into_iter().map(|(path, fault)| {
            let mut problem = Problem::error(&path, &fault.rule, &fault.cure);
            problem.place(reading.places.nearest(&path));
            problem
        }));
    }
    Err(finish(reading.problems, name))
}

/// Puts problems in the order of the text and gives them the name of the text.
fn finish(mut problems: Vec<Problem>, name: &str) -> Vec<Problem> {
    for problem in &mut problems {
        name.clone_into(&mut problem.name);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

#[cfg(test)]
mod tests;
