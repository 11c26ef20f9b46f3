//! Leaves: values written as one piece of text with a form of its own, such as `310s`.

use crate::{
    Address, duration::Duration, file::FilePath, proxy::Proxy, secret::SecretRef, size::Size, url::Url,
};
use std::str::FromStr;
use thiserror::Error;

/// Why a text is not a value of the wanted form. It never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{rule}; {cure}")]
pub struct Fault {
    /// The rule that is broken, a clause.
    pub rule: String,
    /// What to do about it, a sentence.
    pub cure: String,
}

impl Fault {
    pub(crate) fn new(rule: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { rule: rule.into(), cure: cure.into() }
    }
}

/// A form of text: what the schema, the loader and the reference page know about it.
pub(crate) struct Form {
    /// Its name in the schema (`format`).
    pub(crate) name: &'static str,
    /// What it is called in a sentence, with its article.
    pub(crate) noun: &'static str,
    /// Values that have this form, the first one the most typical.
    pub(crate) examples: &'static [&'static str],
    /// The whole rule, for the reference page.
    pub(crate) rule: &'static str,
    /// Says whether a text has this form.
    pub(crate) check: fn(&str) -> Result<(), Fault>,
}

/// All forms, in the order of the reference page.
pub(crate) static FORMS: [Form; 7] = [
    Form {
        name: "tollgate-duration",
        noun: "a duration",
        examples: &["310s", "10m", "250ms", "2h"],
        rule: "A whole number and one unit, without a space: `ms`, `s`, `m` or `h`. At most `24h`.",
        check: check::<Duration>,
    },
    Form {
        name: "tollgate-size",
        noun: "a size",
        examples: &["32MB", "64KB", "2GB", "512B"],
        rule: "A whole number and one unit, without a space: `B`, `KB`, `MB` or `GB`. One `KB` is 1024 \
               bytes, one `MB` is 1024 KB, one `GB` is 1024 MB, as the limits of the API count. At most \
               `1024GB`.",
        check: check::<Size>,
    },
    Form {
        name: "tollgate-secret",
        noun: "a reference to a secret",
        examples: &["env:ANTHROPIC_API_KEY", "file:/run/secrets/anthropic"],
        rule: "Where a secret is, never the secret itself: `env:NAME` is an environment variable, \
               `file:PATH` is a file whose content, without surrounding white space, is the secret.",
        check: check::<SecretRef>,
    },
    Form {
        name: "tollgate-url",
        noun: "a URL",
        examples: &["https://api.anthropic.com"],
        rule: "An absolute `http` or `https` URL: host, optional port, optional path. User name, \
               password, query and fragment are refused: what they hold ends up in logs.",
        check: check::<Url>,
    },
    Form {
        name: "tollgate-address",
        noun: "an address",
        examples: &["127.0.0.1:8080", "[::1]:8080", "0.0.0.0:443"],
        rule: "An IP address and a port. An IPv6 address stands in brackets. Port 0 lets the system \
               choose a free one.",
        check: check::<Address>,
    },
    Form {
        name: "tollgate-file",
        noun: "a path",
        examples: &["/etc/tollgate/tls.pem", "./tollgate-data"],
        rule: "A path. A relative one starts at the working directory of the process.",
        check: check::<FilePath>,
    },
    Form {
        name: "tollgate-proxy",
        noun: "a proxy",
        examples: &["env", "none", "http://proxy.example.com:3128", "env:PROXY_URL"],
        rule: "`env` obeys the variables `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`; `none` connects \
               directly; a URL names an HTTP proxy; a reference (`env:NAME`, `file:PATH`) names where such \
               a URL is kept, which may then hold a user name and a password.",
        check: check::<Proxy>,
    },
];

/// The form of that name.
pub(crate) fn form(name: &str) -> Option<&'static Form> {
    FORMS.iter().find(|form| form.name == name)
}

fn check<T: FromStr<Err = Fault>>(text: &str) -> Result<(), Fault> {
    text.parse::<T>().map(drop)
}

/// Gives a type that is one piece of text its serde and schema faces. The type has `FromStr`
/// (error [`Fault`]) and `Display`, and the two are inverse.
macro_rules! leaf {
    ($type:ty, $form:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": $form })
            }
        }
    };
}
pub(crate) use leaf;

/// A value of the document as a problem may show it: short, on one line, in backquotes.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() > LONGEST {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_has_its_form() {
        for form in &FORMS {
            for example in form.examples {
                assert_eq!((form.check)(example), Ok(()), "{} {example}", form.name);
            }
        }
    }

    #[test]
    fn quotes_are_short_and_on_one_line() {
        assert_eq!(quote("a\nb"), "`a b`");
        assert_eq!(quote(&"x".repeat(61)), format!("`{}...`", "x".repeat(60)));
    }
}
