//! The way out through an HTTP proxy, as the environment names it.

use std::{env, io, net::IpAddr};

use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tollgate_config::Url;

use crate::token::Token;

/// The longest answer of a proxy to CONNECT, in bytes.
const ANSWER_BYTES: usize = 16 * 1024;

/// An HTTP proxy.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    url: Url,
    /// `user:password`, in base64.
    credential: Option<Token>,
    /// What named it: `HTTPS_PROXY`, `--proxy`.
    pub(crate) source: String,
}

/// Why a proxy opened no tunnel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TunnelFault {
    /// It refused.
    #[error("the proxy answered CONNECT with status {0}")]
    Refused(u16),
    /// It said something that is no HTTP.
    #[error("the proxy answered CONNECT with something that is no HTTP")]
    Strange,
    /// The connection broke.
    #[error("the connection to the proxy broke: {0}")]
    Broken(#[from] io::Error),
    /// It said nothing in time.
    #[error("the proxy did not answer CONNECT in time")]
    Slow,
}

impl TunnelFault {
    /// The status by which it refused.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(status) => Some(*status),
            Self::Strange | Self::Broken(_) | Self::Slow => None,
        }
    }
}

impl Proxy {
    /// Reads `http://[USER:PASSWORD@]HOST:PORT`; a text without a scheme is one with `http://`.
    ///
    /// # Errors
    ///
    /// A sentence that does not repeat the text, which may hold a password.
    pub(crate) fn parse(source: &str, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let (credential, rest) = match rest.rsplit_once('@') {
            Some((credential, rest)) => (Some(credential), rest),
            None => (None, rest),
        };
        let url: Url = format!("{scheme}://{rest}")
            .parse()
            .map_err(|fault| format!("{source} names no proxy: {fault}"))?;
        if url.tls() {
            return Err(format!(
                "{source} names a proxy that is itself spoken to by TLS, which clients do not know"
            ));
        }
        let credential = credential.map(|text| STANDARD.encode(percent_decoded(text)).parse()).transpose();
        let credential = credential.map_err(|why: &str| format!("the credential in {source}: {why}"))?;
        Ok(Self { url, credential, source: source.to_owned() })
    }

    /// The proxy that the environment names for this URL, by the rules of Claude Code: lower case first, and none for
    /// hosts that NO_PROXY lists (<https://code.claude.com/docs/en/network-config>).
    ///
    /// # Errors
    ///
    /// As [`Proxy::parse`].
    pub(crate) fn from_environment(url: &Url) -> Result<Option<Self>, String> {
        let set = |name: &str| env::var(name).ok().filter(|text| !text.trim().is_empty());
        let exempt = set("no_proxy").or_else(|| set("NO_PROXY")).unwrap_or_default();
        if is_exempt(url.host(), url.port(), &exempt) {
            return Ok(None);
        }
        let names = if url.tls() { ["https_proxy", "HTTPS_PROXY"] } else { ["http_proxy", "HTTP_PROXY"] };
        let named = names.iter().find_map(|name| Some((*name, set(name)?)));
        named.map(|(name, text)| Self::parse(name, &text)).transpose()
    }

    /// Its host.
    pub(crate) fn host(&self) -> &str {
        self.url.host()
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.url.port()
    }

    /// What to put into `Proxy-Authorization`; secret.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.credential.as_ref().map(|credential| format!("Basic {}", credential.reveal()))
    }

    /// Asks for a tunnel (RFC 9110, section 9.3.6).
    ///
    /// # Errors
    ///
    /// [`TunnelFault`].
    pub(crate) async fn tunnel(&self, tcp: &mut TcpStream, host: &str, port: u16) -> Result<(), TunnelFault> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(authorization) = self.authorization() {
            request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
        }
        request.push_str("\r\n");
        tcp.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        // Byte by byte: what follows the head belongs to the tunnel.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= ANSWER_BYTES {
                return Err(TunnelFault::Strange);
            }
            head.push(tcp.read_u8().await?);
        }
        let status = head.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
        let status = status.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        match status {
            Some(200..=299) => Ok(()),
            Some(status) => Err(TunnelFault::Refused(status)),
            None => Err(TunnelFault::Strange),
        }
    }
}

/// Whether a list such as `localhost,.corp.example, 10.0.0.1:8443` names the host: a name covers what is below it, a
/// port narrows it, `*` is everything.
pub(crate) fn is_exempt(host: &str, port: u16, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        let entry = entry.to_ascii_lowercase();
        let (name, wanted) = match entry.rsplit_once(':') {
            Some((name, digits)) if !name.contains(':') || name.ends_with(']') => match digits.parse::<u16>()
            {
                Ok(wanted) => (name, Some(wanted)),
                Err(_) => (entry.as_str(), None),
            },
            _ => (entry.as_str(), None),
        };
        if wanted.is_some_and(|wanted| wanted != port) {
            return false;
        }
        let name = name.trim_start_matches("*").trim_start_matches('.').trim_matches(['[', ']']);
        let is_address = host.parse::<IpAddr>().is_ok();
        host == name || (!is_address && host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.')))
    })
}

/// `%XX` as bytes; what is no escape stays.
fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| *first == b'%');
        let escaped =
            escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_proxy_lists_hosts_and_what_is_below_them() {
        let rows = [
            ("gw.corp.example", 443, "corp.example", true),
            ("gw.corp.example", 443, ".corp.example", true),
            ("gw.corp.example", 443, "*.corp.example", true),
            ("corp.example", 443, ".corp.example", true),
            ("notcorp.example", 443, "corp.example", false),
            ("gw.corp.example", 443, "a, gw.corp.example:443", true),
            ("gw.corp.example", 8443, "gw.corp.example:443", false),
            ("GW", 80, "gw other", true),
            ("127.0.0.1", 80, "127.0.0.1", true),
            ("127.0.0.1", 80, "0.0.1", false),
            ("::1", 80, "[::1]:80", true),
            ("anything", 80, "*", true),
            ("anything", 80, "", false),
        ];
        for (host, port, list, exempt) in rows {
            assert_eq!(is_exempt(host, port, list), exempt, "{host}:{port} in {list:?}");
        }
    }

    #[test]
    fn a_proxy_is_read_with_its_credential_which_shows_nowhere() {
        let proxy = Proxy::parse("HTTPS_PROXY", "http://ann:p%40ss@proxy.example:3128").unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
        assert_eq!(proxy.authorization().unwrap(), format!("Basic {}", STANDARD.encode("ann:p@ss")));
        assert!(!format!("{proxy:?}").contains("YW5u"));
        assert_eq!(Proxy::parse("X", "proxy.example:8080").unwrap().port(), 8080);
        for bad in
            ["https://ann:secret@proxy.example", "socks5://ann:secret@h", "http://", "http://ann:secret@"]
        {
            let fault = Proxy::parse("X", bad).unwrap_err();
            assert!(!fault.contains("secret"), "{fault}");
        }
    }
}
