//! The line to a gateway, stage by stage: URL, name, port, proxy, TLS. Each that holds is said, and the first that does
//! not with its cure.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use tollgate_config::Url;
use tollgate_policy::unit::UnixMs;

use super::{
    chain::{self, Certificate},
    proxy,
    rules::{EXPIRY, KEY, NAME, PLAIN, PORT, PROXY, TLS, URL},
};
use crate::{
    dial::{DialFault, Dialed, Seen, Stage, Way},
    finding::{Finding, Ground::Proven},
};

/// How early the end of a certificate is warned of.
const EXPIRY_DAYS: i64 = 21;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// What came of trying the line.
pub(crate) struct Line {
    /// What was found, in the order of the stages.
    pub(crate) findings: Vec<Finding>,
    /// Whether requests can be sent.
    pub(crate) is_open: bool,
    /// The certificates that were shown, trusted or not.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// Tries the line once.
pub(crate) async fn look(way: &Way, now: UnixMs) -> Line {
    let mut findings = url(&way.url);
    match way.dial().await {
        Ok(dialed) => {
            findings.extend(opened(way, &dialed, now));
            let chain = dialed.tls.map(|seen| seen.chain).unwrap_or_default();
            Line { findings, is_open: true, chain }
        }
        Err(fault) => {
            findings.extend(passed_before(way, fault.stage));
            findings.push(closed(way, &fault, now));
            let chain = fault.seen.map(|seen| seen.chain).unwrap_or_default();
            Line { findings, is_open: false, chain }
        }
    }
}

/// What the URL itself shows.
pub(crate) fn url(url: &Url) -> Vec<Finding> {
    let path = url.base_path();
    let base = ["/v1/messages", "/v1"].iter().find_map(|end| path.strip_suffix(end));
    let shown = url.to_string();
    let first = match base {
        Some(base) => {
            let end = &path[base.len()..];
            let right = shown.strip_suffix(end).unwrap_or(&shown);
            Finding::fail(
                &URL,
                Proven,
                format!("the URL ends in {end}, so clients ask for {path}/v1/messages"),
            )
            .cure(format!("Leave that out: {right}"))
        }
        None => Finding::pass(&URL, Proven, format!("clients ask for {shown}/v1/messages")),
    };
    let mut findings = vec![first];
    if !url.tls() && !url.is_loopback() {
        let says = "the credential and every prompt go over the network in clear";
        let cure = "Let the gateway speak TLS, and use https:// in the URL.";
        findings.push(Finding::fail(&PLAIN, Proven, says).cure(cure));
    }
    findings
}

fn opened(way: &Way, dialed: &Dialed, now: UnixMs) -> Vec<Finding> {
    let mut findings = passed_before(way, Stage::Handshake);
    findings.retain(|finding| finding.rule != &PORT);
    let whose = if way.proxy.is_some() { "the proxy" } else { "the gateway" };
    let port = format!("{whose} takes connections at {}", dialed.address);
    let after_name = findings.iter().position(|finding| finding.rule != &NAME).unwrap_or(findings.len());
    findings.insert(after_name, Finding { took: dialed.took, ..Finding::pass(&PORT, Proven, port) });
    if let Some(seen) = &dialed.tls {
        findings.extend(trusted(way.url.host(), seen, now));
    }
    findings
}

/// The stages that hold where this one is the first that does not.
fn passed_before(way: &Way, stage: Stage) -> Vec<Finding> {
    let (host, port) = ends(way);
    let mut findings = Vec::new();
    let is_past = |one: Stage| order(stage) > order(one);
    if is_past(Stage::Resolve) && host.parse::<IpAddr>().is_err() {
        findings.push(Finding::pass(&NAME, Proven, format!("{host} has an address")));
    }
    if is_past(Stage::Connect) {
        findings.push(Finding::pass(&PORT, Proven, format!("{host} takes connections at port {port}")));
    }
    if let (true, Some(proxy)) = (is_past(Stage::Tunnel) && way.url.tls(), &way.proxy) {
        let says = format!("the proxy of {} opened a tunnel to {}", proxy.source, way.url.authority());
        findings.push(Finding::pass(&PROXY, Proven, says));
    }
    findings
}

fn order(stage: Stage) -> u8 {
    match stage {
        Stage::Resolve => 0,
        Stage::Connect => 1,
        Stage::Tunnel => 2,
        Stage::Files => 3,
        Stage::Handshake => 4,
    }
}

/// The host and the port that are dialled.
fn ends(way: &Way) -> (&str, u16) {
    match &way.proxy {
        Some(proxy) => (proxy.host(), proxy.port()),
        None => (way.url.host(), way.url.port()),
    }
}

/// Why there is no connection, and what to do about it.
pub(crate) fn closed(way: &Way, fault: &DialFault, now: UnixMs) -> Finding {
    let says = fault.says.clone();
    let through =
        way.proxy.as_ref().map(|proxy| format!(" (the proxy of {})", proxy.source)).unwrap_or_default();
    match fault.stage {
        Stage::Resolve => Finding::fail(&NAME, Proven, format!("{says}{through}")).cure(
            "Compare the name with the one that you were given. If it is right: connect to the network that knows it \
             (a VPN), or ask who runs its DNS.",
        ),
        Stage::Connect if says.contains("refused") => Finding::fail(&PORT, Proven, format!("{says}{through}")).cure(
            "Nothing listens there: compare the port with the one that you were given, and start the gateway if it is \
             yours.",
        ),
        Stage::Connect => Finding::fail(&PORT, Proven, format!("{says}{through}")).cure(
            "Something on the way drops the packets: a firewall, or a network that needs a VPN or a proxy (HTTPS_PROXY).",
        ),
        Stage::Tunnel => proxy::refused(&PROXY, way.proxy.as_ref(), fault),
        Stage::Files => Finding::fail(&TLS, Proven, says).cure(
            "Name a readable file in PEM; NODE_EXTRA_CA_CERTS, CLAUDE_CODE_CLIENT_CERT and CLAUDE_CODE_CLIENT_KEY are \
             read where no option is given.",
        ),
        Stage::Handshake => untrusted(way.url.host(), fault, now),
    }
}

fn untrusted(host: &str, fault: &DialFault, now: UnixMs) -> Finding {
    let chain = fault.seen.as_ref().map(|seen| seen.chain.as_slice()).unwrap_or_default();
    let is_distrusted = fault.seen.as_ref().is_some_and(|seen| seen.distrust.is_some());
    if let Some(distrust) = chain::distrust(chain, host, now).filter(|_| is_distrusted) {
        let finding = Finding::fail(&TLS, Proven, distrust.says(host)).cure(distrust.cure());
        return chain_shown(finding, &chain::read(chain)).with("TLS library", fault.says.as_str());
    }
    let (what, cure) = handshake_cure(&fault.says);
    Finding::fail(&TLS, Proven, what.unwrap_or(&fault.says))
        .with("TLS library", fault.says.as_str())
        .cure(cure)
}

/// What a failed handshake means, where it can be said better than the library does, and what to do about it.
fn handshake_cure(says: &str) -> (Option<&'static str>, &'static str) {
    let says = says.to_ascii_lowercase();
    let rows: [(&[&str], Option<&'static str>, &'static str); 5] = [
        (
            &["corrupt message", "invalidcontenttype"],
            Some("what listens at this port does not speak TLS"),
            "Use http:// if that is meant, or the port at which the gateway speaks TLS.",
        ),
        (
            &["certificaterequired", "certificate required", "certificate_required"],
            Some("the gateway demands a certificate of the client"),
            "Name yours by CLAUDE_CODE_CLIENT_CERT and CLAUDE_CODE_CLIENT_KEY (here: --client-cert and --client-key).",
        ),
        (
            &["protocolversion", "handshakefailure"],
            Some("the gateway and this machine have no version of TLS or no cipher in common"),
            "Let the gateway offer TLS 1.2 or 1.3 with the usual ciphers.",
        ),
        (
            &["no answer within"],
            Some("what listens at this port does not answer to TLS"),
            "Use http:// if that is meant, or the port at which the gateway speaks TLS. If this is it, it hangs.",
        ),
        (
            &["eof", "reset"],
            Some("the connection was closed in the middle of the handshake"),
            "Look into the log of the gateway and of what stands before it: a load balancer without a certificate for \
             this name, or a firewall, does this.",
        ),
    ];
    let row = rows.into_iter().find(|(parts, ..)| parts.iter().any(|part| says.contains(part)));
    row.map_or((None, "Look into the log of the gateway at this instant."), |(_, what, cure)| (what, cure))
}

fn trusted(host: &str, seen: &Seen, now: UnixMs) -> Vec<Finding> {
    let read = chain::read(&seen.chain);
    let version = seen.version.as_deref().unwrap_or("TLS").replace('_', ".").replace("TLSv", "TLS ");
    let pass = Finding::pass(&TLS, Proven, format!("{version}, and the certificate for {host} is trusted"));
    let mut findings = vec![chain_shown(pass, &read)];
    if let Some(first) = read.iter().min_by_key(|one| one.good_until) {
        let days = first.good_until.ms_since(now) / DAY_MS;
        let says = format!("{} expires on {}, in {days} days", first.subject, chain::day(first.good_until));
        findings.push(if days < EXPIRY_DAYS {
            Finding::fail(&EXPIRY, Proven, says).cure("Renew it at the gateway before that day.")
        } else {
            Finding::pass(&EXPIRY, Proven, says)
        });
    }
    if let Some(own) = read.first().filter(|own| own.is_weak) {
        let says = format!("the key of {} is {}", own.subject, own.key);
        findings.push(
            Finding::fail(&KEY, Proven, says).cure("Make a key of RSA 2048 or EC 256 and a new certificate."),
        );
    }
    findings
}

fn chain_shown(finding: Finding, chain: &[Certificate]) -> Finding {
    chain.iter().fold(finding, |finding, one| finding.with("certificate", one.line()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome;

    #[test]
    fn a_url_that_repeats_the_path_is_told_with_the_right_one() {
        let rows = [
            ("https://gw.example", None),
            ("https://gw.example/team", None),
            ("https://gw.example/v1/", Some("Leave that out: https://gw.example")),
            ("https://gw.example:8443/a/v1", Some("Leave that out: https://gw.example:8443/a")),
            ("http://localhost/v1/messages", Some("Leave that out: http://localhost")),
        ];
        for (text, cure) in rows {
            let findings = url(&text.parse().unwrap());
            assert_eq!(findings[0].cure.as_deref(), cure, "{text}");
            assert_eq!(findings.len(), 1, "{text}");
        }
        let plain = url(&"http://gw.example".parse().unwrap());
        assert_eq!((plain[1].rule, plain[1].outcome), (&PLAIN, Outcome::Fail(Proven)));
    }

    #[test]
    fn handshakes_that_fail_are_told_apart() {
        let rows = [
            ("TLS with h failed: received corrupt message of type InvalidContentType", "does not speak TLS"),
            ("received fatal alert: CertificateRequired", "demands a certificate"),
            ("received fatal alert: ProtocolVersion", "no version of TLS"),
            ("tls handshake eof", "closed in the middle"),
            ("TLS with h failed: no answer within 10 s", "does not answer to TLS"),
        ];
        for (says, what) in rows {
            assert!(handshake_cure(says).0.unwrap().contains(what), "{says}");
        }
        assert_eq!(handshake_cure("something new").0, None);
    }
}
