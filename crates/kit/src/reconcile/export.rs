//! What the provider gives out about usage and cost, read into one shape.
//!
//! Known are the answers of the usage report and of the cost report of the Admin API
//! (<https://platform.claude.com/docs/en/api/admin-api/usage-cost/get-messages-usage-report>,
//! <https://platform.claude.com/docs/en/api/admin-api/usage-cost/get-cost-report>), as one page or several one after
//! the other, and the two files that the Console exports from its pages for usage and for cost
//! (<https://support.claude.com/en/articles/9534590-cost-and-usage-reporting-in-the-claude-console>).

use jiff::civil::Date;
use std::collections::BTreeSet;
use tollgate_policy::price::Class;

mod amount;
mod json;
mod sheet;

use amount::Amount;

/// The largest file that is read. A month by day, model, key, tier and place has some thousand rows.
pub(crate) const EXPORT_BYTES_MAX: u64 = 64 << 20;

/// How many classes have a count of their own: five of tokens, searches and code executions.
pub(crate) const CLASSES: usize = 7;
/// How many of them are tokens; [`Class`] has these first.
pub(crate) const TOKEN_CLASSES: usize = 5;

/// What some files say, together.
#[derive(Debug, Default)]
pub(crate) struct Export {
    /// All of it, row by row.
    pub(crate) facts: Vec<Fact>,
    /// The days whose usage is told, those without any among them.
    pub(crate) usage_days: BTreeSet<Date>,
    /// The days whose cost is told.
    pub(crate) cost_days: BTreeSet<Date>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    /// The day, in UTC.
    pub(crate) day: Date,
    /// The model; a cost may have none.
    pub(crate) model: Option<String>,
    /// The id and the name of the API key, as far as the export tells them.
    pub(crate) keys: Vec<String>,
    /// How it was served.
    pub(crate) modes: Modes,
    /// What is told.
    pub(crate) what: What,
}

impl Fact {
    /// Whether it tells a cost, and not usage.
    pub(crate) fn is_cost(&self) -> bool {
        matches!(self.what, What::Cost { .. })
    }
}

/// What a row tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Counts, in the order of [`Class`].
    Usage([u64; CLASSES]),
    /// A cost in nano-dollars, by how much it may be rounded, and what it is for, if that is told.
    Cost { nano_usd: i128, rounding: i128, class: Option<Class> },
}

/// Ways of being served that have a price of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Modes {
    /// Part of a batch.
    pub(crate) batch: bool,
    /// The faster serving.
    pub(crate) fast: bool,
    /// Inference in the US.
    pub(crate) us: bool,
    /// The priority tier, which has a contract of its own.
    pub(crate) priority: bool,
}

impl Modes {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            batch: self.batch || other.batch,
            fast: self.fast || other.fast,
            us: self.us || other.us,
            priority: self.priority || other.priority,
        }
    }

    /// As the provider names the tier, the speed and the place.
    fn of(tier: Option<&str>, speed: Option<&str>, geo: Option<&str>) -> Self {
        Self {
            batch: tier == Some("batch"),
            fast: speed == Some("fast"),
            us: geo == Some("us"),
            priority: tier.is_some_and(|tier| tier.starts_with("priority")),
        }
    }
}

/// Why an export can not be used: where, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {place}: {why}")]
pub(crate) struct ExportFault {
    file: String,
    place: String,
    why: String,
    cure: &'static str,
}

impl ExportFault {
    /// What to do about it.
    pub(crate) fn cure(&self) -> &str {
        self.cure
    }
}

/// What is wrong with a place of a file.
struct Fault {
    place: String,
    why: String,
    cure: &'static str,
}

impl Fault {
    fn new(place: impl Into<String>, why: impl Into<String>, cure: &'static str) -> Self {
        Self { place: place.into(), why: why.into(), cure }
    }
}

const EXPORT_AGAIN: &str = "export it again, and give it as it came. docs/guide/prices.md says how.";

/// What one file says.
#[derive(Debug, Default)]
struct Read {
    facts: Vec<Fact>,
    /// Costs as they were written, with the place of their fact.
    amounts: Vec<(usize, Amount)>,
    usage_days: BTreeSet<Date>,
    cost_days: BTreeSet<Date>,
}

impl Export {
    /// Adds what a file says.
    ///
    /// # Errors
    ///
    /// [`ExportFault`], also if the file tells again of a day that another one told of: nothing is counted twice.
    pub(crate) fn add(&mut self, file: &str, text: &str) -> Result<(), ExportFault> {
        let text = text.trim_start_matches('\u{feff}');
        let read = match text.trim_start().chars().next() {
            Some('{' | '[') => json::read(text),
            Some(_) => sheet::read(text),
            None => Err(Fault::new("the file", "is empty", EXPORT_AGAIN)),
        };
        let read = read.and_then(|read| self.take(read));
        read.map_err(|Fault { place, why, cure }| ExportFault { file: file.to_owned(), place, why, cure })
    }

    fn take(&mut self, mut read: Read) -> Result<(), Fault> {
        let twice = self
            .usage_days
            .intersection(&read.usage_days)
            .chain(self.cost_days.intersection(&read.cost_days));
        if let Some(day) = twice.min() {
            let why = "another file tells of this day already";
            let cure = "give each day once; pages of one report belong into one file, one after the other.";
            return Err(Fault::new(day.to_string(), why, cure));
        }
        // A file is as exact as its finest amount: `0.5` beside `0.25` stands for `0.50`.
        let decimals = read.amounts.iter().map(|(_, amount)| amount.decimals).max().unwrap_or_default();
        for (fact, amount) in &read.amounts {
            if let What::Cost { nano_usd, rounding, .. } = &mut read.facts[*fact].what {
                (*nano_usd, *rounding) = (amount.nano_usd, amount.half_unit(decimals));
            }
        }
        self.facts.append(&mut read.facts);
        self.usage_days.append(&mut read.usage_days);
        self.cost_days.append(&mut read.cost_days);
        Ok(())
    }
}

impl Read {
    fn usage(&mut self, fact: Fact) {
        self.usage_days.insert(fact.day);
        self.facts.push(fact);
    }

    fn cost(&mut self, fact: Fact, amount: Amount) {
        self.cost_days.insert(fact.day);
        self.amounts.push((self.facts.len(), amount));
        self.facts.push(fact);
    }
}
