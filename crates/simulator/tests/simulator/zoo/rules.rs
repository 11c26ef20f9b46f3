//! The rules of `tollgate check` as far as they can be looked at from here: each in a few lines of its own, so that what
//! the zoo claims of its animals does not rest on what is tested with them.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio::time::timeout;
use tollgate_simulator::Ending;

use super::ask::{Ask, BETAS, MOST_BODY_BYTES, PAUSES_MS, PROMPT, STRAY, Told, Visit};
use crate::client::{Answer, Client, End, sha256, within};

/// Every rule that is looked at: first those that can be told of any answer, then those that need both sides.
pub(super) const RULES: [&str; 44] = [
    "endpoint",
    "endpoint.redirect",
    "auth",
    "status",
    "auth.refused",
    "auth.none",
    "auth.envelope",
    "auth.should_retry",
    "headers",
    "body",
    "stream",
    "endpoint.control",
    "endpoint.count_tokens",
    "endpoint.models",
    "endpoint.hello",
    "query.kept",
    "headers.version",
    "headers.beta",
    "headers.open",
    "headers.hints",
    "headers.hop",
    "body.bytes",
    "body.answer",
    "body.large",
    "body.over",
    "body.markup",
    "auth.api_key",
    "auth.both",
    "auth.leak",
    "auth.two",
    "auth.swap",
    "errors.verbatim",
    "errors.retry_after",
    "errors.success",
    "errors.once",
    "stream.arrival",
    "stream.close",
    "stream.gzip",
    "stream.pings",
    "stream.silence",
    "stream.idle",
    "stream.error_event",
    "stream.cut",
    "stream.cancel",
];
/// The first of them.
const OF_ANY_ANSWER: usize = 8;

/// Which rules an animal breaks.
pub(super) async fn broken(visit: &Visit) -> BTreeSet<&'static str> {
    let first = visit.ask(&visit.message("")).await;
    let works = first.answer.status == 200 && !first.seen.is_empty();
    let told = if works { RULES.len() } else { OF_ANY_ANSWER };
    let mut broken = BTreeSet::new();
    for rule in &RULES[..told] {
        let family = rule.split('.').next().unwrap();
        let holds = match family {
            "auth" | "status" => credentials(visit, rule, &first).await,
            "body" => body(visit, rule).await,
            "endpoint" | "query" => endpoint(visit, rule, &first).await,
            "errors" => errors(visit, rule).await,
            "headers" => headers(visit, rule, &first).await,
            "stream" => stream(visit, rule).await,
            _ => panic!("{rule} is not looked at"),
        };
        if !holds {
            broken.insert(*rule);
        }
    }
    broken
}

async fn endpoint(visit: &Visit, rule: &str, first: &Told) -> bool {
    match rule {
        // A refusal says nothing about the endpoint.
        "endpoint" => matches!(first.answer.status, 200 | 401),
        "endpoint.redirect" => first.answer.header("location").is_none(),
        "endpoint.control" => {
            visit.ask(&visit.message("").target("POST", "/v1/nothing")).await.answer.status == 404
        }
        "endpoint.count_tokens" => {
            let told =
                visit.ask(&visit.message("").target("POST", "/v1/messages/count_tokens?beta=true")).await;
            told.answer.status == 200 && told.answer.json()["input_tokens"].is_u64()
        }
        "endpoint.models" => {
            let token = Some(visit.cage.client_token());
            for credentials in [[token, None], [None, token]] {
                let ask = visit.message("").target("GET", "/v1/models?limit=1000").credentials(credentials);
                let began = Instant::now();
                let answer = visit.ask(&ask).await.answer;
                if answer.status != 200 || began.elapsed() > PROMPT || !answer.json()["data"].is_array() {
                    return false;
                }
            }
            true
        }
        "endpoint.hello" => {
            let began = Instant::now();
            for path in ["/api/hello", "/"] {
                visit.ask(&visit.message("").target("HEAD", path).credentials([None, None])).await;
            }
            began.elapsed() < PROMPT
        }
        "query.kept" => {
            let target = "/v1/messages?beta=true&empty=&plus=a%2Bb";
            visit.ask(&visit.message("").target("POST", target)).await.seen[0].target == target
        }
        _ => panic!("{rule} is not looked at"),
    }
}

