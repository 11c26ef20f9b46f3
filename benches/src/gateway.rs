//! The gateway with all that it does in production: keys, journal, meter, ledger, metrics. And the proof that it
//! did all of it for every request of the bench.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tollgate_gateway::{Gateway, Source};
use tollgate_policy::entry::{Chain, read_link};

use crate::proxy::{OTHER_BUILD, Proxy, TOLLGATE};
use crate::role::{Orders, Role};
use crate::script::{INPUT_TOKENS, OUTPUT_TOKENS, UPSTREAM_KEY};

/// The role that runs the gateway.
pub(crate) const ROLE: &str = "gateway";
/// Virtual keys that are minted; clients use them in turn.
const KEYS: usize = 1_000;
/// Keys that are minted at a time.
const MINTING: usize = 50;

/// Whose gateway is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Build<'a> {
    /// This program's.
    This,
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
        let args: Vec<OsString> = vec![folder.into(), upstream.to_string().into()];
        let proxy = match build {
            Build::This => Proxy::ready(TOLLGATE, Role::start(ROLE, core, args)?).await?,
            Build::Other(bench) => {
                Proxy::ready(OTHER_BUILD, Role::start_of(bench, ROLE, core, args)?).await?
            }
        };
        let data = folder.join("data");
        let instance: Value = serde_json::from_slice(&std::fs::read(data.join("instance.json"))?)?;
        let admin = instance["admin"].as_str().and_then(|url| url.strip_prefix("http://"));
        let admin = admin.context("the instance does not say its address")?.parse()?;
        let token = instance["token"].as_str().context("the instance does not say its token")?.to_owned();
        let mut gateway = Measured { proxy, keys: Vec::new(), passed: 0, data, admin, token };
        gateway.mint().await?;
        Ok(gateway)
    }

    async fn mint(&mut self) -> Result<()> {
        for first in (0..KEYS).step_by(MINTING) {
            let mut minting = JoinSet::new();
            for number in first..first + MINTING {
                let wanted =
                    json!({ "team": format!("team-{}", number % 20), "user": format!("user-{number}") });
                minting.spawn(call(
                    self.admin,
                    self.token.clone(),
                    "POST",
                    "/admin/v1/keys",
                    wanted.to_string(),
                ));
            }
            while let Some(minted) = minting.join_next().await {
                let secret = minted??["secret"].as_str().map(str::to_owned);
                self.keys.push(secret.context("a key without its text")?);
            }
        }
        Ok(())
    }

    /// Checks that its ledger holds exactly the requests that passed, with their usage and a price.
    async fn check_ledger(&self) -> Result<()> {
        let requests = self.passed;
        let usage =
            call(self.admin, self.token.clone(), "GET", "/admin/v1/usage?by=org", String::new()).await?;
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
        ensure!(row["cost_nano_usd"].as_i64() > Some(0), "the ledger says that it cost nothing");
        Ok(())
    }

    /// Ends the gateway. Checks its ledger before, and after it that the journal is one chain that holds exactly the
    /// requests that passed, admitted and settled.
    pub(crate) async fn end(self) -> Result<()> {
        self.check_ledger().await?;
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
async fn call(address: SocketAddr, token: String, method: &str, target: &str, body: String) -> Result<Value> {
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

/// The role: runs a gateway until the orders end. Says its process and address when clients can connect.
pub(crate) async fn serve(folder: &Path, upstream: SocketAddr, mut orders: Orders) -> Result<()> {
    let text = config(folder, upstream);
    let snapshot = tollgate_config::load(&text, "bench").map_err(|problems| {
        anyhow::anyhow!(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })?;
    let gateway = Gateway::start(snapshot, Source { name: "bench", text: &text }).await?;
    println!("{} {}", std::process::id(), gateway.address());
    tokio::select! {
        () = orders.ended() => {}
        () = gateway.failed() => anyhow::bail!("the journal failed for good"),
    }
    gateway.drain().await;
    Ok(())
}

fn config(folder: &Path, upstream: SocketAddr) -> String {
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
"
    )
}
