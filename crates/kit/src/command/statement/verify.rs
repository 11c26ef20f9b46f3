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

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::prelude::{BASE64_STANDARD, Engine};
    use serde_json::json;
    use tollgate_policy::{entry::Hash, id::InstanceId, unit::UnixMs};

    /// A statement of one request that cost so much, and says so.
    fn statement(instance: InstanceId, cost: i64, said: i64) -> String {
        let sum = json!({"cost_centre": null, "requests": 1, "cost_nano_usd": said, "late_nano_usd": 0,
            "adjusted_nano_usd": 0, "total_nano_usd": said});
        json!({"format": "tollgate-statement-v1", "instance": instance, "period": "2026-11", "from": "f", "to": "t",
            "time_zone": "UTC", "upto": 1, "closed_at": "c", "closed_by": "b", "total": sum, "cost_centres": [sum],
            "lines": [{"cost_centre": null, "requests": 1, "cost_nano_usd": cost}], "late": [], "adjustments": []})
        .to_string()
    }

    #[test]
    fn what_is_signed_must_be_what_it_says() {
        let pair = Ed25519KeyPair::generate().unwrap();
        let public: PublicKey =
            format!("ed25519 {}", BASE64_STANDARD.encode(pair.public_key().as_ref())).parse().unwrap();
        let instance = InstanceId::new(UnixMs(0), [0; 10]);
        let sign = |text: &str, instance: InstanceId, period: &str| {
            let mut signature = Signature {
                instance,
                period: period.to_owned(),
                statement: Hash::of(text.as_bytes()),
                key: public.id(),
                signature: String::new(),
            };
            signature.signature = BASE64_STANDARD.encode(pair.sign(signature.signed_text().as_bytes()));
            serde_json::to_string(&signature).unwrap()
        };
        let good = statement(instance, 5, 5);
        let other = InstanceId::new(UnixMs(1), [0; 10]);
        let rows = [
            (good.clone(), sign(&good, instance, "2026-11"), None),
            (good.clone(), sign("else", instance, "2026-11"), Some("somebody changed")),
            (good.clone(), sign(&good, instance, "2026-10"), Some("another period")),
            (good.clone(), sign(&good, other, "2026-11"), Some("another period or another gateway")),
            (
                statement(instance, 5, 6),
                sign(&statement(instance, 5, 6), instance, "2026-11"),
                Some("not the sum"),
            ),
            ("{}".to_owned(), sign("{}", instance, "2026-11"), Some("no statement")),
        ];
        for (text, signature, why) in rows {
            let judged = judge(&text, &signature, &public).err();
            match why {
                None => assert_eq!(judged, None),
                Some(why) => {
                    assert!(judged.as_ref().is_some_and(|said| said.contains(why)), "{why}: {judged:?}")
                }
            }
        }
    }
}
