//! Opening connections: directly or through the egress proxy, TLS verified.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tollgate_config::Url;

use super::UpstreamFault;
use super::proxy::Proxy;
use crate::stream::Stream;

/// How connections to one origin are opened.
pub(crate) struct Dialer {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    proxy: Option<Proxy>,
}

/// The dialer could not be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum DialerFault {
    /// The upstream's host can not stand in a certificate.
    #[error("{0} is not a host name that TLS can verify")]
    ServerName(String),
    /// The certificate authorities can not be read.
    #[error("the CA file {path} can not be used: {cause}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The system has no certificate authorities.
    #[error(
        "no trusted certificate authorities were found on this system: install ca-certificates, or set upstream.ca_file"
    )]
    NoAuthorities,
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
}

impl Dialer {
    pub(crate) fn new(
        url: &Url,
        ca_file: Option<&Path>,
        http2: bool,
        proxy: Option<Proxy>,
    ) -> Result<Self, DialerFault> {
        let tls = url.tls().then(|| tls(url.host(), ca_file, http2)).transpose()?;
        Ok(Dialer { host: url.host().to_owned(), port: url.port(), tls, proxy })
    }

    /// What stands before the path in a request line: the origin, where a proxy relays plain HTTP
    /// (RFC 9112 section 3.2.2).
    pub(super) fn absolute_form(&self) -> Option<String> {
        let relayed = self.tls.is_none() && self.proxy.is_some();
        relayed.then(|| format!("http://{}", authority(&self.host, self.port)))
    }

    /// Appends the proxy's credential to a request that the proxy itself reads.
    pub(super) fn write_proxy_authorization(&self, out: &mut Vec<u8>) {
        if let (None, Some(proxy)) = (&self.tls, &self.proxy) {
            proxy.write_authorization(out);
        }
    }

    pub(super) async fn dial(&self, limit: Duration) -> Result<Stream, UpstreamFault> {
        tokio::time::timeout(limit, self.connect()).await.unwrap_or(Err(UpstreamFault::ConnectTimeout(limit)))
    }

    async fn connect(&self) -> Result<Stream, UpstreamFault> {
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (self.host.as_str(), self.port),
        };
        let mut tcp = TcpStream::connect((host, port)).await.map_err(UpstreamFault::Connect)?;
        tcp.set_nodelay(true).map_err(UpstreamFault::Connect)?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Stream::Plain(tcp));
        };
        if let Some(proxy) = &self.proxy {
            proxy.tunnel(&mut tcp, &authority(&self.host, self.port)).await?;
        }
        let tls = connector.connect(name.clone(), tcp).await.map_err(UpstreamFault::Connect)?;
        Ok(Stream::Tls(Box::new(tls.into())))
    }
}

/// Host and port, with brackets around an IPv6 address.
fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn tls(
    host: &str,
    ca_file: Option<&Path>,
    http2: bool,
) -> Result<(TlsConnector, ServerName<'static>), DialerFault> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| DialerFault::ServerName(host.to_owned()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(ca_file)?)
        .with_no_client_auth();
    config.alpn_protocols = if http2 { vec![b"h2".to_vec()] } else { vec![b"http/1.1".to_vec()] };
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// The system's authorities, and those of `ca_file`.
fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, DialerFault> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let fault = |cause: String| DialerFault::Authorities { path: path.display().to_string(), cause };
        let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| fault(error.to_string()))?;
        let (added, _) = store.add_parsable_certificates(certificates);
        if added == 0 {
            return Err(fault("it holds no certificate".into()));
        }
    }
    if store.is_empty() { Err(DialerFault::NoAuthorities) } else { Ok(store) }
}

/// An error of the kind that a broken promise of a peer deserves.
pub(super) fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
