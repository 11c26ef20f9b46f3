//! The honest no: which allowance has too little left, whose, how much per what, and when it is worth asking again.

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::allowance::{Measure, Span, Zone};
use crate::scope::Name;
use crate::text::duration;
use crate::unit::{NanoUsd, UnixMs};

use super::index::whose;
use super::meter::Wait;
use super::{Books, Hold};

/// An allowance that does not have enough left for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdrawn {
    /// The allowance.
    pub allowance: Name,
    /// Whose use it counts, in words: `team platform`, `user ada of org default`.
    pub whose: String,
    /// What it counts.
    pub measure: Measure,
    /// Per what.
    pub span: Span,
    /// The most that may be used and held; see [`crate::allowance::Allowance::capacity_at`].
    pub amount: u64,
    /// The amount in force per span, of a rate without regard to its burst.
    pub granted: u64,
    /// What is used, in the unit of the measure.
    pub used: u64,
    /// What is held for requests that run.
    pub held: u64,
    /// What the request may need.
    pub asked: u64,
    /// The end of the period; for rates and rolling windows, the instant at which the request fits. None for requests
    /// at once, and where nothing but time that nobody knows would help.
    pub resets_at: Option<UnixMs>,
    /// How long until the request can fit, in milliseconds, if nothing else comes and all that is held is given back.
    /// None if it only waits for requests that run, and if it never fits.
    pub retry_ms: Option<i64>,
    /// It asks for more than the whole amount, now and as far as is known.
    pub never: bool,
    /// The operator's own words.
    pub message: Option<String>,
}

impl Books {
    /// Why a request is refused that was asked for at this instant.
    pub(super) fn overdrawn(&self, asked_at: UnixMs, wait: Wait, number: u32, hold: Hold) -> Box<Overdrawn> {
        let allowance = &self.allowances[number as usize];
        let terms = super::report::terms(allowance, &self.entries[number as usize], self.clock);
        let counter = self.counters.at(hold.counter).expect("it was read a moment ago");
        let level = counter.meter.level();
        let fits_at = match wait {
            Wait::Until(at) => Some(at),
            Wait::Running | Wait::Never => None,
        };
        let is_period = matches!(allowance.span, Span::Period { .. });
        Box::new(Overdrawn {
            allowance: allowance.name.clone(),
            whose: whose(&counter.subject),
            measure: allowance.measure,
            span: allowance.span.clone(),
            amount: allowance.capacity_at(self.clock),
            granted: allowance.amount_at(self.clock),
            used: level.used,
            held: level.held,
            asked: hold.units,
            resets_at: if is_period { Some(terms.period.end) } else { fits_at },
            retry_ms: fits_at.map(|at| at.ms_since(asked_at)),
            never: wait == Wait::Never,
            message: allowance.message.clone(),
        })
    }
}

impl Overdrawn {
    /// Whether it fits as soon as enough of what runs has ended.
    #[must_use]
    pub fn waits_for_others(&self) -> bool {
        self.retry_ms.is_none() && !self.never
    }

