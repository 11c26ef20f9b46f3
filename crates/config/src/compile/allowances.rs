//! The allowances of a document: limits, quotas and budgets.

use super::{
    Judge,
    client::{CLIENT_MAX_TOKENS, holds_in_full, store},
};
use crate::{
    amount::Amount,
    document::{self, Allowance, Document, Per},
    instant::Instant,
    leaf::quote,
};
use std::collections::BTreeMap;
use tollgate_policy::{
    access::Models,
    allowance::{
        self, AMOUNT_MAX, Calendar, Measure, MonthNumber, Period, RAISES_MAX, Raise, Reserve, Selector, Span,
        Weekday,
    },
    unit::UnixMs,
};

/// The fields that say what is counted, in the order of the document.
const MEASURES: [(&str, Measure); 7] = [
    ("requests", Measure::Requests),
    ("count_tokens", Measure::CountTokens),
    ("input_tokens", Measure::InputTokens),
    ("output_tokens", Measure::OutputTokens),
    ("tokens", Measure::Tokens),
    ("usd", Measure::Cost),
    ("concurrent", Measure::Concurrency),
];

/// The cure of an amount of zero.
const SHUT: &str = "write 1 or more, or of dollars a part; to let nothing pass, revoke the key, take the model out of `models`, \
                    or pause the session.";

/// The calendar that the document sets for all allowances.
pub(super) fn calendar(books: &document::Books) -> Calendar {
    Calendar {
        zone: books.time_zone.0.clone(),
        week_starts: weekday(books.week_starts),
        year_starts: month(books.year_starts),
    }
}

