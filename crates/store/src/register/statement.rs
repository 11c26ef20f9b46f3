//! Closed periods: the statement as a file that its entry in the journal and its signature show unchanged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::entry::{Event, Hash, StatementClosed};
use tollgate_policy::id::InstanceId;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::{Register, RegisterFault};
use crate::fault::JournalFault;
use crate::folder::{create_private_folder, write_whole};
use crate::journal::checkpoint::PublicKey;

/// What a period is closed with.
#[derive(Debug, Clone)]
pub struct Closing {
    /// The period, such as `2026-11`: up to 32 letters, digits and `-`. It names the file.
    pub period: String,
    /// The first instant of the period.
    pub from: UnixMs,
    /// The first instant after it.
    pub to: UnixMs,
    /// The last entry of the journal that the statement covers.
    pub upto: u64,
    /// What it all costs.
    pub total: NanoUsd,
    /// The statement.
    pub text: String,
}

/// The signature of a statement, by the key that signs the journal's checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    /// The instance that signs.
    pub instance: InstanceId,
    /// The period.
    pub period: String,
    /// The hash of the statement's text.
    pub statement: Hash,
    /// The public id of the signing key.
    pub key: String,
    /// The Ed25519 signature over [`Signature::signed_text`], base64.
    pub signature: String,
}

impl Signature {
    /// The text that is signed. It names its format, so that it cannot pass for a signature of another kind.
    #[must_use]
    pub fn signed_text(&self) -> String {
        format!("tollgate-statement-v1\n{}\n{}\n{}\n", self.instance, self.period, self.statement)
    }

    /// Whether it was made with the private key of this public one, for this text.
    #[must_use]
    pub fn verifies(&self, public: &PublicKey, text: &str) -> bool {
        self.key == public.id()
            && self.statement == Hash::of(text.as_bytes())
            && public.verifies_text(&self.signed_text(), &self.signature)
    }
}

impl Register {
    /// The periods that are closed, in the order in which they were.
    #[must_use]
    pub fn statements(&self) -> Arc<Vec<Arc<StatementClosed>>> {
        self.statements.load_full()
    }

    /// Closes a period: writes the statement and its signature, then records it. A statement whose record failed is
    /// not closed; closing it again replaces the files. Blocks until all is durable.
    ///
    /// # Errors
    /// [`RegisterFault::AlreadyClosed`], [`RegisterFault::File`], [`RegisterFault::Journal`].
    pub fn close_statement(
        &self,
        by: &str,
        closing: &Closing,
        now: UnixMs,
    ) -> Result<Arc<StatementClosed>, RegisterFault> {
        let _turn = self.turn();
        let statements = self.statements.load();
        if statements.iter().any(|closed| closed.period == closing.period) {
            return Err(RegisterFault::AlreadyClosed(closing.period.clone()));
        }
        let (path, signature_path) = self.paths(&closing.period)?;
        // The files may be another process's by then.
        if self.journal.has_stopped() {
            return Err(JournalFault::Closed.into());
        }
        let mut signature = Signature {
            instance: self.instance,
            period: closing.period.clone(),
            statement: Hash::of(closing.text.as_bytes()),
            key: self.signer.id().to_owned(),
            signature: String::new(),
        };
        signature.signature = self.signer.sign_text(&signature.signed_text());
        let signature_text = serde_json::to_vec(&signature).map_err(|error| file(&error))?;
        create_private_folder(&self.statement_files).map_err(|error| file(&error))?;
        write_whole(&path, closing.text.as_bytes(), 0o600).map_err(|error| file(&error))?;
        write_whole(&signature_path, &signature_text, 0o600).map_err(|error| file(&error))?;
        let closed = StatementClosed {
            by: by.to_owned(),
            period: closing.period.clone(),
            from: closing.from,
            to: closing.to,
            upto: closing.upto,
            total: closing.total,
            statement: signature.statement,
        };
        self.record(Event::StatementClosed(closed.clone()), now)?;
        let closed = Arc::new(closed);
        let mut statements = Vec::clone(&statements);
        statements.push(Arc::clone(&closed));
        self.statements.store(Arc::new(statements));
        Ok(closed)
    }

    /// The text of a statement and its signature, as they were when the period was closed. Reads files.
    ///
    /// # Errors
    /// [`RegisterFault::NotClosed`], [`RegisterFault::Altered`].
    pub fn statement(&self, period: &str) -> Result<(String, Signature), RegisterFault> {
        let statements = self.statements.load();
        let closed = statements.iter().find(|closed| closed.period == period);
        let closed = closed.ok_or_else(|| RegisterFault::NotClosed(period.to_owned()))?;
        let (path, signature_path) = self.paths(period)?;
        let altered = || RegisterFault::Altered(period.to_owned());
        let text = read(&path).filter(|text| Hash::of(text.as_bytes()) == closed.statement);
        let text = text.ok_or_else(altered)?;
        let signature = read(&signature_path).and_then(|text| serde_json::from_str::<Signature>(&text).ok());
        let signature = signature.ok_or_else(altered)?;
        let is_good = signature.period == period && signature.verifies(&self.signer.public_key(), &text);
        if is_good { Ok((text, signature)) } else { Err(altered()) }
    }

    /// The files of a statement and of its signature.
    fn paths(&self, period: &str) -> Result<(PathBuf, PathBuf), RegisterFault> {
        let fits = (1..=32).contains(&period.len())
            && period.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fits {
            return Err(RegisterFault::NotClosed(period.chars().take(32).collect()));
        }
        let path = |suffix: &str| self.statement_files.join(format!("{period}.{suffix}"));
        Ok((path("json"), path("sig")))
    }
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn file(error: &dyn std::fmt::Display) -> RegisterFault {
    RegisterFault::File(error.to_string())
}
