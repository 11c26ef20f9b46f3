//! Whether anybody serves the models that allowances name.

use super::Judge;
use crate::{
    document::{Document, Model},
    leaf::quote,
};
use std::path::Path;
use tollgate_policy::{access::Models, allowance::Allowance, price::PriceBook, unit::UnixMs};

impl Judge<'_> {
    /// The book that prices what passes: that of the file which the document names, or the one that is built in. `None`
    /// while nobody has read that file, or if it is unsound.
    pub(super) fn prices(
        &mut self,
        document: &Document,
        read: impl FnOnce(&Path) -> Option<String>,
    ) -> Option<PriceBook> {
        let Some(file) = &document.prices.file else {
            return Some(PriceBook::builtin().clone());
        };
        let book = PriceBook::parse(&read(file.as_path())?);
        if let Err(problem) = &book {
            let rule = format!("the price book is unsound: {problem}");
            self.error("prices.file", &[], &rule, "repair that file, or remove prices.file.");
        }
        book.ok()
    }

    /// Refuses patterns that fit no model: a limit that counts nothing is no limit.
    pub(super) fn served(&mut self, made: &[(String, Allowance)], document: &Document, book: &PriceBook) {
        let listed = document.models.as_deref().unwrap_or_default();
        for (path, allowance) in made {
            let list = format!("{path}.models");
            for (index, pattern) in allowance.models.patterns().iter().enumerate() {
                if !is_served(pattern, book, listed) {
                    let rule = format!("{} fits no model of the price book or of `models`", quote(pattern));
                    let cure = "correct it, or name the model under models: or in the price book.";
                    self.error(&self.reading.item(&list, index), &["models", "prices.file"], &rule, cure);
                }
            }
        }
    }
}

/// The patterns that fit no model: neither one that the price book knows, in whatever spelling, nor one of those that
/// the document lists.
#[must_use]
pub fn unserved<'m>(models: &'m Models, book: &PriceBook, listed: &[Model]) -> Vec<&'m str> {
    models.patterns().iter().map(String::as_str).filter(|pattern| !is_served(pattern, book, listed)).collect()
}

fn is_served(pattern: &str, book: &PriceBook, listed: &[Model]) -> bool {
    let Ok(one) = Models::new(vec![pattern.to_owned()]) else {
        return false;
    };
    let mut known = book.names().chain(listed.iter().map(|model| model.id.as_str()));
    if known.any(|name| one.covers(name)) {
        return true;
    }
    match pattern.strip_suffix('*') {
        // The whole id of a snapshot, or the id of a platform: the book reads these spellings.
        None => !pattern.starts_with('*') && book.knows(pattern, UnixMs::MAX, ""),
        // The beginning of one: `claude-haiku-4-5-2025*` or `us.anthropic.claude-haiku-*`.
        Some(start) => {
            let name = start.rsplit(['/', '.']).next().unwrap_or(start);
            !start.contains('*') && book.names().any(|known| begins(name, known) || is_dated(name, known))
        }
    }
}

/// Whether the name of a model may go on from here, behind the name of a platform.
fn begins(start: &str, known: &str) -> bool {
    start.starts_with("claude-") && known.starts_with(start)
}

/// Whether it is the name of a model with the beginning of a date, a version or a variant behind it.
fn is_dated(start: &str, known: &str) -> bool {
    let marks = ["-2", "@", "-v", "-latest", "-fast", "[", ":"];
    start.strip_prefix(known).is_some_and(|rest| marks.iter().any(|mark| rest.starts_with(mark)))
}
