//! The clients of a bench. They check every answer, byte for byte.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinSet;
use tollgate_wire::http1::{Chunked, Progress};

use crate::bytes::read;
use crate::script::{self, Script};
use crate::workload::{Traffic, Workload};

/// Said when all idle streams are open.
pub(crate) const OPEN: &str = "open";
/// How many streams may be opened at a time.
const OPENING: usize = 64;

/// What the clients saw.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Answers with status 200 and the right body. There are no others: one of those ends the run.
    pub(crate) answers: u64,
    /// From the first request to the last answer.
    pub(crate) seconds: f64,
    /// From a request to the end of its answer, where clients send one request after the other.
    pub(crate) p50_us: u64,
    /// As `p50_us`; one in a hundred is slower.
    pub(crate) p99_us: u64,
}

/// Plays the clients of a workload, and gives what they saw.
pub(crate) async fn play(
    workload: &'static Workload,
    address: SocketAddr,
    credentials: &[&str],
    duration: Duration,
) -> Result<Seen> {
    ensure!(!credentials.is_empty(), "no credential");
    let clients: Vec<_> = (0..connections(workload))
        .map(|number| Client::new(workload, address, credentials[number % credentials.len()]))
        .collect();
    let began = Instant::now();
    let mut times = answers(workload, clients, began + duration).await?;
    let seconds = began.elapsed().as_secs_f64();
    times.sort_unstable();
    let quantile = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1)).copied();
    Ok(Seen {
        answers: times.len() as u64,
        seconds,
        p50_us: quantile(50).context("no answer")?.into(),
        p99_us: quantile(99).context("no answer")?.into(),
    })
}

fn connections(workload: &Workload) -> usize {
    match workload.traffic {
        Traffic::Loop { connections } => connections,
        Traffic::Streams { streams } | Traffic::Idle { streams } => streams,
    }
}

/// Gives the time of each answer, in microseconds.
async fn answers(workload: &'static Workload, clients: Vec<Client>, until: Instant) -> Result<Vec<u32>> {
    let opening = Arc::new(Semaphore::new(OPENING));
    let open = Rc::new(Open {
        left: clients.len().into(),
        is_told: matches!(workload.traffic, Traffic::Idle { .. }),
    });
    let mut tasks = JoinSet::new();
    for client in clients {
        let (opening, open) = (opening.clone(), open.clone());
        tasks.spawn_local(async move {
            match workload.traffic {
                Traffic::Loop { .. } => client.repeat(until).await,
                Traffic::Streams { .. } | Traffic::Idle { .. } => client.once(&opening, &open).await,
            }
        });
    }
    let mut times = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        times.extend(ended??);
    }
    Ok(times)
}

/// How many streams are not open yet.
struct Open {
    left: std::cell::Cell<usize>,
    is_told: bool,
}

impl Open {
    fn one_more(&self) {
        self.left.set(self.left.get() - 1);
        if self.is_told && self.left.get() == 0 {
            println!("{OPEN}");
        }
    }
}

struct Client {
    address: SocketAddr,
    request: Vec<u8>,
    expected: Script,
}

impl Client {
    fn new(workload: &Workload, address: SocketAddr, credential: &str) -> Self {
        Client {
            address,
            request: script::request(workload, credential),
            expected: Script::new(workload.answer),
        }
    }

