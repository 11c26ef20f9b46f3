//! The plan: the small document that configurations for other products are made from.

use crate::{fault::Fault, source::Source};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use tollgate_config::{
    Address, Fault as Broken, SecretRef, Url,
    file::FilePath,
    named::{Name, Pattern},
};

/// All fields with their defaults and what they mean, as `tollgate generate plan` prints it.
pub(crate) const EXAMPLE: &str = include_str!("plan.yaml");

/// What is to be generated. Every field has a default; an empty text is a valid plan.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plan {
    /// What the gateway is called in the files that are made.
    pub(crate) name: Name,
    /// Where it listens.
    pub(crate) listen: Address,
    /// Where clients find it; see [`Plan::client_url`].
    url: Option<Url>,
    /// The certificate to serve with. Absent: plain HTTP.
    pub(crate) tls: Option<Tls>,
    /// The API that answers.
    pub(crate) upstream: Upstream,
    /// Who may use the gateway; see [`Plan::admits`].
    auth: Auth,
    /// What each member may use.
    pub(crate) limits: Limits,
    /// The largest request in MB of 1,048,576 bytes.
    #[schemars(range(min = 1, max = 1024))]
    pub(crate) body_mb: u32,
    /// How long an answer may be silent, in seconds.
    #[schemars(range(min = 1, max = 3600))]
    pub(crate) timeout_s: u32,
    /// The models that members may ask for. Empty: all.
    pub(crate) models: Vec<Pattern>,
    /// What the machines of the members need.
    pub(crate) client: Client,
}

/// A server certificate, on the machine of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// A PEM file with the chain, the server's own certificate first.
    pub(crate) cert: FilePath,
    /// A PEM file with the private key.
    pub(crate) key: FilePath,
}

/// The API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Upstream {
    /// Its base URL.
    pub(crate) url: Url,
    /// Where its API key is.
    pub(crate) key: SecretRef,
    /// A PEM file with the certificate authorities that its certificate is checked against.
    pub(crate) ca_file: FilePath,
}

/// Keys or an issuer of tokens, not both. Neither: one member called `team`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Auth {
    /// Members, each with a key.
    keys: Vec<Member>,
    /// The issuer whose tokens are accepted.
    oidc: Option<Oidc>,
}

/// Somebody who has a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    /// What limits and logs call them.
    pub(crate) name: Name,
    /// Where their key is.
    pub(crate) key: SecretRef,
}

/// An issuer of signed tokens (OpenID Connect Discovery 1.0, RFC 7519).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oidc {
    /// The claim `iss`, to the letter.
    pub(crate) issuer: String,
    /// What the claim `aud` must hold.
    pub(crate) audience: String,
    /// Where its public keys are (RFC 7517).
    pub(crate) jwks: Url,
}

/// What each member may use of `POST /v1/messages`. Counting tokens and listing models is free.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// Requests a minute.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(crate) requests_per_minute: u32,
    /// Requests at once above that pace.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub(crate) burst: u32,
    /// Tokens a minute. Absent: as many as the API gives.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub(crate) tokens_per_minute: Option<u32>,
}

/// What the machines of the members need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Client {
    /// The command that prints a member's credential; see [`Plan::credential_command`].
    credential_command: Option<String>,
}

/// Who may use the gateway.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Admits<'p> {
    /// Those who have one of these keys.
    Keys(&'p [Member]),
    /// Those who have a token of this issuer.
    Tokens(&'p Oidc),
}

impl Plan {
    /// Reads a plan; the defaults where there is no source.
    ///
    /// # Errors
    ///
    /// [`Fault::Configuration`] with every problem of the text, each with its place and its cure.
    pub(crate) fn read(source: Option<&Source>) -> Result<Self, Fault> {
        let (text, name) = source.map_or(("", "plan"), |source| (&source.text, &source.name));
        let mut plan = tollgate_config::parse_as(text, name, judge).map_err(Fault::Configuration)?;
        if plan.auth == Auth::default() {
            plan.auth.keys = vec![Member { name: known("team"), key: known("env:GATEWAY_KEY") }];
        }
        Ok(plan)
    }

    /// Who may use it.
    pub(crate) fn admits(&self) -> Admits<'_> {
        self.auth.oidc.as_ref().map_or(Admits::Keys(&self.auth.keys), Admits::Tokens)
    }

    /// The names of those who have keys, with commas.
    pub(crate) fn members(&self) -> String {
        let names: Vec<&str> = self.auth.keys.iter().map(|member| member.name.0.as_str()).collect();
        names.join(", ")
    }

    /// Where clients find it: what the plan says, or else the address that it listens at.
    pub(crate) fn client_url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        self.url.as_ref().map_or_else(|| format!("{scheme}://{}", self.listen), Url::to_string)
    }

    /// The shell command that prints a member's credential on their machine.
    pub(crate) fn credential_command(&self) -> String {
        let default = || format!("cat ~/.config/{}/key", self.name);
        self.own_credential_command().map_or_else(default, str::to_owned)
    }

    /// The same, where the plan says one.
    pub(crate) fn own_credential_command(&self) -> Option<&str> {
        self.client.credential_command.as_deref()
    }

    /// The largest request in bytes.
    pub(crate) fn body_bytes(&self) -> u64 {
        u64::from(self.body_mb) * 1024 * 1024
    }

    /// After how many seconds a member who was refused for the pace fits again.
    pub(crate) fn retry_after_s(&self) -> u32 {
        60_u32.div_ceil(self.limits.requests_per_minute)
    }

    /// Every secret that files refer to: the API's key first, then those of the members.
    pub(crate) fn secrets(&self) -> Vec<&SecretRef> {
        let members = self.auth.keys.iter().map(|member| &member.key);
        std::iter::once(&self.upstream.key).chain(members).collect()
    }
}

