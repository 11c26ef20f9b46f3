//! Leaves: values written as one piece of text with a form of its own, such as `310s`.

use crate::{
    Address,
    amount::Amount,
    duration::Duration,
    file::FilePath,
    instant::Instant,
    named::{Header, KeyId, Name, Pattern, Zone},
    proxy::Proxy,
    secret::SecretRef,
    size::Size,
    url::Url,
    window::Window,
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
pub(crate) static FORMS: [Form; 15] = [
    Form {
        name: "tollgate-duration",
        noun: "a duration",
        examples: &["310s", "10m", "250ms", "2h"],
        rule: "A whole number and one unit, without a space: `ms`, `s`, `m` or `h`. At most `24h`.",
        check: check::<Duration>,
    },
    Form {
        name: "tollgate-window",
        noun: "a window of time",
        examples: &["24h", "90m", "30d"],
        rule: "A whole number and one unit, without a space: `m`, `h` or `d` (24 hours). From `1m` to `92d`.",
        check: check::<Window>,
    },
    Form {
        name: "tollgate-instant",
        noun: "an instant",
        examples: &["2026-12-31", "2026-12-31T18:00:00Z", "2026-12-31T18:00:00+01:00"],
        rule: "A day, which means its beginning in the time zone of the allowance, or a day, a time and an \
               offset as in RFC 3339.",
        check: check::<Instant>,
    },
    Form {
        name: "tollgate-time-zone",
        noun: "a time zone",
        examples: &["UTC", "Europe/Berlin", "America/New_York"],
        rule: "A name of the IANA time zone database. Its rules, daylight saving included, are built in.",
        check: check::<Zone>,
    },
    Form {
        name: "tollgate-amount",
        noun: "an amount",
        examples: &["500", "0.25", "200000"],
        rule: "Digits, with a point before up to nine decimals; with quotes or without. Read exactly. At \
               most a billion dollars, or 10^18 tokens or requests.",
        check: check::<Amount>,
    },
    Form {
        name: "tollgate-name",
        noun: "a name",
        examples: &["platform", "ada@example.org", "team-2"],
        rule: "1 to 64 letters, digits and `.` `_` `@` `-`, beginning with a letter or digit.",
        check: check::<Name>,
    },
    Form {
        name: "tollgate-key-id",
        noun: "a key id",
        examples: &["key_01KAN5B9V0QZJ8E4M3T7XWYRSC"],
        rule: "`key_` and 26 digits and capitals, as `tollgate key list` shows it. It is not the key itself.",
        check: check::<KeyId>,
    },
    Form {
        name: "tollgate-model",
        noun: "a model pattern",
        examples: &["claude-haiku-*", "claude-opus-5-5", "*sonnet*"],
        rule: "A model id, or a part of one with `*` at its start, its end or both.",
        check: check::<Pattern>,
    },
    Form {
        name: "tollgate-header",
        noun: "a header",
        examples: &["x-app"],
        rule: "The name of a request header; case does not matter.",
        check: check::<Header>,
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
/// (error [`Fault`]) and `Display`, and the two are inverse. After the name of the form come the types of JSON that may
/// hold it, `string` first; only `string` when nothing is said.
macro_rules! leaf {
    ($type:ty, $form:literal) => {
        $crate::leaf::leaf!($type, $form, "string");
    };
    ($type:ty, $form:literal, $($kind:literal),+) => {
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
                schemars::json_schema!({ "type": $crate::leaf::kinds(&[$($kind),+]), "format": $form })
            }
        }
    };
}
pub(crate) use leaf;

/// The value of `type` in a schema: one name, or a list of several.
pub(crate) fn kinds(names: &[&str]) -> serde_json::Value {
    match names {
        [name] => (*name).into(),
        names => names.into(),
    }
}

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
