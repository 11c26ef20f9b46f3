//! HAProxy's grammar: sections of lines of words (HAProxy, configuration manual, sections 2.1 and 2.2).

use std::collections::BTreeMap;
use tollgate_config::problem::Place;

/// A section: `frontend gateway` and the lines up to the next one.
#[derive(Debug)]
pub(super) struct Section {
    /// `frontend`.
    pub(super) kind: String,
    /// Its name; empty if it has none.
    pub(super) name: String,
    /// The index of the section that says what it does not: the one that it names, or else the last `defaults` before it
    /// (section 4).
    pub(super) defaults: Option<usize>,
    pub(super) place: Place,
    pub(super) lines: Vec<Line>,
}

/// A line: a keyword and what follows it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) words: Vec<Word>,
}

/// A word, without its quotes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether variables of the environment are expanded in all of it: it stands in double quotes.
    pub(super) expands: bool,
}

/// Why a text is not of this grammar, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) place: Place,
    pub(super) why: &'static str,
}

/// What begins a section (section 2.1, and those of later versions).
const SECTIONS: [&str; 22] = [
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "resolvers",
    "userlist",
    "peers",
    "mailers",
    "cache",
    "program",
    "http-errors",
    "ring",
    "log-forward",
    "fcgi-app",
    "crt-store",
    "traces",
    "log-profile",
    "acme",
    "healthcheck",
    "dynamic-update",
    "fcgi-server",
];

impl Line {
    /// The text of the word at this index; empty if there is none.
    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", |word| &word.text)
    }

    /// Whether it begins with these words.
    pub(super) fn begins(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(index, word)| self.word(index) == *word)
    }

    /// The word behind this one.
    pub(super) fn behind(&self, word: &str) -> Option<&str> {
        let at = self.words.iter().position(|one| one.text == word)?;
        self.words.get(at + 1).map(|word| word.text.as_str())
    }

    /// Whether one of its words holds this text.
    pub(super) fn mentions(&self, text: &str) -> bool {
        self.words.iter().any(|word| word.text.contains(text))
    }
}

/// Reads a text. What stands before the first section is a section without a kind.
///
/// # Errors
///
/// [`Broken`], where it is first.
pub(super) fn read(text: &str) -> Result<Vec<Section>, Broken> {
    let mut sections: Vec<Section> = Vec::new();
    let (mut last_defaults, mut named) = (None, BTreeMap::new());
    let mut lines = (1_u32..).zip(text.lines());
    while let Some((number, first)) = lines.next() {
        let mut whole = first.to_owned();
        // A backslash at the end joins the next line to this one.
        while whole.ends_with('\\') && !whole.ends_with("\\\\") {
            whole.pop();
            whole.push(' ');
            match lines.next() {
                Some((_, next)) => whole.push_str(next),
                None => break,
            }
        }
        let indent = whole.chars().take_while(|c| c.is_whitespace()).count();
        let place = Place { line: number, column: u32::try_from(indent + 1).unwrap_or(u32::MAX) };
        let words = words(&whole).map_err(|why| Broken { place, why })?;
        let Some(keyword) = words.first().map(|word| word.text.clone()) else { continue };
        if SECTIONS.contains(&keyword.as_str()) {
            let header = Line { place, words };
            let (is_defaults, name) = (keyword == "defaults", header.word(1).to_owned());
            let from = header.behind("from").and_then(|from| named.get(from)).copied();
            let defaults = from.or(last_defaults.filter(|_| !is_defaults));
            if is_defaults {
                last_defaults = Some(sections.len());
                named.insert(name.clone(), sections.len());
            }
            sections.push(Section { kind: keyword, name, defaults, place, lines: Vec::new() });
        } else {
            if sections.is_empty() {
                let (kind, name) = (String::new(), String::new());
                sections.push(Section { kind, name, defaults: None, place, lines: Vec::new() });
            }
            if let Some(section) = sections.last_mut() {
                section.lines.push(Line { place, words });
            }
        }
    }
    Ok(sections)
}

/// The words of a line, up to its comment.
fn words(line: &str) -> Result<Vec<Word>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut chars = line.chars();
    let begun = |word: &mut Option<Word>, expands: bool| {
        word.get_or_insert_with(|| Word { text: String::new(), expands: true }).expands &= expands;
    };
    let push = |word: &mut Option<Word>, c: char| word.iter_mut().for_each(|word| word.text.push(c));
    while let Some(c) = chars.next() {
        match c {
            '#' => break,
            c if c.is_whitespace() => words.extend(word.take()),
            '\\' => {
                begun(&mut word, false);
                chars.next().into_iter().for_each(|c| push(&mut word, c));
            }
            '\'' => {
                begun(&mut word, false);
                loop {
                    match chars.next().ok_or("a quote that is not closed")? {
                        '\'' => break,
                        c => push(&mut word, c),
                    }
                }
            }
            '"' => {
                begun(&mut word, true);
                loop {
                    match chars.next().ok_or("a quote that is not closed")? {
                        '"' => break,
                        '\\' => push(&mut word, chars.next().ok_or("a quote that is not closed")?),
                        c => push(&mut word, c),
                    }
                }
            }
            c => {
                begun(&mut word, false);
                push(&mut word, c);
            }
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_read() {
        let rows: [(&str, &[(&str, bool)]); 7] = [
            ("", &[]),
            ("  # x", &[]),
            ("a b # c", &[("a", false), ("b", false)]),
            ("a \"${K}\" '${K}'", &[("a", false), ("${K}", true), ("${K}", false)]),
            ("a 'b # c'\\ d", &[("a", false), ("b # c d", false)]),
            ("a \"b\\\"c\" \"\"", &[("a", false), ("b\"c", true), ("", true)]),
            ("a x\"y\"", &[("a", false), ("xy", false)]),
        ];
        for (line, expected) in rows {
            let read = words(line).unwrap();
            let read: Vec<_> = read.iter().map(|word| (word.text.as_str(), word.expands)).collect();
            assert_eq!(read, expected, "{line}");
        }
        assert_eq!(words("a 'b"), Err("a quote that is not closed"));
    }

    #[test]
    fn sections_hold_their_lines() {
        let sections =
            read("timeout x\nfrontend a\n  bind :1 \\\n    ssl\n\nbackend b\n  server s h:1\n").unwrap();
        let shown: Vec<_> = sections
            .iter()
            .map(|section| (section.kind.as_str(), section.name.as_str(), section.lines.len()))
            .collect();
        assert_eq!(shown, [("", "", 1), ("frontend", "a", 1), ("backend", "b", 1)]);
        assert_eq!(sections[1].lines[0].word(2), "ssl");
        assert_eq!(sections[2].lines[0].place, Place { line: 7, column: 3 });
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([ -~\\n\u{e9}]|frontend |\\\\\\n|[\"'#]){0,200}") {
            let _ = read(&text);
        }
    }
}
