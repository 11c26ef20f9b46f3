//! The upstream of a bench: fixed bytes for every request, as cheap as a server can be.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use memchr::memmem;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval};

use crate::bytes::read;
use crate::script::{Script, UPSTREAM_KEY, refusal};
use crate::workload::{Answer, Workload};

/// Longest request head.
const HEAD_BYTES: usize = 8 * 1024;
/// How much of a held answer is sent before it waits.
const PIECES_BEFORE_HOLD: usize = 3;

/// An upstream, and what it answers.
pub(crate) struct Upstream {
    answer: Answer,
    /// What is written at once.
    begin: Vec<u8>,
    /// What follows, write by write.
    rest: Vec<Vec<u8>>,
    /// Tells answers that are held to go on.
    released: watch::Sender<()>,
}

impl Upstream {
    /// The upstream of a workload.
    pub(crate) fn new(workload: &Workload) -> Rc<Self> {
        let Script { head, mut pieces, .. } = Script::new(workload.answer);
        let rest = match workload.answer {
            Answer::Json | Answer::Burst { .. } => Vec::new(),
            Answer::Paced { .. } => pieces.split_off(1),
            Answer::Held => vec![pieces.split_off(PIECES_BEFORE_HOLD).concat()],
        };
        let begin = [head, pieces.concat()].concat();
        Rc::new(Upstream { answer: workload.answer, begin, rest, released: watch::Sender::new(()) })
    }

    /// Lets all answers go on that are held now.
    pub(crate) fn release(&self) {
        self.released.send_replace(());
    }

    /// Answers whoever connects.
    pub(crate) async fn serve(self: Rc<Self>, listener: TcpListener) -> Result<()> {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let upstream = self.clone();
            // A connection that breaks is the other side's affair: the clients find what is missing.
            spawn_local(async move { drop(upstream.connection(stream).await) });
        }
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
        // The sender is in `self`, so it lives as long as this waits.
        let _ = self.released.subscribe().changed().await;
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
