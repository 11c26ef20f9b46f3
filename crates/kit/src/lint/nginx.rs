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
            walk(&Scope::of(&directives), &names, notes);
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
    /// Whether all that the file serves is the API, because it names it and no other site.
    is_fragment: bool,
}

impl Names {
    fn of(directives: &[Directive], text: &str) -> Self {
        let is_fragment =
            !text.contains("server_name") && ["anthropic", "/v1/"].iter().any(|mark| text.contains(mark));
        let mut names = Self { upstreams: BTreeMap::new(), variables: BTreeSet::new(), is_fragment };
        names.collect(directives);
        names
    }

    fn collect(&mut self, directives: &[Directive]) {
        for directive in directives {
            match directive.name.as_str() {
                "upstream" => {
                    let leads =
                        directive.inner().iter().any(|server| server.arg(0).contains("anthropic.com"));
                    self.upstreams.insert(directive.arg(0).to_owned(), leads);
                }
                "set" => {
                    self.variables.insert(variable(directive.arg(0)));
                }
                "map" | "geo" | "split_clients" => {
                    self.variables.extend(directive.args.last().map(|name| variable(name)));
                }
                _ => {}
            }
            self.collect(directive.inner());
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

/// The host of an address such as `https://anthropic/path`.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split(['/', ':', '$']).next().unwrap_or_default()
}

/// Looks at a block and at those inside of it.
fn walk(scope: &Scope<'_>, names: &Names, notes: &mut Notes<'_>) {
    for directive in scope.here() {
        one(directive, names, notes);
        if directive.block.is_none() || matches!(directive.name.as_str(), "map" | "geo" | "types") {
            continue;
        }
        let inner = scope.inside(directive.inner());
        if directive.name == "location" {
            location::lint(directive, &inner, names, notes);
        }
        walk(&inner, names, notes);
    }
    if scope.here().iter().any(|directive| directive.name == "location") {
        location::endpoints(scope, notes);
    }
}

/// What a directive shows by itself, wherever it stands.
fn one(directive: &Directive, names: &Names, notes: &mut Notes<'_>) {
    let at = directive.place;
    let value = directive.arg(1);
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
    match (directive.name.as_str(), directive.arg(0)) {
        ("proxy_set_header", name) => {
            let set = Set { kind: Kind::Nginx, name, value, place: at, keep: KEEP, api_key: API_KEY };
            judge(&set, notes);
            if value == format!("$http_{}", name.to_ascii_lowercase().replace('-', "_"))
                && !super::headers::CREDENTIALS.contains(&name.to_ascii_lowercase().as_str())
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
        _ => condition(directive, notes),
    }
}

/// What a directive makes depend on what.
fn condition(directive: &Directive, notes: &mut Notes<'_>) {
    let (at, value) = (directive.place, directive.arg(1));
    match (directive.name.as_str(), directive.arg(0)) {
        ("limit_req_zone" | "limit_conn_zone", key) if key.contains("remote_addr") => {
            let says = "the limit counts by address";
            let cure = "limit_req_zone $consumer zone=messages:10m rate=100r/m;";
            notes.add(&rules::LIMIT_KEY, at, says, cure);
        }
        ("map" | "if", what) if what.contains("$http_accept") && !what.contains("$http_accept_") => {
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
