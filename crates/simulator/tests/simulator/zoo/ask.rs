//! A visit to an animal: a client before it, a simulator behind it.

use std::time::Duration;

use tollgate_simulator::zoo::{Animal, Cage, Terms};
use tollgate_simulator::{Running, Seen};

use crate::client::{Answer, Client, simulator, within};

pub(super) const BETAS: &str = "claude-code-20250219,interleaved-thinking-2025-05-14";
pub(super) const STRAY: &str = "stray-credential-9876543210";
/// In place of 32 MiB, so that the tests are fast.
pub(super) const MOST_BODY_BYTES: usize = 5 * 1024 * 1024 / 4;
/// What takes longer is slow: here, what should take less than 3 s.
pub(super) const PROMPT: Duration = Duration::from_millis(2000);
/// A pause, and a long one.
pub(super) const PAUSES_MS: [u64; 2] = [900, 2600];

/// One animal in its cage.
pub(super) struct Visit {
    pub(super) cage: Cage,
    pub(super) simulator: Running,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// What came of one.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) answer: Answer,
    /// In how many pieces the answer came, by the pauses between them.
    pub(super) pieces: usize,
    /// What reached the upstream of it.
    pub(super) seen: Vec<Seen>,
}

impl Visit {
    /// Limits that nobody meets, and times that are short.
    pub(super) async fn to(animal: &'static Animal) -> Self {
        let terms = Terms {
            most_body_bytes: MOST_BODY_BYTES as u64,
            rpm: 1_000_000,
            burst: 1_000_000,
            tokens_per_minute: u64::MAX,
            idle: Duration::from_millis(1800),
            short_idle: Duration::from_millis(450),
            slow: Duration::from_millis(2500),
            ..Terms::default()
        };
        let simulator = simulator().await;
        let cage = Cage::start_on(animal, simulator.addr(), terms).await.unwrap();
        Self { cage, simulator }
    }

    /// A request as Claude Code sends it, with the right credential as a bearer.
    pub(super) fn message(&self, directives: &str) -> Ask {
        Ask::message(directives).credentials([Some(self.cage.client_token()), None])
    }

    pub(super) async fn ask(&self, ask: &Ask) -> Told {
        self.simulator.record().clear();
        let mut client = Client::connect_to(self.cage.addr()).await;
        client.send(&ask.bytes()).await;
        let answer = match ask.method {
            "HEAD" => client.answer_to_head().await,
            _ => client.answer().await,
        };
        within(self.simulator.record().idle()).await;
        Told { answer, pieces: client.pieces(), seen: self.simulator.record().requests() }
    }
}

impl Ask {
    pub(super) fn message(directives: &str) -> Self {
        let prompt = if directives.is_empty() { "hi".into() } else { format!("[[sim: {directives}]] hi") };
        let prompt = serde_json::Value::from(prompt);
        Self {
            method: "POST",
            target: "/v1/messages?beta=true".into(),
            headers: vec![
                ("accept", "application/json".into()),
                ("content-type", "application/json".into()),
                ("user-agent", "claude-cli/2.1.330 (external, sdk-cli)".into()),
                ("x-app", "cli".into()),
                ("x-claude-code-session-id", "session".into()),
                ("anthropic-beta", BETAS.into()),
                ("anthropic-version", "2023-06-01".into()),
            ],
            body: format!(
                r#"{{"max_tokens":9,"messages":[{{"content":{prompt},"role":"user"}}],"model":"claude-opus-5-5","system":[{{"text":"a","type":"text"}},{{"text":"b","type":"text"}}]}}"#
            ),
        }
    }

    /// The credentials in `authorization` and in `x-api-key`.
    pub(super) fn credentials(self, [bearer, api_key]: [Option<&str>; 2]) -> Self {
        let bearer = bearer.map(|credential| format!("Bearer {credential}"));
        self.header("authorization", bearer).header("x-api-key", api_key.map(str::to_owned))
    }

    /// With this value of a header, or without the header.
    pub(super) fn header(mut self, name: &'static str, value: Option<String>) -> Self {
        self.headers.retain(|(given, _)| *given != name);
        self.headers.extend(value.map(|value| (name, value)));
        self
    }

    pub(super) fn target(mut self, method: &'static str, target: &str) -> Self {
        self.method = method;
        target.clone_into(&mut self.target);
        if method != "POST" {
            self.body.clear();
        }
        self
    }

    pub(super) fn body(self, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..self }
    }

    pub(super) fn stream(mut self) -> Self {
        self.body.pop();
        self.body.push_str(r#","stream":true}"#);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let Self { method, target, headers, body } = self;
        let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "{method} {target} HTTP/1.1\r\nhost: zoo\r\ncontent-length: {}\r\n{lines}\r\n{body}",
            body.len()
        )
        .into_bytes()
    }
}

impl Told {
    /// A header as it reached the upstream, all its values together.
    pub(super) fn arrived(&self, name: &str) -> Option<String> {
        let headers = self.seen.last()?.headers.iter();
        let values: Vec<&str> = headers
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(","))
    }
}
