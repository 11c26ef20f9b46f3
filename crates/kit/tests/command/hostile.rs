//! `tollgate check` before servers that mean no good, or are not what they are taken for.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::run::{Ran, ran, tollgate};

const TOKEN: &str = "sk-canary-client-0123456789-abcdef";
const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-5-5",
    "content":[{"type":"text","text":"hello"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;

/// Gives every request the answer that this makes of its head. Lives as long as the process.
fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        thread::scope(|scope| {
            for tcp in listener.incoming().map_while(Result::ok) {
                scope.spawn(|| serve(tcp, &answer));
            }
        });
    });
    address
}

/// One request on each connection. A client that leaves is none of our business.
fn serve(mut tcp: TcpStream, answer: &dyn Fn(&str) -> String) {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                let _ = tcp.write_all(answer(head).as_bytes());
                return;
            }
        }
        match tcp.read(&mut part) {
            Ok(0) | Err(_) => return,
            Ok(read) => request.extend_from_slice(&part[..read]),
        }
    }
}

fn answer(status: u16, kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn check(address: &str, more: &[&str]) -> Ran {
    let url = format!("http://{address}");
    let mut command = tollgate(&["check", "--url", &url, "--token-env", "CHECK_TOKEN"]);
    ran(command.args(more).env("CHECK_TOKEN", TOKEN).env("NO_PROXY", "*").output().unwrap())
}

/// Of a report in JSON: what came of this rule.
fn outcome(report: &str, rule: &str) -> String {
    let report: Value = serde_json::from_str(report).unwrap();
    let rows = report["findings"].as_array().unwrap();
    rows.iter().find(|row| row["rule"] == rule).unwrap()["outcome"].as_str().unwrap().to_owned()
}

#[test]
fn no_spelling_of_the_credential_reaches_a_report() {
    let all = |spell: fn(u8) -> String| TOKEN.bytes().map(spell).collect::<String>();
    let spellings = [
        TOKEN.to_ascii_uppercase(),
        STANDARD.encode(TOKEN),
        STANDARD.encode(format!("client:{TOKEN}")),
        STANDARD.encode(format!("me:{TOKEN}")),
        all(|byte| format!("%{byte:02X}")),
        all(|byte| format!("{byte:02x}")),
        TOKEN.replace('-', "\\u002d"),
        // The report shows the first 300 bytes of a body.
        format!("{}{TOKEN}", "x".repeat(300 - 24)),
    ];
    for spelling in spellings {
        let body = spelling.clone();
        let address = server(move |_| answer(401, "text/plain", &body));
        // A third of it is as good as all of it.
        let shown = spelling[spelling.len() / 2 - 10..spelling.len() / 2 + 10].to_owned();
        let shown = if spelling.starts_with("xx") { TOKEN[..20].to_owned() } else { shown };
        for format in ["text", "json"] {
            let checked = check(&address, &["--format", format, "--verbose"]);
            assert!(checked.out.contains("[hidden]"), "{spelling}: {}", checked.out);
            assert!(!checked.out.contains(&shown), "{spelling}: {}", checked.out);
        }
    }
}

#[test]
fn a_secret_that_is_refused_on_the_command_line_is_not_repeated() {
    for command in [&["check"][..], &["check", "rate-limit"], &["doctor", "auth"], &["client", "setup"]] {
        for (url, token) in [("http://127.0.0.1:9", "canary \u{e9}"), ("http://me:canary@127.0.0.1:9", "key")]
        {
            let refused = ran(tollgate(command).args(["--url", url, "--token", token]).output().unwrap());
            assert_eq!(refused.status, if command[0] == "check" { 3 } else { 2 }, "{}", refused.err);
            assert!(!refused.err.contains("canary") && refused.err.len() > 40, "{}", refused.err);
        }
        for mistaken in [&["--token", "Bearer", "sk-canary"][..], &["--token-env", "sk-canary"]] {
            let mut refused = tollgate(command);
            let refused = ran(refused.args(["--url", "http://127.0.0.1:9"]).args(mistaken).output().unwrap());
            assert_eq!(refused.status, if command[0] == "check" { 3 } else { 2 }, "{}", refused.err);
            assert!(!refused.err.contains("canary") && refused.err.len() > 40, "{}", refused.err);
        }
    }
}

#[test]
fn what_is_not_there_is_told_with_its_own_cure() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let checked = check(&closed, &[]);
    assert_eq!(checked.status, 4);
    for (part, is_there) in [
        ("\u{2717} Gateway can not be reached", true),
        ("Nothing listens there", true),
        ("NOT COMPATIBLE", false),
        ("route POST", false),
        ("buffer", false),
    ] {
        assert_eq!(checked.out.contains(part), is_there, "{part}: {}", checked.out);
    }
}

