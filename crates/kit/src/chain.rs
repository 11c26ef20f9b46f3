//! Certificates as people need to see them, and why a chain is not to be trusted (RFC 5280).

use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use tollgate_policy::unit::UnixMs;
use x509_parser::{
    certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, public_key::PublicKey,
};

use crate::finding::Finding;

/// What people ask about a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// Whom it is for.
    pub(crate) subject: String,
    /// Who signed it.
    pub(crate) issuer: String,
    /// The first instant at which it is good.
    pub(crate) good_from: UnixMs,
    /// The last one.
    pub(crate) good_until: UnixMs,
    /// Its key: `RSA 2048`, `EC 256`, `Ed25519`.
    pub(crate) key: String,
    /// Whether the key is too short to be trusted.
    pub(crate) is_weak: bool,
    /// The DNS names and addresses that it is good for.
    pub(crate) names: Vec<String>,
    /// Whether it says that it is an authority's (CA:TRUE).
    pub(crate) is_authority: bool,
}

/// Why a chain of certificates is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// Nobody can read the certificate at this place of the chain, from 0.
    Unreadable(usize),
    /// It has expired.
    Expired(Certificate),
    /// It is not good yet.
    NotYet(Certificate),
    /// It is for other names.
    WrongName(Certificate),
    /// It signed itself and is not among the authorities of this machine.
    SelfSigned(Certificate),
    /// The same, and it says that it is an authority. As that of a server it is refused even by those who know it, if
    /// they are strict (RFC 5280, section 4.2.1.9); OpenSSL is not.
    Authority(Certificate),
    /// The last one of the chain was signed by somebody whom this machine does not know.
    UnknownIssuer(Certificate),
}

/// How early the end of a certificate is warned of.
pub(crate) const EXPIRY_DAYS: i64 = 21;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The shortest RSA key in bits (NIST SP 800-131A).
const RSA_BITS: usize = 2048;

impl Certificate {
    /// Reads one. None if it is no certificate.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, read) = X509Certificate::from_der(der).ok()?;
        let ms = |seconds: i64| UnixMs(seconds.saturating_mul(1000));
        let (key, is_weak) = key(&read);
        Some(Self {
            subject: named(&read.subject().to_string()),
            issuer: named(&read.issuer().to_string()),
            good_from: ms(read.validity().not_before.timestamp()),
            good_until: ms(read.validity().not_after.timestamp()),
            key,
            is_weak,
            names: names(&read),
            is_authority: read.is_ca(),
        })
    }

    /// In one line: subject, issuer, end, key.
    pub(crate) fn line(&self) -> String {
        format!("{}; issued by {}; until {}; {}", self.subject, self.issuer, day(self.good_until), self.key)
    }

    /// That it ends, so many days from now, in a sentence without a full stop.
    pub(crate) fn ends(&self, days: i64) -> String {
        format!("the certificate of {} expires on {}, in {days} days", self.subject, day(self.good_until))
    }

    /// Whether it is good for this host (RFC 6125, section 6.4.3): `*` stands for one whole label.
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.names.iter().map(|name| name.to_ascii_lowercase()).any(|name| match name.strip_prefix("*.") {
            Some(rest) => host.split_once('.').is_some_and(|(_, parent)| parent == rest),
            None => name == host,
        })
    }
}

