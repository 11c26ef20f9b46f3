//! The settings of Claude Code: reading them, and pointing them at a gateway.

pub(crate) mod backup;
pub(crate) mod diff;
pub(crate) mod json;
pub(crate) mod settings;
pub(crate) mod wish;
