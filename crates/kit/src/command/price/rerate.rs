//! `tollgate price rerate`, through the admin API of the running gateway.

use super::Format;
use crate::{
    admin::Admin, cli::Access, fault::Fault, json, money, printer::Printer, runtime, status::Status,
    table::visible, time::Instant,
};
use clap::Args;
use serde::{Deserialize, Serialize};

/// Price requests again by the price book in force, and record what their cost changes by.
///
/// The records stay as they are. Each correction is an entry of the journal, booked when it is made: it stands in reports
/// and in the statement of that month, and never changes what a budget counts as used. If this is broken off, the
/// corrections made so far stand; run it again for the rest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tollgate price rerate --from 2026-10-01 --to 2026-11-01 --why 'wrong rate' --dry-run
  tollgate price rerate --from 2026-10-01 --to 2026-11-01 --model claude-opus-5 --why 'wrong rate'")]
pub(super) struct Rerate {
    /// The first instant, by the admission of requests: a date, which begins at midnight UTC, or RFC 3339.
    #[arg(long, value_name = "INSTANT")]
    from: Instant,
    /// The first instant after it.
    #[arg(long, value_name = "INSTANT")]
    to: Instant,
    /// Only what this model answered.
    #[arg(long)]
    model: Option<String>,
    /// Only what this upstream served.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Why, for those who read the journal.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Say what would be corrected, and correct nothing.
    #[arg(long)]
    dry_run: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    access: Access,
}

/// What the admin API is told.
#[derive(Debug, Serialize)]
struct Wish {
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<String>,
    reason: String,
    dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
}

/// What it answers: of some requests, and of all of them once they are added up.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Rerated {
    price_version: String,
    requests: u64,
    adjusted: u64,
    unknown_price: u64,
    difference_nano_usd: i64,
    dry_run: bool,
    #[serde(skip_serializing)]
    next: Option<u64>,
}

impl Rerate {
    pub(super) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let admin = Admin::reach(&self.access)?;
        let mut wish = Wish {
            from: self.from.to_utc(),
            to: self.to.to_utc(),
            model: self.model,
            upstream: self.upstream,
            reason: self.why,
            dry_run: self.dry_run,
            after: None,
        };
        let sum = runtime::ask(async {
            let mut sum = Rerated::default();
            loop {
                sum = sum.and(admin.change("/admin/v1/adjustments", &wish).await?);
                // The gateway prices so many in one go, and says where it stopped.
                wish.after = sum.next;
                if sum.next.is_none() {
                    return Ok(sum);
                }
            }
        })?;
        match self.format {
            Format::Text => printer.answer(&sum.text())?,
            Format::Json => printer.answer(&json::pretty(&sum))?,
        }
        if sum.dry_run {
            printer.say("nothing was corrected; without --dry-run it is");
        }
        Ok(Status::Done)
    }
}

impl Rerated {
    /// This and what the next call answered.
    fn and(self, next: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(next.requests),
            adjusted: self.adjusted.saturating_add(next.adjusted),
            unknown_price: self.unknown_price.saturating_add(next.unknown_price),
            difference_nano_usd: self.difference_nano_usd.saturating_add(next.difference_nano_usd),
            ..next
        }
    }

    fn text(&self) -> String {
        let unknown = match self.unknown_price {
            0 => String::new(),
            count => {
                format!("unpriced    {count}: the book does not know their models, so their cost stays\n")
            }
        };
        format!(
            "book        {}\nrequests    {}\ncorrected   {}\n{unknown}difference  {}\n",
            visible(&self.price_version),
            self.requests,
            self.adjusted,
            money::dollars(self.difference_nano_usd.into())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_several_calls_is_one_sum() {
        let part = |requests, difference_nano_usd, next| Rerated {
            price_version: "own-2".to_owned(),
            requests,
            adjusted: 1,
            unknown_price: 2,
            difference_nano_usd,
            dry_run: true,
            next,
        };
        let sum = Rerated::default().and(part(5, -30_000_000, Some(9))).and(part(2, 10_000_000, None));
        assert_eq!((sum.next, sum.dry_run), (None, true));
        let expected = "book        own-2\nrequests    7\ncorrected   2\nunpriced    4: the book does not know their \
                        models, so their cost stays\ndifference  -$0.02\n";
        assert_eq!(sum.text(), expected);
    }
}
