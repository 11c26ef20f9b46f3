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
