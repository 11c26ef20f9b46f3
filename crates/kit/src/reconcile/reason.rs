//! Why two sides probably differ: rules, the first that fits.
//!
//! A rule judges by figures alone, so it can only say what is likely. Each reason names what to look at.

use super::compare::{Group, Measure, Terms, Tokens, Told, differs, tokens};
use super::export::TOKEN_CLASSES;
use super::ledger::Figures;
use crate::money;
use jiff::{civil::Date, tz::TimeZone};
use std::collections::BTreeSet;
use tollgate_policy::{
    price::{Class, Source},
    unit::UnixMs,
};

/// Until a day is over for so long, the provider may still add to it.
const FINAL_AFTER_MS: i64 = 24 * 3_600_000;
const DAY_MS: i64 = 24 * 3_600_000;
/// How far ratios may lie apart to be one, in millionths.
const ONE_RATIO_PPM: u32 = 1_000;
/// The classes of tokens, as the export and the price book have them.
const TOKEN_CLASS: [Class; TOKEN_CLASSES] =
    [Class::Input, Class::Output, Class::CacheWrite5m, Class::CacheWrite1h, Class::CacheRead];

/// Why two sides differ, probably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// What is missing here is too much on the neighbouring day.
    Midnight(Date),
    /// The provider has more: other clients use the same key.
    PastTheGateway,
    /// The provider has less, and the day is not over for long.
    NotFinal,
    /// The provider has less, or nothing.
    MissingAtProvider,
    /// We booked reservations for requests whose end nobody saw.
    UnknownEnd(u64),
    /// We booked a floor for streams that broke off.
    Estimated(u64),
    /// We charged the dearest rates for a model that is in no book.
    UnknownPrice(u64),
    /// The tokens are the same, and one class has another rate: the provider's and the book's, in nano-dollars for a
    /// million.
    Rate { class: Class, provider: i128, book: i128 },
    /// The tokens are the same, and served in a way that has a price of its own.
    Served(&'static str),
    /// The tokens are the same, and the cost is the same part of ours everywhere, in millionths.
    Contract(u64),
    /// The tokens are the same or not told, and the cost is this part of ours, in millionths.
    Price(Option<u64>),
}

impl Reason {
    /// Its stable name.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Midnight(_) => "midnight",
            Self::PastTheGateway => "past_the_gateway",
            Self::NotFinal => "not_final",
            Self::MissingAtProvider => "missing_at_provider",
            Self::UnknownEnd(_) => "unknown_end",
            Self::Estimated(_) => "estimated",
            Self::UnknownPrice(_) => "unknown_price",
            Self::Rate { .. } => "rate",
            Self::Served(_) => "served",
            Self::Contract(_) => "contract",
            Self::Price(_) => "price",
        }
    }

    /// What is likely, and what to look at.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::Midnight(day) => {
                format!("requests around midnight UTC: {day} has as much on the other side")
            }
            Self::PastTheGateway => "the provider saw more: another client uses the same key directly, or the gateway \
                                     had another data folder then"
                .to_owned(),
            Self::NotFinal => "the export is not final yet: export this day again a day after its end".to_owned(),
            Self::MissingAtProvider => {
                "the export leaves requests out: look at its filters (workspace, key, model), or at --upstream"
                    .to_owned()
            }
            Self::UnknownEnd(count) => format!(
                "{count} requests were under way when the gateway died: what was reserved for them was booked"
            ),
            Self::Estimated(count) => {
                format!("{count} answers broke off before their usage was told: a floor was booked")
            }
            Self::UnknownPrice(count) => {
                format!("{count} requests were charged the dearest rates: add the model to the price book and re-rate")
            }
            Self::Rate { class, provider, book } => format!(
                "the provider charges {} for a million {}, the price book {}: correct the book from that date",
                money::dollars(*provider),
                class.as_str(),
                money::dollars(*book)
            ),
            Self::Served(how) => format!("the provider charged it as {how}, and the ledger did not"),
            Self::Contract(ratio) => format!(
                "every cost is {} of ours: a contract that the price book has no multiplier for",
                percent(*ratio)
            ),
            Self::Price(Some(ratio)) => {
                format!("the cost is {} of ours: another price book was in force", percent(*ratio))
            }
            Self::Price(None) => "the costs differ, and the usage is not told".to_owned(),
        }
    }
}

