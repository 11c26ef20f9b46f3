//! Virtual keys as text: how they are minted, recognised and stored.
//!
//! A virtual key is `tg_`, 43 characters that encode 32 random bytes in base 62, and 6 characters that
//! encode the CRC-32 of all before them. So secret scanners can find one with certainty:
//!
//! ```text
//! \btg_[0-9A-Za-z]{49}\b        and the checksum must fit
//! ```
//!
//! The text is shown once, when the key is made. What is stored is [`Digest`], an HMAC-SHA-256 under a
//! secret [`Pepper`]: whoever reads the store can neither use a key nor test a guess. A slow password hash
//! is not needed, because the input has 256 random bits.
//!
//! The credential of an operator of the admin API has the same form and begins with `tga_`, so that neither is
//! mistaken for the other.
//!
//! A *foreign* key was made by another gateway, of which only the SHA-256 is known. Its digest is made over that
//! [`ForeignHash`], under a label of its own: what is presented is always hashed first, so a hash that leaked opens
//! nothing, and no foreign key can have the digest of one of ours.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use aws_lc_rs::{digest, hmac};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::{Zeroize, Zeroizing};

use crate::{hex, text};

/// What every virtual key begins with.
pub const PREFIX: &str = "tg_";
/// What the credential of every operator begins with.
pub const OPERATOR_PREFIX: &str = "tga_";
/// How long a foreign key may be, in bytes. A shorter one could be guessed from its hash; a longer one is no key.
pub const FOREIGN_BYTES: RangeInclusive<usize> = 16..=256;
/// The length of every virtual key, in bytes.
pub const KEY_BYTES: usize = PREFIX.len() + BODY_BYTES + CHECKSUM_BYTES;

const BODY_BYTES: usize = 43;
const CHECKSUM_BYTES: usize = 6;
const HINT_BYTES: usize = 4;
/// What stands before a foreign hash where it is digested. No virtual key begins with it.
const FOREIGN_LABEL: &[u8] = b"sha256:";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A virtual key in clear: exists when it is minted and while it is being presented, never at rest.
/// `Debug` shows nothing of it and its memory is wiped on drop.
pub struct VirtualKey(Zeroizing<String>);

impl VirtualKey {
    /// Makes a key from 32 bytes of a cryptographic random source.
    #[must_use]
    pub fn mint(random: [u8; 32]) -> Self {
        Self(mint(PREFIX, random))
    }

    /// Reads a key that somebody presents. Says nothing about whether it was ever issued.
    ///
    /// # Errors
    /// [`NotAKey`] names the first rule that the text breaks.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        check_form(text.as_bytes())?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The key in clear, to be shown once or sent.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What people may see of the key to tell it from others: the first and the last four characters
    /// with an ellipsis between them. Leaves more than 200 bits unknown.
    #[must_use]
    pub fn hint(&self) -> String {
        hint(PREFIX, &self.0)
    }
}

impl fmt::Debug for VirtualKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("VirtualKey(hidden)")
    }
}

/// The credential of an operator in clear: exists when it is made and while it is being presented, never at rest.
/// `Debug` shows nothing of it and its memory is wiped on drop.
pub struct OperatorKey(Zeroizing<String>);

impl OperatorKey {
    /// Makes one from 32 bytes of a cryptographic random source.
    #[must_use]
    pub fn mint(random: [u8; 32]) -> Self {
        Self(mint(OPERATOR_PREFIX, random))
    }

    /// The credential in clear, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What people may see of it, as [`VirtualKey::hint`].
    #[must_use]
    pub fn hint(&self) -> String {
        hint(OPERATOR_PREFIX, &self.0)
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OperatorKey(hidden)")
    }
}

/// Why a text is not a virtual key. Carries nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// It begins with something else.
    #[error("does not begin with `tg_`")]
    Prefix,
    /// It is too short or too long.
    #[error("is not 52 characters long")]
    Length,
    /// It has a character outside `0-9 A-Z a-z` after the prefix.
    #[error("has a character that is neither letter nor digit")]
    Alphabet,
    /// It was mistyped or cut and pasted badly.
    #[error("has a checksum that does not fit")]
    Checksum,
}

