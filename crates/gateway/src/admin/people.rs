//! Everything that is kept about one person, for the person (GDPR, article 15) or for whoever answers for them.

use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tollgate_policy::allowance::Allowance;
use tollgate_policy::entry::{Entry, Event};
use tollgate_policy::id::KeyId;
use tollgate_policy::operator::Role;
use tollgate_policy::scope::{Name, Scope};

use super::fault::AdminFault;
use super::keys::Key;
use super::operators::Operator;
use super::route::{Answer, Ask, Nothing};
use super::{Admin, entry};
use crate::{Shared, now};

/// JSON, one object a line.
pub(super) const LINES: &str = "application/x-ndjson";
/// Lines that wait for the caller to take them.
const QUEUE: usize = 256;
/// The kinds of entries that can be about a person.
const KINDS: [&str; 12] = [
    "admitted",
    "settled",
    "denied",
    "adjusted",
    "key_created",
    "key_rotated",
    "key_revoked",
    "session_paused",
    "session_resumed",
    "allowance_set",
    "threshold_passed",
    "operator_set",
];

/// One line of an export. The last one is of the kind `end` and says how many lines there are before it: an export
/// without it is not whole.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ExportLine {
    /// What the line is: `person`, `key`, `operator`, `allowance`, a kind of entry of the journal, or `end`.
    kind: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Who is asked about.
struct Person {
    org: Name,
    user: Name,
    keys: Vec<KeyId>,
}

pub(super) async fn export(
    admin: Admin,
    ask: Ask<Nothing, Nothing>,
) -> Result<Answer<ExportLine>, AdminFault> {
    let name = |part: &str| -> Result<Name, AdminFault> {
        ask.part(part).parse().map_err(|error| AdminFault::BadRequest(format!("{part}: {error}")))
    };
    let (org, user) = (name("org")?, name("user")?);
    tracing::info!(by = %ask.caller.name, %org, %user, "a person's data is exported");
    let (lines, taken) = mpsc::channel(QUEUE);
    let (shared, by) = (admin.shared.clone(), ask.caller.name);
    tokio::task::spawn_blocking(move || {
        let mut writer = Writer { lines, count: 0 };
        let written = write_all(&shared, &by, org, user, &mut writer);
        if let Err(error) = written.and_then(|()| writer.end()) {
            // Breaks the answer off, so that what is missing is seen to be missing.
            tracing::warn!(%error, "an export was not finished");
            let _ = writer.lines.blocking_send(Err(error));
        }
    });
    Ok(Answer::stream(LINES, Body::new(Taken(taken))))
}

fn write_all(shared: &Shared, by: &str, org: Name, user: Name, writer: &mut Writer) -> io::Result<()> {
    let directory = shared.directory.list();
    let keys: Vec<_> = directory.iter().filter(|key| is_of(&org, &user, &key.scope)).collect();
    let person = Person { keys: keys.iter().map(|key| key.id).collect(), org, user };
    let head = json!({ "org": person.org, "user": person.user, "exported_at": now(), "exported_by": by });
    writer.line("person", &head)?;
    for key in keys {
        writer.line("key", &Key::of(key))?;
    }
    for operator in shared.register.operators() {
        if person.has(&operator.role) {
            writer.line("operator", &Operator::of(&operator))?;
        }
    }
    let force = shared.in_force();
    let made = shared.register.allowances();
    for allowance in force.config.allowances.iter().chain(made.iter().map(|one| &**one)) {
        if person.is_granted(allowance) {
            writer.line("allowance", allowance)?;
        }
    }
    write_entries(shared, &person, writer)
}

fn write_entries(shared: &Shared, person: &Person, writer: &mut Writer) -> io::Result<()> {
    let mut texts = vec![format!("\"user\":\"{}\"", person.user)];
    texts.extend(person.keys.iter().map(|key| format!("\"key\":\"{key}\"")));
    // As thresholds name whose use it was.
    texts.push(format!("user {}", person.user));
    texts.extend(person.keys.iter().map(|key| format!("key {key}")));
    let mut written = Ok(());
    let searched = shared.history.search(&KINDS, &texts, &mut |entry| {
        if person.is_about(&entry) {
            written = writer.send(&entry::shown(&entry));
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    searched.map_err(io::Error::other)?;
    written
}

impl Person {
    fn is_about(&self, entry: &Entry) -> bool {
        let is_mine = |scope: &Scope| is_of(&self.org, &self.user, scope);
        match &entry.event {
            Event::Admitted(admitted) => is_mine(&admitted.scope),
            Event::Settled(settled) => is_mine(&settled.scope),
            Event::Denied(denied) => denied.scope.as_ref().is_some_and(is_mine),
            Event::Adjusted(adjusted) => is_mine(&adjusted.scope),
            Event::KeyCreated(change) | Event::KeyRotated(change) | Event::KeyRevoked(change) => {
                is_mine(&change.after.scope)
            }
            Event::SessionPaused(pause) => is_mine(&pause.scope),
            Event::SessionResumed(resumed) => self.keys.contains(&resumed.key),
            Event::AllowanceSet(change) => {
                change.before.iter().chain(&change.after).any(|one| self.is_granted(one))
            }
            Event::ThresholdPassed(passed) => self.is_whose(&passed.whose),
            Event::OperatorSet(change) => {
                change.before.iter().chain(&change.after).any(|one| self.has(&one.role))
            }
            _ => false,
        }
    }

    /// Whether the role is theirs.
    fn has(&self, role: &Role) -> bool {
        matches!(role, Role::Developer { org, user } if *org == self.org && *user == self.user)
    }

    /// Whether the allowance names them, or one of their keys.
    fn is_granted(&self, allowance: &Allowance) -> bool {
        let on = &allowance.on;
        let is_theirs =
            on.user.as_ref() == Some(&self.user) && on.org.as_ref().is_none_or(|org| *org == self.org);
        is_theirs || on.key.is_some_and(|key| self.keys.contains(&key))
    }

    /// Whether these words say that it was their use: `user ada of org default`, `key key_... of team red`.
    fn is_whose(&self, words: &str) -> bool {
        let named = |level: &str| words.split(" of ").find_map(|part| part.strip_prefix(level));
        let is_theirs = named("user ") == Some(self.user.as_str())
            && named("org ").is_none_or(|org| org == self.org.as_str());
        let key = named("key ").and_then(|key| key.parse().ok());
        is_theirs || key.is_some_and(|key| self.keys.contains(&key))
    }
}

fn is_of(org: &Name, user: &Name, scope: &Scope) -> bool {
    scope.org == *org && scope.user.as_ref() == Some(user)
}

/// Writes lines for whoever takes them.
struct Writer {
    lines: mpsc::Sender<io::Result<Bytes>>,
    count: u64,
}

impl Writer {
    fn line(&mut self, kind: &str, about: &impl Serialize) -> io::Result<()> {
        let Value::Object(rest) = serde_json::to_value(about)? else {
            return Err(io::Error::other("a line is an object"));
        };
        self.send(&ExportLine { kind: kind.to_owned(), rest })
    }

    fn end(&mut self) -> io::Result<()> {
        self.line("end", &json!({ "lines": self.count }))
    }

    fn send(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.count += 1;
        // Nobody takes lines any more when the caller has left.
        self.lines.blocking_send(Ok(bytes.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// The lines as the body of an answer.
struct Taken(mpsc::Receiver<io::Result<Bytes>>);

impl http_body::Body for Taken {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| line.map(Frame::data)))
    }
}
