//! What is wrong with a `location` that leads to the API.

use super::{
    API_KEY, Names, host,
    scope::{Said, Scope},
};
use crate::lint::{
    Notes,
    directives::Directive,
    headers::{CREDENTIALS, NOBODY_ASKED, leaks, no_credential},
    rules,
};
use tollgate_config::problem::Place;

/// The silence that Claude Code bears, in seconds.
const PATIENCE_S: u64 = 300;

/// The largest request of the API, in bytes.
const BODY_BYTES: u64 = 32_000_000;

/// Looks at a location, if it is about the API.
pub(super) fn lint(location: &Directive, scope: &Scope<'_>, names: &Names, notes: &mut Notes<'_>) {
    let own = |name: &str| scope.here().iter().find(|directive| directive.name == name);
    let Some(pass) = own("proxy_pass") else {
        let ends =
            ["return", "rewrite", "try_files", "content_by_lua_block", "content_by_lua_file", "js_content"];
        let passes = |one: &Directive| one.name.ends_with("_pass");
        let goes_on = |one: &Directive| {
            passes(one)
                || one.inner().iter().any(passes)
                || matches!(one.name.as_str(), "include" | "location")
        };
        let is_done = scope.here().iter().any(|one| goes_on(one) || ends.contains(&one.name.as_str()));
        if !is_done && matches(location, "/v1/messages") && !matches(location, "/v1/other") {
            let says = "there is no `proxy_pass`, so requests lead to nowhere";
            notes.add(&rules::UPSTREAM, location.place, says, "proxy_pass https://api.anthropic.com;");
            carried(location, scope, notes);
            credentials(location, scope, notes);
            encrypted(location.place, scope, false, notes);
            spoken(location.place, scope, notes);
        }
        return;
    };
    if !is_of_api(location, names) {
        return;
    }
    let address = names.resolved(pass.arg(0));
    let leads = names.upstream(&address);
    if address.contains("$uri") && !address.contains("args") {
        let says = "`$uri` has no query, so `?beta=true` is lost";
        notes.add(&rules::QUERY, pass.place, says, "proxy_pass https://api.anthropic.com;");
    }
    carried(location, scope, notes);
    credentials(location, scope, notes);
    upstream(&address, pass.place, scope, leads.is_some(), notes);
}

/// Whether the location serves the API: by where it leads to, or else by the path that it serves.
pub(super) fn is_of_api(location: &Directive, names: &Names) -> bool {
    let is_alone = !matches(location, "/v1/other");
    match location.inner().iter().find(|directive| directive.name == "proxy_pass") {
        Some(pass) => {
            let address = names.resolved(pass.arg(0));
            names.upstream(&address) == Some(true)
                || address.contains("anthropic")
                || (matches(location, "/v1/messages") && (names.is_fragment || is_alone))
        }
        None => {
            (matches(location, "/v1/messages") && is_alone)
                || location.inner().iter().any(|one| {
                    one.inner()
                        .iter()
                        .any(|pass| pass.name == "proxy_pass" && pass.arg(0).contains("anthropic"))
                })
        }
    }
}