/// Whether the bytes have the form of a virtual key, checksum included.
///
/// # Errors
/// [`NotAKey`] names the first rule that the bytes break.
pub fn check_form(presented: &[u8]) -> Result<(), NotAKey> {
    let Some(rest) = presented.strip_prefix(PREFIX.as_bytes()) else {
        return Err(NotAKey::Prefix);
    };
    if presented.len() != KEY_BYTES {
        return Err(NotAKey::Length);
    }
    if !rest.iter().all(u8::is_ascii_alphanumeric) {
        return Err(NotAKey::Alphabet);
    }
    let (body, checksum) = presented.split_at(KEY_BYTES - CHECKSUM_BYTES);
    let mut expected = Vec::with_capacity(CHECKSUM_BYTES);
    push_base62(&mut expected, &mut crc32(body).to_be_bytes(), CHECKSUM_BYTES);
    if checksum == expected { Ok(()) } else { Err(NotAKey::Checksum) }
}

fn mint(prefix: &str, mut random: [u8; 32]) -> Zeroizing<String> {
    let length = prefix.len() + BODY_BYTES + CHECKSUM_BYTES;
    let mut bytes = Zeroizing::new(Vec::with_capacity(length));
    bytes.extend_from_slice(prefix.as_bytes());
    push_base62(&mut bytes, &mut random, BODY_BYTES);
    let checksum = crc32(&bytes);
    push_base62(&mut bytes, &mut checksum.to_be_bytes(), CHECKSUM_BYTES);
    random.zeroize();
    // Base 62 is ASCII: every byte is one character. The capacity is exact, so nothing is left behind by growth.
    let mut text = Zeroizing::new(String::with_capacity(length));
    text.extend(bytes.iter().copied().map(char::from));
    text
}

fn hint(prefix: &str, text: &str) -> String {
    let (start, end) = (prefix.len() + HINT_BYTES, text.len() - HINT_BYTES);
    format!("{}\u{2026}{}", &text[..start], &text[end..])
}

/// The secret under which credentials are digested. Made once per installation; losing it voids every key.
/// `Debug` shows nothing of it.
pub struct Pepper(hmac::Key);

impl Pepper {
    /// Prepares the HMAC key; wipes the copy it was given.
    #[must_use]
    pub fn new(mut secret: [u8; 32]) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        secret.zeroize();
        Self(key)
    }

    /// What the virtual key that a client presents is found by: the digest of one of ours, or that of the hash of a
    /// foreign one. Nothing where it can be neither.
    #[must_use]
    pub fn digest_presented(&self, presented: &[u8]) -> Option<Digest> {
        if presented.starts_with(PREFIX.as_bytes()) {
            return Some(self.digest(presented));
        }
        ForeignHash::of(presented).map(|hash| self.digest_foreign(&hash))
    }

    /// The digest of a foreign key, by its hash.
    #[must_use]
    pub fn digest_foreign(&self, hash: &ForeignHash) -> Digest {
        self.digest(&[FOREIGN_LABEL, &hash.0].concat())
    }

    /// The digest of whatever was presented as a credential, well-formed or not.
    #[must_use]
    pub fn digest(&self, presented: &[u8]) -> Digest {
        let tag = hmac::sign(&self.0, presented);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        Digest(bytes)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pepper(hidden)")
    }
}

/// The SHA-256 of a foreign key, which is what its gateway kept of it: in text 64 lowercase hexadecimal digits.
/// `Debug` shows its hint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ForeignHash([u8; 32]);

impl ForeignHash {
    /// The hash of a key that is presented; none where it has not the form of a foreign key: [`FOREIGN_BYTES`] visible
    /// ASCII characters that do not begin as keys of ours do.
    #[must_use]
    pub fn of(presented: &[u8]) -> Option<Self> {
        let fits = FOREIGN_BYTES.contains(&presented.len())
            && presented.iter().all(u8::is_ascii_graphic)
            && !presented.starts_with(PREFIX.as_bytes());
        let hash = fits.then(|| digest::digest(&digest::SHA256, presented))?;
        hash.as_ref().try_into().ok().map(Self)
    }

