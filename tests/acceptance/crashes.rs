//! kill -9 and a full disk: nothing that was acknowledged is lost, nothing is counted twice, service comes back.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tollgate_acceptance::house::{UPSTREAM_KEY, entries};
use tollgate_acceptance::serve::run;
use tollgate_acceptance::{Connection, Serve, client, post};
use tollgate_simulator::{Config, Keep, Running, Simulator};

const VERSION: &str = "anthropic-version: 2023-06-01";
const BODY: &str = r#"{"model":"claude-opus-5-5","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const CLIENTS: usize = 8;

async fn simulator() -> Running {
    let keep = Keep { requests: 1_000_000, ..Keep::default() };
    Simulator::start(Config { api_key: Some(UPSTREAM_KEY.into()), keep, ..Config::default() }).await.unwrap()
}

/// How many rounds of kill -9: few in a quick run, 200 in `make acceptance`.
fn rounds() -> u64 {
    std::env::var("TOLLGATE_KILL_ROUNDS")
        .map_or(5, |rounds| rounds.parse().expect("TOLLGATE_KILL_ROUNDS is a number"))
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_in_a_loop_loses_nothing_and_counts_nothing_twice() {
    let simulator = simulator().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = {
        let first = Serve::start(&data, &simulator.url()).await;
        let key = first.key("red").await;
        assert!(first.stop().await.success());
        key
    };
    let mut received = Vec::new();
    for round in 0..rounds() {
        let mut serve = Serve::start(&data, &simulator.url()).await;
        let clients = load(&serve, &key, round);
        // A different instant each time, spread over the life of a request.
        tokio::time::sleep(Duration::from_millis(30 + round * 37 % 250)).await;
        serve.kill();
        received.extend(clients.stop().await);
    }
    let last = Serve::start(&data, &simulator.url()).await;
    let usage = last.admin("GET", "/admin/v1/usage?by=outcome", "").await.json();
    assert!(last.stop().await.success());
    simulator.record().idle().await;

    let (code, said) = run(&["audit", "verify", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    let journal = entries(&data);
    let of_kind = |kind: &str| journal.iter().filter(|entry| entry["kind"] == kind).collect::<Vec<_>>();
    let (admitted, settled) = (of_kind("admitted"), of_kind("settled"));
    let by_admission: HashMap<u64, &Value> =
        settled.iter().map(|entry| (entry["admitted"].as_u64().unwrap(), *entry)).collect();
    assert_eq!(
        (by_admission.len(), settled.len()),
        (admitted.len(), admitted.len()),
        "one settlement for each"
    );
    assert!(admitted.iter().all(|entry| by_admission.contains_key(&entry["seq"].as_u64().unwrap())));
    assert!(!received.is_empty(), "the storm got answers");
    every_answer_received_is_booked(&simulator, &settled, &received);
    let rows = usage["rows"].as_array().unwrap();
    let requests: u64 = rows.iter().map(|row| row["requests"].as_u64().unwrap()).sum();
    let cost: u64 = rows.iter().map(|row| row["cost_nano_usd"].as_u64().unwrap()).sum();
    assert_eq!(requests as usize, settled.len());
    assert_eq!(cost, settled.iter().map(|entry| entry["cost_nano_usd"].as_u64().unwrap()).sum::<u64>());
    simulator.stop().await;
}

/// Whoever saw the last byte of an answer finds it in the books with the tokens that were told.
fn every_answer_received_is_booked(simulator: &Running, settled: &[&Value], received: &[String]) {
    let by_id: HashMap<&str, &Value> =
        settled.iter().filter_map(|entry| Some((entry["upstream_request_id"].as_str()?, *entry))).collect();
    for id in received {
        let entry = by_id.get(id.as_str()).unwrap_or_else(|| panic!("{id} was answered but is not booked"));
        let told = simulator.record().by_request_id(id).unwrap().answer.usage.unwrap();
        let used = |field: &str| entry["usage"][field].as_u64().unwrap_or(0);
        assert_eq!(entry["outcome"], "complete", "{entry:#}");
        assert_eq!((used("input_tokens"), used("output_tokens")), (told.input, told.output), "{entry:#}");
    }
}

/// Clients that go on until told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

fn load(serve: &Serve, key: &str, round: u64) -> Load {
    let stop = Arc::new(AtomicBool::new(false));
    let address = serve.address();
    let clients = (0..CLIENTS).map(|number| {
        let (stop, key) = (stop.clone(), key.to_owned());
        let directive = ["events=3", "events=20;pace_ms=3", "size=100kb", "first_byte_ms=40"]
            [(number + round as usize) % 4];
        tokio::spawn(async move {
            let mut received = Vec::new();
            let headers = [&format!("x-api-key: {key}"), VERSION, &format!("x-simulator: {directive}")];
            let head = client::head("POST", "/v1/messages", &headers, Some(BODY.len()));
            while !stop.load(Ordering::Relaxed) {
                let Ok(stream) = tokio::net::TcpStream::connect(address).await else { break };
                let mut connection = Connection::over(stream);
                connection.send(format!("{head}{BODY}").as_bytes()).await;
                match connection.answer().await {
                    Some(answer) if answer.whole && answer.status == 200 => {
                        received.push(answer.header("request-id").unwrap().to_owned());
                    }
                    _ => {}
                }
            }
            received
        })
    });
    Load { clients: clients.collect(), stop }
}

impl Load {
    async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut received = Vec::new();
        for client in self.clients {
            received.extend(client.await.unwrap());
        }
        received
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_requests_loses_nothing_and_mends_itself() {
    let simulator = simulator().await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let serve = Serve::start_on_tmpfs(&data, 8, &simulator.url()).await;
    let key = serve.key("red").await;
    let headers = [&*format!("x-api-key: {key}"), VERSION];
    assert_eq!(post(serve.address(), "/v1/messages", &headers, BODY).await.status, 200);

    let slow = [headers[0], VERSION, "x-simulator: events=4;silence_ms=3000;at=3"];
    let mut running = Connection::open(serve.address()).await;
    running
        .send(format!("{}{BODY}", client::head("POST", "/v1/messages", &slow, Some(BODY.len()))).as_bytes())
        .await;
    running.until(b"message_start").await;
    let filler = serve.data().join("filler");
    fill(&filler);
    let refused = refusal(&serve, &headers).await;
    assert_eq!((refused.status, refused.error_type().as_str()), (503, "api_error"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(client::get(serve.address(), "/readyz", &[]).await.status, 503);
    assert_eq!(client::get(serve.address(), "/healthz", &[]).await.status, 200);
    let before = simulator.record().served().requests;
    assert_eq!(post(serve.address(), "/v1/messages", &headers, BODY).await.status, 503);
    assert_eq!(simulator.record().served().requests, before, "no record, no request");
    // The request that was under way ends as if nothing were wrong.
    running.until(b"message_stop").await;

    std::fs::remove_file(&filler).unwrap();
    let mut status = 503;
    for _ in 0..500 {
        status = post(serve.address(), "/v1/messages", &headers, BODY).await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(status, 200, "service resumes by itself");
    let usage = serve.admin("GET", "/admin/v1/usage?by=outcome", "").await.json();
    let journal = entries(serve.data());
    let count = |kind: &str| journal.iter().filter(|entry| entry["kind"] == kind).count();
    assert_eq!(count("admitted"), count("settled"), "the one that ended meanwhile is settled too");
    assert_eq!(usage["rows"][0]["requests"], count("settled"));
    assert_eq!(usage["rows"].as_array().unwrap().len(), 1, "{usage:#}");
    assert!(count("resumed") >= 1, "the gap is on record");
    let (code, said) = serve.run_beside(&["audit", "verify", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    assert!(serve.stop().await.success());
    simulator.stop().await;
}

/// Asks until it is refused for good: a disk that was just filled has room for a few lines more in the pages that it
/// has given already.
async fn refusal(serve: &Serve, headers: &[&str]) -> tollgate_acceptance::Answer {
    let mut in_a_row = 0;
    for _ in 0..1000 {
        let answer = post(serve.address(), "/v1/messages", headers, BODY).await;
        in_a_row = if answer.status == 200 { 0 } else { in_a_row + 1 };
        if in_a_row == 25 {
            return answer;
        }
        // Longer in all than the journal waits before it tries the disk again.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a full disk refused nothing");
}

/// Takes all the room there is.
fn fill(path: &std::path::Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [64 * 1024, 512, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_would_leave_no_core_and_the_command_line_no_secret() {
    let simulator = simulator().await;
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(&folder.path().join("data"), &simulator.url()).await;
    let process = std::path::PathBuf::from(format!("/proc/{}", serve.child.id()));
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    let arguments = std::fs::read(process.join("cmdline")).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(UPSTREAM_KEY));
    assert!(serve.stop().await.success());
    simulator.stop().await;
}
