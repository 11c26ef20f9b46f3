//! JSON as the commands print it.

use crate::table::is_unseen;
use serde::Serialize;

/// The value as indented JSON. What a terminal would obey or hide, inside of texts, is written as an escape; whoever
/// parses it reads the same texts.
///
/// # Panics
///
/// If the value can not be JSON: a map with keys that are no texts.
pub(crate) fn pretty(value: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(value).expect("what is printed has texts for keys");
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        // Inside of texts a line feed is an escape already; outside, it begins a line.
        if character != '\n' && is_unseen(character) {
            let mut units = [0; 2];
            out.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_is_not_seen_is_escaped_and_read_back_as_it_was() {
        let rows = [
            ("a\u{9b}2Jb", r#""a\u009b2Jb""#),
            ("a\u{202e}b\u{2066}", r#""a\u202eb\u2066""#),
            ("\u{7f}\u{feff}", r#""\u007f\ufeff""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
            ("a\r\n\u{1b}", r#""a\r\n\u001b""#),
            ("gr\u{fc}n \u{6f22} \\u009b", "\"gr\u{fc}n \u{6f22} \\\\u009b\""),
        ];
        for (text, written) in rows {
            let value = json!({ "name": text });
            let shown = pretty(&value);
            assert_eq!(shown, format!("{{\n  \"name\": {written}\n}}"));
            assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        }
    }
}
