//! Opening a connection to a gateway, stage by stage, so that a fault can be told from another: name, TCP, proxy, TLS.

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tollgate_config::Url;

use crate::{
    extra::Extra,
    proxy::{Proxy, TunnelFault},
};

/// How to get to a gateway.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    /// Where it is.
    pub(crate) url: Url,
    /// Through which proxy.
    pub(crate) proxy: Option<Proxy>,
    /// Certificate authorities in PEM, besides the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// A certificate of our own and its key, in PEM.
    pub(crate) client_certificate: Option<(PathBuf, PathBuf)>,
    /// Headers that go with each request, besides its own.
    pub(crate) extras: Vec<Extra>,
    /// How long each stage may take.
    pub(crate) patience: Duration,
}

/// A stage of opening a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The files of certificates.
    Files,
    /// The name into addresses.
    Resolve,
    /// TCP.
    Connect,
    /// The proxy's consent.
    Tunnel,
    /// TLS.
    Handshake,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("{says}")]
pub(crate) struct DialFault {
    /// How far it came.
    pub(crate) stage: Stage,
    /// What happened, in a sentence without a full stop.
    pub(crate) says: String,
    /// The status by which the proxy refused, if one did.
    pub(crate) proxy_status: Option<u16>,
    /// What was seen of TLS before it failed.
    pub(crate) seen: Option<Seen>,
}

/// What TLS showed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The certificates of the other side, its own first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Why they are not to be trusted.
    pub(crate) distrust: Option<String>,
    /// The version that was agreed on: `TLSv1_3`.
    pub(crate) version: Option<String>,
    /// Whether the other side has no version that is spoken here, from TLS 1.2 on.
    pub(crate) is_too_old: bool,
}

/// A byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// An open connection.
pub(crate) struct Dialed {
    /// The connection.
    pub(crate) stream: Box<dyn Io>,
    /// The other side, or the proxy.
    pub(crate) address: SocketAddr,
    /// What TLS showed, where there is TLS.
    pub(crate) tls: Option<Seen>,
    /// How long all stages took together.
    pub(crate) took: Duration,
}

impl Way {
    /// Directly, with the system's authorities.
    pub(crate) fn to(url: Url) -> Self {
        let patience = Duration::from_secs(10);
        Self { url, proxy: None, ca_file: None, client_certificate: None, extras: Vec::new(), patience }
    }

