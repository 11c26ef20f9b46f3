//! Looks at the encryption between client and gateway.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    rules::{TLS_CHAIN, TLS_USED, TLS_VERSION},
    scene::{Scene, Trial},
};
use crate::{
    dial::{DialFault, Seen, Way},
    exchange::ExchangeFault,
    finding::{Finding, Ground::Proven},
};

/// A certificate that ends sooner than this is not well.
const LEFT_DAYS: i64 = 21;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Whether the gateway is spoken to by https, or need not be.
pub(super) fn used(scene: &Scene) -> Option<Finding> {
    let url = &scene.way.url;
    let finding = if url.tls() {
        Finding::pass(&TLS_USED, Proven, "the gateway is spoken to by https")
    } else if url.is_loopback() {
        Finding::pass(&TLS_USED, Proven, "http does not leave this machine")
    } else {
        Finding::fail(&TLS_USED, Proven, "credentials and prompts travel unencrypted")
    };
    Some(finding)
}

/// Version and certificate, where there is TLS at all.
pub(super) async fn certificate(scene: &Scene, first: &Trial) -> Option<Vec<Finding>> {
    if !scene.way.url.tls() {
        return None;
    }
    match (&first.answer, scene.way.dial().await) {
        (_, Ok(dialed)) => {
            let seen = dialed.tls.unwrap_or_default();
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let now = i64::try_from(now).unwrap_or(i64::MAX);
            Some(vec![version(&scene.way, &seen).await, chain(&seen, now)])
        }
        (Err(ExchangeFault::Dial(_)), Err(DialFault { seen: Some(seen), says, .. }))
            if seen.distrust.is_some() =>
        {
            let finding = Finding::fail(&TLS_CHAIN, Proven, says);
            Some(vec![with_validity(finding, &seen)])
        }
        (_, Err(_)) => None,
    }
}

/// A chain that is trusted, at this Unix second.
fn chain(seen: &Seen, now: i64) -> Finding {
    let Some((_, until)) = seen.chain.first().and_then(validity) else {
        return Finding::unknown(
            &TLS_CHAIN,
            "the certificate does not say in a known form until when it is valid",
        );
    };
    let days = (until - now).div_euclid(DAY_SECONDS);
    let finding = if days < LEFT_DAYS {
        Finding::fail(&TLS_CHAIN, Proven, format!("the certificate expires in {days} days"))
    } else {
        Finding::pass(
            &TLS_CHAIN,
            Proven,
            format!("the certificate is trusted and valid for {days} more days"),
        )
    };
    with_validity(finding, seen)
}

fn with_validity(finding: Finding, seen: &Seen) -> Finding {
    match seen.chain.first().and_then(validity) {
        Some((from, until)) => finding.with("valid", format!("from {} to {}", instant(from), instant(until))),
        None => finding,
    }
}

fn instant(unix_seconds: i64) -> String {
    tollgate_policy::unit::UnixMs(unix_seconds.saturating_mul(1000)).to_string()
}

async fn version(way: &Way, seen: &Seen) -> Finding {
    let agreed = seen.version.as_deref().unwrap_or("unknown").replace('_', ".");
    match old_hello(way).await {
        Ok(true) => Finding::fail(&TLS_VERSION, Proven, "TLS 1.1 is accepted").with("agreed on", agreed),
        Ok(false) => Finding::pass(&TLS_VERSION, Proven, format!("{agreed}, and TLS 1.1 is refused")),
        Err(why) => Finding::unknown(
            &TLS_VERSION,
            format!("{agreed}; whether TLS 1.1 is refused can not be told: {why}"),
        ),
    }
}

/// Whether the server agrees to TLS 1.1. No library of ours speaks it any more, so the first message is written by hand.
async fn old_hello(way: &Way) -> Result<bool, String> {
    if way.proxy.is_some() {
        return Err("there is a proxy on the way".to_owned());
    }
    let url = &way.url;
    let addresses = way.resolve(url.host(), url.port()).await.map_err(|fault| fault.to_string())?;
    let mut tcp = way.connect(&addresses).await.map_err(|fault| fault.to_string())?;
    tcp.write_all(&client_hello(url.host())).await.map_err(|error| error.to_string())?;
    let mut head = [0; 6];
    match timeout(Duration::from_secs(5), tcp.read_exact(&mut head)).await {
        // A handshake record with a ServerHello; its version is what was agreed on (RFC 4346, section 7.4.1.3).
        Ok(Ok(_)) => Ok(head[0] == 22 && head[5] == 2),
        // An alert, or a closed connection.
        Ok(Err(_)) => Ok(false),
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

/// From when and until when a certificate is valid, in Unix seconds (RFC 5280, section 4.1).
fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // Version, if it stands there, serial number, algorithm, issuer.
    if fields.first() == Some(&0xa0) {
        fields = element(fields)?.2;
    }
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields)?;
    let (from_tag, from, rest) = element(validity)?;
    let (until_tag, until, _) = element(rest)?;
    Some((time(from_tag, from)?, time(until_tag, until)?))
}

/// Tag, content and what follows of one element in DER (X.690, section 8.1).
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// UTCTime or GeneralizedTime in the forms of RFC 5280, section 4.1.2.5.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Two digits of the year: 50 to 99 are of the last century.
        0x17 if text.get(..2)? >= "50" => format!("19{text}"),
        0x17 => format!("20{text}"),
        0x18 => text.to_owned(),
        _ => return None,
    };
    let instant = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    Some(instant.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Outcome::{Fail, Pass, Unknown};

    #[test]
    fn the_validity_of_a_certificate_is_read() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2024, 2, 29);
        params.not_after = rcgen::date_time_ymd(2051, 1, 2);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (from, until) = validity(certificate.der()).unwrap();
        assert_eq!(
            (instant(from).as_str(), instant(until).as_str()),
            ("2024-02-29T00:00:00.000Z", "2051-01-02T00:00:00.000Z")
        );
        assert_eq!(validity(&CertificateDer::from(vec![0x30, 0x82, 0xff])), None);
    }

    #[test]
    fn a_certificate_is_well_until_three_weeks_before_its_end() {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2027, 1, 31);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let seen = Seen { chain: vec![certificate.der().clone()], ..Seen::default() };
        let end = validity(certificate.der()).unwrap().1;
        let outcome = |days: i64| chain(&seen, end - days * DAY_SECONDS).outcome;
        assert_eq!((outcome(22), outcome(21), outcome(20)), (Pass(Proven), Pass(Proven), Fail(Proven)));
        assert_eq!(chain(&Seen::default(), end).outcome, Unknown);
    }

    /// Servers that answer the old hello with these bytes and close.
    #[tokio::test]
    async fn a_server_that_agrees_to_an_old_version_is_told_from_one_that_refuses() {
        let rows: [(&[u8], Result<bool, ()>); 3] = [
            (&[22, 3, 2, 0, 4, 2, 0, 0, 0], Ok(true)),
            (&[21, 3, 2, 0, 2, 2, 70], Ok(false)),
            (&[], Ok(false)),
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
            });
            let told = old_hello(&Way::to(url.parse().unwrap())).await;
            assert_eq!(told.map_err(drop), expected, "{says:?}");
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
