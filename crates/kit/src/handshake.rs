//! Why there is no TLS with a gateway, in words that people can act upon.

use tollgate_policy::unit::UnixMs;

use crate::{
    chain,
    dial::DialFault,
    finding::{Finding, Ground::Proven, Rule},
};

/// What is wrong with the certificates that a gateway showed, if they are why it was refused. `option` is what names a
/// file of authorities on this command line.
pub(crate) fn distrusted(
    rule: &'static Rule,
    fault: &DialFault,
    host: &str,
    now: UnixMs,
    option: &str,
) -> Option<Finding> {
    let seen = fault.seen.as_ref().filter(|seen| seen.distrust.is_some())?;
    let distrust = chain::distrust(&seen.chain, host, now)?;
    let finding = Finding::fail(rule, Proven, distrust.says(host)).cure(distrust.cure(option));
    Some(chain::shown(finding, &chain::read(&seen.chain)).with("TLS library", fault.says.as_str()))
}

/// What it means that TLS failed with these words of the library, where it can be said better than that, and what to do
/// about it.
pub(crate) fn explained(says: &str) -> Option<(&'static str, &'static str)> {
    let says = says.to_ascii_lowercase();
    let rows: [(&[&str], &str, &str); 6] = [
        (
            &["corrupt message", "invalidcontenttype"],
            "what listens at this port does not speak TLS",
            "Use http:// if that is meant, or the port at which the gateway speaks TLS.",
        ),
        (
            &["certificaterequired", "certificate required", "certificate_required"],
            "the gateway demands a certificate of the client",
            "Name yours by CLAUDE_CODE_CLIENT_CERT and CLAUDE_CODE_CLIENT_KEY (here: --client-cert and --client-key).",
        ),
        (
            &["protocolversion", "doesnotsupporttls12or13"],
            "the gateway speaks no version of TLS from 1.2 on",
            "Let the gateway offer TLS 1.2 and 1.3; clients refuse older ones.",
        ),
        (
            &["handshakefailure"],
            "the gateway and this machine have no cipher in common",
            "Let the gateway offer TLS 1.2 or 1.3 with the usual ciphers.",
        ),
        (
            &["no answer within"],
            "what listens at this port does not answer to TLS",
            "Use http:// if that is meant, or the port at which the gateway speaks TLS. If this is it, it hangs.",
        ),
        (
            &["eof", "reset"],
            "the connection was closed in the middle of the handshake",
            "Look into the log of the gateway and of what stands before it: a load balancer without a certificate for \
             this name, or a firewall, does this.",
        ),
    ];
    let row = rows.into_iter().find(|(parts, ..)| parts.iter().any(|part| says.contains(part)));
    row.map(|(_, what, cure)| (what, cure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handshakes_that_fail_are_told_apart() {
        let rows = [
            ("TLS with h failed: received corrupt message of type InvalidContentType", "does not speak TLS"),
            ("received fatal alert: CertificateRequired", "demands a certificate"),
            ("received fatal alert: ProtocolVersion", "no version of TLS"),
            ("peer is incompatible: ServerDoesNotSupportTls12Or13", "no version of TLS"),
            ("received fatal alert: HandshakeFailure", "no cipher"),
            ("tls handshake eof", "closed in the middle"),
            ("TLS with h failed: no answer within 10 s", "does not answer to TLS"),
        ];
        for (says, what) in rows {
            assert!(explained(says).unwrap().0.contains(what), "{says}");
        }
        assert_eq!(explained("something new"), None);
    }
}
