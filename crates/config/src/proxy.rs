//! The proxy on the way to the upstream.

use crate::{
    leaf::{Fault, leaf},
    secret::SecretRef,
    url::Url,
};
use std::{fmt, str::FromStr};

/// Which proxy connections to the upstream go through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// `env`: the one that `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` name, if any.
    Environment,
    /// `none`: connect directly, whatever the environment says.
    Direct,
    /// A proxy that asks for no credential.
    Url(Url),
    /// Where the URL of the proxy is kept; that URL may hold a user name and a password.
    Secret(SecretRef),
}

impl FromStr for Proxy {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "env" => Ok(Self::Environment),
            "none" => Ok(Self::Direct),
            _ if text.starts_with("env:") || text.starts_with("file:") => text.parse().map(Self::Secret),
            _ => named(text),
        }
    }
}

fn named(text: &str) -> Result<Proxy, Fault> {
    if text.contains('@') {
        let cure =
            "keep the whole URL in an environment variable or a file and write env:NAME or file:PATH here.";
        return Err(Fault::new("the URL holds a user name or a password", cure));
    }
    let url: Url = text.parse().map_err(|_: Fault| {
        let cure = "write env, none, a URL such as http://proxy.example.com:3128, env:NAME or file:PATH.";
        Fault::new("this names no proxy", cure)
    })?;
    if url.tls() || !url.base_path().is_empty() {
        let cure = "write http, host and port only, as in http://proxy.example.com:3128; what passes through the \
                    proxy is encrypted from end to end.";
        return Err(Fault::new("a proxy is reached by http, without a path", cure));
    }
    Ok(Proxy::Url(url))
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("env"),
            Self::Direct => f.write_str("none"),
            Self::Url(url) => url.fmt(f),
            Self::Secret(reference) => reference.fmt(f),
        }
    }
}

leaf!(Proxy, "tollgate-proxy");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_shown() {
        for text in ["env", "none", "http://proxy.example.com:3128", "env:PROXY_URL", "file:proxy.url"] {
            assert_eq!(text.parse::<Proxy>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_texts_are_refused_and_passwords_never_repeated() {
        let bad = [
            "",
            "environment",
            "proxy:3128",
            "https://proxy:3128",
            "http://proxy/path",
            "http://u:hunter2@proxy",
            "env:",
        ];
        for text in bad {
            let fault = text.parse::<Proxy>().unwrap_err();
            assert!(!fault.to_string().contains("hunter2"), "{fault}");
        }
    }
}
