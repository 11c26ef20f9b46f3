//! Where the protocol's words for usage meet the books' words for it.

use tollgate_policy::usage as books;
use tollgate_wire::usage as wire;

/// Usage as the books hold it.
#[must_use]
pub fn usage(usage: wire::Usage) -> books::Usage {
    books::Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cache_write_5m_tokens: usage.cache_write_5m_tokens,
        cache_write_1h_tokens: usage.cache_write_1h_tokens,
        cache_read_tokens: usage.cache_read_tokens,
        web_search_requests: usage.web_search_requests,
        web_fetch_requests: usage.web_fetch_requests,
        code_execution_requests: usage.code_execution_requests,
        service_tier: usage.service_tier,
        speed: usage.speed,
        inference_geo: usage.inference_geo,
        iterations: usage.iterations.into_iter().map(iteration).collect(),
    }
}

fn iteration(iteration: wire::Iteration) -> books::Iteration {
    books::Iteration {
        kind: iteration.kind,
        model: iteration.model,
        input_tokens: iteration.input_tokens,
        output_tokens: iteration.output_tokens,
        cache_write_5m_tokens: iteration.cache_write_5m_tokens,
        cache_write_1h_tokens: iteration.cache_write_1h_tokens,
        cache_read_tokens: iteration.cache_read_tokens,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tollgate_policy::price::{PriceBook, Sale};
    use tollgate_policy::unit::{NanoUsd, UnixMs};
    use tollgate_wire::meter::Meter;

    use super::usage;

    /// Usage bodies with their prices, computed by hand; `bodies.rs` beside it says how.
    const BODIES: &str = include_str!("../../policy/src/price/tests/bodies.json");
    const CONTRACT: &str = include_str!("../../policy/src/price/tests/contract.json");

    #[test]
    fn an_answer_read_by_the_meter_costs_what_was_computed_by_hand() {
        let contract = PriceBook::parse(CONTRACT).unwrap();
        let rows: Vec<Value> = serde_json::from_str(BODIES).unwrap();
        // Answers that broke off are the floor's business; their table stands in the policy.
        for row in rows.iter().filter(|row| row["broken"].is_null()) {
            let what = row["what"].as_str().unwrap();
            let mut answer = json!({
                "type": "message", "model": row["model"], "usage": row["usage"],
                "content": [{"type": "text", "text": "Yes."}], "stop_reason": "end_turn",
            });
            for (field, value) in row["answer"].as_object().into_iter().flatten() {
                answer[field] = value.clone();
            }
            let mut meter = Meter::for_answer();
            meter.push(answer.to_string().as_bytes());
            let metered = meter.finish();
            let at: UnixMs = row["at"].as_str().unwrap().parse().unwrap();
            let book = if row["book"].is_null() { PriceBook::builtin() } else { &contract };
            let cost = book.cost(&Sale {
                requested_model: row["requested"].as_str().unwrap_or_default(),
                model: metered.model.as_deref().unwrap(),
                upstream: row["upstream"].as_str().unwrap_or_default(),
                usage: &usage(metered.usage.unwrap()),
                at,
                batch: false,
                regional: false,
            });
            let charged = if metered.billable { cost.amount } else { NanoUsd::ZERO };
            assert_eq!(charged.0, row["cost_nano_usd"], "{what}");
        }
    }
}
