//! The gateway with all that it does in production: keys, journal, meter, ledger, metrics. And the proof that it
//! did all of it for every request of the bench.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tollgate_config::snapshot::Snapshot;
use tollgate_gateway::{Gateway, Source};
use tollgate_policy::allowance::Allowance;
use tollgate_policy::entry::{Chain, read_link};
use tollgate_policy::scope::Scope;

use crate::allowances::Allowances;
use crate::proxy::{CROWDED, FIVE_LEVELS, OTHER_BUILD, Proxy, TOLLGATE};
use crate::role::{Orders, Role};
use crate::script::{INPUT_TOKENS, OUTPUT_TOKENS, UPSTREAM_KEY};

/// The role that runs the gateway.
pub(crate) const ROLE: &str = "gateway";
/// Virtual keys that are minted; clients use them in turn.
const KEYS: usize = 1_000;
/// Allowances that are asked for at a time.
const PAGE: usize = 1_000;
/// Keys that are minted at a time.
const MINTING: usize = 50;

/// Which gateway is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Build<'a> {
    /// This program's, with these allowances.
    This(Allowances),
    /// That of another build of this program.
    Other(&'a Path),
}

/// A gateway under measurement, and its administrator.
pub(crate) struct Measured {
    /// The process.
    pub(crate) proxy: Proxy,
    /// The credentials of its clients.
    pub(crate) keys: Vec<String>,
    /// Answers that it has given by now.
    pub(crate) passed: u64,
    allowances: Allowances,
    data: PathBuf,
    admin: SocketAddr,
    token: String,
}

impl Measured {
    /// Starts a gateway before the upstream, and mints keys. `folder` is for it alone.
    pub(crate) async fn start(
        build: Build<'_>,
        upstream: SocketAddr,
        folder: &Path,
        core: Option<usize>,
    ) -> Result<Self> {
        std::fs::create_dir(folder)?;
        std::fs::write(folder.join("upstream-key"), UPSTREAM_KEY)?;
        let mut args: Vec<OsString> = vec![folder.into(), upstream.to_string().into()];
        let (name, role, allowances) = match build {
            Build::Other(bench) => (OTHER_BUILD, Role::start_of(bench, ROLE, core, args)?, Allowances::None),
            Build::This(allowances) => {
                args.extend(["--allowances".into(), allowances.word().into()]);
                let name = match allowances {
                    Allowances::None => TOLLGATE,
                    Allowances::Five => FIVE_LEVELS,
                    Allowances::Crowded => CROWDED,
                };
                (name, Role::start(ROLE, core, args)?, allowances)
            }
        };
        let proxy = Proxy::ready(name, role).await?;
        let data = folder.join("data");
        let instance: Value = serde_json::from_slice(&std::fs::read(data.join("instance.json"))?)?;
        let admin = instance["admin"].as_str().and_then(|url| url.strip_prefix("http://"));
        let admin = admin.context("the instance does not say its address")?.parse()?;
        let token = instance["token"].as_str().context("the instance does not say its token")?.to_owned();
        let mut gateway = Measured { proxy, keys: Vec::new(), passed: 0, allowances, data, admin, token };
        gateway.mint().await?;
        Ok(gateway)
    }

    async fn mint(&mut self) -> Result<()> {
        for first in (0..KEYS).step_by(MINTING) {
            let mut minting = JoinSet::new();
            for number in first..first + MINTING {
                let wanted = serde_json::to_string(&scope(number)?)?;
                minting.spawn(call(self.admin, self.token.clone(), "POST", "/admin/v1/keys".into(), wanted));
            }
            while let Some(minted) = minting.join_next().await {
                let secret = minted??["secret"].as_str().map(str::to_owned);
                self.keys.push(secret.context("a key without its text")?);
            }
        }
        Ok(())
    }

    /// Checks that its ledger holds exactly the requests that passed, with their usage and a price. Gives what they
    /// cost together.
    async fn check_ledger(&self) -> Result<u64> {
        let requests = self.passed;
        let usage = self.ask("/admin/v1/usage?by=org".into()).await?;
        let row = &usage["rows"][0];
        let wanted = [
            ("requests", requests),
            ("errors", 0),
            ("aborted", 0),
            ("unknown", 0),
            ("estimated", 0),
            ("unknown_price", 0),
            ("input_tokens", requests * INPUT_TOKENS),
            ("output_tokens", requests * OUTPUT_TOKENS),
        ];
        for (figure, wanted) in wanted {
            ensure!(row[figure] == wanted, "the ledger says {figure}: {}, not {wanted}", row[figure]);
        }
        let cost = row["cost_nano_usd"].as_u64().filter(|cost| *cost > 0);
        cost.context("the ledger says that it cost nothing")
    }

