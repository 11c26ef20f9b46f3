//! `tollgate simulate`: the simulated API alone.

use crate::{fault::Fault, printer::Printer, runtime, signals::Stop, source::Source, status::Status};
use clap::Args;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
};
use tollgate_simulator::{Config, Script, Simulator};

mod animal;

use animal::AnimalArgs;

/// Run a simulated Anthropic API, with faults on request, until Ctrl-C.
///
/// It answers POST /v1/messages (plain and streamed), POST /v1/messages/count_tokens, GET /v1/models and GET
/// /v1/models/{id} as the API documents them. No model is asked. A client or a gateway that is pointed at it can be
/// shown every error and every way in which an answer can break.
///
/// With --animal it runs a gateway in place of the API: one that is faithful or, to test tests of gateways, one that is
/// wrong in one way.
#[derive(Debug, Args)]
#[command(after_long_help = DIRECTIVES)]
pub(crate) struct Simulate {
    /// The address to listen at; port 0 takes a free one. Without it, the API is at 127.0.0.1:8090 and a gateway at
    /// 127.0.0.1:8070.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// A script: a JSON file with rules for the requests that carry no directives.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// The environment variable with the API key that clients must present. Without it, the API takes any key, and a
    /// gateway makes up keys of its own.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    #[command(flatten)]
    animal: AnimalArgs,
}

/// Where the simulated API listens when nothing is said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090);

/// What `--help` says about directives. A test holds it against the simulator.
const DIRECTIVES: &str = include_str!("simulate/directives.txt");

impl Simulate {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        if self.animal.is_given() {
            let client_token = self.api_key_env.as_deref().map(variable).transpose()?;
            runtime::serve(self.animal.run(self.listen, client_token, printer))?;
            return Ok(Status::Done);
        }
        let config = self.config()?;
        runtime::serve(async {
            let mut stop = Stop::listen()?;
            let address = config.listen;
            let running = Simulator::start(config).await.map_err(|cause| Fault::Listen { address, cause })?;
            printer.say("the simulated API is up; Ctrl-C ends it");
            printer.answer(&running.url())?;
            stop.next().await;
            let served = running.record().served();
            running.stop().await;
            printer.say(&format!("{} requests were answered", served.requests));
            Ok(Status::Done)
        })
    }

    fn config(self) -> Result<Config, Fault> {
        let script = match &self.script {
            None => Script::default(),
            Some(path) => {
                let Source { name, text } = Source::read(path)?;
                Script::parse(&text).map_err(|problem| Fault::Script { name, problem })?
            }
        };
        let api_key = self.api_key_env.as_deref().map(variable).transpose()?;
        Ok(Config { listen: self.listen.unwrap_or(LISTEN), script, api_key, ..Config::default() })
    }
}

/// The key in this variable.
fn variable(name: &str) -> Result<String, Fault> {
    let set = std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    set.ok_or_else(|| Fault::Unset(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples in the help: indented by four spaces, and no further.
    fn examples() -> impl Iterator<Item = &'static str> {
        DIRECTIVES
            .lines()
            .skip_while(|line| *line != "Directives:")
            .take_while(|line| *line != "Scripts:")
            .filter_map(|line| line.strip_prefix("    "))
            .filter(|row| !row.starts_with(' '))
            .filter_map(|row| row.split("  ").next())
    }

    #[test]
    fn every_example_of_the_help_is_a_directive() {
        for example in examples() {
            let read = Script::always(example);
            assert!(read.is_ok(), "{example}: {read:?}");
        }
        assert!(Script::always("no_such_directive").is_err());
    }

    /// The simulator's own page of directives is a table whose first cells name them in backquotes.
    #[test]
    fn every_directive_has_an_example() {
        let page = include_str!("../../../simulator/src/lib.rs");
        let cells = page.lines().filter_map(|line| line.strip_prefix("//! | `")?.split(" | ").next());
        let names: Vec<&str> = cells
            .flat_map(|cell| cell.split(", "))
            .map(|name| name.trim_matches('`').split('=').next().unwrap_or_default())
            .collect();
        assert!(names.len() > 40, "{names:?}");
        for name in names {
            let shown = examples().any(|example| example.split('=').next() == Some(name));
            assert!(shown, "{name} has no example in the help");
        }
    }

    #[test]
    fn the_script_of_the_help_is_one() {
        let script = DIRECTIVES.split("Scripts:\n").nth(1).unwrap();
        let script = &script[..=script.rfind("]}").unwrap() + 1];
        assert!(Script::parse(script).is_ok(), "{script}");
    }
}
