use hyper::body::Bytes;

use super::*;
use crate::{
    exchange::{End, Piece},
    finding::Outcome,
};

/// A call at this second; a refusal says after how many seconds there is room.
fn call(at: f64, refused: Option<u64>) -> Call {
    let sent_at = Duration::from_secs_f64(at);
    let answered_at = sent_at + Duration::from_millis(10);
    Call { sent_at, answered_at, is_admitted: refused.is_none(), retry_after: refused }
}

#[test]
fn a_promise_is_kept_by_whoever_waits_and_by_nobody_else() {
    let ms = |ms| Duration::from_millis(ms);
    let rows: [(&[Call], Promise); 9] = [
        (&[call(0.0, None)], Promise::Unseen),
        (&[call(0.0, Some(3)), call(2.5, Some(1))], Promise::Unseen),
        (&[call(0.0, Some(3)), call(2.5, None)], Promise::Kept),
        (&[call(0.0, Some(1)), call(0.5, None), call(0.51, Some(1)), call(1.2, None)], Promise::Kept),
        (&[call(0.0, Some(1)), call(1.51, Some(1))], Promise::Broken { said: 1, waited: ms(1500) }),
        (&[call(0.0, Some(60)), call(30.01, None)], Promise::Exceeded { said: 60, waited: ms(30_000) }),
        // Sent before the refusal came back: nobody waited.
        (&[call(0.0, Some(60)), call(0.005, None), call(0.02, Some(60))], Promise::Unseen),
        (&[call(0.0, Some(60)), call(0.005, None), call(59.5, None)], Promise::Kept),
        (&[call(0.0, Some(1)), call(0.005, None), call(1.5, Some(1))], Promise::Unseen),
    ];
    for (log, expected) in rows {
        assert_eq!(promise(log), expected, "{log:?}");
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let pieces = vec![Piece { at: Duration::ZERO, bytes: Bytes::from_static(body.as_bytes()) }];
    Answer { status, headers, head_at: Duration::ZERO, pieces, end: End::Whole }
}

const BODY: &str = r#"{"type":"error","error":{"type":"rate_limit_error","message":"Too many."}}"#;

#[test]
fn a_refusal_has_the_form_that_clients_obey() {
    let other = r#"{"type":"error","error":{"type":"api_error","message":"Too many."}}"#;
    let rows: [(Answer, Option<&str>); 9] = [
        (answer(429, &[("retry-after", "60")], BODY), None),
        (answer(429, &[("retry-after", "86400"), ("x-should-retry", "false")], BODY), None),
        (answer(429, &[], BODY), Some("no retry-after")),
        (answer(429, &[("retry-after", "0")], BODY), Some("0 s")),
        (answer(429, &[("retry-after", "61")], BODY), Some("61 s")),
        (answer(429, &[("retry-after", "Sun, 22 Nov 2026 11:18:00 GMT")], BODY), Some("no whole number")),
        (answer(429, &[("retry-after", "5"), ("x-should-retry", "false")], BODY), Some("x-should-retry")),
        (answer(503, &[("retry-after", "5")], BODY), Some("503")),
        (answer(429, &[("retry-after", "5")], other), Some("api_error")),
    ];
    for (answer, fault) in rows {
        let finding = shape(&answer);
        assert_eq!(matches!(finding.outcome, Outcome::Pass(_)), fault.is_none(), "{finding:?}");
        assert!(finding.says.contains(fault.unwrap_or_default()), "{finding:?}");
    }
    assert!(matches!(shape(&answer(429, &[("retry-after", "5")], "<html>")).outcome, Outcome::Fail(_)));
}