/// `92.5%` of 925 000 millionths.
fn percent(ratio_ppm: u64) -> String {
    let text = format!("{}.{:04}", ratio_ppm / 10_000, ratio_ppm % 10_000);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A group that differs.
pub(crate) struct Case<'a> {
    /// Where.
    pub(crate) group: &'a Group,
    /// The provider's side.
    pub(crate) told: &'a Told,
    /// Ours.
    pub(crate) booked: &'a Figures,
    /// What differs.
    pub(crate) measures: &'a [Measure],
}

/// The reason of each case, where usage is told of these days.
pub(crate) fn all(cases: &[Case<'_>], usage_days: &BTreeSet<Date>, terms: &Terms<'_>) -> Vec<Reason> {
    let all = All { cases, usage_days, contract: one_ratio(cases), terms };
    cases.iter().map(|case| case.reason(&all)).collect()
}

/// What the reasons are sought in.
struct All<'a> {
    cases: &'a [Case<'a>],
    usage_days: &'a BTreeSet<Date>,
    contract: Option<u64>,
    terms: &'a Terms<'a>,
}

/// The part of our cost that the provider charges, if it is the same in several groups of equal tokens and not in one
/// alone.
fn one_ratio(cases: &[Case<'_>]) -> Option<u64> {
    let ratios: Vec<u64> =
        cases.iter().filter(|case| !case.tokens_differ()).filter_map(Case::ratio_ppm).collect();
    let first = *ratios.first()?;
    let same = |ratio: &u64| !differs(i128::from(*ratio), i128::from(first), ONE_RATIO_PPM);
    (ratios.len() > 1 && ratios.iter().all(same)).then_some(first)
}

impl Case<'_> {
    fn reason(&self, all: &All<'_>) -> Reason {
        let usage_is_told = all.usage_days.contains(&self.group.day);
        let amount = match &self.group.model {
            // The cost of a day follows from the use of its models.
            None if usage_is_told => {
                let of_day = |other: &&Case<'_>| {
                    other.group.day == self.group.day
                        && other.group.upstream == self.group.upstream
                        && other.tokens_differ()
                };
                all.cases.iter().find(of_day).and_then(|model| model.amount(all))
            }
            Some(_) if usage_is_told && !self.tokens_differ() => None,
            // Without tokens the cost has to tell how much was used.
            _ => self.amount(all),
        };
        amount.unwrap_or_else(|| self.price(usage_is_told, all))
    }

    /// Why one side saw more than the other. Nothing, where only prices can tell.
    fn amount(&self, all: &All<'_>) -> Option<Reason> {
        let booked = self.booked;
        if let Some(day) = self.made_up_for(all) {
            return Some(Reason::Midnight(day));
        }
        if booked.requests == 0 {
            return Some(Reason::PastTheGateway);
        }
        let provider_has_less = self.surplus() < 0;
        if provider_has_less && !is_final(self.group.day, all.terms.now) {
            return Some(Reason::NotFinal);
        }
        if self.told.is_nothing() {
            return Some(Reason::MissingAtProvider);
        }
        if provider_has_less && booked.unknown > 0 {
            return Some(Reason::UnknownEnd(booked.unknown));
        }
        if booked.estimated > 0 {
            return Some(Reason::Estimated(booked.estimated));
        }
        if !self.tokens_differ() {
            return None;
        }
        Some(if provider_has_less { Reason::MissingAtProvider } else { Reason::PastTheGateway })
    }

    /// Why the same tokens cost something else.
    fn price(&self, usage_is_told: bool, all: &All<'_>) -> Reason {
        if self.booked.unknown_price > 0 {
            return Reason::UnknownPrice(self.booked.unknown_price);
        }
        let ratio = self.ratio_ppm();
        let modes = self.told.modes;
        let cheaper = ratio.is_some_and(|ratio| ratio < 1_000_000);
        let served = [
            (modes.batch && cheaper, "a batch"),
            (modes.fast && !cheaper, "the faster serving"),
            (modes.us && !cheaper, "inference in the US"),
            (modes.priority, "priority tier, which the cost report leaves out"),
        ];
        if let Some((_, how)) = served.iter().find(|(applies, _)| *applies) {
            return Reason::Served(how);
        }
        if let Some(ratio) = all.contract.filter(|_| ratio.is_some()) {
            return Reason::Contract(ratio);
        }
        if let Some(rate) = self.other_rate(all.terms) {
            return rate;
        }
        match self.booked.unknown {
            0 => Reason::Price(ratio.filter(|_| usage_is_told)),
            unknown => Reason::UnknownEnd(unknown),
        }
    }

    /// The first class of tokens whose rate is not the book's. With a band for long prompts any rate between the two
    /// may be meant.
    fn other_rate(&self, terms: &Terms<'_>) -> Option<Reason> {
        let (counts, model) = (self.told.counts?, self.group.model.as_deref()?);
        let upstream = self.group.upstream.as_deref().unwrap_or_default();
        let shown = terms.book.show(model, beginning(self.group.day), upstream);
        if shown.source == Source::Dearest {
            return None;
        }
        TOKEN_CLASS.into_iter().find_map(|class| {
            let place = class as usize;
            let (count, cost) = (i128::from(counts[place]), self.told.cost_by_class[place]);
            if count == 0 || cost == 0 {
                return None;
            }
            let provider = cost * 1_000_000 / count;
            let book = i128::from(shown.in_force.per_million[place].1.0);
            let long = shown.in_force.long_prompt.map_or(book, |(_, rates)| i128::from(rates[place].1.0));
            let apart = |rate| differs(provider, rate, terms.tolerance_ppm.max(ONE_RATIO_PPM));
            let outside = !(book..=long).contains(&provider);
            (outside && apart(book) && apart(long)).then_some(Reason::Rate { class, provider, book })
        })
    }

    /// The neighbouring day on which the other side has as much too much as this one has here.
    fn made_up_for(&self, all: &All<'_>) -> Option<Date> {
        let days = [self.group.day.yesterday().ok()?, self.group.day.tomorrow().ok()?];
        let neighbours = all.cases.iter().filter(|other| {
            days.contains(&other.group.day)
                && other.group.model == self.group.model
                && other.group.upstream == self.group.upstream
        });
        let here = self.surplus();
        let mut neighbours = neighbours.filter(|other| {
            // Together the two days are equal, by the tolerance of what both of them are.
            let booked = self.size() + other.size();
            !differs(booked + here + other.surplus(), booked, all.terms.tolerance_ppm)
        });
        neighbours.next().map(|other| other.group.day)
    }

    fn tokens_differ(&self) -> bool {
        self.measures.iter().any(|measure| *measure != Measure::Cost)
    }

    /// By how much the provider's side is larger: in tokens, or in money where it tells no tokens.
    fn surplus(&self) -> i128 {
        match self.told.tokens() {
            Some(told) => sum(&told) - sum(&tokens(self.booked)),
            None => self.told.cost.unwrap_or_default() - i128::from(self.booked.cost_nano_usd),
        }
    }

    /// How much our side is, in the same measure.
    fn size(&self) -> i128 {
        match self.told.tokens() {
            Some(_) => sum(&tokens(self.booked)),
            None => i128::from(self.booked.cost_nano_usd),
        }
    }

    /// The part of our cost that the provider charges, if the cost differs.
    fn ratio_ppm(&self) -> Option<u64> {
        let (told, booked) = (self.told.cost?, i128::from(self.booked.cost_nano_usd));
        if !self.measures.contains(&Measure::Cost) || booked <= 0 || told < 0 {
            return None;
        }
        u64::try_from(told.checked_mul(1_000_000)? / booked).ok()
    }
}

fn sum(tokens: &Tokens) -> i128 {
    tokens.iter().map(|count| i128::from(*count)).sum()
}

/// Whether the provider has had the time to count all of a day.
fn is_final(day: Date, now: UnixMs) -> bool {
    now.ms_since(beginning(day)) >= DAY_MS + FINAL_AFTER_MS
}

/// The first instant of a day in UTC.
fn beginning(day: Date) -> UnixMs {
    // Every date of a report is within the years that an instant has.
    day.to_zoned(TimeZone::UTC).map_or(UnixMs::MIN, |start| UnixMs(start.timestamp().as_millisecond()))
}
