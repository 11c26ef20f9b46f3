//! Looks at streams: what arrives, when it arrives, and how it ends. Judged by the instants at which bytes come, because
//! a stream that was held back to its end looks like any other once it is there.

use std::time::Duration;

use tollgate_simulator::Ending;

use super::{
    question::Question,
    rules::{ARRIVAL, CANCEL, CLOSE, CUT, ERROR_EVENT, GZIP, IDLE, PINGS, SILENCE, STREAM},
    scene::{Scene, Trial},
};
use crate::{
    exchange::{Answer, End},
    finding::{Finding, Ground::Proven, Rule},
};

/// The pause between two events of a stream whose timing is judged. Six pauses are far longer than a busy machine is
/// late, and short enough to wait for.
const PACE_MS: u64 = 120;
/// The end of a stream is the last of so many parts of the time in which it was sent. An honest relay delivers the
/// bytes of `message_start`, a third of all, at the beginning; a buffer may let a few bytes of its own form go early.
const LATE: u32 = 5;
/// How long the pause of [`silence`] is: longer than the shortest time-out that was ever seen to cut a stream short
/// by mistake, and short enough to wait for each time.
const PAUSE: Duration = Duration::from_millis(2_500);
/// How soon the upstream's work must end when the client has left.
const CANCEL_WITHIN: Duration = Duration::from_secs(3);

/// The stream of the guide: three pieces of text.
pub(super) async fn whole(scene: &Scene) -> Finding {
    let trial = scene.ask(scene.message("events=3; pace_ms=40").stream()).await;
    let answer = match trial.both(&STREAM, "a request for a stream") {
        Ok((answer, _)) => answer,
        Err(finding) => return *finding,
    };
    let finding = match stream_fault(answer, 3) {
        Some(says) => Finding::fail(&STREAM, Proven, says),
        None => Finding::pass(&STREAM, Proven, "Gateway supports SSE streaming (3 chunks received)"),
    };
    trial.explain(finding)
}

/// What is wrong with a stream that should hold so many pieces of text, at least.
pub(super) fn stream_fault(answer: &Answer, pieces: usize) -> Option<String> {
    let kind = answer.header("content-type").unwrap_or("none");
    let text = answer.text();
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("event:")).map(str::trim).collect();
    let deltas = names.iter().filter(|name| **name == "content_block_delta").count();
    if answer.status != 200 {
        Some(format!("a request for a stream is answered with status {}", answer.status))
    } else if !kind.starts_with("text/event-stream") {
        Some(format!("the stream has the content-type {kind}"))
    } else if names.first() != Some(&"message_start") {
        Some("the stream does not begin with message_start".to_owned())
    } else if deltas < pieces {
        Some(format!("{deltas} of {pieces} chunks arrive"))
    } else if names.last() != Some(&"message_stop") || answer.end != End::Whole {
        Some("the stream does not end with message_stop".to_owned())
    } else {
        None
    }
}

/// Whether a stream comes while it is sent.
async fn in_time(scene: &Scene, rule: &'static Rule, what: &str, question: Question) -> Finding {
    let trial = scene.ask(question).await;
    let (answer, seen) = match trial.both(rule, what) {
        Ok(both) => both,
        Err(finding) => return *finding,
    };
    let last = match answer.pieces.last() {
        Some(last) if answer.status == 200 => last.at,
        _ => {
            let says = format!("{what} is answered with status {} and nothing else", answer.status);
            return trial.explain(Finding::fail(rule, Proven, says));
        }
    };
    if answer.end != End::Whole || seen.answer.ending != Ending::Complete {
        let says = format!("{what} breaks off, {} ms after it was asked for", last.as_millis());
        return trial.explain(Finding::fail(rule, Proven, says));
    }
    let sent = Duration::from_millis(seen.answer.ms);
    let (all, late) = bytes_late(answer, last.saturating_sub(sent / LATE));
    let times: Vec<String> = answer.pieces.iter().map(|piece| piece.at.as_millis().to_string()).collect();
    let ms = sent.as_millis();
    let finding = if late * 5 > all * 4 {
        let says = format!("{what} is held back: of {all} bytes, sent over {ms} ms, {late} come at its end");
        Finding::fail(rule, Proven, says)
    } else {
        Finding::pass(rule, Proven, format!("{what} comes while it is sent, over {ms} ms"))
    };
    trial.explain(finding.with("came at ms", times.join(" ")))
}

