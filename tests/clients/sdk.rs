//! The official SDKs, Python and JavaScript: both do the same steps, and the same is asked of both.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tollgate_acceptance::{Certificate, House, Plan};
use tollgate_acceptance::{installed, loopback, process};

use crate::books::{self, Books};

/// No run of a driver may take longer.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    Python,
    JavaScript,
}

pub(crate) const BOTH: [Sdk; 2] = [Sdk::Python, Sdk::JavaScript];

impl Sdk {
    /// Runs steps through a gateway; gives what came of each.
    async fn run(self, base_url: &str, variables: &[(&str, &str)], steps: Value) -> Vec<Value> {
        let driver =
            |name: &str| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/drivers").join(name);
        let (program, driver) = match self {
            Sdk::Python => (installed::python(), driver("sdk.py")),
            Sdk::JavaScript => ("node".into(), driver("sdk.mjs")),
        };
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(program);
        command.arg(driver).arg(steps.to_string()).env_clear().current_dir(home.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home.path());
        command.env("TOLLGATE_CLIENTS", installed::folder()).env("ANTHROPIC_BASE_URL", base_url);
        command.envs(variables.iter().copied());
        let done = process::run(command, LIMIT).await;
        assert_eq!(done.code, 0, "{self:?}: {done:#?}");
        let results: Vec<Value> =
            serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{self:?}: {error}: {done:#?}"));
        assert_eq!(results.len(), steps.as_array().unwrap().len(), "{self:?}");
        results
    }

    /// The same with a key for a team, over plain HTTP.
    pub(crate) async fn ask(self, house: &House, key: &str, steps: Value) -> Vec<Value> {
        self.run(&format!("http://{}", house.address()), &[("ANTHROPIC_API_KEY", key)], steps).await
    }
}

#[test]
fn messages_streams_and_tools_come_through() {
    loopback::run(async {
        for sdk in BOTH {
            let house = House::open().await;
            let key = house.key("red").await;
            let weather = r#"[[sim: tool=weather:{"city":"Z\u00fcrich"};thinking]]"#;
            let steps = json!([
                { "do": "message", "prompt": "[[sim: text=gr\u{fc}ezi \u{1f980}]]" },
                { "do": "stream", "prompt": "[[sim: text=one two three four;events=4;pace_ms=5]]" },
                { "do": "stream", "prompt": "[[sim: size=200kb;events=500;gzip]]", "model": "claude-haiku-5-5" },
                { "do": "tools", "prompt": weather },
            ]);
            let results = sdk.ask(&house, &key, steps).await;
            let seen = books::seen(&house).await;
            assert_eq!(seen.len(), 5, "{sdk:?}");
            let [message, stream, large, tools] = &results[..] else { unreachable!("as many as steps") };
            assert_eq!(
                (&message["text"], &message["stop_reason"]),
                (&json!("gr\u{fc}ezi \u{1f980}"), &json!("end_turn"))
            );
            assert_eq!(
                (&stream["text"], &stream["pieces"]),
                (&json!("one two three four"), &json!(4)),
                "{sdk:?}"
            );
            for (result, seen) in [message, stream, large].into_iter().zip(&seen) {
                let usage = seen.answer.usage.unwrap();
                assert_eq!(
                    (&result["input_tokens"], &result["output_tokens"]),
                    (&usage.input.into(), &usage.output.into())
                );
                assert_eq!(result["request_id"].as_str(), seen.answer.request_id.as_deref(), "{sdk:?}");
                assert_eq!(result["model"].as_str(), seen.model.as_deref(), "{sdk:?}");
            }
            assert_eq!(large["text"].as_str().unwrap().len(), 200 * 1024, "{sdk:?}");
            assert!([stream, large].iter().all(|stream| stream["joined"] == stream["text"]), "{sdk:?}");
            assert_eq!(tools["stop_reason"], "tool_use", "{sdk:?}: {tools:#}");
            assert_eq!(
                tools["calls"],
                json!([{ "name": "weather", "input": { "city": "Z\u{fc}rich" } }]),
                "{sdk:?}"
            );
            assert!(tools["answer"]["text"].as_str().unwrap().contains("7 degrees"), "{sdk:?}: {tools:#}");
            books::agree(&house, Books { settled: 5, denied: 0 }).await;
            house.close().await;
        }
    });
}

#[test]
fn tokens_are_counted_and_models_listed() {
    loopback::run(async {
        for sdk in BOTH {
            let house = House::open().await;
            let key = house.key("red").await;
            let limited = house
                .mint(json!({ "team": "red", "models": ["claude-haiku-*", "claude-sonnet-5*"] }))
                .await
                .0;
            let steps = json!([
                { "do": "count", "prompt": "How many are these?" },
                { "do": "models" },
                { "do": "model", "model": "claude-opus-5-5" },
                { "do": "models", "key": limited },
                { "do": "model", "key": limited, "model": "claude-opus-5-5" },
            ]);
            let results = sdk.ask(&house, &key, steps).await;
            let count = books::seen(&house).await[0].clone();
            assert_eq!(results[0]["input_tokens"], count.body_bytes.div_ceil(4), "{sdk:?}: {}", results[0]);
            let all = results[1]["ids"].as_array().unwrap();
            assert!(all.len() > 5 && all.contains(&json!("claude-opus-5-5")), "{sdk:?}: all pages: {all:?}");
            assert_eq!(results[2]["id"], "claude-opus-5-5", "{sdk:?}");
            let some = results[3]["ids"].as_array().unwrap();
            let allowed = |id: &&Value| {
                let id = id.as_str().unwrap();
                id.starts_with("claude-haiku-") || id.starts_with("claude-sonnet-5")
            };
            let expected: Vec<_> = all.iter().filter(allowed).collect();
            assert_eq!(some.iter().collect::<Vec<_>>(), expected, "{sdk:?}");
            assert_eq!(results[4]["error"], "PermissionDeniedError", "{sdk:?}: {}", results[4]);
            // Counting and listing is free, and booked as such.
            assert!(house.entries("settled").iter().all(|entry| entry["cost_nano_usd"] == 0), "{sdk:?}");
            house.close().await;
        }
    });
}

#[test]
fn errors_have_the_types_that_programs_catch() {
    loopback::run(async {
        for sdk in BOTH {
            let house = House::open().await;
            let key = house.key("red").await;
            let limited = house.mint(json!({ "team": "red", "models": ["claude-haiku-*"] })).await.0;
            let upstream = |what: &str| json!({ "do": "message", "prompt": format!("[[sim: {what};message=as it is]]") });
            // What the gateway says itself comes first.
            let rows = [
                (
                    json!({ "do": "message", "key": "tg_nobodys" }),
                    "AuthenticationError",
                    401,
                    "authentication_error",
                ),
                (
                    json!({ "do": "stream", "key": "tg_nobodys" }),
                    "AuthenticationError",
                    401,
                    "authentication_error",
                ),
                (json!({ "do": "stream", "key": limited }), "PermissionDeniedError", 403, "permission_error"),
                (upstream("status=400"), "BadRequestError", 400, "invalid_request_error"),
                (upstream("status=403"), "PermissionDeniedError", 403, "permission_error"),
                (upstream("status=404"), "NotFoundError", 404, "not_found_error"),
                (upstream("status=413"), "ContentTooLargeError", 413, "request_too_large"),
                (upstream("status=429;retry_after=7"), "RateLimitError", 429, "rate_limit_error"),
                (upstream("status=500"), "InternalServerError", 500, "api_error"),
                (upstream("status=529"), "OverloadedError", 529, "overloaded_error"),
            ];
            let steps = rows.iter().map(|(step, ..)| step.clone()).collect();
            let results = sdk.ask(&house, &key, steps).await;
            let seen = books::seen(&house).await;
            assert_eq!(seen.len(), 7, "{sdk:?}: what is denied does not go upstream");
            for (number, (result, (step, class, status, kind))) in results.iter().zip(&rows).enumerate() {
                assert_eq!(result["error"], *class, "{sdk:?} {step}: {result}");
                assert_eq!(
                    (&result["status"], &result["type"]),
                    (&json!(status), &json!(kind)),
                    "{sdk:?} {step}: {result}"
                );
                let id = result["request_id"].as_str().unwrap_or_else(|| panic!("{sdk:?} {step}: {result}"));
                match number.checked_sub(3) {
                    Some(row) => {
                        assert_eq!(Some(id), seen[row].answer.request_id.as_deref(), "{sdk:?} {step}")
                    }
                    None => assert_eq!(id, house.entries("denied")[number]["request"], "{sdk:?} {step}"),
                }
            }
            assert_eq!(results[7]["retry_after"], "7", "{sdk:?}");
            books::agree(&house, Books { settled: 7, denied: 3 }).await;
            house.close().await;
        }
    });
}

#[test]
fn the_sdk_retries_by_the_upstreams_word_and_each_try_is_booked() {
    loopback::run(async {
        for sdk in BOTH {
            let house = House::open().await;
            let key = house.key("red").await;
            let steps = json!([
                { "do": "message", "retries": 2, "prompt": "[[sim: status=429;header=retry-after-ms: 20;times=2]]" },
                { "do": "message", "retries": 2, "prompt": "[[sim: status=529;should_retry=false]]" },
                { "do": "message", "retries": 2, "key": "tg_nobodys" },
            ]);
            let results = sdk.ask(&house, &key, steps).await;
            assert_eq!(results[0]["stop_reason"], "end_turn", "{sdk:?}: {}", results[0]);
            assert_eq!(results[1]["error"], "OverloadedError", "{sdk:?}");
            assert_eq!(results[2]["error"], "AuthenticationError", "{sdk:?}");
            let seen = books::seen(&house).await;
            let tries: Vec<_> =
                seen.iter().map(|seen| seen.header("x-stainless-retry-count").unwrap_or("")).collect();
            assert_eq!(tries, ["0", "1", "2", "0"], "{sdk:?}");
            books::agree(&house, Books { settled: 4, denied: 1 }).await;
            house.close().await;
        }
    });
}

#[test]
fn a_stream_that_is_left_is_settled_as_aborted() {
    loopback::run(async {
        for sdk in BOTH {
            let house = House::open().await;
            let key = house.key("red").await;
            let steps = json!([{ "do": "leave", "prompt": "[[sim: size=40kb;events=400;pace_ms=50]]" }]);
            let results = sdk.ask(&house, &key, steps).await;
            let read = results[0]["joined"].as_str().unwrap().len() as u64;
            assert!(read > 0, "{sdk:?}: {}", results[0]);
            house.simulator.record().until(|served| served.aborted == 1).await;
            let settled = house.wait_for("settled", 1).await.remove(0);
            assert_eq!(
                (&settled["outcome"], &settled["estimated"]),
                (&json!("aborted"), &json!(true)),
                "{sdk:?}"
            );
            let seen = books::seen(&house).await.pop().unwrap();
            assert_eq!(
                settled["usage"]["input_tokens"],
                seen.answer.usage.unwrap().input,
                "{sdk:?}: as told at the start"
            );
            let output = settled["usage"]["output_tokens"].as_u64().unwrap();
            let floor = read.div_ceil(4)..=seen.answer.chars.div_ceil(4);
            assert!(floor.contains(&output), "{sdk:?}: {output} of {floor:?}");
            house.close().await;
        }
    });
}

#[test]
fn a_broken_stream_is_an_error_and_never_a_short_message() {
    loopback::run(async {
        for sdk in BOTH {
            let house = House::open().await;
            let key = house.key("red").await;
            let steps = json!([
                { "do": "stream", "prompt": "[[sim: size=4kb;events=20;cut]]" },
                { "do": "stream", "prompt": "[[sim: size=4kb;events=20;reset]]" },
                { "do": "message", "prompt": "[[sim: size=4kb;cut]]" },
                { "do": "stream", "prompt": "[[sim: size=4kb;events=20;error_event=overloaded_error]]" },
            ]);
            for result in sdk.ask(&house, &key, steps).await {
                assert!(result["error"].is_string(), "{sdk:?}: {result}");
            }
            let settled = house.wait_for("settled", 4).await;
            let outcomes: Vec<_> = settled.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
            assert_eq!(outcomes, ["cut", "cut", "cut", "upstream_error"], "{sdk:?}");
            house.close().await;
        }
    });
}

#[test]
fn tls_is_trusted_by_its_authority_and_not_without_it() {
    loopback::run(async {
        let folder = tempfile::tempdir().unwrap();
        let certificate = Certificate::make(folder.path());
        let authority = certificate.authority.to_str().unwrap();
        for sdk in BOTH {
            let house = House::build(Plan { listen: certificate.listen(), ..Plan::default() }).await;
            let key = house.key("red").await;
            let url = format!("https://localhost:{}", house.address().port());
            let steps = json!([
                { "do": "message", "prompt": "[[sim: text=sealed]]" },
                { "do": "stream", "prompt": "[[sim: size=64kb;events=100]]" },
            ]);
            let trust = match sdk {
                Sdk::Python => "SSL_CERT_FILE",
                Sdk::JavaScript => "NODE_EXTRA_CA_CERTS",
            };
            let variables = [("ANTHROPIC_AUTH_TOKEN", key.as_str()), (trust, authority)];
            let results = sdk.run(&url, &variables, steps.clone()).await;
            assert_eq!(results[0]["text"], "sealed", "{sdk:?}: {}", results[0]);
            assert_eq!(results[1]["text"].as_str().map(str::len), Some(64 * 1024), "{sdk:?}: {}", results[1]);
            let results = sdk.run(&url, &variables[..1], steps).await;
            assert!(
                results.iter().all(|result| result["error"] == "APIConnectionError"),
                "{sdk:?}: {results:?}"
            );
            books::agree(&house, Books { settled: 2, denied: 0 }).await;
            house.close().await;
        }
    });
}
