//! The way of one request through a gateway of the zoo.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use hyper::http::request;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Terms;
use super::habits::{Habits, Outgoing};
use super::limiter::{Limiter, Place};
use super::refusal::{Answer, Refusal};
use super::relay::{Broken, Relay, Sieve};

/// How much of a body above the limit is read, so that its sender gets to see the refusal.
const MOST_EXCESS_BYTES: u64 = 8 * 1024 * 1024;

/// Headers that concern one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers of a client that must not go upstream as they are: its credentials, the traces of a browser, and those that
/// are made anew.
const NOT_FORWARDED: [&str; 7] =
    ["authorization", "x-api-key", "cookie", "origin", "host", "content-length", "expect"];

/// A gateway with its habits.
#[derive(Debug)]
pub(super) struct Gateway {
    habits: &'static Habits,
    upstream: SocketAddr,
    host: HeaderValue,
    upstream_key: HeaderValue,
    terms: Arc<Terms>,
    limiter: Option<Arc<Limiter>>,
}

/// Who asks, and over which connection.
struct Client {
    credential: String,
    connection: u64,
}

/// A request that may go upstream.
struct Judged {
    outgoing: Outgoing,
    /// What its answer goes through to be counted.
    meter: Option<Box<dyn Sieve>>,
    /// What it holds while it is under way.
    place: Option<Place>,
}

/// Why a request's body is not there.
enum Unread {
    TooLarge,
    ClientLeft,
}

/// The upstream gave no answer.
#[derive(Debug, Error)]
enum NoAnswer {
    #[error(transparent)]
    Connect(#[from] std::io::Error),
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

impl Gateway {
    /// A gateway before this upstream.
    ///
    /// # Errors
    ///
    /// When the upstream's key can be no value of a header.
    pub(super) fn new(
        habits: &'static Habits,
        upstream: SocketAddr,
        terms: Arc<Terms>,
    ) -> Result<Self, InvalidHeaderValue> {
        let host = HeaderValue::from_str(&upstream.to_string())?;
        let upstream_key = HeaderValue::from_str(&terms.upstream_key)?;
        let limiter = habits.limit.map(|limit| Arc::new(Limiter::new(limit, &terms)));
        Ok(Self { habits, upstream, host, upstream_key, terms, limiter })
    }

    /// Answers one request of the client's connection with this number.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: u64,
    ) -> Result<Answer, Broken> {
        let habits = self.habits;
        let (head, body) = request.into_parts();
        let body = match read(body, (habits.most_body_bytes)(&self.terms)).await {
            Err(Unread::ClientLeft) => return Err(Broken),
            Err(Unread::TooLarge) => None,
            Ok(body) => Some(body),
        };
        tokio::time::sleep((habits.pause)(head.uri.path(), &self.terms)).await;
        let Some(credential) = (habits.identify)(&head.headers, &self.terms) else {
            return Ok((habits.refuse)(&Refusal::Unknown));
        };
        if let Some(answer) = (habits.instead)(&head, body.as_deref().unwrap_or_default()) {
            return Ok(answer);
        }
        let client = Client { credential, connection };
        let judged = match self.judge(head, body, client) {
            Err(refusal) => return Ok((habits.refuse)(&refusal)),
            Ok(judged) => judged,
        };
        let forward = Arc::clone(&self).forward(judged);
        if habits.cancels { Ok(forward.await) } else { tokio::spawn(forward).await.map_err(|_| Broken) }
    }

    /// Makes the request that goes upstream, and what counts its answer; or says why none does.
    fn judge(
        &self,
        mut head: request::Parts,
        body: Option<Bytes>,
        client: Client,
    ) -> Result<Judged, Refusal> {
        let habits = self.habits;
        let path = (habits.route)(&head.method, head.uri.path()).ok_or(Refusal::NotFound)?;
        head.uri = with_path(&head.uri, path);
        let body = body.ok_or(Refusal::TooLarge)?;
        if (habits.blocks)(&body) {
            return Err(Refusal::Blocked);
        }
        let (mut meter, mut place) = (None, None);
        if let Some(limiter) = &self.limiter
            && head.uri.path() == "/v1/messages"
        {
            let account = limiter.account(&client.credential, client.connection);
            limiter.take(&account, Instant::now()).map_err(Refusal::Limited)?;
            (meter, place) = (limiter.meter(account.clone()), limiter.place(account));
        }
        let received = head.headers.clone();
        self.prepare(&mut head.headers);
        let mut outgoing = Outgoing { head, body, received, credential: client.credential };
        (habits.outgoing)(&mut outgoing, &self.terms);
        Ok(Judged { outgoing, meter, place })
    }

    /// Removes what is between the client and the gateway, and puts the upstream's credential in.
    fn prepare(&self, headers: &mut HeaderMap) {
        remove_hop_by_hop(headers);
        for name in NOT_FORWARDED {
            headers.remove(name);
        }
        headers.insert(HOST, self.host.clone());
        headers.insert("x-api-key", self.upstream_key.clone());
    }

    /// Asks the upstream and passes its answer on.
    async fn forward(self: Arc<Self>, judged: Judged) -> Answer {
        let habits = self.habits;
        let Judged { outgoing, meter, place } = judged;
        let Outgoing { head, body, received, .. } = outgoing;
        let mut tries = habits.tries;
        let (answer, connection) = loop {
            let request = Request::from_parts(head.clone(), Full::new(body.clone()));
            tries -= 1;
            match ask(self.upstream, request).await {
                Ok((answer, _)) if tries > 0 && answer.status().is_server_error() => {}
                Ok(answered) => break answered,
                Err(error) => {
                    tracing::debug!(%error, "the upstream gave no answer");
                    return (habits.refuse)(&Refusal::NoAnswer);
                }
            }
        };
        let (mut head, from) = answer.into_parts();
        let sieve = (habits.answer)(&mut head, &received, &self.terms).or(meter);
        remove_hop_by_hop(&mut head.headers);
        let relay = Relay {
            from,
            connection,
            sieve,
            place,
            idle: (habits.idle)(&self.terms),
            cancels: habits.cancels,
            keeps_cuts: habits.keeps_cuts,
        };
        Response::from_parts(head, Either::Right(relay.start()))
    }
}

/// Asks over a connection of its own, which is closed when what is returned is dropped.
async fn ask(
    upstream: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, JoinSet<()>), NoAnswer> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut running = JoinSet::new();
    running.spawn(async move {
        // What breaks it is told to whoever waits for the answer.
        let _ = connection.await;
    });
    Ok((sender.send_request(request).await?, running))
}

/// Reads a body whole.
async fn read(mut body: Incoming, most_bytes: u64) -> Result<Bytes, Unread> {
    let (mut bytes, mut count) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(|_| Unread::ClientLeft)?.into_data() else {
            continue;
        };
        count += piece.len() as u64;
        if count <= most_bytes {
            bytes.extend_from_slice(&piece);
        } else if count > most_bytes + MOST_EXCESS_BYTES {
            break;
        }
    }
    if count > most_bytes { Err(Unread::TooLarge) } else { Ok(bytes.freeze()) }
}

/// Removes the headers that concern one connection: those that always do, and those that `connection` names.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// This path with the query of `uri`.
fn with_path(uri: &Uri, path: &str) -> Uri {
    let target = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    target.parse().expect("a path and a query that were parsed can be parsed again")
}
