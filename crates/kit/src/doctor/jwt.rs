//! JSON Web Tokens, read without trust in them (RFC 7519). Of their claims only the names and the times are ever shown.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use tollgate_policy::unit::UnixMs;

use super::rules::{JWT_AUDIENCE, JWT_LIFE, JWT_TIME};
use crate::finding::{Finding, Ground::Proven};

/// A token in its three parts.
#[derive(Clone)]
pub(crate) struct Jwt {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// What the signature is over: the first two parts as they were written.
    pub(super) signed: String,
    /// The signature.
    pub(super) signature: Vec<u8>,
}

/// The claims that must be a NumericDate where they are there: a JSON number of seconds since 1970 (RFC 7519, sections 2
/// and 4.1.4 to 4.1.6).
const NUMERIC_DATES: [&str; 3] = ["exp", "nbf", "iat"];
/// The claims that are instants.
const TIMES: [&str; 4] = ["exp", "nbf", "iat", "auth_time"];
/// Tokens that end sooner are told so, in milliseconds.
const SHORT_MS: i64 = 10 * 60 * 1000;
/// Shorter values are part of other words.
const TELLING_CHARS: usize = 4;

impl Jwt {
    /// Takes a token apart. None if it is no JWT.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        Some(Self { header: part(header)?, claims: part(claims)?, signed: signed.to_owned(), signature })
    }

    /// `alg` of the header.
    pub(super) fn algorithm(&self) -> &str {
        self.header.get("alg").and_then(Value::as_str).unwrap_or_default()
    }

    /// `kid` of the header.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// `iss`.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// All texts of the token that must be shown nowhere.
    pub(crate) fn values(&self) -> Vec<String> {
        fn collect(value: &Value, into: &mut Vec<String>) {
            match value {
                // A word such as `gateway` tells nothing, and our own sentences have it too.
                Value::String(text) if text.chars().all(char::is_alphabetic) => {}
                Value::String(text) if text.chars().count() >= TELLING_CHARS => into.push(text.clone()),
                Value::Array(list) => list.iter().for_each(|value| collect(value, into)),
                Value::Object(map) => map.values().for_each(|value| collect(value, into)),
                _ => {}
            }
        }
        let mut values = Vec::new();
        self.claims.values().for_each(|value| collect(value, &mut values));
        values
    }

    fn time(&self, claim: &str) -> Option<UnixMs> {
        let value = self.claims.get(claim)?;
        // Some issuers write fractions of seconds, which nobody needs here.
        let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))?;
        Some(UnixMs(seconds.saturating_mul(1000)))
    }

    /// Algorithm, names of the claims, and times.
    pub(crate) fn shown(&self) -> String {
        let names: Vec<&str> = self.claims.keys().map(String::as_str).collect();
        let times = TIMES.iter().filter_map(|claim| Some(format!("{claim} {}", self.time(claim)?)));
        let times: Vec<String> = times.collect();
        format!("alg {}; claims {}; {}", self.algorithm(), names.join(", "), times.join(", "))
    }

    /// Whether it is good at this instant, which is the gateway's where that is known.
    pub(crate) fn times(&self, now: UnixMs) -> Vec<Finding> {
        let (exp, nbf) = (self.time("exp"), self.time("nbf"));
        let is_wrong = |claim: &&str| self.claims.contains_key(*claim) && self.time(claim).is_none();
        let wrong: Vec<String> =
            NUMERIC_DATES.iter().filter(|claim| is_wrong(claim)).map(|claim| format!("`{claim}`")).collect();
        let first = match (exp, nbf) {
            _ if !wrong.is_empty() => {
                let says = format!("{} of it is not a number of seconds", wrong.join(" and "));
                Finding::fail(&JWT_TIME, Proven, says).cure(
                    "Let the issuer write it as a JSON number of seconds since 1970, without quotation marks: a reader \
                     that obeys RFC 7519 refuses the token, and others take it for one without an end.",
                )
            }
            (Some(exp), _) if exp <= now => {
                let says = format!("it expired on {exp}, {} ago", span(now.ms_since(exp)));
                Finding::fail(&JWT_TIME, Proven, says).cure(
                    "Get a new one. Tokens that end are better printed by an `apiKeyHelper`, which Claude Code runs again: \
                     `tollgate client setup --helper COMMAND`.",
                )
            }
            (_, Some(nbf)) if nbf > now => {
                let says = format!("it is good from {nbf} on only, in {}", span(nbf.ms_since(now)));
                Finding::fail(&JWT_TIME, Proven, says).cure("Wait, or set the clock of the issuer.")
            }
            (Some(exp), _) => Finding::pass(&JWT_TIME, Proven, format!("it is good until {exp}")),
            (None, _) => Finding::pass(&JWT_TIME, Proven, "it has no end (`exp`)"),
        };
        let mut findings = vec![first.with("token", self.shown())];
        if let Some(left) = exp.map(|exp| exp.ms_since(now)).filter(|left| (0..SHORT_MS).contains(left)) {
            let says = format!("it ends in {}", span(left));
            let cure = "Let an `apiKeyHelper` print it: `tollgate client setup --helper COMMAND`.";
            findings.push(Finding::fail(&JWT_LIFE, Proven, says).cure(cure));
        }
        findings
    }

    /// Whether `aud`, a text or a list of texts, names what is expected.
    pub(crate) fn audience(&self, expected: Option<&str>) -> Finding {
        let named: Vec<&str> = match self.claims.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        match expected {
            None if named.is_empty() => Finding::unknown(
                &JWT_AUDIENCE,
                "the token names no audience (`aud`), and --audience none either",
            ),
            None => Finding::unknown(
                &JWT_AUDIENCE,
                "the token names one; --audience says whether it is the right one",
            ),
            Some(expected) if named.contains(&expected) => {
                Finding::pass(&JWT_AUDIENCE, Proven, "`aud` is the one of --audience")
            }
            Some(_) => {
                let says = if named.is_empty() {
                    "the token has no `aud`"
                } else {
                    "`aud` is another than --audience"
                };
                Finding::fail(&JWT_AUDIENCE, Proven, says)
                    .cure("Ask the issuer for a token with that audience: the parameter `audience` or `resource`, or the scope.")
            }
        }
    }
}

