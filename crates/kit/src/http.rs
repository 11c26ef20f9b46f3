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
    #[error("it took longer than {} s", .0.as_secs())]
    Slow(Duration),
    /// The body broke off, or was too long.
    #[error("the answer broke off: {0}")]
    Body(String),
}

/// Opens a connection, sends the request, and returns when the head of the answer is there, which `patience` bounds.
/// `Host` is set.
///
/// Dropping the answer before its end closes the connection.
///
/// # Errors
///
/// [`HttpFault`].
pub(crate) async fn send(
    to: SocketAddr,
    mut request: Request<Full<Bytes>>,
    patience: Duration,
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
    let answer = timeout(patience, sender.send_request(request)).await;
    Ok(answer.map_err(|_| HttpFault::Slow(patience))??)
}

/// Reads a body to its end, which must come within `patience`.
///
/// # Errors
///
/// [`HttpFault::Body`], [`HttpFault::Slow`].
pub(crate) async fn read(body: Incoming, patience: Duration) -> Result<Bytes, HttpFault> {
    let whole = Limited::new(body, ANSWER_BYTES).collect();
    let whole = timeout(patience, whole).await.map_err(|_| HttpFault::Slow(patience))?;
    whole.map(http_body_util::Collected::to_bytes).map_err(|error| HttpFault::Body(error.to_string()))
}

/// The next bytes of a body, which must come within `patience`; none after the last ones.
///
/// # Errors
///
/// [`HttpFault::Body`], [`HttpFault::Slow`].
pub(crate) async fn next(body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, HttpFault> {
    loop {
        let frame = timeout(patience, body.frame()).await.map_err(|_| HttpFault::Slow(patience))?;
        let Some(frame) = frame.transpose().map_err(|error| HttpFault::Body(error.to_string()))? else {
            return Ok(None);
        };
        // What holds no data are trailers.
        if let Ok(bytes) = frame.into_data() {
            return Ok(Some(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn nobody_is_waited_for_longer_than_patience_lasts() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let request = || Request::new(Full::new(Bytes::new()));
        let silent = send(address, request(), PATIENCE).await;
        assert!(matches!(silent, Err(HttpFault::Slow(PATIENCE))), "{silent:?}");
        drop(listener.accept().await.unwrap());

        let (answer, connection) = tokio::join!(send(address, request(), 100 * PATIENCE), async {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.read_u8().await.unwrap();
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart").await.unwrap();
            connection
        });
        let body = read(answer.unwrap().into_body(), PATIENCE).await;
        assert!(matches!(body, Err(HttpFault::Slow(PATIENCE))), "{body:?}");
        drop(connection);
    }
}
