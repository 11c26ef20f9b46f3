//! What is wrong with a configuration of nginx, or with a part of one: a fragment is read as if it were all there is.

mod location;
mod scope;

use super::{
    Kind, Notes, Subject,
    directives::{self, Broken, Directive},
    headers::{Set, judge},
    rules,
};
use scope::Scope;
use std::collections::{BTreeMap, BTreeSet};

const KEEP: &str = "# Remove the line: nginx passes all headers of the client by itself.";
const API_KEY: &str = "proxy_set_header Authorization \"\";\ninclude secrets/upstream.conf;  # proxy_set_header X-Api-Key \"...\";";

/// Looks at a file.
pub(super) fn lint(subject: &Subject<'_>, notes: &mut Notes<'_>) {
    match directives::read(subject.text) {
        Ok(directives) => {
            let names = Names::of(&directives, subject.text);
            walk(&Scope::of(&directives), names.is_judged(&directives), &names, notes);
        }
        Err(Broken { place, why }) => {
            notes.add(&rules::SYNTAX, place, why, "nginx -t -c nginx.conf   # shows what nginx itself says");
        }
    }
}

/// What the file gives names to.
#[derive(Debug)]
struct Names {
    /// The `upstream` blocks, with whether they lead to the API.
    upstreams: BTreeMap<String, bool>,
    /// The variables that it sets, in lower case.
    variables: BTreeSet<String>,
    /// What those hold that hold an address of the API, as in `set $api https://api.anthropic.com;`.
    addresses: BTreeMap<String, String>,
    /// Whether all that the file serves is the API, because it names it and no other site.
    is_fragment: bool,
    /// Whether there are locations, so that some may serve the API and others something else.
    has_locations: bool,
    /// The words of the blocks that are about the API, or around them, and the variables in them.
    used: BTreeSet<String>,
}

impl Names {
    fn of(directives: &[Directive], text: &str) -> Self {
        let is_fragment =
            !text.contains("server_name") && ["anthropic", "/v1/"].iter().any(|mark| text.contains(mark));
        let mut names = Self {
            upstreams: BTreeMap::new(),
            variables: BTreeSet::new(),
            addresses: BTreeMap::new(),
            is_fragment,
            has_locations: false,
            used: BTreeSet::new(),
        };
        names.collect(directives);
        names.collect_used(directives);
        names
    }

    /// Whether the file, or a block with these directives, is about the API: one of its locations is, or it has none.
    fn is_judged(&self, directives: &[Directive]) -> bool {
        !self.has_locations || directives.iter().any(|directive| self.concerns(directive))
    }

    /// Whether the directive is a location of the API, or holds one.
    fn concerns(&self, directive: &Directive) -> bool {
        (directive.name == "location" && location::is_of_api(directive, self))
            || directive.inner().iter().any(|inner| self.concerns(inner))
    }

    /// Whether what stands in the block is judged, if the block itself stands where things are. What serves other
    /// sites follows other rules.
    fn is_entered(&self, block: &Directive) -> bool {
        let is_site = matches!(block.name.as_str(), "server" | "location");
        !is_site || !self.has_locations || self.concerns(block)
    }

    fn collect_used(&mut self, directives: &[Directive]) {
        for directive in directives {
            let words = match directive.name.as_str() {
                "limit_req_zone" | "limit_conn_zone" => &[],
                // Its last word is the variable that it sets.
                "map" => &directive.args[..directive.args.len().min(1)],
                _ => &directive.args[..],
            };
            for word in words {
                let variables = word.split('$').skip(1).map(|rest| {
                    let rest = rest.trim_start_matches('{');
                    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    format!("${}", rest[..end.unwrap_or(rest.len())].to_ascii_lowercase())
                });
                self.used.extend(variables.chain([word.clone()]));
            }
            if self.is_entered(directive) {
                self.collect_used(directive.inner());
            }
        }
    }

    /// Whether a block that is about the API holds the word.
    fn uses(&self, word: &str) -> bool {
        !self.has_locations || self.used.contains(word)
    }

