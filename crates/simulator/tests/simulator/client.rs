//! A client that hides nothing: it writes the bytes it is given and reads an answer by its framing,
//! keeping how the answer ended.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tollgate_simulator::{Config, Running, Simulator};

/// Far above what any of these tests takes: it only turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(20);

/// What comes so much later than the bytes before it is another piece.
const PIECES_APART: Duration = Duration::from_millis(15);

pub(crate) const PLAIN: &str =
    r#"{"model":"claude-opus-5-5","max_tokens":99,"messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const STREAM: &str = r#"{"model":"claude-opus-5-5","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

pub(crate) struct Client {
    stream: TcpStream,
    inbox: Vec<u8>,
    pieces: usize,
    last_read: Instant,
}

/// How an answer's bytes ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// By its own framing.
    Framed,
    Fin,
    Rst,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    /// Without chunk framing.
    pub(crate) body: Vec<u8>,
    /// The size of each chunk, if there are any.
    pub(crate) chunks: Vec<usize>,
    pub(crate) end: End,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The names of the whole events.
    pub(crate) fn events(&self) -> Vec<&str> {
        let text = self.text();
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        whole.split("\n\n").filter_map(|event| event.strip_prefix("event: ")?.lines().next()).collect()
    }
}

/// A simulator with a script of its own, or none.
pub(crate) async fn simulator() -> Running {
    Simulator::start(Config::default()).await.unwrap()
}

/// The head of a POST with these header lines, and the body.
pub(crate) fn post(path: &str, fields: &[&str], body: &str) -> Vec<u8> {
    let mut lines = String::new();
    for field in fields {
        lines.push_str(field);
        lines.push_str("\r\n");
    }
    format!(
        "POST {path} HTTP/1.1\r\nHost: sim\r\nanthropic-version: 2023-06-01\r\n\
         Content-Length: {}\r\n{lines}\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A Messages request with directives.
pub(crate) fn message(directives: &str, body: &str) -> Vec<u8> {
    post("/v1/messages", &[&format!("X-Simulator: {directives}")], body)
}

impl Client {
    pub(crate) async fn connect(simulator: &Running) -> Self {
        Self::connect_to(simulator.addr()).await
    }

    pub(crate) async fn connect_to(addr: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(addr).await.unwrap(),
            inbox: Vec::new(),
            pieces: 0,
            last_read: Instant::now(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request).await;
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to(false).await
    }

    /// Reads the answer to HEAD, which has no body whatever its headers say.
    pub(crate) async fn answer_to_head(&mut self) -> Answer {
        self.answer_to(true).await
    }

    /// One read: what the server sent in one piece comes in one piece.
    pub(crate) async fn read_once(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 256 * 1024];
        let count = within(self.stream.read(&mut buffer)).await.unwrap();
        buffer.truncate(count);
        buffer
    }

    /// Reads up to and including these bytes.
    pub(crate) async fn read_until(&mut self, mark: &str) -> String {
        loop {
            let found = self.inbox.windows(mark.len()).position(|window| window == mark.as_bytes());
            if let Some(start) = found {
                let rest = self.inbox.split_off(start + mark.len());
                let taken = std::mem::replace(&mut self.inbox, rest);
                return String::from_utf8(taken).unwrap();
            }
            assert_eq!(self.fill().await, None, "no `{mark}` in the answer");
        }
    }

    /// How often something came after a pause.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces
    }

    /// How the connection ends, with nothing sent before.
    pub(crate) async fn end(&mut self) -> End {
        let end = self.fill().await.expect("bytes after the answer");
        assert_eq!(self.inbox, b"");
        end
    }

    /// Closes the writing side only.
    pub(crate) async fn shut(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Leaves with RST.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    async fn answer_to(&mut self, is_head: bool) -> Answer {
        let head = self.read_until("\r\n\r\n").await;
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut answer = Answer {
            status: status.parse().unwrap(),
            headers,
            body: Vec::new(),
            chunks: Vec::new(),
            end: End::Framed,
        };
        let ended = if is_head || answer.status < 200 {
            Ok(())
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().unwrap();
            self.take(length, &mut answer.body).await
        } else if answer.header("transfer-encoding").is_some() {
            self.chunks(&mut answer).await
        } else {
            self.take(usize::MAX, &mut answer.body).await
        };
        if let Err(end) = ended {
            answer.end = end;
        }
        answer
    }

    async fn chunks(&mut self, answer: &mut Answer) -> Result<(), End> {
        loop {
            let mut line = Vec::new();
            while !line.ends_with(b"\r\n") {
                self.take(1, &mut line).await?;
            }
            let digits = std::str::from_utf8(&line).unwrap().trim();
            let size = usize::from_str_radix(digits, 16).unwrap();
            if size > 0 {
                answer.chunks.push(size);
            }
            self.take(size, &mut answer.body).await?;
            self.take(2, &mut Vec::new()).await?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn take(&mut self, mut count: usize, into: &mut Vec<u8>) -> Result<(), End> {
        loop {
            let taken = count.min(self.inbox.len());
            into.extend(self.inbox.drain(..taken));
            count -= taken;
            if count == 0 {
                return Ok(());
            }
            if let Some(end) = self.fill().await {
                return Err(end);
            }
        }
    }

    async fn fill(&mut self) -> Option<End> {
        match within(self.stream.read_buf(&mut self.inbox)).await {
            Ok(0) => Some(End::Fin),
            Ok(_) => {
                let pause = self.last_read.elapsed();
                self.pieces += usize::from(pause > PIECES_APART);
                self.last_read += pause;
                None
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Some(End::Rst),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Fails a test that would hang.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("a test hangs")
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    let digest = digest(&SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