#[test]
fn a_url_that_repeats_the_path_is_told_so() {
    let address = server(|_| answer(404, "text/plain", "no such page"));
    let checked = check(&format!("{address}/v1"), &[]);
    assert_eq!(checked.status, 1);
    let cure = format!("cure: Leave that out: http://{address}\n");
    assert!(
        checked.out.contains(&cure) && !checked.out.contains("route POST /v1/messages,"),
        "{}",
        checked.out
    );
}

#[test]
fn a_proxy_is_not_taken_for_the_gateway_behind_it() {
    let refusing = server(|_| answer(407, "text/html", "who are you?"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (url, proxy, says) in [
        ("http://gateway.example", &refusing, "407"),
        ("https://gateway.example", &refusing, "407"),
        ("http://gateway.example", &closed, "Connection refused"),
        ("https://gateway.example", &closed, "Connection refused"),
    ] {
        let mut command = tollgate(&["check", "--url", url, "--token-env", "CHECK_TOKEN"]);
        let proxy = format!("http://ann:canary-password@{proxy}");
        command.env("CHECK_TOKEN", TOKEN).env("http_proxy", &proxy).env("https_proxy", &proxy);
        let checked = ran(command.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap());
        assert_eq!(checked.status, 4, "{url}: {}{}", checked.out, checked.err);
        let first = checked.out.lines().next().unwrap();
        assert!(
            first.contains("the proxy")
                && first.contains("http_proxy") | first.contains("https_proxy")
                && first.contains(says),
            "{first}"
        );
        assert!(!checked.out.contains("canary"), "{}", checked.out);
    }
}

#[test]
fn an_answer_that_is_no_message_says_nothing_about_what_reached_a_provider() {
    let address = server(|_| answer(200, "text/html", "<title>Welcome</title>"));
    let checked = check(&address, &["--format", "json"]);
    assert_eq!(checked.status, 1, "{}", checked.out);
    for (rule, expected) in [
        ("endpoint", "fail"),
        ("headers", "unknown"),
        ("headers.version", "unknown"),
        ("headers.beta", "unknown"),
        ("auth.api_key", "unknown"),
        ("errors.success", "unknown"),
    ] {
        assert_eq!(outcome(&checked.out, rule), expected, "{rule}: {}", checked.out);
    }
}

#[test]
fn a_gateway_that_refuses_everything_says_nothing_about_credentials() {
    let address = server(|_| answer(503, "text/html", "maintenance"));
    let checked = check(&address, &["--format", "json"]);
    assert_eq!(checked.status, 1, "{}", checked.out);
    for (rule, expected) in
        [("endpoint", "fail"), ("status", "unknown"), ("auth.refused", "unknown"), ("auth.none", "unknown")]
    {
        assert_eq!(outcome(&checked.out, rule), expected, "{rule}: {}", checked.out);
    }
}

#[test]
fn a_limit_that_is_met_proves_nothing_about_other_rules() {
    let limited = |head: &str| !head.starts_with("POST /v1/messages?") || !head.contains(TOKEN);
    let address = server(move |head| match limited(head) {
        true => answer(429, "application/json", "{}"),
        false => answer(200, "application/json", MESSAGE),
    });
    let checked = check(&address, &["--format", "json"]);
    for rule in ["endpoint.control", "endpoint.count_tokens", "endpoint.models", "auth.refused", "status"] {
        assert_eq!(outcome(&checked.out, rule), "unknown", "{rule}: {}", checked.out);
    }
    assert_eq!(outcome(&checked.out, "endpoint"), "pass");
}

#[test]
fn a_report_that_can_not_be_written_is_not_lost() {
    let address = server(|_| answer(401, "text/plain", "no"));
    let full = check(&address, &["--output", "/dev/full"]);
    assert_eq!(full.status, 3);
    assert!(full.err.contains("No space left") && full.out.contains("Authentication"), "{}", full.out);
    // What can be seen before is refused before anybody is asked.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    for path in ["/no/such/folder/report", "/"] {
        let refused = check(&silent.local_addr().unwrap().to_string(), &["--output", path]);
        assert_eq!(refused.status, 3, "{}", refused.err);
        assert!(
            refused.err.contains("can not be written") && !refused.err.contains("checking"),
            "{}",
            refused.err
        );
    }
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[test]
fn a_file_that_is_too_long_for_a_credential_is_not_cut_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "a".repeat(64 * 1024 + 1)).unwrap();
    let checked =
        ran(tollgate(&["check", "--url", "http://127.0.0.1:9", "--token-file"]).arg(&path).output().unwrap());
    assert_eq!(checked.status, 3, "{}", checked.out);
    assert!(checked.err.contains("larger than 65536 bytes"), "{}", checked.err);
}
