//! kill -9 while people decide: what was acknowledged stands, what was not is whole or not there, and each change is on
//! record with what was before and after.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tollgate_acceptance::house::entries;
use tollgate_acceptance::past::live_through;
use tollgate_acceptance::serve::run;
use tollgate_acceptance::{Answer, Connection, Serve, client};
use tollgate_simulator::{Config, Simulator};

/// Months that are over, each with one request.
const MONTHS: [&str; 6] = ["2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06"];
const ROUNDS: u64 = 12;
/// Longer than any decision takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a process takes decisions, and by which credential.
#[derive(Clone)]
struct Desk {
    address: SocketAddr,
    bearer: String,
    acknowledged: Arc<Acknowledged>,
}

/// What was acknowledged: the calls and their answers.
#[derive(Default)]
struct Acknowledged {
    all: Mutex<Vec<(String, Value)>>,
    grown: Notify,
}

impl Acknowledged {
    fn push(&self, target: String, answer: Value) {
        self.all.lock().unwrap().push((target, answer));
        self.grown.notify_one();
    }

    /// Waits until there are more than so many.
    async fn beyond(&self, count: usize) {
        while self.all.lock().unwrap().len() <= count {
            timeout(PATIENCE, self.grown.notified()).await.expect("a decision is acknowledged");
        }
    }
}

impl Desk {
    fn of(serve: &Serve, acknowledged: &Arc<Acknowledged>) -> Self {
        let instance = std::fs::read_to_string(serve.data().join("instance.json")).unwrap();
        let instance: Value = serde_json::from_str(&instance).unwrap();
        let address = instance["admin"].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
        let bearer = format!("Authorization: Bearer {}", instance["token"].as_str().unwrap());
        Self { address, bearer, acknowledged: Arc::clone(acknowledged) }
    }

    /// Asks a process that may be killed meanwhile.
    async fn ask(&self, target: &str, headers: &[&str], body: Option<&Value>) -> Option<Answer> {
        let (method, path) = target.split_once(' ').unwrap();
        let body = body.map(Value::to_string);
        let all: Vec<&str> = std::iter::once(self.bearer.as_str()).chain(headers.iter().copied()).collect();
        let head = client::head(method, path, &all, body.as_ref().map(String::len));
        let stream = tokio::net::TcpStream::connect(self.address).await.ok()?;
        let mut connection = Connection::over(stream);
        connection.send(format!("{head}{}", body.unwrap_or_default()).as_bytes()).await;
        connection.answer().await.filter(|answer| answer.whole)
    }

    async fn decide(&self, target: String, headers: &[&str], body: Value) -> Option<Answer> {
        let answer = self.ask(&target, headers, Some(&body)).await?;
        if matches!(answer.status, 200 | 201) {
            self.acknowledged.push(target, answer.json());
        }
        Some(answer)
    }

    /// Makes things and changes them, until nobody answers.
    async fn decide_on(self, round: u64) {
        for number in 0_u64.. {
            let name = format!("r{round}-{number}");
            let key = json!({ "team": "red", "note": name });
            let Some(made) = self.decide("POST /admin/v1/keys".into(), &[], key).await else { return };
            let id = made.json()["key"]["id"].as_str().unwrap().to_owned();
            let target = format!("POST /admin/v1/keys/{id}/rotate");
            let Some(_) = self.decide(target, &[], json!({ "grace_seconds": 60 })).await else { return };
            let span = json!({ "period": { "period": "day", "calendar": {} } });
            for amount in [5, 6] {
                let wish = json!({ "name": name, "on": { "org": "default", "team": name }, "measure": "requests",
                    "amount": amount, "span": span });
                let target = format!("PUT /admin/v1/allowances/{name}");
                let headers: &[&str] = if amount == 5 { &[] } else { &["If-Match: *"] };
                let Some(_) = self.decide(target, headers, wish).await else { return };
            }
        }
    }

