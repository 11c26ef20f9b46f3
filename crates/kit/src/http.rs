//! A small HTTP/1.1 client for one exchange at a time. It knows no proxy, no redirect and no TLS: it speaks to
//! listeners of this machine.

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::HOST,
};
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// How long a connection may take to be opened.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take to begin.
const HEAD: Duration = Duration::from_secs(60);
/// The longest answer that is read whole.
const ANSWER_BYTES: usize = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpFault {
    /// No connection.
    #[error("{0}")]
    Connect(std::io::Error),
    /// The connection broke, or what came is no HTTP.
    #[error("{0}")]
    Broken(#[from] hyper::Error),
    /// Nothing came in time.
    #[error("nothing came for {} s", .0.as_secs())]
    Slow(Duration),
    /// The body broke off, or was too long.
    #[error("the answer broke off: {0}")]
    Body(String),
}

/// Opens a connection, sends the request, and returns when the head of the answer is there. `Host` is set.
///
/// Dropping the answer before its end closes the connection.
///
/// # Errors
///
/// [`HttpFault`].
pub(crate) async fn send(
    to: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, HttpFault> {
    let stream = timeout(CONNECT, TcpStream::connect(to))
        .await
        .map_err(|_| HttpFault::Slow(CONNECT))?
        .map_err(HttpFault::Connect)?;
    let host = to.to_string().try_into().map_err(|_| HttpFault::Body("no host".to_owned()))?;
    request.headers_mut().insert(HOST, host);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the body of the answer; what breaks it is told to the reader of that body.
    tokio::spawn(connection);
    let answer = timeout(HEAD, sender.send_request(request)).await.map_err(|_| HttpFault::Slow(HEAD))??;
    Ok(answer)
}

/// Reads a body to its end.
///
/// # Errors
///
/// [`HttpFault::Body`].
pub(crate) async fn read(body: Incoming) -> Result<Bytes, HttpFault> {
    let whole = Limited::new(body, ANSWER_BYTES).collect().await;
    whole.map(http_body_util::Collected::to_bytes).map_err(|error| HttpFault::Body(error.to_string()))
}
