//! The upstream of a bench: fixed bytes for every request, as cheap as a server can be.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use memchr::memmem;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::bytes::read;
use crate::role::Orders;
use crate::script::{Script, UPSTREAM_KEY, refusal};
use crate::workload::{Answer, Workload};

/// Order to go on with the answers that are held.
pub(crate) const GO: &str = "go";
/// Longest request head.
const HEAD_BYTES: usize = 8 * 1024;
/// How much of a held answer is sent before it waits.
const PIECES_BEFORE_HOLD: usize = 3;

/// Serves until the orders end. Says its address first.
pub(crate) async fn serve(workload: &Workload, mut orders: Orders) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let (go, released) = watch::channel(());
    let upstream = Arc::new(Upstream::new(workload.answer, released));
    let ordered = async {
        while let Some(order) = orders.next().await {
            if order == GO {
                go.send_replace(());
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = accept(listener, upstream) => ended,
        ended = ordered => ended,
    }
}

async fn accept(listener: TcpListener, upstream: Arc<Upstream>) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let upstream = upstream.clone();
        // A connection that breaks is the other side's affair: the driver finds what is missing.
        tokio::spawn(async move { drop(upstream.connection(stream).await) });
    }
}

struct Upstream {
    answer: Answer,
    /// What is written at once.
    begin: Vec<u8>,
    /// What follows, write by write.
    rest: Vec<Vec<u8>>,
    released: watch::Receiver<()>,
}

impl Upstream {
    fn new(answer: Answer, released: watch::Receiver<()>) -> Self {
        let Script { head, mut pieces, .. } = Script::new(answer);
        let rest = match answer {
            Answer::Json | Answer::Burst { .. } => Vec::new(),
            Answer::Paced { .. } => pieces.split_off(1),
            Answer::Held => vec![pieces.split_off(PIECES_BEFORE_HOLD).concat()],
        };
        Upstream { answer, begin: [head, pieces.concat()].concat(), rest, released }
    }

    async fn connection(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut head = Vec::with_capacity(HEAD_BYTES);
        while receive(&mut stream, &mut head).await? {
            if is_ours(&head) {
                self.reply(&mut stream).await?;
            } else {
                stream.write_all(&refusal()).await?;
            }
        }
        Ok(())
    }

    async fn reply(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(&self.begin).await?;
        let mut gaps = match self.answer {
            Answer::Paced { gap_ms, .. } => Some(interval(Duration::from_millis(gap_ms))),
            Answer::Json | Answer::Burst { .. } | Answer::Held => None,
        };
        if let Some(gaps) = &mut gaps {
            gaps.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick is at once.
            gaps.tick().await;
        }
        for piece in &self.rest {
            match &mut gaps {
                Some(gaps) => drop(gaps.tick().await),
                None => self.hold().await,
            }
            stream.write_all(piece).await?;
        }
        Ok(())
    }

    /// Waits for the next order to go on.
    async fn hold(&self) {
        let mut released = self.released.clone();
        released.mark_unchanged();
        // The sender lives as long as the server.
        let _ = released.changed().await;
    }
}

/// Reads one request: keeps its head, and drops its body. False where the connection has ended.
async fn receive(stream: &mut TcpStream, head: &mut Vec<u8>) -> io::Result<bool> {
    head.clear();
    let mut received = 0;
    let end = loop {
        let count = read(stream, |bytes| {
            let room = HEAD_BYTES - head.len();
            head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        })
        .await?;
        received += count;
        match memmem::find(head, b"\r\n\r\n") {
            Some(end) => break end + 4,
            None if count == 0 => return Ok(false),
            None if head.len() == HEAD_BYTES => return Err(io::ErrorKind::InvalidData.into()),
            None => {}
        }
    };
    head.truncate(end);
    let whole = end + content_length(head);
    while received < whole {
        match read(stream, |_| {}).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => received += count,
        }
    }
    Ok(true)
}

fn content_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    head.split(|byte| *byte == b'\n')
        .find(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
        .and_then(|line| std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok())
        .unwrap_or(0)
}

/// Whether the credential of the client was taken out, and that of the upstream put in.
fn is_ours(head: &[u8]) -> bool {
    memmem::find(head, UPSTREAM_KEY.as_bytes()).is_some() && memmem::find(head, b"Bearer ").is_none()
}
