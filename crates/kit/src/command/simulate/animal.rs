//! `tollgate simulate --animal`: a gateway of the zoo in place of the API.

use crate::{fault::Fault, printer::Printer, signals::Stop};
use clap::Args;
use std::{fmt::Write, fs, net::SocketAddr, path::PathBuf, time::Duration};
use tollgate_config::Url;
use tollgate_simulator::zoo::{ANIMALS, Animal, Cage, Terms};

/// Where an animal listens when nothing is said: beside the simulated API, not in its place.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8070);

/// Which animal, and what it is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of a gateway")]
pub(super) struct AnimalArgs {
    /// Run a gateway of the zoo before --upstream, in place of the API: one that is faithful, or one that is wrong in
    /// one way, to try `tollgate check` and other tests of gateways on. `list` shows them, and which rules of the
    /// check each of them fails.
    #[arg(long, value_name = "NAME", conflicts_with = "script")]
    animal: Option<String>,
    /// The upstream of the gateway: an http URL, such as that of `tollgate simulate`.
    #[arg(long, value_name = "URL", requires = "animal")]
    upstream: Option<Url>,
    /// The environment variable with the API key that the gateway presents to its upstream. Without it, it makes one
    /// up.
    #[arg(long, value_name = "NAME", requires = "animal")]
    upstream_key_env: Option<String>,
    /// Where to write the certificate of the authority of a gateway that speaks TLS, in PEM: clients must know it
    /// (`tollgate check --ca-file FILE`). Keys and certificates are made anew at each start.
    #[arg(long, value_name = "FILE", requires = "animal")]
    ca_out: Option<PathBuf>,
    /// Requests a minute that a limiter lets in.
    #[arg(long, value_name = "N", requires = "animal", default_value_t = Terms::default().rpm,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rpm: u32,
    /// Requests that a limiter with a bucket lets in at once.
    #[arg(long, value_name = "N", requires = "animal", default_value_t = Terms::default().burst,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    burst: u32,
    /// Tokens a minute after which a limiter of tokens lets nothing in.
    #[arg(long, value_name = "N", requires = "animal", default_value_t = Terms::default().tokens_per_minute)]
    tokens_per_minute: u64,
    /// Seconds for which a gateway that ends idle streams lets them be idle.
    #[arg(long, value_name = "N", requires = "animal", default_value_t = Terms::default().idle.as_secs(),
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    idle: u64,
}

impl AnimalArgs {
    /// Whether an animal is wanted.
    pub(super) fn is_given(&self) -> bool {
        self.animal.is_some()
    }

    /// Runs the animal until Ctrl-C, or lists all of them. Its clients present `client_token`, if there is one.
    pub(super) async fn run(
        self,
        listen: Option<SocketAddr>,
        client_token: Option<String>,
        printer: &Printer,
    ) -> Result<(), Fault> {
        let name = self.animal.as_deref().unwrap_or_default();
        if name == "list" {
            return printer.answer(&list());
        }
        let animal = Animal::named(name).ok_or_else(|| Fault::Unfit {
            what: "--animal",
            rule: "there is none of this name".to_owned(),
            cure: "`tollgate simulate --animal list` shows them.".to_owned(),
        })?;
        if animal.speaks_tls() != self.ca_out.is_some() {
            return Err(ca_out_unfit(animal));
        }
        let upstream = self.upstream().await?;
        let is_made_up = client_token.is_none();
        let terms = self.terms(listen.unwrap_or(LISTEN), client_token)?;
        let mut stop = Stop::listen()?;
        let address = terms.listen;
        let cage = Cage::start_on(animal, upstream, terms);
        let cage = cage.await.map_err(|cause| Fault::Listen { address, cause })?;
        printer.say(&format!("{}: a gateway that {}; Ctrl-C ends it", animal.name, animal.about));
        if let Some((path, authority)) = self.ca_out.zip(cage.authority()) {
            fs::write(&path, authority).map_err(|cause| Fault::Unwritable { path: path.clone(), cause })?;
            printer.say(&format!("its clients must know the authority in {}", path.display()));
        }
        if is_made_up {
            printer.say(&format!("its clients present {}", cage.terms().client_tokens.join(" or ")));
        }
        printer.answer(&cage.url())?;
        stop.next().await;
        cage.stop().await;
        Ok(())
    }

    fn terms(&self, listen: SocketAddr, client_token: Option<String>) -> Result<Terms, Fault> {
        let usual = Terms::default();
        Ok(Terms {
            listen,
            client_tokens: client_token.map_or(usual.client_tokens, |token| vec![token]),
            upstream_key: match &self.upstream_key_env {
                Some(name) => header_value(super::variable(name)?.trim())?,
                None => usual.upstream_key,
            },
            rpm: self.rpm,
            burst: self.burst,
            tokens_per_minute: self.tokens_per_minute,
            idle: Duration::from_secs(self.idle),
            ..usual
        })
    }

    /// The address of the upstream. Animals speak http to it, and have no base path.
    async fn upstream(&self) -> Result<SocketAddr, Fault> {
        let unfit = |rule: &str| Fault::Unfit {
            what: "--upstream",
            rule: rule.to_owned(),
            cure: "name one such as http://127.0.0.1:8090, where `tollgate simulate` listens.".to_owned(),
        };
        let url = self.upstream.as_ref().ok_or_else(|| unfit("a gateway needs an upstream"))?;
        if url.tls() || !url.base_path().is_empty() {
            return Err(unfit("a gateway of the zoo speaks http to its upstream, without a base path"));
        }
        let found = tokio::net::lookup_host((url.host(), url.port())).await;
        found.ok().and_then(|mut found| found.next()).ok_or_else(|| unfit("its host has no address"))
    }
}

/// The authority can be written by nobody else, and by no gateway that has none.
fn ca_out_unfit(animal: &Animal) -> Fault {
    let (rule, cure) = match animal.speaks_tls() {
        true => {
            ("speaks TLS, by an authority that nobody knows yet", "add --ca-out FILE, for its certificate.")
        }
        false => ("speaks http, without certificates", "leave it out."),
    };
    let rule = format!("{} {rule}", animal.name);
    Fault::Unfit { what: "--ca-out", rule, cure: cure.to_owned() }
}

/// The key, if a header can carry it. It is not repeated if not.
fn header_value(key: &str) -> Result<String, Fault> {
    let fits = key.bytes().all(|byte| byte.is_ascii_graphic());
    fits.then(|| key.to_owned()).ok_or_else(|| Fault::Unfit {
        what: "--upstream-key-env",
        rule: "the variable holds more than a key".to_owned(),
        cure: "set it to the key alone: letters, digits and signs, without spaces and line breaks."
            .to_owned(),
    })
}

/// Every animal with what it does and which rules it fails.
fn list() -> String {
    let mut text = String::new();
    for animal in ANIMALS {
        let fails = if animal.fails.is_empty() { "nothing".to_owned() } else { animal.fails.join(", ") };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{}: {}\n    fails {fails}", animal.name, animal.about);
    }
    text
}
