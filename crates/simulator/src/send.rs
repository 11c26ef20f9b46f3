//! Sends an answer as directed: its pace, its faults, its end.

use std::time::Duration;

use tokio::time::Instant;

use crate::directive::{Directives, How, Point, Stop};
use crate::error::ApiError;
use crate::events::{self, Events};
use crate::http::Head;
use crate::link::{ClientLeft, Link};
use crate::record::{Ending, Entry, Note};
use crate::reply::{Body, Delimiter, Reply};

mod writer;

use writer::Writer;

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Keep,
    /// FIN.
    Close,
    /// RST.
    Reset,
}

/// Sends `reply`, keeps the entry true meanwhile and ends it.
pub(crate) async fn send(
    link: &mut Link,
    mut entry: Entry,
    head: &Head,
    reply: Reply,
    directives: &Directives,
    keep_alive: bool,
) -> After {
    let sending = Sending { is_head: head.method == "HEAD", minor: head.minor, keep_alive, directives };
    let sent = sending.run(link, &mut entry, reply).await;
    let (ending, after) = sent.unwrap_or((Ending::Aborted, After::Close));
    entry.end(ending);
    after
}

/// Answers a request that is no HTTP/1.1, and closes.
pub(crate) async fn refuse(link: &mut Link, mut entry: Entry, head: &Head, reply: Reply) -> After {
    let sending =
        Sending { is_head: false, minor: head.minor, keep_alive: false, directives: &Directives::default() };
    // The answer is a courtesy: whether it arrives changes nothing.
    let _ = sending.run(link, &mut entry, reply).await;
    entry.end(Ending::Malformed);
    After::Close
}

struct Sending<'d> {
    is_head: bool,
    minor: u8,
    keep_alive: bool,
    directives: &'d Directives,
}

type Sent = Result<(Ending, After), ClientLeft>;

const CUT: (Ending, After) = (Ending::Cut, After::Close);
const RESET: (Ending, After) = (Ending::Reset, After::Reset);

