//! The egress proxy: the one that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name, or the configuration.
//!
//! The lower-case names win over the upper-case ones, and `HTTP_PROXY` in upper case is read too, for this is
//! no CGI program whose clients could set it.

use base64::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tollgate_config::Url;
use tollgate_wire::http1::{HeadLimits, ResponseHead};

use super::UpstreamFault;
use super::dial::unexpected;
use crate::secret::Secret;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 16 * 1024, target_bytes: 0, fields: 128 };

/// A proxy that speaks HTTP.
#[derive(Debug)]
pub(crate) struct Proxy {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<Secret>,
}

/// The text is not the URL of an HTTP proxy. It is not repeated: such URLs hold passwords.
#[derive(Debug, thiserror::Error)]
#[error("the egress proxy is not of the form http://[user:password@]host:port")]
pub struct NotAProxy;

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`; a missing scheme is taken for `http`.
    pub(crate) fn parse(text: &str) -> Result<Self, NotAProxy> {
        let rest = match text.trim().split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(NotAProxy),
            None => text.trim(),
        };
        let (user, origin) = match rest.rsplit_once('@') {
            Some((user, origin)) => (Some(user), origin),
            None => (None, rest),
        };
        let url: Url = format!("http://{origin}").parse().map_err(|_| NotAProxy)?;
        let authorization = user.map(|user| {
            let plain = percent_decode(user);
            Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(plain)))
        });
        Ok(Proxy { host: url.host().to_owned(), port: url.port(), authorization })
    }

    /// The proxy that the environment names for `url`.
    pub(crate) fn from_environment(
        url: &Url,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, NotAProxy> {
        let first =
            |names: &[&str]| names.iter().find_map(|name| variable(name).filter(|text| !text.is_empty()));
        let exempt =
            first(&["no_proxy", "NO_PROXY"]).is_some_and(|list| is_exempt(&list, url.host(), url.port()));
        if exempt {
            return Ok(None);
        }
        let named = if url.tls() {
            first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
        } else {
            first(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
        };
        named.map(|text| Proxy::parse(&text)).transpose()
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Opens a tunnel to `authority` (RFC 9110 section 9.3.6).
    pub(super) async fn tunnel(&self, tcp: &mut TcpStream, authority: &str) -> Result<(), UpstreamFault> {
        let mut head = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
        self.write_authorization(&mut head);
        head.extend_from_slice(b"\r\n");
        tcp.write_all(&head).await.map_err(UpstreamFault::Connect)?;
        let mut received = Vec::new();
        loop {
            if tcp.read_buf(&mut received).await.map_err(UpstreamFault::Connect)? == 0 {
                return Err(UpstreamFault::Connect(unexpected("the egress proxy closed the connection")));
            }
            if let Some(answer) = ResponseHead::parse(&received, &LIMITS, true)? {
                let is_open = (200..300).contains(&answer.status) && received.len() == answer.len;
                return if is_open { Ok(()) } else { Err(UpstreamFault::Proxy(answer.status.to_string())) };
            }
        }
    }

    /// Appends the proxy's own credential, where it wants one.
    pub(super) fn write_authorization(&self, out: &mut Vec<u8>) {
        if let Some(authorization) = &self.authorization {
            out.extend_from_slice(b"proxy-authorization: ");
            out.extend_from_slice(authorization.reveal().as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Whether a `NO_PROXY` list (commas or blanks between) names the host: `*`, a name, a name with its subdomains
/// (with or without a leading dot), an address, or any of them with a port.
fn is_exempt(list: &str, host: &str, port: u16) -> bool {
    list.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') => (name, digits.parse().ok()),
            _ => (entry, None),
        };
        let name = name.trim_start_matches("*.").trim_start_matches('.').to_ascii_lowercase();
        let matches = host == name || host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'));
        matches && wanted.is_none_or(|wanted: u16| wanted == port)
    })
}

fn percent_decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let decoded = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()))
            .flatten();
        out.push(decoded.unwrap_or(bytes[at]));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_without_showing_their_password() {
        let proxy = Proxy::parse("http://ann:p%40canary@proxy.example:3128").unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
        let mut line = Vec::new();
        proxy.write_authorization(&mut line);
        // base64 of `ann:p@canary`
        assert_eq!(line, b"proxy-authorization: Basic YW5uOnBAY2FuYXJ5\r\n");
        assert!(!format!("{proxy:?}").contains("YW5u"));
        assert_eq!(Proxy::parse("proxy:8080").unwrap().port(), 8080);
        for bad in ["socks5://proxy:1080", "https://proxy", "http://", "http://proxy:0"] {
            assert!(Proxy::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_environment_decides_unless_it_exempts() {
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
        let rows: &[Row<'_>] = &[
            (&[("HTTPS_PROXY", "http://a:1")], "https://api.example", Some("a")),
            (
                &[("HTTPS_PROXY", "http://a:1"), ("https_proxy", "http://b:1")],
                "https://api.example",
                Some("b"),
            ),
            (&[("HTTPS_PROXY", "http://a:1")], "http://api.example", None),
            (&[("HTTP_PROXY", "http://a:1")], "http://api.example", Some("a")),
            (&[("ALL_PROXY", "http://a:1")], "http://api.example", Some("a")),
            (&[("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", "x, .example")], "https://api.example", None),
            (&[("HTTPS_PROXY", "http://a:1"), ("NO_PROXY", "ample")], "https://api.example", Some("a")),
            (
                &[("HTTPS_PROXY", "http://a:1"), ("no_proxy", "api.example:8443")],
                "https://api.example",
                Some("a"),
            ),
            (&[("HTTPS_PROXY", "http://a:1"), ("no_proxy", "api.example:443")], "https://api.example", None),
            (&[("HTTPS_PROXY", "http://a:1"), ("no_proxy", "*")], "https://api.example", None),
            (&[("HTTP_PROXY", "http://a:1"), ("no_proxy", "::1")], "http://[::1]:9", None),
        ];
        for (variables, url, expected) in rows {
            let lookup =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
            let proxy = Proxy::from_environment(&url.parse().unwrap(), lookup).unwrap();
            assert_eq!(proxy.as_ref().map(Proxy::host), *expected, "{variables:?} {url}");
        }
    }
}
