//! What is wrong with a configuration of HAProxy.

mod read;

use super::{
    Kind, Notes, Subject,
    headers::{CREDENTIALS, NOBODY_ASKED, Set, judge, leaks, no_credential},
    rules,
};
use read::{Broken, Line, Section};
use std::collections::BTreeSet;
use tollgate_config::problem::Place;

const KEEP: &str = "# Remove the line: HAProxy passes all headers of the client by itself.";
const API_KEY: &str =
    "http-request del-header authorization\nhttp-request set-header x-api-key \"${ANTHROPIC_API_KEY}\"";

/// The silence that Claude Code bears, in milliseconds.
const PATIENCE_MS: u64 = 300_000;

/// Looks at a file.
pub(super) fn lint(subject: &Subject<'_>, notes: &mut Notes<'_>) {
    match read::read(subject.text) {
        Ok(sections) => {
            let judged = judged(&sections);
            judged.iter().flat_map(|section| &section.lines).for_each(|line| one(line, notes));
            if let Some(api) = sections.iter().find(|section| leads_to_api(section)) {
                whole(&sections, &judged, api, notes);
            }
        }
        Err(Broken { place, why }) => {
            notes.add(
                &rules::SYNTAX,
                place,
                why,
                "haproxy -c -f haproxy.cfg   # shows what HAProxy itself says",
            );
        }
    }
}

/// Whether the section is the upstream that the API is reached by.
fn leads_to_api(section: &Section) -> bool {
    matches!(section.kind.as_str(), "backend" | "listen")
        && section.lines.iter().any(|line| line.word(0) == "server")
        && (section.name.contains("anthropic") || section.lines.iter().any(|line| line.mentions("anthropic")))
}

/// The sections in which requests for the API are handled; all of them in a part of a file, which has no server. What
/// serves other sites follows other rules.
fn judged(sections: &[Section]) -> Vec<&Section> {
    let serves = |section: &Section| section.lines.iter().any(|line| line.word(0) == "server");
    let is_part = !sections.iter().any(serves);
    let apis: BTreeSet<&str> = sections
        .iter()
        .filter(|section| leads_to_api(section))
        .map(|section| section.name.as_str())
        .collect();
    let handles = |section: &Section| match section.kind.as_str() {
        "frontend" => leads(section, &apis),
        "listen" | "backend" => leads_to_api(section) || leads(section, &apis),
        _ => false,
    };
    let defaults: BTreeSet<usize> =
        sections.iter().filter(|section| handles(section)).filter_map(|section| section.defaults).collect();
    let is_judged = |index: usize, section: &Section| match section.kind.as_str() {
        "frontend" => handles(section),
        // Tables of counters stand in backends without a server.
        "listen" | "backend" => handles(section) || !serves(section),
        "defaults" => defaults.contains(&index),
        _ => true,
    };
    let indexed = sections.iter().enumerate();
    indexed.filter(|(index, one)| is_part || is_judged(*index, one)).map(|(_, one)| one).collect()
}

/// Whether requests go from this section to one of those before the API, or may.
fn leads(section: &Section, apis: &BTreeSet<&str>) -> bool {
    let uses = |line: &&Line| matches!(line.word(0), "use_backend" | "default_backend");
    let mut names = section.lines.iter().filter(uses).map(|line| line.word(1));
    names.any(|name| apis.contains(name) || (name.contains("%[") && !apis.is_empty()))
}

/// The line that begins so and holds in a section: its own, or else that of its defaults.
fn held<'a>(sections: &'a [Section], section: &'a Section, words: &[&str]) -> Option<&'a Line> {
    // A section names one that stands before it, so this ends.
    let levels = std::iter::successors(Some(section), |section| sections.get(section.defaults?));
    levels.into_iter().find_map(|level| level.lines.iter().rfind(|line| line.begins(words)))
}

