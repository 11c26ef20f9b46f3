//! How directives hold for the blocks inside of theirs.

use crate::lint::directives::Directive;
use std::{collections::BTreeMap, rc::Rc};

/// A block and those around it.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    /// From the outermost to the block itself.
    levels: Vec<Rc<Level<'a>>>,
}

/// A block: what is asked of it for each of the many blocks inside, looked up once.
#[derive(Debug)]
struct Level<'a> {
    directives: &'a [Directive],
    /// The last of each name, which counts where more than one is allowed.
    last: BTreeMap<&'a str, &'a Directive>,
    /// The headers that it sets for the upstream, in lower case.
    headers: BTreeMap<String, &'a Directive>,
    /// Whether it includes a file that may hold anything.
    is_open: bool,
    /// Whether clients are told apart here.
    identifies: bool,
    /// Whether they are by what they present in a header.
    asks: bool,
}

/// What a file says of a directive in a block.
#[derive(Debug, Clone, Copy)]
pub(super) enum Said<'a> {
    /// This one holds.
    Yes(&'a Directive),
    /// None does, so that the default holds.
    No,
    /// An included file may hold it.
    Unseen,
}

impl<'a> Said<'a> {
    /// The directive, if it is seen.
    pub(super) fn seen(self) -> Option<&'a Directive> {
        if let Self::Yes(directive) = self { Some(directive) } else { None }
    }

    /// Whether it is neither seen nor included, or is seen with another first argument than this.
    pub(super) fn is_not(self, wanted: &str) -> bool {
        match self {
            Self::Yes(directive) => directive.arg(0) != wanted,
            Self::No => true,
            Self::Unseen => false,
        }
    }
}

impl<'a> Scope<'a> {
    /// The outermost block.
    pub(super) fn of(directives: &'a [Directive]) -> Self {
        Self { levels: vec![Rc::new(Level::of(directives))] }
    }

    /// A block inside of this one.
    pub(super) fn inside(&self, directives: &'a [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(Rc::new(Level::of(directives)));
        Self { levels }
    }

    /// The directives of the block itself.
    pub(super) fn here(&self) -> &'a [Directive] {
        self.levels.last().map_or(&[], |level| level.directives)
    }

    /// The directive of this name that holds in the block: the innermost.
    pub(super) fn directive(&self, name: &str) -> Said<'a> {
        for level in self.levels.iter().rev() {
            if let Some(found) = level.last.get(name) {
                return Said::Yes(found);
            }
            if level.is_open {
                return Said::Unseen;
            }
        }
        Said::No
    }

    /// The header of this name, in lower case, that is set for the upstream. All of them come from the innermost block
    /// that sets any (nginx, `proxy_set_header`).
    pub(super) fn header(&self, name: &str) -> Said<'a> {
        for level in self.levels.iter().rev() {
            if let Some(found) = level.headers.get(name) {
                return Said::Yes(found);
            }
            if level.is_open {
                return Said::Unseen;
            }
            if !level.headers.is_empty() {
                return Said::No;
            }
        }
        Said::No
    }

    /// Whether clients are told apart in the block or in one around it, or may be.
    pub(super) fn identifies(&self) -> bool {
        self.levels.iter().any(|level| level.is_open || level.identifies)
    }

    /// Whether clients are, or may be, asked for a credential in a header: neither for an address nor for a certificate.
    pub(super) fn asks(&self) -> bool {
        self.levels.iter().any(|level| level.is_open || level.asks)
    }
}

impl<'a> Level<'a> {
    fn of(directives: &'a [Directive]) -> Self {
        let sets = directives.iter().filter(|directive| directive.name == "proxy_set_header");
        Self {
            directives,
            last: directives.iter().map(|directive| (directive.name.as_str(), directive)).collect(),
            headers: sets.map(|directive| (directive.arg(0).to_ascii_lowercase(), directive)).collect(),
            is_open: directives.iter().any(includes),
            identifies: directives.iter().any(identifies),
            asks: directives.iter().any(asks),
        }
    }
}

/// Whether it includes a file that may hold anything. Those that every configuration includes do not.
fn includes(directive: &Directive) -> bool {
    let harmless = ["mime.types", "modules-enabled", "conf.d/", "sites-enabled/"];
    directive.name == "include" && !harmless.iter().any(|part| directive.arg(0).contains(part))
}

/// Whether nginx tells clients apart with it.
fn identifies(directive: &Directive) -> bool {
    match directive.name.as_str() {
        "ssl_verify_client" => directive.arg(0) != "off",
        "deny" => true,
        _ => asks(directive),
    }
}

/// Whether it asks clients for a credential in a header.
fn asks(directive: &Directive) -> bool {
    match directive.name.as_str() {
        "if" => {
            directive.inner().iter().any(|one| one.name == "return" && matches!(one.arg(0), "401" | "403"))
        }
        "auth_basic" => directive.arg(0) != "off",
        "auth_request" | "auth_jwt" | "js_access" => true,
        name => name.starts_with("access_by_lua"),
    }
}
