//! `tollgate check`: whether a gateway carries the Anthropic API unharmed.

pub(crate) mod rules;