/// How bytes are carried.
fn carried(location: &Directive, scope: &Scope<'_>, notes: &mut Notes<'_>) {
    let at = location.place;
    let said = |name: &str| scope.directive(name);
    if matches!(said("proxy_buffering"), Said::No) {
        let says = "answers are held back: buffering is on by default";
        notes.add(&rules::BUFFERING, at, says, "proxy_buffering off;");
    }
    if said("proxy_request_buffering").is_not("off") {
        let says = "requests are stored before they are sent on";
        notes.add(&rules::REQUEST_BUFFERING, at, says, "proxy_request_buffering off;");
    }
    match said("proxy_read_timeout") {
        Said::No => {
            let says = "a stream is cut after 60 s of silence, the default of `proxy_read_timeout`";
            notes.add(&rules::TIMEOUT, at, says, "proxy_read_timeout 600s;");
        }
        Said::Yes(timeout) if seconds(timeout.arg(0)).is_some_and(|seconds| seconds < PATIENCE_S) => {
            let says = format!("a stream is cut after {} of silence", timeout.arg(0));
            notes.add(&rules::TIMEOUT, timeout.place, says, "proxy_read_timeout 600s;");
        }
        Said::Yes(_) | Said::Unseen => {}
    }
    match said("client_max_body_size") {
        Said::No => {
            let says = "requests of more than 1 MB are refused, the default of `client_max_body_size`";
            notes.add(&rules::BODY_SIZE, at, says, "client_max_body_size 32m;");
        }
        Said::Yes(size) if bytes(size.arg(0)).is_some_and(|bytes| bytes != 0 && bytes < BODY_BYTES) => {
            let says = format!("requests of more than {} are refused", size.arg(0));
            notes.add(&rules::BODY_SIZE, size.place, says, "client_max_body_size 32m;");
        }
        Said::Yes(_) | Said::Unseen => {}
    }
    if let (Some(limit), Said::No) = (said("limit_req").seen(), said("limit_req_status")) {
        let says = "a limit that is reached answers with 503, the default of `limit_req_status`";
        notes.add(&rules::LIMIT_STATUS, limit.place, says, "limit_req_status 429;");
    }
    let is_prefix = !matches!(location.arg(0), "=" | "~" | "~*" | "@");
    if is_prefix && location.args.last().is_some_and(|path| path.starts_with("/v1/messages")) {
        let says = "a prefix also serves `/v1/messages/batches` and `/v1/messagesfoo`";
        notes.add(&rules::PREFIX, at, says, "location = /v1/messages {");
    }
}

/// Who pays, and who is let in.
fn credentials(location: &Directive, scope: &Scope<'_>, notes: &mut Notes<'_>) {
    let said = CREDENTIALS.map(|name| (name, scope.header(name)));
    let is_clients = |value: &str| value.starts_with("$http_");
    let sets =
        |said: &Said<'_>| matches!(said, Said::Yes(set) if !set.arg(1).is_empty() && !is_clients(set.arg(1)));
    let is_open = said.iter().any(|(_, said)| matches!(said, Said::Unseen));
    let has_own = said.iter().any(|(_, said)| sets(said)) || is_open;
    for (name, said) in &said {
        let passes = match said {
            Said::Yes(set) => is_clients(set.arg(1)) && has_own,
            Said::No => has_own,
            Said::Unseen => false,
        };
        if passes {
            let place = said.seen().map_or(location.place, |set| set.place);
            leaks(name, place, &format!("proxy_set_header {} \"\";", title(name)), notes);
        }
    }
    if !has_own {
        let is_kept = |(name, said): &(&str, Said<'_>)| {
            let own = format!("$http_{}", name.replace('-', "_"));
            said.seen().is_none_or(|set| set.arg(1) == own)
        };
        let is_touched = scope.asks() || !said.iter().all(is_kept);
        no_credential(is_touched, location.place, API_KEY, notes);
    } else if !scope.identifies() && said.iter().any(|(_, said)| sets(said)) {
        let cure = "# in http:\nmap $http_authorization $bearer { default $http_x_api_key; \"~^[Bb]earer +(?<key>[^ ]+)$\" $key; }\n\
                    map $bearer $consumer { default \"\"; include secrets/consumers.map; }\n\
                    # in the location:\nif ($consumer = \"\") { return 401; }";
        notes.add(&rules::AUTH, location.place, NOBODY_ASKED, cure);
    }
}

/// The connection upstream.
fn upstream(address: &str, at: Place, scope: &Scope<'_>, is_named: bool, notes: &mut Notes<'_>) {
    let is_encrypted = address.starts_with("https://");
    if !is_encrypted && host(address).ends_with("anthropic.com") {
        let says = "the connection to the API is not encrypted";
        notes.add(&rules::TLS, at, says, "proxy_pass https://api.anthropic.com;");
    }
    if is_encrypted {
        encrypted(at, scope, is_named, notes);
    }
    let cure = "proxy_set_header Host api.anthropic.com;";
    match scope.header("host") {
        Said::Yes(set) if matches!(set.arg(1), "$host" | "$http_host" | "$server_name") => {
            notes.add(&rules::HOST, set.place, "the API is asked for the name of the gateway", cure);
        }
        Said::No if is_named => {
            notes.add(&rules::HOST, at, "the API is asked for the name of the `upstream` block", cure);
        }
        Said::Yes(_) | Said::No | Said::Unseen => {}
    }
    spoken(at, scope, notes);
}