impl Judge<'_> {
    /// All allowances of the document that can be made, each with its path.
    pub(super) fn allowances(&mut self, document: &Document) -> Vec<(String, allowance::Allowance)> {
        let calendar = calendar(&document.books);
        let mut first: BTreeMap<&str, String> = BTreeMap::new();
        let mut made = Vec::new();
        for (index, wished) in document.allowances.iter().enumerate() {
            let path = self.reading.item("allowances", index);
            made.extend(self.allowance(wished, &calendar, &path).map(|allowance| (path.clone(), allowance)));
            let name = wished.name.0.as_str();
            if let Some(first) = first.get(name) {
                let rule = format!("{first} has this name already");
                self.error(&format!("{path}.name"), &[], &rule, "give each allowance a name of its own.");
            } else {
                first.insert(name, path);
            }
        }
        made
    }

    /// The allowance at `path`, or nothing if it cannot be made.
    pub(super) fn allowance(
        &mut self,
        wished: &Allowance,
        calendar: &Calendar,
        path: &str,
    ) -> Option<allowance::Allowance> {
        let (field, measure) = self.measure(wished, path);
        let span = measure.and_then(|measure| self.span(wished, measure, calendar, path));
        self.lost_calendar(wished, span.as_ref(), path);
        let (measure, span) = (measure?, span?);
        let amount = self.amount(amount_of(wished, measure)?, measure, &join(path, field))?;
        let patterns = wished.models.iter().map(|pattern| pattern.as_str().to_owned()).collect();
        let models = match Models::new(patterns) {
            Ok(models) => models,
            Err(bad) => {
                self.error(&join(path, "models"), &[], &bad.to_string(), "name fewer models, with patterns.");
                return None;
            }
        };
        let made = allowance::Allowance {
            name: wished.name.0.clone(),
            on: selector(&wished.on),
            each: wished.each,
            models,
            measure,
            amount,
            span,
            reserve: wished.reserve,
            mode: wished.mode,
            warn_at: wished.warn_at.clone(),
            message: wished.message.clone(),
            raises: self.raises(wished, measure, calendar, path),
        };
        self.faults(&made, wished, field, path);
        self.unwise(&made, field, path);
        Some(made)
    }

    /// What is counted, and the field that says so.
    fn measure(&mut self, wished: &Allowance, path: &str) -> (&'static str, Option<Measure>) {
        let mut given = MEASURES.into_iter().filter(|(_, measure)| amount_of(wished, *measure).is_some());
        let all = MEASURES.map(|(field, _)| field).join(", ");
        let Some((field, measure)) = given.next() else {
            self.error(path, &[], "it does not say what is counted", &format!("write one of: {all}."));
            return ("", None);
        };
        if let Some((second, _)) = given.next() {
            let rule = format!("it counts {field} already");
            let cure = "keep one of them, and write an allowance of its own for the other.";
            self.error(&join(path, second), &[&join(path, field)], &rule, cure);
            return (field, None);
        }
        (field, Some(measure))
    }

    /// Per what it is granted.
    fn span(
        &mut self,
        wished: &Allowance,
        measure: Measure,
        calendar: &Calendar,
        path: &str,
    ) -> Option<Span> {
        let [per, rolling, burst] = ["per", "rolling", "burst"].map(|field| join(path, field));
        if measure == Measure::Concurrency {
            let given = [
                (&per, wished.per.is_some()),
                (&rolling, wished.rolling.is_some()),
                (&burst, wished.burst.is_some()),
            ];
            for (field, _) in given.into_iter().filter(|(_, given)| *given) {
                let rule = "a number of requests at once has no span of time";
                self.error(field, &[], rule, "remove it.");
            }
            return Some(Span::AtOnce);
        }
        let is_rate = matches!(wished.per, Some(Per::Second | Per::Minute | Per::Hour));
        if wished.burst.is_some() && !is_rate {
            let cure =
                "remove it, or write per: minute (or second, or hour), where use is refilled steadily.";
            self.error(&burst, &[&per], "only what is refilled steadily has a burst", cure);
        }
        match (wished.per, wished.rolling) {
            (None, None) => {
                let cure = "write per: minute, day or month, say, or rolling: 24h.";
                self.error(path, &[], "it does not say per what the amount is granted", cure);
                None
            }
            (Some(_), Some(_)) => {
                self.error(&rolling, &[&per], "it has a span of time already, per", "keep one of them.");
                None
            }
            (None, Some(window)) => Some(Span::Rolling { ms: window.ms() }),
            (Some(per), None) => match period(per) {
                Ok(period) => Some(Span::Period { period, calendar: own_calendar(wished, calendar) }),
                Err(per_ms) => {
                    let amount = amount_of(wished, measure)?;
                    let (store, field) = wished.burst.map_or((amount, None), |own| (own, Some(&burst)));
                    let burst = match field {
                        Some(field) => self.amount(store, measure, field)?,
                        // A fault of the amount itself is reported where the amount is.
                        None => in_unit(store, measure).unwrap_or(AMOUNT_MAX),
                    };
                    Some(Span::Rate { per_ms, burst })
                }
            },
        }
    }

    /// Fields of the calendar are of no use to what does not go by it.
    fn lost_calendar(&mut self, wished: &Allowance, span: Option<&Span>, path: &str) {
        if matches!(span, None | Some(Span::Period { .. })) {
            return;
        }
        let fields = [
            ("time_zone", wished.time_zone.is_some()),
            ("week_starts", wished.week_starts.is_some()),
            ("year_starts", wished.year_starts.is_some()),
        ];
        for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
            let rule = "only periods of the calendar depend on it";
            self.warning(&join(path, field), &[], rule, "remove it, or write per: day or longer.");
        }
    }

    /// An amount in the unit of its measure.
    fn amount(&mut self, amount: Amount, measure: Measure, field: &str) -> Option<u64> {
        let made = in_unit(amount, measure);
        if made.is_none() {
            let (rule, cure) = if measure == Measure::Cost {
                ("is more than a billion dollars, the most that can be granted", "write at most 1000000000.")
            } else if amount.to_string().contains('.') {
                ("is no whole number, and only dollars have parts", "write a whole number.")
            } else {
                ("is more than 10^18, the most that can be granted", "write at most 1000000000000000000.")
            };
            self.error(field, &[], &format!("{} {rule}", quote(&amount.to_string())), cure);
        }
        made
    }

    /// The raises in the order of their times, and what is wrong between them.
    fn raises(
        &mut self,
        wished: &Allowance,
        measure: Measure,
        calendar: &Calendar,
        path: &str,
    ) -> Vec<Raise> {
        let zone = own_calendar(wished, calendar).zone;
        let list = join(path, "raises");
        let mut raises: Vec<(String, Raise)> = Vec::new();
        for (index, wished) in wished.raises.iter().enumerate() {
            let path = self.reading.item(&list, index);
            let from = wished.from.map_or(UnixMs(0), |from: Instant| from.resolve(&zone));
            let until = wished.until.resolve(&zone);
            if from >= until {
                let rule = "the raise ends before it begins";
                let cure = "write a later instant; a day means its beginning.";
                self.error(&join(&path, "until"), &[&join(&path, "from")], rule, cure);
            }
            if let Some(amount) = self.amount(wished.to, measure, &join(&path, "to")) {
                if amount == 0 {
                    let rule = "the raise grants nothing, so nothing could ever pass";
                    self.error(&join(&path, "to"), &[], rule, SHUT);
                }
                let (by, note) = (wished.by.clone(), wished.note.clone());
                raises.push((path, Raise { amount, from, until, by, note }));
            }
        }
        raises.sort_by_key(|(_, raise)| raise.from);
        for pair in raises.windows(2) {
            let [(first, earlier), (second, later)] = pair else { continue };
            if earlier.until > later.from && earlier.from < earlier.until {
                let rule = format!("it begins before {first} ends");
                let cure = "let each raise begin when the one before it ends, or later.";
                self.error(second, &[first], &rule, cure);
            }
        }
        raises.into_iter().map(|(_, raise)| raise).collect()
    }

    /// What the policy room finds wrong with the allowance, at the fields that people wrote.
    fn faults(&mut self, made: &allowance::Allowance, wished: &Allowance, field: &str, path: &str) {
        for fault in made.faults() {
            let (at, cure) = match fault.field {
                // One that is too large has been refused where it was read.
                "amount" => (field, SHUT),
                "burst" => (if wished.burst.is_some() { "burst" } else { field }, "write 1 or more."),
                "warn_at" => ("warn_at", "write rising percentages, as in [75, 95]."),
                "message" => ("message", "shorten it, or name a page that says more."),
                // Order and overlap have been judged raise by raise, as have their amounts; their number has not.
                "raises" if made.raises.len() <= RAISES_MAX => continue,
                "raises" => ("raises", "remove those that are over."),
                _ if wished.rolling.is_some() => ("rolling", "write another span of time."),
                _ => ("per", "write another span of time."),
            };
            self.error(&join(path, at), &[], &fault.rule, cure);
        }
    }

    /// What is sound and yet probably not meant.
    fn unwise(&mut self, made: &allowance::Allowance, field: &str, path: &str) {
        let holds_output = matches!(made.measure, Measure::OutputTokens | Measure::Tokens);
        if holds_output && holds_in_full(made) && store(made) < CLIENT_MAX_TOKENS {
            let rule = "Claude Code asks for up to 128000 output tokens, and all of them must fit before a request passes";
            let cure =
                "write reserve: learned, or at least 128000 (as burst, with per: minute and the like).";
            self.warning(
                &join(path, field),
                &[&join(path, "reserve"), &join(path, "burst"), &join(path, "mode")],
                rule,
                cure,
            );
        }
        let counts_requests =
            matches!(made.measure, Measure::Requests | Measure::CountTokens | Measure::Concurrency);
        if counts_requests && made.reserve == Reserve::Learned {
            let rule = "a request is one request; there is nothing to learn";
            self.warning(&join(path, "reserve"), &[], rule, "remove it.");
        }
    }
}

