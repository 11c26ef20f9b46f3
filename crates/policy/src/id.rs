//! Identifiers that show their kind: `req_...`, `key_...`, `ins_...`.
//!
//! An id is 16 bytes: 48 bits of Unix milliseconds and 80 random bits, so ids sort by age. The text is the
//! prefix and 26 characters of Crockford's base 32 in upper case, the shape of a ULID
//! (<https://github.com/ulid/spec>). Reading is strict: one id has one text.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;
use crate::unit::UnixMs;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const PREFIX_BYTES: usize = 4;
const TEXT_BYTES: usize = PREFIX_BYTES + 26;

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form {prefix} and 26 characters of 0-9 and A-Z without I, L, O, U")]
pub struct NotAnId {
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// An id born at `at` (instants before 1970 count as 1970), made unique by 80 random bits.
            #[must_use]
            pub fn new(at: UnixMs, random: [u8; 10]) -> Self {
                Self(compose(at, random))
            }

            /// The 16 bytes, big-endian time first.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// The id with these 16 bytes, as given by [`Self::as_bytes`].
            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode($prefix, &self.0);
                formatter.pad(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                decode($prefix, text).map(Self).ok_or(NotAnId { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                text::write_ascii(&encode($prefix, &self.0), serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                text::parse(deserializer, concat!("an id that begins with ", $prefix))
            }
        }
    };
}

id!(
    /// One request of one client, from intake to settlement.
    RequestId,
    "req_"
);
id!(
    /// One virtual key: public, fit for logs and bills.
    KeyId,
    "key_"
);
id!(
    /// One running gateway and the journal it writes.
    InstanceId,
    "ins_"
);

fn compose(at: UnixMs, random: [u8; 10]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&at.0.max(0).to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random);
    bytes
}

fn encode(prefix: &str, bytes: &[u8; 16]) -> [u8; TEXT_BYTES] {
    let mut text = [0; TEXT_BYTES];
    text[..PREFIX_BYTES].copy_from_slice(prefix.as_bytes());
    let mut number = u128::from_be_bytes(*bytes);
    for character in text[PREFIX_BYTES..].iter_mut().rev() {
        *character = ALPHABET[(number & 31) as usize];
        number >>= 5;
    }
    text
}

fn decode(prefix: &str, text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix(prefix)?.as_bytes();
    // 26 digits of 5 bits are 130 bits: the first digit may only use three of its five.
    if digits.len() != TEXT_BYTES - PREFIX_BYTES || digits[0] > b'7' {
        return None;
    }
    let mut number: u128 = 0;
    for digit in digits {
        let value = ALPHABET.iter().position(|character| character == digit)?;
        number = (number << 5) | value as u128;
    }
    Some(number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_has_the_shape_of_a_ulid() {
        // The time of the example in the ULID reference implementation, 1469918176385, is `01ARYZ6S41`.
        let id = RequestId::new(UnixMs(1_469_918_176_385), [0xFF; 10]);
        assert_eq!(id.to_string(), "req_01ARYZ6S41ZZZZZZZZZZZZZZZZ");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"req_01ARYZ6S41ZZZZZZZZZZZZZZZZ\"");
        assert_eq!(RequestId::new(UnixMs(-1), [0; 10]).to_string(), format!("req_{}", "0".repeat(26)));
    }

    #[test]
    fn only_the_one_text_of_the_right_kind_is_read() {
        let digits = "01ARYZ6S41TSV4RRFFQ69G5FAV";
        assert!(format!("key_{digits}").parse::<KeyId>().is_ok());
        let rows = [
            format!("req_{digits}"),
            digits.to_owned(),
            format!("key_{}", digits.to_lowercase()),
            format!("key_{digits}0"),
            format!("key_{}", &digits[1..]),
            format!("key_8{}", &digits[1..]),
            format!("key_{}U", &digits[1..]),
            format!("key_{}\u{e9}", &digits[2..]),
            "key_".to_owned(),
            String::new(),
        ];
        for text in rows {
            assert!(text.parse::<KeyId>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_come_back_and_sort_by_age(bytes: [u8; 16], ms in 0..1_i64 << 47, random: ([u8; 10], [u8; 10])) {
            let id = KeyId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            let (older, newer) = (KeyId::new(UnixMs(ms), random.0), KeyId::new(UnixMs(ms + 1), random.1));
            prop_assert!(older < newer);
            prop_assert!(older.to_string() < newer.to_string());
        }
    }
}
