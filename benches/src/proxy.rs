//! What stands between clients and upstream: the process that is measured.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::process::Tree;
use crate::role::Role;

/// A proxy under measurement.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// What is measured.
    pub(crate) tree: Tree,
    /// The process that runs it.
    pub(crate) role: Role,
}

/// The name of the gateway in the table.
pub(crate) const TOLLGATE: &str = "tollgate";
/// The name of the gateway with allowances of five levels.
pub(crate) const FIVE_LEVELS: &str = "five levels";
/// The name of the gateway with those and many that count nothing of the bench.
pub(crate) const CROWDED: &str = "crowded";
/// The name of the gateway of another build, where one is compared.
pub(crate) const OTHER_BUILD: &str = "other build";
/// The name of nginx as it is for all workloads.
pub(crate) const NGINX: &str = "nginx";
/// The name of nginx with a buffer that takes large bodies whole.
pub(crate) const NGINX_MEM: &str = "nginx-mem";

impl Proxy {
    /// The proxy of a role that has just been started, and that says process and address in its first line.
    pub(crate) async fn ready(name: &'static str, mut role: Role) -> Result<Self> {
        let line = role.line().await?;
        let (pid, address) = line.split_once(' ').with_context(|| format!("{name} said: {line}"))?;
        Ok(Proxy { name, address: address.parse()?, tree: Tree::of(pid.parse()?)?, role })
    }
}
