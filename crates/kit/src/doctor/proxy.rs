//! `doctor proxy`: which proxy is used for a gateway, whether it opens a tunnel, and whether it looks inside.

use std::env;

use hyper::Method;
use tollgate_config::Url;

use super::{
    Examined, line,
    rules::{PROXY_AGREE, PROXY_EXEMPT, PROXY_GATEWAY, PROXY_INSPECTION, PROXY_NAMED, PROXY_TUNNEL},
};
use crate::{
    chain,
    dial::{DialFault, Stage, Way},
    exchange::Ask,
    finding::{Finding, Ground::Inferred, Ground::Proven, Outcome, Rule},
    proxy::{Proxy, is_exempt},
    time::Instant,
};

/// The variables in which proxies are named, lower case first, as they are read.
const NAMES: [(&str, &str); 4] = [
    ("https_proxy", "HTTPS_PROXY"),
    ("http_proxy", "HTTP_PROXY"),
    ("no_proxy", "NO_PROXY"),
    ("all_proxy", "ALL_PROXY"),
];

/// What helps against a 407.
pub(super) const PROXY_DEMANDS: &str = "\
Put user and password into the variable, with %XX for characters such as @ and :, as in
HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT. If it wants another form (Kerberos, NTLM), run a local proxy that speaks \
that and name it instead, or have the gateway exempted and listed in NO_PROXY.";

/// Looks at the variables, and tries the proxy that they name for this gateway.
pub(crate) async fn examine(way: &Way) -> Examined {
    let mut findings = agreement();
    let exempt = exemption(&way.url);
    let named = named(way);
    let is_exempt = exempt.as_ref().is_some_and(|(_, exempt)| *exempt);
    findings.extend(exempt.map(|(finding, _)| finding));
    match named {
        Err(finding) => findings.push(*finding),
        Ok(None) => {
            let says = if is_exempt {
                "none is used for this URL"
            } else {
                "no variable names a proxy for this URL"
            };
            findings.push(Finding::pass(&PROXY_NAMED, Proven, says));
            findings.extend(direct(way).await);
        }
        Ok(Some(proxy)) => {
            let says = format!("{} names the proxy at {}:{}", proxy.source, proxy.host(), proxy.port());
            findings.push(Finding::pass(&PROXY_NAMED, Proven, says));
            let through = Way { proxy: Some(proxy), ..way.clone() };
            findings.extend(tried(&through).await);
        }
    }
    Examined { findings, product: None }
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.trim().is_empty())
}

/// Variables whose two spellings differ.
fn agreement() -> Vec<Finding> {
    let differ = |(lower, upper): &(&str, &str)| {
        let (low, up) = (set(lower)?, set(upper)?);
        (low != up).then(|| {
            Finding::fail(&PROXY_AGREE, Proven, format!("{lower} and {upper} are set to different values"))
                .cure(format!(
                    "Set both alike, or {lower} alone: Claude Code reads it first, other programs do not."
                ))
        })
    };
    let unread = ["all_proxy", "ALL_PROXY"].into_iter().find(|name| set(name).is_some());
    let unread = unread.map(|name| {
        Finding::fail(&PROXY_AGREE, Proven, format!("{name} is set, which Claude Code does not read"))
            .cure("Set HTTPS_PROXY too, if the gateway is to be reached through a proxy.")
    });
    NAMES.iter().filter_map(differ).chain(unread).collect()
}

/// What NO_PROXY says about the URL, where it says anything, and whether it exempts it.
fn exemption(url: &Url) -> Option<(Finding, bool)> {
    let (name, list) = ["no_proxy", "NO_PROXY"].iter().find_map(|name| Some((*name, set(name)?)))?;
    let is_exempt = is_exempt(url.host(), url.port(), &list);
    let says = format!("{name} {} {}", if is_exempt { "lists" } else { "does not list" }, url.authority());
    Some((Finding::pass(&PROXY_EXEMPT, Proven, says).with(name, list), is_exempt))
}

fn named(way: &Way) -> Result<Option<Proxy>, Box<Finding>> {
    Proxy::from_environment(&way.url).map_err(|why| {
        let cure = "Write it as http://[USER:PASSWORD@]HOST:PORT, with %XX for special characters.";
        Box::new(Finding::fail(&PROXY_NAMED, Proven, why).cure(cure))
    })
}

/// Without a proxy: whether the gateway can be reached.
async fn direct(way: &Way) -> Vec<Finding> {
    let line = line::look(way, Instant::now().unix_ms()).await;
    let failed = line.findings.into_iter().find(|finding| matches!(finding.outcome, Outcome::Fail(_)));
    match failed {
        Some(finding) if !line.is_open => vec![
            finding.cure("It may be that this network lets nothing out but through a proxy: ask for its address, and set HTTPS_PROXY."),
        ],
        _ => vec![answered(way).await],
    }
}

/// With one: the tunnel, the certificate that comes through, and an answer.
async fn tried(way: &Way) -> Vec<Finding> {
    let dialed = match way.dial().await {
        Ok(dialed) => dialed,
        Err(fault) if fault.stage == Stage::Handshake => {
            return untrusted(way, &fault).await;
        }
        Err(fault) => return vec![refused(&PROXY_TUNNEL, way.proxy.as_ref(), &fault)],
    };
    let mut findings = Vec::new();
    if let Some(tls) = &dialed.tls {
        findings.push(Finding::pass(&PROXY_TUNNEL, Proven, "the proxy opens a tunnel to the gateway"));
        findings.push(inspection(way, &tls.chain, false).await);
    }
    findings.push(answered(way).await);
    findings
}

