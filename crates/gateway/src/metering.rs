//! Where the protocol's words for usage meet the books' words for it.

use tollgate_policy::usage as books;
use tollgate_wire::usage as wire;

/// Usage as the books hold it.
pub(crate) fn usage(usage: wire::Usage) -> books::Usage {
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