/// What a line shows by itself.
fn one(line: &Line, notes: &mut Notes<'_>) {
    let at = line.place;
    for word in line.words.iter().filter(|word| !word.expands) {
        if let Some(start) = word.text.find("${") {
            let says =
                "a variable of the environment is expanded in double quotes only, and is sent as it stands";
            notes.add(&rules::REFERENCE, at, says, format!("\"{}\"", &word.text[start..]));
        }
    }
    let action = line.word(1);
    match (line.word(0), action) {
        ("http-request", "set-header") => set(line, line.word(3), notes),
        ("http-request", "add-header") => {
            set(line, line.word(3), notes);
            if is_credential(line.word(2)) {
                let says = format!("`add-header` leaves the client's `{}` beside the new one", line.word(2));
                let cure = format!("http-request set-header {} \"${{ANTHROPIC_API_KEY}}\"", line.word(2));
                notes.add(&rules::APPEND, at, says, cure);
            }
        }
        ("http-request", "del-header") => set(line, "", notes),
        ("http-request", "deny" | "tarpit")
            if line.mentions("rate") && line.behind("deny_status") != Some("429") =>
        {
            let says = "a limit that is reached answers with 403, the default of `deny_status`";
            let cure = line.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
            notes.add(
                &rules::LIMIT_STATUS,
                at,
                says,
                cure.replacen(action, &format!("{action} deny_status 429"), 1),
            );
        }
        ("http-request" | "tcp-request", _) if action.starts_with("track-sc") && line.word(2) == "src" => {
            let cure = format!("http-request {action} var(txn.consumer) table requests");
            notes.add(&rules::LIMIT_KEY, at, "the limit counts by address", cure);
        }
        ("retry-on", _) => {
            let repeats = ["all-retryable-errors", "empty-response", "response-timeout", "junk-response"];
            let found = line.words.iter().map(|word| word.text.as_str());
            let is_status = |word: &str| word.len() == 3 && word.parse::<u16>().is_ok();
            if let Some(found) = found.into_iter().find(|word| repeats.contains(word) || is_status(word)) {
                let says = format!("`{found}` sends a request again that may be billed already");
                notes.add(&rules::RETRIES, at, says, "retry-on conn-failure");
            }
        }
        ("option", "http-buffer-request") => {
            let says = "requests are held back until they are in a buffer";
            notes.add(&rules::REQUEST_BUFFERING, at, says, "no option http-buffer-request");
        }
        ("compression", "type" | "type-res") if line.mentions("text/event-stream") => {
            let says = "streams are compressed, which holds them back";
            notes.add(&rules::COMPRESSION, at, says, "compression type application/json");
        }
        ("capture" | "http-request", "request" | "capture")
            if CREDENTIALS.iter().any(|name| line.mentions(name)) =>
        {
            notes.add(&rules::LOG, at, "a credential is written to the log", "# Remove the line.");
        }
        _ => {}
    }
    conditions(line, notes);
}

/// What a line asks of a request.
fn conditions(line: &Line, notes: &mut Notes<'_>) {
    let at = line.place;
    let texts = || line.words.iter().map(|word| word.text.as_str());
    let is_url = |word: &str| matches!(word, "url" | "capture.req.uri");
    if texts().any(is_url) && line.mentions("/v1/") && !line.mentions("-m") {
        let says = "`url` holds the query, so `/v1/messages?beta=true` does not compare equal";
        notes.add(&rules::QUERY, at, says, "acl is_messages path /v1/messages");
    }
    let keyed =
        |word: &str| word.starts_with("req.hdr(authorization)") || word.starts_with("hdr(authorization)");
    if texts()
        .any(|word| keyed(&word.to_ascii_lowercase()) && word.contains(",map") && !word.contains("word("))
    {
        let says = "the map is asked for `Bearer KEY`, and its keys can not hold a space";
        let cure = "http-request set-var(txn.consumer) req.hdr(authorization),word(2,' '),map(consumers.map)";
        notes.add(&rules::HAPROXY_MAP, at, says, cure);
    }
    if line.mentions("hdr(accept)") {
        let says = "something depends on `Accept`, which says the same for streams and for other answers";
        notes.add(&rules::ACCEPT, at, says, "# Remove it.");
    }
}

fn set(line: &Line, value: &str, notes: &mut Notes<'_>) {
    let (name, place) = (line.word(2), line.place);
    judge(&Set { kind: Kind::Haproxy, name, value, place, keep: KEEP, api_key: API_KEY }, notes);
}

fn is_credential(name: &str) -> bool {
    CREDENTIALS.contains(&name.to_ascii_lowercase().as_str())
}

/// What only the whole shows.
fn whole(sections: &[Section], judged: &[&Section], api: &Section, notes: &mut Notes<'_>) {
    let lines = || judged.iter().flat_map(|section| &section.lines);
    if held(sections, api, &["mode"]).is_none_or(|line| line.word(1) != "http") {
        let says = "the mode is tcp, the default, in which rules on requests are not obeyed";
        notes.add(&rules::HAPROXY_MODE, api.place, says, "defaults\n    mode http");
    }
    timeout("server", held(sections, api, &["timeout", "server"]), api.place, notes);
    let entries = || judged.iter().filter(|section| matches!(section.kind.as_str(), "frontend" | "listen"));
    for entry in entries() {
        timeout("client", held(sections, entry, &["timeout", "client"]), entry.place, notes);
    }
    credentials(judged, api, notes);
    api.lines.iter().filter(|line| line.word(0) == "server").for_each(|server| connection(server, notes));
    let sets_host = lines().any(|line| {
        line.begins(&["http-request", "set-header"]) && line.word(2).eq_ignore_ascii_case("host")
    });
    if !sets_host {
        let says = "the API is asked for the name of the gateway";
        notes.add(&rules::HOST, api.place, says, "http-request set-header host api.anthropic.com");
    }
    if let Some(global) = judged.iter().find(|section| section.kind == "global") {
        let size = global.lines.iter().find(|line| line.word(0) == "tune.bufsize");
        let is_enough = |line: &Line| line.word(1).parse::<u64>().is_ok_and(|bytes| bytes >= 32_768);
        if !size.is_some_and(is_enough) {
            let says = "a request whose head has more than 16 KB is refused";
            let place = size.map_or(global.place, |line| line.place);
            notes.add(&rules::HAPROXY_BUFFER, place, says, "tune.bufsize 65536");
        }
    }
}

