//! Usage as the API reports it, and what it costs: computed by hand, and independently of the code under test.
//!
//! `bodies.json` holds the table. Each of a row's terms is one line of the bill, quantity x nano-dollars x factors,
//! rounded half up on its own; their sum is the cost. A row that says `broken` is a stream that ended early, priced by
//! the floor. The gateway reads the same table through its meter (`crates/gateway/src/metering.rs`).

use serde::Deserialize;

use super::*;

const BODIES: &str = include_str!("bodies.json");
pub(super) const CONTRACT: &str = include_str!("contract.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    #[serde(default)]
    book: Option<String>,
    model: String,
    #[serde(default)]
    requested: Option<String>,
    #[serde(default)]
    upstream: String,
    at: UnixMs,
    /// Present where it is the answer, not the usage, that decides. The meter's business.
    #[serde(default)]
    answer: Option<serde_json::Value>,
    #[serde(default)]
    broken: Option<Broken>,
    usage: Option<Reported>,
    terms: Vec<String>,
    cost_nano_usd: i64,
    #[serde(default)]
    unknown: bool,
}

#[derive(Deserialize)]
struct Broken {
    text_chars: u64,
    body_bytes: u64,
}

/// The `usage` object of an answer (<https://platform.claude.com/docs/en/api/messages/create>), as far as it is priced.
#[derive(Deserialize)]
struct Reported {
    #[serde(flatten)]
    tokens: Tokens,
    server_tool_use: Option<Tools>,
    service_tier: Option<String>,
    speed: Option<String>,
    inference_geo: Option<String>,
    #[serde(default)]
    iterations: Vec<RanOnce>,
}

#[derive(Deserialize)]
struct RanOnce {
    r#type: String,
    model: Option<String>,
    #[serde(flatten)]
    tokens: Tokens,
}

#[derive(Deserialize)]
struct Tokens {
    input_tokens: u64,
    output_tokens: u64,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<Written>,
}

#[derive(Deserialize)]
struct Written {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tools {
    web_search_requests: u64,
    web_fetch_requests: u64,
    code_execution_requests: u64,
}

impl Tokens {
    /// Tokens written to the cache: for five minutes, where it is not said, and for an hour.
    fn written(&self) -> (u64, u64) {
        match &self.cache_creation {
            Some(split) => (split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens),
            None => (self.cache_creation_input_tokens.unwrap_or_default(), 0),
        }
    }
}

impl From<Reported> for Usage {
    fn from(reported: Reported) -> Self {
        let (cache_write_5m_tokens, cache_write_1h_tokens) = reported.tokens.written();
        let tools = reported.server_tool_use.unwrap_or_default();
        Self {
            input_tokens: reported.tokens.input_tokens,
            output_tokens: reported.tokens.output_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            cache_read_tokens: reported.tokens.cache_read_input_tokens.unwrap_or_default(),
            web_search_requests: tools.web_search_requests,
            web_fetch_requests: tools.web_fetch_requests,
            code_execution_requests: tools.code_execution_requests,
            service_tier: reported.service_tier,
            speed: reported.speed,
            inference_geo: reported.inference_geo,
            iterations: reported.iterations.into_iter().map(Iteration::from).collect(),
        }
    }
}

impl From<RanOnce> for Iteration {
    fn from(ran: RanOnce) -> Self {
        let (cache_write_5m_tokens, cache_write_1h_tokens) = ran.tokens.written();
        Self {
            kind: ran.r#type,
            model: ran.model,
            input_tokens: ran.tokens.input_tokens,
            output_tokens: ran.tokens.output_tokens,
            cache_write_5m_tokens,
            cache_write_1h_tokens,
            cache_read_tokens: ran.tokens.cache_read_input_tokens.unwrap_or_default(),
        }
    }
}

/// A term such as `7 x 10 x 0.5 x 1.1`, rounded half up. In whole numbers: every factor in thousandths.
fn term(text: &str) -> i64 {
    let mut product: i128 = 1;
    let mut scale: i128 = 1;
    for factor in text.split(" x ") {
        let (whole, decimals) = factor.split_once('.').unwrap_or((factor, ""));
        product *= format!("{whole}{decimals:0<3}").parse::<i128>().unwrap();
        scale *= 1000;
    }
    i64::try_from((2 * product + scale) / (2 * scale)).unwrap()
}

#[test]
fn every_usage_body_costs_what_was_computed_by_hand() {
    let contract = PriceBook::parse(CONTRACT).unwrap();
    let rows: Vec<Row> = serde_json::from_str(BODIES).unwrap();
    assert!(rows.len() >= 70, "{} rows", rows.len());
    for row in rows {
        let what = row.what;
        assert_eq!(row.terms.iter().map(|text| term(text)).sum::<i64>(), row.cost_nano_usd, "{what}");
        if row.answer.is_some() && row.cost_nano_usd == 0 {
            // Whether an answer is charged at all is not a matter of prices.
            continue;
        }
        let reported = row.usage.map(Usage::from);
        let usage = match row.broken {
            Some(Broken { text_chars, body_bytes }) => floor(reported.as_ref(), text_chars, body_bytes),
            None => reported.unwrap(),
        };
        let book = if row.book.as_deref() == Some("contract") { &contract } else { PriceBook::builtin() };
        let priced = book.price(&Sale {
            requested_model: row.requested.as_deref().unwrap_or(&row.model),
            model: &row.model,
            upstream: &row.upstream,
            usage: &usage,
            at: row.at,
            batch: false,
            regional: false,
        });
        assert_eq!((priced.cost, priced.unknown_model), (NanoUsd(row.cost_nano_usd), row.unknown), "{what}");
        // In any order: the table has the classes as a reader has them in mind.
        let mut lines: Vec<i64> = priced.lines.iter().map(|line| line.amount.0).collect();
        let mut terms: Vec<i64> = row.terms.iter().map(|text| term(text)).collect();
        lines.sort_unstable();
        terms.sort_unstable();
        assert_eq!(lines, terms, "{what}: line by line");
    }
}
