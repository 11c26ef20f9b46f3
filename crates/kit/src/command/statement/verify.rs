//! `tollgate statement verify`: reads the files themselves, as `tollgate audit verify` does, and for the same reason
//! (docs/decisions/0002-audit-verify-reads-files.md).

use super::{Verify, record::Stated};
use crate::{
    command::audit::public_key, fault::Fault, printer::Printer, source::Source, status::Status,
    table::visible,
};
use tollgate_store::{PublicKey, register::Signature};

/// Says whether a statement is as it was closed.
///
/// # Errors
///
/// [`Fault::Unreadable`], [`Fault::NotAPublicKey`]. A statement that is not as it should be is no fault but an answer.
pub(super) fn verify(wish: &Verify, printer: &Printer) -> Result<Status, Fault> {
    let key_file = wish.public_key.clone().unwrap_or_else(|| wish.data.path.join("secrets/journal.pub"));
    let public = public_key(&key_file)?;
    let Source { text, .. } = Source::read(&wish.file)?;
    let signature_file = wish.signature.clone().unwrap_or_else(|| wish.file.with_extension("sig"));
    let Source { text: signature, .. } = Source::read(&signature_file)?;
    let judged = judge(&text, &signature, &public);
    let mut facts = match &judged {
        Ok(_) => vec![("statement", "as it was closed, and its figures add up".to_owned())],
        Err(why) => vec![("statement", format!("WRONG: {why}"))],
    };
    if let Ok(stated) = &judged {
        facts.extend(stated.facts());
    }
    facts.push(("key", public.id()));
    let lines = facts.iter().map(|(name, value)| format!("{name:<10} {}\n", visible(value)));
    printer.answer(&lines.collect::<String>())?;
    Ok(if judged.is_ok() { Status::Done } else { Status::Failed })
}

/// The statement, if nobody changed it since it was signed with this key, and its figures add up.
fn judge(text: &str, signature: &str, public: &PublicKey) -> Result<Stated, String> {
    let signature: Signature =
        serde_json::from_str(signature).map_err(|error| format!("the signature can not be read: {error}"))?;
    if signature.key != public.id() {
        return Err(format!("it was signed with another key, {}", signature.key));
    }
    if !signature.verifies(public, text) {
        return Err("the signature is not one of this text: somebody changed one of them".to_owned());
    }
    let stated = Stated::read(text).map_err(|why| format!("it is signed, and no statement: {why}"))?;
    if stated.period != signature.period || stated.instance != signature.instance.to_string() {
        return Err("the signature is for another period or another gateway".to_owned());
    }
    stated.wrong_sum().map_or(Ok(stated), Err)
}
