//! Rows C5 and C6: what was served is what is booked, to the nano-dollar.

use serde_json::Value;
use tollgate_acceptance::{House, post};

const VERSION: &str = "anthropic-version: 2023-06-01";

fn body(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","max_tokens":64,"stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#
    )
}

async fn settle(house: &House, key: &str, model: &str, stream: bool, directive: &str) -> Value {
    let before = house.entries("settled").len();
    let headers = [key, VERSION, &format!("x-simulator: {directive}")];
    let answer = post(house.address(), "/v1/messages", &headers, body(model, stream)).await;
    assert_eq!(answer.status, 200, "{directive}: {}", answer.text());
    house.wait_for("settled", before + 1).await.pop().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_and_cost_are_what_the_upstream_served() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    // Tokens by list price: input, output, cache read, 5-minute and 1-hour cache writes.
    let rows = [
        ("claude-opus-5-5", "usage=in:1000,out:100", 1000 * 4_000 + 100 * 20_000),
        (
            "claude-opus-5-5",
            "usage=in:10,out:5,cr:1000,c5:200,c1:300",
            10 * 4_000 + 5 * 20_000 + 1000 * 200 + 200 * 5_000 + 300 * 8_000,
        ),
        ("claude-sonnet-5-5", "usage=in:7,out:3,cr:11", 7 * 2_000 + 3 * 10_000 + 11 * 100),
        ("claude-haiku-5-5", "usage=in:100000,out:10", 100_000 * 100 + 10 * 500),
        ("claude-haiku-5-5", "usage=in:1,out:10,cr:100000", 500 + 10 * 2_500 + 100_000 * 50),
        ("claude-opus-5-5", "usage=in:10,out:10;web_search=2", 10 * 4_000 + 10 * 20_000 + 2 * 10_000_000),
        ("claude-opus-5-5", "usage=in:100,out:10;geo=us", (100 * 4_000 + 10 * 20_000) * 11 / 10),
        ("claude-opus-5-5", "usage=in:0,out:0", 0),
        ("claude-opus-5-5", "usage=in:1000,out:100;gzip", 1000 * 4_000 + 100 * 20_000),
        ("claude-opus-5-5", "usage=in:1000,out:100;chunk=3", 1000 * 4_000 + 100 * 20_000),
        // A refusal before any output is not billed.
        ("claude-opus-5-5", "refusal", 0),
    ];
    for (model, directive, cost) in rows {
        for stream in [true, false] {
            let settled = settle(&house, &key, model, stream, directive).await;
            assert_eq!(
                settled["cost_nano_usd"], cost as u64,
                "{model} {directive} stream={stream}: {settled:#}"
            );
            assert_eq!(settled["outcome"], "complete");
            assert!(settled["estimated"].is_null(), "{settled:#}");
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_is_dear_never_free() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let known = settle(&house, &key, "claude-fable-5-1", true, "usage=in:1000,out:100").await;
    let unknown = settle(&house, &key, "claude-nova-9", true, "usage=in:1000,out:100").await;
    assert_eq!(unknown["unknown_price"], true);
    assert!(unknown["cost_nano_usd"].as_u64() >= known["cost_nano_usd"].as_u64(), "{unknown:#}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_that_served_is_the_model_that_is_paid() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let settled =
        settle(&house, &key, "claude-opus-5-5", true, "model=claude-haiku-5-5;usage=in:100,out:10").await;
    assert_eq!(
        (&settled["model"], &settled["served_model"]),
        (&"claude-opus-5-5".into(), &"claude-haiku-5-5".into())
    );
    assert_eq!(settled["cost_nano_usd"], 100 * 100 + 10 * 500);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_usage_is_booked_by_the_floor() {
    let house = House::open().await;
    let key = format!("x-api-key: {}", house.key("red").await);
    let settled = settle(&house, &key, "claude-opus-5-5", true, "no_usage;size=4kb").await;
    let input = (body("claude-opus-5-5", true).len() as u64).div_ceil(4);
    assert_eq!(settled["estimated"], true);
    assert_eq!(settled["usage"]["input_tokens"], input);
    assert_eq!(settled["usage"]["output_tokens"], 1024);
    assert_eq!(settled["cost_nano_usd"], input * 4_000 + 1024 * 20_000);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_agrees_with_what_was_served() {
    let house = House::open().await;
    let (red, blue) = (house.key("red").await, house.key("blue").await);
    for round in 0..12 {
        let key = format!("x-api-key: {}", if round % 3 == 0 { &blue } else { &red });
        let model = if round % 2 == 0 { "claude-opus-5-5" } else { "claude-sonnet-5-5" };
        settle(&house, &key, model, round % 4 < 2, "size=1kb;events=5").await;
    }
    let served = house.simulator.record().served();
    let rows = house.usage("team,model").await;
    for (model, tokens) in &served.by_model {
        let sum = |field: &str| -> u64 {
            rows.iter().filter(|row| row["model"] == *model).map(|row| row[field].as_u64().unwrap()).sum()
        };
        assert_eq!((sum("input_tokens"), sum("output_tokens")), (tokens.input, tokens.output), "{model}");
    }
    let requests: u64 = rows.iter().map(|row| row["requests"].as_u64().unwrap()).sum();
    assert_eq!((requests, served.requests), (12, 12));
    assert_eq!(rows.iter().filter(|row| row["team"] == "blue").count(), 2);
    house.close().await;
}
