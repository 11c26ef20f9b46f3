//! `tollgate shadow`: the same requests to two gateways, and what must be equal of their answers, though a model answers
//! differently each time.

use std::time::Duration;

use tokio::{join, time::timeout};

mod asked;
mod compare;
pub(crate) mod rules;
#[cfg(test)]
mod tests;
mod traits;

pub(crate) use asked::{Asked, FILE_BYTES_MAX, bound, builtin, models, read};

use crate::{
    dial::Way,
    doctor::line,
    exchange::{Ask, ExchangeFault},
    finding::Finding,
    time::Instant,
    token::Token,
};
use compare::Pair;
use traits::Traits;

/// The longest that one exchange may take, however lively it is.
const EXCHANGE_MAX: Duration = Duration::from_secs(600);
/// The most bytes of an answer that are read.
const ANSWER_BYTES: usize = 8 << 20;
/// What the keys of the provider's own API begin with. It takes them in `x-api-key` alone
/// (<https://platform.claude.com/docs/en/api/overview>).
const API_KEY: &str = "sk-ant-api";

/// One of the two gateways.
#[derive(Debug)]
pub(crate) struct Side {
    /// The way to it.
    pub(crate) way: Way,
    /// The credential for it.
    pub(crate) token: Option<Token>,
}

/// Both gateways, and what was asked of them so far.
#[derive(Debug)]
pub(crate) struct Shadow {
    old: Side,
    new: Side,
    pairs: Vec<Pair>,
}

impl Shadow {
    /// Nothing is asked yet.
    pub(crate) fn new(old: Side, new: Side) -> Self {
        Self { old, new, pairs: Vec::new() }
    }

    /// Sends this to both at the same time, so often.
    pub(crate) async fn ask(&mut self, asked: &Asked, repeat: u32) {
        let mut pair = Pair {
            name: asked.name.clone(),
            is_message: asked.is_message(),
            old: Vec::new(),
            new: Vec::new(),
        };
        for _ in 0..repeat {
            let (old, new) = join!(self.old.answer(&asked.ask), self.new.answer(&asked.ask));
            pair.old.push(old);
            pair.new.push(new);
        }
        self.pairs.push(pair);
    }

    /// Whether one of them has answered nothing so far.
    pub(crate) fn is_unreachable(&self) -> bool {
        let is_silent = |side: fn(&Pair) -> &Vec<Result<Traits, String>>| {
            self.pairs.iter().flat_map(side).all(Result::is_err)
        };
        is_silent(|pair| &pair.old) || is_silent(|pair| &pair.new)
    }

    /// The models that both list; those of one if the other lists none.
    pub(crate) fn models(&self) -> Vec<String> {
        let listed = |side: fn(&Pair) -> &Vec<Result<Traits, String>>| -> Vec<String> {
            let answers = self.pairs.iter().flat_map(side).filter_map(|one| one.as_ref().ok());
            answers.filter_map(|one| one.models.clone()).flatten().collect()
        };
        let (old, new) = (listed(|pair| &pair.old), listed(|pair| &pair.new));
        match (old.is_empty(), new.is_empty()) {
            (false, false) => old.into_iter().filter(|id| new.contains(id)).collect(),
            (true, _) => new,
            (_, true) => old,
        }
    }

    /// What was found.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        compare::findings(&self.pairs)
    }
}

impl Side {
    async fn answer(&self, ask: &Ask) -> Result<Traits, String> {
        let mut ask = ask.clone().silence(self.way.patience);
        ask.leave_after = Some(ANSWER_BYTES);
        if let Some(token) = &self.token {
            ask = match token.reveal() {
                key if key.starts_with(API_KEY) => ask.header("x-api-key", key),
                token => ask.header("authorization", format!("Bearer {token}")),
            };
        }
        let answer = timeout(EXCHANGE_MAX, ask.send(&self.way)).await;
        let answer = answer.map_err(|_| format!("no end within {} s", EXCHANGE_MAX.as_secs()))?;
        let answer = answer.map_err(|fault| match (&fault, fault.explained()) {
            (ExchangeFault::Dial(fault), _) => line::closed(&self.way, fault, Instant::now().unix_ms()).says,
            (_, Some((what, _))) => what.to_owned(),
            (_, None) => fault.to_string(),
        })?;
        match &self.way.proxy {
            // 407 is the proxy's, never the gateway's (RFC 9110, section 15.5.8).
            Some(proxy) if answer.status == 407 => {
                Err(format!("the proxy of {} demands a credential (status 407)", proxy.source))
            }
            _ => Ok(Traits::of(&answer)),
        }
    }
}
