//! `tollgate lint`: find faults in the configuration of other gateways.

use crate::{
    fault::Fault,
    finding::{Finding, Ground, Outcome, Place, Severity},
    lint::{Kind, Subject, gather, lint, rules},
    printer::Printer,
    report::{Printed, Report},
    source::{CONFIG_BYTES_MAX, Source},
    status::Status,
    time::Instant,
};
use clap::Args;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// Find what is wrong in the configuration of a gateway before the Anthropic API, each fault with its line and its cure.
///
/// It reads nginx, HAProxy, Envoy, Kong (decK and DB-less), Zuplo (routes and policies), TrueFoundry (manifests) and AWS
/// API Gateway (CloudFormation and OpenAPI). What a file does not show, such as what another file sets, it does not
/// see: `tollgate check` asks the gateway itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate lint nginx.conf
  tollgate lint gateways/ --format sarif --output lint.sarif
  tollgate lint kong.yaml --ignore lint.notice --ignore lint.limit_shared
  envsubst < kong.yaml.template | tollgate lint - --kind kong

It ends with 0 if there are no errors, with 1 if there are, with 2 if the command line is wrong, the kind of a file can
not be told or a folder holds none of a known kind, and with 3 if a file can not be read; the others are looked at all
the same. Warnings and notes do not count. The rules are listed in docs/reference/rules.md.")]
pub(crate) struct Lint {
    /// Files, folders, or - for standard input. Of a folder, those files are looked at whose kind can be told.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What the files configure, where their names and their texts do not tell.
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Leave out what this rule finds.
    #[arg(long, value_name = "RULE", value_parser = known)]
    ignore: Vec<String>,
    #[command(flatten)]
    printed: Printed,
}

/// The id of a rule.
fn known(id: &str) -> Result<String, String> {
    let is_known = rules::TABLE.iter().any(|rule| rule.id == id);
    if is_known { Ok(id.to_owned()) } else { Err("docs/reference/rules.md lists the rules".to_owned()) }
}

/// What came of all files.
#[derive(Debug, Default)]
struct Linted {
    findings: Vec<Finding>,
    kinds: Vec<Kind>,
    /// Whether a file could not be read.
    is_partial: bool,
    /// Whether it could not be told what a file, or any of a folder, configures.
    is_unknown: bool,
}

impl Linted {
    /// Says what kept a file from being looked at. The others are looked at all the same.
    fn miss(&mut self, fault: &Fault, printer: &Printer) {
        printer.fault(fault);
        match fault {
            Fault::Unreadable { .. } => self.is_partial = true,
            _ => self.is_unknown = true,
        }
    }
}

impl Lint {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let began_at = Instant::now().unix_ms();
        let mut linted = Linted::default();
        for path in &self.files {
            let read = if path.is_dir() {
                self.folder(path, &mut linted, printer)
            } else {
                self.file(path, &mut linted)
            };
            if let Err(fault) = read {
                linted.miss(&fault, printer);
            }
        }
        linted.findings.retain(|finding| !self.ignore.iter().any(|id| id == finding.rule.id));
        let failed = |one: &&Finding| matches!(one.outcome, Outcome::Fail(_));
        let count = |severity| {
            linted.findings.iter().filter(failed).filter(|one| one.rule.severity == severity).count()
        };
        let (errors, warnings, notes) =
            (count(Severity::Error), count(Severity::Warning), count(Severity::Note));
        let files = linted.kinds.len();
        let names: Vec<String> = self.files.iter().map(|path| path.display().to_string()).collect();
        let product = linted.kinds.first().filter(|first| linted.kinds.iter().all(|kind| kind == *first));
        let report = Report {
            tool: "lint",
            subject: names.join(", "),
            product: product.map(|kind| kind.product().to_owned()),
            began_at,
            findings: linted.findings,
            is_strict: false,
        };
        self.printed.publish(&report, printer)?;
        printer.say(&format!("files: {files}, errors: {errors}, warnings: {warnings}, notes: {notes}"));
        Ok(match errors {
            _ if linted.is_unknown => Status::Usage,
            _ if linted.is_partial => Status::Unavailable,
            0 => Status::Done,
            _ => Status::Failed,
        })
    }

    /// What is no text, or too long for a configuration, is left out and said. What the system refuses to show is a
    /// fault, and the rest is looked at.
    fn folder(&self, folder: &Path, linted: &mut Linted, printer: &Printer) -> Result<(), Fault> {
        let unreadable = |cause| Fault::Unreadable { path: folder.to_owned(), cause };
        let before = linted.kinds.len();
        for path in gather::below(folder).map_err(unreadable)? {
            let source = match Source::read_at_most(&path, CONFIG_BYTES_MAX) {
                Ok(source) => source,
                Err(Fault::Unreadable { cause, .. })
                    if matches!(cause.kind(), ErrorKind::InvalidData | ErrorKind::Other) =>
                {
                    printer.say(&format!("{} is left out: {cause}", path.display()));
                    continue;
                }
                Err(fault) => {
                    linted.miss(&fault, printer);
                    continue;
                }
            };
            if let Some(kind) = self.kind.or_else(|| Kind::of(&source.name, &source.text)) {
                look(&path, &source, kind, linted);
            }
        }
        if linted.kinds.len() == before && !linted.is_partial {
            return Err(Fault::Unfit {
                what: "FILE",
                rule: format!("{} holds no file that tells what it configures", folder.display()),
                cure: "name the files and say what they are, as in `--kind nginx`.".to_owned(),
            });
        }
        Ok(())
    }

    fn file(&self, path: &Path, linted: &mut Linted) -> Result<(), Fault> {
        let source = Source::read_at_most(path, CONFIG_BYTES_MAX)?;
        let kind =
            self.kind.or_else(|| Kind::of(&source.name, &source.text)).ok_or_else(|| Fault::Unfit {
                what: "FILE",
                rule: format!("neither the name nor the text of {} tells what it configures", source.name),
                cure: "say it, as in `--kind nginx`.".to_owned(),
            })?;
        look(path, &source, kind, linted);
        Ok(())
    }
}

fn look(path: &Path, source: &Source, kind: Kind, linted: &mut Linted) {
    let policies = path.with_file_name("policies.json");
    let policies =
        (kind == Kind::Zuplo).then(|| Source::read_at_most(&policies, CONFIG_BYTES_MAX).ok()).flatten();
    let subject = Subject {
        name: &source.name,
        text: &source.text,
        is_private: gather::is_private(path),
        policies: policies.as_ref().map(|policies| policies.text.as_str()),
    };
    let mut findings = lint(&subject, kind);
    // That it could be read is the one thing that is always found out.
    if !findings.iter().any(|finding| finding.rule == &rules::SYNTAX) {
        let place = Place { file: source.name.clone(), line: 1, column: 1 };
        let says = format!("it reads as a configuration of {}", kind.product());
        findings.insert(0, Finding::pass(&rules::SYNTAX, Ground::Proven, says).at(place));
    }
    linted.findings.append(&mut findings);
    linted.kinds.push(kind);
}