/// With one that opens a tunnel in which there is no TLS: whether that is the proxy's doing.
async fn untrusted(way: &Way, fault: &DialFault) -> Vec<Finding> {
    let seen = fault.seen.clone().unwrap_or_default();
    let mut findings = vec![Finding::pass(&PROXY_TUNNEL, Proven, "the proxy opens a tunnel to the gateway")];
    if !seen.chain.is_empty() {
        findings.push(inspection(way, &seen.chain, seen.distrust.is_some()).await);
    }
    if findings.iter().all(|finding| matches!(finding.outcome, Outcome::Pass(_))) {
        findings.push(line::untrusted(&PROXY_GATEWAY, way.url.host(), fault, Instant::now().unix_ms()));
        return findings;
    }
    let cure = "Put the certificate of the proxy's authority, in PEM, into a file and name that in NODE_EXTRA_CA_CERTS \
                (here: --ca), or have the gateway exempted from inspection.";
    findings.push(Finding::fail(&PROXY_GATEWAY, Proven, fault.to_string()).cure(cure));
    findings
}

/// Compares the certificate that comes through the proxy with the one that comes directly, where anything does.
async fn inspection(
    way: &Way,
    through: &[rustls_pki_types::CertificateDer<'_>],
    is_distrusted: bool,
) -> Finding {
    let read = chain::read(through);
    let line = |chain: &[chain::Certificate]| chain.first().map(chain::Certificate::line).unwrap_or_default();
    let directly = line::look(&Way { proxy: None, ..way.clone() }, Instant::now().unix_ms()).await.chain;
    let same = (!directly.is_empty()).then(|| directly.first() == through.first());
    let finding = match (same, is_distrusted) {
        (Some(true), _) => {
            Finding::pass(&PROXY_INSPECTION, Proven, "the certificate is the one that comes directly")
        }
        (Some(false), _) => Finding::fail(
            &PROXY_INSPECTION,
            Proven,
            "the proxy looks into TLS: its certificate stands for the gateway's",
        ),
        (None, true) => Finding::fail(
            &PROXY_INSPECTION,
            Inferred,
            "the proxy probably looks into TLS: the certificate is by nobody whom this machine knows",
        ),
        (None, false) => Finding::unknown(
            &PROXY_INSPECTION,
            "the gateway can not be reached directly, so the certificates can not be compared",
        ),
    };
    let finding = finding.with("through the proxy", line(&read)).cure(
        "Prompts and credentials can be read there, and streams may be held back. Have the gateway exempted from \
         inspection; or trust the proxy's authority by NODE_EXTRA_CA_CERTS.",
    );
    if directly.is_empty() { finding } else { finding.with("directly", line(&chain::read(&directly))) }
}

/// Whether anything of the gateway answers.
async fn answered(way: &Way) -> Finding {
    let ask = Ask::new(Method::GET, "/v1/models?limit=1").silence(way.patience);
    match ask.send(way).await {
        Ok(answer) if answer.status == 407 => {
            let says = "the proxy demands a credential (status 407)";
            Finding::fail(&PROXY_GATEWAY, Proven, says).cure(PROXY_DEMANDS)
        }
        Ok(answer) => Finding::pass(
            &PROXY_GATEWAY,
            Proven,
            format!("the gateway answers, with status {}", answer.status),
        ),
        Err(fault) => Finding::fail(&PROXY_GATEWAY, Proven, fault.to_string())
            .cure("`tollgate doctor auth` tells more about the gateway itself."),
    }
}

/// What to say where a proxy opens no tunnel.
pub(super) fn refused(rule: &'static Rule, proxy: Option<&Proxy>, fault: &DialFault) -> Finding {
    let source = proxy.map_or("the environment", |proxy| proxy.source.as_str());
    let (says, cure) = match fault.proxy_status {
        Some(407) if proxy.is_some_and(|proxy| proxy.authorization().is_some()) => (
            format!("the proxy refuses the credential in {source} (status 407)"),
            format!("Check user and password in {source}. {PROXY_DEMANDS}"),
        ),
        Some(407) => (
            format!("the proxy demands a credential, and {source} holds none (status 407)"),
            PROXY_DEMANDS.to_owned(),
        ),
        Some(status @ (403 | 405)) => (
            format!("the proxy does not permit the gateway (status {status})"),
            "Have host and port of the gateway permitted at the proxy, or list it in NO_PROXY if it can be reached \
             directly."
                .to_owned(),
        ),
        Some(status) => (
            format!("the proxy opens no tunnel (status {status})"),
            "The proxy could not reach the gateway: compare host and port, and look into the proxy's log.".to_owned(),
        ),
        None => (
            format!("the proxy of {source}: {fault}"),
            format!("Compare {source} with the address that you were given, and whether you are on the network that has it."),
        ),
    };
    Finding::fail(rule, Proven, says).cure(cure)
}

/// The texts in the variables that must be shown nowhere: what stands before an @.
pub(crate) fn secrets() -> Vec<String> {
    let values = NAMES.iter().flat_map(|(lower, upper)| [set(lower), set(upper)]).flatten();
    let credential = |value: String| {
        let (before, _) = value.rsplit_once('@')?;
        Some(before.rsplit_once("://").map_or(before, |(_, credential)| credential).to_owned())
    };
    let credentials = values.filter_map(credential);
    credentials
        .flat_map(|credential| {
            let password = credential.split_once(':').map(|(_, password)| password.to_owned());
            [Some(credential), password].into_iter().flatten()
        })
        .filter(|secret| secret.chars().count() >= 4)
        .collect()
}