/// Reads a chain, the gateway's own certificate first. What can not be read is left out.
pub(crate) fn read(chain: &[CertificateDer<'_>]) -> Vec<Certificate> {
    chain.iter().filter_map(|der| Certificate::read(der)).collect()
}

/// Of a chain that is trusted, the certificate that ends first, and in how many days. Those that have ended already are
/// not what the trust rests on. None for an empty chain.
pub(crate) fn first_to_end(chain: &[Certificate], now: UnixMs) -> Option<(&Certificate, i64)> {
    let first = chain.iter().filter(|one| one.good_until >= now).min_by_key(|one| one.good_until)?;
    Some((first, first.good_until.ms_since(now) / DAY_MS))
}

/// The finding with a line for each certificate.
pub(crate) fn shown(finding: Finding, chain: &[Certificate]) -> Finding {
    chain.iter().fold(finding, |finding, one| finding.with("certificate", one.line()))
}

/// Why a chain that was refused was refused: the time first, which people can see at once, then the name, then who
/// signed it. None for an empty chain.
pub(crate) fn distrust(chain: &[CertificateDer<'_>], host: &str, now: UnixMs) -> Option<Distrust> {
    let read = read(chain);
    if read.len() < chain.len() {
        let at = chain.iter().position(|der| Certificate::read(der).is_none());
        return at.map(Distrust::Unreadable);
    }
    if let Some(past) = read.iter().find(|one| one.good_until < now) {
        return Some(Distrust::Expired(past.clone()));
    }
    if let Some(early) = read.iter().find(|one| one.good_from > now) {
        return Some(Distrust::NotYet(early.clone()));
    }
    let own = read.first()?.clone();
    if !own.covers(host) {
        return Some(Distrust::WrongName(own));
    }
    let last = read.last()?.clone();
    Some(match own.subject == own.issuer {
        true if own.is_authority => Distrust::Authority(own),
        true => Distrust::SelfSigned(own),
        false => Distrust::UnknownIssuer(last),
    })
}

impl Distrust {
    /// What is wrong, in a sentence without a full stop.
    pub(crate) fn says(&self, host: &str) -> String {
        match self {
            Self::Unreadable(at) => format!("certificate {} of the chain can not be read", at + 1),
            Self::Expired(one) => {
                format!("the certificate of {} expired on {}", one.subject, day(one.good_until))
            }
            Self::NotYet(one) => {
                format!("the certificate of {} is good from {} on only", one.subject, day(one.good_from))
            }
            Self::WrongName(one) => {
                let names =
                    if one.names.is_empty() { "no name at all".to_owned() } else { one.names.join(", ") };
                format!("the certificate is not for {host}: it is for {names}")
            }
            Self::SelfSigned(one) => {
                format!(
                    "the certificate of {} is signed by itself, and this machine does not know it",
                    one.subject
                )
            }
            Self::Authority(one) => {
                format!(
                    "the certificate of {} is signed by itself and says that it is an authority's, not a server's",
                    one.subject
                )
            }
            Self::UnknownIssuer(one) => {
                format!(
                    "this machine does not know {}, who signed the last certificate of the chain",
                    one.issuer
                )
            }
        }
    }

    /// What to do about it. `option` is what names a file of authorities on this command line.
    pub(crate) fn cure(&self, option: &str) -> String {
        match self {
            Self::Unreadable(_) => "Install the certificates of the gateway anew.".to_owned(),
            Self::Expired(_) => {
                "Renew that certificate at the gateway and let the gateway load it. If the date is not \
                                 past, set the clock of this machine."
                    .to_owned()
            }
            Self::NotYet(_) => {
                "Set the clock of this machine; if it is right, wait or make the certificate anew.".to_owned()
            }
            Self::WrongName(_) => {
                "Use a URL with a name of the certificate, or give the gateway one for this name.".to_owned()
            }
            Self::SelfSigned(_) => format!(
                "Get the certificate from whoever runs the gateway, in PEM, and name its file in NODE_EXTRA_CA_CERTS \
                 (here: {option})."
            ),
            Self::Authority(_) => format!(
                "Make it anew for a server: `openssl req -x509 ... -addext basicConstraints=critical,CA:FALSE`. Then name \
                 its file in NODE_EXTRA_CA_CERTS (here: {option}). Clients on OpenSSL may take it as it is."
            ),
            Self::UnknownIssuer(one) => format!(
                "If {} is your organisation's authority, or that of a proxy that looks into TLS: put its certificate, in \
                 PEM, into a file and name that in NODE_EXTRA_CA_CERTS (here: {option}). If it is a public one: let the \
                 gateway send the intermediate certificates too.",
                one.issuer
            ),
        }
    }
}

/// The date, without the time of day: `2026-11-22`.
pub(crate) fn day(at: UnixMs) -> String {
    at.to_string().chars().take(10).collect()
}

fn named(name: &str) -> String {
    if name.is_empty() { "(no name)".to_owned() } else { name.to_owned() }
}

fn key(read: &X509Certificate<'_>) -> (String, bool) {
    const ED25519: &str = "1.3.101.112";
    match read.public_key().parsed() {
        Ok(PublicKey::RSA(rsa)) => (format!("RSA {}", rsa.key_size()), rsa.key_size() < RSA_BITS),
        // The point of P-521 takes 66 bytes.
        Ok(PublicKey::EC(point)) => (format!("EC {}", point.key_size().min(521)), false),
        _ if read.public_key().algorithm.algorithm.to_id_string() == ED25519 => ("Ed25519".to_owned(), false),
        _ => (format!("key of kind {}", read.public_key().algorithm.algorithm.to_id_string()), false),
    }
}

fn names(read: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = read.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(four) => Some(IpAddr::from(four).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|sixteen| IpAddr::from(sixteen).to_string()),
        },
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn chain(names: &[&str], years: (i32, i32), by_itself: bool) -> Vec<CertificateDer<'static>> {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "House CA");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut own = CertificateParams::new(names).unwrap();
        own.distinguished_name = rcgen::DistinguishedName::new();
        own.distinguished_name.push(DnType::CommonName, "gateway");
        own.not_before = date_time_ymd(years.0, 1, 1);
        own.not_after = date_time_ymd(years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let own = if by_itself { own.self_signed(&key) } else { own.signed_by(&key, &authority) };
        vec![own.unwrap().der().clone()]
    }

    #[test]
    fn the_fault_of_a_chain_is_named() {
        let says = |names: &[&str], years, by_itself, host: &str| {
            distrust(&chain(names, years, by_itself), host, NOW).unwrap().says(host)
        };
        let rows = [
            (says(&["gw.example"], (2020, 2021), false, "gw.example"), "expired on 2021-01-01"),
            (says(&["gw.example"], (2030, 2031), false, "gw.example"), "good from 2030-01-01"),
            (says(&["gw.example"], (2020, 2031), false, "other.example"), "it is for gw.example"),
            (says(&["gw.example"], (2020, 2031), true, "gw.example"), "signed by itself"),
            (says(&["gw.example"], (2020, 2031), false, "gw.example"), "does not know CN=House CA"),
            (says(&["127.0.0.1", "::1"], (2020, 2031), false, "::1"), "does not know CN=House CA"),
        ];
        for (says, part) in rows {
            assert!(says.contains(part), "{says:?} has no {part:?}");
        }
        let mut authority = CertificateParams::new(vec!["gw.example".to_owned()]).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = authority.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
        let fault = distrust(&[der], "gw.example", NOW).unwrap();
        assert!(
            fault.says("gw.example").contains("is an authority's") && fault.cure("").contains("CA:FALSE")
        );
        assert_eq!(distrust(&[], "gw.example", NOW), None);
        assert_eq!(distrust(&[vec![1, 2].into()], "h", NOW), Some(Distrust::Unreadable(0)));
    }

    #[test]
    fn the_first_end_is_one_that_is_still_to_come() {
        let one = |year| Certificate::read(&chain(&["gw.example"], (2010, year), true)[0]).unwrap();
        let shown = [one(2031), one(2021), one(2029)];
        let (first, days) = first_to_end(&shown, NOW).unwrap();
        assert_eq!((day(first.good_until).as_str(), days), ("2029-01-01", 716));
        assert_eq!(first_to_end(&[], NOW), None);
    }

    #[test]
    fn a_certificate_is_shown_in_one_line() {
        let read = read(&chain(&["gw.example"], (2020, 2031), false));
        assert_eq!(read[0].line(), "CN=gateway; issued by CN=House CA; until 2031-01-01; EC 256");
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let names = vec!["*.Corp.example".to_owned(), "10.0.0.1".to_owned()];
        let der = chain(&["x"], (2020, 2031), true);
        let one = Certificate { names, ..Certificate::read(&der[0]).unwrap() };
        for (host, covered) in [
            ("gw.corp.example", true),
            ("a.gw.corp.example", false),
            ("corp.example", false),
            ("10.0.0.1", true),
        ] {
            assert_eq!(one.covers(host), covered, "{host}");
        }
    }
}