    fn collect(&mut self, directives: &[Directive]) {
        for directive in directives {
            match directive.name.as_str() {
                "upstream" => {
                    let leads =
                        directive.inner().iter().any(|server| server.arg(0).contains("anthropic.com"));
                    self.upstreams.insert(directive.arg(0).to_owned(), leads);
                }
                "location" => self.has_locations = true,
                // `auth_request_set`, `js_set`, `set_by_lua_block` and the like, of modules that nobody can list.
                name if name.contains("set") && directive.arg(0).starts_with('$') => {
                    self.variables.insert(variable(directive.arg(0)));
                    if directive.arg(1).contains("anthropic.com") {
                        self.addresses.insert(variable(directive.arg(0)), directive.arg(1).to_owned());
                    }
                }
                "map" | "geo" | "split_clients" => {
                    self.variables.extend(directive.args.last().map(|name| variable(name)));
                }
                _ => {}
            }
            let words = std::iter::once(&directive.name).chain(&directive.args);
            self.variables.extend(words.flat_map(|word| captures(word)));
            self.collect(directive.inner());
        }
    }

    /// The address of a `proxy_pass`, with the variable that holds it or its host put in.
    fn resolved(&self, address: &str) -> String {
        let Some((before, rest)) = address.split_once('$') else { return address.to_owned() };
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        match self.addresses.get(&variable(name)) {
            Some(value) => format!("{before}{value}{}", after.strip_prefix('}').unwrap_or(after)),
            None => address.to_owned(),
        }
    }

    /// The upstream block of this address, if it is one: whether it leads to the API.
    fn upstream(&self, address: &str) -> Option<bool> {
        self.upstreams.get(host(address)).copied()
    }
}

fn variable(name: &str) -> String {
    name.trim_start_matches('$').to_ascii_lowercase()
}

/// The names that a pattern gives to its parts: `(?<name>`, `(?P<name>` and `(?'name'`.
fn captures(pattern: &str) -> impl Iterator<Item = String> {
    pattern.split("(?").skip(1).filter_map(|part| {
        let part = part.strip_prefix('P').unwrap_or(part).strip_prefix(['<', '\''])?;
        let (name, _) = part.split_once(['>', '\''])?;
        (!name.starts_with(['=', '!'])).then(|| name.to_ascii_lowercase())
    })
}

/// The host of an address such as `https://anthropic/path`.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', ':', '$']).next().unwrap_or_default()
}

/// Looks at a block and at those inside of it.
fn walk(scope: &Scope<'_>, is_judged: bool, names: &Names, notes: &mut Notes<'_>) {
    for directive in scope.here() {
        references(directive, names, notes);
        if is_judged && names.is_entered(directive) {
            one(directive, names, notes);
        }
        if directive.block.is_none() || matches!(directive.name.as_str(), "map" | "geo" | "types") {
            continue;
        }
        let inner = scope.inside(directive.inner());
        if directive.name == "location" {
            location::lint(directive, &inner, names, notes);
        }
        walk(&inner, is_judged && names.is_entered(directive), names, notes);
    }
    if scope.here().iter().any(|directive| directive.name == "location") {
        location::endpoints(scope, notes);
    }
}

/// What keeps nginx from starting, wherever it stands.
fn references(directive: &Directive, names: &Names, notes: &mut Notes<'_>) {
    let at = directive.place;
    for name in directive.args.iter().flat_map(|arg| unexpanded(arg)) {
        if !names.variables.contains(&name.to_ascii_lowercase()) {
            let says = format!(
                "nginx has no variable `{name}`, and does not read the environment: it will not start"
            );
            let cure =
                format!("envsubst '${{{name}}}' < nginx.conf.template > nginx.conf && chmod 0600 nginx.conf");
            notes.add(&rules::REFERENCE, at, says, cure);
        }
    }
}

