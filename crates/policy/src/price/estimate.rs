//! What is assumed when the upstream has not said: before a request is sent, and after one was cut short.
//!
//! What is likely rests on four characters per token, the figure that the vendor's own gateway uses to bill
//! streams that were aborted (<https://code.claude.com/docs/en/claude-apps-gateway-spend-limits>). What is
//! possible rests on one byte per token, below which no tokenizer goes.

use crate::usage::Usage;

const CHARS_PER_TOKEN: u64 = 4;

/// No model reads a longer prompt; a larger body holds images or files, which take fewer tokens than bytes.
pub const PROMPT_TOKENS_MAX: u64 = 1_000_000;

/// No model writes more in one answer; the longest documented is 128 000 tokens, 300 000 in a batch
/// (<https://platform.claude.com/docs/en/about-claude/models/overview>).
pub const OUTPUT_TOKENS_MAX: u64 = 1_000_000;

/// Input tokens assumed for a body of this length: a token for every four bytes or part of them, at most a
/// million.
#[must_use]
pub fn input_estimate(body_bytes: u64) -> u64 {
    body_bytes.div_ceil(CHARS_PER_TOKEN).min(PROMPT_TOKENS_MAX)
}

/// Tokens that the API itself adds to a prompt: the instructions that come with tools, 804 at most of those that are
/// published, and the built-in definitions of Anthropic's client tools, below 2 500 together
/// (<https://platform.claude.com/docs/en/about-claude/pricing>, tool use), rounded up.
pub const ADDED_TOKENS_MAX: u64 = 4_000;

/// Tokens of one image, held at: the largest that a model sees takes 4 784
/// (<https://platform.claude.com/docs/en/build-with-claude/vision>), rounded up.
pub const IMAGE_TOKENS_MAX: u64 = 5_000;

/// The most input tokens of a body of this length with so many media blocks (`image`, `document`), for a reservation:
/// a token for every byte, what the API adds itself, and an image for each media block, at most what a model can
/// read.
///
/// A bound for text, because every token stands for one byte at least, and JSON is never shorter than the text in it.
/// A bound for images too, also for one that is in the body only as a URL or a file id.
///
/// No bound for what the body does not show: a document by URL or file id, the compressed pages of one that is inlined
/// (each page is read as text and as an image), results of server tools and of MCP servers. The caller that meets
/// these takes [`PROMPT_TOKENS_MAX`], or accepts that the request may exceed its reservation.
#[must_use]
pub fn input_bound(body_bytes: u64, media: u64) -> u64 {
    body_bytes
        .saturating_add(ADDED_TOKENS_MAX)
        .saturating_add(media.saturating_mul(IMAGE_TOKENS_MAX))
        .min(PROMPT_TOKENS_MAX)
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
