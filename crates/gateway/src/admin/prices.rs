//! The price book in force.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tollgate_policy::price::{self, Class};
use tollgate_policy::unit::{NanoUsd, UnixMs};

use super::Admin;
use super::fault::AdminFault;
use super::route::{Answer, Ask, Nothing};
use crate::now;

/// The price book.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Book {
    /// Its version, which each usage record names.
    version: String,
    /// The models that it has rates for, other names of theirs among them.
    models: Vec<String>,
}

/// For when and where a price is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskPrice {
    /// The instant; now if not given.
    at: Option<UnixMs>,
    /// The upstream; list prices if not given.
    upstream: Option<String>,
}

/// What tokens of one model cost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Price {
    /// The version of the book.
    version: String,
    /// The model's name in the book, or `unknown`: then these are the dearest rates that it has.
    model: String,
    /// Its other names there.
    aliases: Vec<String>,
    /// Where its rates stand.
    source: String,
    note: Option<String>,
    /// The rates in force at that instant.
    in_force: Rates,
    /// Those that follow, if the book knows of any.
    next: Option<Rates>,
    /// What the rates are multiplied with, if its condition holds.
    multipliers: Vec<Multiplier>,
    /// What does not depend on the model, for a thousand.
    per_thousand: Vec<Rate>,
    /// Where the list prices are published.
    sources: Vec<String>,
}

/// The rates of a time.
#[derive(Debug, Serialize, JsonSchema)]
struct Rates {
    /// When they begin; null if they hold from the beginning.
    from: Option<UnixMs>,
    /// For a million tokens of each class.
    per_million: Vec<Rate>,
    /// The rates of longer prompts.
    long_prompt: Option<LongPrompt>,
}

/// The rates of requests with a longer prompt.
#[derive(Debug, Serialize, JsonSchema)]
struct LongPrompt {
    /// They apply to the whole request if its prompt has more tokens than these.
    above_tokens: u64,
    /// For a million tokens of each class.
    per_million: Vec<Rate>,
}

/// What one class costs.
#[derive(Debug, Serialize, JsonSchema)]
struct Rate {
    class: String,
    nano_usd: NanoUsd,
}

/// A multiplier.
#[derive(Debug, Serialize, JsonSchema)]
struct Multiplier {
    /// What it is for.
    reason: String,
    /// The factor, a decimal.
    factor: String,
    /// Whether it applies to every request.
    always: bool,
    /// When it changes next.
    next_from: Option<UnixMs>,
    /// To what it changes then.
    next_factor: Option<String>,
}

pub(super) async fn show_book(admin: Admin, _: Ask<Nothing, Nothing>) -> Result<Answer<Book>, AdminFault> {
    let force = admin.shared.in_force();
    let mut models: Vec<_> = force.prices.names().map(str::to_owned).collect();
    models.sort_unstable();
    models.dedup();
    Ok(Answer::ok(Book { version: force.prices.version().to_owned(), models }))
}

pub(super) async fn show_price(
    admin: Admin,
    ask: Ask<AskPrice, Nothing>,
) -> Result<Answer<Price>, AdminFault> {
    let force = admin.shared.in_force();
    let at = ask.query.at.unwrap_or_else(now);
    let upstream = ask.query.upstream.as_deref().unwrap_or_default();
    Ok(Answer::ok(Price::of(force.prices.show(ask.part("model"), at, upstream))))
}

impl Price {
    fn of(shown: price::Shown) -> Self {
        Self {
            version: shown.version,
            model: shown.model,
            aliases: shown.aliases,
            source: shown.source.as_str().to_owned(),
            note: shown.note,
            in_force: Rates::of(&shown.in_force),
            next: shown.next.as_ref().map(Rates::of),
            multipliers: shown.multipliers.iter().map(Multiplier::of).collect(),
            per_thousand: rates(&shown.per_thousand),
            sources: shown.sources,
        }
    }
}

impl Rates {
    fn of(period: &price::ShownPeriod) -> Self {
        let long_prompt = period.long_prompt.as_ref();
        Self {
            from: period.from,
            per_million: rates(&period.per_million),
            long_prompt: long_prompt.map(|(above, per_million)| LongPrompt {
                above_tokens: *above,
                per_million: rates(per_million),
            }),
        }
    }
}

impl Multiplier {
    fn of(shown: &price::ShownMultiplier) -> Self {
        Self {
            reason: shown.factor.reason.as_str().to_owned(),
            factor: shown.factor.multiplier.to_string(),
            always: shown.always,
            next_from: shown.next.map(|(from, _)| from),
            next_factor: shown.next.map(|(_, multiplier)| multiplier.to_string()),
        }
    }
}

fn rates(classes: &[(Class, NanoUsd)]) -> Vec<Rate> {
    classes
        .iter()
        .map(|(class, nano_usd)| Rate { class: class.as_str().to_owned(), nano_usd: *nano_usd })
        .collect()
}
