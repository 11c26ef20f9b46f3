//! `doctor`: what is wrong between a client and a gateway, found out step by step, each with its evidence and its cure.

use crate::finding::Finding;

pub(crate) mod auth;
pub(crate) mod client;
mod issuer;
mod jwt;
pub(crate) mod line;
pub(crate) mod proxy;
mod refusal;
mod reply;
pub(crate) mod rules;
mod shape;

/// What was found.
pub(crate) struct Examined {
    /// One by one, in the order in which people would look.
    pub(crate) findings: Vec<Finding>,
    /// The product that the gateway seems to be.
    pub(crate) product: Option<&'static str>,
}
