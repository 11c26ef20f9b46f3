//! What is asked of both gateways: a small set as Claude Code sends it, or what somebody recorded; and what it may cost.

use std::collections::BTreeMap;

use hyper::{
    Method,
    header::{HeaderName, HeaderValue},
    http::uri::PathAndQuery,
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tollgate_policy::{
    price::{OUTPUT_TOKENS_MAX, Order, PROMPT_TOKENS_MAX, PriceBook, input_bound},
    unit::{NanoUsd, UnixMs},
};
use tollgate_wire::{
    header::{Action, is_shadow, request_action},
    lens,
};

use crate::{
    check::{Bound, question::Question},
    exchange::Ask,
};

/// The longest file of recorded requests, in bytes, and the most requests in it.
pub(crate) const FILE_BYTES_MAX: u64 = 64 << 20;
const REQUESTS_MAX: usize = 1_000;
/// A model that nobody has.
const NO_MODEL: &str = "tollgate-shadow-no-such-model";

/// One request, not yet with a credential.
#[derive(Debug)]
pub(crate) struct Asked {
    /// What the report calls it: `tools`, `line 3`.
    pub(crate) name: String,
    /// What is sent.
    pub(crate) ask: Ask,
}

impl Asked {
    /// Whether a model is asked for a message: that is what gateways are there for, and what is billed.
    pub(crate) fn is_message(&self) -> bool {
        self.ask.method == Method::POST && self.ask.target.split('?').next() == Some("/v1/messages")
    }
}

/// What is wrong in a file of recorded requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Where and what.
    pub(crate) rule: String,
    /// What to do about it.
    pub(crate) cure: String,
}

/// The list of models: it is free, so it goes first.
pub(crate) fn models() -> Asked {
    let ask = Question::bare(Method::GET, "/v1/models?limit=1000", "shadow".to_owned()).ask(&[]);
    Asked { name: "models".to_owned(), ask }
}

/// The other built-in requests, with a word that no other run has. Those that a model answers leave it no choice of how
/// to end: it has to count further than it may, or must use a tool.
pub(crate) fn builtin(model: &str, nonce: &str) -> Vec<Asked> {
    let body = |max_tokens: u32, more: serde_json::Value| {
        let mut body = json!({
            "model": model,
            "max_tokens": max_tokens,
            "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": format!("{nonce} Count from one to 500 in words.")}],
            "metadata": {"user_id": nonce},
        });
        if let (Some(body), serde_json::Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        body
    };
    let tool = json!({
        "tools": [{"name": "pick", "description": "Picks a colour.", "input_schema": {"type": "object",
            "properties": {"colour": {"type": "string", "enum": ["red"]}}, "required": ["colour"]}}],
        "tool_choice": {"type": "tool", "name": "pick"},
    });
    let edits = json!({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}});
    let mut uncounted = body(16, json!({}));
    let mut unlimited = body(16, json!({}));
    for body in [&mut uncounted, &mut unlimited] {
        body.as_object_mut().map(|body| body.remove("max_tokens"));
    }
    if let Some(body) = uncounted.as_object_mut() {
        body.remove("metadata");
    }
    let mut unknown = uncounted.clone();
    unknown["model"] = NO_MODEL.into();
    let count = "/v1/messages/count_tokens?beta=true";
    let rows = [
        ("tokens", count, uncounted),
        // Counting is free, also where a gateway puts a model of its own in the place of one that nobody has.
        ("unknown model", count, unknown),
        ("invalid body", "/v1/messages?beta=true", unlimited),
        ("plain", "/v1/messages?beta=true", body(16, json!({}))),
        ("beta", "/v1/messages?beta=true", body(16, edits)),
        ("tools", "/v1/messages?beta=true", body(64, tool)),
        ("stream", "/v1/messages?beta=true", body(64, json!({"stream": true}))),
    ];
    let asked = |(name, target, body): (&str, &str, serde_json::Value)| {
        let question = Question::message(model, nonce.to_owned(), "").target(target).body(body.to_string());
        Asked { name: name.to_owned(), ask: question.ask(&[]) }
    };
    rows.into_iter().map(asked).collect()
}

/// A line of a file of recorded requests.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'t> {
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow, default)]
    body: Option<&'t RawValue>,
}

