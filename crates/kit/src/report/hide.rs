//! Taking secrets out of texts, in whatever spelling a gateway gave them back.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";
/// Secrets that are shorter are hidden as they are alone: their other spellings are in too many words.
const LONG_BYTES: usize = 8;
/// What [`crate::finding::Finding::with`] puts where it cut.
const CUT_MARK: &[u8] = b" ...";

/// What to look for.
pub(super) struct Secrets(Vec<Vec<u8>>);

impl Secrets {
    /// These, and what they become in hexadecimal and, at any offset, in base64.
    pub(super) fn of(secrets: &[&str]) -> Self {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            all.push(secret.as_bytes().to_vec());
            if secret.len() >= LONG_BYTES {
                all.push(secret.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
                all.extend((0..3).flat_map(|offset| base64(secret.as_bytes(), offset)));
            }
        }
        // What holds another one goes first.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(all)
    }

    /// The text without them, if it holds any. A text that was cut may end with the beginning of one.
    pub(super) fn hidden(&self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        let (mut clean, mut copied, mut at) = (String::new(), 0, 0);
        while at < bytes.len() {
            match self.0.iter().find_map(|secret| spelled(secret, &bytes[at..])) {
                Some(length) if text.is_char_boundary(at) && text.is_char_boundary(at + length) => {
                    clean.push_str(&text[copied..at]);
                    clean.push_str(HIDDEN);
                    at += length;
                    copied = at;
                }
                _ => at += 1,
            }
        }
        if copied == 0 {
            return None;
        }
        clean.push_str(&text[copied..]);
        Some(clean)
    }
}

/// The characters that a secret alone decides, in base64 of a text in which it stands behind so many bytes.
fn base64(secret: &[u8], offset: usize) -> [Vec<u8>; 2] {
    let text = [&[0; 3][..offset], secret].concat();
    let (from, to) = ((offset * 8).div_ceil(6), text.len() * 8 / 6);
    [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)]
        .map(|encoded| encoded.as_bytes()[from..to].to_vec())
}

/// How many bytes the secret takes at the beginning of the text, if it stands there, or begins there before the end.
fn spelled(secret: &[u8], text: &[u8]) -> Option<usize> {
    let is_long = secret.len() >= LONG_BYTES;
    let mut length = 0;
    for (matched, byte) in secret.iter().enumerate() {
        let rest = &text[length..];
        match unit(*byte, rest, is_long) {
            Some(taken) => length += taken,
            None => return (matched >= LONG_BYTES && is_end(rest)).then_some(length),
        }
    }
    Some(length)
}

/// How many bytes a byte of a secret takes here: itself, or an escape of URLs (`%2D`), of JSON (`\u002d`, `\/`, also
/// within JSON within JSON) or of programs (`\x2d`).
fn unit(byte: u8, text: &[u8], in_any_case: bool) -> Option<usize> {
    let is_it = |given: &u8| *given == byte || (in_any_case && given.eq_ignore_ascii_case(&byte));
    let is_code = |digits: Option<&[u8]>| {
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).is_some_and(|code| is_it(&code))
    };
    let first = text.first()?;
    if is_it(first) {
        return Some(1);
    }
    let slashes = text.iter().take_while(|byte| **byte == b'\\').count();
    match (first, text.get(slashes)?) {
        (b'%', _) if is_code(text.get(1..3)) => Some(3),
        (b'\\', b'u') if is_code(text.get(slashes + 1..slashes + 5)) => Some(slashes + 5),
        (b'\\', b'x') if is_code(text.get(slashes + 1..slashes + 3)) => Some(slashes + 3),
        (b'\\', escaped) if is_it(escaped) => Some(slashes + 1),
        _ => None,
    }
}

/// Whether a text was cut here, or within an escape that begins here.
fn is_end(rest: &[u8]) -> bool {
    let rest = rest.strip_suffix(CUT_MARK).unwrap_or(rest);
    rest.is_empty() || (rest.len() < 6 && matches!(rest[0], b'%' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_spelling_and_other_words_are_not() {
        let secrets = Secrets::of(&["sk-ant/0123456789", "short"]);
        let rows = [
            ("a sk-ant/0123456789 b", "a [hidden] b"),
            ("SK-ANT/0123456789", "[hidden]"),
            ("sk%2Dant%2f0123456789.", "[hidden]."),
            (r#""sk\u002Dant\/012345678\x39""#, r#""[hidden]""#),
            (r#"{\"e\":\"sk\\u002dant\\/0123456789\"}"#, r#"{\"e\":\"[hidden]\"}"#),
            ("sk-ant/0123456789sk-ant/0123456789", "[hidden][hidden]"),
            ("cut: sk-ant/01", "cut: [hidden]"),
            ("cut: sk-ant/01 ...", "cut: [hidden]"),
            ("cut: sk-ant/01%3", "cut: [hidden]%3"),
            ("736b2d616e742f30313233343536373839", "[hidden]"),
            ("\u{e9}sk-ant/0123456789\u{e9}", "\u{e9}[hidden]\u{e9}"),
            ("it is short", "it is [hidden]"),
        ];
        for (text, hidden) in rows {
            assert!(secrets.hidden(text).unwrap().starts_with(hidden), "{text}: {:?}", secrets.hidden(text));
        }
        for text in ["sk-ant", "sk-ant/01 and more", "SHORT", "%73hor", "", "\u{e9}"] {
            assert_eq!(secrets.hidden(text), None, "{text}");
        }
        for before in ["", "a", "ab", "abc:"] {
            let whole = format!("{before}sk-ant/0123456789");
            for encoded in [STANDARD_NO_PAD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                let hidden = secrets.hidden(&encoded).unwrap();
                assert!(hidden.replace(HIDDEN, "").len() <= before.len().div_ceil(3) * 4 + 2, "{hidden}");
            }
        }
    }
}
