//! A strict JSON scanner (RFC 8259) over bytes: one pass, no tree, no recursion.
//!
//! It checks everything it passes over: grammar, escapes, control characters, UTF-8 and depth. What it does not
//! check is what RFC 8259 leaves open: numbers of any size and lone surrogate escapes are lawful; whoever reads
//! a string asks [`Text::decode`], which refuses the latter.

use std::borrow::Cow;

/// Arrays and objects may be nested this deep; one level more is refused.
///
/// RFC 8259 section 9 lets a parser set such a limit. Real requests stay below 30.
pub const DEPTH_LIMIT: usize = 512;

/// One way in which bytes are not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Syntax {
    /// The bytes end inside a value.
    #[error("the JSON ends too early")]
    Truncated,
    /// A byte that cannot begin a value.
    #[error("a JSON value is expected here")]
    Value,
    /// An object's member does not begin with a string.
    #[error("a field name in double quotes is expected here")]
    Name,
    /// No colon after a member's name.
    #[error("a colon is expected here")]
    Colon,
    /// Neither a comma nor the end of the array or object.
    #[error("a comma or a closing bracket is expected here")]
    Separator,
    /// Bytes after the value.
    #[error("the JSON value ended, but more follows")]
    Trailing,
    /// A number that breaks RFC 8259 section 6, such as `01`, `1.` or `-`.
    #[error("the number is not valid JSON")]
    Number,
    /// A backslash sequence that RFC 8259 section 7 does not know.
    #[error("the escape sequence is not valid JSON")]
    Escape,
    /// A byte below 0x20 inside a string.
    #[error("a control character in a string must be escaped")]
    Control,
    /// A string that is not UTF-8 (RFC 8259 section 8.1).
    #[error("the text is not valid UTF-8")]
    Utf8,
    /// More than [`DEPTH_LIMIT`] levels.
    #[error("arrays and objects are nested too deeply")]
    Depth,
}

/// A [`Syntax`] fault and the offset of the byte where it shows, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) offset: usize,
    pub(crate) syntax: Syntax,
}

/// A string as it stands between its quotes: valid UTF-8 with valid escapes, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// Offset of the opening quote.
    pub(crate) offset: usize,
    raw: &'a [u8],
    escaped: bool,
}

/// A position in JSON bytes. After a method returned a [`Flaw`] the position means nothing.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            depth: 0,
        }
    }

    /// Offset of the next byte to be read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next byte that is not white space, without passing it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Checks that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Flaw> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.flaw(Syntax::Trailing)),
        }
    }

    /// Passes the bracket that `peek` has just shown, `{` or `[`. Every `open` needs [`Self::member`] or
    /// [`Self::element`] to be called until they give the end.
    pub(crate) fn open(&mut self) -> Result<(), Flaw> {
        if self.depth == DEPTH_LIMIT {
            return Err(self.flaw(Syntax::Depth));
        }
        self.at += 1;
        self.depth += 1;
        Ok(())
    }

    /// Inside an object: the name of the next member, with the position at its value, or `None` past the end.
    pub(crate) fn member(&mut self, first: bool) -> Result<Option<Text<'a>>, Flaw> {
        if self.close_or_comma(b'}', first)? {
            return Ok(None);
        }
        self.name().map(Some)
    }

    /// Inside an array: whether there is a next element, with the position at it.
    pub(crate) fn element(&mut self, first: bool) -> Result<bool, Flaw> {
        self.close_or_comma(b']', first).map(|closed| !closed)
    }

    fn close_or_comma(&mut self, close: u8, first: bool) -> Result<bool, Flaw> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(true)
            }
            Some(_) if first => Ok(false),
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(_) => Err(self.flaw(Syntax::Separator)),
            None => Err(self.flaw(Syntax::Truncated)),
        }
    }

    /// A member's name and its colon.
    #[inline]
    fn name(&mut self) -> Result<Text<'a>, Flaw> {
        match self.peek() {
            Some(b'"') => {}
            Some(_) => return Err(self.flaw(Syntax::Name)),
            None => return Err(self.flaw(Syntax::Truncated)),
        }
        let name = self.string()?;
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(_) => return Err(self.flaw(Syntax::Colon)),
            None => return Err(self.flaw(Syntax::Truncated)),
        }
        Ok(name)
    }

    /// Passes one whole value of any kind.
    pub(crate) fn skip(&mut self) -> Result<(), Flaw> {
        let outside = self.depth;
        let mut kinds = Kinds::default();
        loop {
            let next = self.peek();
            match next {
                Some(b'"') => {
                    self.string()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    self.open()?;
                    kinds.set(self.depth, bracket == b'{');
                }
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                }
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                Some(_) => return Err(self.flaw(Syntax::Value)),
                None => return Err(self.flaw(Syntax::Truncated)),
            }
            let opened = matches!(next, Some(b'{' | b'['));
            if self.next_value(outside, opened, &kinds)? {
                return Ok(());
            }
        }
    }

    /// After a value, or just inside a bracket: goes to the next value, leaving what ends here. True at the end
    /// of the outermost one.
    #[inline]
    fn next_value(&mut self, outside: usize, opened: bool, kinds: &Kinds) -> Result<bool, Flaw> {
        let mut first = opened;
        while self.depth > outside {
            let object = kinds.is_object(self.depth);
            if !self.close_or_comma(if object { b'}' } else { b']' }, first)? {
                if object {
                    self.name()?;
                }
                return Ok(false);
            }
            first = false;
        }
        Ok(true)
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Flaw> {
        for &expected in word {
            match self.bytes.get(self.at) {
                Some(&byte) if byte == expected => self.at += 1,
                Some(_) => return Err(self.flaw(Syntax::Value)),
                None => return Err(self.flaw(Syntax::Truncated)),
            }
        }
        Ok(())
    }

    /// Passes a literal `true` or `false` that begins here and says which.
    pub(crate) fn boolean(&mut self) -> Result<bool, Flaw> {
        let yes = self.bytes.get(self.at) == Some(&b't');
        self.literal(if yes { b"true" } else { b"false" })?;
        Ok(yes)
    }

    /// Passes the number that begins here and gives its text.
    pub(crate) fn number(&mut self) -> Result<&'a [u8], Flaw> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // `01` and `1.2.3` would else be reported as a missing comma.
        match self.byte() {
            Some(b'0'..=b'9' | b'.' | b'+' | b'-' | b'a'..=b'z' | b'A'..=b'Z') => {
                Err(self.flaw(Syntax::Number))
            }
            _ => Ok(&self.bytes[start..self.at]),
        }
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        match self.byte() {
            None if self.at == start => Err(self.flaw(Syntax::Truncated)),
            Some(_) if self.at == start => Err(self.flaw(Syntax::Number)),
            _ => Ok(()),
        }
    }

    /// Passes the string whose opening quote is here.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Flaw> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        let mut seen = 0;
        loop {
            seen |= self.pass_plain();
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.flaw(Syntax::Control)),
                None => return Err(self.flaw(Syntax::Truncated)),
            }
        }
        let raw = &self.bytes[start..self.at];
        if seen & HIGH_BITS != 0
            && let Err(error) = std::str::from_utf8(raw)
        {
            self.at = start + error.valid_up_to();
            return Err(self.flaw(Syntax::Utf8));
        }
        self.at += 1;
        Ok(Text {
            offset: start - 1,
            raw,
            escaped,
        })
    }

    /// Goes to the next quote, backslash or control character, eight bytes at a time. Gives the union of all
    /// words seen, for the question whether any byte was beyond ASCII; a few bytes past the end may be in it.
    #[inline]
    fn pass_plain(&mut self) -> u64 {
        let mut seen = 0;
        while let Some(chunk) = self.bytes[self.at..].first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            seen |= word;
            let special = special_bytes(word);
            if special != 0 {
                self.at += (special.trailing_zeros() / 8) as usize;
                return seen;
            }
            self.at += 8;
        }
        while let Some(byte) = self.byte() {
            if byte < 0x20 || byte == b'"' || byte == b'\\' {
                break;
            }
            seen |= u64::from(byte);
            self.at += 1;
        }
        seen
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        let backslash = self.at;
        self.at += 1;
        match self.byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                return Ok(());
            }
            Some(b'u') => self.at += 1,
            Some(_) => {
                self.at = backslash;
                return Err(self.flaw(Syntax::Escape));
            }
            None => return Err(self.flaw(Syntax::Truncated)),
        }
        for _ in 0..4 {
            match self.byte() {
                Some(byte) if byte.is_ascii_hexdigit() => self.at += 1,
                Some(_) => {
                    self.at = backslash;
                    return Err(self.flaw(Syntax::Escape));
                }
                None => return Err(self.flaw(Syntax::Truncated)),
            }
        }
        Ok(())
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[cold]
    fn flaw(&self, syntax: Syntax) -> Flaw {
        Flaw {
            offset: self.at,
            syntax,
        }
    }
}

