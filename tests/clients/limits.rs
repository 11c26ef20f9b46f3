//! Row C4 with the real clients: they wait where waiting helps, and go on; they stop at once where it does not, and the
//! person reads why.

use std::time::Duration;

use serde_json::{Value, json};
use tollgate_acceptance::claude::Claude;
use tollgate_acceptance::loopback;
use tollgate_acceptance::{House, Plan, house::entries, post};

use crate::books::{self, Books};
use crate::sdk::BOTH;

/// Far below the three minutes for which Claude Code tries again when it is left to itself.
const AT_ONCE: Duration = Duration::from_secs(30);
/// One request, and then one a second.
const ONE_A_SECOND: &str = "allowances:\n  - { name: rpm, each: key, requests: 60, per: minute, burst: 1 }\n";
const ONE_AT_ONCE: &str = "allowances:\n  - { name: single, each: key, concurrent: 1 }\n";
const BUDGET: &str = "books: { time_zone: Europe/Berlin }\nallowances:\n  - name: red-month\n    on: { team: red }\n    \
                      usd: \"100\"\n    per: month\n    warn_at: [75, 95]\n    message: Ask finops@example.org.\n";
/// Output tokens for a dollar, of the model that [`spend`] uses.
const TOKENS_PER_DOLLAR: u64 = 50_000;

async fn house(config: &str) -> House {
    House::build(Plan { config: config.into(), ..Plan::default() }).await
}

fn claude(house: &House, key: &str) -> Claude {
    Claude::at(&format!("http://{}", house.address())).with("ANTHROPIC_AUTH_TOKEN", key)
}

