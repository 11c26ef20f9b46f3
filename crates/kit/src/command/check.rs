//! `tollgate check`: prove a gateway fit for Claude Code, or find what it breaks.

mod headers;
mod rate_limit;

use std::{future::Future, net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use tollgate_config::Url;
use tollgate_policy::unit::NanoUsd;

use crate::{
    check::{self, Bound, Checked, Scene},
    dial::Way,
    extra::ExtraArgs,
    fault::Fault,
    money,
    printer::Printer,
    proxy::Proxy,
    report::{Printed, Report, Verdict},
    runtime,
    signals::Stop,
    status::{CheckStatus, Status},
    time::{Instant, Span},
    token::{Token, TokenArgs},
};

/// Prove that a gateway carries the Anthropic API unharmed, or find what it breaks.
///
/// With --probe-listen, Tollgate is client and upstream at once: point the gateway's upstream at that address, and what
/// is sent is compared with what arrives, both ways, by bytes and by the clock. No provider is asked and nothing is
/// paid; what is found is proven. Without it, a few small requests go to the live provider; what they show is inferred,
/// and what they do not show is unknown, which is never a pass.
///
/// The six lines of the integration guide and the verdict come first, then the rest of what Claude Code relies on.
/// docs/reference/rules.md says what each rule is about, docs/guide/checking.md how to go about it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true, after_help = EXAMPLES)]
pub(crate) struct Check {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    gateway: Gateway,
    #[command(flatten)]
    printed: Printed,
    /// The most that the check of a live provider may cost, in US dollars; it is not begun if its bound is higher.
    #[arg(long, value_name = "USD", default_value = "0.05")]
    max_cost: Dollars,
    /// Wait for long pauses in a stream too: 310 s, or as long as is said.
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = "310s")]
    slow: Option<Span>,
    /// Count what could not be told as failed.
    #[arg(long)]
    strict: bool,
}

/// What can be checked by itself.
#[derive(Debug, Subcommand)]
enum Part {
    Headers(Box<headers::Headers>),
    RateLimit(Box<rate_limit::RateLimit>),
}

const EXAMPLES: &str = "\
Examples:
  export GATEWAY_KEY=...
  tollgate check --url https://gateway.example --token-env GATEWAY_KEY --probe-listen 0.0.0.0:9099
                                    the gateway's upstream is http://THIS-MACHINE:9099: everything is proven
  tollgate check --url https://gateway.example --token-env GATEWAY_KEY
                                    the gateway's upstream is the provider: a few requests of a few tokens
  tollgate check --url https://gateway.example --token-env GATEWAY_KEY --format junit --output check.xml
                                    for continuous integration
  tollgate check --url https://gateway.example --token-env GATEWAY_KEY --header 'x-tenant: payments' \\
    --header-env x-subscription-key=SUBSCRIPTION_KEY
                                    a gateway that demands more headers than the credential's
  tollgate check headers --url https://gateway.example --token-env GATEWAY_KEY --probe-listen 0.0.0.0:9099
                                    what becomes of each header
  tollgate check rate-limit --url https://gateway.example --token-env GATEWAY_KEY --rpm 100 --probe-listen 0.0.0.0:9099
                                    how often it lets a client in

Exit status:
  0  compatible
  1  incompatible
  2  undetermined: nothing failed that matters, and something that matters could not be told
  3  the command line is wrong, or this machine refuses what the check needs
  4  the gateway can not be reached";

/// Which gateway, and how to get at it.
#[derive(Debug, Args)]
pub(crate) struct Gateway {
    /// The base URL that clients use, as in ANTHROPIC_BASE_URL.
    #[arg(long, value_name = "URL", required = true)]
    url: Option<Url>,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    extras: ExtraArgs,
    /// Run the probe at this address. The gateway's upstream must point there.
    #[arg(long, value_name = "ADDR")]
    probe_listen: Option<SocketAddr>,
    /// The model that requests name. Without it, the cheapest that the gateway lists.
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// How long the gateway may be silent.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Span,
    /// Certificate authorities in PEM that the gateway's certificate may come from, besides the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// A certificate in PEM to show to the gateway.
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

/// An amount of money, as in `0.05`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dollars(pub(crate) NanoUsd);

impl std::str::FromStr for Dollars {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "write dollars with at most nine decimals, as in 0.05";
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || decimals.len() > 9 || !is_number(whole) || !is_number(decimals) {
            return Err(RULE);
        }
        format!("{whole}{decimals:0<9}").parse().map(|nano| Self(NanoUsd(nano))).map_err(|_| RULE)
    }
}

