//! `tollgate shadow`: lay two gateways side by side before a team moves from one to the other.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use tollgate_config::Url;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use crate::{
    check::{self, Bound},
    command::check::{Dollars, status, until_stopped},
    dial::Way,
    doctor,
    fault::Fault,
    money,
    printer::Printer,
    proxy::Proxy,
    report::{Printed, Report, Verdict, lines},
    shadow::{self, Asked, Shadow as Both, Side},
    source::Source,
    status::{CheckStatus, Status},
    time::{Instant, Span},
    token::{OldTokenArgs, TokenArgs},
};

/// Send the same requests to two gateways, and compare what must be equal of their answers.
///
/// Before a team moves from an old gateway, or from the API itself, to a new one: status, content type, errors, headers
/// that clients obey, events of streams, the form of answers, stop reasons, counted input and models are the same on
/// both sides, or the report names what is not. What a model says differs each time, and is not compared.
///
/// A credential goes into Authorization; a key of the API itself (sk-ant-api...) into x-api-key. The rules are listed in
/// docs/reference/rules.md, the way is described in docs/guide/migrating.md.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Shadow {
    /// The base URL of the new gateway.
    #[arg(long, value_name = "URL")]
    url: Url,
    #[command(flatten)]
    token: TokenArgs,
    /// The base URL of the old gateway, or of the API itself.
    #[arg(long, value_name = "URL")]
    against: Url,
    #[command(flatten)]
    against_token: OldTokenArgs,
    /// Requests of your own in place of the built-in ones, a JSON object on each line; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    requests: Option<PathBuf>,
    /// The model that the built-in requests name. Without it, the cheapest that both list.
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// How often each request is sent.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    repeat: u32,
    /// The most that it may cost on both sides together, in US dollars; it is not begun if its bound is higher.
    #[arg(long, value_name = "USD", default_value = "0.05")]
    max_cost: Dollars,
    /// How long a gateway may be silent.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: Span,
    /// Certificate authorities in PEM that the gateways' certificates may come from, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    printed: Printed,
    /// Count what could not be told as different.
    #[arg(long)]
    strict: bool,
}

const EXAMPLES: &str = "\
Examples:
  export NEW_KEY=... OLD_KEY=...
  tollgate shadow --url https://new.example --token-env NEW_KEY --against https://old.example --against-token-env OLD_KEY
  tollgate shadow --url https://new.example --token-env NEW_KEY --against https://api.anthropic.com \\
      --against-token-env ANTHROPIC_API_KEY --requests recorded.jsonl --repeat 3 --max-cost 2

Exit status:
  0  alike
  1  different
  2  undetermined: nothing differs that matters, and something that matters could not be told
  3  the command line or the file of requests is wrong, or it may cost more than --max-cost
  4  one of them can not be reached";

impl Shadow {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        // A fault keeps its sentence, but here 2 is a verdict.
        Ok(Status::Check(self.compare(printer).unwrap_or_else(|fault| {
            printer.fault(&fault);
            CheckStatus::Usage
        })))
    }

    fn compare(self, printer: &Printer) -> Result<CheckStatus, Fault> {
        self.printed.ready()?;
        let recorded = self.requests.as_deref().map(recorded).transpose()?;
        let new = Side { way: self.way(&self.url)?, token: self.token.take(printer)? };
        let old = Side { way: self.way(&self.against)?, token: self.against_token.take()? };
        for (side, options) in [(&new, "--token-env, --token-file"), (&old, "--against-token-env")] {
            if side.token.is_none() {
                printer.warn(&format!("no credential for {} is given ({options})", side.way.url));
            }
        }
        let mut secrets = doctor::proxy::secrets();
        secrets.extend(
            [&new, &old].into_iter().flat_map(|side| &side.token).map(|token| token.reveal().to_owned()),
        );
        let began_at = Instant::now().unix_ms();
        let mut both = Both::new(old, new);
        until_stopped("the comparison", printer, async {
            both.ask(&shadow::models(), 1).await;
            // What follows would cost, and tell nothing.
            let is_unreachable = both.is_unreachable();
            if !is_unreachable {
                let asked = self.asked(recorded, &both, began_at, printer)?;
                let mut progress = printer.progress("requests", asked.len() as u64);
                for one in &asked {
                    both.ask(one, self.repeat).await;
                    progress.step();
                }
                progress.finish();
            }
            let mut report = Report {
                tool: "shadow",
                subject: format!("{} against {}", self.url, self.against),
                product: None,
                began_at,
                findings: both.findings(),
                is_strict: self.strict,
            };
            report.hide(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
            let text = print(&report, is_unreachable, self.printed.verbose);
            self.printed.publish_with(&report, &text, printer)?;
            Ok(status(&report, is_unreachable))
        })
    }

    fn way(&self, url: &Url) -> Result<Way, Fault> {
        let proxy = Proxy::from_environment(url).map_err(|rule| Fault::Unfit {
            what: "the proxy of the environment",
            rule,
            cure: "write http://HOST:PORT there, or name the gateway in NO_PROXY.".to_owned(),
        })?;
        let patience = Duration::from_secs(self.timeout.seconds().max(1));
        Ok(Way { proxy, ca_file: self.ca_file.clone(), patience, ..Way::to(url.clone()) })
    }

    /// What is asked, once it is said what that may cost.
    fn asked(
        &self,
        recorded: Option<Vec<Asked>>,
        both: &Both,
        at: UnixMs,
        printer: &Printer,
    ) -> Result<Vec<Asked>, Fault> {
        let asked = recorded.unwrap_or_else(|| {
            let model = self.model.clone().unwrap_or_else(|| check::cheapest(&both.models(), at));
            printer.say(&format!("comparing {} with {} by {model}", self.url, self.against));
            shadow::builtin(&model, &format!("shadow-{:x}-{:x}", at.0, std::process::id()))
        });
        bound_is_borne(shadow::bound(&asked, self.repeat, at), self.max_cost.0, printer)?;
        Ok(asked)
    }
}

fn recorded(path: &Path) -> Result<Vec<Asked>, Fault> {
    let source = Source::read_at_most(path, shadow::FILE_BYTES_MAX)?;
    shadow::read(&source.text).map_err(|bad| Fault::Unfit {
        what: "--requests",
        rule: format!("{}: {}", source.name, bad.rule),
        cure: bad.cure,
    })
}

fn bound_is_borne(bound: Bound, most: NanoUsd, printer: &Printer) -> Result<(), Fault> {
    let cost = money::dollars(bound.cost.0.into());
    printer.say(&format!(
        "at most {} requests may be billed on both sides together, at most {cost} at list prices",
        bound.requests
    ));
    if bound.cost <= most {
        return Ok(());
    }
    let most = money::dollars(most.0.into());
    Err(Fault::Unfit {
        what: "the cost of the comparison",
        rule: format!("it may reach {cost}, and --max-cost is {most}"),
        cure: "send fewer or shorter requests, name a cheaper model with --model, or raise --max-cost."
            .to_owned(),
    })
}

/// The findings and what they come to.
fn print(report: &Report, is_unreachable: bool, verbose: bool) -> String {
    let line = match report.verdict() {
        _ if is_unreachable => "\u{2717} One of them can not be reached",
        Verdict::Good => "\u{2713} The new gateway answers like the old one",
        Verdict::Bad => "\u{2717} The new gateway answers DIFFERENTLY",
        Verdict::Undetermined => "? Whether they answer alike can not be told",
    };
    let mut text = lines(&report.findings, verbose);
    let _ = writeln!(text, "\n{line}");
    text
}
