//! Whatever ends a request settles it once, and the books say what the upstream served.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tollgate_acceptance::{Connection, House, client};
use tollgate_simulator::Ending;

const VERSION: &str = "anthropic-version: 2023-06-01";
const REQUESTS: usize = 300;

/// What each client of the storm does, in turn.
const STORM: [(&str, bool, Leave); 12] = [
    ("events=5", true, Leave::AtTheEnd),
    ("events=5", false, Leave::AtTheEnd),
    ("size=200kb;events=100", true, Leave::AfterBytes),
    ("events=10;pace_ms=2", true, Leave::AfterBytes),
    ("first_byte_ms=30", true, Leave::AtOnce),
    ("events=10;cut", true, Leave::AtTheEnd),
    ("events=10;reset=3", true, Leave::AtTheEnd),
    ("reset=head", false, Leave::AtTheEnd),
    ("events=10;error_event;at=4", true, Leave::AtTheEnd),
    ("status=529", true, Leave::AtTheEnd),
    ("gzip;events=20", true, Leave::AtTheEnd),
    ("thinking;tool=Bash:{};usage=in:11,out:7,cr:5,c5:3,c1:2", true, Leave::AtTheEnd),
];

#[derive(Clone, Copy, PartialEq)]
enum Leave {
    AtTheEnd,
    AfterBytes,
    AtOnce,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_aborts_and_cuts_leaves_the_books_closed() {
    let house = House::open().await;
    let key = house.key("red").await;
    let address = house.address();
    let mut clients = Vec::new();
    for number in 0..REQUESTS {
        let (directive, stream, leave) = STORM[number % STORM.len()];
        let key = key.clone();
        clients.push(tokio::spawn(async move {
            let body = format!(
                r#"{{"model":"claude-opus-5-5","max_tokens":64,"stream":{stream},"messages":[{{"role":"user","content":"{number}"}}]}}"#
            );
            let headers = [&format!("x-api-key: {key}"), VERSION, &format!("x-simulator: {directive}")];
            let head = client::head("POST", "/v1/messages?beta=true", &headers, Some(body.len()));
            let mut connection = Connection::open(address).await;
            connection.send(format!("{head}{body}").as_bytes()).await;
            match leave {
                Leave::AtTheEnd => drop(connection.answer().await),
                Leave::AfterBytes => drop(connection.head().await),
                Leave::AtOnce => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    house.simulator.record().idle().await;
    let admitted = house.entries("admitted");
    assert_eq!(admitted.len(), REQUESTS);
    let settled = house.wait_for("settled", REQUESTS).await;
    assert_eq!(settled.len(), REQUESTS, "one for each, and none twice");
    let by_admission: HashMap<u64, &Value> =
        settled.iter().map(|entry| (entry["admitted"].as_u64().unwrap(), entry)).collect();
    assert!(admitted.iter().all(|entry| by_admission.contains_key(&entry["seq"].as_u64().unwrap())));
    agree_with_the_simulator(&house, &settled);
    agree_with_the_report(&house, &settled).await;
    house.close().await;
}

/// Every complete answer is booked as it was told, and every other at no less than the input and no more than the
/// whole.
fn agree_with_the_simulator(house: &House, settled: &[Value]) {
    let record = house.simulator.record();
    let mut complete = 0;
    for entry in settled {
        let Some(id) = entry["upstream_request_id"].as_str() else {
            continue;
        };
        let seen = record.by_request_id(id).unwrap_or_else(|| panic!("{id} is not the simulator's"));
        let used = |field: &str| entry["usage"][field].as_u64().unwrap_or(0);
        let Some(told) = seen.answer.usage else {
            assert_eq!(entry["cost_nano_usd"], 0, "an error is not billed: {entry:#}");
            continue;
        };
        if entry["outcome"] == "complete" {
            complete += 1;
            assert_eq!(seen.answer.ending, Ending::Complete);
            assert_eq!((used("input_tokens"), used("output_tokens")), (told.input, told.output), "{entry:#}");
            assert_eq!(used("cache_read_tokens"), told.cache_read);
        } else {
            assert_eq!(entry["estimated"], true, "{entry:#}");
            assert!(used("output_tokens") <= seen.answer.chars.div_ceil(4).max(told.output), "{entry:#}");
            assert!(entry["cost_nano_usd"].as_u64().unwrap() > 0, "{entry:#}");
        }
    }
    assert!(complete >= REQUESTS / STORM.len() * 4, "{complete}");
}

async fn agree_with_the_report(house: &House, settled: &[Value]) {
    let rows = house.usage("key").await;
    assert_eq!(rows.len(), 1);
    let cost: u64 = settled.iter().map(|entry| entry["cost_nano_usd"].as_u64().unwrap()).sum();
    assert_eq!((&rows[0]["requests"], &rows[0]["cost_nano_usd"]), (&REQUESTS.into(), &cost.into()));
}
