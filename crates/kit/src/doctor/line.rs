//! The line to a gateway, stage by stage: URL, name, port, proxy, TLS. Each that holds is said, and the first that does
//! not with its cure.

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use tollgate_config::Url;
use tollgate_policy::unit::UnixMs;

use super::{
    proxy,
    rules::{EXPIRY, KEY, NAME, PLAIN, PORT, PROXY, TLS, URL},
};
use crate::{
    chain,
    dial::{DialFault, Dialed, Seen, Stage, Way},
    finding::{Finding, Ground::Proven, Rule},
    handshake,
};

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
        Stage::Handshake => untrusted(&TLS, way.url.host(), fault, now),
    }
}

/// Why there is no TLS, and what to do about it.
pub(super) fn untrusted(rule: &'static Rule, host: &str, fault: &DialFault, now: UnixMs) -> Finding {
    if let Some(finding) = handshake::distrusted(rule, fault, host, now, "--ca") {
        return finding;
    }
    let (what, cure) = handshake::explained(&fault.says)
        .unwrap_or((&fault.says, "Look into the log of the gateway at this instant."));
    Finding::fail(rule, Proven, what).with("TLS library", fault.says.as_str()).cure(cure)
}

fn trusted(host: &str, seen: &Seen, now: UnixMs) -> Vec<Finding> {
    let read = chain::read(&seen.chain);
    let version = seen.version.as_deref().unwrap_or("TLS").replace('_', ".").replace("TLSv", "TLS ");
    let pass = Finding::pass(&TLS, Proven, format!("{version}, and the certificate for {host} is trusted"));
    let mut findings = vec![chain::shown(pass, &read)];
    if let Some((first, days)) = chain::first_to_end(&read, now) {
        let says = first.ends(days);
        findings.push(if days < chain::EXPIRY_DAYS {
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
}