    /// What to tell the client: what is used up, whose it is, when it resets, and what to do. The operator's own words
    /// follow.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut text = format!(
            "The allowance `{}` of {} does not have enough left for this request: {}",
            self.allowance,
            self.whose,
            self.grant(),
        );
        text += &match self.measure {
            Measure::Concurrency => format!(", and {} running.", self.held),
            Measure::Requests | Measure::CountTokens => format!(", {}.", self.taken()),
            _ => format!(", {}, and this request may need {}.", self.taken(), self.number(self.asked)),
        };
        text += &self.advice();
        if let Some(message) = &self.message {
            text += " ";
            text += message;
        }
        text
    }

    fn advice(&self) -> String {
        const ASK: &str = "ask the gateway's operator for a higher amount";
        if self.never && self.amount == 0 {
            return " Nothing is granted here; ask the gateway's operator.".to_owned();
        }
        if self.never {
            return format!(
                " That is more than is granted in all: ask for less, with a smaller `max_tokens` or a shorter prompt, or \
                 {ASK}."
            );
        }
        match (self.retry_ms, &self.span, self.resets_at) {
            (None, ..) => " Try again when one that is running has ended.".to_owned(),
            (Some(_), Span::Period { calendar, .. }, Some(at)) => {
                format!(" It resets at {at}{}. Wait until then, or {ASK}.", local(at, &calendar.zone))
            }
            (Some(ms), _, at) => {
                let at = at.map(|at| format!(", at {at}")).unwrap_or_default();
                format!(" Try again in {}{at}, or {ASK}.", duration(round_up(ms)))
            }
        }
    }

    /// How much per what: `$100.00 per month`.
    fn grant(&self) -> String {
        let granted = self.number(self.granted);
        match &self.span {
            Span::AtOnce => granted,
            Span::Rate { per_ms, .. } => {
                let per = duration(*per_ms);
                let rate = format!("{granted} per {}", per.strip_prefix("1 ").unwrap_or(&per));
                if self.granted == self.amount {
                    return rate;
                }
                format!("{rate}, {} at a stretch", self.number(self.amount))
            }
            Span::Period { period, .. } => format!("{granted} per {}", period.as_str()),
            Span::Rolling { ms } => format!("{granted} in any {}", duration(*ms)),
        }
    }

    /// What is used and what is set aside.
    fn taken(&self) -> String {
        if self.held == 0 {
            return format!("{} used", self.number(self.used));
        }
        format!("{} used, {} set aside for running requests", self.number(self.used), self.number(self.held))
    }

    /// A number of the measure in words: `1 request`, `$1.50`.
    fn number(&self, number: u64) -> String {
        if self.measure == Measure::Cost {
            return NanoUsd(i64::try_from(number).unwrap_or(i64::MAX)).to_string();
        }
        let words = self.measure.words();
        match number {
            1 if words.starts_with("requests") => words.replacen("requests", "1 request", 1),
            1 => format!("1 {}", words.trim_end_matches('s')),
            _ => format!("{number} {words}"),
        }
    }
}

/// The instant by the clocks of a zone, where they differ from UTC's.
fn local(at: UnixMs, zone: &Zone) -> String {
    let Ok(instant) = Timestamp::from_millisecond(at.0) else {
        return String::new();
    };
    if zone.rules().to_offset(instant) == Offset::UTC {
        return String::new();
    }
    let local = zone.rules().to_datetime(instant);
    format!(" ({} {:02}:{:02} in {zone})", local.date(), local.hour(), local.minute())
}

/// A wait, rounded up to what people would say: whole seconds, from ten minutes on whole minutes, from ten hours on
/// whole hours.
fn round_up(ms: i64) -> i64 {
    let unit_ms = match ms {
        ..600_000 => 1_000,
        600_000..36_000_000 => 60_000,
        _ => 3_600_000,
    };
    ms.max(1).saturating_add(unit_ms - 1) / unit_ms * unit_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_told_too_short() {
        let rows = [
            (-5, "1 second"),
            (1, "1 second"),
            (1_000, "1 second"),
            (1_001, "2 seconds"),
            (60_000, "1 minute"),
            (90_500, "91 seconds"),
            (600_001, "11 minutes"),
            (7_200_000, "2 hours"),
            (36_000_001, "11 hours"),
            (86_400_000, "24 hours"),
            (172_800_000, "2 days"),
        ];
        for (ms, words) in rows {
            assert_eq!(duration(round_up(ms)), words, "{ms}");
        }
    }

    #[test]
    fn local_time_is_told_where_it_differs() {
        let at: UnixMs = "2026-11-30T18:15:00.000Z".parse().unwrap();
        let rows =
            [("UTC", ""), ("Asia/Kathmandu", " (2026-12-01 00:00 in Asia/Kathmandu)"), ("Europe/London", "")];
        for (zone, words) in rows {
            assert_eq!(local(at, &zone.parse().unwrap()), words, "{zone}");
        }
    }
}
