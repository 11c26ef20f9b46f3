//! A gateway on free ports before a simulator, in a data folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::sleep;
use tollgate_gateway::{Gateway, Source};
use tollgate_simulator::{Config, Running, Simulator};

use crate::client::{self, Answer};

/// The upstream's credential in tests. It must never be seen by a client, nor in any log or file but its own.
pub const UPSTREAM_KEY: &str = "sk-ant-api03-canary-upstream-key";

/// How a house is to be built.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Lines of configuration beside the addresses, the data folder and the upstream.
    pub config: String,
    /// Lines under `upstream:` beside URL and credential.
    pub upstream: String,
    /// Lines under `listen:` beside the address.
    pub listen: String,
    /// Another upstream than the simulator.
    pub upstream_url: Option<String>,
    /// The egress proxy; none if not given.
    pub proxy: Option<String>,
    /// A data folder that outlives the house.
    pub data: Option<PathBuf>,
}

/// A running gateway and its simulator.
pub struct House {
    pub gateway: Gateway,
    pub simulator: Running,
    pub folder: TempDir,
    pub data: PathBuf,
    pub text: String,
}

impl House {
    pub async fn open() -> Self {
        House::build(Plan::default()).await
    }

    pub async fn build(plan: Plan) -> Self {
        let api_key = Some(UPSTREAM_KEY.to_owned());
        let simulator = Simulator::start(Config { api_key, ..Config::default() }).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let data = plan.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let credential = folder.path().join("upstream-key");
        std::fs::write(&credential, UPSTREAM_KEY).unwrap();
        let url = plan.upstream_url.clone().unwrap_or_else(|| simulator.url());
        let text = configuration(&plan, &data, &url, &credential);
        let config =
            tollgate_config::load(&text, "test").unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        let gateway = Gateway::start(config, Source { name: "test", text: &text }).await.unwrap();
        House { gateway, simulator, folder, data, text }
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Calls the admin API as a local command would.
    pub async fn admin(&self, method: &str, target: &str, body: Option<Value>) -> Answer {
        let instance = std::fs::read_to_string(self.data.join("instance.json")).unwrap();
        let instance: Value = serde_json::from_str(&instance).unwrap();
        let bearer = format!("Authorization: Bearer {}", instance["token"].as_str().unwrap());
        let body = body.map(|body| body.to_string());
        let head = client::head(method, target, &[&bearer], body.as_ref().map(String::len));
        let body = body.unwrap_or_default();
        client::request(self.gateway.admin_address(), &head, body.as_bytes()).await.unwrap()
    }

    /// Puts another configuration in force.
    pub async fn reload(&self, text: &str) -> Result<(), tollgate_gateway::ReloadFault> {
        let config =
            tollgate_config::load(text, "test").unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        self.gateway.reload(config, Source { name: "test", text }).await
    }

    /// Mints a key and gives its text and its id.
    pub async fn mint(&self, wanted: Value) -> (String, String) {
        let answer = self.admin("POST", "/admin/v1/keys", Some(wanted)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let created = answer.json();
        (created["secret"].as_str().unwrap().to_owned(), created["key"]["id"].as_str().unwrap().to_owned())
    }

    /// Mints a key for a team.
    pub async fn key(&self, team: &str) -> String {
        self.mint(json!({ "team": team, "user": "ann" })).await.0
    }

    /// The usage report by the given dimensions.
    pub async fn usage(&self, by: &str) -> Vec<Value> {
        let answer = self.admin("GET", &format!("/admin/v1/usage?by={by}"), None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["rows"].as_array().unwrap().clone()
    }

    /// Entries of the journal of one kind, in order.
    pub fn entries(&self, kind: &str) -> Vec<Value> {
        entries(&self.data).into_iter().filter(|entry| entry["kind"] == kind).collect()
    }

    /// Waits until the journal holds `count` entries of a kind; fails after ten seconds.
    pub async fn wait_for(&self, kind: &str, count: usize) -> Vec<Value> {
        for _ in 0..1000 {
            let found = self.entries(kind);
            if found.len() >= count {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} entries of kind {kind}: {:#?}", self.entries(kind));
    }

    /// Ends both; the data folder goes with them unless the plan named one.
    pub async fn close(self) {
        self.gateway.drain().await;
        self.simulator.stop().await;
    }
}

/// All entries of a data folder's journal.
pub fn entries(data: &Path) -> Vec<Value> {
    let mut segments: Vec<_> = std::fs::read_dir(data.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    segments.sort();
    let mut entries = Vec::new();
    for segment in segments {
        let text = std::fs::read_to_string(segment).unwrap();
        // A line without its end is being written at this moment.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        entries.extend(text[..whole].lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    entries
}

fn configuration(plan: &Plan, data: &Path, url: &str, credential: &Path) -> String {
    let indent = |lines: &str| lines.lines().map(|line| format!("  {line}\n")).collect::<String>();
    format!(
        "listen:\n  address: 127.0.0.1:0\n{}admin:\n  address: 127.0.0.1:0\ndata: {}\nupstream:\n  url: {url}\n  \
         credential: file:{}\n  proxy: {}\n{}{}\n",
        indent(&plan.listen),
        data.display(),
        credential.display(),
        plan.proxy.as_deref().unwrap_or("none"),
        indent(&plan.upstream),
        plan.config,
    )
}
