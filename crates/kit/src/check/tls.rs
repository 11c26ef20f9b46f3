//! Looks at the encryption between client and gateway.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tollgate_config::Url;
use tollgate_policy::unit::UnixMs;

use super::{
    rules::{TLS_CHAIN, TLS_USED, TLS_VERSION},
    scene::Scene,
};
use crate::{
    chain,
    dial::{DialFault, Seen, Way},
    finding::{Finding, Ground::Proven},
    handshake,
    time::Instant,
};

/// Whether the gateway is spoken to by https, or need not be.
pub(super) fn used(url: &Url) -> Finding {
    if url.tls() {
        Finding::pass(&TLS_USED, Proven, "the gateway is spoken to by https")
    } else if url.is_loopback() {
        Finding::pass(&TLS_USED, Proven, "http does not leave this machine")
    } else {
        Finding::fail(&TLS_USED, Proven, "credentials and prompts travel unencrypted")
    }
}

/// Version and certificate, where there is TLS at all.
pub(super) async fn certificate(scene: &Scene) -> Vec<Finding> {
    let way = &scene.way;
    if !way.url.tls() {
        return Vec::new();
    }
    let now = Instant::now().unix_ms();
    match way.dial().await {
        Ok(dialed) => {
            let seen = dialed.tls.unwrap_or_default();
            let agreed = seen.version.as_deref().unwrap_or("unknown").replace('_', ".");
            vec![version(way, &agreed).await, trusted(&seen, now)]
        }
        Err(fault) if fault.seen.as_ref().is_some_and(|seen| seen.is_too_old) => {
            vec![too_old(way, &fault).await]
        }
        Err(fault) => match handshake::distrusted(&TLS_CHAIN, &fault, way.url.host(), now, "--ca-file") {
            // Certificates are shown once a version is agreed on, and older ones are not offered.
            Some(chain) => vec![version(way, "TLS 1.2 or newer").await, chain],
            None => Vec::new(),
        },
    }
}

/// A gateway that has none of the versions that are spoken here.
async fn too_old(way: &Way, fault: &DialFault) -> Finding {
    let finding = Finding::fail(&TLS_VERSION, Proven, "no version from TLS 1.2 on is spoken")
        .with("TLS library", fault.says.as_str());
    match old_hello(way).await {
        Ok(Some(old)) => finding.with("asked for TLS 1.1", format!("{old} is accepted")),
        Ok(None) => finding.with("asked for TLS 1.1", "refused as well"),
        Err(_) => finding,
    }
}

/// A chain that is trusted.
fn trusted(seen: &Seen, now: UnixMs) -> Finding {
    let chain = chain::read(&seen.chain);
    let Some((first, days)) = chain::first_to_end(&chain, now) else {
        return Finding::unknown(
            &TLS_CHAIN,
            "the certificate does not say in a known form until when it is good",
        );
    };
    let finding = if days < chain::EXPIRY_DAYS {
        Finding::fail(&TLS_CHAIN, Proven, first.ends(days))
    } else {
        Finding::pass(&TLS_CHAIN, Proven, format!("the certificate is trusted and good for {days} more days"))
    };
    chain::shown(finding, &chain)
}

async fn version(way: &Way, agreed: &str) -> Finding {
    match old_hello(way).await {
        Ok(Some(old)) => {
            Finding::fail(&TLS_VERSION, Proven, format!("{old} is accepted")).with("agreed on", agreed)
        }
        Ok(None) => Finding::pass(&TLS_VERSION, Proven, format!("{agreed}, and TLS 1.1 is refused")),
        Err(why) => Finding::unknown(
            &TLS_VERSION,
            format!("{agreed}; whether TLS 1.1 is refused can not be told: {why}"),
        ),
    }
}

/// The version that the server agrees to when it is offered TLS 1.1 and older. No library of ours speaks it any more, so the first message is written by hand.
async fn old_hello(way: &Way) -> Result<Option<&'static str>, String> {
    if way.proxy.is_some() {
        return Err("there is a proxy on the way".to_owned());
    }
    let url = &way.url;
    let addresses = way.resolve(url.host(), url.port()).await.map_err(|fault| fault.to_string())?;
    let mut tcp = way.connect(&addresses).await.map_err(|fault| fault.to_string())?;
    tcp.write_all(&client_hello(url.host())).await.map_err(|error| error.to_string())?;
    // An alert is no longer than 7 bytes, and need not be followed by the end of the connection.
    let mut head = [0; 6];
    match timeout(Duration::from_secs(5), tcp.read_exact(&mut head)).await {
        // A handshake record with a ServerHello, in the version that was agreed on (RFC 4346, section 6.2.1).
        Ok(Ok(_)) => Ok(match head {
            [22, 3, 1, _, _, 2] => Some("TLS 1.0"),
            [22, _, _, _, _, 2] => Some("TLS 1.1"),
            _ => None,
        }),
        // The connection was closed.
        Ok(Err(_)) => Ok(None),
        Err(_) => Err("the server does not answer".to_owned()),
    }
}

