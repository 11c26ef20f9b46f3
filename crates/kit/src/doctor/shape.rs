//! What a credential is, by its form alone. Nothing of it is repeated.

use tollgate_policy::credential::{OPERATOR_PREFIX, PREFIX, VirtualKey};

/// What a credential looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A virtual key of Tollgate, whole.
    VirtualKey,
    /// Something that begins like one and is none, for this reason.
    BrokenVirtualKey(String),
    /// An operator's credential for the admin API of Tollgate.
    OperatorKey,
    /// A key of the provider itself, or its OAuth token.
    ProviderKey(&'static str),
    /// A key of this product.
    Vendor(&'static str),
    /// A JSON Web Token.
    Jwt,
    /// A scheme was pasted along: `Bearer ...`.
    Scheme,
    /// Quotes, or a variable that was not expanded.
    Pasted(&'static str),
    /// Fewer characters than a secret has.
    Short(usize),
    /// Something else.
    Opaque,
}

/// Fewer characters than this are no secret.
const SHORT: usize = 16;

/// Prefixes of keys of the provider, which belong into the gateway and not before it.
const PROVIDER: [(&str, &str); 5] = [
    ("sk-ant-oat", "an OAuth token of a Claude subscription"),
    ("sk-ant-admin", "an Admin API key of Anthropic"),
    ("sk-ant-", "an API key of Anthropic"),
    ("AKIA", "an access key id of AWS"),
    ("ya29.", "an access token of Google"),
];

/// Prefixes of keys that gateways give out.
const VENDORS: [(&str, &str); 3] = [("tfk_", "TrueFoundry"), ("zpka_", "Zuplo"), ("sk-litellm", "LiteLLM")];

impl Shape {
    /// Judges a credential.
    pub(crate) fn of(credential: &str) -> Self {
        let lower = credential.to_ascii_lowercase();
        if lower == "bearer" || lower.starts_with("bearer:") || lower.starts_with("basic:") {
            return Self::Scheme;
        }
        if credential.starts_with(['"', '\'']) {
            return Self::Pasted("it begins with a quotation mark");
        }
        if credential.starts_with('$') || (credential.starts_with('<') && credential.ends_with('>')) {
            return Self::Pasted("it is a placeholder that nobody replaced");
        }
        if credential.starts_with(OPERATOR_PREFIX) {
            return Self::OperatorKey;
        }
        if credential.starts_with(PREFIX) {
            return match VirtualKey::parse(credential) {
                Ok(_) => Self::VirtualKey,
                Err(why) => Self::BrokenVirtualKey(why.to_string()),
            };
        }
        if let Some((_, what)) = PROVIDER.iter().find(|(prefix, _)| credential.starts_with(prefix)) {
            return Self::ProviderKey(what);
        }
        if let Some((_, who)) = VENDORS.iter().find(|(prefix, _)| credential.starts_with(prefix)) {
            return Self::Vendor(who);
        }
        if super::jwt::Jwt::parse(credential).is_some() {
            return Self::Jwt;
        }
        if credential.len() < SHORT { Self::Short(credential.len()) } else { Self::Opaque }
    }

    /// What it is, in a sentence without a full stop, and what to do where that is wrong.
    pub(crate) fn says(&self) -> (String, Option<&'static str>) {
        match self {
            Self::VirtualKey => ("it is a virtual key of Tollgate, and its checksum fits".to_owned(), None),
            Self::BrokenVirtualKey(why) => (
                format!("it begins like a virtual key of Tollgate and is none: it {why}"),
                Some("Copy it again, whole. If it is lost, make a new one: `tollgate key create`."),
            ),
            Self::OperatorKey => (
                "it is an operator's credential, for the admin API".to_owned(),
                Some("Use a virtual key: `tollgate key create` makes one."),
            ),
            Self::ProviderKey(what) => (
                format!("it is {what}, which a gateway does not give out"),
                Some(
                    "Ask whoever runs the gateway for a key of the gateway. The provider's key stays with the gateway; if \
                     this one was sent to anybody else, replace it.",
                ),
            ),
            Self::Vendor(who) => (format!("it is a key of {who}"), None),
            Self::Jwt => ("it is a JSON Web Token".to_owned(), None),
            Self::Scheme => (
                "the word Bearer stands where the credential should".to_owned(),
                Some("Put the credential alone there; clients write `Bearer` before it themselves."),
            ),
            Self::Pasted(why) => {
                ((*why).to_owned(), Some("Put the credential itself there, without quotation marks."))
            }
            Self::Short(length) => {
                (format!("it has {length} characters, fewer than a secret"), Some("Copy it again, whole."))
            }
            Self::Opaque => ("it has a form that tells nothing".to_owned(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_known_by_its_form() {
        let key = VirtualKey::mint([7; 32]);
        let key = key.reveal();
        let cut = &key[..key.len() - 1];
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjF9.c2ln";
        let good = [
            (key, Shape::VirtualKey),
            ("tfk_0123456789abcdef", Shape::Vendor("TrueFoundry")),
            ("zpka_0123456789abcdef", Shape::Vendor("Zuplo")),
            ("sk-litellm-0123456789", Shape::Vendor("LiteLLM")),
            (jwt, Shape::Jwt),
            ("0123456789abcdef", Shape::Opaque),
            ("a.b.c-0123456789abcdef", Shape::Opaque),
        ];
        for (text, shape) in good {
            assert_eq!(Shape::of(text), shape, "{text}");
            assert_eq!(shape.says().1, None, "{text}");
        }
        let bad = [
            cut,
            "tga_0123456789",
            "sk-ant-api03-0123456789abcdef",
            "Bearer:abcdef0123456789",
            "\"0123456789abcdef\"",
            "$TOKEN",
            "<your-token>",
            "${ANTHROPIC_API_KEY}",
            "short",
        ];
        for text in bad {
            let (says, cure) = Shape::of(text).says();
            assert!(cure.is_some(), "{text}: {says}");
            assert!(!says.contains(text), "{says}");
        }
        assert_eq!(Shape::of("tga_0123456789"), Shape::OperatorKey);
        assert!(matches!(Shape::of(cut), Shape::BrokenVirtualKey(_)));
        assert_eq!(
            Shape::of("sk-ant-oat01-x"),
            Shape::ProviderKey("an OAuth token of a Claude subscription")
        );
    }
}