async fn credentials(visit: &Visit, rule: &str, first: &Told) -> bool {
    let token = Some(visit.cage.client_token());
    let is_accepted = async |credentials| {
        let told = visit.ask(&visit.message("").credentials(credentials)).await;
        told.answer.status == 200 && !told.seen.is_empty()
    };
    let bad = async || visit.ask(&visit.message("").credentials([Some("nobody-gave-this-out"), None])).await;
    let is_refused = |told: &Told| told.seen.is_empty() && matches!(told.answer.status, 401 | 403);
    match rule {
        "auth" => first.answer.status != 401,
        "auth.api_key" => is_accepted([None, token]).await,
        "auth.both" => is_accepted([token, token]).await,
        "auth.none" => is_refused(&visit.ask(&visit.message("").credentials([None, None])).await),
        "auth.refused" => is_refused(&bad().await),
        "status" => matches!(bad().await.answer.status, 401 | 403),
        // Only a refusal has a form.
        "auth.envelope" => {
            let told = bad().await;
            !is_refused(&told) || is_envelope(&told.answer)
        }
        "auth.should_retry" => {
            let told = bad().await;
            !is_refused(&told) || told.answer.header("x-should-retry") == Some("false")
        }
        "auth.leak" => {
            let told = visit.ask(&visit.message("").credentials([token, Some(STRAY)])).await;
            let holds = |part: &str| {
                told.seen.iter().flat_map(|seen| &seen.headers).any(|(_, value)| value.contains(part))
            };
            !holds(visit.cage.client_token()) && !holds(STRAY)
        }
        "auth.two" => {
            let told = visit.ask(&visit.message("")).await;
            let key = &visit.cage.terms().upstream_key;
            told.arrived("authorization").is_none() && told.arrived("x-api-key").as_ref() == Some(key)
        }
        "auth.swap" => {
            let key = visit.cage.terms().upstream_key.as_str();
            let answer = visit.ask(&visit.message("")).await.answer;
            !answer.headers.iter().any(|(_, value)| value.contains(key)) && !answer.text().contains(key)
        }
        _ => panic!("{rule} is not looked at"),
    }
}

async fn headers(visit: &Visit, rule: &str, first: &Told) -> bool {
    let arrives = async |name: &'static str, value: &str| {
        let told = visit.ask(&visit.message("").header(name, Some(value.to_owned()))).await;
        told.arrived(name).as_deref() == Some(value)
    };
    match rule {
        "headers" => {
            let expected = [
                ("anthropic-version", "2023-06-01"),
                ("anthropic-beta", BETAS),
                ("content-type", "application/json"),
            ];
            expected.iter().all(|(name, value)| first.arrived(name).as_deref() == Some(*value))
        }
        "headers.version" => {
            let absent = visit.ask(&visit.message("").header("anthropic-version", None)).await;
            arrives("anthropic-version", "2026-10-21").await && absent.arrived("anthropic-version").is_none()
        }
        "headers.beta" => {
            arrives("anthropic-beta", "nobody-knows-this-2099-01-01, and-this").await
                && arrives("anthropic-beta", &"a-long-name,".repeat(20 * 1024 / 12)).await
        }
        "headers.open" => arrives("anthropic-of-tomorrow", "a \"b\"").await,
        "headers.hints" => arrives("x-claude-code-agent-id", "agent").await && arrives("x-app", "cli").await,
        "headers.hop" => {
            let ask = visit.message("").header("origin", Some("https://zoo.example".into()));
            let ask = ask.header("cookie", Some("a=b".into())).header("te", Some("trailers".into()));
            let ask = ask.header("connection", Some("keep-alive, x-hop".into()));
            let told = visit.ask(&ask.header("x-hop", Some("1".into()))).await;
            ["origin", "cookie", "te", "x-hop"].iter().all(|name| told.arrived(name).is_none())
        }
        _ => panic!("{rule} is not looked at"),
    }
}

async fn body(visit: &Visit, rule: &str) -> bool {
    let passes = async |ask: Ask| {
        let told = visit.ask(&ask).await;
        let arrived = told.seen.first().and_then(|seen| seen.body_sha256.clone());
        told.answer.status == 200 && arrived == Some(sha256(ask.body.as_bytes()))
    };
    let plain = visit.message("");
    let padded = |bytes: usize| {
        let padding = "x".repeat(bytes - plain.body.len());
        plain.clone().body(plain.body.replace("hi\"", &format!("hi{padding}\"")))
    };
    match rule {
        "body" => {
            let told = visit.ask(&plain).await;
            let json = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
            json(&told.seen[0].body) == json(plain.body.as_bytes()) && told.answer.json()["type"] == "message"
        }
        "body.bytes" => {
            let odd = plain
                .body
                .replace("{\"max_tokens\"", "{ \"z\" : 1e2,\r\n\"caf\\u00e9\":\"\\u00e9\",\"max_tokens\"");
            passes(plain.clone().body(odd)).await
        }
        "body.answer" => {
            let mut holds = true;
            for ask in [plain.clone(), plain.stream()] {
                let told = visit.ask(&ask).await;
                holds &= told.seen[0].answer.body_sha256 == Some(sha256(&told.answer.body));
            }
            holds
        }
        "body.large" => passes(padded(MOST_BODY_BYTES)).await,
        "body.over" => {
            let told = visit.ask(&padded(MOST_BODY_BYTES + 1)).await;
            told.answer.status == 413 && is_envelope(&told.answer)
        }
        "body.markup" => {
            passes(plain.clone().body(plain.body.replace("hi\"", "<script>alert(1)</script>\""))).await
        }
        _ => panic!("{rule} is not looked at"),
    }
}