impl Sending<'_> {
    async fn run(&self, link: &mut Link, entry: &mut Entry, mut reply: Reply) -> Sent {
        let Directives { timing, fault, form, .. } = self.directives;
        if form.no_request_id {
            reply.request_id = None;
        }
        if form.gzip
            && let Body::Whole(bytes, _) = &mut reply.body
        {
            *bytes = writer::gzip(bytes);
        }
        let delimiter = self.delimiter(&reply.body);
        let close = !self.keep_alive || delimiter == Delimiter::Close;
        let mut writer = Writer::new(link, entry, delimiter, form.chunk);
        if timing.first_byte_ms > 0 {
            writer.wait(millis(timing.first_byte_ms)).await?;
        }
        match fault.stop {
            Some(Stop { how: How::Reset, point: Point::Head }) => return Ok(RESET),
            Some(Stop { point: Point::Head, .. }) => return Ok(CUT),
            _ => {}
        }
        if form.bad_head {
            writer.raw(b"HTTP/1.1 two hundred\r\nContent-Length: many\r\n\r\n");
            writer.flush().await?;
            return Ok(CUT);
        }
        if form.interim {
            writer.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </simulated>; rel=preload\r\n\r\n");
            writer.flush().await?;
        }
        if let Some(request_id) = &reply.request_id {
            writer.entry.request_id(request_id);
        }
        writer.head(reply.status, &reply.head(form, delimiter, close));
        if timing.head_then_ms > 0 {
            writer.wait(millis(timing.head_then_ms)).await?;
        }
        let early_end = match reply.body {
            _ if self.is_head => None,
            Body::Whole(bytes, note) => self.whole(&mut writer, &bytes, note).await?,
            Body::Events(events) => self.events(&mut writer, *events).await?,
        };
        if let Some(end) = early_end {
            return Ok(end);
        }
        writer.finish(self.is_head).await?;
        let after = if close || form.hang_up { After::Close } else { After::Keep };
        Ok((Ending::Complete, after))
    }

    fn delimiter(&self, body: &Body) -> Delimiter {
        match body {
            _ if self.directives.form.close => Delimiter::Close,
            Body::Whole(bytes, _) => Delimiter::Length(bytes.len()),
            Body::Events(_) if self.minor == 0 => Delimiter::Close,
            Body::Events(_) => Delimiter::Chunked,
        }
    }

    /// Sends a plain body. It has no events, so that faults act after its first half, and those
    /// directed to act after 0 events before it.
    async fn whole(
        &self,
        writer: &mut Writer<'_>,
        bytes: &[u8],
        note: Note,
    ) -> Result<Option<(Ending, After)>, ClientLeft> {
        let Directives { timing, fault, .. } = self.directives;
        let at_start = match fault.stop {
            Some(stop) => stop.point == Point::Events(0),
            None => timing.at == Some(0),
        };
        let pauses = fault.stop.is_some() || fault.stall || timing.silence_ms > 0;
        let middle = match (pauses, at_start) {
            (true, true) => 0,
            (true, false) => bytes.len() / 2,
            (false, _) => bytes.len(),
        };
        writer.expect(bytes.len(), note);
        writer.body(&bytes[..middle]).await?;
        if timing.silence_ms > 0 {
            writer.wait(millis(timing.silence_ms)).await?;
        }
        if fault.stall {
            writer.stall().await?;
        }
        if let Some(stop) = fault.stop {
            return self.stop(writer, stop.how).await;
        }
        writer.body(&bytes[middle..]).await?;
        Ok(None)
    }

    async fn events(
        &self,
        writer: &mut Writer<'_>,
        mut events: Events,
    ) -> Result<Option<(Ending, After)>, ClientLeft> {
        let Directives { timing, fault, form, .. } = self.directives;
        if form.gzip {
            writer.compress();
        }
        let half = events.total() / 2;
        let at = timing.at.unwrap_or(half);
        let stop = fault.stop.map(|stop| match stop.point {
            Point::Events(count) => (count, stop.how),
            Point::Half | Point::Head => (half, stop.how),
        });
        let mut event = Vec::with_capacity(512);
        for count in 0.. {
            if count == at && self.midway(writer).await? {
                return if form.bad_chunk { Ok(Some(CUT)) } else { Ok(None) };
            }
            event.clear();
            let note = events.next(&mut event);
            if let Some((point, how)) = stop
                && point == count
            {
                if how == How::CutMidEvent {
                    writer.body(&event[..event.len() / 2]).await?;
                }
                return self.stop(writer, how).await;
            }
            let Some(note) = note else {
                break;
            };
            if count > 0 && timing.pace_ms > 0 {
                writer.wait(millis(timing.pace_ms)).await?;
            }
            writer.event(&event, note).await?;
        }
        Ok(None)
    }

    /// What is directed to happen between two events; true if the stream ends with it.
    async fn midway(&self, writer: &mut Writer<'_>) -> Result<bool, ClientLeft> {
        let Directives { timing, fault, form, .. } = self.directives;
        let until = if fault.stall { None } else { Some(Instant::now() + millis(timing.silence_ms)) };
        if let Some(pings_ms) = timing.pings_ms {
            loop {
                let next = Instant::now() + millis(pings_ms);
                if until.is_some_and(|until| until < next) {
                    break;
                }
                writer.wait_until(next).await?;
                writer.ping().await?;
            }
        }
        match until {
            None => writer.stall().await?,
            Some(_) if timing.silence_ms == 0 => {}
            Some(until) => writer.wait_until(until).await?,
        }
        if let Some(kind) = &fault.error_event {
            let mut error = ApiError::of_kind(kind);
            if let Some(message) = &self.directives.failure.message {
                error.message.clone_from(message);
            }
            let mut event = Vec::new();
            events::error(&mut event, &error.envelope(None));
            let note = Note { is_event: true, error: Some(error.kind), ..Note::default() };
            writer.event(&event, note).await?;
        }
        if form.bad_chunk {
            writer.bad_chunk().await?;
        }
        Ok(fault.error_event.is_some() || form.bad_chunk)
    }

    async fn stop(&self, writer: &mut Writer<'_>, how: How) -> Result<Option<(Ending, After)>, ClientLeft> {
        writer.flush_all().await?;
        Ok(match how {
            How::Cut | How::CutMidEvent => Some(CUT),
            How::Reset => Some(RESET),
            How::End => None,
        })
    }
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}
