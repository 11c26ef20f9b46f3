//! What `client setup` wants to stand in a settings file, and how it is put there and taken back.

use std::path::PathBuf;

use tollgate_config::Url;

use super::json::{NotAnObject, find, members, quoted, remove, set};
use crate::token::Token;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The gateway.
    pub(crate) url: Url,
    /// What proves who asks.
    pub(crate) credential: Credential,
    /// Certificate authorities in PEM.
    pub(crate) ca: Option<PathBuf>,
    /// A certificate of the client and its key, in PEM.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// Whether Claude Code asks the gateway for its models.
    pub(crate) discovers_models: bool,
}

/// What proves who asks.
#[derive(Debug)]
pub(crate) enum Credential {
    /// What is there stays.
    Kept,
    /// This, in the file.
    Token(Token),
    /// What a command prints, and for how many milliseconds that is used.
    Helper {
        /// The command, for the shell.
        command: String,
        /// How long its output is used.
        ttl_ms: Option<u64>,
    },
}

const BASE_URL: &[&str] = &["env", "ANTHROPIC_BASE_URL"];
const AUTH_TOKEN: &[&str] = &["env", "ANTHROPIC_AUTH_TOKEN"];
const API_KEY: &[&str] = &["env", "ANTHROPIC_API_KEY"];
const HELPER: &[&str] = &["apiKeyHelper"];
const HELPER_TTL: &[&str] = &["env", "CLAUDE_CODE_API_KEY_HELPER_TTL_MS"];
const CA: &[&str] = &["env", "NODE_EXTRA_CA_CERTS"];
const CERTIFICATE: &[&str] = &["env", "CLAUDE_CODE_CLIENT_CERT"];
const KEY: &[&str] = &["env", "CLAUDE_CODE_CLIENT_KEY"];
const DISCOVERY: &[&str] = &["env", "CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY"];

/// All that is ever set or removed.
const OWNED: [&[&str]; 9] =
    [BASE_URL, AUTH_TOKEN, API_KEY, HELPER, HELPER_TTL, CA, CERTIFICATE, KEY, DISCOVERY];
/// Those of them that are secrets.
const SECRETS: [&[&str]; 2] = [AUTH_TOKEN, API_KEY];
/// Other variables that hold secrets in practice.
const OTHER_SECRETS: [&[&str]; 4] = [
    &["env", "ANTHROPIC_CUSTOM_HEADERS"],
    &["env", "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE"],
    &["env", "HTTPS_PROXY"],
    &["env", "HTTP_PROXY"],
];

impl Wish {
    /// The text with what is wanted, and else as it was. An empty text is a file that is not there.
    ///
    /// # Errors
    ///
    /// [`NotAnObject`].
    pub(crate) fn applied(&self, text: &str) -> Result<String, NotAnObject> {
        let path = |path: &PathBuf| Some(path.display().to_string());
        let (certificate, key) =
            self.certificate.as_ref().map_or((None, None), |(one, two)| (path(one), path(two)));
        let mut wanted = vec![(BASE_URL, Some(self.url.to_string()))];
        match &self.credential {
            Credential::Kept => {}
            Credential::Token(token) => {
                wanted.push((AUTH_TOKEN, Some(token.reveal().to_owned())));
                // Either would be sent beside it.
                wanted.extend([(API_KEY, None), (HELPER, None), (HELPER_TTL, None)]);
            }
            Credential::Helper { command, ttl_ms } => {
                wanted.push((HELPER, Some(command.clone())));
                wanted.push((HELPER_TTL, ttl_ms.map(|ms| ms.to_string())));
                wanted.extend([(AUTH_TOKEN, None), (API_KEY, None)]);
            }
        }
        let discovery = self.discovers_models.then(|| "1".to_owned());
        let optional = [
            (CA, self.ca.as_ref().and_then(path)),
            (CERTIFICATE, certificate),
            (KEY, key),
            (DISCOVERY, discovery),
        ];
        wanted.extend(optional.into_iter().filter(|(_, value)| value.is_some()));
        let start = if text.trim().is_empty() { "{}\n".to_owned() } else { text.to_owned() };
        wanted.into_iter().try_fold(start, |text, (path, value)| match value.as_deref().map(quoted) {
            None => remove(&text, path),
            Some(value) if find(&text, path)? == Some(value.as_str()) => Ok(text),
            Some(value) => set(&text, path, &value),
        })
    }

    /// The names of what is set or removed, to hold them against stronger files.
    pub(crate) fn variables() -> impl Iterator<Item = &'static str> {
        OWNED.iter().filter_map(|path| path.last().copied())
    }
}