/// A ClientHello that offers TLS 1.1 and nothing newer (RFC 4346, section 7.4.1.2, and RFC 6066, section 3).
fn client_hello(host: &str) -> Vec<u8> {
    // ECDHE and RSA with AES and SHA-1: the suites that servers with TLS 1.1 have.
    const SUITES: [u8; 12] = [0xc0, 0x13, 0xc0, 0x14, 0xc0, 0x09, 0xc0, 0x0a, 0x00, 0x2f, 0x00, 0x35];
    let mut extensions = Vec::new();
    if host.parse::<std::net::IpAddr>().is_err() {
        let name = sized(&[&[0][..], &sized(host.as_bytes())].concat());
        extensions.extend([&[0, 0][..], &sized(&name)].concat());
    }
    // The curves secp256r1 and x25519, uncompressed points.
    extensions.extend([0, 10, 0, 6, 0, 4, 0, 23, 0, 29, 0, 11, 0, 2, 1, 0]);
    let mut hello = vec![3, 2];
    // Its randomness protects nothing here: the handshake goes no further.
    hello.extend([0x5a; 32]);
    hello.push(0);
    hello.extend(sized(&SUITES));
    hello.extend([1, 0]);
    hello.extend(sized(&extensions));
    let mut message = vec![1, 0];
    message.extend(sized(&hello));
    [&[22, 3, 1][..], &sized(&message)].concat()
}

/// Bytes behind their length in two bytes.
fn sized(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome::{Fail, Pass, Unknown};

    #[test]
    fn http_is_for_this_machine_only() {
        for (url, outcome) in [
            ("https://gateway.example", Pass(Proven)),
            ("http://localhost:8080", Pass(Proven)),
            ("http://[::1]", Pass(Proven)),
            ("http://gateway.example", Fail(Proven)),
            ("http://10.0.0.1", Fail(Proven)),
        ] {
            assert_eq!(used(&url.parse().unwrap()).outcome, outcome, "{url}");
        }
    }

    #[test]
    fn a_certificate_is_well_until_three_weeks_before_its_end() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2027, 1, 31);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let seen = Seen { chain: vec![certificate.der().clone()], ..Seen::default() };
        let end = chain::read(&seen.chain)[0].good_until;
        let outcome = |days: i64| trusted(&seen, UnixMs(end.0 - days * 24 * 60 * 60 * 1000)).outcome;
        assert_eq!((outcome(22), outcome(21), outcome(20)), (Pass(Proven), Pass(Proven), Fail(Proven)));
        assert_eq!(trusted(&Seen::default(), end).outcome, Unknown);
    }

    /// Servers that answer the old hello with these bytes. Only those that say nothing close by themselves.
    #[tokio::test]
    async fn a_server_that_agrees_to_an_old_version_is_told_from_one_that_refuses() {
        let rows: [(&[u8], _); 4] = [
            (&[22, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2], Some("TLS 1.1")),
            (&[22, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1], Some("TLS 1.0")),
            (&[21, 3, 2, 0, 2, 2, 70], None),
            (&[], None),
        ];
        for (says, expected) in rows {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            let server = tokio::spawn(async move {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let mut head = [0; 5];
                tcp.read_exact(&mut head).await.unwrap();
                let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
                tcp.read_exact(&mut hello).await.unwrap();
                tcp.write_all(says).await.unwrap();
                if !says.is_empty() {
                    let _ = tcp.read(&mut [0]).await;
                }
            });
            let told = old_hello(&Way::to(url.parse().unwrap())).await;
            assert_eq!(told, Ok(expected), "{says:?}");
            server.await.unwrap();
        }
    }

    #[test]
    fn the_hello_is_framed_as_its_lengths_say() {
        for host in ["gateway.example", "127.0.0.1"] {
            let hello = client_hello(host);
            assert_eq!(usize::from(u16::from_be_bytes([hello[3], hello[4]])), hello.len() - 5);
            assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), hello.len() - 9);
            assert_eq!(hello[9..11], [3, 2], "TLS 1.1");
        }
    }
}
