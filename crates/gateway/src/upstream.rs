//! The upstream: where requests go, over which connections, with which credential.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use thiserror::Error;
use tollgate_config::Url;
use tollgate_wire::http1::{BadHead, ResponseHead};

use crate::secret::Secret;
use crate::stream::Stream;
use dial::Dialer;

pub(crate) mod dial;
mod http1;
mod http2;
pub(crate) mod proxy;

/// What went wrong between the gateway and the upstream. The words are for the log; clients get the sentence
/// that `answer` holds for each kind.
#[derive(Debug, Error)]
pub(crate) enum UpstreamFault {
    /// No connection could be had; nothing was sent.
    #[error("no connection to the upstream: {0}")]
    Connect(io::Error),
    /// No connection within the time limit; nothing was sent.
    #[error("no connection to the upstream within {0:?}")]
    ConnectTimeout(Duration),
    /// The proxy on the way refused the tunnel; nothing was sent.
    #[error("the egress proxy answered {0}")]
    Proxy(String),
    /// The connection broke before an answer's head was whole. The request may have been processed.
    #[error("the upstream's connection broke before it answered: {0}")]
    Broken(io::Error),
    /// No answer's head within the time limit.
    #[error("the upstream did not answer within {0:?}")]
    FirstByteTimeout(Duration),
    /// The answer's head is not valid HTTP.
    #[error("the upstream's answer is not valid HTTP: {0}")]
    BadHead(#[from] BadHead),
    /// The answer is of a form that was not asked for.
    #[error("the upstream's answer is not HTTP as expected")]
    NotHttp,
    /// The upstream refused the gateway's own credential.
    #[error("the upstream refused the gateway's credential")]
    Credential,
}

impl UpstreamFault {
    /// Whether the upstream may have seen the request, and so may bill it.
    pub(crate) fn may_have_been_sent(&self) -> bool {
        match self {
            UpstreamFault::Connect(_) | UpstreamFault::ConnectTimeout(_) | UpstreamFault::Proxy(_) => false,
            UpstreamFault::Broken(_)
            | UpstreamFault::FirstByteTimeout(_)
            | UpstreamFault::BadHead(_)
            | UpstreamFault::NotHttp
            | UpstreamFault::Credential => true,
        }
    }
}

/// The credential that the gateway shows to the upstream.
#[derive(Debug)]
pub(crate) struct Credential(Secret);

impl Credential {
    pub(crate) fn new(secret: Secret) -> Self {
        Credential(secret)
    }

    /// Appends the header line. OAuth access tokens go as a bearer token, API keys in `x-api-key`.
    pub(crate) fn write_line(&self, out: &mut Vec<u8>) {
        let text = self.0.reveal();
        let name: &[u8] =
            if text.starts_with("sk-ant-oat") { b"authorization: Bearer " } else { b"x-api-key: " };
        out.extend_from_slice(name);
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Time limits toward the upstream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// To open a connection, TLS included.
    pub(crate) connect: Duration,
    /// From the request's last byte to the answer's head.
    pub(crate) first_byte: Duration,
}

/// One upstream.
pub(crate) struct Upstream {
    url: Url,
    name: Arc<str>,
    dialer: Dialer,
    http1: Arc<http1::Pool>,
    http2: Option<http2::Pool>,
    credential: ArcSwap<Credential>,
}

/// An answer's head, and where its body is read from.
pub(crate) struct Reply {
    /// The bytes that `head` points into.
    pub(crate) bytes: Bytes,
    /// The head.
    pub(crate) head: ResponseHead,
    /// The body.
    pub(crate) source: Source,
}

/// Where the body of an answer is read from.
pub(crate) enum Source {
    /// Bytes as they are on the wire, framing included.
    Http1(http1::Source),
    /// Payload alone.
    Http2(http2::Source),
}

impl Upstream {
    pub(crate) fn new(url: Url, dialer: Dialer, http2: bool, credential: Credential) -> Self {
        Upstream {
            name: url.authority().into(),
            url,
            dialer,
            http1: Arc::default(),
            http2: http2.then(http2::Pool::default),
            credential: ArcSwap::from_pointee(credential),
        }
    }

    /// Host and port, as records name this upstream.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Starts the head of a request to `target`: request line, host, credential.
    pub(crate) fn begin_head(&self, method: &[u8], target: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(method);
        out.push(b' ');
        if let Some(origin) = self.dialer.absolute_form() {
            out.extend_from_slice(origin.as_bytes());
        }
        out.extend_from_slice(self.url.base_path().as_bytes());
        out.extend_from_slice(target);
        out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(b"\r\n");
        self.credential.load().write_line(out);
        self.dialer.write_proxy_authorization(out);
    }

    /// Sends a request once and reads the head of its answer. `head` is a whole HTTP/1.1 head that
    /// [`Upstream::begin_head`] started.
    ///
    /// The only thing tried twice is opening a connection: after the first byte of a request was sent, whether
    /// to try again is the client's decision, for it alone knows what a second run would cost.
    pub(crate) async fn send(
        &self,
        head: &[u8],
        body: &Bytes,
        patience: Patience,
    ) -> Result<Reply, UpstreamFault> {
        if let Some(pool) = &self.http2 {
            let exchange = pool.exchange(|| self.dial(patience), head, body, self.url.tls());
            let (bytes, head, source) = in_time(patience.first_byte, exchange).await?;
            return Ok(Reply { bytes, head, source: Source::Http2(source) });
        }
        let stream = match self.http1.take() {
            Some(stream) => stream,
            None => self.dial(patience).await?,
        };
        let exchange = http1::exchange(stream, &self.http1, head, body);
        let (bytes, head, source) = in_time(patience.first_byte, exchange).await?;
        Ok(Reply { bytes, head, source: Source::Http1(source) })
    }

    async fn dial(&self, patience: Patience) -> Result<Stream, UpstreamFault> {
        match self.dialer.dial(patience.connect).await {
            Ok(stream) => Ok(stream),
            Err(fault) => {
                tracing::warn!(upstream = %self.name, %fault, "connecting failed, trying once more");
                self.dialer.dial(patience.connect).await
            }
        }
    }
}

async fn in_time<T>(
    limit: Duration,
    exchange: impl Future<Output = Result<T, UpstreamFault>>,
) -> Result<T, UpstreamFault> {
    tokio::time::timeout(limit, exchange).await.unwrap_or(Err(UpstreamFault::FirstByteTimeout(limit)))
}