/// The text with everything that a setup may have changed as it was before. None if that leaves nothing of a file that
/// was not there.
///
/// # Errors
///
/// [`NotAnObject`].
pub(crate) fn restored(now: &str, before: &str) -> Result<Option<String>, NotAnObject> {
    let was_there = !before.trim().is_empty();
    let old = if was_there { before } else { "{}" };
    let mut text = now.to_owned();
    for path in OWNED {
        text = match find(old, path)? {
            None => remove(&text, path)?,
            Some(value) if find(&text, path)? == Some(value) => text,
            Some(value) => set(&text, path, value)?,
        };
    }
    let is_empty = |text: &str, path| {
        Ok(find(text, path)?.is_some_and(|value| members(value).is_ok_and(|all| all.is_empty())))
    };
    if find(old, &["env"])?.is_none() && is_empty(&text, &["env"])? {
        text = remove(&text, &["env"])?;
    }
    if !was_there && members(&text)?.is_empty() {
        return Ok(None);
    }
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    // Nothing else has changed: then not even the spacing does.
    Ok(Some(if was_there && read(&text) == read(before) { before.to_owned() } else { text }))
}

/// The text for people: each secret value of it, and of `other`, told apart without being shown.
pub(crate) fn redacted(text: &str, other: &str) -> String {
    let mut shown = text.to_owned();
    for path in SECRETS.iter().chain(&OTHER_SECRETS) {
        let value = find(text, path).ok().flatten();
        let Some(value) = value else { continue };
        let is_same = find(other, path).ok().flatten().is_none_or(|other| other == value);
        let mark = if is_same { "[hidden]" } else { "[hidden: another]" };
        shown = set(&shown, path, &quoted(mark)).unwrap_or_default();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(credential: Credential) -> Wish {
        let url = "https://gw.example".parse().unwrap();
        Wish { url, credential, ca: None, certificate: None, discovers_models: false }
    }

    fn token() -> Credential {
        Credential::Token("canary-token".parse().unwrap())
    }

    const OLD: &str = "{\n    \"model\": \"opus\",\n    \"env\": {\"Z\": \"1\", \"ANTHROPIC_API_KEY\": \"canary-old\"},\n    \
                       \"apiKeyHelper\": \"old\",\n    \"hooks\": {}\n}";

    #[test]
    fn what_is_wanted_is_put_there_and_all_else_stays_in_its_order() {
        let new = wish(token()).applied(OLD).unwrap();
        let keys =
            |text: &str| members(text).unwrap().into_iter().map(|member| member.key).collect::<Vec<_>>();
        assert_eq!(keys(&new), ["model", "env", "hooks"]);
        assert_eq!(find(&new, &["env", "Z"]).unwrap(), Some("\"1\""));
        assert_eq!(find(&new, AUTH_TOKEN).unwrap(), Some("\"canary-token\""));
        assert_eq!((find(&new, API_KEY).unwrap(), find(&new, HELPER).unwrap()), (None, None));
        assert_eq!(wish(token()).applied(&new).unwrap(), new, "twice is once");

        let helper = Credential::Helper { command: "print \"it\"".to_owned(), ttl_ms: Some(60_000) };
        let new = wish(helper).applied("").unwrap();
        let expected = "{\n  \"env\": {\n    \"ANTHROPIC_BASE_URL\": \"https://gw.example\",\n    \
                        \"CLAUDE_CODE_API_KEY_HELPER_TTL_MS\": \"60000\"\n  },\n  \"apiKeyHelper\": \"print \\\"it\\\"\"\n}\n";
        assert_eq!(new, expected);
    }

    #[test]
    fn what_was_set_up_is_taken_back_and_later_changes_stay() {
        let new = wish(token()).applied(OLD).unwrap();
        assert_eq!(restored(&new, OLD).unwrap().as_deref(), Some(OLD));
        let later = new.replace("\"opus\"", "\"sonnet\"");
        let back = restored(&later, OLD).unwrap().unwrap();
        assert_eq!(find(&back, &["model"]).unwrap(), Some("\"sonnet\""));
        assert_eq!(find(&back, HELPER).unwrap(), Some("\"old\""));
        assert_eq!(find(&back, AUTH_TOKEN).unwrap(), None);
        let made = wish(token()).applied("").unwrap();
        assert_eq!(restored(&made, "").unwrap(), None);
        let more = set(&made, &["model"], "\"opus\"").unwrap();
        assert_eq!(
            restored(&more, "").unwrap().unwrap().split_whitespace().collect::<String>(),
            "{\"model\":\"opus\"}"
        );
    }

    #[test]
    fn secrets_are_told_apart_without_being_shown() {
        let new = wish(token()).applied(OLD).unwrap();
        let (old, new) = (redacted(OLD, &new), redacted(&new, OLD));
        assert!(!format!("{old}{new}").contains("canary"), "{old}{new}");
        let other = redacted(
            "{\"env\":{\"ANTHROPIC_AUTH_TOKEN\":\"canary-2\"}}",
            &wish(token()).applied("").unwrap(),
        );
        assert!(other.contains("[hidden: another]"), "{other}");
    }
}
