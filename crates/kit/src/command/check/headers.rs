//! `tollgate check headers`.

use std::fmt::Write;

use clap::{
    Args,
    builder::styling::{AnsiColor, Style},
};

use super::{Gateway, status, until_stopped};
use crate::{
    check::table::{fates, findings, text, three},
    fault::Fault,
    printer::Printer,
    report::{Printed, Report, lines},
    status::CheckStatus,
    time::Instant,
};

/// Show what becomes of each header on its way through a gateway.
///
/// The three lines of the integration guide come first, then the fate of every header of one request: forwarded,
/// replaced, changed, dropped, or injected, beside what should become of it; then the rules about headers. It takes the
/// probe to see this: point the gateway's upstream at --probe-listen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate check headers --url https://gateway.example --token-env GATEWAY_KEY --probe-listen 0.0.0.0:9099
  tollgate check headers --url http://127.0.0.1:8080 --token-file key --probe-listen 127.0.0.1:9099 --format json")]
pub(super) struct Headers {
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    printed: Printed,
    /// Count what could not be told as failed.
    #[arg(long)]
    strict: bool,
}

impl Headers {
    pub(super) fn run(self, printer: &Printer) -> Result<CheckStatus, Fault> {
        self.printed.ready()?;
        let prepared = self.gateway.prepare(printer)?;
        let began_at = Instant::now().unix_ms();
        until_stopped("the check", printer, async {
            let scene = prepared.scene(printer).await?;
            let fates = fates(&scene).await;
            let (findings, reached) = findings(&scene).await;
            let secrets = crate::check::secrets(&scene);
            let mut report = Report {
                tool: "check headers",
                subject: scene.way.url.to_string(),
                product: crate::check::product(&scene).map(str::to_owned),
                began_at,
                findings,
                is_strict: self.strict,
            };
            report.hide(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
            let mut page = String::new();
            for (is_well, says) in three(fates.as_deref(), &report.findings) {
                let (color, mark) = match is_well {
                    Some(true) => (AnsiColor::Green, "\u{2713} PASS"),
                    Some(false) => (AnsiColor::Red, "\u{2717} FAIL"),
                    None => (AnsiColor::Yellow, "? UNKNOWN"),
                };
                let style: Style = color.on_default();
                let _ = writeln!(page, "{style}{mark}{style:#} - {says}");
            }
            if let Some(fates) = &fates {
                let _ = write!(page, "\n{}", text(fates));
            }
            let _ = write!(page, "\n{}", lines(&report.findings, self.printed.verbose));
            self.printed.publish_with(&report, &page, printer)?;
            Ok(status(&report, !reached))
        })
    }
}