/// Reads recorded requests, a JSON object on each line.
///
/// # Errors
///
/// The first [`BadLine`]. What a header holds is not repeated.
pub(crate) fn read(text: &str) -> Result<Vec<Asked>, BadLine> {
    let mut asked = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let name = format!("line {}", index + 1);
        if asked.len() == REQUESTS_MAX {
            let rule = format!("{name}: there are more than {REQUESTS_MAX} requests");
            return Err(BadLine { rule, cure: "take some of them.".to_owned() });
        }
        let bad =
            |(rule, cure): (String, &str)| BadLine { rule: format!("{name}: {rule}"), cure: cure.to_owned() };
        let ask = request(line).map_err(bad)?;
        asked.push(Asked { name, ask });
    }
    if asked.is_empty() {
        let rule = "there is no request in the file".to_owned();
        return Err(BadLine { rule, cure: FORM.to_owned() });
    }
    Ok(asked)
}

const FORM: &str = r#"write one request on each line, as in {"method":"POST","path":"/v1/messages","headers":{"anthropic-version":"2023-06-01"},"body":{...}}."#;

fn request(line: &str) -> Result<Ask, (String, &'static str)> {
    let line: Line<'_> = serde_json::from_str(line).map_err(|error| {
        // The library's sentence may quote the line.
        (format!("it is no such request (column {})", error.column()), FORM)
    })?;
    let path = line.path.split('?').next().unwrap_or_default();
    let is_asking = match line.method.as_str() {
        "GET" | "HEAD" => true,
        "POST" => ["/v1/messages", "/v1/messages/count_tokens"].contains(&path),
        _ => false,
    };
    if !is_asking {
        let cure = "leave it out: what may change something is not sent twice.";
        return Err((
            "only GET, HEAD and POST of messages and of their count can be compared".to_owned(),
            cure,
        ));
    }
    if !line.path.starts_with('/') || line.path.parse::<PathAndQuery>().is_err() {
        return Err(("`path` is no path of a URL".to_owned(), "begin it with /, without scheme and host."));
    }
    let method = Method::from_bytes(line.method.as_bytes()).unwrap_or_default();
    let mut ask = Ask::new(method, line.path);
    for (name, value) in line.headers {
        let lower = name.to_ascii_lowercase();
        if request_action(lower.as_bytes()) != Action::Forward || is_shadow(lower.as_bytes()) {
            let rule = format!("the header `{lower}` is a credential, or belongs to one connection");
            return Err((rule, "leave it out of the file; credentials come from --token-env and the like."));
        }
        if HeaderName::from_bytes(lower.as_bytes()).is_err() || HeaderValue::from_str(&value).is_err() {
            return Err((format!("the header `{lower}` can not be sent"), "leave it out."));
        }
        ask = ask.header(lower, value);
    }
    if let Some(body) = line.body {
        if ask.headers.iter().all(|(name, _)| name != "content-type") {
            ask = ask.header("content-type", "application/json");
        }
        ask = ask.body(body.get().to_owned());
    }
    Ok(ask)
}

/// The most that these requests may cost on both sides together, each sent so often, at list prices.
pub(crate) fn bound(asked: &[Asked], repeat: u32, at: UnixMs) -> Bound {
    let billed = asked.iter().filter(|asked| asked.is_message());
    let times = repeat.saturating_mul(2);
    billed.fold(Bound { requests: 0, cost: NanoUsd(0) }, |sum, asked| Bound {
        requests: sum.requests.saturating_add(times),
        cost: NanoUsd(sum.cost.0.saturating_add(cost(&asked.ask.body, times, at).0)),
    })
}

