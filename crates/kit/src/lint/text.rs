//! What any file is looked at for, whatever its grammar.

use super::{Kind, Notes, Subject, rules};
use crate::retired;
use tollgate_config::problem::{Place, secrets};

/// Looks at every line.
pub(super) fn lint(subject: &Subject<'_>, kind: Kind, notes: &mut Notes<'_>) {
    for (number, line) in (1..).zip(subject.text.lines()) {
        let at = |byte: usize| Place { line: number, column: column(line, byte) };
        let is_kept = kind == Kind::Nginx && subject.is_private;
        if let Some(secret) = secrets(line).next()
            && !is_kept
        {
            let says = "a secret stands here in clear text";
            notes.add(&rules::SECRET, at(secret.start), says, secret_cure(kind));
        }
        if is_comment(line, kind) {
            continue;
        }
        if let Some((byte, day)) = retired::find(line) {
            let id = line[byte..].split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next();
            let says = format!("the API has not served `{}` since {day}", id.unwrap_or_default());
            notes.add(&rules::MODEL, at(byte), says, "claude-sonnet-5-5");
        }
        if let Some(byte) = line.to_ascii_lowercase().find("anthropic-client-version") {
            let says =
                "no client sends `anthropic-client-version`, and no rule about single headers is needed";
            notes.add(&rules::HEADER, at(byte), says, "remove this line: all headers pass by themselves.");
        }
        if let Some(byte) = line.find(".okta.com/oauth2/v1") {
            let says = "this is Okta's own authorization server, which refuses custom scopes";
            notes.add(&rules::ISSUER, at(byte), says, "https://YOUR-ORG.okta.com/oauth2/default/v1/token");
        }
    }
    cloud(subject, kind, notes);
    notice(subject, kind, notes);
}

/// The hosts of clouds whose requests have another form, and the switch that lets Claude Code speak it.
const CLOUDS: [(&str, &str, &str); 2] = [
    ("aiplatform.googleapis.com", "Vertex AI", "CLAUDE_CODE_USE_VERTEX=1 with ANTHROPIC_VERTEX_BASE_URL"),
    ("bedrock-runtime.", "Bedrock", "CLAUDE_CODE_USE_BEDROCK=1 with ANTHROPIC_BEDROCK_BASE_URL"),
];

/// What says that Messages lead elsewhere, that the form of the cloud passes, or that code or a plugin may translate.
const FITS: [&str; 9] =
    ["anthropic.com", "awPredict", "/invoke", "lua", "js_", "ext_proc", "wasm", "function", "modules/"];

/// A plain proxy that leads the Messages API to a cloud.
fn cloud(subject: &Subject<'_>, kind: Kind, notes: &mut Notes<'_>) {
    let lines = || (1..).zip(subject.text.lines()).filter(|(_, line)| !is_comment(line, kind));
    let holds = |mark: &str| lines().any(|(_, line)| line.contains(mark));
    // TrueFoundry translates.
    if kind == Kind::Truefoundry || !holds("/v1/messages") || FITS.into_iter().any(holds) {
        return;
    }
    for (host, cloud, switch) in CLOUDS {
        let found = lines().find_map(|(number, line)| Some((number, line, line.find(host)?)));
        if let Some((number, line, byte)) = found {
            let says = format!("`/v1/messages` is sent to {cloud}, which takes another URL and another body");
            let cure =
                format!("{switch} in clients, and a path that passes as it is; or a gateway that translates");
            notes.add(&rules::CLOUD, Place { line: number, column: column(line, byte) }, says, cure);
        }
    }
}

/// Files in JSON have no place for it; a README stands beside those.
fn notice(subject: &Subject<'_>, kind: Kind, notes: &mut Notes<'_>) {
    let text = subject.text.trim_start();
    let has_notice = text.to_ascii_lowercase().contains("third-party");
    // The part that is read beside a whole configuration, such as a list of keys, is not one.
    let is_part = !["anthropic", "/v1/messages", "/v1/"].iter().any(|mark| text.contains(mark));
    if has_notice || is_part || text.starts_with('{') {
        return;
    }
    let says = "nothing here says that the gateway is a third party's";
    let cure = format!(
        "# Notice: {} is a third-party gateway. Anthropic neither makes nor supports it. For help, turn to those who make it.",
        kind.product()
    );
    notes.add(&rules::NOTICE, Place { line: 1, column: 1 }, says, cure);
}

fn is_comment(line: &str, kind: Kind) -> bool {
    let line = line.trim_start();
    // JSON has none, and a `#` there begins nothing.
    line.starts_with('#') && kind != Kind::Zuplo
}

/// The column of a byte, in characters.
fn column(line: &str, byte: usize) -> u32 {
    u32::try_from(line[..byte].chars().count() + 1).unwrap_or(u32::MAX)
}

/// How the product refers to a secret.
pub(super) fn secret_cure(kind: Kind) -> &'static str {
    match kind {
        Kind::Nginx => "include secrets/upstream.conf;  # with the line in it, and mode 0600",
        Kind::Haproxy => "http-request set-header x-api-key \"${ANTHROPIC_API_KEY}\"",
        Kind::Kong => "${{ env \"DECK_ANTHROPIC_API_KEY\" }}",
        Kind::Envoy => "%ENVIRONMENT(ANTHROPIC_API_KEY)%",
        Kind::Zuplo => "$env(ANTHROPIC_API_KEY)",
        Kind::Truefoundry => "tfy-secret://TENANT:GROUP:KEY",
        Kind::Aws => "\"stageVariables.anthropicApiKey\"",
    }
}
