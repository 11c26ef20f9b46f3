//! Faults: waiting, stalling, cutting, resetting, lying.

use std::time::{Duration, Instant};

use tollgate_simulator::Ending;

use crate::client::{Client, End, PLAIN, STREAM, message, post, simulator, within};

#[tokio::test]
async fn a_stream_ends_where_it_is_told_to() {
    let rows = [
        ("cut=0", 0, End::Fin, Ending::Cut),
        ("cut=3", 3, End::Fin, Ending::Cut),
        // Half of 9.
        ("cut", 4, End::Fin, Ending::Cut),
        // All events, but no end of the chunks.
        ("cut=9", 9, End::Fin, Ending::Cut),
        ("cut=10", 9, End::Framed, Ending::Complete),
        ("cut_mid_event=3", 3, End::Fin, Ending::Cut),
        ("reset=3", 3, End::Rst, Ending::Reset),
        ("reset", 4, End::Rst, Ending::Reset),
        ("end=3", 3, End::Framed, Ending::Complete),
        ("error_event; at=3", 4, End::Framed, Ending::Complete),
    ];
    let simulator = simulator().await;
    for (number, (directives, events, end, ending)) in rows.into_iter().enumerate() {
        let mut client = Client::connect(&simulator).await;
        let answer = client.ask(&message(directives, STREAM)).await;
        assert_eq!(answer.events().len(), events, "{directives}");
        assert_eq!(answer.end, end, "{directives}");
        let seen = within(simulator.record().ended(number as u64 + 1)).await;
        let served = &seen.last().unwrap().answer;
        assert_eq!(served.ending, ending, "{directives}");
        assert_eq!(served.events, events as u64, "{directives}");
        assert_eq!(served.body_bytes, answer.body.len() as u64, "{directives}");
    }
}

#[tokio::test]
async fn an_event_is_cut_in_its_middle() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let answer = client.ask(&message("cut_mid_event=1", STREAM)).await;
    let text = answer.text();
    let after = &text[text.find("\n\n").unwrap() + 2..];
    assert_eq!(after, "event: ping\ndata: ");
}

#[tokio::test]
async fn a_plain_answer_ends_after_half_of_its_bytes() {
    let rows = [
        ("cut", true, End::Fin),
        ("cut=0", false, End::Fin),
        ("reset", true, End::Rst),
        ("reset=0", false, End::Rst),
    ];
    let simulator = simulator().await;
    for (directives, half, end) in rows {
        let mut client = Client::connect(&simulator).await;
        let answer = client.ask(&message(directives, PLAIN)).await;
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        let expected = if half { length / 2 } else { 0 };
        assert_eq!(answer.body.len(), expected, "{directives}");
        assert_eq!(answer.end, end, "{directives}");
    }
    let served = within(simulator.record().until(|served| served.requests == 4)).await;
    assert!(served.by_model.is_empty(), "no bill was told");
}

#[tokio::test]
async fn a_connection_ends_before_any_answer() {
    let rows = [("cut=head", End::Fin), ("reset=head", End::Rst), ("reset=head; first_byte_ms=5", End::Rst)];
    let simulator = simulator().await;
    for (directives, end) in rows {
        let mut client = Client::connect(&simulator).await;
        client.send(&message(directives, STREAM)).await;
        assert_eq!(client.end().await, end, "{directives}");
    }
    for seen in within(simulator.record().ended(3)).await {
        assert_eq!(seen.answer.status, None);
        assert!(seen.whole);
    }
}

#[tokio::test]
async fn an_early_answer_comes_before_the_body() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let request = message("early; status=401", PLAIN);
    client.send(&request[..request.len() - PLAIN.len()]).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    assert_eq!(client.end().await, End::Fin);
    assert!(!simulator.record().last().unwrap().whole);
}

#[tokio::test]
async fn bytes_that_are_no_http_are_sent() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    client.send(&message("bad_head", STREAM)).await;
    client.read_until("HTTP/1.1 two hundred\r\n").await;
    let mut client = Client::connect(&simulator).await;
    client.send(&message("bad_chunk; at=1", STREAM)).await;
    let sent = client.read_until("zz\r\n").await;
    assert_eq!(sent.matches("event: ").count(), 1);
    assert_eq!(client.end().await, End::Fin);
}

#[tokio::test]
async fn a_hang_up_is_not_announced() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let answer = client.ask(&message("hang_up", PLAIN)).await;
    assert_eq!(answer.header("connection"), Some("keep-alive"));
    assert_eq!(client.end().await, End::Fin);
}

#[tokio::test]
async fn an_error_event_ends_a_stream() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let rows = [
        ("error_event; at=3", "overloaded_error", "Overloaded"),
        ("error_event=api_error; at=0", "api_error", "Internal server error"),
        ("error_event=odd; message=Said", "odd", "Said"),
    ];
    for (directives, kind, message_said) in rows {
        let answer = client.ask(&message(directives, STREAM)).await;
        let expected = format!(
            "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{kind}\",\
             \"message\":\"{message_said}\"}}}}\n\n"
        );
        assert!(answer.text().ends_with(&expected), "{}", answer.text());
        assert_eq!(answer.end, End::Framed);
        let seen = simulator.record().last().unwrap();
        assert_eq!(seen.answer.error.as_deref(), Some(kind));
    }
}