fn timeout(side: &str, found: Option<&Line>, place: Place, notes: &mut Notes<'_>) {
    let cure = format!("timeout {side} 600s");
    match found {
        None => {
            let says = format!("there is no `timeout {side}`, so broken connections stay for ever");
            notes.add(&rules::TIMEOUT, place, says, cure);
        }
        Some(line) if milliseconds(line.word(2)).is_some_and(|ms| ms < PATIENCE_MS) => {
            let says = format!("a stream is cut after {} of silence", line.word(2));
            notes.add(&rules::TIMEOUT, line.place, says, cure);
        }
        Some(_) => {}
    }
}

/// Who pays, and who is let in.
fn credentials(sections: &[&Section], api: &Section, notes: &mut Notes<'_>) {
    let rules_of = || {
        let lines = sections.iter().flat_map(|section| &section.lines);
        lines.filter(|line| line.word(0) == "http-request")
    };
    let is = |name: &str, actions: &[&str]| {
        rules_of().any(|line| actions.contains(&line.word(1)) && line.word(2).eq_ignore_ascii_case(name))
    };
    if !CREDENTIALS.iter().any(|name| is(name, &["set-header", "add-header"])) {
        // To count by a credential takes nothing from it.
        let reads = |line: &&Line| !line.word(1).starts_with("track-");
        let asks = |line: &Line| {
            let names = |word: &str| CREDENTIALS.iter().any(|name| word.to_ascii_lowercase().contains(name));
            line.word(1) == "auth" || line.words.iter().any(|word| names(&word.text))
        };
        let is_touched = sections.iter().flat_map(|section| &section.lines).filter(reads).any(asks);
        no_credential(is_touched, api.place, API_KEY, notes);
        return;
    }
    for name in CREDENTIALS {
        if !is(name, &["set-header", "del-header", "add-header", "replace-header"]) {
            leaks(name, api.place, &format!("http-request del-header {name}"), notes);
        }
    }
    let refuses = |line: &Line| {
        line.word(1) == "auth"
            || (matches!(line.word(1), "deny" | "return" | "reject")
                && ["401", "403"].iter().any(|one| line.mentions(one)))
            || (line.word(1) == "deny" && !line.mentions("deny_status") && !line.mentions("rate"))
    };
    let by_certificate = sections.iter().flat_map(|section| &section.lines);
    let by_certificate =
        by_certificate.into_iter().any(|line| line.word(0) == "bind" && line.mentions("required"));
    if !rules_of().any(refuses) && !by_certificate {
        let cure = "http-request set-var(txn.consumer) req.hdr(authorization),word(2,' '),map(consumers.map)\n\
                    http-request return status 401 unless { var(txn.consumer) -m found }";
        notes.add(&rules::AUTH, api.place, NOBODY_ASKED, cure);
    }
}

/// The connection upstream.
fn connection(server: &Line, notes: &mut Notes<'_>) {
    let at = server.place;
    let has = |word: &str| server.words.iter().any(|one| one.text == word);
    if !has("ssl") {
        if server.word(2).contains("anthropic.com") {
            let says = "the connection to the API is not encrypted";
            let cure = "server api api.anthropic.com:443 ssl verify required ca-file @system-ca sni str(api.anthropic.com)";
            notes.add(&rules::TLS, at, says, cure);
        }
        return;
    }
    if !has("sni") {
        let says = "the server is not named in the handshake: SNI is off by default";
        notes.add(&rules::TLS, at, says, "sni str(api.anthropic.com)");
    }
    if server.behind("verify") == Some("none") || !has("ca-file") {
        let says = "the certificate of the API is not checked";
        notes.add(
            &rules::VERIFY,
            at,
            says,
            "verify required ca-file @system-ca verifyhost api.anthropic.com",
        );
    }
}

/// A time of HAProxy in milliseconds (configuration manual, section 2.5).
fn milliseconds(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    let factor = match &text[end..] {
        "us" => return Some(number / 1000),
        "" | "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(factor)
}