/// As the gateway reserves it. What can not be read is the most of the dearest model; without `max_tokens` the API
/// answers nothing.
fn cost(body: &[u8], times: u32, at: UnixMs) -> NanoUsd {
    let looked = lens::look(body).ok();
    let models: Vec<&str> = looked
        .iter()
        .flat_map(|looked| std::iter::once(&looked.model).chain(&looked.other_models))
        .map(|model| &**model)
        .collect();
    let (input_tokens, output_tokens) = match &looked {
        // What the provider fetches by itself has no bound but that of a prompt.
        Some(looked) if looked.beyond.remote > 0 => {
            (PROMPT_TOKENS_MAX, looked.max_tokens.unwrap_or_default())
        }
        Some(looked) => {
            let input = input_bound(body.len() as u64, looked.beyond.media as u64);
            (input, looked.max_tokens.unwrap_or_default())
        }
        None => (PROMPT_TOKENS_MAX, OUTPUT_TOKENS_MAX),
    };
    let each = u32::try_from(models.len()).unwrap_or(u32::MAX).max(1);
    PriceBook::builtin().reservation(&Order {
        models: &models,
        upstreams: &[],
        at,
        input_tokens,
        output_tokens: output_tokens.min(OUTPUT_TOKENS_MAX),
        fast: looked.as_ref().is_none_or(|looked| looked.fast),
        inferences: each.saturating_mul(times),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixMs = UnixMs(1_795_000_000_000);

    #[test]
    fn recorded_requests_are_sent_as_they_stand() {
        let asked = read(
            "{\"method\":\"POST\",\"path\":\"/v1/messages?beta=true\",\"headers\":{\"X-App\":\"cli\"},\"body\":{\"b\": 1,\"a\":\"\\u0041\"}}\n\n\
             {\"method\":\"GET\",\"path\":\"/v1/models\"}",
        )
        .unwrap();
        assert_eq!(asked.iter().map(|asked| asked.name.as_str()).collect::<Vec<_>>(), ["line 1", "line 3"]);
        assert_eq!(asked[0].ask.body, r#"{"b": 1,"a":"\u0041"}"#);
        let headers: Vec<_> = asked[0].ask.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(headers, ["x-app", "content-type"]);
        assert!(asked[1].ask.body.is_empty() && asked[1].ask.headers.is_empty());
    }

    #[test]
    fn a_bad_line_is_told_by_its_number_and_shows_no_value() {
        let good = r#"{"method":"GET","path":"/v1/models"}"#;
        let many = format!("{good}\n").repeat(REQUESTS_MAX + 1);
        let rows = [
            ("", "no request in the file"),
            ("\n{", "line 2: it is no such request (column 1)"),
            (r#"{"method":"GET","path":"/","secret":"canary"}"#, "line 1: it is no such request"),
            (r#"{"method":"DELETE","path":"/v1/files/1"}"#, "line 1: only GET"),
            (r#"{"method":"POST","path":"/v1/messages/batches"}"#, "line 1: only GET"),
            (r#"{"method":"GET","path":"http://other.example/"}"#, "`path` is no path"),
            // It would be sent without what stands behind the #, and the bound would not count it.
            (r##"{"method":"POST","path":"/v1/messages#free"}"##, "line 1: only GET"),
            (
                r#"{"method":"GET","path":"/","headers":{"Authorization":"Bearer canary"}}"#,
                "`authorization` is",
            ),
            (r#"{"method":"GET","path":"/","headers":{"x_api_key":"canary"}}"#, "`x_api_key` is"),
            (r#"{"method":"GET","path":"/","headers":{"Connection":"close"}}"#, "`connection` is"),
            (r#"{"method":"GET","path":"/","headers":{"a":"canary\n"}}"#, "`a` can not be sent"),
            (&many, "line 1001: there are more than 1000"),
        ];
        for (text, says) in rows {
            let bad = read(text).unwrap_err();
            assert!(bad.rule.contains(says), "{says}: {bad:?}");
            assert!(!bad.rule.contains("canary") && !bad.cure.is_empty(), "{bad:?}");
        }
    }

    #[test]
    fn the_bound_counts_both_sides_every_repetition_and_what_can_not_be_read() {
        let line = |body: &str| {
            read(&format!(r#"{{"method":"POST","path":"/v1/messages","body":{body}}}"#)).unwrap()
        };
        let small = r#"{"model":"claude-haiku-5-5","max_tokens":10,"messages":[]}"#;
        let one = bound(&line(small), 1, AT);
        assert!(one.requests == 2 && one.cost > NanoUsd(0), "{one:?}");
        assert_eq!(bound(&line(small), 3, AT), Bound { requests: 6, cost: NanoUsd(one.cost.0 * 3) });
        for dearer in [
            r#"{"model":"unheard-of","max_tokens":10,"messages":[]}"#,
            r#"{"model":"claude-haiku-5-5","max_tokens":99,"messages":[]}"#,
            r#"{"model":"claude-haiku-5-5","max_tokens":10,"messages":[],"fallbacks":[{"model":"claude-opus-5-5"}]}"#,
            r#"{"model":"claude-haiku-5-5","max_tokens":10,"messages":[],"mcp_servers":[{"url":"https://a.example"}]}"#,
            r#"{"model":1}"#,
        ] {
            assert!(bound(&line(dearer), 1, AT).cost > one.cost, "{dearer}");
        }
        let free = read(r#"{"method":"POST","path":"/v1/messages/count_tokens","body":{}}"#).unwrap();
        assert_eq!(bound(&free, 5, AT), Bound { requests: 0, cost: NanoUsd(0) });
        assert_eq!(bound(&builtin("claude-haiku-5-5", "n"), 1, AT).requests, 10);
    }
}
