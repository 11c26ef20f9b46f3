//! The table of headers: what happens to each of them on its way through a gateway.
//!
//! One table is obeyed by the gateway, printed by the reference pages and tested in other gateways. A header
//! that no row names is forwarded, because the API's headers are an open list: new `anthropic-*` and
//! `x-claude-code-*` headers arrive with releases (<https://code.claude.com/docs/en/llm-gateway-protocol>).

#[cfg(test)]
mod reference;
mod table;

pub use table::TABLE;

/// What happens to a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It passes unchanged.
    Forward,
    /// It stays here.
    Drop,
    /// It stays here, and the gateway sets its own.
    Replace,
}

impl Action {
    /// The word for pages and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Drop => "drop",
            Self::Replace => "replace",
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The header's name in lower case. A `*` at its end stands for any rest; an exact name goes first.
    pub name: &'static str,
    /// On the way to the upstream.
    pub request: Action,
    /// On the way to the client.
    pub response: Action,
    /// The reason, for the reader.
    pub why: &'static str,
}

/// What happens to a request header. Any case; unknown names are forwarded.
///
/// Headers that the request's `Connection` header lists must be dropped as well: see [`connection_lists`].
#[must_use]
pub fn request_action(name: &[u8]) -> Action {
    row(name).map_or(Action::Forward, |row| row.request)
}

/// What happens to a response header. Any case; unknown names are forwarded.
///
/// Headers that the response's `Connection` header lists must be dropped as well: see [`connection_lists`].
#[must_use]
pub fn response_action(name: &[u8]) -> Action {
    row(name).map_or(Action::Forward, |row| row.response)
}

/// The row that governs a header; `None` if no row names it.
#[must_use]
pub fn row(name: &[u8]) -> Option<&'static Row> {
    let same_length = match (INDEX.starts.get(name.len()), INDEX.starts.get(name.len() + 1)) {
        (Some(&from), Some(&to)) => &INDEX.exact[from as usize..to as usize],
        _ => &[],
    };
    let exact = same_length.iter().map(|&row| &TABLE[row as usize]);
    let families = INDEX.families[..INDEX.family_count].iter().map(|&row| &TABLE[row as usize]);
    let first = name.first()?.to_ascii_lowercase();
    // The first letter alone tells nearly all names apart.
    exact.chain(families).filter(|row| row.name.as_bytes()[0] == first).find(|row| fits(row.name, name))
}

/// Whether the name becomes that of a request header which does not pass, once `_` is read as `-`. Servers that hand
/// headers on as variables do that (RFC 3875 section 4.1.18): to them `content_length` frames the body, and
/// `x_api_key` is a credential. Any case.
#[must_use]
pub fn is_shadow(name: &[u8]) -> bool {
    if memchr::memchr(b'_', name).is_none() {
        return false;
    }
    let meant: Vec<u8> = name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
    request_action(&meant) != Action::Forward
}

/// Whether a `Connection` header with this value lists the header `name`, which then belongs to one hop only
/// (RFC 9110 section 7.6.1). Any case.
#[must_use]
pub fn connection_lists(value: &[u8], name: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|option| option.trim_ascii().eq_ignore_ascii_case(name))
}

