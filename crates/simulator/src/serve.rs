//! Serves one connection: request after request.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::net::TcpStream;

use crate::api::{self, Question, Route, Terms};
use crate::call::Call;
use crate::control;
use crate::decide::{self, Decided, Decision, Repeats};
use crate::directive::Directives;
use crate::error::ApiError;
use crate::http::{Framing, Head, Headers, Malformed};
use crate::link::{Link, Unread};
use crate::record::{Ending, Entry, Record};
use crate::reply::Reply;
use crate::script::Script;
use crate::send::{self, After};

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) api_key: Option<String>,
    pub(crate) max_body_bytes: u64,
    pub(crate) read_body_bytes: u64,
    pub(crate) first_serial: u64,
    pub(crate) control: bool,
    pub(crate) script: Mutex<Arc<Script>>,
    pub(crate) repeats: Repeats,
    pub(crate) record: Record,
}

impl Shared {
    pub(crate) fn script(&self) -> Arc<Script> {
        let script = self.script.lock();
        Arc::clone(&script.unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_script(&self, script: Script) {
        let mut current = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(script);
    }
}

/// Serves a connection until one side closes it.
pub(crate) async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let number = shared.record.connected();
    let mut link = match Link::new(stream) {
        Ok(link) => link,
        Err(error) => {
            tracing::debug!(%error, "a connection ended before it began");
            return;
        }
    };
    loop {
        let after = match link.head().await {
            Ok(Some(head)) if shared.control && control::is_for(&head) => {
                control::answer(&mut link, &head, &shared).await
            }
            Ok(Some(head)) => request(&mut link, &head, number, &shared).await,
            Ok(None) => return,
            Err(Unread::Malformed(malformed)) => {
                let head = &unreadable();
                let exchange = Exchange { head, entry: shared.record.arrived(number, head), shared: &shared };
                exchange.refuse(&mut link, &malformed).await
            }
            Err(Unread::ClientLeft | Unread::TooLarge) => {
                let entry = shared.record.arrived(number, &unreadable());
                entry.end(Ending::Aborted);
                return;
            }
        };
        match after {
            After::Keep => {}
            After::Close => return link.close().await,
            After::Reset => return link.reset(),
        }
    }
}

/// Stands in the record for a head that cannot be read.
fn unreadable() -> Head {
    Head { method: String::new(), target: String::new(), minor: 1, headers: Headers::default() }
}

async fn request(link: &mut Link, head: &Head, connection: u64, shared: &Shared) -> After {
    let entry = shared.record.arrived(connection, head);
    let exchange = Exchange { head, entry, shared };
    let framing = match head.framing() {
        Ok(framing) => framing,
        Err(malformed) => return exchange.refuse(link, &malformed).await,
    };
    let decided = decide::by_header(head, &shared.repeats);
    if let Some(Ok(decision)) = &decided
        && decision.directives.fault.early
    {
        return exchange.answer(link, Bytes::new(), decided, false).await;
    }
    let too_large = matches!(framing, Framing::Length(length) if length > shared.read_body_bytes);
    if head.expects_continue() && !too_large && link.proceed().await.is_err() {
        exchange.entry.end(Ending::Aborted);
        return After::Close;
    }
    match link.body(framing, shared.read_body_bytes).await {
        Ok(body) => {
            exchange.entry.body(&body, true);
            let keep_alive = head.keeps_alive();
            exchange.answer(link, body, decided, keep_alive).await
        }
        Err(Unread::TooLarge) => {
            let reply = api::too_large();
            exchange.send(link, reply, &Directives::default(), false).await
        }
        Err(Unread::Malformed(malformed)) => exchange.refuse(link, &malformed).await,
        Err(Unread::ClientLeft) => {
            exchange.entry.end(Ending::Aborted);
            After::Close
        }
    }
}

/// One request and its entry.
struct Exchange<'e> {
    head: &'e Head,
    entry: Entry,
    shared: &'e Shared,
}

impl Exchange<'_> {
    /// Answers a request that was read, as its header or else its content directs.
    async fn answer(
        self,
        link: &mut Link,
        body: Bytes,
        by_header: Option<Decided>,
        keep_alive: bool,
    ) -> After {
        let shared = self.shared;
        let route = Route::of(&self.head.method, self.head.path());
        let call = route.purpose().map(|purpose| Call::read(&body, purpose));
        let readable = call.as_ref().and_then(|call| call.as_ref().ok());
        let decided = by_header
            .or_else(|| decide::by_content(self.head, route, readable, &shared.script(), &shared.repeats));
        let decision = match decided.unwrap_or_else(|| Ok(Decision::default())) {
            Ok(decision) => decision,
            Err(problem) => {
                let error = ApiError::new(400, problem.to_string());
                let reply = Reply::error(self.serial(), &error);
                return self.send(link, reply, &Directives::default(), keep_alive).await;
            }
        };
        let model = readable.map(|call| call.model.clone());
        self.entry.decided(model, &decision.text);
        let question = Question { route, head: self.head, body: &body, call, serial: self.serial() };
        let terms = Terms { api_key: shared.api_key.as_deref(), max_body_bytes: shared.max_body_bytes };
        let reply = api::answer(&question, &decision.directives, &terms);
        drop(body);
        self.send(link, reply, &decision.directives, keep_alive).await
    }

    /// Answers a request whose end is not known, and closes.
    async fn refuse(self, link: &mut Link, malformed: &Malformed) -> After {
        tracing::debug!(%malformed, "a request is malformed");
        let error = ApiError::new(400, malformed.to_string());
        let reply = Reply::error(self.serial(), &error);
        let Self { head, entry, .. } = self;
        send::refuse(link, entry, head, reply).await
    }

    async fn send(self, link: &mut Link, reply: Reply, directives: &Directives, keep_alive: bool) -> After {
        send::send(link, self.entry, self.head, reply, directives, keep_alive).await
    }

    fn serial(&self) -> u64 {
        self.shared.first_serial.wrapping_add(self.entry.id())
    }
}
