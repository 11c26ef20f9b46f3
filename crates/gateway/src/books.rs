//! The books of a running gateway: which allowances are in force, what a settlement sets off, and what is swept up.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tollgate_policy::allowance::Allowance;
use tollgate_policy::books::Reservation;
use tollgate_policy::entry::{Event, Settled, ThresholdPassed};
use tollgate_policy::unit::UnixMs;
use tollgate_store::LedgerFault;
use tollgate_store::journal::Append;
use tollgate_store::ledger::Month;

use crate::{InForce, Shared, sessions};

/// How often reservations that nobody settled are looked for, and records that are not to be kept. There should never
/// be one of the first.
const SWEEP: Duration = Duration::from_secs(60);

impl Shared {
    /// Puts the allowances of a configuration and of the admin API in force. Those that went on counting go on; new
    /// ones first count what was used before. Blocks for as long as the ledger needs.
    pub(crate) fn rebook(&self, force: &InForce) -> Result<(), LedgerFault> {
        let mut booked = self.booked.lock().unwrap_or_else(PoisonError::into_inner);
        self.book(&force.config.allowances)?;
        booked.clone_from(&force.config.allowances);
        Ok(())
    }

    /// The allowances that the admin API made have changed.
    pub(crate) fn allowances_changed(&self) -> Result<(), LedgerFault> {
        let booked = self.booked.lock().unwrap_or_else(PoisonError::into_inner);
        self.book(&booked)
    }

    /// What the admin API has made is read here, in turn: who read it earlier would undo the change of who came between.
    fn book(&self, configured: &[Allowance]) -> Result<(), LedgerFault> {
        let made = self.register.allowances();
        self.counters.replace(in_force(configured, &made), self.steady_now())
    }

    /// The time by the clock of the books.
    pub(crate) fn steady_now(&self) -> UnixMs {
        self.steady.now(self.now())
    }

    /// Records how a request ended and charges it. The record is under way when this returns.
    pub(crate) fn settle(self: &Arc<Self>, settled: Settled, reservation: Reservation) -> Append {
        let now = self.steady_now();
        sessions::settled(self, now, &settled);
        let (append, passed) = self.counters.settle(now, settled, reservation);
        for threshold in passed {
            self.threshold_passed(threshold);
        }
        append
    }

    fn threshold_passed(&self, threshold: ThresholdPassed) {
        let ThresholdPassed { allowance, whose, percent, used, amount } = &threshold;
        tracing::warn!(%allowance, whose, percent, used, amount, "an allowance passed a threshold");
        self.metrics.threshold_passed(allowance, *percent);
        // For people; the counters do not depend on it.
        drop(self.journal.append(self.now(), Event::ThresholdPassed(threshold)));
    }
}

/// The allowances of the configuration, and those of the admin API that do not take the name of one of them.
fn in_force(configured: &[Allowance], made: &[Arc<Allowance>]) -> Vec<Allowance> {
    let taken: HashSet<_> = configured.iter().map(|allowance| &allowance.name).collect();
    let is_free = |allowance: &&Arc<Allowance>| !taken.contains(&allowance.name);
    let made = made.iter().filter(is_free).map(|allowance| Allowance::clone(allowance));
    configured.iter().cloned().chain(made).collect()
}

/// Charges what nobody settled, as long as the gateway runs.
pub(crate) async fn sweep(shared: Arc<Shared>) {
    loop {
        sleep(SWEEP).await;
        let swept = shared.clone();
        // Dropping records waits for the disk.
        drop(tokio::task::spawn_blocking(move || drop_records(&swept)).await);
        let expired = shared.counters.expire(shared.steady_now());
        if expired > 0 {
            tracing::error!(expired, "reservations were never settled and are charged in full");
        }
    }
}

/// Drops the records of months that are not to be kept. Sums, adjustments and statements stay.
fn drop_records(shared: &Shared) {
    let months = shared.in_force().config.books.keep_records_months;
    if months == 0 {
        return;
    }
    let first = Month::of(shared.now()).before(months);
    match shared.ledger.drop_raw_before(first) {
        Ok(0) => {}
        Ok(dropped) => tracing::info!(dropped, before = %first, "months of records were dropped"),
        Err(fault) => tracing::error!(%fault, "records that are not to be kept could not be dropped"),
    }
}

#[cfg(test)]
mod tests;
