//! A second opinion on allowances: reads the journal alone, and recomputes from its entries whether any allowance was
//! ever overdrawn, and what every counter must say in the end. Knows nothing of how the gateway counts.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// An allowance as the tests write it: whose use counts, of which models, what of it, how much.
#[derive(Debug, Clone)]
pub struct Cap {
    pub name: &'static str,
    /// Fields of the scope that must have these values.
    pub on: &'static [(&'static str, &'static str)],
    /// One for each value of this field of the scope; `key` for the key itself.
    pub each: Option<&'static str>,
    /// A text that the model's name must hold.
    pub model: &'static str,
    pub measure: Measure,
    pub amount: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Measure {
    Requests,
    Tokens,
    Nano,
    Concurrency,
    /// Requests in milliseconds `per_ms`, `amount` of them refilled, `burst` at most in store.
    Rate {
        per_ms: i64,
        burst: u64,
    },
}

/// What a counter holds at some instant of the journal.
#[derive(Debug, Clone, Default)]
struct Counter {
    used: u64,
    held: BTreeMap<u64, u64>,
    /// Instants of admissions, for rates.
    admitted: Vec<i64>,
}

/// What each counter holds in the end: allowance and member, to what is used.
pub type Used = BTreeMap<(String, String), u64>;

/// Follows the journal entry by entry. Panics at the first one that overdraws an allowance; gives what is used in the
/// end, after seeing that nothing is held.
pub fn prove(journal: &[Value], caps: &[Cap]) -> Used {
    let mut counters: HashMap<(usize, String), Counter> = HashMap::new();
    let mut admissions: HashMap<u64, &Value> = HashMap::new();
    for entry in journal {
        match entry["kind"].as_str().unwrap() {
            "admitted" => {
                admissions.insert(entry["seq"].as_u64().unwrap(), entry);
                for (number, cap) in caps.iter().enumerate().filter(|(_, cap)| cap.counts(entry)) {
                    let counter = counters.entry((number, cap.member(entry))).or_default();
                    counter.admit(cap, entry);
                }
            }
            "settled" => {
                let seq = entry["admitted"].as_u64().unwrap();
                let admitted = admissions.remove(&seq).unwrap_or_else(|| panic!("{entry:#} was not open"));
                for (number, cap) in caps.iter().enumerate().filter(|(_, cap)| cap.counts(admitted)) {
                    let counter = counters.get_mut(&(number, cap.member(admitted))).unwrap();
                    counter.held.remove(&seq);
                    counter.used += cap.measure.used(entry);
                    counter.fits(cap, entry);
                }
            }
            _ => {}
        }
    }
    assert!(admissions.is_empty(), "open in the end: {admissions:#?}");
    counters.iter().for_each(|((number, member), counter)| counter.keeps_its_rate(&caps[*number], member));
    let used = counters
        .into_iter()
        .filter(|((number, _), _)| !matches!(caps[*number].measure, Measure::Rate { .. }));
    used.map(|((number, member), counter)| ((caps[number].name.to_owned(), member), counter.used)).collect()
}

impl Counter {
    fn admit(&mut self, cap: &Cap, entry: &Value) {
        let seq = entry["seq"].as_u64().unwrap();
        self.admitted.push(instant(&entry["at"]));
        if matches!(cap.measure, Measure::Rate { .. }) {
            return;
        }
        self.held.insert(seq, cap.measure.reserved(entry));
        self.fits(cap, entry);
    }

    fn fits(&self, cap: &Cap, entry: &Value) {
        let total = self.used + self.held.values().sum::<u64>();
        assert!(total <= cap.amount, "{} is overdrawn: {total} of {}: {entry:#}", cap.name, cap.amount);
    }

    /// In every interval, no more than what was in store and what was refilled meanwhile.
    fn keeps_its_rate(&self, cap: &Cap, member: &str) {
        let Measure::Rate { per_ms, burst } = cap.measure else { return };
        // Two that enter at once may come into the journal the other way round.
        let mut admitted = self.admitted.clone();
        admitted.sort_unstable();
        for (first, from) in admitted.iter().enumerate() {
            for (last, to) in admitted.iter().enumerate().skip(first) {
                let count = (last - first + 1) as i128;
                let refilled = i128::from(to - from) * i128::from(cap.amount);
                let bound = i128::from(burst) * i128::from(per_ms) + refilled;
                assert!(
                    count * i128::from(per_ms) <= bound,
                    "{} of {member}: {count} in {} ms",
                    cap.name,
                    to - from
                );
            }
        }
    }
}

impl Cap {
    fn counts(&self, admitted: &Value) -> bool {
        let scope = &admitted["scope"];
        admitted["endpoint"] == "messages"
            && self.on.iter().all(|(field, name)| scope[*field] == *name)
            && admitted["model"].as_str().unwrap_or_default().contains(self.model)
            && self.each.is_none_or(|each| each == "key" || scope[each].is_string())
    }

    fn member(&self, admitted: &Value) -> String {
        match self.each {
            None => String::new(),
            Some("key") => admitted["key"].as_str().unwrap().to_owned(),
            Some(field) => admitted["scope"][field].as_str().unwrap().to_owned(),
        }
    }
}

impl Measure {
    fn reserved(self, admitted: &Value) -> u64 {
        let number = |field: &str| admitted[field].as_u64().unwrap_or(0);
        match self {
            Measure::Requests | Measure::Concurrency => 1,
            Measure::Tokens => number("input_estimate") + number("output_estimate"),
            Measure::Nano => number("reserved_nano_usd"),
            Measure::Rate { .. } => 0,
        }
    }

    fn used(self, settled: &Value) -> u64 {
        let tokens = |field: &str| settled["usage"][field].as_u64().unwrap_or(0);
        match self {
            Measure::Requests => 1,
            Measure::Concurrency | Measure::Rate { .. } => 0,
            Measure::Tokens => {
                let input = tokens("input_tokens") + tokens("cache_write_5m_tokens");
                input + tokens("cache_write_1h_tokens") + tokens("output_tokens")
            }
            Measure::Nano => settled["cost_nano_usd"].as_u64().unwrap(),
        }
    }
}

fn instant(at: &Value) -> i64 {
    let at: jiff::Timestamp = at.as_str().unwrap().parse().unwrap();
    at.as_millisecond()
}
