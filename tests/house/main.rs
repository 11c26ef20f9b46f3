//! House rules as tests: what STYLE.md and ARCHITECTURE.md say and a machine can see.

#![allow(clippy::unwrap_used)]

mod layers;
mod lengths;
mod names;
mod tree;
mod words;
