//! Usage as the API reports it, and how several reports on one answer add up to one.
//!
//! Fields: <https://platform.claude.com/docs/en/api/messages/create>; reports in streams:
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>.

use serde_json::Value;

/// What one answer used. All counts are as reported; nothing is estimated here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input tokens that were neither written to nor read from the cache.
    pub input_tokens: u64,
    /// Output tokens, thinking included.
    pub output_tokens: u64,
    /// Input tokens written to the cache for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to the cache for one hour.
    pub cache_write_1h_tokens: u64,
    /// Input tokens read from the cache.
    pub cache_read_tokens: u64,
    /// Web searches run by the API.
    pub web_search_requests: u64,
    /// Web pages fetched by the API.
    pub web_fetch_requests: u64,
    /// Code executions run by the API.
    pub code_execution_requests: u64,
    /// The tier that served, such as `standard` or `priority`.
    pub service_tier: Option<String>,
    /// The speed that ran, such as `standard` or `fast`.
    pub speed: Option<String>,
    /// Where inference ran, such as `us` or `global`.
    pub inference_geo: Option<String>,
    /// The single runs of models behind this answer. If there are any, they are what is billed: the totals
    /// above omit compaction and advisor runs.
    pub iterations: Vec<Iteration>,
}

/// One run of a model behind an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Iteration {
    /// `message`, `compaction`, `advisor_message`, `fallback_message`, or a newer kind.
    pub kind: String,
    /// The model that ran; `None` where the API names none, which means the serving model.
    pub model: Option<String>,
    /// As in [`Usage::input_tokens`].
    pub input_tokens: u64,
    /// As in [`Usage::output_tokens`].
    pub output_tokens: u64,
    /// As in [`Usage::cache_write_5m_tokens`].
    pub cache_write_5m_tokens: u64,
    /// As in [`Usage::cache_write_1h_tokens`].
    pub cache_write_1h_tokens: u64,
    /// As in [`Usage::cache_read_tokens`].
    pub cache_read_tokens: u64,
}

/// Collects the reports on one answer: for each field the last value that is not null.
///
/// Reports are cumulative, so they are never added. A field of an unexpected type counts as not reported.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    tokens: Tokens,
    web_search_requests: Option<u64>,
    web_fetch_requests: Option<u64>,
    code_execution_requests: Option<u64>,
    service_tier: Option<String>,
    speed: Option<String>,
    inference_geo: Option<String>,
    iterations: Option<Vec<Iteration>>,
}

impl Tally {
    /// Takes one `usage` object in.
    pub(crate) fn report(&mut self, usage: &Value) {
        self.tokens.report(usage);
        let tools = &usage["server_tool_use"];
        update(&mut self.web_search_requests, tools["web_search_requests"].as_u64());
        update(&mut self.web_fetch_requests, tools["web_fetch_requests"].as_u64());
        update(&mut self.code_execution_requests, tools["code_execution_requests"].as_u64());
        update(&mut self.service_tier, text(&usage["service_tier"]));
        update(&mut self.speed, text(&usage["speed"]));
        update(&mut self.inference_geo, text(&usage["inference_geo"]));
        let iterations = usage["iterations"].as_array();
        update(&mut self.iterations, iterations.map(|list| list.iter().filter_map(iteration).collect()));
    }

    /// The usage reported so far; `None` if no count of tokens was.
    pub(crate) fn usage(self) -> Option<Usage> {
        let iterations = self.iterations.unwrap_or_default();
        if !self.tokens.reported() && iterations.is_empty() {
            return None;
        }
        let (cache_write_5m_tokens, cache_write_1h_tokens) = self.tokens.cache_writes();
        Some(Usage {
            input_tokens: self.tokens.input.unwrap_or(0),
            output_tokens: self.tokens.output.unwrap_or(0),
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            cache_read_tokens: self.tokens.cache_read.unwrap_or(0),
            web_search_requests: self.web_search_requests.unwrap_or(0),
            web_fetch_requests: self.web_fetch_requests.unwrap_or(0),
            code_execution_requests: self.code_execution_requests.unwrap_or(0),
            service_tier: self.service_tier,
            speed: self.speed,
            inference_geo: self.inference_geo,
            iterations,
        })
    }