/// Which of the open brackets are objects: one bit for each level.
#[derive(Default)]
struct Kinds([u64; DEPTH_LIMIT.div_ceil(64)]);

impl Kinds {
    /// `depth` counts from 1, as the scanner's depth does once inside.
    fn set(&mut self, depth: usize, object: bool) {
        let (word, bit) = ((depth - 1) / 64, (depth - 1) % 64);
        self.0[word] = self.0[word] & !(1 << bit) | u64::from(object) << bit;
    }

    fn is_object(&self, depth: usize) -> bool {
        self.0[(depth - 1) / 64] >> ((depth - 1) % 64) & 1 == 1
    }
}

const LOW_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Marks with its high bit each byte of `word` that is a quote, a backslash or below 0x20. The lowest mark is
/// exact; marks above it may be wrong, because a borrow runs upwards.
#[inline]
fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (LOW_BITS * b'"' as u64);
    let backslash = word ^ (LOW_BITS * b'\\' as u64);
    let control = word.wrapping_sub(LOW_BITS * 0x20) & !word;
    let quote = quote.wrapping_sub(LOW_BITS) & !quote;
    let backslash = backslash.wrapping_sub(LOW_BITS) & !backslash;
    (control | quote | backslash) & HIGH_BITS
}

impl<'a> Text<'a> {
    /// The characters meant; `None` if an escape is a lone surrogate, which no character is.
    pub(crate) fn decode(&self) -> Option<Cow<'a, str>> {
        let raw = std::str::from_utf8(self.raw).ok()?;
        if !self.escaped {
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
        if self.escaped {
            self.decode().is_some_and(|text| text == name)
        } else {
            self.raw == name.as_bytes()
        }
    }

    /// Number of Unicode scalar values meant; a lone surrogate counts as one or none.
    pub(crate) fn characters(&self) -> u64 {
        let mut count = 0;
        let mut rest = self.raw;
        while self.escaped
            && let Some(backslash) = memchr::memchr(b'\\', rest)
        {
            count += first_bytes(&rest[..backslash]);
            let long = rest.get(backslash + 1) == Some(&b'u');
            // The second half of a surrogate pair adds no character.
            let second_half = long
                && matches!(rest.get(backslash + 2), Some(b'd' | b'D'))
                && matches!(rest.get(backslash + 3), Some(b'c'..=b'f' | b'C'..=b'F'));
            count += u64::from(!second_half);
            rest = rest
                .get(backslash + if long { 6 } else { 2 }..)
                .unwrap_or_default();
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

#[cfg(test)]
mod tests;
