use tollgate_policy::id::{KeyId, RequestId};
use tollgate_policy::scope::Scope;

use super::*;
use crate::running::{Gateway, Source};

/// A gateway without an upstream: admissions need none.
async fn gateway(folder: &std::path::Path) -> Gateway {
    std::fs::write(folder.join("key"), "sk-ant-test").unwrap();
    let text = format!(
        "listen:\n  address: 127.0.0.1:0\nadmin:\n  address: 127.0.0.1:0\ndata: {0}/data\nupstream:\n  \
         url: http://127.0.0.1:9\n  credential: file:{0}/key\n  proxy: none\n",
        folder.display()
    );
    let config = tollgate_config::load(&text, "test").unwrap();
    Gateway::start(config, Source { name: "test", text: &text }).await.unwrap()
}

fn entry(shared: &Shared) -> Admitted {
    Admitted {
        request: RequestId::new(shared.now(), [1; 10]),
        key: KeyId::new(shared.now(), [2; 10]),
        scope: Scope::team("red".parse().unwrap()),
        peer: "127.0.0.1".into(),
        method: "POST".into(),
        endpoint: "messages".into(),
        path: "/v1/messages".into(),
        model: Some("claude-opus-5-5".into()),
        stream: true,
        max_tokens: Some(100),
        body_bytes: 400,
        upstream: shared.in_force().upstream.name().to_string(),
        reserved: NanoUsd(1),
        input_estimate: 100,
        output_estimate: 0,
        cost_centre: None,
        tags: BTreeMap::new(),
        over: Vec::new(),
        session: None,
        agent: None,
        headers: BTreeMap::new(),
    }
}

async fn admission(shared: &Arc<Shared>, sent: bool) -> Admission {
    let force = shared.in_force();
    let entry = entry(shared);
    let settled = Some(Box::new(blank_settlement(&entry, &force, shared.now())));
    let mut admission = Admission {
        shared: shared.clone(),
        prices: force.prices.clone(),
        entering: Some(shared.journal.admit(shared.now(), entry)),
        settled,
        reservation: Reservation::default(),
        told: None,
        at: shared.now(),
        started: Instant::now(),
        endpoint: Endpoint::Messages,
        body_bytes: 400,
        sent: false,
        upstream_started: None,
    };
    shared.metrics.entered();
    admission.entered().await.unwrap();
    if sent {
        admission.sent();
    }
    admission
}

fn settlements(folder: &std::path::Path) -> Vec<serde_json::Value> {
    let journal = std::fs::read_dir(folder.join("data/journal")).unwrap().map(|entry| entry.unwrap().path());
    let segments = journal.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    segments
        .flat_map(|path| {
            std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap())
        .filter(|entry| entry["kind"] == "settled")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_settles_the_request_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path()).await;
    let held = admission(gateway.shared(), true).await;
    let panicked = tokio::spawn(async move {
        let _held = held;
        panic!("injected");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    gateway.drain().await;
    let settled = settlements(folder.path());
    assert_eq!(settled.len(), 1);
    assert_eq!((&settled[0]["outcome"], &settled[0]["estimated"]), (&"failed".into(), &true.into()));
    // A hundred tokens of input at $4 a million: it was sent, so it may be billed.
    assert_eq!(settled[0]["cost_nano_usd"], 400_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_sent_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path()).await;
    drop(admission(gateway.shared(), false).await);
    drop(admission(gateway.shared(), true).await);
    gateway.drain().await;
    let settled = settlements(folder.path());
    assert_eq!((&settled[0]["outcome"], &settled[0]["cost_nano_usd"]), (&"failed".into(), &0.into()));
    assert_eq!((&settled[1]["outcome"], &settled[1]["cost_nano_usd"]), (&"aborted".into(), &400_000.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_the_admission_is_written_is_settled_too() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path()).await;
    let shared = gateway.shared().clone();
    let mut left = admission(&shared, false).await;
    // As if the journal had not answered yet.
    left.entering = Some(shared.journal.admit(shared.now(), entry(&shared)));
    drop(left);
    for _ in 0..500 {
        if !settlements(folder.path()).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(settlements(folder.path()).len(), 1);
    gateway.drain().await;
}