    /// What people may see of the key to tell it from others: the first digits of its hash.
    #[must_use]
    pub fn hint(&self) -> String {
        let [a, b, c, d, ..] = self.0;
        format!("sha256:{a:02x}{b:02x}{c:02x}{d:02x}\u{2026}")
    }
}

impl FromStr for ForeignHash {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        hex::decode(text.as_bytes()).map(Self).ok_or(NotADigest)
    }
}

impl fmt::Debug for ForeignHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.hint())
    }
}

/// What is stored of a credential, and what it is found by: 32 bytes, in text 64 lowercase hexadecimal
/// digits.
///
/// Comparing digests needs no constant time: without the pepper nobody can choose or predict one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A text that is not a [`Digest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a digest of 64 lowercase hexadecimal digits")]
pub struct NotADigest;

impl FromStr for Digest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Self, NotADigest> {
        hex::decode(text.as_bytes()).map(Self).ok_or(NotADigest)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(std::str::from_utf8(&hex::encode(&self.0)).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        text::write_ascii(&hex::encode(&self.0), serializer)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parse(deserializer, "64 lowercase hexadecimal digits")
    }
}

/// Appends the big-endian number in base 62, most significant digit first, padded with `0` to `width`
/// digits. Leaves zero in `number`.
fn push_base62(out: &mut Vec<u8>, number: &mut [u8], width: usize) {
    let start = out.len();
    out.resize(start + width, BASE62[0]);
    for digit in out[start..].iter_mut().rev() {
        let mut remainder = 0;
        for byte in number.iter_mut() {
            let dividend = (remainder << 8) | usize::from(*byte);
            *byte = (dividend / 62) as u8;
            remainder = dividend % 62;
        }
        *digit = BASE62[remainder];
    }
}