/// A length of time in the largest unit that it fills.
pub(crate) fn span(ms: i64) -> String {
    let seconds = ms.abs() / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome;

    fn token(claims: &str) -> Jwt {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        Jwt::parse(&format!("{}.{}.c2ln", part(r#"{"alg":"RS256","kid":"k1"}"#), part(claims))).unwrap()
    }

    #[test]
    fn a_token_is_judged_by_its_times() {
        let now = UnixMs(1_000_000_000);
        let rows = [
            (r#"{"exp":1003600}"#, Ok("good until")),
            (r#"{"exp": 1003600.5, "nbf": 999999}"#, Ok("good until")),
            (r#"{}"#, Ok("has no end")),
            (r#"{"exp":1000000}"#, Err("expired on 1970-01-12")),
            (r#"{"exp":996400}"#, Err("60 min ago")),
            (r#"{"nbf":1000060,"exp":1003600}"#, Err("in 60 s")),
        ];
        for (claims, expected) in rows {
            let finding = &token(claims).times(now)[0];
            let (part, outcome) = match expected {
                Ok(part) => (part, Outcome::Pass(Proven)),
                Err(part) => (part, Outcome::Fail(Proven)),
            };
            assert_eq!(finding.outcome, outcome, "{claims}: {}", finding.says);
            assert!(finding.says.contains(part), "{claims}: {}", finding.says);
        }
        for (claims, part) in [
            (r#"{"exp":"1003600"}"#, "`exp` of it is not a number of seconds"),
            (r#"{"exp":null}"#, "`exp` of it"),
            (r#"{"exp":1003600,"nbf":"canary-yesterday","iat":[1000000]}"#, "`nbf` and `iat` of it"),
            (r#"{"exp":1003600,"iat":"1970-01-12T13:46:40Z"}"#, "`iat` of it"),
        ] {
            let finding = &token(claims).times(now)[0];
            assert_eq!((finding.rule, finding.outcome), (&JWT_TIME, Outcome::Fail(Proven)), "{claims}");
            assert!(finding.says.contains(part) && !format!("{finding:?}").contains("canary"), "{finding:?}");
        }
        assert_eq!(token(r#"{"exp":1000300}"#).times(now)[1].rule, &JWT_LIFE);
    }

    #[test]
    fn the_audience_is_one_of_those_that_are_named() {
        let rows = [
            (r#"{"aud":"gw"}"#, Some("gw"), Outcome::Pass(Proven)),
            (r#"{"aud":["a","gw"]}"#, Some("gw"), Outcome::Pass(Proven)),
            (r#"{"aud":"gateway"}"#, Some("gw"), Outcome::Fail(Proven)),
            (r#"{}"#, Some("gw"), Outcome::Fail(Proven)),
            (r#"{"aud":"gw"}"#, None, Outcome::Unknown),
        ];
        for (claims, expected, outcome) in rows {
            assert_eq!(token(claims).audience(expected).outcome, outcome, "{claims}");
        }
    }

    #[test]
    fn names_and_times_are_shown_and_values_are_not() {
        let token =
            token(r#"{"exp":1003600,"sub":"ann@corp.example","groups":["canary-group","admins"],"n":7}"#);
        assert_eq!(token.shown(), "alg RS256; claims exp, groups, n, sub; exp 1970-01-12T14:46:40.000Z");
        assert_eq!(token.values(), ["canary-group", "ann@corp.example"]);
    }

    #[test]
    fn what_is_no_token_is_none() {
        for text in ["", "a.b", "a.b.c", "eyJhbGciOiJub25lIn0.e30", "eyJhbGciOiJub25lIn0.W10.", "..", "é.é.é"]
        {
            assert!(Jwt::parse(text).is_none(), "{text}");
        }
        assert!(Jwt::parse("eyJhbGciOiJub25lIn0.e30.").is_some());
    }
}