    async fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Sends one request after the other until the time is over.
    async fn repeat(&self, until: Instant) -> Result<Vec<u32>> {
        let mut stream = self.connect().await?;
        let mut times = Vec::new();
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok(times);
            }
            stream.write_all(&self.request).await?;
            self.receive(&mut stream, None).await?;
            times.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
    }

    /// Sends one request when it is its turn, and reads its answer.
    async fn once(&self, opening: &Semaphore, open: &Open) -> Result<Vec<u32>> {
        let turn = opening.acquire().await?;
        let mut stream = self.connect().await?;
        let began = Instant::now();
        stream.write_all(&self.request).await?;
        self.receive(&mut stream, Some((turn, open))).await?;
        Ok(vec![u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX)])
    }

    /// Reads one answer to its end. The turn is given back when the answer has begun.
    async fn receive(
        &self,
        stream: &mut TcpStream,
        mut turn: Option<(SemaphorePermit<'_>, &Open)>,
    ) -> Result<()> {
        let mut answer = Answer::new(&self.expected.payload);
        loop {
            let mut progress = Ok(false);
            let count = read(stream, |bytes| progress = answer.take(bytes)).await?;
            ensure!(count > 0, "the connection ended within an answer");
            if let Some((turn, open)) = turn.take_if(|_| answer.received > 0) {
                drop(turn);
                open.one_more();
            }
            if progress? {
                return Ok(());
            }
        }
    }
}

/// An answer on its way, compared with what it should be.
struct Answer<'a> {
    /// Bytes of the head, until it is whole.
    head: Option<Vec<u8>>,
    /// Present where the body comes in chunks.
    chunks: Option<Chunked>,
    expected: &'a [u8],
    /// Bytes of the body so far.
    received: usize,
}

impl<'a> Answer<'a> {
    fn new(expected: &'a [u8]) -> Self {
        Answer { head: Some(Vec::new()), chunks: None, expected, received: 0 }
    }

    /// Takes the next bytes. True at the end of the answer.
    fn take(&mut self, bytes: &[u8]) -> Result<bool> {
        let Some(head) = &mut self.head else {
            return self.body(bytes);
        };
        head.extend_from_slice(bytes);
        let Some(end) = memmem::find(head, b"\r\n\r\n") else {
            return Ok(false);
        };
        let begin = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
        if !begin.starts_with("http/1.1 200 ") {
            bail!("not the expected answer: {}", String::from_utf8_lossy(head));
        }
        let is_chunked = begin.contains("\r\ntransfer-encoding: chunked");
        let length = format!("\r\ncontent-length: {}", self.expected.len());
        ensure!(is_chunked || begin.contains(&length), "the answer's length is not announced: {begin}");
        self.chunks = is_chunked.then(Chunked::default);
        let rest = head.split_off(end + 4);
        self.head = None;
        self.body(&rest)
    }

    fn body(&mut self, bytes: &[u8]) -> Result<bool> {
        let (expected, received) = (self.expected, &mut self.received);
        let mut is_same = true;
        let mut compare = |run: &[u8]| {
            is_same &= expected.get(*received..).is_some_and(|rest| rest.starts_with(run));
            *received += run.len();
        };
        let ended = match &mut self.chunks {
            None => {
                compare(bytes);
                *received == expected.len()
            }
            Some(chunks) => match chunks.read(bytes, compare) {
                Ok(Progress::More) => false,
                Ok(Progress::End(used)) => used == bytes.len(),
                Err(_) => bail!("the answer's chunks are not well formed"),
            },
        };
        ensure!(is_same, "the answer's body is not what the upstream sent");
        ensure!(!ended || self.received == self.expected.len(), "the answer's body is short");
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_answer_passes() {
        let json = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let chunked = |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
        let rows = [
            (json("hello"), Some(true)),
            (json("hallo"), None),
            (json("hell"), None),
            (json("hello").replace("200", "201"), None),
            (json("hello").replace("lo", "l"), Some(false)),
            (chunked("5\r\nhello\r\n0\r\n\r\n"), Some(true)),
            (chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), Some(true)),
            (chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n"), Some(false)),
            (chunked("4\r\nhell\r\n0\r\n\r\n"), None),
            (chunked("5\r\nhello\r\n1\r\n!\r\n"), None),
            (chunked("x\r\nhello\r\n"), None),
        ];
        for (wire, wanted) in rows {
            for step in [1, 7, wire.len()] {
                let mut answer = Answer::new(b"hello");
                let taken = wire.as_bytes().chunks(step).try_fold(false, |_, bytes| answer.take(bytes));
                assert_eq!(taken.ok(), wanted, "{wire} by {step}");
            }
        }
    }
}
