//! Values that have one text form: how serde reads and writes them, and how text from outside is bounded.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserializer, Serializer};

/// The longest text from outside that an entry keeps, in characters.
pub(crate) const TEXT_CHARS_MAX: usize = 256;
/// The longest header value that an entry keeps, in characters.
pub(crate) const HEADER_CHARS_MAX: usize = 1024;

/// The most headers that an entry keeps.
pub(crate) const HEADERS_MAX: usize = 32;

/// Reads a value through its `FromStr`, without an intermediate `String`.
pub(crate) fn parse<'de, D, T>(deserializer: D, expecting: &'static str) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    struct Text<T>(&'static str, PhantomData<T>);
    impl<T> Visitor<'_> for Text<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        type Value = T;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(self.0)
        }
        fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<T, E> {
            value.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text(expecting, PhantomData))
}

/// Writes bytes that are known to be ASCII as a string.
pub(crate) fn write_ascii<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(std::str::from_utf8(bytes).map_err(S::Error::custom)?)
}

/// Cuts `text` to at most `chars_max` characters; a cut text ends with an ellipsis, so a reader can tell.
pub(crate) fn bound(text: &str, chars_max: usize) -> Cow<'_, str> {
    // A text has at most as many characters as bytes, so short texts need no counting.
    if text.len() <= chars_max || text.chars().nth(chars_max).is_none() {
        return Cow::Borrowed(text);
    }
    let kept = text.char_indices().nth(chars_max.saturating_sub(1));
    let end = kept.map_or(text.len(), |(offset, _)| offset);
    Cow::Owned(format!("{}\u{2026}", &text[..end]))
}

/// For `serialize_with`: a text from outside, bounded.
pub(crate) fn bounded<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bound(text, TEXT_CHARS_MAX))
}

/// For `serialize_with`: an optional text from outside, bounded.
pub(crate) fn bounded_option<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match text {
        Some(text) => serializer.serialize_some(bound(text, TEXT_CHARS_MAX).as_ref()),
        None => serializer.serialize_none(),
    }
}

/// For `serialize_with`: header names and values, bounded, the first [`HEADERS_MAX`] of them.
pub(crate) fn bounded_headers<S: Serializer>(
    headers: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(headers.len().min(HEADERS_MAX)))?;
    for (name, value) in headers.iter().take(HEADERS_MAX) {
        let name = bound(name, TEXT_CHARS_MAX);
        map.serialize_entry(name.as_ref(), bound(value, HEADER_CHARS_MAX).as_ref())?;
    }
    map.end()
}

/// For `skip_serializing_if`: a count of nothing is not written.
pub(crate) fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// For `skip_serializing_if`: a flag that is down is not written.
pub(crate) fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A length of time in the largest unit that divides it: `90 minutes`.
pub(crate) fn duration(ms: i64) -> String {
    // One day is said as 24 hours: a window of that length is no day of the calendar.
    let units = [(86_400_000, 2, "day"), (3_600_000, 1, "hour"), (60_000, 1, "minute"), (1_000, 1, "second")];
    let fits = |(unit_ms, least, _): &(i64, i64, &str)| ms % unit_ms == 0 && ms / unit_ms >= *least;
    let (unit_ms, _, word) = units.into_iter().find(fits).unwrap_or((1, 1, "millisecond"));
    let number = ms / unit_ms;
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_by_characters_and_says_so() {
        let rows = [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "ab\u{2026}"),
            ("\u{e9}\u{e9}\u{e9}", 3, "\u{e9}\u{e9}\u{e9}"),
            ("\u{1f600}\u{1f600}\u{1f600}\u{1f600}", 3, "\u{1f600}\u{1f600}\u{2026}"),
            ("ab", 1, "\u{2026}"),
        ];
        for (text, chars_max, expected) in rows {
            assert_eq!(bound(text, chars_max), expected, "{text} to {chars_max}");
        }
    }
}
