//! URLs of servers that the gateway connects to.

use crate::leaf::{Fault, leaf};
use http::{Uri, uri::Authority};
use std::{fmt, net::IpAddr, str::FromStr};

/// An absolute `http` or `https` URL without user name, password, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    tls: bool,
    host: String,
    port: u16,
    base_path: String,
}

impl Url {
    /// `https://HOST`, port 443, no base path.
    pub(crate) fn https(host: &str) -> Self {
        Self { tls: true, host: host.to_owned(), port: 443, base_path: String::new() }
    }

    /// Whether the scheme is `https`.
    #[must_use]
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The host, in lower case: a name, or an IP address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 443 or 80 by the scheme when the text names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What comes before the path of every request: empty, or starting with `/` and not ending
    /// with it.
    #[must_use]
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// Host and port as a `Host` header names them: brackets around IPv6, no default port
    /// (RFC 9110, section 7.2, and RFC 3986, section 6.2.3).
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }

    /// Whether the host is this machine: `localhost`, a name below it (RFC 6761, section 6.3), or
    /// a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl FromStr for Url {
    type Err = Fault;

    /// The text is never repeated in a fault: URLs are where people put passwords.
    fn from_str(text: &str) -> Result<Self, Fault> {
        if text.contains('#') {
            return Err(Fault::new("the URL has a fragment", "remove the part from # on."));
        }
        let uri: Uri = text.parse().map_err(|_| not_absolute())?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(not_absolute()),
        };
        let authority = uri.authority().ok_or_else(not_absolute)?;
        if authority.as_str().contains('@') {
            let cure = "remove what stands before the @; credentials have fields of their own.";
            return Err(Fault::new("the URL holds a user name or a password", cure));
        }
        if uri.query().is_some() {
            return Err(Fault::new("the URL has a query", "remove the part from ? on."));
        }
        Ok(Self {
            tls,
            host: host(authority)?,
            port: port(authority, tls)?,
            base_path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

fn host(authority: &Authority) -> Result<String, Fault> {
    let host = authority.host();
    let bare = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => inner,
        Some(_) => {
            return Err(Fault::new("the brackets hold no IPv6 address", "write it as in [2001:db8::1]."));
        }
        None => host,
    };
    if bare.is_empty() {
        return Err(not_absolute());
    }
    Ok(bare.to_ascii_lowercase())
}

fn port(authority: &Authority, tls: bool) -> Result<u16, Fault> {
    let text = authority.as_str();
    let after_host = text.get(authority.host().len()..).unwrap_or_default();
    match after_host.strip_prefix(':') {
        None => Ok(default_port(tls)),
        Some(digits) => digits.parse().ok().filter(|port| *port != 0).ok_or_else(|| {
            Fault::new("the port of the URL is not a port", "write 1 to 65535 after the colon.")
        }),
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn not_absolute() -> Fault {
    Fault::new(
        "this is not an absolute http or https URL",
        "write scheme, host and, if need be, port and path, as in https://api.anthropic.com.",
    )
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base_path)
    }
}

leaf!(Url, "tollgate-url");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let rows = [
            ("https://api.anthropic.com", true, "api.anthropic.com", 443, "", "https://api.anthropic.com"),
            (
                "https://api.anthropic.com:443/",
                true,
                "api.anthropic.com",
                443,
                "",
                "https://api.anthropic.com",
            ),
            (
                "HTTPS://API.Example.com/a/b/",
                true,
                "api.example.com",
                443,
                "/a/b",
                "https://api.example.com/a/b",
            ),
            ("http://127.0.0.1:9000", false, "127.0.0.1", 9000, "", "http://127.0.0.1:9000"),
            ("http://[::1]:9000/x", false, "::1", 9000, "/x", "http://[::1]:9000/x"),
            ("http://localhost", false, "localhost", 80, "", "http://localhost"),
        ];
        for (text, tls, host, port, base_path, shown) in rows {
            let url: Url = text.parse().unwrap();
            assert_eq!(
                (url.tls(), url.host(), url.port(), url.base_path()),
                (tls, host, port, base_path),
                "{text}"
            );
            assert_eq!(url.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_and_never_repeated() {
        let bad = [
            "",
            "api.anthropic.com",
            "/v1",
            "ftp://host",
            "https://",
            "https://:443",
            "https://user:hunter2@host",
            "https://hunter2@host",
            "https://host?key=hunter2",
            "https://host#hunter2",
            "https://host:0",
            "https://host:99999",
            "https://host:",
            "https://host:80x",
            "https://[::1",
            "https://[zz]",
            "https://ho st",
        ];
        for text in bad {
            let fault = text.parse::<Url>().unwrap_err();
            assert!(!fault.to_string().contains("hunter2"), "{fault}");
        }
    }

    #[test]
    fn loopback_is_known_by_name_and_by_address() {
        let rows = [
            ("http://localhost", true),
            ("http://a.localhost", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://localhost.example.com", false),
            ("http://10.0.0.1", false),
        ];
        for (text, loopback) in rows {
            assert_eq!(text.parse::<Url>().unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
