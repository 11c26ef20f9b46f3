//! How directives hold for the blocks inside of theirs.

use crate::lint::directives::Directive;

/// A block and those around it.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    /// From the outermost to the block itself.
    levels: Vec<&'a [Directive]>,
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
        Self { levels: vec![directives] }
    }

    /// A block inside of this one.
    pub(super) fn inside(&self, directives: &'a [Directive]) -> Self {
        let mut levels = self.levels.clone();
        levels.push(directives);
        Self { levels }
    }

    /// The directives of the block itself.
    pub(super) fn here(&self) -> &'a [Directive] {
        self.levels.last().copied().unwrap_or_default()
    }

    /// The directive of this name that holds in the block: the innermost.
    pub(super) fn directive(&self, name: &str) -> Said<'a> {
        for level in self.levels.iter().rev() {
            // The last of a block counts, where more than one is allowed.
            if let Some(found) = level.iter().rev().find(|directive| directive.name == name) {
                return Said::Yes(found);
            }
            if includes(level) {
                return Said::Unseen;
            }
        }
        Said::No
    }

    /// The header that is set for the upstream. All of them come from the innermost block that sets any
    /// (nginx, `proxy_set_header`).
    pub(super) fn header(&self, name: &str) -> Said<'a> {
        for level in self.levels.iter().rev() {
            let mut sets = level.iter().filter(|directive| directive.name == "proxy_set_header");
            let sets_any = sets.clone().next().is_some();
            if let Some(found) = sets.find(|directive| directive.arg(0).eq_ignore_ascii_case(name)) {
                return Said::Yes(found);
            }
            if includes(level) {
                return Said::Unseen;
            }
            if sets_any {
                return Said::No;
            }
        }
        Said::No
    }

    /// Whether the block or one around it has such a directive, or may have one.
    pub(super) fn any(&self, is: impl Fn(&Directive) -> bool) -> bool {
        self.levels.iter().any(|level| includes(level) || level.iter().any(&is))
    }
}

/// Whether the block includes a file that may hold anything. Those that every configuration includes do not.
fn includes(level: &[Directive]) -> bool {
    let harmless = ["mime.types", "modules-enabled", "conf.d/", "sites-enabled/"];
    level.iter().any(|directive| {
        directive.name == "include" && !harmless.iter().any(|part| directive.arg(0).contains(part))
    })
}