    /// Opens a connection.
    ///
    /// # Errors
    ///
    /// [`DialFault`].
    pub(crate) async fn dial(&self) -> Result<Dialed, DialFault> {
        let began = Instant::now();
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (self.url.host(), self.url.port()),
        };
        let addresses = self.resolve(host, port).await?;
        let mut tcp = self.connect(&addresses).await?;
        let fault = |cause: io::Error| DialFault::at(Stage::Connect, cause.to_string());
        let address = tcp.peer_addr().map_err(fault)?;
        tcp.set_nodelay(true).map_err(fault)?;
        if !self.url.tls() {
            return Ok(Dialed { stream: Box::new(tcp), address, tls: None, took: began.elapsed() });
        }
        if let Some(proxy) = &self.proxy {
            let tunnel = timeout(self.patience, proxy.tunnel(&mut tcp, self.url.host(), self.url.port()));
            tunnel.await.unwrap_or(Err(TunnelFault::Slow)).map_err(|fault| DialFault {
                proxy_status: fault.status(),
                ..DialFault::at(Stage::Tunnel, fault.to_string())
            })?;
        }
        let (stream, seen) = self.handshake(tcp).await?;
        Ok(Dialed { stream, address, tls: Some(seen), took: began.elapsed() })
    }

    /// The addresses of a name.
    ///
    /// # Errors
    ///
    /// [`Stage::Resolve`].
    pub(crate) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, DialFault> {
        let fault = |why: String| DialFault::at(Stage::Resolve, format!("{host} can not be resolved: {why}"));
        let found = timeout(self.patience, tokio::net::lookup_host((host, port))).await;
        let found: Vec<_> = found
            .map_err(|_| fault(format!("no answer within {} s", self.patience.as_secs())))?
            .map_err(|error| fault(error.to_string()))?
            .collect();
        if found.is_empty() { Err(fault("it has no address".to_owned())) } else { Ok(found) }
    }

    /// The first address that takes a connection.
    ///
    /// # Errors
    ///
    /// [`Stage::Connect`].
    pub(crate) async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, DialFault> {
        let mut says = Vec::new();
        for address in addresses {
            let why = match timeout(self.patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {} s", self.patience.as_secs()),
            };
            says.push(format!("{address} takes no connection: {why}"));
        }
        Err(DialFault::at(Stage::Connect, says.join("; ")))
    }

    async fn handshake(&self, tcp: TcpStream) -> Result<(Box<dyn Io>, Seen), DialFault> {
        let host = self.url.host();
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DialFault::at(Stage::Handshake, format!("{host} can stand in no certificate")))?;
        let recorder = Arc::new(self.recorder()?);
        let config = self.tls(recorder.clone())?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, tcp);
        let shaken = timeout(self.patience, handshake).await;
        let mut seen = recorder.seen();
        let why = match shaken {
            Ok(Ok(stream)) => {
                let version = stream.get_ref().1.protocol_version();
                seen.version = version.and_then(|version| version.as_str().map(str::to_owned));
                return Ok((Box::new(stream), seen));
            }
            Ok(Err(error)) => {
                seen.is_too_old = is_too_old(&error);
                seen.distrust.clone().unwrap_or_else(|| error.to_string())
            }
            Err(_) => format!("no answer within {} s", self.patience.as_secs()),
        };
        let says = format!("TLS with {host} failed: {why}");
        Err(DialFault { seen: Some(seen), ..DialFault::at(Stage::Handshake, says) })
    }

    fn recorder(&self) -> Result<Recorder, DialFault> {
        let fault = |why: String| DialFault::at(Stage::Files, why);
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &self.ca_file {
            let certificates =
                CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let certificates = certificates
                .map_err(|error| fault(format!("{} can not be used: {error}", path.display())))?;
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(fault(format!("{} holds no certificate", path.display())));
            }
        }
        if roots.is_empty() {
            return Err(fault(
                "this system has no certificate authorities: install ca-certificates".to_owned(),
            ));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let verifier = verifier.map_err(|error| fault(error.to_string()))?;
        Ok(Recorder { verifier, seen: Mutex::default() })
    }

    fn tls(&self, recorder: Arc<Recorder>) -> Result<ClientConfig, DialFault> {
        let fault = |why: String| DialFault::at(Stage::Files, why);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(recorder);
        let mut config = match &self.client_certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_file_iter(certificate)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>);
                let chain = chain
                    .map_err(|error| fault(format!("{} can not be used: {error}", certificate.display())))?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| fault(format!("{} can not be used: {error}", key.display())))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| fault(error.to_string()))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl DialFault {
    fn at(stage: Stage, says: String) -> Self {
        Self { stage, says, proxy_status: None, seen: None }
    }
}

/// Whether our hello was answered by the alert that none of its versions is spoken (RFC 8446, section 6.2), or by a hello
/// of an older one.
fn is_too_old(error: &io::Error) -> bool {
    use rustls::{AlertDescription::ProtocolVersion, Error, PeerIncompatible::ServerDoesNotSupportTls12Or13};
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    matches!(
        error,
        Some(Error::AlertReceived(ProtocolVersion) | Error::PeerIncompatible(ServerDoesNotSupportTls12Or13))
    )
}

/// Verifies as the library does, and remembers what it saw: a chain that is refused is what people need to see.
#[derive(Debug)]
struct Recorder {
    verifier: Arc<WebPkiServerVerifier>,
    seen: Mutex<Seen>,
}

impl Recorder {
    fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(own, others, name, ocsp, now);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.chain = std::iter::once(own).chain(others).map(|one| one.clone().into_owned()).collect();
        seen.distrust = verified.as_ref().err().map(ToString::to_string);
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