/// What a directive shows by itself, where it stands in or around what serves the API.
fn one(directive: &Directive, names: &Names, notes: &mut Notes<'_>) {
    let at = directive.place;
    let value = directive.arg(1);
    match (directive.name.as_str(), directive.arg(0)) {
        ("proxy_set_header", name) => {
            let set = Set { kind: Kind::Nginx, name, value, place: at, keep: KEEP, api_key: API_KEY };
            judge(&set, notes);
            let name = name.to_ascii_lowercase();
            if value == format!("$http_{}", name.replace('-', "_"))
                && !super::headers::CREDENTIALS.contains(&name.as_str())
                && !OWN_HEADERS.contains(&name.as_str())
            {
                let says = "this does what happens anyway, and turns off the headers of the outer block";
                notes.add(&rules::DEFAULT, at, says, KEEP);
            }
        }
        ("proxy_pass_request_headers", "on") => {
            let says = "this is the default: all headers of the client pass";
            notes.add(&rules::DEFAULT, at, says, "# Remove the line.");
        }
        ("proxy_pass_request_headers", "off") => {
            let says = "no header of the client reaches the upstream";
            notes.add(&rules::VERSION, at, says, "proxy_pass_request_headers on;");
        }
        ("proxy_intercept_errors", "on") => {
            let says = "errors of the upstream are replaced by pages of nginx";
            notes.add(&rules::ERRORS, at, says, "proxy_intercept_errors off;");
        }
        ("proxy_buffering", "on") => {
            let says = "answers are held back in buffers";
            notes.add(&rules::BUFFERING, at, says, "proxy_buffering off;");
        }
        ("gzip_types", _) if directive.args.iter().any(|kind| kind == "*" || kind == "text/event-stream") => {
            let says = "streams are compressed, which holds them back";
            notes.add(&rules::COMPRESSION, at, says, "gzip_types application/json;");
        }
        ("proxy_next_upstream", _) => {
            let repeats = |arg: &&String| *arg == "non_idempotent" || arg.starts_with("http_");
            if let Some(repeats) = directive.args.iter().find(repeats) {
                let says = format!("`{repeats}` sends a request again that may be billed already");
                notes.add(&rules::RETRIES, at, says, "proxy_next_upstream off;");
            }
        }
        ("log_format", _) => log_format(directive, notes),
        _ => condition(directive, names, notes),
    }
}

/// Headers that nginx does not pass by itself (nginx, `proxy_set_header` and `proxy_pass_request_headers`).
const OWN_HEADERS: [&str; 8] =
    ["host", "connection", "upgrade", "te", "keep-alive", "expect", "content-length", "transfer-encoding"];

/// What a directive makes depend on what.
fn condition(directive: &Directive, names: &Names, notes: &mut Notes<'_>) {
    let (at, value) = (directive.place, directive.arg(1));
    match (directive.name.as_str(), directive.arg(0)) {
        ("limit_req_zone" | "limit_conn_zone", key)
            if key.contains("remote_addr") && is_zone_used(directive, names) =>
        {
            let says = "the limit counts by address";
            let cure = "limit_req_zone $consumer zone=messages:10m rate=100r/m;";
            notes.add(&rules::LIMIT_KEY, at, says, cure);
        }
        ("map" | "if", what)
            if what.contains("$http_accept")
                && !what.contains("$http_accept_")
                && (directive.name == "if" || names.uses(&value.to_ascii_lowercase())) =>
        {
            let says = "something depends on `Accept`, which says the same for streams and for other answers";
            notes.add(
                &rules::ACCEPT,
                at,
                says,
                "# Remove it, and treat all answers as streams: proxy_buffering off;",
            );
        }
        ("if", what) if what.trim_start_matches('(') == "$request_uri" && matches!(value, "=" | "!=") => {
            let says = "`$request_uri` holds the query, so `/v1/messages?beta=true` does not compare equal";
            notes.add(&rules::QUERY, at, says, "location = /v1/messages {");
        }
        _ => {}
    }
}

/// Whether `limit_req` or `limit_conn` names the zone of this directive, as in `zone=login:10m`.
fn is_zone_used(directive: &Directive, names: &Names) -> bool {
    let zones = directive.args.iter().filter_map(|arg| arg.strip_prefix("zone="));
    let mut zones = zones.map(|zone| zone.split(':').next().unwrap_or_default());
    zones.any(|zone| names.uses(zone) || names.uses(&format!("zone={zone}")))
}

fn log_format(directive: &Directive, notes: &mut Notes<'_>) {
    for variable in ["$http_authorization", "$http_x_api_key", "$request_body"] {
        if directive.args.iter().any(|arg| arg.contains(variable)) {
            let says = format!("`{variable}` is written to the log");
            let cure =
                "log_format gateway '$time_iso8601 $request_id $request_method $uri $status $request_time';";
            notes.add(&rules::LOG, directive.place, says, cure);
        }
    }
}

/// Names of variables in the form of those of the environment. Those that only digits follow are matches of patterns.
fn unexpanded(arg: &str) -> impl Iterator<Item = &str> {
    arg.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let name = &rest[..end];
        let is_upper = name.chars().all(|c| !c.is_ascii_lowercase()) && name.contains(char::is_alphabetic);
        is_upper.then_some(name)
    })
}
