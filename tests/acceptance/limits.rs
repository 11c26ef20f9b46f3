//! Rows C1, C2 and C4: limits, quotas and budgets refuse what does not fit, in the words and headers that clients act on.

use serde_json::{Value, json};
use tollgate_acceptance::{Answer, Connection, House, Plan, client, get, post};

const VERSION: &str = "anthropic-version: 2023-06-01";

fn body(max_tokens: u64) -> String {
    format!(
        r#"{{"model":"claude-opus-5-5","max_tokens":{max_tokens},"messages":[{{"role":"user","content":"hi"}}]}}"#
    )
}

async fn house(config: &str) -> House {
    House::build(Plan { config: config.into(), ..Plan::default() }).await
}

async fn ask(house: &House, key: &str, directive: &str) -> Answer {
    let headers = [&format!("x-api-key: {key}"), VERSION, &format!("x-simulator: {directive}")];
    post(house.address(), "/v1/messages?beta=true", &headers, body(100)).await
}

/// A request that has begun and does not end before the connection is dropped.
async fn begin(house: &House, key: &str) -> Connection {
    let body = body(100).replace("{\"model\"", "{\"stream\":true,\"model\"");
    let headers = [&format!("x-api-key: {key}"), VERSION, "x-simulator: stall;events=4"];
    let head = client::head("POST", "/v1/messages", &headers, Some(body.len()));
    let mut connection = Connection::open(house.address()).await;
    connection.send(format!("{head}{body}").as_bytes()).await;
    assert_eq!(connection.head().await.unwrap().0, 200);
    connection
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

fn number(answer: &Answer, header: &str) -> i64 {
    answer.header(header).unwrap_or_else(|| panic!("{header} of {:?}", answer.headers)).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_says_wait_and_means_it() {
    let house =
        house("allowances:\n  - { name: rpm, each: key, requests: 60, per: minute, burst: 3 }\n").await;
    let (key, other) = (house.key("red").await, house.key("red").await);
    for left in [2, 1, 0] {
        let answer = ask(&house, &key, "").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(number(&answer, "anthropic-ratelimit-requests-limit"), 3);
        assert_eq!(number(&answer, "anthropic-ratelimit-requests-remaining"), left);
    }
    let answer = ask(&house, &key, "").await;
    assert_eq!((answer.status, answer.error_type().as_str()), (429, "rate_limit_error"));
    assert_eq!(number(&answer, "retry-after"), 1, "one comes back a second");
    assert_eq!(answer.header("x-should-retry"), None, "clients are to wait and go on");
    assert_eq!(number(&answer, "anthropic-ratelimit-requests-remaining"), 0);
    assert_eq!(answer.header("x-tollgate-error-source"), Some("gateway"));
    assert!(
        message(&answer).contains("`rpm`") && message(&answer).contains("60 requests per minute"),
        "{}",
        message(&answer)
    );
    // Whoever waits is served, and nobody else waits.
    assert_eq!(ask(&house, &other, "").await.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(1000)).await;
    assert_eq!(ask(&house, &key, "").await.status, 200);
    let denied = house.wait_for("denied", 1).await;
    assert_eq!((&denied[0]["code"], &denied[0]["allowance"]), (&json!("rate_limited"), &json!("rpm")));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_stops_clients_at_once_and_says_whose_and_until_when() {
    let config = "books: { time_zone: Europe/Berlin }\nallowances:\n  - name: red-month\n    on: { team: red }\n    usd: \"5\"\n    \
                  per: month\n    warn_at: [50, 90]\n    message: Ask finops@example.org.\n";
    let house = house(config).await;
    let (red, blue) = (house.key("red").await, house.key("blue").await);
    // $2 of 5, then 4: below and above the first threshold. Then 4.98, and less is left than any request may cost.
    let answer = ask(&house, &red, "usage=in:0,out:100000").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("anthropic-ratelimit-unified-status"), Some("allowed"));
    let answer = ask(&house, &red, "usage=in:0,out:100000").await;
    assert_eq!(answer.header("anthropic-ratelimit-unified-overage-utilization"), Some("0.4"));
    let answer = ask(&house, &red, "usage=in:0,out:49000").await;
    assert_eq!(answer.header("anthropic-ratelimit-unified-status"), Some("allowed_warning"));
    assert_eq!(answer.header("anthropic-ratelimit-unified-overage-surpassed-threshold"), Some("0.5"));
    assert_eq!(number(&answer, "anthropic-ratelimit-unified-reset") % 60, 0);

    let answer = ask(&house, &red, "").await;
    assert_eq!((answer.status, answer.error_type().as_str()), (429, "billing_error"), "{}", answer.text());
    assert_eq!(answer.header("x-should-retry"), Some("false"));
    assert!(number(&answer, "retry-after") > 60);
    assert_eq!(answer.header("anthropic-ratelimit-unified-status"), Some("rejected"));
    let said = message(&answer);
    for part in
        ["`red-month`", "team red", "$5.00 per month", "00:00 in Europe/Berlin", "Ask finops@example.org."]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(ask(&house, &blue, "").await.status, 200);
    let passed: Vec<Value> = house.wait_for("threshold_passed", 2).await;
    assert_eq!([&passed[0]["percent"], &passed[1]["percent"]], [50, 90]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_stops_the_next_request_not_the_running_one() {
    let house = house("allowances:\n  - { name: day, usd: \"0.06\", per: day }\n").await;
    let key = house.key("red").await;
    let mut running = begin(&house, &key).await;
    // What the running one may cost leaves too little; that is not spent, so the client may come again soon.
    let big =
        post(house.address(), "/v1/messages", &[&format!("x-api-key: {key}"), VERSION], body(800)).await;
    assert_eq!((big.status, big.error_type().as_str()), (429, "rate_limit_error"), "{}", big.text());
    assert_eq!(number(&big, "retry-after"), 2);
    assert!(!running.until(b"message_start").await.is_empty(), "the running one goes on");
    drop(running);
    house.wait_for("settled", 1).await;
    let again =
        post(house.address(), "/v1/messages", &[&format!("x-api-key: {key}"), VERSION], body(800)).await;
    assert_eq!(again.status, 200, "{}", again.text());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_room_in_a_budget_is_not_told_that_it_is_spent() {
    let house = house("allowances:\n  - { name: month, usd: \"0.05\", per: month }\n").await;
    let key = house.key("red").await;
    let running = begin(&house, &key).await;
    let answer = ask(&house, &key, "").await;
    assert_eq!((answer.status, answer.error_type().as_str()), (429, "rate_limit_error"), "{}", answer.text());
    assert_eq!(number(&answer, "retry-after"), 2);
    let unified = answer.headers.iter().find(|(name, _)| name.starts_with("anthropic-ratelimit-unified"));
    assert_eq!(unified, None, "clients would give up until the end of the month");
    drop(running);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_are_counted_while_their_streams_run() {
    let house = house("allowances:\n  - { name: parallel, each: user, concurrent: 2 }\n").await;
    let key = house.key("red").await;
    let (first, second) = (begin(&house, &key).await, begin(&house, &key).await);
    let third = ask(&house, &key, "").await;
    assert_eq!((third.status, third.error_type().as_str()), (429, "rate_limit_error"));
    assert!(message(&third).contains("2 running"), "{}", message(&third));
    assert_eq!(third.header("x-should-retry"), None);
    drop(first);
    house.wait_for("settled", 1).await;
    assert_eq!(ask(&house, &key, "").await.status, 200);
    drop(second);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_tokens_is_limited_apart_and_never_charged() {
    let config = "allowances:\n  - { name: messages, requests: 1, per: day }\n  - { name: counts, count_tokens: 26, per: day }\n  \
                  - { name: money, usd: \"1\", per: day }\n";
    let house = house(config).await;
    let key = house.key("red").await;
    let headers = [&format!("x-api-key: {key}"), VERSION];
    let counted = r#"{"model":"claude-opus-5-5","messages":[{"role":"user","content":"hi"}]}"#;
    for _ in 0..26 {
        let answer = post(house.address(), "/v1/messages/count_tokens", &headers, counted).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let answer = post(house.address(), "/v1/messages/count_tokens", &headers, counted).await;
    assert_eq!(answer.status, 429);
    assert!(message(&answer).contains("`counts`"), "{}", message(&answer));
    assert_eq!(ask(&house, &key, "").await.status, 200);
    assert!(message(&ask(&house, &key, "").await).contains("`messages`"));
    assert_eq!(get(house.address(), "/v1/models", &headers).await.status, 200, "lists are not limited");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_observes_lets_pass_and_is_noted() {
    let house = house("allowances:\n  - { name: soft, requests: 1, per: day, mode: observe }\n").await;
    let key = house.key("red").await;
    for _ in 0..3 {
        assert_eq!(ask(&house, &key, "").await.status, 200);
    }
    let over: Vec<Value> =
        house.wait_for("admitted", 3).await.into_iter().map(|entry| entry["over"].clone()).collect();
    assert_eq!(over, [Value::Null, json!(["soft"]), json!(["soft"])]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstreams_own_limits_are_shown_only_to_those_without_limits_here() {
    let house = house("allowances:\n  - { name: red, on: { team: red }, requests: 10, per: minute }\n").await;
    let (red, blue) = (house.key("red").await, house.key("blue").await);
    let answer = ask(&house, &red, "").await;
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), Some("10"));
    assert_eq!(answer.header("anthropic-ratelimit-tokens-limit"), None, "{:?}", answer.headers);
    let answer = ask(&house, &blue, "").await;
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), Some("4000"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_never_fit_is_told_so() {
    let house = house("allowances:\n  - { name: out, output_tokens: 50, per: minute }\n").await;
    let key = house.key("red").await;
    let answer = ask(&house, &key, "").await;
    assert_eq!((answer.status, answer.header("x-should-retry")), (429, Some("false")));
    assert!(message(&answer).contains("max_tokens"), "{}", message(&answer));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_brings_an_allowance_that_knows_what_was_used_before() {
    let house = house("").await;
    let key = house.key("red").await;
    for _ in 0..3 {
        assert_eq!(ask(&house, &key, "").await.status, 200);
    }
    house.wait_for("settled", 3).await;
    let text = format!("{}allowances:\n  - {{ name: day, each: team, requests: 4, per: day }}\n", house.text);
    house.reload(&text).await.unwrap();
    assert_eq!(ask(&house, &key, "").await.status, 200, "the fourth");
    let answer = ask(&house, &key, "").await;
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(message(&answer).contains("4 requests used"), "{}", message(&answer));
    // An allowance that goes on counting keeps what it has when its amount changes.
    house.reload(&text.replace("requests: 4", "requests: 5")).await.unwrap();
    assert_eq!(ask(&house, &key, "").await.status, 200, "the fifth");
    assert_eq!(ask(&house, &key, "").await.status, 429);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_names_the_level_that_refused() {
    let house = house("").await;
    let member = json!({ "team": "red", "user": "ann", "project": "web" });
    let ((key, id), bystander) = (house.mint(member).await, house.key("blue").await);
    let rows = [
        ("on: { org: default }", "org default".to_owned(), 429),
        ("on: { team: red }", "team red".to_owned(), 200),
        ("on: { project: web }", "project web".to_owned(), 200),
        ("on: { team: red, user: ann }", "user ann of team red".to_owned(), 200),
        ("each: org", "org default".to_owned(), 429),
        ("each: team", "team red of org default".to_owned(), 429),
        ("each: project", "project web of team red of org default".to_owned(), 200),
        ("each: user", "user ann of org default".to_owned(), 429),
        ("each: key", format!("key {id}"), 429),
    ];
    for (number, (whose, words, bystanders)) in rows.iter().enumerate() {
        // Roomy ones of other levels stand before and behind.
        let roomy =
            |level: &str| format!("  - {{ name: roomy-{level}, each: {level}, requests: 1000, per: day }}\n");
        let tight = format!("  - {{ name: tight-{number}, {whose}, input_tokens: 1, per: day }}\n");
        let text = format!("{}allowances:\n{}{tight}{}", house.text, roomy("org"), roomy("key"));
        house.reload(&text).await.unwrap();
        let answer = ask(&house, &key, "").await;
        assert_eq!((answer.status, answer.header("x-should-retry")), (429, Some("false")), "{whose}");
        let said = message(&answer);
        assert!(said.contains(&format!("`tight-{number}` of {words} does not")), "{whose}: {said}");
        assert_eq!(ask(&house, &bystander, "").await.status, *bystanders, "{whose}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_some_models_leaves_the_others_alone() {
    let config = "allowances:\n  - { name: opus, models: [\"claude-opus-*\"], requests: 1, per: day, message: Try Haiku. }\n";
    let house = house(config).await;
    let key = house.key("red").await;
    let headers = [&format!("x-api-key: {key}"), VERSION];
    let (opus, haiku) = (body(100), body(100).replace("opus", "haiku"));
    let falling_back =
        haiku.replace("\"max_tokens\"", "\"fallbacks\":[{\"model\":\"claude-opus-5-5\"}],\"max_tokens\"");
    let rows = [(&opus, 200), (&opus, 429), (&haiku, 200), (&falling_back, 429), (&haiku, 200)];
    for (body, expected) in rows {
        let answer = post(house.address(), "/v1/messages", &headers, body).await;
        assert_eq!(answer.status, expected, "{body}: {}", answer.text());
        if expected == 429 {
            assert!(message(&answer).ends_with("Try Haiku."), "{}", message(&answer));
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_read_from_the_cache_cost_money_and_count_for_nothing_else() {
    let config = "allowances:\n  - { name: input, input_tokens: 100000, per: day }\n  - { name: money, usd: \"5\", per: day }\n";
    let house = house(config).await;
    let key = house.key("red").await;
    let answer = ask(&house, &key, "usage=in:10,out:5,cr:500000,c5:20,c1:30").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cost = house.wait_for("settled", 1).await[0]["cost_nano_usd"].as_u64().unwrap();
    // At $0.20 a million, half a million tokens are nearly all of it.
    assert_eq!(cost, 100_480_000);
    let standing = house.admin("GET", "/admin/v1/allowances", None).await.json();
    let used = |number: usize| standing["data"][number]["standing"][0]["used"].as_u64();
    assert_eq!((used(0), used(1)), (Some(60), Some(cost)), "{standing:#}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_counts_while_it_lasts() {
    let allowance = |raise: &str| {
        format!(
            "allowances:\n  - name: day\n    requests: 1\n    per: day\n    raises: [{{ to: 2, by: ada, {raise} }}]\n"
        )
    };
    let house = house(&allowance("from: 2020-01-01, until: 2099-01-01")).await;
    let key = house.key("red").await;
    for expected in [200, 200, 429] {
        assert_eq!(ask(&house, &key, "").await.status, expected);
    }
    for past_or_future in ["until: 2020-01-01", "from: 2098-01-01, until: 2099-01-01"] {
        let (before, _) = house.text.split_once("allowances:").unwrap();
        house.reload(&format!("{before}{}", allowance(past_or_future))).await.unwrap();
        let answer = ask(&house, &key, "").await;
        assert_eq!(answer.status, 429, "{past_or_future}");
        assert!(message(&answer).contains("1 request per day"), "{}", message(&answer));
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_show_the_upstreams_own_limits() {
    let allowances = "allowances:\n  - { name: rpm, requests: 10, per: minute }\n";
    let house = house(&format!("books: {{ upstream_limit_headers: show }}\n{allowances}")).await;
    let key = house.key("red").await;
    let answer = ask(&house, &key, "").await;
    let limits: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("anthropic-ratelimit-requests-limit"))
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(limits, ["4000"], "once, and as the upstream said it");
    house.close().await;
}
