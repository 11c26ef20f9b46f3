//! The two sides laid beside each other.

use super::export::{CLASSES, Export, Fact, Modes, TOKEN_CLASSES, What};
use super::ledger::{Booked, Figures};
use super::reason::{self, Reason};
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};
use tollgate_policy::{
    price::{Class, PriceBook},
    unit::UnixMs,
};

/// What is compared with what.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    /// Differences up to this part of the larger side are none, in millionths.
    pub(crate) tolerance_ppm: u32,
    /// The days that count.
    pub(crate) days: BTreeSet<Date>,
    /// Which key of the provider each upstream presents, by its id or its name. With none, all keys count as one.
    pub(crate) keys: Vec<(String, String)>,
    /// The upstreams whose requests count; with none, those of `keys`, or all.
    pub(crate) upstreams: Vec<String>,
    /// The prices that the reasons are sought in.
    pub(crate) book: &'a PriceBook,
    /// The present.
    pub(crate) now: UnixMs,
}

/// What is compared: a day's use of a model, at an upstream if keys tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    /// The day, in UTC.
    pub(crate) day: Date,
    /// The model, by its name in the price book. None stands for all models of a day whose cost the export does not
    /// tell by model.
    pub(crate) model: Option<String>,
    /// The upstream; none for all of them.
    pub(crate) upstream: Option<String>,
}

/// Tokens, in the order of [`Measure::TOKENS`].
pub(crate) type Tokens = [u64; 4];

/// What is measured on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// Input tokens outside the cache.
    Input,
    /// Output tokens.
    Output,
    /// Tokens written to the cache.
    CacheWrite,
    /// Tokens read from the cache.
    CacheRead,
    /// Money.
    Cost,
}

impl Measure {
    pub(crate) const TOKENS: [Self; 4] = [Self::Input, Self::Output, Self::CacheWrite, Self::CacheRead];

    /// Its stable name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheWrite => "cache_write",
            Self::CacheRead => "cache_read",
            Self::Cost => "cost",
        }
    }
}

/// What the provider says about a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Counts by [`Class`], if it tells usage.
    pub(crate) counts: Option<[u64; CLASSES]>,
    /// Nano-dollars, if it tells cost.
    pub(crate) cost: Option<i128>,
    /// By how much that may be rounded.
    pub(crate) rounding: i128,
    /// The part of each class, as far as it is told.
    pub(crate) cost_by_class: [i128; CLASSES],
    /// How it was served, if any of it was served so.
    pub(crate) modes: Modes,
}

impl Told {
    /// The tokens in the classes that both sides have.
    pub(crate) fn tokens(&self) -> Option<Tokens> {
        let of = |class: Class| self.counts.map_or(0, |counts| counts[class as usize]);
        self.counts.map(|_| {
            let written = of(Class::CacheWrite5m).saturating_add(of(Class::CacheWrite1h));
            [of(Class::Input), of(Class::Output), written, of(Class::CacheRead)]
        })
    }
}

/// The tokens of the ledger's side.
pub(crate) fn tokens(figures: &Figures) -> Tokens {
    [figures.input_tokens, figures.output_tokens, figures.cache_writes(), figures.cache_read_tokens]
}

/// A group in which the two sides differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Where.
    pub(crate) group: Group,
    /// The provider's side.
    pub(crate) told: Told,
    /// Ours.
    pub(crate) booked: Figures,
    /// What differs by more than is tolerated.
    pub(crate) measures: Vec<Measure>,
    /// Why, probably.
    pub(crate) reason: Reason,
}

/// The outcome.
#[derive(Debug)]
pub(crate) struct Comparison {
    /// The days that were compared.
    pub(crate) days: BTreeSet<Date>,
    /// How many groups were compared.
    pub(crate) groups: usize,
    /// Those that differ, in the order of time.
    pub(crate) differences: Vec<Difference>,
    /// All that the provider says of these days.
    pub(crate) told: Told,
    /// All that is booked for them.
    pub(crate) booked: Figures,
    /// Rows and requests that are not among what was compared.
    pub(crate) left_out: u64,
    /// What was not compared, and why.
    pub(crate) notes: Vec<String>,
}

impl Comparison {
    /// Whether the two sides are equal, as far as is tolerated.
    pub(crate) fn is_equal(&self) -> bool {
        self.differences.is_empty()
    }

    /// Whether there was nothing to compare although there is something: the wrong days, keys or upstreams were named.
    pub(crate) fn is_empty(&self) -> bool {
        self.days.is_empty() || self.groups == 0 && self.left_out > 0
    }
}