fn amount_of(wished: &Allowance, measure: Measure) -> Option<Amount> {
    let count = match measure {
        Measure::Requests => wished.requests,
        Measure::CountTokens => wished.count_tokens,
        Measure::InputTokens => wished.input_tokens,
        Measure::OutputTokens => wished.output_tokens,
        Measure::Tokens => wished.tokens,
        Measure::Cost => return wished.usd,
        Measure::Concurrency => wished.concurrent,
    };
    count.map(Amount::whole)
}

/// The amount as the books count it; `None` if it does not fit there.
fn in_unit(amount: Amount, measure: Measure) -> Option<u64> {
    if measure == Measure::Cost { amount.billionths() } else { amount.count() }
}

/// The period of the calendar, or else the milliseconds in which a rate refills.
fn period(per: Per) -> Result<Period, i64> {
    match per {
        Per::Second => Err(1_000),
        Per::Minute => Err(60_000),
        Per::Hour => Err(3_600_000),
        Per::Day => Ok(Period::Day),
        Per::Week => Ok(Period::Week),
        Per::Month => Ok(Period::Month),
        Per::Quarter => Ok(Period::Quarter),
        Per::Year => Ok(Period::Year),
    }
}

fn own_calendar(wished: &Allowance, calendar: &Calendar) -> Calendar {
    Calendar {
        zone: wished.time_zone.as_ref().map_or_else(|| calendar.zone.clone(), |zone| zone.0.clone()),
        week_starts: wished.week_starts.map_or(calendar.week_starts, weekday),
        year_starts: wished.year_starts.map_or(calendar.year_starts, month),
    }
}

/// The schema lets only 1 to 12 through; a document that is not from text may hold anything.
fn month(number: u8) -> MonthNumber {
    MonthNumber::try_from(number).unwrap_or_default()
}

fn weekday(day: document::Weekday) -> Weekday {
    match day {
        document::Weekday::Monday => Weekday::Monday,
        document::Weekday::Sunday => Weekday::Sunday,
        document::Weekday::Saturday => Weekday::Saturday,
    }
}

pub(super) fn selector(on: &document::On) -> Selector {
    let name = |name: &Option<crate::named::Name>| name.as_ref().map(|name| name.0.clone());
    Selector {
        org: name(&on.org),
        team: name(&on.team),
        project: name(&on.project),
        user: name(&on.user),
        key: on.key.map(|key| key.0),
    }
}

pub(super) fn join(path: &str, field: &str) -> String {
    match (path, field) {
        ("", field) => field.to_owned(),
        (path, "") => path.to_owned(),
        (path, field) => format!("{path}.{field}"),
    }
}