/// Each row waits at least so long, and between which marks.
#[tokio::test]
async fn time_passes_where_it_is_told_to() {
    const WAIT: Duration = Duration::from_millis(60);
    let rows = [
        ("first_byte_ms=60", "", "HTTP/1.1"),
        ("head_then_ms=60", "\r\n\r\n", "message_start"),
        ("silence_ms=60; at=1", "message_start", "ping"),
        ("silence_ms=60; at=1; chunk=1000", "message_start", "ping"),
        ("pace_ms=30", "message_start", "content_block_start"),
        ("silence_ms=60; at=9", "message_stop", "0\r\n\r\n"),
    ];
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    for (directives, from, to) in rows {
        client.send(&message(directives, STREAM)).await;
        if !from.is_empty() {
            client.read_until(from).await;
        }
        let start = Instant::now();
        client.read_until(to).await;
        // Timers count whole milliseconds.
        assert!(start.elapsed() + Duration::from_millis(2) >= WAIT, "{directives}");
        if to != "0\r\n\r\n" {
            client.read_until("0\r\n\r\n").await;
        }
    }
}

#[tokio::test]
async fn pings_fill_a_silence() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let start = Instant::now();
    let answer = client.ask(&message("silence_ms=100; pings_ms=20; at=3", STREAM)).await;
    assert!(start.elapsed() >= Duration::from_millis(98));
    let events = answer.events();
    let pings = events[3..].iter().take_while(|name| **name == "ping").count();
    assert!((1..=5).contains(&pings), "{events:?}");
    assert_eq!(events.last(), Some(&"message_stop"));
    assert_eq!(simulator.record().last().unwrap().answer.events, events.len() as u64);
}

#[tokio::test]
async fn a_client_that_leaves_a_stalled_stream_is_noticed() {
    let simulator = simulator().await;
    for (number, leave_by_reset) in [false, true].into_iter().enumerate() {
        let mut client = Client::connect(&simulator).await;
        client.send(&message("stall; at=4; text=Hello world", STREAM)).await;
        client.read_until("Hello world\"}}\n\n").await;
        if leave_by_reset {
            client.reset();
        } else {
            drop(client);
        }
        let seen = within(simulator.record().ended(number as u64 + 1)).await;
        let answer = &seen.last().unwrap().answer;
        assert_eq!(answer.ending, Ending::Aborted);
        assert_eq!((answer.events, answer.chars), (4, 11));
        let usage = answer.usage.unwrap();
        assert_eq!((usage.input, usage.output), (STREAM.len().div_ceil(4) as u64, 1));
        assert_eq!(answer.bill[0].tokens, usage);
        assert_eq!(answer.stop_reason, None);
    }
}

#[tokio::test]
async fn a_client_that_leaves_before_the_head_is_noticed() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    client.send(&message("first_byte_ms=86400000", STREAM)).await;
    within(simulator.record().until(|served| served.open == 1)).await;
    client.shut().await;
    let seen = within(simulator.record().ended(1)).await;
    assert_eq!(seen[0].answer.ending, Ending::Aborted);
    assert_eq!(seen[0].answer.status, None);
}

#[tokio::test]
async fn a_client_that_leaves_its_own_request_is_noticed() {
    let simulator = simulator().await;
    for cut_at in [30, 150] {
        let mut client = Client::connect(&simulator).await;
        client.send(&post("/v1/messages", &[], PLAIN)[..cut_at]).await;
        client.shut().await;
        assert_eq!(client.end().await, End::Fin);
    }
    for seen in within(simulator.record().ended(2)).await {
        assert_eq!(seen.answer.ending, Ending::Aborted);
        assert!(!seen.whole);
    }
}

#[tokio::test]
async fn a_client_that_stops_reading_and_leaves_is_noticed() {
    const SIZE: u64 = 64 * 1024 * 1024;
    let simulator = simulator().await;
    for body in [PLAIN, STREAM] {
        simulator.record().clear();
        let mut client = Client::connect(&simulator).await;
        client.send(&message("size=64mb; events=1000", body)).await;
        client.read_until("HTTP/1.1 200 OK").await;
        drop(client);
        let seen = within(simulator.record().ended(1)).await;
        let answer = &seen.last().unwrap().answer;
        assert_eq!(answer.ending, Ending::Aborted);
        assert!(answer.body_bytes < SIZE);
        assert_eq!(answer.stop_reason, None);
    }
}

#[tokio::test]
async fn requests_sent_ahead_survive_a_wait() {
    let simulator = simulator().await;
    let mut client = Client::connect(&simulator).await;
    let mut requests = message("pace_ms=5; text=First", STREAM);
    requests.extend(message("text=Second", PLAIN));
    client.send(&requests).await;
    assert!(client.answer().await.text().contains("First"));
    assert!(client.answer().await.text().contains("Second"));
}

#[tokio::test]
async fn stopping_ends_what_is_under_way() {
    let simulator = simulator().await;
    let record = simulator.record();
    let mut client = Client::connect(&simulator).await;
    client.send(&message("stall; at=1", STREAM)).await;
    client.read_until("message_start").await;
    let addr = simulator.addr();
    within(simulator.stop()).await;
    assert_eq!(record.last().unwrap().answer.ending, Ending::Stopped);
    assert_eq!(record.served().open, 0);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
