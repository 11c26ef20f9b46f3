//! `tollgate check rate-limit`.

use std::time::Duration;

use clap::Args;

use super::{Dollars, Gateway, bound_is_borne, status};
use crate::{
    check::{
        self, Bound,
        limits::{Claim, Plan, cost, judge, survey},
    },
    fault::Fault,
    printer::Printer,
    report::{Printed, Report, lines},
    runtime,
    signals::Stop,
    status::CheckStatus,
    time::{Instant, Span},
    token::{Token, variable},
};

/// Find out how often a gateway lets a client in, how it counts, and what it says when it does not.
///
/// Requests are sent until one is refused, then one by one until there is room again; so it takes little more than two
/// times the requests of the limit, and as long as two of its windows. A fixed or sliding window, a window by the clock,
/// a token bucket and GCRA are told apart, and so are a limit of requests at once and one that counts what it refuses.
///
/// With --probe-listen the gateway's upstream is this machine, and nothing is paid. Without it, each request asks the
/// provider for one token of output, and the most that this may cost is printed before the first is sent. Other
/// requests with the same credential make the figure look smaller than it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate check rate-limit --url https://gateway.example --token-env GATEWAY_KEY --rpm 100 --probe-listen 0.0.0.0:9099
  tollgate check rate-limit --url https://gateway.example --token-env KEY_A --second-token-env KEY_B --rpm 100
                                    see that one client's requests take nothing from another
  tollgate check rate-limit --url http://127.0.0.1:8080 --token-file key --rpm 10 --window 1s
                                    ten in each second
  tollgate check rate-limit --url http://127.0.0.1:8080 --token-file key --tpm 40000 --probe-listen 127.0.0.1:9099
                                    tokens per minute, of which the probe tells as many as it likes")]
pub(super) struct RateLimit {
    #[command(flatten)]
    gateway: Gateway,
    /// The requests per minute that a client is said to have. Without it, what there is is found.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rpm: Option<u32>,
    /// The tokens per minute that a client is said to have.
    #[arg(long, value_name = "NUMBER", conflicts_with = "rpm", requires = "probe_listen")]
    #[arg(value_parser = clap::value_parser!(u64).range(100..=1_000_000_000_000))]
    tpm: Option<u64>,
    /// The time that --rpm and --tpm are for, where it is not a minute.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    window: Span,
    /// The environment variable with the credential of another client, to see that it has a limit of its own.
    #[arg(long, value_name = "VAR")]
    second_token_env: Option<String>,
    /// The most requests to send. Without it, five times the limit and 400, or 2,000.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_requests: Option<u32>,
    /// How long to wait while everything is refused, and a quarter of how long all may take from the first refusal on.
    /// Without it, twice the window and 10 s.
    #[arg(long, value_name = "TIME")]
    max_wait: Option<Span>,
    /// The most that it may cost before a live provider, in US dollars; it is not begun if its bound is higher.
    #[arg(long, value_name = "USD", default_value = "0.50")]
    max_cost: Dollars,
    #[command(flatten)]
    printed: Printed,
    /// Count what could not be told as failed.
    #[arg(long)]
    strict: bool,
}

impl RateLimit {
    pub(super) fn run(self, printer: &Printer) -> Result<CheckStatus, Fault> {
        self.printed.ready()?;
        let second = self.second_token()?;
        let prepared = self.gateway.prepare(printer)?;
        let plan = self.plan();
        let began_at = Instant::now().unix_ms();
        runtime::serve(async {
            let mut stop = Stop::listen()?;
            let scene = tokio::select! {
                scene = prepared.scene(printer) => scene?,
                () = stop.next() => return Ok(CheckStatus::Undetermined),
            };
            if !scene.is_proven() {
                let requests = plan.most_calls;
                let bound = Bound { requests, cost: cost(&scene.model, requests, began_at) };
                bound_is_borne(bound, self.max_cost.0, &scene.model, printer)?;
            }
            printer.say(&format!(
                "at most {} requests, and from the first refusal on at most {}",
                plan.most_calls,
                minutes(plan.longest())
            ));
            let survey = survey(&scene, second.as_ref(), &plan, &mut stop, printer).await;
            if survey.is_stopped {
                printer
                    .warn(&format!("stopped after {} requests: the answer is a part of one", survey.calls));
            }
            let mut report = Report {
                tool: "check rate-limit",
                subject: scene.way.url.to_string(),
                product: check::product(&scene).map(str::to_owned),
                began_at,
                findings: judge(&survey, &plan),
                is_strict: self.strict,
            };
            let mut secrets = check::secrets(&scene);
            secrets.extend(second.map(|token| token.reveal().to_owned()));
            report.hide(&secrets.iter().map(String::as_str).collect::<Vec<_>>());
            let text = lines(&report.findings, self.printed.verbose);
            self.printed.publish_with(&report, &text, printer)?;
            Ok(status(&report, survey.is_unreachable))
        })
    }

    fn second_token(&self) -> Result<Option<Token>, Fault> {
        let Some(name) = &self.second_token_env else { return Ok(None) };
        let text = variable("--second-token-env", name)?;
        text.parse().map(Some).map_err(|rule: &str| Fault::Unfit {
            what: "the second credential",
            rule: rule.to_owned(),
            cure: format!("put a credential, and nothing else, into {name}."),
        })
    }

    fn plan(&self) -> Plan {
        let claim = self.rpm.map(Claim::Requests).or(self.tpm.map(Claim::Tokens));
        let window = Duration::from_secs(self.window.seconds().max(1));
        let max_wait = self.max_wait.map(|span| Duration::from_secs(span.seconds()));
        Plan {
            claim,
            window,
            most_calls: self.max_requests.unwrap_or(Plan::calls_for(claim)),
            longest_wait: max_wait.unwrap_or(window * 2 + Duration::from_secs(10)),
        }
    }
}

/// A span for people: whole minutes, rounded up, from two on.
fn minutes(span: Duration) -> String {
    match span.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds => format!("{} minutes", seconds.div_ceil(60)),
    }
}