/// The environment variable that stands for a secret in files: its own name, or `KEY_` and the name of the file, so that
/// no file, whatever it is called, is in the place of a variable that shells and services rely on, such as `PATH`.
pub(crate) fn variable(secret: &SecretRef) -> String {
    match secret {
        SecretRef::Env(name) => name.clone(),
        SecretRef::File(path) => {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
            let plain = name.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b) } else { '_' });
            "KEY_".chars().chain(plain).collect()
        }
    }
}

/// The rules that span several fields, and those of texts that end up inside other files; see [`texts`].
fn judge(plan: &Plan) -> Vec<(String, Broken)> {
    let mut found = Vec::new();
    let mut refuse = |path: &str, rule: &str, cure: &str| {
        found.push((path.to_owned(), Broken { rule: rule.to_owned(), cure: cure.to_owned() }));
    };
    let keys = &plan.auth.keys;
    if let Some(oidc) = &plan.auth.oidc {
        if !keys.is_empty() {
            refuse("auth", "there are both keys and an issuer", "keep one of them: keys or oidc.");
        }
        if !oidc.issuer.parse::<Url>().is_ok_and(|url| is_plain_url(&url)) {
            refuse(
                "auth.oidc.issuer",
                "this is not the URL of an issuer",
                "write the claim `iss` of its tokens.",
            );
        }
        if !is_plain(&oidc.audience) {
            refuse("auth.oidc.audience", PLAIN, "write the claim `aud` of its tokens.");
        }
        if !is_plain_url(&oidc.jwks) {
            refuse("auth.oidc.jwks", PLAIN, PLAIN_URL);
        }
    }
    for (index, member) in keys.iter().enumerate() {
        if keys[..index].iter().any(|other| other.name == member.name) {
            refuse(&format!("auth.keys[{index}].name"), "two members have this name", "give each their own.");
        }
    }
    let mut variables = BTreeMap::new();
    for (index, secret) in plan.secrets().into_iter().enumerate() {
        let path = match index {
            0 => "upstream.key".to_owned(),
            member => format!("auth.keys[{}].key", member - 1),
        };
        if let SecretRef::File(file) = secret
            && !is_plain(&file.to_string_lossy())
        {
            refuse(&path, PLAIN, "rename the file.");
        }
        if variables.insert(variable(secret), ()).is_some() {
            refuse(
                &path,
                "this secret is named twice",
                "give the API and each member a secret of their own.",
            );
        }
    }
    texts(plan, &mut refuse);
    found
}

/// The texts that end up inside other files, but for those of the issuer and of secrets.
fn texts(plan: &Plan, refuse: &mut impl FnMut(&str, &str, &str)) {
    let tls = plan.tls.iter().flat_map(|tls| [("tls.cert", &tls.cert), ("tls.key", &tls.key)]);
    for (path, file) in tls.chain([("upstream.ca_file", &plan.upstream.ca_file)]) {
        if !is_plain(&file.to_string()) {
            refuse(path, PLAIN, "rename the file.");
        }
    }
    let urls = [("upstream.url", Some(&plan.upstream.url)), ("url", plan.url.as_ref())];
    for (path, url) in urls {
        if url.is_some_and(|url| !is_plain_url(url)) {
            refuse(path, PLAIN, PLAIN_URL);
        }
    }
    for (index, model) in plan.models.iter().enumerate() {
        if !is_plain(&model.as_str().replace('*', "-")) {
            refuse(&format!("models[{index}]"), PLAIN, "write the id of the model.");
        }
    }
    if plan
        .own_credential_command()
        .is_some_and(|text| text.trim().is_empty() || text.contains(char::is_control))
    {
        refuse(
            "client.credential_command",
            "this is not one line of a shell",
            "put more into a script, and write its name.",
        );
    }
}

const PLAIN: &str = "this can not be written into the files of every product";
const PLAIN_URL: &str = "write a host and a path of letters, digits and . _ ~ - /.";

/// Whether a URL means itself in every format. A URL may hold `;`, `$`, quotes and braces, in its host, too
/// (RFC 3986 section 3.2.2), which end a directive or a text in one product or another.
fn is_plain_url(url: &Url) -> bool {
    is_plain(url.host()) && (url.base_path().is_empty() || is_plain(url.base_path()))
}

/// Whether a text means itself in every format that is generated, in quotes or without.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~/:@+".contains(&b))
}

/// A value of this source, which is known to have its form.
fn known<T: std::str::FromStr<Err = Broken>>(text: &str) -> T {
    text.parse().expect("a default has its form")
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            name: known("claude-gateway"),
            listen: Address::loopback(8080),
            url: None,
            tls: None,
            upstream: Upstream::default(),
            auth: Auth::default(),
            limits: Limits::default(),
            body_mb: 32,
            timeout_s: 600,
            models: Vec::new(),
            client: Client::default(),
        }
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            url: known("https://api.anthropic.com"),
            key: known("env:ANTHROPIC_API_KEY"),
            ca_file: known("/etc/ssl/certs/ca-certificates.crt"),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests_per_minute: 100, burst: 20, tokens_per_minute: Some(400_000) }
    }
}

#[cfg(test)]
mod tests;
