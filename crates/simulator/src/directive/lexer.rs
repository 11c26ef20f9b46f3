//! Splits a text into directives.

use serde::de::IgnoredAny;

use super::BadDirective;

/// One directive as written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Given<'t> {
    pub(super) name: &'t str,
    pub(super) value: Option<&'t str>,
}

pub(super) struct Lexer<'t> {
    rest: &'t str,
    /// What ends the directives, where they stand inside another text.
    end: Option<&'static str>,
}

impl<'t> Lexer<'t> {
    pub(super) fn whole(text: &'t str) -> Self {
        Self { rest: text, end: None }
    }

    /// How long the directives at the start of `text` are, before the mark `end`.
    pub(super) fn measure(text: &'t str, end: &'static str) -> Result<usize, BadDirective> {
        let mut lexer = Self { rest: text, end: Some(end) };
        while lexer.next()?.is_some() {}
        Ok(text.len() - lexer.rest.len())
    }

    pub(super) fn next(&mut self) -> Result<Option<Given<'t>>, BadDirective> {
        self.rest = self.rest.trim_start_matches(|c: char| c == ';' || c.is_whitespace());
        match self.end {
            Some(end) if self.rest.starts_with(end) => return Ok(None),
            Some(_) if self.rest.is_empty() => return Err(BadDirective::Unclosed),
            None if self.rest.is_empty() => return Ok(None),
            _ => {}
        }
        let name = self.take(
            self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len()),
        );
        if name.is_empty() {
            return Err(self.syntax());
        }
        self.rest = self.rest.trim_start();
        let mut value = None;
        if let Some(after) = self.rest.strip_prefix('=') {
            self.rest = after.trim_start();
            value = Some(self.take(self.value_length()?).trim_end());
        }
        self.rest = self.rest.trim_start();
        let ended = self.rest.is_empty()
            || self.rest.starts_with(';')
            || self.end.is_some_and(|end| self.rest.starts_with(end));
        if !ended {
            return Err(self.syntax());
        }
        Ok(Some(Given { name, value }))
    }

    /// The length of the value at the start of the rest.
    fn value_length(&self) -> Result<usize, BadDirective> {
        if let Some(start) = json_start(self.rest) {
            let mut values =
                serde_json::Deserializer::from_str(&self.rest[start..]).into_iter::<IgnoredAny>();
            return match values.next() {
                Some(Ok(_)) => Ok(start + values.byte_offset()),
                _ => Err(self.syntax()),
            };
        }
        let semicolon = self.rest.find(';').unwrap_or(self.rest.len());
        let end = self.end.and_then(|end| self.rest.find(end)).unwrap_or(self.rest.len());
        Ok(semicolon.min(end))
    }

    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn syntax(&self) -> BadDirective {
        BadDirective::Syntax(self.rest.chars().take(40).collect())
    }
}

/// Where JSON begins in a value: at once, or after `WORD:`.
fn json_start(value: &str) -> Option<usize> {
    let is_json = |text: &str| text.starts_with(['"', '{', '[']);
    if is_json(value) {
        return Some(0);
    }
    let colon = value.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'))?;
    let after = value[colon..].strip_prefix(':')?.trim_start();
    is_json(after).then(|| value.len() - after.len())
}

/// A JSON string without its quotes, or any other text as it is. `None` for a broken string.
pub(super) fn unquote(text: &str) -> Option<String> {
    if text.starts_with('"') { serde_json::from_str(text).ok() } else { Some(text.to_owned()) }
}

impl Given<'_> {
    pub(super) fn needs(&self, needs: &str) -> BadDirective {
        BadDirective::Value { name: self.name.to_owned(), needs: needs.to_owned() }
    }

    pub(super) fn flag(&self) -> Result<bool, BadDirective> {
        match self.value {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(self.needs("no value")),
        }
    }

    pub(super) fn text(&self) -> Result<String, BadDirective> {
        self.value.and_then(unquote).ok_or_else(|| self.needs("a text, quoted as JSON if it holds `;`"))
    }

    pub(super) fn text_or(&self, default: &str) -> Result<String, BadDirective> {
        match self.value {
            None => Ok(default.to_owned()),
            Some(_) => self.text(),
        }
    }

    pub(super) fn number(&self, least: u64, most: u64) -> Result<u64, BadDirective> {
        self.value
            .and_then(|value| value.parse().ok())
            .filter(|number| (least..=most).contains(number))
            .ok_or_else(|| self.needs(&format!("a number from {least} to {most}")))
    }

    /// Bytes: `100`, `64kb` (1,024 bytes each) or `1mb` (1,048,576 bytes each).
    pub(super) fn bytes(&self, most: u64) -> Result<usize, BadDirective> {
        let bad = || self.needs(&format!("a size such as 100, 64kb or 1mb, up to {most}"));
        let value = self.value.ok_or_else(bad)?.to_ascii_lowercase();
        let (digits, unit) = match (value.strip_suffix("kb"), value.strip_suffix("mb")) {
            (Some(digits), _) => (digits, 1024),
            (_, Some(digits)) => (digits, 1024 * 1024),
            _ => (value.as_str(), 1),
        };
        digits
            .trim()
            .parse()
            .ok()
            .and_then(|count: u64| count.checked_mul(unit))
            .filter(|bytes| *bytes <= most)
            .and_then(|bytes| usize::try_from(bytes).ok())
            .ok_or_else(bad)
    }
}
