//! An HTTP/1.1 client over bare sockets: it sends exactly the bytes it is given and says how an answer ended.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One answer, and how it ended.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The payload, without chunked framing.
    pub body: Vec<u8>,
    /// Whether the body came to the end that its framing announced.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The type in an error envelope.
    pub fn error_type(&self) -> String {
        self.json()["error"]["type"].as_str().unwrap_or_default().to_owned()
    }
}

/// One connection, with what was read ahead.
pub struct Connection {
    pub stream: TcpStream,
    pending: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        Connection::over(TcpStream::connect(address).await.unwrap())
    }

    /// Over a stream that is open.
    pub fn over(stream: TcpStream) -> Self {
        // A connection that is gone already shows when it is used.
        let _ = stream.set_nodelay(true);
        Connection { stream, pending: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // A refusal may close the connection before all was sent; the answer says so.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads until the head is whole; `None` where the connection ended before.
    pub async fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        loop {
            if let Some(end) = find(&self.pending, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.pending[..end]).into_owned();
                self.pending.drain(..end + 4);
                let mut lines = head.split("\r\n");
                let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
                let headers = lines
                    .filter_map(|line| line.split_once(':'))
                    .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
                    .collect();
                if status == 100 {
                    continue;
                }
                return Some((status, headers));
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads one whole answer; `None` where the connection ended without one.
    pub async fn answer(&mut self) -> Option<Answer> {
        let (status, headers) = self.head().await?;
        let value = |name: &str| {
            headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        };
        let (body, whole) = if value("transfer-encoding").is_some() {
            self.chunks().await
        } else if let Some(length) = value("content-length") {
            self.exactly(length.parse().unwrap()).await
        } else {
            (self.until_close().await, true)
        };
        Some(Answer { status, headers, body, whole })
    }

    /// Whether the other side has closed: no byte comes any more.
    pub async fn is_closed(&mut self) -> bool {
        self.pending.is_empty() && !self.more().await
    }

    /// Forgets what was read and not looked at.
    pub fn drain(&mut self) {
        self.pending.clear();
    }

    /// Whether the other side ends by a reset, after whatever bytes it still sends.
    pub async fn is_reset(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Reads payload until `wanted` is in it, and leaves the rest.
    pub async fn until(&mut self, wanted: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = find(&self.pending, wanted) {
                return self.pending.drain(..at + wanted.len()).collect();
            }
            assert!(self.more().await, "the connection ended: {}", String::from_utf8_lossy(&self.pending));
        }
    }

    async fn exactly(&mut self, length: usize) -> (Vec<u8>, bool) {
        while self.pending.len() < length {
            if !self.more().await {
                return (std::mem::take(&mut self.pending), false);
            }
        }
        (self.pending.drain(..length).collect(), true)
    }

    async fn until_close(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.pending)
    }

    async fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            let Some(end) = self.line().await else {
                return (body, false);
            };
            let size = String::from_utf8_lossy(&end).trim().split(';').next().unwrap().to_owned();
            let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("a chunk size: {size:?}"));
            let (chunk, whole) = self.exactly(size + 2).await;
            if !whole {
                body.extend_from_slice(&chunk[..chunk.len().min(size)]);
                return (body, false);
            }
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return (body, true);
            }
        }
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.pending, b"\r\n") {
                return Some(self.pending.drain(..end + 2).collect());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(count) if count > 0 => {
                self.pending.extend_from_slice(&buffer[..count]);
                true
            }
            _ => false,
        }
    }
}

/// Sends one request on a connection of its own.
pub async fn request(address: SocketAddr, head: &str, body: &[u8]) -> Option<Answer> {
    let mut connection = Connection::open(address).await;
    connection.send(&[head.as_bytes(), body].concat()).await;
    connection.answer().await
}

/// Posts JSON with the headers given, one a line, without CRLF at the end of the last.
pub async fn post(address: SocketAddr, target: &str, headers: &[&str], body: impl AsRef<[u8]>) -> Answer {
    let body = body.as_ref();
    let head = head("POST", target, headers, Some(body.len()));
    request(address, &head, body).await.expect("an answer")
}

/// Gets with the headers given.
pub async fn get(address: SocketAddr, target: &str, headers: &[&str]) -> Answer {
    request(address, &head("GET", target, headers, None), b"").await.expect("an answer")
}

/// The head of a request.
pub fn head(method: &str, target: &str, headers: &[&str], length: Option<usize>) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if let Some(length) = length {
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"));
    }
    head.push_str("\r\n");
    head
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