    /// Closes the months that are over in their order, until nobody answers.
    async fn close_on(self) {
        for month in MONTHS {
            let body = json!({ "period": month });
            let Some(_) = self.decide("POST /admin/v1/statements".into(), &[], body).await else { return };
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_leaves_each_decision_whole_and_on_record() {
    let simulator = Simulator::start(Config::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let days = MONTHS.map(|month| format!("{month}-10T10:00:00.000Z"));
    let past: Vec<_> = days.iter().map(|day| (day.as_str(), "red", "ann", Some("4711"))).collect();
    let costs = live_through(&data, &past);
    let acknowledged = Arc::<Acknowledged>::default();
    for round in 0..ROUNDS {
        let mut serve = Serve::start(&data, &simulator.url()).await;
        let desk = Desk::of(&serve, &acknowledged);
        let deciding = [tokio::spawn(desk.clone().decide_on(round)), tokio::spawn(desk.close_on())];
        // A different instant each time, spread over the closing of a month, however slow the machine is.
        acknowledged.beyond(round as usize).await;
        sleep(Duration::from_millis(round * 5 % 40)).await;
        serve.kill();
        for task in deciding {
            task.await.unwrap();
        }
    }
    let last = Serve::start(&data, &simulator.url()).await;
    Desk::of(&last, &acknowledged).close_on().await;
    let acknowledged = acknowledged.all.lock().unwrap().clone();
    assert!(acknowledged.len() > ROUNDS as usize, "{}", acknowledged.len());
    for (target, answer) in &acknowledged {
        stands(&last, target, answer).await;
    }
    let mut stated = Vec::new();
    for month in MONTHS {
        let statement = last.admin("GET", &format!("/admin/v1/statements/{month}"), "").await;
        assert_eq!(statement.status, 200, "{}", statement.text());
        stated.push(statement.json()["total"]["total_nano_usd"].as_i64().unwrap());
    }
    assert_eq!(stated, costs.iter().map(|cost| cost.0).collect::<Vec<_>>());
    assert!(last.stop().await.success());
    let (code, said) = run(&["audit", "verify", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
    each_change_follows_from_the_one_before(&entries(&data));
    simulator.stop().await;
}

/// What was acknowledged is there, as it was or as a later change left it.
async fn stands(serve: &Serve, target: &str, answer: &Value) {
    let path = match target.split_once(' ').unwrap() {
        (_, "/admin/v1/statements") => {
            format!("/admin/v1/statements/{}", answer["period"].as_str().unwrap())
        }
        ("PUT", path) => path.to_owned(),
        _ => format!("/admin/v1/keys/{}", answer["key"]["id"].as_str().unwrap()),
    };
    let found = serve.admin("GET", &path, "").await;
    assert_eq!(found.status, 200, "{target}: {}", found.text());
    let found = found.json();
    if target.ends_with("/statements") {
        assert_eq!(found, *answer, "to the byte as it was closed");
    } else if target.starts_with("PUT") {
        assert!(found["allowance"]["amount"].as_u64() >= answer["allowance"]["amount"].as_u64());
    } else {
        assert_eq!(found["note"], answer["key"]["note"]);
    }
}

/// `before` is always what the entry before it left, so that nothing was changed off the record.
fn each_change_follows_from_the_one_before(journal: &[Value]) {
    let mut allowances: HashMap<&str, &Value> = HashMap::new();
    let mut keys: HashMap<&str, &Value> = HashMap::new();
    let mut changes = 0;
    for entry in journal {
        let (before, after) = (&entry["before"], &entry["after"]);
        let (known, name) = match entry["kind"].as_str().unwrap() {
            "allowance_set" => (&mut allowances, after["name"].as_str().unwrap()),
            "key_created" | "key_rotated" => (&mut keys, after["id"].as_str().unwrap()),
            _ => continue,
        };
        assert_eq!(known.insert(name, after).unwrap_or(&Value::Null), before, "{entry:#}");
        if let Some(id) = entry["also"]["id"].as_str() {
            assert!(keys.insert(id, &entry["also"]).is_none());
        }
        changes += usize::from(!before.is_null());
    }
    assert!(changes > 0, "something was changed");
}