/// Somebody spends so many dollars on one request.
async fn spend(house: &House, key: &str, dollars: u64) {
    let body = r#"{"model":"claude-opus-5-5","max_tokens":16,"messages":[{"role":"user","content":"hi"}]}"#;
    let usage = format!("x-simulator: usage=in:0,out:{}", dollars * TOKENS_PER_DOLLAR);
    let headers = [&format!("x-api-key: {key}"), "anthropic-version: 2023-06-01", &usage];
    let answer = post(house.address(), "/v1/messages", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// A prompt that makes Claude Code run a shell command so often, one after the other.
fn tool_loop(turns: usize, more: &str) -> String {
    format!(
        r#"[[sim: tool=Bash:{{"command":"echo tolls-$((40+2))","description":"count"}};turns={turns}{more}]]"#
    )
}

/// What every refusal of the budget says: whose it is, how much, when it resets, and the operator's own words.
fn says_all_of_the_budget(text: &str) {
    for part in [
        "`red-month`",
        "team red",
        "$100.00 per month",
        "$100.00 used",
        "00:00 in Europe/Berlin",
        "Ask finops@example.org.",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// The codes of all refusals.
fn codes(house: &House) -> Vec<String> {
    house.entries("denied").iter().map(|entry| entry["code"].as_str().unwrap().to_owned()).collect()
}

/// The most requests that ran at once, by the journal.
fn most_at_once(house: &House) -> usize {
    let (mut open, mut most) = (0, 0);
    for entry in entries(&house.data) {
        match entry["kind"].as_str() {
            Some("admitted") => open += 1,
            Some("settled") => open -= 1,
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// Requires that admissions lie as far apart as the limit of one a second has it.
fn are_a_second_apart(house: &House) {
    let at: Vec<i64> = house.entries("admitted").iter().map(|entry| unix_ms(&entry["at"])).collect();
    for pair in at.windows(2) {
        assert!(pair[1] - pair[0] >= 1000, "{at:?}");
    }
}

fn unix_ms(at: &Value) -> i64 {
    at.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

#[test]
fn claude_code_waits_out_a_rate_limit_in_the_middle_of_its_tool_loop() {
    loopback::run(async {
        let house = house(ONE_A_SECOND).await;
        let claude = claude(&house, &house.key("red").await).arguments(&["--allowedTools", "Bash"]);
        let lines = claude.ask_for_lines(&tool_loop(2, "")).await;
        let end = lines.last().unwrap();
        assert_eq!((&end["type"], &end["is_error"]), (&json!("result"), &json!(false)), "{end:#}");
        assert!(end["result"].as_str().unwrap().contains("tolls-42"), "{end:#}");
        // Each turn but the first came too early once, and came again when it had been told to.
        let waits = lines.iter().filter(|line| line["subtype"] == "api_retry").count();
        assert_eq!((waits, codes(&house)), (2, vec!["rate_limited".to_owned(); 2]));
        are_a_second_apart(&house);
        books::agree(&house, Books { settled: 3, denied: 2 }).await;
        house.close().await;
    });
}

#[test]
fn agents_below_claude_code_take_turns_where_one_request_may_run() {
    loopback::run(async {
        let house = house(ONE_AT_ONCE).await;
        let claude = claude(&house, &house.key("red").await).arguments(&["--allowedTools", "Agent"]);
        let agent =
            r#"tool=Agent:{"description":"count","prompt":"\u005b[sim: first_byte_ms=400;text=counted]]"}"#;
        let lines = claude.ask_for_lines(&format!("[[sim: {agent};{agent}]]")).await;
        let end = lines.last().unwrap();
        assert_eq!((&end["type"], &end["is_error"]), (&json!("result"), &json!(false)), "{end:#}");
        let done = lines.iter().filter(|line| line["subtype"] == "task_notification");
        let done: Vec<_> = done.map(|line| (&line["status"], &line["summary"])).collect();
        assert_eq!(done, [(&json!("completed"), &json!("counted")); 2], "both agents did their work");
        let refused = codes(&house);
        assert!(!refused.is_empty() && refused.iter().all(|code| code == "too_many_at_once"), "{refused:?}");
        let admitted = house.entries("admitted").len();
        books::agree(&house, Books { settled: admitted, denied: refused.len() }).await;
        assert_eq!(most_at_once(&house), 1);
        house.close().await;
    });
}

#[test]
fn claude_code_stops_at_once_at_a_spent_budget_and_the_person_reads_why() {
    loopback::run(async {
        let house = house(BUDGET).await;
        let key = house.key("red").await;
        spend(&house, &key, 100).await;
        let done = claude(&house, &key).ask("[[sim: text=good day]]").await;
        assert_eq!(done.code, 1, "{done:#?}");
        assert!(done.stdout.starts_with("API Error: Request rejected (429)"), "{done:#?}");
        says_all_of_the_budget(&done.stdout);
        assert!(done.took < AT_ONCE, "{done:#?}");
        let said = claude(&house, &key).ask_for_json("[[sim: text=good day]]").await;
        assert_eq!((&said["is_error"], &said["api_error_type"]), (&json!(true), &json!("billing_error")));
        assert_eq!(codes(&house), ["budget_exhausted"; 2], "each came once");
        let other = house.key("blue").await;
        assert_eq!(claude(&house, &other).ask("[[sim: text=good day]]").await.code, 0, "others go on");
        books::agree(&house, Books { settled: 2, denied: 2 }).await;
        house.close().await;
    });
}

/// Claude Code 2.1.330 reads these headers, and shows nothing of them to people who came with a plain key.
#[test]
fn a_budget_that_runs_low_does_not_disturb_claude_code() {
    loopback::run(async {
        let house = house(BUDGET).await;
        let key = house.key("red").await;
        for (dollars, passed) in [(80, 75), (16, 95)] {
            spend(&house, &key, dollars).await;
            let done = claude(&house, &key).ask("[[sim: text=good day]]").await;
            assert_eq!((done.code, done.stdout.trim(), done.stderr.trim()), (0, "good day", ""), "{done:#?}");
            let told = house.entries("threshold_passed").pop().unwrap();
            assert_eq!((&told["allowance"], &told["percent"]), (&json!("red-month"), &json!(passed)));
        }
        books::agree(&house, Books { settled: 4, denied: 0 }).await;
        house.close().await;
    });
}

#[test]
fn a_session_that_runs_away_is_stopped_within_its_tool_loop_and_the_next_one_runs() {
    loopback::run(async {
        let house = house("brakes: { usd: \"1\" }\n").await;
        let key = house.key("red").await;
        let loops = claude(&house, &key).arguments(&["--allowedTools", "Bash"]);
        // 40 cents a turn: the third is one too many.
        let done = loops.ask(&tool_loop(50, ";usage=in:0,out:20000")).await;
        assert_eq!(done.code, 1, "{done:#?}");
        for part in [
            "API Error: Request rejected (429)",
            "This session is paused until 20",
            "it cost $1.20 within 10 minutes, and $1.00 is the most",
            "The gateway's operator can resume it earlier.",
        ] {
            assert!(done.stdout.contains(part), "{part}: {done:#?}");
        }
        assert!(done.took < AT_ONCE, "{done:#?}");
        assert_eq!(codes(&house), ["session_paused"], "it came once");
        let paused = house.wait_for("session_paused", 1).await;
        assert_eq!(paused[0]["session"], house.entries("admitted")[0]["session"]);

        let session = paused[0]["session"].as_str().unwrap();
        let again = loops.arguments(&["--resume", session]).ask("[[sim: text=good day]]").await;
        assert_eq!((again.code, codes(&house).len()), (1, 2), "the same session again: {again:#?}");
        let next = claude(&house, &key).ask("[[sim: text=good day]]").await;
        assert_eq!((next.code, next.stdout.trim()), (0, "good day"), "{next:#?}");
        books::agree(&house, Books { settled: 4, denied: 2 }).await;
        house.close().await;
    });
}

#[test]
fn the_burst_of_context_passes_beside_tight_limits_on_messages() {
    loopback::run(async {
        let config = "allowances:\n  - { name: day, requests: 1, per: day }\n  - { name: single, concurrent: 1 }\n  \
                      - { name: money, usd: \"0.000000001\", per: day }\n  - { name: input, input_tokens: 1, per: minute }\n  \
                      - { name: counts, count_tokens: 60, per: minute }\n";
        let house = house(config).await;
        let key = house.key("red").await;
        let done = claude(&house, &key).ask("/context").await;
        assert_eq!(done.code, 0, "{done:#?}");
        assert!(done.stdout.contains("Context Usage"), "{done:#?}");
        let seen = books::seen(&house).await;
        assert!((20..=60).contains(&seen.len()), "a burst: {}", seen.len());
        assert!(seen.iter().all(|seen| seen.answer.status == Some(200)));
        books::agree(&house, Books { settled: seen.len(), denied: 0 }).await;
        // The limits are there.
        assert_eq!(claude(&house, &key).ask("[[sim: text=good day]]").await.code, 1);
        assert_eq!(house.wait_for("denied", 1).await.len(), 1);
        house.close().await;
    });
}

#[test]
fn sdks_wait_out_a_rate_limit() {
    loopback::run(async {
        for sdk in BOTH {
            let house = house(ONE_A_SECOND).await;
            let key = house.key("red").await;
            let step = json!({ "do": "message", "retries": 2, "prompt": "[[sim: text=good day]]" });
            let results = sdk.ask(&house, &key, json!([step, step, step])).await;
            assert!(results.iter().all(|result| result["text"] == "good day"), "{sdk:?}: {results:#?}");
            are_a_second_apart(&house);
            // The first try of each is refused, but for the very first. A client that needs a second to come again
            // needs no second try.
            let tries: Vec<_> = books::seen(&house).await.iter().map(tries).collect();
            assert!(tries[0] == "0" && tries[1..].iter().all(|count| count == "1"), "{sdk:?}: {tries:?}");
            books::agree(&house, Books { settled: 3, denied: 2 }).await;
            house.close().await;
        }
    });
}

fn tries(seen: &tollgate_simulator::Seen) -> String {
    seen.header("x-stainless-retry-count").unwrap_or_default().to_owned()
}

#[test]
fn sdks_take_turns_where_one_request_may_run() {
    loopback::run(async {
        for sdk in BOTH {
            let house = house(ONE_AT_ONCE).await;
            let key = house.key("red").await;
            let step = json!({ "do": "parallel", "retries": 2, "prompt": "[[sim: first_byte_ms=500;text=good day]]" });
            let results = sdk.ask(&house, &key, json!([step])).await;
            assert_eq!(results[0]["texts"], json!(["good day", "good day"]), "{sdk:?}: {results:#?}");
            assert_eq!(codes(&house), ["too_many_at_once"], "{sdk:?}");
            books::agree(&house, Books { settled: 2, denied: 1 }).await;
            assert_eq!(most_at_once(&house), 1);
            house.close().await;
        }
    });
}

#[test]
fn sdks_stop_at_once_at_a_spent_budget_and_in_a_paused_session() {
    loopback::run(async {
        let config = format!("{BUDGET}brakes: {{ repeats: 2 }}\n");
        for sdk in BOTH {
            let house = house(&config).await;
            let (red, blue) = (house.key("red").await, house.key("blue").await);
            spend(&house, &red, 100).await;
            let looping =
                json!({ "do": "message", "retries": 2, "key": blue, "session": "loop", "prompt": "again" });
            let spent = json!({ "do": "stream", "retries": 2 });
            let mut steps = vec![looping; 3];
            steps.push(spent);
            let results = sdk.ask(&house, &red, steps.into()).await;
            assert!(results[..2].iter().all(|result| result["stop_reason"] == "end_turn"), "{results:#?}");
            for result in &results[2..] {
                assert_eq!((&result["error"], &result["status"]), (&json!("RateLimitError"), &json!(429)));
                assert!(result["retry_after"].as_str().unwrap().parse::<u32>().unwrap() > 60, "{result:#}");
            }
            let told = |number: usize| results[number]["text"].as_str().unwrap();
            assert_eq!(results[2]["type"], "rate_limit_error", "{sdk:?}");
            let why = "it sent the same request 3 times within 10 minutes";
            assert!(told(2).contains("This session is paused until") && told(2).contains(why), "{}", told(2));
            assert_eq!(results[3]["type"], "billing_error", "{sdk:?}");
            says_all_of_the_budget(told(3));
            assert_eq!(codes(&house), ["session_paused", "budget_exhausted"], "{sdk:?}: each came once");
            house.close().await;
        }
    });
}