    /// The model of the last reported run that stepped in for one that refused.
    pub(crate) fn fallback_model(&self) -> Option<&str> {
        let iterations = self.iterations.as_deref()?;
        let fallback = iterations.iter().rfind(|iteration| iteration.kind == "fallback_message")?;
        fallback.model.as_deref()
    }
}

/// The counts that `usage` and each of its iterations have in common.
#[derive(Debug, Default)]
struct Tokens {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
}

impl Tokens {
    fn report(&mut self, usage: &Value) {
        update(&mut self.input, usage["input_tokens"].as_u64());
        update(&mut self.output, usage["output_tokens"].as_u64());
        update(&mut self.cache_read, usage["cache_read_input_tokens"].as_u64());
        update(&mut self.cache_write, usage["cache_creation_input_tokens"].as_u64());
        update(&mut self.cache_write_5m, usage["cache_creation"]["ephemeral_5m_input_tokens"].as_u64());
        update(&mut self.cache_write_1h, usage["cache_creation"]["ephemeral_1h_input_tokens"].as_u64());
    }

    fn reported(&self) -> bool {
        let counts = [self.input, self.output, self.cache_read, self.cache_write];
        counts.iter().chain([&self.cache_write_5m, &self.cache_write_1h]).any(Option::is_some)
    }

    /// Cache writes for five minutes and for one hour.
    ///
    /// `message_delta` reports the sum without the split, so the sum may have outgrown the split of
    /// `message_start`. The rest goes to the hour if the split knows hours only, else to five minutes, which is
    /// the default of the API.
    fn cache_writes(&self) -> (u64, u64) {
        let five_minutes = self.cache_write_5m.unwrap_or(0);
        let hour = self.cache_write_1h.unwrap_or(0);
        let rest = self.cache_write.unwrap_or(0).saturating_sub(five_minutes.saturating_add(hour));
        if five_minutes == 0 && hour > 0 { (0, hour + rest) } else { (five_minutes + rest, hour) }
    }
}

fn iteration(value: &Value) -> Option<Iteration> {
    let mut tokens = Tokens::default();
    tokens.report(value);
    let (cache_write_5m_tokens, cache_write_1h_tokens) = tokens.cache_writes();
    value.is_object().then(|| Iteration {
        kind: text(&value["type"]).unwrap_or_default(),
        model: text(&value["model"]),
        input_tokens: tokens.input.unwrap_or(0),
        output_tokens: tokens.output.unwrap_or(0),
        cache_write_5m_tokens,
        cache_write_1h_tokens,
        cache_read_tokens: tokens.cache_read.unwrap_or(0),
    })
}

fn update<T>(field: &mut Option<T>, reported: Option<T>) {
    if reported.is_some() {
        *field = reported;
    }
}