/// CRC-32 as in IEEE 802.3 and zip: reflected polynomial 0xEDB88320.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let mask = (crc & 1).wrapping_neg();
            crc = (crc >> 1) ^ (0xEDB8_8320 & mask);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Minted from the bytes 0 to 31; the text was computed by an independent program.
    const EXAMPLE: &str = "tg_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2qQZBW";

    const HASH: &str = "3824908393d39126ce934b26870f95df897cd6674c02c6ad0f7ca42dc9b40a3f";
    const FOREIGN_DIGEST: &str = "6c8594172302ac06800ff4ef0408e0802a056044216c87dcec877cb607f1b3fd";

    fn example() -> VirtualKey {
        VirtualKey::mint(std::array::from_fn(|place| place as u8))
    }

    #[test]
    fn a_key_is_minted_as_documented() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(example().reveal(), EXAMPLE);
        assert_eq!(
            VirtualKey::mint([0xFF; 32]).reveal(),
            "tg_yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp10Xwm86"
        );
        assert_eq!(
            VirtualKey::mint([0; 32]).reveal(),
            "tg_00000000000000000000000000000000000000000003L6u1e"
        );
        assert_eq!(example().hint(), "tg_003a\u{2026}QZBW");
    }

    #[test]
    fn an_operators_credential_has_the_form_of_a_key_and_is_none() {
        // The checksum was computed by an independent program.
        let credential = OperatorKey::mint(std::array::from_fn(|place| place as u8));
        assert_eq!(credential.reveal(), "tga_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2WwGWT");
        assert_eq!(credential.hint(), "tga_003a\u{2026}wGWT");
        assert_eq!(VirtualKey::parse(credential.reveal()).err(), Some(NotAKey::Prefix));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_for_its_first_fault() {
        let swapped = EXAMPLE.replace("UlTJ", "lUTJ");
        let rows = [
            ("", NotAKey::Prefix),
            ("sk-ant-api03-abc", NotAKey::Prefix),
            ("TG_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2qQZBW", NotAKey::Prefix),
            (&EXAMPLE[..51], NotAKey::Length),
            ("tg_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2qQZBW ", NotAKey::Length),
            ("tg_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2qQZB\n", NotAKey::Alphabet),
            ("tg_-03aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2qQZBW", NotAKey::Alphabet),
            ("tg_103aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf2qQZBW", NotAKey::Checksum),
            (&swapped, NotAKey::Checksum),
        ];
        for (text, expected) in rows {
            assert_eq!(VirtualKey::parse(text).err(), Some(expected), "{text}");
        }
        assert_eq!(VirtualKey::parse(EXAMPLE).unwrap().reveal(), EXAMPLE);
    }

    #[test]
    fn a_digest_is_hmac_sha_256_under_the_pepper() {
        let digest = Pepper::new([7; 32]).digest(b"presented");
        let text = "8655b04a66c4e42d0092f906dcf6a7a3d1b351f8ca1db2dbec84cd2e564ffded";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(text.to_uppercase().parse::<Digest>(), Err(NotADigest));
        assert_ne!(Pepper::new([8; 32]).digest(b"presented"), digest);
    }

    #[test]
    fn a_foreign_key_is_found_by_its_hash_and_the_hash_is_no_key() {
        // The hash and the digest were computed by an independent program.
        let (key, hash) = ("sk-X53RdxnDhzamRwjKXR4IHg", HASH);
        let pepper = Pepper::new([7; 32]);
        let parsed: ForeignHash = hash.parse().unwrap();
        let digest = pepper.digest_foreign(&parsed);
        assert_eq!(digest.to_string(), FOREIGN_DIGEST);
        assert_eq!(pepper.digest_presented(key.as_bytes()), Some(digest));
        assert_eq!(format!("{parsed:?}"), format!("sha256:{}\u{2026}", &hash[..8]));
        let labelled = [FOREIGN_LABEL, &parsed.0].concat();
        for other in [hash.as_bytes(), &parsed.0, &labelled, format!("sha256:{hash}").as_bytes(), b"sk-X53"] {
            assert_ne!(pepper.digest_presented(other), Some(digest), "{other:?}");
        }
        assert_eq!(pepper.digest_presented(EXAMPLE.as_bytes()), Some(pepper.digest(EXAMPLE.as_bytes())));
    }

    #[test]
    fn what_has_not_the_form_of_a_foreign_key_has_no_hash() {
        let long = |bytes: usize| "k".repeat(bytes);
        let rows = [
            (long(15), false),
            (long(16), true),
            (long(256), true),
            (long(257), false),
            (format!("{} {}", long(20), long(20)), false),
            (format!("{}\u{e9}", long(20)), false),
            (format!("{}\0", long(20)), false),
            (EXAMPLE.to_owned(), false),
            (String::new(), false),
        ];
        for (text, fits) in rows {
            assert_eq!(ForeignHash::of(text.as_bytes()).is_some(), fits, "{text:?}");
        }
        assert_eq!(HASH.to_uppercase().parse::<ForeignHash>(), Err(NotADigest));
    }

    #[test]
    fn nothing_secret_is_shown_by_debug() {
        let secret = [0x5A; 32];
        let shown = format!(
            "{:?} {:?} {:?}",
            VirtualKey::mint(secret),
            OperatorKey::mint(secret),
            Pepper::new(secret)
        );
        assert_eq!(shown, "VirtualKey(hidden) OperatorKey(hidden) Pepper(hidden)");
    }

    proptest! {
        #[test]
        fn every_minted_key_is_recognised_and_no_changed_one(
            random: [u8; 32], place in 0..KEY_BYTES, other in any::<u8>(),
        ) {
            let key = VirtualKey::mint(random);
            prop_assert_eq!(check_form(key.reveal().as_bytes()), Ok(()));
            let mut changed = key.reveal().as_bytes().to_vec();
            changed[place] = other;
            prop_assert_eq!(check_form(&changed).is_ok(), changed == key.reveal().as_bytes());
        }
    }
}