impl Check {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let ended = match self.part {
            Some(Part::Headers(headers)) => headers.run(printer),
            Some(Part::RateLimit(rate_limit)) => rate_limit.run(printer),
            None => self.whole(printer),
        };
        // A fault keeps its sentence, but here 2 is a verdict.
        Ok(Status::Check(ended.unwrap_or_else(|fault| {
            printer.fault(&fault);
            CheckStatus::Usage
        })))
    }

    fn whole(self, printer: &Printer) -> Result<CheckStatus, Fault> {
        self.printed.ready()?;
        let prepared = self.gateway.prepare(printer)?;
        let idle = self.slow.map(|span| Duration::from_secs(span.seconds()));
        let began_at = Instant::now().unix_ms();
        until_stopped("the check", printer, async {
            let scene = prepared.scene(printer).await?;
            if !scene.is_proven() {
                let bound = Bound::of(&scene.model, began_at);
                bound_is_borne(bound, self.max_cost.0, &scene.model, printer)?;
            }
            if let Some(idle) = idle {
                printer.say(&format!("a pause of {} s will be waited for", idle.as_secs()));
            }
            let progress = printer.wait("asking");
            let Checked { findings, product, is_unreachable } = check::check(&scene, idle).await;
            progress.finish();
            let secrets = check::secrets(&scene);
            let mut report = Report {
                tool: "check",
                subject: scene.way.url.to_string(),
                product: product.map(str::to_owned),
                began_at,
                findings,
                is_strict: self.strict,
            };
            report.hide(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
            let text = check::print(&report, is_unreachable, self.printed.verbose);
            self.printed.publish_with(&report, &text, printer)?;
            Ok(status(&report, is_unreachable))
        })
    }
}

/// What a gateway's arguments come to.
pub(crate) struct Prepared {
    way: Way,
    token: Option<Token>,
    probe_listen: Option<SocketAddr>,
    model: Option<String>,
    patience: Duration,
}

impl Gateway {
    /// Reads what the arguments name.
    pub(crate) fn prepare(&self, printer: &Printer) -> Result<Prepared, Fault> {
        let url = self.url.clone().ok_or_else(|| Fault::Unfit {
            what: "--url",
            rule: "it is missing".to_owned(),
            cure: "give the base URL that clients use.".to_owned(),
        })?;
        let proxy = Proxy::from_environment(&url).map_err(|rule| Fault::Unfit {
            what: "the proxy of the environment",
            rule,
            cure: "write http://HOST:PORT there, or name the gateway in NO_PROXY.".to_owned(),
        })?;
        let token = self.token.take(printer)?;
        if token.is_none() {
            printer.warn("no credential is given (--token-env, --token-file): requests go without one");
        }
        let patience = Duration::from_secs(self.timeout.seconds().max(1));
        let way = Way {
            proxy,
            ca_file: self.ca_file.clone(),
            client_certificate: self.client_cert.clone().zip(self.client_key.clone()),
            extras: self.extras.take()?,
            patience,
            ..Way::to(url)
        };
        Ok(Prepared { way, token, probe_listen: self.probe_listen, model: self.model.clone(), patience })
    }
}

impl Prepared {
    /// Starts the probe if one is wanted, and chooses the model.
    pub(crate) async fn scene(self, printer: &Printer) -> Result<Scene, Fault> {
        let now = Instant::now().unix_ms();
        let run = now.0.unsigned_abs() << 20 | u64::from(std::process::id() & 0xf_ffff);
        let chosen = self.model.clone().unwrap_or_default();
        let mut scene = Scene::new(self.way, self.token, chosen, self.patience, run);
        if let Some(address) = self.probe_listen {
            let listens = scene.probe(address).await.map_err(|cause| Fault::Listen { address, cause })?;
            printer.say(&format!(
                "the probe listens at http://{listens}: the gateway's upstream must point there"
            ));
        }
        if self.model.is_none() {
            let listed = check::discovered(&scene).await;
            scene.model = check::cheapest(&listed, now);
        }
        printer.say(&format!("checking {} with {}", scene.way.url, scene.model));
        Ok(scene)
    }
}

fn bound_is_borne(bound: Bound, most: NanoUsd, model: &str, printer: &Printer) -> Result<(), Fault> {
    let cost = money::dollars(bound.cost.0.into());
    printer.say(&format!("at most {} requests may be billed, at most {cost} at list prices", bound.requests));
    if bound.cost <= most {
        return Ok(());
    }
    Err(Fault::Unfit {
        what: "the cost of the check",
        rule: format!(
            "it may reach {cost} with {model}, and --max-cost is {}",
            money::dollars(most.0.into())
        ),
        cure: "name a cheaper model with --model, or raise --max-cost; with --probe-listen it costs nothing."
            .to_owned(),
    })
}

/// Does this until it is done or somebody presses Ctrl-C; `what` is what that stops.
pub(crate) fn until_stopped(
    what: &str,
    printer: &Printer,
    work: impl Future<Output = Result<CheckStatus, Fault>>,
) -> Result<CheckStatus, Fault> {
    runtime::serve(async {
        let mut stop = Stop::listen()?;
        tokio::select! {
            done = work => done,
            () = stop.next() => {
                printer.warn(&format!("{what} was stopped before it was done"));
                Ok(CheckStatus::Undetermined)
            }
        }
    })
}

/// How a check ends.
pub(crate) fn status(report: &Report, is_unreachable: bool) -> CheckStatus {
    match report.verdict() {
        _ if is_unreachable => CheckStatus::Unreachable,
        Verdict::Good => CheckStatus::Compatible,
        Verdict::Bad => CheckStatus::Incompatible,
        Verdict::Undetermined => CheckStatus::Undetermined,
    }
}
