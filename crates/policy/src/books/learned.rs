//! What requests to each model have used lately: how many output tokens nearly all of them stay within.

use std::collections::HashMap;

/// Fewer answers tell nothing about the largest of a hundred.
const SAMPLES_MIN: u64 = 50;
/// From this many answers on, old ones fade: all counts are halved.
const SAMPLES_MAX: u64 = 4_096;
/// The most models that are kept; the one not seen for longest leaves.
const MODELS_MAX: usize = 256;
/// A longer id is no model's.
const MODEL_BYTES_MAX: usize = 128;
/// Steps within each doubling, so that a step is at most an eighth above the one before.
const STEPS: u32 = 8;
/// Up to 2^27 tokens: far above what any model writes.
const BINS: usize = 8 * 25;

/// Histograms of output tokens, by requested model.
#[derive(Debug, Default)]
pub(super) struct Learned {
    models: HashMap<Box<str>, Histogram>,
    turn: u64,
}

#[derive(Debug)]
struct Histogram {
    counts: Box<[u16; BINS]>,
    total: u64,
    seen: u64,
}

impl Learned {
    /// Output tokens that 99 of 100 answers of the model stay within; nothing before enough of them were seen.
    pub(super) fn output_tokens(&self, model: &str) -> Option<u64> {
        self.models.get(model).filter(|histogram| histogram.total >= SAMPLES_MIN).map(Histogram::quantile)
    }

    /// Takes in one answer. One without output says nothing about what others will write.
    pub(super) fn learn(&mut self, model: &str, output_tokens: u64) {
        if output_tokens == 0 || model.len() > MODEL_BYTES_MAX {
            return;
        }
        self.turn += 1;
        if !self.models.contains_key(model) {
            if self.models.len() >= MODELS_MAX {
                let oldest = self.models.iter().min_by_key(|(_, histogram)| histogram.seen);
                if let Some(oldest) = oldest.map(|(model, _)| model.clone()) {
                    self.models.remove(&oldest);
                }
            }
            let empty = Histogram { counts: Box::new([0; BINS]), total: 0, seen: 0 };
            self.models.insert(model.into(), empty);
        }
        if let Some(histogram) = self.models.get_mut(model) {
            histogram.seen = self.turn;
            histogram.add(output_tokens);
        }
    }
}

impl Histogram {
    fn add(&mut self, tokens: u64) {
        if self.total >= SAMPLES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u64::from(*count)).sum();
        }
        self.counts[bin(tokens)] += 1;
        self.total += 1;
    }

    fn quantile(&self) -> u64 {
        let wanted = (self.total * 99).div_ceil(100);
        let mut sum = 0;
        let reached = self.counts.iter().position(|count| {
            sum += u64::from(*count);
            sum >= wanted
        });
        largest(reached.unwrap_or(BINS - 1))
    }
}

/// The bin of a count: below eight each its own, from there eight to each doubling.
fn bin(tokens: u64) -> usize {
    if tokens < u64::from(STEPS) {
        return tokens as usize;
    }
    let doubling = tokens.ilog2() - STEPS.ilog2();
    let step = (tokens >> doubling) as usize - STEPS as usize;
    ((doubling as usize + 1) * STEPS as usize + step).min(BINS - 1)
}

/// The largest count of a bin.
fn largest(bin: usize) -> u64 {
    let (doubling, step) = (bin / STEPS as usize, bin % STEPS as usize);
    match doubling.checked_sub(1) {
        None => step as u64,
        Some(doubling) => ((u64::from(STEPS) + step as u64 + 1) << doubling) - 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taught(samples: &[u64]) -> Learned {
        let mut learned = Learned::default();
        samples.iter().for_each(|tokens| learned.learn("opus", *tokens));
        learned
    }

    #[test]
    fn nothing_is_known_before_enough_was_seen() {
        assert_eq!(taught(&[7; 49]).output_tokens("opus"), None);
        assert_eq!(taught(&[7; 50]).output_tokens("opus"), Some(7));
        assert_eq!(taught(&[7; 50]).output_tokens("sonnet"), None);
        // What wrote nothing says nothing.
        assert_eq!(taught(&[0; 500]).output_tokens("opus"), None);
    }

    #[test]
    fn what_is_old_fades() {
        let mut samples = vec![100_000; 10_000];
        samples.extend(vec![6; 100_000]);
        assert_eq!(taught(&samples).output_tokens("opus"), Some(6));
    }

    #[test]
    fn the_model_not_seen_for_longest_leaves() {
        let mut learned = taught(&[7; 50]);
        for number in 0..MODELS_MAX {
            learned.learn("opus", 7);
            learned.learn(&format!("model-{number}"), 7);
        }
        assert_eq!(learned.models.len(), MODELS_MAX);
        assert!(learned.output_tokens("opus").is_some());
        assert!(!learned.models.contains_key("model-0") && learned.models.contains_key("model-1"));
        learned.learn(&"x".repeat(MODEL_BYTES_MAX + 1), 7);
        assert!(learned.models.contains_key("model-1"));
    }

    proptest! {
        #[test]
        fn it_is_the_larger_end_of_the_step_in_which_the_quantile_lies(
            samples in prop::collection::vec(prop_oneof![1..20_u64, 1..300_000_u64, any::<u64>()], 50..400),
        ) {
            let found = taught(&samples).output_tokens("opus").unwrap();
            let mut sorted = samples;
            sorted.retain(|tokens| *tokens > 0);
            sorted.sort_unstable();
            let exact = sorted[(sorted.len() * 99).div_ceil(100) - 1];
            let most = largest(BINS - 1);
            prop_assert!(found >= exact.min(most) && found <= exact.saturating_add(exact / 8), "{} for {}", found, exact);
        }

        #[test]
        fn each_count_is_in_the_bin_that_ends_with_the_next_largest(tokens in 0..1_u64 << 27) {
            let bin = bin(tokens);
            prop_assert!(tokens <= largest(bin));
            prop_assert!(bin == 0 || largest(bin - 1) < tokens);
        }
    }
}
