//! A string inside JSON bytes and what it means.

use std::borrow::Cow;

/// A string as it stands between its quotes: valid UTF-8 with valid escapes, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// Offset of the opening quote.
    pub(crate) offset: usize,
    pub(super) raw: &'a [u8],
    /// Number of escape sequences.
    pub(super) escapes: usize,
}

impl<'a> Text<'a> {
    /// The characters meant; `None` if an escape is a lone surrogate, which no character is.
    pub(crate) fn decode(&self) -> Option<Cow<'a, str>> {
        let raw = std::str::from_utf8(self.raw).ok()?;
        if self.escapes == 0 {
            return Some(Cow::Borrowed(raw));
        }
        let mut text = String::with_capacity(raw.len());
        let mut rest = raw;
        while let Some((plain, escape)) = rest.split_once('\\') {
            text.push_str(plain);
            let (character, after) = decode_escape(escape)?;
            text.push(character);
            rest = after;
        }
        text.push_str(rest);
        Some(Cow::Owned(text))
    }

    /// Whether the string means `name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        if self.escapes > 0 {
            self.decode().is_some_and(|text| text == name)
        } else {
            self.raw == name.as_bytes()
        }
    }

    /// Number of Unicode scalar values meant; a lone surrogate counts as one or none.
    pub(crate) fn characters(&self) -> u64 {
        let mut count = 0;
        let mut rest = self.raw;
        while self.escapes > 0
            && let Some(backslash) = memchr::memchr(b'\\', rest)
        {
            count += first_bytes(&rest[..backslash]);
            let long = rest.get(backslash + 1) == Some(&b'u');
            // The second half of a surrogate pair adds no character.
            let second_half = long
                && matches!(rest.get(backslash + 2), Some(b'd' | b'D'))
                && matches!(rest.get(backslash + 3), Some(b'c'..=b'f' | b'C'..=b'F'));
            count += u64::from(!second_half);
            rest = rest.get(backslash + if long { 6 } else { 2 }..).unwrap_or_default();
        }
        count + first_bytes(rest)
    }
}

/// Bytes that begin a UTF-8 character, so the number of characters.
fn first_bytes(raw: &[u8]) -> u64 {
    raw.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u64
}

/// Decodes what follows a backslash: the character and the rest. `None` for a lone surrogate.
fn decode_escape(escape: &str) -> Option<(char, &str)> {
    let kind = *escape.as_bytes().first()?;
    let character = match kind {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return decode_unicode(&escape[1..]),
        other => char::from(other),
    };
    Some((character, &escape[1..]))
}

fn decode_unicode(digits: &str) -> Option<(char, &str)> {
    let unit = u16::from_str_radix(digits.get(..4)?, 16).ok()?;
    let rest = &digits[4..];
    if let Some(character) = char::from_u32(u32::from(unit)) {
        return Some((character, rest));
    }
    let low = rest.strip_prefix("\\u")?;
    let low_unit = u16::from_str_radix(low.get(..4)?, 16).ok()?;
    let character = char::decode_utf16([unit, low_unit]).next()?.ok()?;
    Some((character, &low[4..]))
}
