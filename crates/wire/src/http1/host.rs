//! The host and port of a request (RFC 9110 section 7.2), by the grammar of RFC 3986 section 3.2.

use std::net::Ipv6Addr;

/// Whether the value names a host, with or without a port: a name, an IPv4 address, or an IPv6 address in
/// brackets. The empty value, of a target without an authority, is one as well.
///
/// Names are letters, digits, `-`, `.`, `_`, and other letters in percent-encoding. RFC 3986 would allow
/// `!$&'()*+,;=` too; no host has them, and a list of two hosts must not pass for one.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value.iter().rposition(|byte| matches!(byte, b':' | b']')) {
        Some(colon) if value[colon] == b':' => (&value[..colon], &value[colon + 1..]),
        _ => (value, &[][..]),
    };
    // The port may be empty, and is meaningless without a host.
    if port.len() > 5 || !port.iter().all(u8::is_ascii_digit) || (host.is_empty() && !value.is_empty()) {
        return false;
    }
    match host.strip_prefix(b"[") {
        Some(rest) => rest.strip_suffix(b"]").is_some_and(is_ipv6),
        None => is_name(host),
    }
}

fn is_ipv6(address: &[u8]) -> bool {
    std::str::from_utf8(address).is_ok_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [byte, after @ ..] = rest {
        rest = match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => after,
            (b'-' | b'.' | b'_' | b'~', _) => after,
            (byte, _) if byte.is_ascii_alphanumeric() => after,
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_everything_else() {
        let rows = [
            ("", true),
            ("a", true),
            ("api.example.com.", true),
            ("my_gateway:8080", true),
            ("a:", true),
            ("127.0.0.1:65535", true),
            ("[::1]", true),
            ("[2001:db8::1]:443", true),
            ("xn--bcher-kva.example", true),
            ("b%C3%BCcher", true),
            ("a/?", false),
            ("a/", false),
            ("a?x", false),
            ("a#x", false),
            ("a, b", false),
            ("a,b", false),
            ("a b", false),
            ("a@b", false),
            ("u:p@b", false),
            ("a:b", false),
            ("a:1:2", false),
            ("a:-1", false),
            ("a:123456", false),
            (":80", false),
            ("::1", false),
            ("[::1", false),
            ("[::1]x", false),
            ("[a]", false),
            ("[fe80::1%eth0]", false),
            ("[]", false),
            ("a%", false),
            ("a%2", false),
            ("a%zz", false),
            ("a\\b", false),
            ("\u{e9}", false),
        ];
        for (value, expected) in rows {
            assert_eq!(is_host(value.as_bytes()), expected, "{value:?}");
        }
    }
}