/// Compares. Pure: the same sides give the same outcome.
pub(crate) fn compare(export: &Export, ledger: &[Booked], terms: &Terms<'_>) -> Comparison {
    let sides = Sides::of(export, ledger, terms);
    let mut cases = Vec::new();
    for (group, (told, booked)) in &sides.groups {
        let measures = differing(told, booked, terms.tolerance_ppm);
        cases.push((group, told, booked, measures));
    }
    let differing: Vec<reason::Case<'_>> = cases
        .iter()
        .filter(|(_, _, _, measures)| !measures.is_empty())
        .map(|(group, told, booked, measures)| reason::Case { group, told, booked, measures })
        .collect();
    let reasons = reason::all(&differing, &sides.usage_days, terms);
    let differences = differing.iter().zip(reasons).map(|(case, reason)| Difference {
        group: case.group.clone(),
        told: case.told.clone(),
        booked: *case.booked,
        measures: case.measures.to_vec(),
        reason,
    });
    Comparison {
        days: sides.days,
        groups: sides.groups.len(),
        differences: differences.collect(),
        told: sides.told,
        booked: sides.booked,
        left_out: sides.left_out,
        notes: sides.notes,
    }
}

/// Whether the two differ by more than a part of the larger one.
pub(crate) fn differs(one: i128, other: i128, tolerance_ppm: u32) -> bool {
    let difference = one.saturating_sub(other).unsigned_abs();
    let larger = one.unsigned_abs().max(other.unsigned_abs());
    difference.saturating_mul(1_000_000) > larger.saturating_mul(u128::from(tolerance_ppm))
}

fn differing(told: &Told, booked: &Figures, tolerance_ppm: u32) -> Vec<Measure> {
    let mut measures = Vec::new();
    for (measure, (one, other)) in
        Measure::TOKENS.into_iter().zip(told.tokens().into_iter().flatten().zip(tokens(booked)))
    {
        if differs(one.into(), other.into(), tolerance_ppm) {
            measures.push(measure);
        }
    }
    if let Some(cost) = told.cost {
        let booked = i128::from(booked.cost_nano_usd);
        let more_than_rounding = cost.saturating_sub(booked).abs() > told.rounding;
        if more_than_rounding && differs(cost, booked, tolerance_ppm) {
            measures.push(Measure::Cost);
        }
    }
    measures
}

/// Both sides, added up by group.
struct Sides {
    groups: BTreeMap<Group, (Told, Figures)>,
    usage_days: BTreeSet<Date>,
    days: BTreeSet<Date>,
    told: Told,
    booked: Figures,
    left_out: u64,
    notes: Vec<String>,
}

impl Sides {
    fn of(export: &Export, ledger: &[Booked], terms: &Terms<'_>) -> Self {
        let told_of = |days: &BTreeSet<Date>| days & &terms.days;
        let (usage_days, cost_days) = (told_of(&export.usage_days), told_of(&export.cost_days));
        let days = &usage_days | &cost_days;
        let mut sides = Self {
            groups: BTreeMap::new(),
            usage_days,
            days,
            told: Told::default(),
            booked: Figures::default(),
            left_out: 0,
            notes: Vec::new(),
        };
        sides.provider(&export.facts, terms);
        sides.ledger(ledger, terms);
        sides.spread_searches();
        sides.gather_costs_without_model();
        // Where the provider tells of a day and not of a group, it says that there was nothing.
        for (group, (told, _)) in &mut sides.groups {
            if sides.usage_days.contains(&group.day) && group.model.is_some() {
                told.counts.get_or_insert([0; CLASSES]);
            }
        }
        let whole = whole_days(&sides.groups);
        for (group, (told, _)) in &mut sides.groups {
            let by_day = whole.contains(&(group.day, group.upstream.clone()));
            if cost_days.contains(&group.day) && !by_day {
                told.cost.get_or_insert(0);
            }
        }
        sides
    }

    fn provider(&mut self, facts: &[Fact], terms: &Terms<'_>) {
        let mut of_other_keys = 0;
        for fact in facts.iter().filter(|fact| self.days.contains(&fact.day)) {
            let upstream = match terms.keys.as_slice() {
                [] => None,
                keys => match keys.iter().find(|(_, key)| fact.keys.contains(key)) {
                    Some((upstream, _)) => Some(upstream.clone()),
                    None => {
                        of_other_keys += 1;
                        continue;
                    }
                },
            };
            let model = fact.model.as_deref().map(|model| terms.book.name(model).to_owned());
            let group = Group { day: fact.day, model, upstream };
            self.groups.entry(group).or_default().0.add(fact);
            self.told.add(fact);
        }
        for (upstream, key) in &terms.keys {
            if !facts.iter().any(|fact| fact.keys.contains(key)) {
                self.notes
                    .push(format!("no row of the export is of the key {key}, which {upstream} presents"));
            }
        }
        if of_other_keys > 0 {
            self.left_out += of_other_keys;
            self.notes
                .push(format!("{of_other_keys} rows of the export are of keys that --key does not name"));
        }
    }