/// All bytes of a body, and those that came at this instant or later.
fn bytes_late(answer: &Answer, from: Duration) -> (usize, usize) {
    let sum = |late: bool| {
        let pieces = answer.pieces.iter().filter(|piece| !late || piece.at >= from);
        pieces.map(|piece| piece.bytes.len()).sum()
    };
    (sum(false), sum(true))
}

/// A stream in chunks.
pub(super) async fn arrival(scene: &Scene) -> Finding {
    let question = scene.message(&format!("events=4; pace_ms={PACE_MS}")).stream();
    in_time(scene, &ARRIVAL, "a stream", question).await
}

/// A stream that ends with its connection.
pub(super) async fn close(scene: &Scene) -> Finding {
    let question = scene.message(&format!("close; events=4; pace_ms={PACE_MS}")).stream();
    in_time(scene, &CLOSE, "a stream without chunks", question).await
}

/// A stream for a client that takes gzip, compressed by the upstream, and not.
pub(super) async fn gzip(scene: &Scene) -> Finding {
    let question = |form: &str| {
        let question = scene.message(&format!("{form}events=4; pace_ms={PACE_MS}")).stream();
        question.header("accept-encoding", "gzip, deflate, br, zstd")
    };
    let compressed = in_time(scene, &GZIP, "a compressed stream", question("gzip; ")).await;
    if matches!(compressed.outcome, crate::finding::Outcome::Pass(_)) {
        in_time(scene, &GZIP, "a stream that might be compressed", question("")).await
    } else {
        compressed
    }
}

/// Pings in a pause.
pub(super) async fn pings(scene: &Scene) -> Finding {
    let question = scene.message("events=2; at=3; silence_ms=900; pings_ms=150").stream();
    let trial = scene.ask(question).await;
    let answer = match trial.both(&PINGS, "a request for a stream with pings") {
        Ok((answer, _)) => answer,
        Err(finding) => return *finding,
    };
    // The first ping of a stream follows its head. Those that count come in the pause, before the next event.
    let mut text = String::new();
    let mut during = 0;
    for piece in &answer.pieces {
        let new = String::from_utf8_lossy(&piece.bytes);
        let is_over = text.contains("event: content_block_stop") || new.contains("event: message_stop");
        if !is_over && text.contains("event: content_block_start") {
            during += new.matches("event: ping").count();
        }
        text.push_str(&new);
    }
    let finding = if during >= 2 {
        Finding::pass(&PINGS, Proven, format!("{during} pings come in a pause of 900 ms"))
    } else if text.matches("event: ping").count() > 2 {
        Finding::fail(&PINGS, Proven, "pings come only after the pause that they are for")
    } else {
        Finding::fail(&PINGS, Proven, "pings do not come")
    };
    trial.explain(finding)
}

/// A pause without a byte, in a stream and in its middle.
pub(super) async fn silence(scene: &Scene) -> Finding {
    pause(scene, &SILENCE, PAUSE).await
}

/// The same at a length that clients bear.
pub(super) async fn idle(scene: &Scene, pause_for: Duration) -> Finding {
    pause(scene, &IDLE, pause_for).await
}

