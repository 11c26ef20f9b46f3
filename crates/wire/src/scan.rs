//! A strict JSON scanner (RFC 8259) over bytes: one pass, no tree, no recursion.
//!
//! It checks everything it passes over: grammar, escapes, control characters, UTF-8 and depth. What it does not
//! check is what RFC 8259 leaves open: numbers of any size and lone surrogate escapes are lawful; whoever reads
//! a string asks [`Text::decode`], which refuses the latter.

mod members;
mod text;

pub(crate) use text::Text;

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

/// A position in JSON bytes. After a method returned a [`Flaw`] the position means nothing.
///
/// The methods that give a [`Text`] are inlined by force: handed back through memory, it costs as much as the scan
/// of the short strings that bodies are full of.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// Offset of the next byte to be read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next byte that is not white space, without passing it.
    #[inline]
    pub(crate) fn peek(&mut self) -> Option<u8> {
        let mut at = self.at;
        while let Some(&byte) = self.bytes.get(at) {
            if !matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
                self.at = at;
                return Some(byte);
            }
            at += 1;
        }
        self.at = at;
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
    #[inline(always)]
    pub(crate) fn member(&mut self, first: bool) -> Result<Option<Text<'a>>, Flaw> {
        if self.close_or_comma(b'}', first)? {
            return Ok(None);
        }
        self.name().map(Some)
    }

    /// Inside an array: whether there is a next element, with the position at it.
    #[inline(always)]
    pub(crate) fn element(&mut self, first: bool) -> Result<bool, Flaw> {
        self.close_or_comma(b']', first).map(|closed| !closed)
    }

    #[inline(always)]
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
    #[inline(always)]
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
        self.skip_showing(|_, _| {})
    }

    /// Passes one whole value of any kind. Each string in it that is a value is shown, with the name last passed: its
    /// own, where it is the value of a member.
    #[inline(always)]
    pub(crate) fn skip_showing(
        &mut self,
        mut show: impl FnMut(Option<&Text<'a>>, Text<'a>),
    ) -> Result<(), Flaw> {
        let outside = self.depth;
        let mut kinds = Kinds::default();
        let mut name = None;
        loop {
            let next = self.peek();
            match next {
                Some(b'"') => show(name.as_ref(), self.string()?),
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
            if self.next_value(outside, opened, &kinds, &mut name)? {
                return Ok(());
            }
        }
    }

    /// After a value, or just inside a bracket: goes to the next value, leaving what ends here. True at the end
    /// of the outermost one.
    #[inline(always)]
    fn next_value(
        &mut self,
        outside: usize,
        opened: bool,
        kinds: &Kinds,
        name: &mut Option<Text<'a>>,
    ) -> Result<bool, Flaw> {
        let mut first = opened;
        while self.depth > outside {
            let object = kinds.is_object(self.depth);
            if !self.close_or_comma(if object { b'}' } else { b']' }, first)? {
                if object {
                    *name = Some(self.name()?);
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
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Flaw> {
        let offset = self.at;
        let start = offset + 1;
        let mut escapes = 0;
        let mut seen = 0;
        self.at = start;
        loop {
            let (plain, union) = plain_length(&self.bytes[self.at..]);
            seen |= union;
            self.at += plain;
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escapes += 1;
                    match self.bytes.get(self.at + 1) {
                        // Code and quoted text are full of these.
                        Some(b'n' | b'"' | b'\\') => self.at += 2,
                        _ => self.escape()?,
                    }
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
        Ok(Text { offset, raw, escapes })
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
        Flaw { offset: self.at, syntax }
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

/// Number of bytes up to the next quote, backslash or control character. Gives as well a union of the bytes looked
/// at, for the question whether any was beyond ASCII; a few bytes past the end may be in it.
///
/// Most strings are short or full of escapes, so the first words are searched word by word. What goes on for
/// longer goes on in blocks, which the compiler turns into vector instructions.
#[inline]
fn plain_length(bytes: &[u8]) -> (usize, u64) {
    let mut length = 0;
    let mut seen = 0;
    loop {
        for _ in 0..4 {
            let Some(chunk) = bytes[length..].first_chunk::<8>() else {
                return plain_length_of_tail(bytes, length, seen);
            };
            let word = u64::from_le_bytes(*chunk);
            seen |= word;
            let special = special_bytes(word);
            if special != 0 {
                return (length + (special.trailing_zeros() / 8) as usize, seen);
            }
            length += 8;
        }
        while let Some(block) = bytes[length..].first_chunk::<BLOCK>() {
            let (union, special) = survey(block);
            if special {
                break;
            }
            seen |= u64::from(union);
            length += BLOCK;
        }
    }
}

fn plain_length_of_tail(bytes: &[u8], mut length: usize, mut seen: u64) -> (usize, u64) {
    for &byte in &bytes[length..] {
        if byte < 0x20 || byte == b'"' || byte == b'\\' {
            break;
        }
        seen |= u64::from(byte);
        length += 1;
    }
    (length, seen)
}

const BLOCK: usize = 32;

/// The union of a block's bytes, and whether a quote, a backslash or a control character is among them.
#[inline]
fn survey(block: &[u8; BLOCK]) -> (u8, bool) {
    let mut union = 0;
    let mut special = 0;
    for &byte in block {
        union |= byte;
        special |= u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\');
    }
    (union, special != 0)
}

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

#[cfg(test)]
mod tests;
