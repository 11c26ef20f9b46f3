//! Passing a value while looking at the names inside it.

use super::{Flaw, Kinds, Scanner, Text};

impl<'a> Scanner<'a> {
    /// Passes one whole value of any kind. The name of each member of each object in it, at any depth, is shown to
    /// `visit` with the position at that member's value. `visit` says whether it passed the value itself; if not,
    /// the value is passed here and its own members are shown in turn.
    ///
    /// # Errors
    ///
    /// A [`Flaw`] of the bytes, or what `visit` refuses.
    pub(crate) fn visit_members<E: From<Flaw>>(
        &mut self,
        mut visit: impl FnMut(&mut Self, Text<'a>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let outside = self.depth;
        let mut kinds = Kinds::default();
        loop {
            let mut first = false;
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    self.open()?;
                    kinds.set(self.depth, bracket == b'{');
                    first = true;
                }
                _ => self.skip()?,
            }
            // Goes to the next value that nobody has passed, leaving what ends here.
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let pending = if kinds.is_object(self.depth) {
                    match self.member(first)? {
                        Some(name) => !visit(self, name)?,
                        None => false,
                    }
                } else {
                    self.element(first)?
                };
                if pending {
                    break;
                }
                first = false;
            }
        }
    }
}