async fn errors(visit: &Visit, rule: &str) -> bool {
    for (directives, status) in [
        ("status=400", 400),
        ("status=429; retry_after=7; should_retry=true", 429),
        ("status=529; retry_after=31; should_retry=false", 529),
    ] {
        let told = visit.ask(&visit.message(directives)).await;
        let sent = &told.seen.last().unwrap().answer;
        let header = |name| told.answer.header(name);
        let holds = match rule {
            "errors.verbatim" => sent.body_sha256 == Some(sha256(&told.answer.body)),
            "errors.success" => told.answer.status == status,
            "errors.once" => told.seen.len() == 1,
            "errors.retry_after" => {
                let given = |name: &str| {
                    let (_, rest) = directives.split_once(&format!("{name}="))?;
                    rest.split(';').next()
                };
                header("retry-after") == given("retry_after")
                    && header("x-should-retry") == given("should_retry")
                    && header("request-id") == sent.request_id.as_deref()
            }
            _ => panic!("{rule} is not looked at"),
        };
        if !holds {
            return false;
        }
    }
    true
}

async fn stream(visit: &Visit, rule: &str) -> bool {
    // About 17 events, each in a piece of its own. A machine that is late joins some of them.
    let in_time = async |ask: Ask| {
        let told = visit.ask(&ask.stream()).await;
        told.answer.status == 200 && told.pieces >= 4
    };
    let survives = async |pause_ms: u64| {
        let told = visit.ask(&visit.message(&format!("silence_ms={pause_ms}")).stream()).await;
        told.answer.events().last() == Some(&"message_stop") && told.answer.end == End::Framed
    };
    let gzip = |ask: Ask| ask.header("accept-encoding", Some("gzip, br".into()));
    match rule {
        "stream" => {
            let answer = visit.ask(&visit.message("").stream()).await.answer;
            let kind = answer.header("content-type").unwrap_or_default();
            kind.starts_with("text/event-stream") && answer.events().last() == Some(&"message_stop")
        }
        "stream.arrival" => in_time(visit.message("events=12; pace_ms=40")).await,
        "stream.close" => in_time(visit.message("close; events=12; pace_ms=40")).await,
        "stream.gzip" => {
            in_time(gzip(visit.message("gzip; events=12; pace_ms=40"))).await
                && in_time(gzip(visit.message("events=12; pace_ms=40"))).await
        }
        "stream.pings" => {
            let ask = visit.message("at=3; silence_ms=900; pings_ms=60").stream();
            let told = visit.ask(&ask).await;
            told.answer.text().matches("event: ping").count() > 3 && told.pieces >= 4
        }
        "stream.silence" => survives(PAUSES_MS[0]).await,
        "stream.idle" => survives(PAUSES_MS[1]).await,
        "stream.error_event" => {
            let answer = visit.ask(&visit.message("error_event; at=3").stream()).await.answer;
            answer.text().contains("event: error\n") && answer.end == End::Framed
        }
        "stream.cut" => {
            let mut holds = true;
            for directives in ["cut=3", "reset=3", "cut_mid_event=3"] {
                let answer = visit.ask(&visit.message(directives).stream()).await.answer;
                holds &= answer.status == 200 && answer.end != End::Framed;
            }
            holds
        }
        "stream.cancel" => {
            is_cancelled(visit, "stall; at=1").await && is_cancelled(visit, "first_byte_ms=60000").await
        }
        _ => panic!("{rule} is not looked at"),
    }
}

async fn is_cancelled(visit: &Visit, directives: &str) -> bool {
    let record = visit.simulator.record();
    record.clear();
    let mut client = Client::connect_to(visit.cage.addr()).await;
    client.send(&visit.message(directives).stream().bytes()).await;
    within(record.until(|served| served.open == 1)).await;
    drop(client);
    let ended = timeout(PROMPT, record.ended(1)).await;
    ended.is_ok_and(|seen| seen[0].answer.ending == Ending::Aborted)
}

/// Whether it is an error as the API writes them.
pub(super) fn is_envelope(answer: &Answer) -> bool {
    serde_json::from_slice::<serde_json::Value>(&answer.body)
        .is_ok_and(|error| error["type"] == "error" && error["error"]["message"].is_string())
}
