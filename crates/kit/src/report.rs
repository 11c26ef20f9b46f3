//! A report: all that `check`, `doctor`, `lint`, `import` or `shadow` found, and the forms in which it is printed.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use tollgate_policy::unit::UnixMs;

use crate::{
    fault::Fault,
    finding::{Finding, Outcome, Severity},
    printer::Printer,
};

mod hide;
mod json;
mod junit;
mod markdown;
mod sarif;
mod text;

pub(crate) use text::lines;

/// All that was found about one subject.
#[derive(Debug)]
pub(crate) struct Report {
    /// Which command made it: `check`, `doctor auth`, `lint`.
    pub(crate) tool: &'static str,
    /// What was looked at: a URL without its password, or a file.
    pub(crate) subject: String,
    /// The product that it seems to be: `nginx`.
    pub(crate) product: Option<String>,
    /// When it began.
    pub(crate) began_at: UnixMs,
    /// What was found, in the order of the rules.
    pub(crate) findings: Vec<Finding>,
    /// Whether what could not be told counts as failed.
    pub(crate) is_strict: bool,
}

/// What a report comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All that matters holds.
    Good,
    /// A rule whose severity is an error does not hold.
    Bad,
    /// None that matters fails, and some could not be told.
    Undetermined,
}

impl Report {
    /// What it comes to. Only rules whose severity is an error decide. Where one of them could not be told, nothing is
    /// decided if it is a decisive one; in a strict report, any of them counts as failed.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut verdict = Verdict::Good;
        for finding in self.findings.iter().filter(|finding| finding.rule.severity == Severity::Error) {
            match finding.outcome {
                Outcome::Pass(_) => {}
                Outcome::Fail(_) => return Verdict::Bad,
                Outcome::Unknown if self.is_strict => return Verdict::Bad,
                Outcome::Unknown if finding.rule.is_decisive => verdict = Verdict::Undetermined,
                Outcome::Unknown => {}
            }
        }
        if self.findings.is_empty() { Verdict::Undetermined } else { verdict }
    }

    /// Replaces each of these secrets, wherever a text of the report holds it, in whatever spelling.
    pub(crate) fn hide(&mut self, secrets: &[&str]) {
        let secrets = hide::Secrets::of(secrets);
        let hide = |text: &mut String| {
            if let Some(hidden) = secrets.hidden(text) {
                *text = hidden;
            }
        };
        hide(&mut self.subject);
        for finding in &mut self.findings {
            hide(&mut finding.says);
            finding.evidence.iter_mut().for_each(|evidence| hide(&mut evidence.text));
            finding.cure.iter_mut().for_each(hide);
        }
    }

    /// As text in this form. Only [`Format::Text`] may hold colours.
    pub(crate) fn print(&self, format: Format, verbose: bool) -> String {
        match format {
            Format::Text => text::print(self, verbose),
            Format::Json => json::print(self),
            Format::Junit => junit::print(self),
            Format::Sarif => sarif::print(self),
            Format::Markdown => markdown::print(self),
        }
    }
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs; its schema is docs/reference/report.schema.json.
    Json,
    /// For continuous integration: JUnit's XML.
    Junit,
    /// For code scanning: SARIF 2.1.0.
    Sarif,
    /// For tickets and wikis.
    Markdown,
}

/// How the report is wanted.
#[derive(Debug, Args)]
pub(crate) struct Printed {
    /// The form of the report.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Write the report to this file, and a short one for people to standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Show the evidence of what is well, too.
    #[arg(long)]
    pub(crate) verbose: bool,
}

impl Printed {
    /// Refuses a file that can not be written, as far as can be seen before there is anything to write.
    ///
    /// # Errors
    ///
    /// [`Fault::Unwritable`].
    pub(crate) fn ready(&self) -> Result<(), Fault> {
        let Some(path) = &self.output else { return Ok(()) };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let kind = if path.is_dir() {
            io::ErrorKind::IsADirectory
        } else if !folder.is_dir() {
            io::ErrorKind::NotFound
        } else {
            return Ok(());
        };
        Err(Fault::Unwritable { path: path.clone(), cause: kind.into() })
    }

    /// Prints a report as it is wanted.
    ///
    /// # Errors
    ///
    /// [`Fault::Output`], [`Fault::Unwritable`].
    pub(crate) fn publish(&self, report: &Report, printer: &Printer) -> Result<(), Fault> {
        self.publish_with(report, &report.print(Format::Text, self.verbose), printer)
    }

    /// The same, with this text for people, which may hold colours.
    ///
    /// # Errors
    ///
    /// [`Fault::Output`], [`Fault::Unwritable`].
    pub(crate) fn publish_with(&self, report: &Report, text: &str, printer: &Printer) -> Result<(), Fault> {
        let wanted = match self.format {
            Format::Text => text.to_owned(),
            format => report.print(format, self.verbose),
        };
        let Some(path) = &self.output else { return printer.answer(&wanted) };
        // Colours are for terminals.
        let wanted = anstream::adapter::strip_str(&wanted).to_string();
        let written =
            std::fs::write(path, wanted).map_err(|cause| Fault::Unwritable { path: path.clone(), cause });
        // What was found is told even if its file can not be written.
        printer.answer(text)?;
        written
    }
}

/// Whether a terminal obeys this character instead of showing it: control characters, and those that turn the direction
/// of what follows (Unicode Standard Annex 9, section 2).
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
