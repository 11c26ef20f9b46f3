//! Listening: connections are accepted, TLS is spoken where configured, and the protocol is told apart.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tollgate_config::TlsFiles;

use crate::stream::Stream;
use crate::{Shared, http1, http2};

/// What an HTTP/2 client sends first (RFC 9113 section 3.4); no HTTP/1.1 method begins so.
const PREFACE: &[u8] = b"PRI ";
/// Pause after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// TLS settings that new connections use; replaced whole on reload.
pub(crate) type Tls = ArcSwap<Option<TlsAcceptor>>;

/// The certificate or its key can not be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// A file can not be read as PEM.
    #[error("{path} can not be used: {cause}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The certificate and the key do not belong together, or are of a kind that is not supported.
    #[error("the certificate and its key can not be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// Reads certificate and key.
pub(crate) fn tls(files: Option<&TlsFiles>) -> Result<Option<TlsAcceptor>, TlsFault> {
    let Some(files) = files else {
        return Ok(None);
    };
    let fault = |path: &Path, cause: String| TlsFault::File { path: path.display().to_string(), cause };
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .map_err(|error| fault(&files.cert, error.to_string()))?;
    if chain.is_empty() {
        return Err(fault(&files.cert, "it holds no certificate".into()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| fault(&files.key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

/// Binds the address so that a restart may bind it again at once.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections until draining begins.
pub(crate) async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shared.drain.begun() => return,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let limit = shared.in_force().config.limits.connections;
        let Some(open) = shared.drain.open(limit) else {
            shared.metrics.refused_connection();
            continue;
        };
        let shared = shared.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = serve(&shared, tcp, peer.ip().to_canonical()) => {}
                () = shared.drain.was_cut() => {}
            }
            drop(open);
        });
        drop(task);
    }
}

async fn serve(shared: &Arc<Shared>, tcp: TcpStream, peer: IpAddr) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%peer, %error, "the connection was gone at once");
        return;
    }
    let patience = shared.in_force().config.timeouts.client_head;
    let acceptor = shared.tls.load();
    match acceptor.as_ref() {
        Some(acceptor) => {
            let tls = match timeout(patience, acceptor.accept(tcp)).await {
                Ok(Ok(tls)) => tls,
                Ok(Err(error)) => return tracing::debug!(%peer, %error, "a TLS handshake failed"),
                Err(_) => return,
            };
            let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
            let stream = Stream::Tls(Box::new(tls.into()));
            route(shared, stream, peer, is_http2).await;
        }
        None => {
            if let Ok(Some(is_http2)) = timeout(patience, begins_with_preface(&tcp)).await {
                route(shared, Stream::Plain(tcp), peer, is_http2).await;
            }
        }
    }
}

async fn route(shared: &Arc<Shared>, stream: Stream, peer: IpAddr, is_http2: bool) {
    let shared = shared.clone();
    if is_http2 {
        http2::serve(shared, stream, peer).await;
    } else {
        http1::serve(shared, stream, peer).await;
    }
}

/// Whether the client speaks HTTP/2 by prior knowledge. `None` where it closed without a byte.
async fn begins_with_preface(tcp: &TcpStream) -> Option<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let seen = tcp.peek(&mut first).await.ok()?;
        match seen {
            0 => return None,
            _ if first[..seen] != PREFACE[..seen] => return Some(false),
            4 => return Some(true),
            // Part of the preface alone: the rest is under way.
            _ => sleep(Duration::from_millis(5)).await,
        }
    }
}