/// The handshake with the API.
fn encrypted(at: Place, scope: &Scope<'_>, is_named: bool, notes: &mut Notes<'_>) {
    if scope.directive("proxy_ssl_server_name").is_not("on") {
        let says = "the server is not named in the handshake: SNI is off by default";
        notes.add(&rules::TLS, at, says, "proxy_ssl_server_name on;");
    }
    if is_named && matches!(scope.directive("proxy_ssl_name"), Said::No) {
        let says = "the handshake names the `upstream` block, not the API";
        notes.add(&rules::TLS, at, says, "proxy_ssl_name api.anthropic.com;");
    }
    if scope.directive("proxy_ssl_verify").is_not("on") {
        let says = "the certificate of the API is not checked";
        let cure = "proxy_ssl_verify on;\nproxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;\n\
                    proxy_ssl_verify_depth 3;";
        notes.add(&rules::VERIFY, at, says, cure);
    }
}

/// The version of HTTP.
fn spoken(at: Place, scope: &Scope<'_>, notes: &mut Notes<'_>) {
    if scope.directive("proxy_http_version").is_not("1.1") {
        let says = "HTTP/1.0 is spoken to the API, without chunks and with a connection for each request";
        let cure = "proxy_http_version 1.1;\nproxy_set_header Connection \"\";";
        notes.add(&rules::NGINX_HTTP_VERSION, at, says, cure);
    }
}

/// Whether all endpoints that Claude Code asks for have a location among these.
pub(super) fn endpoints(scope: &Scope<'_>, notes: &mut Notes<'_>) {
    let locations = || scope.here().iter().filter(|directive| directive.name == "location");
    let Some(messages) =
        locations().find(|location| matches(location, "/v1/messages") && !matches(location, "/v1/other"))
    else {
        return;
    };
    // What serves all the rest of a site serves nothing of the API.
    let is_served = |path: &str| {
        locations().any(|location| {
            let is_rest = location.arg(0) == "/" && location.inner().iter().any(|one| one.name == "return");
            matches(location, path) && !is_rest
        })
    };
    let missing: Vec<&str> =
        ["/v1/messages/count_tokens", "/v1/models"].into_iter().filter(|path| !is_served(path)).collect();
    if !missing.is_empty() {
        let says = format!("there is no location for {}", crate::lint::listed(&missing));
        let cure: Vec<String> = missing
            .iter()
            .map(|path| format!("location = {path} {{ proxy_pass https://api.anthropic.com; }}"))
            .collect();
        notes.add(&rules::ENDPOINTS, messages.place, says, cure.join("\n"));
    }
}

/// Whether the location serves the path. Of patterns only the plain ones are understood.
fn matches(location: &Directive, path: &str) -> bool {
    let (first, second) = (location.arg(0), location.arg(1));
    match first {
        "=" => path == second,
        "~" | "~*" => {
            let pattern = second.trim_start_matches('^');
            let plain: String =
                pattern.split(['(', '[', '$', '?', '.', '*', '\\']).next().unwrap_or_default().into();
            if pattern.trim_end_matches('$') == plain && pattern.ends_with('$') {
                path == plain
            } else {
                !plain.is_empty() && path.starts_with(&plain)
            }
        }
        "^~" => path.starts_with(second),
        name if name.starts_with('@') => false,
        prefix => !prefix.is_empty() && path.starts_with(prefix),
    }
}

/// A time of nginx in seconds (nginx, configuration file measurement units).
fn seconds(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    match &text[end..] {
        "ms" => Some(number / 1000),
        "" | "s" => Some(number),
        "m" => number.checked_mul(60),
        "h" => number.checked_mul(3600),
        "d" => number.checked_mul(86_400),
        _ => None,
    }
}

/// A size of nginx in bytes.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..end].parse().ok()?;
    match text[end..].to_ascii_lowercase().as_str() {
        "" => Some(number),
        "k" => number.checked_mul(1 << 10),
        "m" => number.checked_mul(1 << 20),
        "g" => number.checked_mul(1 << 30),
        _ => None,
    }
}

/// `X-Api-Key`.
fn title(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}
