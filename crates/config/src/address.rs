//! Addresses to listen at.

use crate::leaf::{Fault, leaf, quote};
use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// An IP address and a port to listen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Address {
    socket: SocketAddr,
}

impl Address {
    /// `127.0.0.1` and this port: reachable from this machine only.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self { socket: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
    }

    /// The address as the standard library knows it.
    #[must_use]
    pub fn socket(self) -> SocketAddr {
        self.socket
    }
}

impl FromStr for Address {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        text.parse().map(|socket| Self { socket }).map_err(|_| {
            let cure = "write an IP address and a port: 127.0.0.1:8080 for this machine only, 0.0.0.0:8080 for \
                        every interface, [::1]:8080 for IPv6.";
            Fault::new(format!("{} is not an IP address and a port", quote(text)), cure)
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

leaf!(Address, "tollgate-address");
