//! Signed heads of the chain: making them, checking them, and the file that holds them once more.

use std::fmt;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::prelude::{BASE64_STANDARD, Engine};
use tollgate_policy::entry::{Checkpoint, Entry, Hash, read_line};

/// The most entries that may follow each other without a checkpoint among them.
pub(crate) const ENTRIES_MAX: u64 = 1000;

/// The name of the file in the journal's folder that holds every checkpoint line once more.
pub(crate) const SIDECAR: &str = "checkpoints";

/// The key that checkpoints are signed with.
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    id: String,
}

impl Signer {
    /// Takes an Ed25519 private key in PKCS#8.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(der).ok()?;
        let id = public_key(&pair)?.id();
        Some(Self { pair, id })
    }

    /// The public key of the pair.
    pub(crate) fn public_key(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Fills in the key's id and the signature.
    pub(crate) fn sign(&self, mut checkpoint: Checkpoint) -> Checkpoint {
        checkpoint.key.clone_from(&self.id);
        checkpoint.signature = self.sign_text(&checkpoint.signed_text());
        checkpoint
    }

    /// Signs another text: base64 of the Ed25519 signature. The text must name its format in its first line, so that
    /// it cannot pass for a checkpoint.
    pub(crate) fn sign_text(&self, text: &str) -> String {
        BASE64_STANDARD.encode(self.pair.sign(text.as_bytes()))
    }

    /// The public id of the key.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signer({})", self.id)
    }
}

fn public_key(pair: &Ed25519KeyPair) -> Option<PublicKey> {
    pair.public_key().as_ref().try_into().ok().map(PublicKey)
}

/// The key that verifies checkpoints. Text form: `ed25519 ` and 32 bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// The short name that checkpoints carry: the first 16 hexadecimal digits of the key's SHA-256 hash.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = Hash::of(&self.0).to_string();
        id.truncate(16);
        id
    }

    /// Whether the checkpoint was signed with the private key of this one.
    #[must_use]
    pub fn verifies(&self, checkpoint: &Checkpoint) -> bool {
        checkpoint.key == self.id() && self.verifies_text(&checkpoint.signed_text(), &checkpoint.signature)
    }

    /// Whether the text was signed with the private key of this one; the signature is in base64.
    #[must_use]
    pub fn verifies_text(&self, text: &str, signature: &str) -> bool {
        let Ok(signature) = BASE64_STANDARD.decode(signature) else {
            return false;
        };
        UnparsedPublicKey::new(&ED25519, self.0).verify(text.as_bytes(), &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ed25519 {}", BASE64_STANDARD.encode(self.0))
    }
}

/// A text that is not a [`PublicKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a public key of the form `ed25519 ` and 32 bytes in base64")]
pub struct NotAPublicKey;

impl FromStr for PublicKey {
    type Err = NotAPublicKey;
    fn from_str(text: &str) -> Result<Self, NotAPublicKey> {
        let encoded = text.trim().strip_prefix("ed25519 ").ok_or(NotAPublicKey)?;
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| NotAPublicKey)?;
        bytes.try_into().map(Self).map_err(|_| NotAPublicKey)
    }
}

/// The last checkpoint in the sidecar, and the length of the file up to its end. After it there may be what a crash
/// or power cut leaves: a half-written line, or one with zeros in it.
///
/// # Errors
/// Whatever reading says; [`io::ErrorKind::InvalidData`] when the file does not end with a checkpoint otherwise.
pub(crate) fn last_of_sidecar(folder: &Path) -> io::Result<(Option<Entry>, u64)> {
    // Far longer than a few checkpoint lines can be.
    const WINDOW: u64 = 1 << 16;
    let mut file = match fs::File::open(folder.join(SIDECAR)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((None, 0)),
        opened => opened?,
    };
    let from = file.metadata()?.len().saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let mut end = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
    while end > 0 {
        let start = memchr::memrchr(b'\n', &bytes[..end - 1]).map_or(0, |at| at + 1);
        let line = &bytes[start..end];
        match read_line(line) {
            Ok(entry) => return Ok((Some(entry), from + end as u64)),
            Err(_) if line.contains(&0) => end = start,
            Err(bad) => return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line {bad}"))),
        }
    }
    if from == 0 { Ok((None, 0)) } else { Err(io::ErrorKind::InvalidData.into()) }
}