    /// Checks that each of its allowances was charged with exactly what passed and that none holds anything.
    async fn check_allowances(&self, cost_nano_usd: u64) -> Result<()> {
        let mut listed = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.ask(format!("/admin/v1/allowances?limit={PAGE}{after}")).await?;
            listed.extend(page["data"].as_array().context("no allowances are listed")?.iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        self.allowances.check(&listed, self.passed, cost_nano_usd)
    }

    async fn ask(&self, target: String) -> Result<Value> {
        call(self.admin, self.token.clone(), "GET", target, String::new()).await
    }

    /// Ends the gateway. Checks its ledger and its allowances before, and after it that the journal is one chain that
    /// holds exactly the requests that passed, admitted and settled.
    pub(crate) async fn end(self) -> Result<()> {
        let cost_nano_usd = self.check_ledger().await?;
        if self.allowances != Allowances::None {
            self.check_allowances(cost_nano_usd).await?;
        }
        self.proxy.role.end().await?;
        let requests = self.passed;
        let (mut chain, mut admitted, mut settled) = (Chain::new(), 0, 0);
        for segment in segments(&self.data.join("journal"))? {
            for line in std::fs::read(&segment)?.split_inclusive(|byte| *byte == b'\n') {
                chain.follow_link(&read_link(line)?)?;
                admitted += u64::from(memchr::memmem::find(line, br#","kind":"admitted","#).is_some());
                let is_complete = memchr::memmem::find(line, br#""outcome":"complete""#).is_some();
                settled += u64::from(is_complete);
            }
        }
        ensure!(admitted == requests, "the journal holds {admitted} admissions, not {requests}");
        ensure!(settled == requests, "the journal holds {settled} complete settlements, not {requests}");
        Ok(())
    }
}

fn segments(journal: &Path) -> Result<Vec<PathBuf>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(journal)? {
        let path = entry?.path();
        // The copies of checkpoints lie beside the segments, whose names are numbers.
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "jsonl") && name.parse::<u64>().is_ok() {
            segments.push(path);
        }
    }
    segments.sort();
    Ok(segments)
}

/// Calls the admin API as a local command would.
async fn call(
    address: SocketAddr,
    token: String,
    method: &str,
    target: String,
    body: String,
) -> Result<Value> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head, body].concat().into_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the admin API gave no answer")?;
    ensure!(head.starts_with("HTTP/1.1 20"), "the admin API refused {method} {target}: {answer}");
    Ok(serde_json::from_str(body)?)
}

/// Where the use of a key is booked: everyone has a user, a hundred projects and twenty teams share them.
pub(crate) fn scope(number: usize) -> Result<Scope> {
    let mut scope = Scope::team(format!("team-{}", number % 20).parse()?);
    scope.project = Some(format!("project-{}", number % 100).parse()?);
    scope.user = Some(format!("user-{number}").parse()?);
    Ok(scope)
}

/// The role: runs a gateway until the orders end. Says its process and address when clients can connect.
pub(crate) async fn serve(
    folder: &Path,
    upstream: SocketAddr,
    allowances: Allowances,
    mut orders: Orders,
) -> Result<()> {
    let text = config(folder, upstream, allowances);
    let snapshot = load(&text)?;
    let gateway = Gateway::start(snapshot, Source { name: "bench", text: &text }).await?;
    println!("{} {}", std::process::id(), gateway.address());
    tokio::select! {
        () = orders.ended() => {}
        () = gateway.failed() => anyhow::bail!("the journal failed for good"),
    }
    gateway.drain().await;
    Ok(())
}

/// The allowances of a gateway, as its configuration puts them in force.
pub(crate) fn allowances(allowances: Allowances) -> Result<Vec<Allowance>> {
    let text = config(Path::new("/"), SocketAddr::from(([127, 0, 0, 1], 1)), allowances);
    Ok(load(&text)?.allowances)
}

fn load(text: &str) -> Result<Snapshot> {
    tollgate_config::load(text, "bench").map_err(|problems| {
        anyhow::anyhow!(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}

fn config(folder: &Path, upstream: SocketAddr, allowances: Allowances) -> String {
    let folder = folder.display();
    format!(
        "listen:
  address: 127.0.0.1:0
admin:
  address: 127.0.0.1:0
data: {folder}/data
upstream:
  url: http://{upstream}
  credential: file:{folder}/upstream-key
  proxy: none
{}",
        allowances.yaml()
    )
}