    fn ledger(&mut self, rows: &[Booked], terms: &Terms<'_>) {
        let mut of_other_upstreams = 0;
        let mut adjusted = 0_i128;
        for row in rows.iter().filter(|row| self.days.contains(&row.day)) {
            let name = row.upstream.clone().unwrap_or_default();
            let wanted = match (terms.upstreams.as_slice(), terms.keys.as_slice()) {
                ([], []) => true,
                ([], keys) => keys.iter().any(|(upstream, _)| *upstream == name),
                (upstreams, _) => upstreams.contains(&name),
            };
            if !wanted {
                of_other_upstreams += row.figures.requests;
                continue;
            }
            adjusted += i128::from(row.figures.adjusted_nano_usd);
            self.booked = self.booked.and(&row.figures);
            // Requests that use nothing, such as lists of models, are no concern of the provider's account.
            if tokens(&row.figures) == [0; 4] && row.figures.cost_nano_usd == 0 {
                continue;
            }
            let model = terms.book.name(row.model.as_deref().unwrap_or_default()).to_owned();
            let upstream = (!terms.keys.is_empty()).then_some(name);
            let entry = self.groups.entry(Group { day: row.day, model: Some(model), upstream }).or_default();
            entry.1 = entry.1.and(&row.figures);
        }
        if of_other_upstreams > 0 {
            self.left_out += of_other_upstreams;
            self.notes.push(format!("{of_other_upstreams} requests went to upstreams that are not compared"));
        }
        if adjusted != 0 {
            let sum = crate::money::dollars(adjusted);
            self.notes
                .push(format!("adjustments of these days add {sum}; the costs compared are without them"));
        }
    }

    /// Searches are charged without a model. Where their counts are told by model, so can be their cost.
    fn spread_searches(&mut self) {
        let search = Class::WebSearch as usize;
        for (day, upstream) in whole_days(&self.groups) {
            let of_day = |group: &Group| group.day == day && group.upstream == upstream;
            let whole = Group { day, model: None, upstream: upstream.clone() };
            let all: u128 = self
                .groups
                .iter()
                .filter(|(group, _)| of_day(group))
                .map(|(_, (told, _))| searches(told))
                .sum();
            let Some((cost, rounding)) =
                self.groups.get(&whole).map(|(told, _)| (told.cost_by_class[search], told.rounding))
            else {
                continue;
            };
            if all == 0 {
                continue;
            }
            for (_, (told, _)) in self.groups.iter_mut().filter(|(group, _)| of_day(group)) {
                let part = cost * searches(told) as i128 / all as i128;
                if part != 0 {
                    told.cost = Some(told.cost.unwrap_or_default() + part);
                    // The division leaves less than a nano-dollar.
                    told.rounding += rounding + 1;
                }
            }
            if let Some((told, _)) = self.groups.get_mut(&whole) {
                let rest = told.cost.unwrap_or_default() - cost;
                told.cost_by_class[search] = 0;
                if rest == 0 && told.cost_by_class == [0; CLASSES] {
                    self.groups.remove(&whole);
                } else {
                    told.cost = Some(rest);
                }
            }
        }
    }

    /// On a day on which a cost has no model, costs are compared for all models together.
    fn gather_costs_without_model(&mut self) {
        for (day, upstream) in whole_days(&self.groups) {
            let mut all = (Told::default(), Figures::default());
            for (group, (told, booked)) in &mut self.groups {
                if group.day == day && group.upstream == upstream {
                    let cost = told.cost.take().unwrap_or_default();
                    all.0.cost = Some(all.0.cost.unwrap_or_default() + cost);
                    all.0.rounding += told.rounding;
                    all.0.modes = all.0.modes.and(told.modes);
                    all.1 = all.1.and(booked);
                }
            }
            self.groups.insert(Group { day, model: None, upstream }, all);
        }
    }
}

/// The days on which a cost has no model, and the upstreams whose it is.
fn whole_days(groups: &BTreeMap<Group, (Told, Figures)>) -> BTreeSet<(Date, Option<String>)> {
    let whole = groups.keys().filter(|group| group.model.is_none());
    whole.map(|group| (group.day, group.upstream.clone())).collect()
}

fn searches(told: &Told) -> u128 {
    told.counts.map_or(0, |counts| counts[Class::WebSearch as usize].into())
}

impl Told {
    fn add(&mut self, fact: &Fact) {
        self.modes = self.modes.and(fact.modes);
        match &fact.what {
            What::Usage(counts) => {
                let sums = self.counts.get_or_insert([0; CLASSES]);
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum = sum.saturating_add(*count);
                }
            }
            What::Cost { nano_usd, rounding, class } => {
                self.cost = Some(self.cost.unwrap_or_default() + nano_usd);
                self.rounding += rounding;
                if let Some(class) = class {
                    self.cost_by_class[*class as usize] += nano_usd;
                }
            }
        }
    }

    /// Whether it says that nothing was used.
    pub(crate) fn is_nothing(&self) -> bool {
        self.cost.unwrap_or_default() == 0
            && self.counts.is_none_or(|counts| counts[..TOKEN_CLASSES].iter().all(|count| *count == 0))
    }
}
