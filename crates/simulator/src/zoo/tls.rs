//! Gateways that speak TLS, well or badly. Their keys and certificates are made anew for each of them, and are in memory
//! only.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// How a gateway speaks TLS.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tls {
    /// In how many days its certificate begins and ends to be good.
    pub(super) good_days: (i64, i64),
    /// The host that its certificate is for, if that is not where it listens.
    pub(super) host: Option<&'static str>,
    /// Who vouches for its certificate, and what it shows of that.
    pub(super) chain: Chain,
    /// Which versions it speaks.
    pub(super) versions: Versions,
}

/// The versions that a gateway speaks. TLS 1.0 and 1.1 are the old ones (RFC 8996).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Versions {
    /// TLS 1.2 and 1.3.
    Current,
    /// These and the old ones.
    OldToo,
    /// The old ones alone.
    OldOnly,
}

/// The certificates between that of a gateway and an authority.
#[derive(Debug, Clone, Copy)]
pub(super) enum Chain {
    /// It shows the one between its own and that of the known authority.
    Whole,
    /// It does not show the one in between.
    WithoutIntermediate,
    /// It shows the one in between, and the authority is another than the known one.
    OfAStranger,
    /// Its own has signed itself.
    SelfSigned,
}

/// TLS as it should be.
pub(super) const SOUND: Tls =
    Tls { good_days: (-1, 90), host: None, chain: Chain::Whole, versions: Versions::Current };

/// What is needed to speak TLS.
#[derive(Debug)]
pub(super) struct Speaker {
    config: Arc<ServerConfig>,
    versions: Versions,
    authority: String,
}

/// There are no certificates to speak TLS with.
#[derive(Debug, Error)]
pub(super) enum NoCertificate {
    #[error("a certificate cannot be made: {0}")]
    Made(#[from] rcgen::Error),
    #[error("a certificate cannot be used: {0}")]
    Used(#[from] rustls::Error),
}

impl Speaker {
    /// For a gateway that listens at this address.
    ///
    /// # Errors
    ///
    /// When the cryptography fails.
    pub(super) fn new(tls: &Tls, at: IpAddr) -> Result<Self, NoCertificate> {
        let key = KeyPair::generate()?;
        let known = authority("The authority of the zoo")?;
        let chain = chain(tls, at, &key, &known)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), versions: tls.versions, authority: known.pem() })
    }

    /// The certificate of the known authority, in PEM.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Shakes hands. None if the client was told that an old version will do, behind which there is nothing, or that
    /// no newer one is spoken.
    ///
    /// # Errors
    ///
    /// When the client has left, or has no version or cipher in common with us, or trusts us not.
    pub(super) async fn shake_hands(
        &self,
        mut stream: TcpStream,
    ) -> io::Result<Option<TlsStream<TcpStream>>> {
        let offered = match self.versions {
            Versions::Current => None,
            Versions::OldToo | Versions::OldOnly => old_version(&stream).await?,
        };
        match offered {
            Some(version) => agree(&mut stream, version).await?,
            None if self.versions == Versions::OldOnly => refuse(&mut stream).await?,
            None => return TlsAcceptor::from(Arc::clone(&self.config)).accept(stream).await.map(Some),
        }
        Ok(None)
    }
}

/// The version that a client offers, if that is TLS 1.0 or 1.1 (RFC 4346, section 7.4.1.2).
async fn old_version(stream: &TcpStream) -> io::Result<Option<[u8; 2]>> {
    let mut head = [0; 11];
    // A hello that comes in pieces is for the library, which refuses old versions.
    let is_whole = stream.peek(&mut head).await? == head.len();
    Ok(match head {
        [22, 3, _, _, _, 1, _, _, _, 3, minor @ (1 | 2)] if is_whole => Some([3, minor]),
        _ => None,
    })
}

/// Answers the hello of a client with one that agrees to its version (RFC 4346, section 7.4.1.3), and no more: there is
/// no library here that could go on from there. Whoever only asks which versions are spoken sees no difference.
async fn agree(stream: &mut TcpStream, [major, minor]: [u8; 2]) -> io::Result<()> {
    skip_hello(stream).await?;
    // A record with a message of 38 bytes: version, 32 bytes that should be random, no session,
    // TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    let head = [22, major, minor, 0, 42, 2, 0, 0, 38, major, minor];
    stream.write_all(&[&head[..], &[0x5a; 32], &[0, 0x00, 0x2f, 0]].concat()).await?;
    stream.shutdown().await
}

/// Answers the hello of a client with the alert that none of its versions is spoken: fatal, protocol_version (RFC 4346,
/// section 7.2.2).
async fn refuse(stream: &mut TcpStream) -> io::Result<()> {
    skip_hello(stream).await?;
    stream.write_all(&[21, 3, 1, 0, 2, 2, 70]).await?;
    stream.shutdown().await
}

/// Reads the hello of a client, which comes in one record.
async fn skip_hello(stream: &mut TcpStream) -> io::Result<()> {
    let mut record = [0; 5];
    stream.read_exact(&mut record).await?;
    let mut hello = vec![0; u16::from_be_bytes([record[3], record[4]]).into()];
    stream.read_exact(&mut hello).await?;
    Ok(())
}

/// What a gateway shows of itself, its own certificate first.
fn chain(
    tls: &Tls,
    at: IpAddr,
    key: &KeyPair,
    known: &CertifiedIssuer<'_, KeyPair>,
) -> Result<Vec<CertificateDer<'static>>, rcgen::Error> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let in_days = |days: i64| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(now.saturating_add_signed(days * DAY_SECONDS))
    };
    let here = || vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), at.to_string()];
    let mut own = CertificateParams::new(tls.host.map_or_else(here, |host| vec![host.to_owned()]))?;
    own.distinguished_name = name("A gateway of the zoo");
    own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (own.not_before, own.not_after) = (in_days(tls.good_days.0), in_days(tls.good_days.1));
    let stranger = authority("A stranger to the zoo")?;
    let issuer = match tls.chain {
        Chain::SelfSigned => return Ok(vec![own.self_signed(key)?.into()]),
        Chain::OfAStranger => &stranger,
        Chain::Whole | Chain::WithoutIntermediate => known,
    };
    let between = CertifiedIssuer::signed_by(
        authority_params("An intermediate of the zoo")?,
        KeyPair::generate()?,
        issuer,
    )?;
    let mut chain: Vec<CertificateDer<'static>> = vec![own.signed_by(key, &between)?.into()];
    if !matches!(tls.chain, Chain::WithoutIntermediate) {
        chain.push(between.der().clone());
    }
    Ok(chain)
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, rcgen::Error> {
    CertifiedIssuer::self_signed(authority_params(name)?, KeyPair::generate()?)
}

fn authority_params(of: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name = name(of);
    Ok(params)
}

fn name(of: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, of);
    name
}