/// A string that says something.
pub(crate) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reported(reports: &[Value]) -> Option<Usage> {
        let mut tally = Tally::default();
        for report in reports {
            tally.report(report);
        }
        tally.usage()
    }

    #[test]
    fn the_last_value_that_is_not_null_wins_and_nothing_is_added() {
        let usage = reported(&[
            json!({"input_tokens": 10, "output_tokens": 1, "cache_read_input_tokens": 7, "service_tier": "standard"}),
            json!({"input_tokens": null, "output_tokens": 5, "speed": "fast"}),
            json!({"output_tokens": 9, "cache_read_input_tokens": null, "service_tier": "priority"}),
        ]);
        let expected = Usage {
            input_tokens: 10,
            output_tokens: 9,
            cache_read_tokens: 7,
            service_tier: Some("priority".into()),
            speed: Some("fast".into()),
            ..Usage::default()
        };
        assert_eq!(usage, Some(expected));
    }

    #[test]
    fn an_explicit_zero_is_a_report_and_silence_is_none() {
        let rows = [
            (json!({"output_tokens": 0}), Some(Usage::default())),
            (json!({"cache_creation": {"ephemeral_1h_input_tokens": 0}}), Some(Usage::default())),
            (json!({}), None),
            (json!(null), None),
            (json!({"output_tokens": null, "service_tier": "standard"}), None),
        ];
        for (report, expected) in rows {
            assert_eq!(reported(std::slice::from_ref(&report)), expected, "{report}");
        }
        let only_iterations = reported(&[json!({"iterations": [{"type": "message"}]})]);
        assert_eq!(only_iterations.map(|usage| usage.iterations.len()), Some(1));
        assert_eq!(
            reported(&[json!({"input_tokens": 8}), json!({"input_tokens": 0})]),
            Some(Usage::default())
        );
    }

    #[test]
    fn cache_writes_are_split_by_lifetime() {
        let split = |five: Value, hour: Value| json!({"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour});
        let rows = [
            (vec![json!({"cache_creation_input_tokens": 30})], (30, 0)),
            (
                vec![
                    json!({"cache_creation_input_tokens": 30, "cache_creation": split(json!(10), json!(20))}),
                ],
                (10, 20),
            ),
            (vec![json!({"cache_creation": split(json!(10), json!(20))})], (10, 20)),
            (vec![json!({"cache_creation_input_tokens": 30, "cache_creation": null})], (30, 0)),
            (
                vec![
                    json!({"cache_creation_input_tokens": 30, "cache_creation": split(json!(null), json!(20))}),
                ],
                (0, 30),
            ),
            (
                vec![
                    json!({"cache_creation_input_tokens": 30, "cache_creation": split(json!(5), json!(20))}),
                ],
                (10, 20),
            ),
            (
                vec![
                    json!({"cache_creation_input_tokens": 0, "cache_creation": split(json!(0), json!(0))}),
                    json!({"cache_creation_input_tokens": 40}),
                ],
                (40, 0),
            ),
            (
                vec![
                    json!({"cache_creation_input_tokens": 30, "cache_creation": split(json!(0), json!(30))}),
                    json!({"cache_creation_input_tokens": 30}),
                ],
                (0, 30),
            ),
            (
                vec![
                    json!({"cache_creation_input_tokens": u64::MAX, "cache_creation": split(json!(u64::MAX), json!(1))}),
                ],
                (u64::MAX, 1),
            ),
        ];
        for (reports, expected) in rows {
            let usage = reported(&reports).unwrap();
            let found = (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens);
            assert_eq!(found, expected, "{reports:?}");
        }
    }

    #[test]
    fn fields_of_odd_types_are_ignored() {
        let odd = [json!("7"), json!(-7), json!(7.5), json!(true), json!([7]), json!({"x": 7}), json!(1e30)];
        for value in odd {
            let usage = reported(&[
                json!({"input_tokens": 3, "server_tool_use": {"web_search_requests": 2}}),
                json!({
                    "input_tokens": value, "output_tokens": value, "cache_creation": value, "server_tool_use": value,
                    "cache_creation_input_tokens": value, "iterations": value.as_str(), "inference_geo": 7,
                }),
            ]);
            let expected = Usage { input_tokens: 3, web_search_requests: 2, ..Usage::default() };
            assert_eq!(usage, Some(expected), "{value}");
        }
    }

    #[test]
    fn iterations_keep_their_own_model_and_split() {
        let usage = reported(&[json!({
            "input_tokens": 1,
            "server_tool_use": {"web_search_requests": 1, "web_fetch_requests": 2, "code_execution_requests": 3},
            "inference_geo": "us",
            "iterations": [
                {"type": "message", "model": "claude-fable-5-2", "input_tokens": 4, "output_tokens": 5,
                 "cache_read_input_tokens": 6, "cache_creation_input_tokens": 9,
                 "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 7}},
                {"type": "compaction", "input_tokens": 8, "model": null},
                {"type": "fallback_message", "model": "claude-opus-5-5", "output_tokens": 11},
                {"type": 3}, "nonsense",
            ],
        })])
        .unwrap();
        let iterations = vec![
            Iteration {
                kind: "message".into(),
                model: Some("claude-fable-5-2".into()),
                input_tokens: 4,
                output_tokens: 5,
                cache_write_5m_tokens: 2,
                cache_write_1h_tokens: 7,
                cache_read_tokens: 6,
            },
            Iteration { kind: "compaction".into(), input_tokens: 8, ..Iteration::default() },
            Iteration {
                kind: "fallback_message".into(),
                model: Some("claude-opus-5-5".into()),
                output_tokens: 11,
                ..Iteration::default()
            },
            Iteration::default(),
        ];
        let expected = Usage {
            input_tokens: 1,
            web_search_requests: 1,
            web_fetch_requests: 2,
            code_execution_requests: 3,
            inference_geo: Some("us".into()),
            iterations,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
    }
}
