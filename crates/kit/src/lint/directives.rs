//! nginx's grammar: directives that end with a semicolon or hold a block of others (nginx, `ngx_conf_file.c`, as its
//! documentation describes it). What a directive means is not looked at here.

use tollgate_config::problem::Place;

/// The deepest nesting that is read. nginx itself has four levels and `if`.
const DEPTH_MAX: usize = 32;

/// One directive.
#[derive(Debug)]
pub(super) struct Directive {
    /// `proxy_pass`.
    pub(super) name: String,
    /// What follows it, without quotes.
    pub(super) args: Vec<String>,
    /// Where its name starts.
    pub(super) place: Place,
    /// What stands between its braces, if it has any.
    pub(super) block: Option<Vec<Directive>>,
}

/// Why a text is not of this grammar, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) place: Place,
    pub(super) why: &'static str,
}

impl Directive {
    /// The argument at this index; empty if there is none.
    pub(super) fn arg(&self, index: usize) -> &str {
        self.args.get(index).map_or("", String::as_str)
    }

    /// The directives of its block.
    pub(super) fn inner(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// Reads a text.
///
/// # Errors
///
/// [`Broken`], where it is first.
pub(super) fn read(text: &str) -> Result<Vec<Directive>, Broken> {
    let mut cursor = Cursor { rest: text, place: Place { line: 1, column: 1 } };
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    while let Some((place, token)) = cursor.token()? {
        match token {
            Token::Word(word) => level.words.push((place, word)),
            Token::End => level.end(None, Broken { place, why: "a lone `;`" })?,
            Token::Open => match level.words.first() {
                None => return Err(Broken { place, why: "a `{` without a name" }),
                Some((_, name)) if name.ends_with("_by_lua_block") => {
                    cursor.skip_lua(place)?;
                    level.end(Some(Vec::new()), Broken { place, why: STRAY })?;
                }
                Some(_) if outer.len() == DEPTH_MAX => {
                    return Err(Broken { place, why: "it is nested too deeply" });
                }
                Some(_) => outer.push(std::mem::take(&mut level)),
            },
            Token::Close => {
                let inner = level.finish()?;
                level = outer.pop().ok_or(Broken { place, why: STRAY })?;
                level.end(Some(inner), Broken { place, why: STRAY })?;
            }
        }
    }
    let directives = level.finish()?;
    match outer.is_empty() {
        true => Ok(directives),
        false => Err(Broken { place: cursor.place, why: "a `}` is missing at the end" }),
    }
}

const STRAY: &str = "a `}` without its `{`";

/// What is read of a block so far.
#[derive(Debug, Default)]
struct Level {
    directives: Vec<Directive>,
    /// The name and the arguments of the directive at hand.
    words: Vec<(Place, String)>,
}

impl Level {
    /// The directive at hand has ended.
    fn end(&mut self, block: Option<Vec<Directive>>, nameless: Broken) -> Result<(), Broken> {
        let mut words = std::mem::take(&mut self.words).into_iter();
        let (place, name) = words.next().ok_or(nameless)?;
        self.directives.push(Directive { name, args: words.map(|(_, word)| word).collect(), place, block });
        Ok(())
    }

    /// The block has ended.
    fn finish(self) -> Result<Vec<Directive>, Broken> {
        match self.words.first() {
            Some((place, _)) => Err(Broken { place: *place, why: "a `;` is missing behind this directive" }),
            None => Ok(self.directives),
        }
    }
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
}

/// What is left of the text, and where that is.
struct Cursor<'a> {
    rest: &'a str,
    place: Place,
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.place = Place { line: self.place.line.saturating_add(1), column: 1 };
        } else {
            self.place.column = self.place.column.saturating_add(1);
        }
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn token(&mut self) -> Result<Option<(Place, Token)>, Broken> {
        loop {
            let place = self.place;
            return Ok(Some(match self.peek() {
                None => return Ok(None),
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.next();
                    }
                    continue;
                }
                Some(c) if c.is_whitespace() || c == '\u{feff}' => {
                    self.next();
                    continue;
                }
                Some(c @ (';' | '{' | '}')) => {
                    self.next();
                    let token = match c {
                        ';' => Token::End,
                        '{' => Token::Open,
                        _ => Token::Close,
                    };
                    (place, token)
                }
                Some(quote @ ('"' | '\'')) => {
                    self.next();
                    (place, Token::Word(self.quoted(quote, place)?))
                }
                Some(_) => (place, Token::Word(self.bare())),
            }));
        }
    }

    /// Up to the closing quote. A backslash keeps its place in patterns, so only an escaped quote loses it.
    fn quoted(&mut self, quote: char, place: Place) -> Result<String, Broken> {
        let mut word = String::new();
        while let Some(c) = self.next() {
            match c {
                '\\' => match self.next() {
                    Some(escaped) if escaped == quote => word.push(escaped),
                    Some(escaped) => word.extend(['\\', escaped]),
                    None => break,
                },
                c if c == quote => return Ok(word),
                c => word.push(c),
            }
        }
        Err(Broken { place, why: "a quote that is not closed" })
    }

    /// Up to white space, `;` or `{`; the brace of `${name}` belongs to the word.
    fn bare(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek() {
            let is_variable = c == '{' && word.ends_with('$');
            if !is_variable && (c.is_whitespace() || matches!(c, ';' | '{')) {
                break;
            }
            self.next();
            word.push(c);
            if c == '\\' {
                word.extend(self.next());
            }
        }
        word
    }

    /// The code of a block of Lua, to the brace that closes it. Braces in its texts and comments do not count.
    fn skip_lua(&mut self, place: Place) -> Result<(), Broken> {
        let mut depth = 1_usize;
        while let Some(c) = self.next() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                '"' | '\'' => drop(self.quoted(c, place)?),
                '[' => drop(self.skip_long_bracket()),
                '-' if self.peek() == Some('-') => {
                    self.next();
                    let is_long = self.peek() == Some('[') && {
                        self.next();
                        self.skip_long_bracket()
                    };
                    while !is_long && self.peek().is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(Broken { place, why: "a block of Lua that is not closed" })
    }

    /// What is left of `[[ ... ]]` or `[==[ ... ]==]` behind its first bracket (Lua 5.1, section 2.1), if it is one.
    fn skip_long_bracket(&mut self) -> bool {
        let level = self.rest.bytes().take_while(|b| *b == b'=').count();
        if !self.rest[level..].starts_with('[') {
            return false;
        }
        let close = format!("]{}]", "=".repeat(level));
        while !self.rest.is_empty() && !self.rest.starts_with(&close) {
            self.next();
        }
        for _ in 0..close.len() {
            self.next();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(directives: &[Directive]) -> String {
        let one = |directive: &Directive| {
            let block = directive.block.as_ref().map(|inner| format!(" {{{}}}", shown(inner)));
            let words = std::iter::once(&directive.name).chain(&directive.args).cloned();
            format!("{}{}", words.collect::<Vec<_>>().join("|"), block.unwrap_or_default())
        };
        directives.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn directives_are_read() {
        let rows = [
            ("", ""),
            ("# only; {\n", ""),
            ("a;", "a"),
            ("a b  \"c d\" 'e;';", "a|b|c d|e;"),
            ("a { b c; d { } } e;", "a {b|c d {}} e"),
            ("if ($m = \"\") { return 401; }", "if|($m|=||) {return|401}"),
            ("set $x \"${A}b\"; set $y ${A}b;", "set|$x|${A}b set|$y|${A}b"),
            ("location ~ \"^/v[0-9]{1}\\.x$\" { }", "location|~|^/v[0-9]{1}\\.x$ {}"),
            ("access_by_lua_block { if a then return \"}\" end -- }\n } b;", "access_by_lua_block {} b"),
            (
                "x_by_lua_block { --[[ it's {\n a ]] t = [==[ ' } ]] ]==] u[v[1]] = 2 --[ {\n } b;",
                "x_by_lua_block {} b",
            ),
            ("a \"x\\\"y\";", "a|x\"y"),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(&read(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_broken_is_told_with_its_place() {
        let rows = [
            ("a b", 1, 1, "a `;` is missing behind this directive"),
            ("a;\n  b { c; ", 2, 10, "a `}` is missing at the end"),
            ("a;\n}", 2, 1, STRAY),
            ("a { b }", 1, 5, "a `;` is missing behind this directive"),
            ("a \"b;", 1, 3, "a quote that is not closed"),
            (";", 1, 1, "a lone `;`"),
            ("{ }", 1, 1, "a `{` without a name"),
            ("x_by_lua_block { { }", 1, 16, "a block of Lua that is not closed"),
        ];
        for (text, line, column, why) in rows {
            assert_eq!(read(text).unwrap_err(), Broken { place: Place { line, column }, why }, "{text}");
        }
        assert_eq!(read(&"a {".repeat(100)).unwrap_err().why, "it is nested too deeply");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~\\n\u{e9}\u{1f600}]{0,200}|([{};\"'\\\\#$ ab\\n]|_by_lua_block ?\\{){0,80}") {
            let _ = read(&text);
        }

        #[test]
        fn names_stand_at_their_places(text in "([{};# ab\\n]|b c;|d \\{){0,60}") {
            fn check(text: &str, directives: &[Directive]) {
                for directive in directives {
                    let line = text.split('\n').nth(directive.place.line as usize - 1).unwrap();
                    let at: String = line.chars().skip(directive.place.column as usize - 1).collect();
                    assert!(at.starts_with(&directive.name), "{directive:?} in {text:?}");
                    check(text, directive.inner());
                }
            }
            if let Ok(directives) = read(&text) {
                check(&text, &directives);
            }
        }
    }
}
