//! A report: all that `check`, `doctor` or `lint` found, and the forms in which it is printed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tollgate_policy::unit::UnixMs;

use crate::{
    fault::Fault,
    finding::{Finding, Outcome, Severity},
    printer::Printer,
};

mod json;
mod text;

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
    /// decided if it is a decisive one; if `strict`, any of them counts as failed.
    pub(crate) fn verdict(&self, strict: bool) -> Verdict {
        let mut verdict = Verdict::Good;
        for finding in self.findings.iter().filter(|finding| finding.rule.severity == Severity::Error) {
            match finding.outcome {
                Outcome::Pass(_) => {}
                Outcome::Fail(_) => return Verdict::Bad,
                Outcome::Unknown if strict => return Verdict::Bad,
                Outcome::Unknown if finding.rule.is_decisive => verdict = Verdict::Undetermined,
                Outcome::Unknown => {}
            }
        }
        if self.findings.is_empty() { Verdict::Undetermined } else { verdict }
    }

    /// Replaces each of these secrets, wherever a text of the report holds it.
    pub(crate) fn hide(&mut self, secrets: &[&str]) {
        let hide = |text: &mut String| {
            for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                if text.contains(secret) {
                    *text = text.replace(secret, "[hidden]");
                }
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
    /// Prints a report as it is wanted.
    ///
    /// # Errors
    ///
    /// [`Fault::Output`], [`Fault::Unwritable`].
    pub(crate) fn publish(&self, report: &Report, printer: &Printer) -> Result<(), Fault> {
        let Some(path) = &self.output else {
            return printer.answer(&report.print(self.format, self.verbose));
        };
        // Colours are for terminals.
        let text = anstream::adapter::strip_str(&report.print(self.format, self.verbose)).to_string();
        std::fs::write(path, text).map_err(|cause| Fault::Unwritable { path: path.clone(), cause })?;
        printer.answer(&report.print(Format::Text, false))
    }
}
