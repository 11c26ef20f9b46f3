//! The books alone: what it costs to reserve on every allowance that counts a request, and to settle. No gateway and no
//! second process, so this shows what the measurement of the whole gateway hides in its spread.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tollgate_policy::books::{Amounts, Books, Claim, Kind};
use tollgate_policy::id::KeyId;
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::{NanoUsd, UnixMs};

use crate::allowances::Allowances;
use crate::gateway;
use crate::role::Role;
use crate::script::{INPUT_TOKENS, MODEL, OUTPUT_TOKENS};

/// The role that measures.
pub(crate) const ROLE: &str = "books";
/// Requests that run at once, each with a key of its own.
const RUNNING: usize = 1_000;
/// How often they come and go. The median of so many is not moved by other work on the machine now and then.
const TURNS: usize = 301;

/// What the moves of one request cost, in nanoseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Moves {
    /// Which allowances there are, in words.
    pub(crate) about: String,
    /// To reserve.
    pub(crate) reserve_ns: f64,
    /// To look up how the allowances stand, for the head of the answer.
    pub(crate) shares_ns: f64,
    /// To settle.
    pub(crate) settle_ns: f64,
}

impl Moves {
    /// All of them.
    pub(crate) fn total_ns(&self) -> f64 {
        self.reserve_ns + self.shares_ns + self.settle_ns
    }
}

/// Measures the books with each kind of allowances, in a process of its own: what one leaves behind in memory would make
/// the next one slower.
pub(crate) async fn moves(core: Option<usize>) -> Result<Vec<Moves>> {
    let mut moves = Vec::new();
    for allowances in Allowances::value_variants() {
        let mut role = Role::start(ROLE, core, vec![allowances.word().into()])?;
        moves.push(serde_json::from_str(&role.line().await?)?);
        role.end().await?;
    }
    Ok(moves)
}

/// The role: measures the books with these allowances and says the result.
pub(crate) fn say(allowances: Allowances) -> Result<()> {
    println!("{}", serde_json::to_string(&measure(allowances)?)?);
    Ok(())
}

fn measure(allowances: Allowances) -> Result<Moves> {
    let start: UnixMs = "2026-11-22T12:00:00.000Z".parse()?;
    let mut books = Books::new(gateway::allowances(allowances)?, start);
    let members = (0..RUNNING).map(|number| member(number, start)).collect::<Result<Vec<_>>>()?;
    let mut times = [const { Vec::new() }; 3];
    for turn in 0..TURNS {
        // A millisecond for each request, as at a thousand requests a second.
        let now = start.saturating_add_ms((turn * RUNNING) as i64);
        for (times, time) in times.iter_mut().zip(one_turn(&mut books, now, &members)?) {
            times.push(time);
        }
    }
    let [reserve_ns, shares_ns, settle_ns] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2].as_nanos() as f64 / RUNNING as f64
    });
    let about = format!("{}: {} count each request", allowances.about(), allowances.counting());
    Ok(Moves { about, reserve_ns, shares_ns, settle_ns })
}

/// Everyone reserves, then everyone is told, then everyone settles. Gives how long each of the three took.
fn one_turn(books: &mut Books, start: UnixMs, members: &[(Scope, KeyId)]) -> Result<[Duration; 3]> {
    let full = Amounts { input_tokens: 1_300, output_tokens: 1_024, cost: NanoUsd(19_260_000) };
    let used = Amounts { input_tokens: INPUT_TOKENS, output_tokens: OUTPUT_TOKENS, cost: NanoUsd(4_950_000) };
    let mut reservations = Vec::with_capacity(members.len());
    let at = |number: usize| start.saturating_add_ms(number as i64);
    let began = Instant::now();
    for (number, (scope, key)) in members.iter().enumerate() {
        let claim =
            Claim { scope, key: *key, kind: Kind::Messages, models: &[MODEL], full, input_likely: 256 };
        let reserved = books.reserve(at(number), &claim);
        reservations.push(reserved.map_err(|overdrawn| anyhow::anyhow!(overdrawn.sentence()))?);
    }
    let reserved = Instant::now();
    let last = at(members.len());
    for reservation in &reservations {
        black_box(books.shares(last, reservation));
    }
    let told = Instant::now();
    for reservation in reservations {
        black_box(books.settle(last, reservation, &[MODEL], used));
    }
    let settled = Instant::now();
    Ok([reserved - began, told - reserved, settled - told])
}

/// One of those who send: the members of the gateway's bench.
fn member(number: usize, at: UnixMs) -> Result<(Scope, KeyId)> {
    let mut random = [0; 10];
    random[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Ok((gateway::scope(number)?, KeyId::new(at, random)))
}

#[cfg(test)]
mod tests {
    use tollgate_policy::books::Standing;

    use super::*;

    #[test]
    fn every_reservation_is_on_all_levels_and_ends() {
        let start = UnixMs(1_800_000_000_000);
        for (allowances, wanted) in [(Allowances::None, 0), (Allowances::Five, 25)] {
            let mut books = Books::new(gateway::allowances(allowances).unwrap(), start);
            let members = [member(7, start).unwrap()];
            let (scope, key) = &members[0];
            let claim = Claim {
                scope,
                key: *key,
                kind: Kind::Messages,
                models: &[MODEL],
                full: Amounts { input_tokens: 1, output_tokens: 1, cost: NanoUsd(1) },
                input_likely: 0,
            };
            let reservation = books.reserve(start, &claim).unwrap();
            let counted = |line: &&Standing| line.used + line.held > 0;
            assert_eq!(books.standing_from(start, 0, |_| true).0.iter().filter(counted).count(), wanted);
            assert_eq!(allowances.counting(), wanted);
            books.release(start, reservation);
            one_turn(&mut books, start, &members).unwrap();
            assert_eq!(books.open(), 0);
            assert_eq!(
                books.standing_from(start, 0, |_| true).0.iter().map(|standing| standing.held).sum::<u64>(),
                0
            );
        }
    }
}