/// Whether a row's name covers `name`; for an exact one, `name` has its length.
fn fits(pattern: &str, name: &[u8]) -> bool {
    let start = pattern.strip_suffix('*').unwrap_or(pattern).as_bytes();
    name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// Exact names are shorter than this.
const LENGTHS: usize = 48;

/// Finds rows by the length of a name: one or two comparisons then decide, instead of one for each row.
struct Index {
    /// Rows with an exact name, the shortest names first.
    exact: [u8; TABLE.len()],
    /// Where the names of a length begin in `exact`.
    starts: [u8; LENGTHS + 1],
    /// Rows whose name ends in `*`.
    families: [u8; TABLE.len()],
    family_count: usize,
}

static INDEX: Index = build_index();

const fn build_index() -> Index {
    assert!(TABLE.len() <= 255);
    let mut index = Index {
        exact: [0; TABLE.len()],
        starts: [0; LENGTHS + 1],
        families: [0; TABLE.len()],
        family_count: 0,
    };
    let mut filled = 0;
    let mut length = 0;
    while length < LENGTHS {
        index.starts[length] = filled;
        let mut row = 0;
        while row < TABLE.len() {
            let name = TABLE[row].name.as_bytes();
            let family = name[name.len() - 1] == b'*';
            if family && length == 0 {
                index.families[index.family_count] = row as u8;
                index.family_count += 1;
            } else if !family && name.len() == length {
                index.exact[filled as usize] = row as u8;
                filled += 1;
            }
            row += 1;
        }
        length += 1;
    }
    index.starts[LENGTHS] = filled;
    assert!(filled as usize + index.family_count == TABLE.len(), "a name is too long for the index");
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_headers_take_the_action_of_their_row() {
        let rows = [
            ("anthropic-version", Action::Forward),
            ("anthropic-beta", Action::Forward),
            ("anthropic-workspace-id", Action::Forward),
            ("anthropic-something-new", Action::Forward),
            ("anthropic-dangerous-direct-browser-access", Action::Forward),
            ("x-claude-code-session-id", Action::Forward),
            ("x-claude-code-something-new", Action::Forward),
            ("x-stainless-retry-count", Action::Forward),
            ("X-Stainless-Timeout", Action::Forward),
            ("x-client-request-id", Action::Forward),
            ("x-app", Action::Forward),
            ("user-agent", Action::Forward),
            ("accept", Action::Forward),
            ("content-type", Action::Forward),
            ("traceparent", Action::Forward),
            ("tracestate", Action::Forward),
            ("nobody-knows-me", Action::Forward),
            ("x-forwarde", Action::Forward),
            ("x-forwarded", Action::Forward),
            ("", Action::Forward),
            ("Authorization", Action::Replace),
            ("X-API-Key", Action::Replace),
            ("host", Action::Replace),
            ("content-length", Action::Replace),
            ("Accept-Encoding", Action::Replace),
            ("connection", Action::Drop),
            ("Keep-Alive", Action::Drop),
            ("proxy-connection", Action::Drop),
            ("proxy-authorization", Action::Drop),
            ("proxy-authenticate", Action::Drop),
            ("TE", Action::Drop),
            ("trailer", Action::Drop),
            ("transfer-encoding", Action::Drop),
            ("upgrade", Action::Drop),
            ("http2-settings", Action::Drop),
            ("expect", Action::Drop),
            ("origin", Action::Drop),
            ("COOKIE", Action::Drop),
            ("forwarded", Action::Drop),
            ("x-forwarded-for", Action::Drop),
            ("X-Forwarded-Proto", Action::Drop),
            ("x-forwarded-anything", Action::Drop),
            ("x-real-ip", Action::Drop),
            ("cf-connecting-ip", Action::Drop),
            ("api-key", Action::Drop),
            ("Anthropic-API-Key", Action::Drop),
            ("x-auth-token", Action::Drop),
            ("x-litellm-api-key", Action::Drop),
            ("X-Tollgate-Request-Id", Action::Drop),
            ("x-tollgate-something-new", Action::Drop),
            ("x-tollgat", Action::Forward),
        ];
        for (name, expected) in rows {
            assert_eq!(request_action(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn response_headers_take_the_action_of_their_row() {
        let rows = [
            ("request-id", Action::Forward),
            ("retry-after", Action::Forward),
            ("retry-after-ms", Action::Forward),
            ("x-should-retry", Action::Forward),
            ("anthropic-ratelimit-requests-remaining", Action::Forward),
            ("anthropic-organization-id", Action::Forward),
            ("content-type", Action::Forward),
            ("content-encoding", Action::Forward),
            ("server", Action::Forward),
            ("nobody-knows-me", Action::Forward),
            ("Connection", Action::Drop),
            ("keep-alive", Action::Drop),
            ("proxy-authenticate", Action::Drop),
            ("trailer", Action::Drop),
            ("upgrade", Action::Drop),
            ("Set-Cookie", Action::Drop),
            ("x-tollgate-error-source", Action::Drop),
            ("X-Tollgate-Key-Warning", Action::Drop),
            ("alt-svc", Action::Drop),
            ("strict-transport-security", Action::Drop),
            ("Content-Length", Action::Replace),
            ("transfer-encoding", Action::Replace),
        ];
        for (name, expected) in rows {
            assert_eq!(response_action(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn the_index_finds_every_row_and_no_name_stands_twice() {
        for row in TABLE {
            let found = super::row(row.name.replace('*', "anything").as_bytes());
            assert_eq!(found, Some(row));
            assert_eq!(super::row(row.name.to_ascii_uppercase().replace('*', "X").as_bytes()), Some(row));
            assert!(row.name.bytes().all(|byte| !byte.is_ascii_uppercase()), "{}", row.name);
            assert!(row.why.ends_with('.'), "{}: a reason is a sentence", row.name);
        }
    }

    #[test]
    fn shadows_of_what_does_not_pass_are_told() {
        let rows = [
            ("content_length", true),
            ("Transfer_Encoding", true),
            ("x_api_key", true),
            ("X-Api_Key", true),
            ("proxy_authorization", true),
            ("x-api-key", false),
            ("x_my_header", false),
            ("anthropic_beta", false),
            ("content_type", false),
            ("_", false),
            ("", false),
        ];
        for (name, expected) in rows {
            assert_eq!(is_shadow(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_name_longer_than_any_row_is_forwarded() {
        for length in [LENGTHS - 1, LENGTHS, LENGTHS + 1, 1000] {
            assert_eq!(request_action(&vec![b'q'; length]), Action::Forward);
        }
    }

    #[test]
    fn connection_options_are_compared_whole_and_in_any_case() {
        let rows: [(&str, &str, bool); 9] = [
            ("close", "close", true),
            ("keep-alive, X-Secret", "x-secret", true),
            ("keep-alive,X-Secret ,foo", "X-SECRET", true),
            ("\tx-secret\t", "x-secret", true),
            ("x-secret-too", "x-secret", false),
            ("x-secret", "x-secret-too", false),
            ("x secret", "secret", false),
            ("", "x", false),
            ("a,,b", "b", true),
        ];
        for (value, name, expected) in rows {
            assert_eq!(connection_lists(value.as_bytes(), name.as_bytes()), expected, "{value} / {name}");
        }
    }
}
