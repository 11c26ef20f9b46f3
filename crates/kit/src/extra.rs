//! Headers that a gateway demands besides those of the API: a tenant, a subscription key.

use std::fmt;

use clap::Args;
use zeroize::Zeroizing;

use crate::{
    fault::Fault,
    token::{unread, variable},
};

/// So many of them.
const MOST: usize = 16;
/// The longest name and the longest value, in bytes.
const NAME_BYTES: usize = 256;
const VALUE_BYTES: usize = 8 * 1024;
/// A value that is shorter, and plain, is no secret; nor is a plain one without digits that is not much longer.
const SHORT_BYTES: usize = 8;
const WORD_BYTES: usize = 16;

/// Names that the kit sends itself or that belong to a connection. One with `*` stands for all that begin so.
const OWN: [&str; 24] = [
    "authorization",
    "x-api-key",
    "anthropic-*",
    "content-*",
    "host",
    "accept",
    "accept-encoding",
    "user-agent",
    "x-app",
    "x-claude-code-*",
    "x-stainless-*",
    "x-client-request-id",
    "x-forwarded-for",
    "traceparent",
    "cookie",
    "origin",
    "expect",
    // Of one connection (RFC 9110, section 7.6.1).
    "connection",
    "keep-alive",
    "proxy-*",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header that goes with every request to the gateway. It shows nothing of its value, which is wiped when dropped.
#[derive(Clone)]
pub(crate) struct Extra {
    /// Its name, in lower case.
    pub(crate) name: String,
    value: Zeroizing<String>,
    is_secret: bool,
}

impl Extra {
    /// The value, for what must send it.
    pub(crate) fn reveal(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extra({}: ..)", self.name)
    }
}

/// The values that no report may show.
pub(crate) fn secrets(extras: &[Extra]) -> impl Iterator<Item = String> {
    extras.iter().filter(|extra| extra.is_secret).map(|extra| extra.reveal().to_owned())
}

/// From where they are taken.
#[derive(Debug, Args)]
pub(crate) struct ExtraArgs {
    /// A header that the gateway demands besides the credential, on each request to it. May be given several times.
    #[arg(long, value_name = "NAME: VALUE", value_parser = unread)]
    header: Vec<Zeroizing<String>>,
    /// The same with a secret for a value, which this environment variable holds: x-subscription-key=VAR.
    #[arg(long, value_name = "NAME=VAR", value_parser = unread)]
    header_env: Vec<Zeroizing<String>>,
}

impl ExtraArgs {
    /// The headers.
    ///
    /// # Errors
    ///
    /// [`Fault::Unset`], [`Fault::Unfit`]. What may be a secret is not repeated.
    pub(crate) fn take(&self) -> Result<Vec<Extra>, Fault> {
        let mut extras: Vec<Extra> = Vec::new();
        for given in &self.header {
            let parted = given.split_once(':');
            let (name, value) = parted.ok_or_else(|| unfit("--header", "there is no colon behind a name"))?;
            extras.push(extra("--header", name, value, !is_plain(value.trim()))?);
        }
        for given in &self.header_env {
            let parted = given.split_once('=');
            let (name, variable_name) =
                parted.ok_or_else(|| unfit("--header-env", "there is no `=` behind a name"))?;
            let value = variable("--header-env", variable_name)?;
            extras.push(extra("--header-env", name, &value, true)?);
        }
        let is_twice =
            |(at, extra): (usize, &Extra)| extras[..at].iter().any(|other| other.name == extra.name);
        if extras.len() > MOST {
            return Err(unfit("--header", format!("there are more than {MOST}")));
        }
        if let Some((_, extra)) = extras.iter().enumerate().find(|row| is_twice(*row)) {
            return Err(unfit("--header", format!("{} is given twice", extra.name)));
        }
        Ok(extras)
    }
}

fn extra(option: &'static str, name: &str, value: &str, is_secret: bool) -> Result<Extra, Fault> {
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
    let is_name = name.len() <= NAME_BYTES && hyper::header::HeaderName::from_bytes(name.as_bytes()).is_ok();
    if !is_name {
        return Err(unfit(option, "what stands first is no name of a header"));
    }
    if OWN.iter().any(|own| own.strip_suffix('*').map_or(name == *own, |start| name.starts_with(start))) {
        return Err(Fault::Unfit {
            what: option,
            rule: format!("{name} is what this command sends itself, or belongs to the connection"),
            cure: "leave it out; the credential is given by --token-env, --token-file or `--token -`."
                .to_owned(),
        });
    }
    let is_value = value.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    if value.is_empty() || value.len() > VALUE_BYTES || !is_value {
        let rule = format!("the value of {name} is not one line of 1 to {VALUE_BYTES} characters of ASCII");
        return Err(unfit(option, rule));
    }
    Ok(Extra { name, value: Zeroizing::new(value.to_owned()), is_secret })
}

/// Whether a value looks like a word and not like a secret.
fn is_plain(value: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let has_digits = value.bytes().any(|byte| byte.is_ascii_digit());
    value.bytes().all(is_word) && value.len() < if has_digits { SHORT_BYTES } else { WORD_BYTES }
}

fn unfit(option: &'static str, rule: impl Into<String>) -> Fault {
    let cure = "write --header 'x-tenant: payments', or --header-env x-subscription-key=VAR for a secret.";
    Fault::Unfit { what: option, rule: rule.into(), cure: cure.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(headers: &[&str]) -> ExtraArgs {
        let header = headers.iter().map(|text| Zeroizing::new((*text).to_owned())).collect();
        ExtraArgs { header, header_env: Vec::new() }
    }

    #[test]
    fn a_header_is_taken_if_it_is_one_and_is_not_our_own() {
        let rows: [(&[&str], Result<&str, &str>); 11] = [
            (&["X-Tenant:  payments "], Ok("payments")),
            (&["x-portkey-config: {\"retry\": 1}"], Ok("{\"retry\": 1}")),
            (&["x-tenant"], Err("no colon")),
            (&[": payments"], Err("no name of a header")),
            (&["x tenant: payments"], Err("no name of a header")),
            (&["Authorization: Bearer canary"], Err("authorization is what this command sends itself")),
            (&["anthropic-beta: canary"], Err("anthropic-beta is")),
            (&["Content-Length: 7"], Err("content-length is")),
            (&["proxy-authorization: canary"], Err("proxy-authorization is")),
            (&["x-tenant: a\nb"], Err("the value of x-tenant is not one line")),
            (&["x-tenant: a", "X-Tenant: b"], Err("x-tenant is given twice")),
        ];
        for (given, expected) in rows {
            let taken = args(given).take();
            match (&taken, expected) {
                (Ok(extras), Ok(value)) => assert_eq!(extras[0].reveal(), value),
                (Err(fault), Err(part)) => {
                    let says = fault.to_string();
                    assert!(says.contains(part) && !says.contains("canary"), "{says}");
                    assert!(fault.cure().is_some(), "{says}");
                }
                _ => panic!("{given:?}: {taken:?}"),
            }
        }
        let many: Vec<String> = (0..17).map(|number| format!("x-{number}: a")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(args(&many).take().is_err());
        assert!(args(&many[1..]).take().is_ok());
    }

    #[test]
    fn a_value_is_a_secret_unless_it_is_a_short_word() {
        for (value, is_plainly) in [
            ("payments", true),
            ("eu-1", true),
            ("1", true),
            ("hunter22", false),
            ("a b", false),
            ("a-word-that-is-long", false),
            ("0123456789", false),
        ] {
            let extras = args(&[&format!("x-a: {value}")]).take().unwrap();
            assert_eq!(secrets(&extras).next().is_none(), is_plainly, "{value}");
            assert!(!format!("{extras:?}").contains(value), "{value}");
        }
    }
}