async fn pause(scene: &Scene, rule: &'static Rule, pause: Duration) -> Finding {
    let directives = format!("events=2; silence_ms={}", pause.as_millis());
    let question = scene.message(&directives).stream().silence(scene.patience + pause);
    let trial = scene.ask(question).await;
    let answer = match trial.both(rule, &format!("a stream with a pause of {} ms", pause.as_millis())) {
        Ok((answer, _)) => answer,
        Err(finding) => return *finding,
    };
    let finding = match stream_fault(answer, 2) {
        None => {
            Finding::pass(rule, Proven, format!("a stream survives {} ms without a byte", pause.as_millis()))
        }
        Some(_) => {
            let last = answer.pieces.last().map_or(answer.head_at, |piece| piece.at);
            let ended = trial.took.saturating_sub(last);
            let says = format!("a stream that pauses is ended {} ms after its last byte", ended.as_millis());
            Finding::fail(rule, Proven, says)
        }
    };
    trial.explain(finding)
}

/// An error in the middle of a stream.
pub(super) async fn error_event(scene: &Scene) -> Finding {
    let trial = scene.ask(scene.message("events=4; error_event; at=4").stream()).await;
    let (answer, seen) = match trial.both(&ERROR_EVENT, "a request for a stream with an error") {
        Ok(both) => both,
        Err(finding) => return *finding,
    };
    let text = answer.text();
    let finding = if !text.contains("event: error") || !text.contains("overloaded_error") {
        Finding::fail(&ERROR_EVENT, Proven, "the error event does not come")
    } else if text.matches("event: ").count() as u64 > seen.answer.events {
        Finding::fail(&ERROR_EVENT, Proven, "events come that the upstream did not send")
    } else {
        Finding::pass(&ERROR_EVENT, Proven, "the error event comes, and nothing is added")
    };
    trial.explain(finding)
}

/// Streams that break: by a proper end of the connection, and by a reset.
pub(super) async fn cut(scene: &Scene) -> Finding {
    for (what, directives) in
        [("closed", "events=4; pace_ms=20; cut=4"), ("reset", "events=4; pace_ms=20; reset=4")]
    {
        let trial = scene.ask(scene.message(directives).stream()).await;
        let what = format!("a stream whose connection the upstream has {what}");
        let answer = match trial.both(&CUT, &what) {
            Ok((answer, _)) => answer,
            // Broken off so early that not even the head came: broken off all the same.
            Err(_) if !trial.arrived.is_empty() => continue,
            Err(finding) => return *finding,
        };
        let says = match &answer.end {
            End::Whole if answer.status == 200 => format!("{what} ends for the client as if it were whole"),
            End::Silent => format!("{what} stays open for the client"),
            End::Whole | End::Cut(_) | End::Left => continue,
        };
        return trial.explain(Finding::fail(&CUT, Proven, says));
    }
    Finding::pass(&CUT, Proven, "a broken stream is broken for the client")
}

/// A client that leaves, before the first byte and in the middle.
pub(super) async fn cancel(scene: &Scene) -> Finding {
    let early = scene.message("first_byte_ms=20000").stream().silence(Duration::from_millis(400));
    let midway = scene.message("events=4; stall; at=3").stream().leave_after(1);
    for (when, question) in [("before the first byte", early), ("in the middle of a stream", midway)] {
        let nonce = question.nonce.clone();
        let trial = scene.ask(question).await;
        let arrived = scene.arrived(&nonce, CANCEL_WITHIN).await;
        let Some(seen) = arrived.last() else {
            return trial.explain(Finding::unknown(&CANCEL, "the request did not reach the upstream"));
        };
        if seen.answer.ending != Ending::Aborted {
            return open_after(&trial, when);
        }
    }
    Finding::pass(&CANCEL, Proven, "when the client leaves, the upstream's work ends")
}

fn open_after(trial: &Trial, when: &str) -> Finding {
    let seconds = CANCEL_WITHIN.as_secs();
    let says = format!("{seconds} s after the client has left {when}, the upstream still works");
    trial.explain(Finding::fail(&CANCEL, Proven, says))
}
