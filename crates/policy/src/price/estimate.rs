//! What is assumed when the upstream has not said: before a request is sent, and after one was cut short.
//!
//! All rules rest on four characters per token, the figure that the vendor's own gateway uses to bill
//! streams that were aborted (<https://code.claude.com/docs/en/claude-apps-gateway-spend-limits>).

use crate::usage::Usage;

const CHARS_PER_TOKEN: u64 = 4;

/// No model reads a longer prompt; a larger body holds images or files, which take fewer tokens than bytes.
const PROMPT_TOKENS_MAX: u64 = 1_000_000;

/// Input tokens assumed for a body of this length: a token for every four bytes or part of them, at most a
/// million.
#[must_use]
pub fn input_estimate(body_bytes: u64) -> u64 {
    body_bytes.div_ceil(CHARS_PER_TOKEN).min(PROMPT_TOKENS_MAX)
}

/// The usage to book for a request that was sent and whose answer ended before its final usage came.
///
/// - Input is what was reported last. If none was, not even at the start of the stream, it is estimated
///   from the length of the body: the upstream read it and bills it.
/// - Output is the larger of what was reported last and what was seen: a token for every four characters
///   of text or part of them. The first report in a stream is a small number long before the end, so it
///   alone would make cancelled streams nearly free.
/// - Everything else stays as reported. If the report lists iterations, missing output is added to the
///   last one, the one that was running.
#[must_use]
pub fn floor(reported: Option<&Usage>, text_chars: u64, body_bytes: u64) -> Usage {
    let mut usage = reported.cloned().unwrap_or_default();
    if usage.prompt_tokens() == 0 && usage.iterations.iter().all(|iteration| iteration.prompt_tokens() == 0) {
        usage.input_tokens = input_estimate(body_bytes);
        // With no input in them the iterations are no account of the request: the totals are to count.
        usage.output_tokens = usage.output_tokens.max(iterations_output(&usage));
        usage.iterations.clear();
    }
    let seen = text_chars.div_ceil(CHARS_PER_TOKEN);
    let iterations_output = iterations_output(&usage);
    match usage.iterations.last_mut() {
        None => usage.output_tokens = usage.output_tokens.max(seen),
        Some(last) => {
            let missing = seen.saturating_sub(iterations_output);
            last.output_tokens = last.output_tokens.saturating_add(missing);
        }
    }
    usage
}

fn iterations_output(usage: &Usage) -> u64 {
    usage.iterations.iter().fold(0, |sum, iteration| sum.saturating_add(iteration.output_tokens))
}
