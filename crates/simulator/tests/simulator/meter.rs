//! Two accounts of the same bytes: what the simulator says it served, and what the gateway's meter
//! reads in it. Neither knows the other.

use tollgate_simulator::{Answered, Ending, Share, Tokens};
use tollgate_wire::meter::{Meter, Metered};

use crate::client::{Answer, Client, PLAIN, STREAM, message, simulator, within};

const MODEL: &str = "claude-opus-5-5";

#[tokio::test]
async fn meter_and_record_agree() {
    let rows = [
        "",
        "size=40kb; events=100; pace_ms=0",
        "text=\u{e4}\u{20ac}\u{1f600}; thinking",
        r#"tool=Bash:{"command":"echo hello"}; tool=Read:{"path":"/tmp"}; text=Two tools."#,
        "usage=in:10,out:9,cr:8,c5:7,c1:6",
        "usage=in:10,out:9,cr:8,c5:7,c1:6; iterations; web_search=2; web_fetch=3",
        "model=claude-haiku-5-5; tier=priority; speed=fast; geo=us",
        "fallback=claude-sonnet-5; usage=in:10,out:9",
        r#"iterations=[{"type":"advisor_message","model":"claude-fable-5-2","input_tokens":5,"output_tokens":4},{"type":"message","input_tokens":3,"output_tokens":2}]"#,
        "refusal",
        "refusal_mid; text=Half of this.",
        "no_usage",
        "stop_reason=max_tokens",
        "gzip; size=9kb",
        "chunk=1",
        "status=529",
        "status=429; error_code=enforced_spend_limit_reached",
    ];
    let on_streams = [
        "cut=1",
        "cut=2; usage=in:10,out:9,cr:8,c5:7,c1:6",
        "cut=5",
        "cut_mid_event=5; size=4kb",
        "end=6",
        "error_event; at=5",
        "reset=5",
        "cut=5; gzip; size=4kb",
        "cut=7; tool=Bash:{\"command\":\"a long enough command for several fragments\"}",
    ];
    let both = rows.into_iter().flat_map(|row| [(row, STREAM), (row, PLAIN)]);
    let simulator = simulator().await;
    for (directives, body) in both.chain(on_streams.map(|row| (row, STREAM))) {
        simulator.record().clear();
        let mut client = Client::connect(&simulator).await;
        let answer = client.ask(&message(directives, body)).await;
        let seen = within(simulator.record().ended(1)).await;
        let metered = meter(&answer);
        let context = format!("{directives} {body} {metered:#?} {:#?}", seen[0].answer);
        compare(&metered, &seen[0].answer, body == STREAM, &context);
    }
}

fn meter(answer: &Answer) -> Metered {
    let is_stream = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let meter = if is_stream { Meter::for_stream() } else { Meter::for_answer() };
    let mut meter = match answer.header("content-encoding") {
        Some(_) => meter.gzip(),
        None => meter,
    };
    for piece in answer.body.chunks(1000) {
        meter.push(piece);
    }
    meter.finish()
}

fn compare(metered: &Metered, served: &Answered, is_stream: bool, context: &str) {
    assert_eq!(metered.stop_reason, served.stop_reason, "{context}");
    assert_eq!(metered.error, served.error, "{context}");
    assert_eq!(metered.unread, None, "{context}");
    let told = metered.usage.as_ref().map(|usage| Tokens {
        input: usage.input_tokens,
        output: usage.output_tokens,
        cache_read: usage.cache_read_tokens,
        cache_write_5m: usage.cache_write_5m_tokens,
        cache_write_1h: usage.cache_write_1h_tokens,
        web_search_requests: usage.web_search_requests,
        web_fetch_requests: usage.web_fetch_requests,
    });
    assert_eq!(told, served.usage, "{context}");
    if is_stream && served.status == Some(200) {
        assert_eq!(metered.text_chars, served.chars, "{context}");
        let said_all = served.ending == Ending::Complete && served.stop_reason.is_some();
        assert_eq!(metered.complete, said_all, "{context}");
    }
    assert_eq!(bill(metered), served.bill, "{context}");
}

/// The bill by the documented rule: the iterations if there are any, otherwise the totals.
fn bill(metered: &Metered) -> Vec<Share> {
    let Some(usage) = metered.usage.as_ref().filter(|_| metered.billable) else {
        return Vec::new();
    };
    let serving = metered.model.clone().unwrap_or(MODEL.into());
    let total = Tokens {
        input: usage.input_tokens,
        output: usage.output_tokens,
        cache_read: usage.cache_read_tokens,
        cache_write_5m: usage.cache_write_5m_tokens,
        cache_write_1h: usage.cache_write_1h_tokens,
        ..Tokens::default()
    };
    let mut bill: Vec<Share> = usage
        .iterations
        .iter()
        .map(|run| Share {
            model: run.model.clone().unwrap_or(serving.clone()),
            tokens: Tokens {
                input: run.input_tokens,
                output: run.output_tokens,
                cache_read: run.cache_read_tokens,
                cache_write_5m: run.cache_write_5m_tokens,
                cache_write_1h: run.cache_write_1h_tokens,
                ..Tokens::default()
            },
        })
        .collect();
    if bill.is_empty() {
        bill.push(Share { model: serving.clone(), tokens: total });
    }
    if let Some(own) = bill.iter_mut().find(|share| share.model == serving) {
        own.tokens.web_search_requests = usage.web_search_requests;
        own.tokens.web_fetch_requests = usage.web_fetch_requests;
    }
    bill
}
