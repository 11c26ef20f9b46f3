//! One operation of the admin API: who may call it, what it takes and gives, and how a call is served.
//!
//! The router and the description of the API are both made of the same [`Route`]s, and their types are those of the
//! functions that answer: neither can say something else than what happens.

use std::any::TypeId;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Query, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodFilter;
use axum::{Json, body};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tollgate_policy::entry::Hash;
use tollgate_store::Expect;
use zeroize::Zeroizing;

use super::caller::{Caller, Rank};
use super::fault::AdminFault;
use super::replay::{Begun, Given, KEY_BYTES_MAX, Running};
use super::{Admin, whole};
use crate::now;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// JSON, as answers are unless they say otherwise.
pub(super) const JSON: &str = "application/json";

/// One operation.
pub(super) struct Route {
    pub(super) verb: Verb,
    /// The path, with `{name}` where a part of it varies.
    pub(super) path: &'static str,
    /// Its name in the description, and in clients that are generated from it.
    pub(super) name: &'static str,
    /// What it does, in a line.
    pub(super) summary: &'static str,
    pub(super) access: Access,
    /// The status of its success.
    pub(super) status: StatusCode,
    /// Another status of its success, for a call that makes nothing or makes something.
    pub(super) also: Option<StatusCode>,
    /// The media type of its answer.
    pub(super) media: &'static str,
    /// Whether it takes an `idempotency-key`.
    pub(super) repeatable: bool,
    /// Whether it takes `if-match` or `if-none-match`.
    pub(super) guarded: bool,
    pub(super) query: Describe,
    /// Absent where it takes no body.
    pub(super) body: Option<Describe>,
    pub(super) answer: Describe,
    handler: Handler,
}

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever knows what the body must hold.
    Open,
    /// Callers of these ranks, and nobody else.
    Only(&'static [Rank]),
}

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

/// Gives the schema of a type.
pub(super) type Describe = fn(&mut SchemaGenerator) -> Schema;

type Answering = Pin<Box<dyn Future<Output = Result<Response, AdminFault>> + Send>>;
type Handler = Box<dyn Fn(Admin, Received) -> Answering + Send + Sync>;

/// A route that only admins may call, and which answers 200; see the methods that say otherwise.
pub(super) fn route<Q, B, C, A, F, W>(
    verb: Verb,
    path: &'static str,
    name: &'static str,
    summary: &'static str,
    answer: F,
) -> Route
where
    Q: DeserializeOwned + JsonSchema + Send + 'static,
    B: DeserializeOwned + JsonSchema + Send + 'static,
    C: Calling,
    A: Serialize + JsonSchema + 'static,
    F: Fn(Admin, Ask<Q, B, C>) -> W + Send + Sync + 'static,
    W: Future<Output = Result<Answer<A>, AdminFault>> + Send + 'static,
{
    let answer = Arc::new(answer);
    let handler = move |admin: Admin, received: Received| -> Answering {
        let answer = answer.clone();
        Box::pin(async move {
            let ask = received.read()?;
            answer(admin, ask).await?.respond()
        })
    };
    Route {
        verb,
        path,
        name,
        summary,
        access: Access::Only(&[Rank::Admin]),
        status: StatusCode::OK,
        also: None,
        media: JSON,
        repeatable: false,
        guarded: false,
        query: SchemaGenerator::subschema_for::<Q>,
        body: (TypeId::of::<B>() != TypeId::of::<Nothing>()).then_some(SchemaGenerator::subschema_for::<B>),
        answer: SchemaGenerator::subschema_for::<A>,
        handler: Box::new(handler),
    }
}

impl Route {
    /// Callers of these ranks may call it.
    pub(super) fn open_to(mut self, ranks: &'static [Rank]) -> Self {
        self.access = Access::Only(ranks);
        self
    }

    /// Everybody may call it, without a credential.
    pub(super) fn open(mut self) -> Self {
        self.access = Access::Open;
        self
    }

    /// It makes something, so that to send it twice may be to make two: an `idempotency-key` prevents that.
    pub(super) fn creates(mut self) -> Self {
        (self.status, self.repeatable) = (StatusCode::CREATED, true);
        self
    }

    /// It changes something that somebody else may change too: `if-match` and `if-none-match` prevent that they undo
    /// each other's work.
    pub(super) fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// It answers with another status than 200.
    pub(super) fn gives(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// It may answer with this status too.
    pub(super) fn or(mut self, status: StatusCode) -> Self {
        self.also = Some(status);
        self
    }

    /// It answers with something else than JSON.
    pub(super) fn in_media(mut self, media: &'static str) -> Self {
        self.media = media;
        self
    }

    /// Serves one call: who is it, may they, and then what they ask for.
    pub(super) async fn serve(self: Arc<Self>, admin: Admin, request: Request) -> Response {
        let mut response = match self.answer(admin, request).await {
            Ok(response) => response,
            Err(fault) => fault.into_response(),
        };
        // Answers hold secrets, and what is true only now.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn answer(self: Arc<Self>, admin: Admin, request: Request) -> Result<Response, AdminFault> {
        let (mut parts, body) = request.into_parts();
        let caller = self.admit(&admin, &parts.headers)?;
        let path = path_of(&mut parts).await?;
        let body = whole(body).await?;
        let expect = self.expectation(&parts.headers)?;
        let running = match self.begin(&admin, caller.as_ref(), &parts, &body)? {
            None => None,
            Some(Begun::New(running)) => Some(running),
            Some(Begun::Answered(given)) => return given.respond(),
        };
        let seen = parts.headers.get(header::IF_NONE_MATCH).cloned();
        let is_json = says_json(&parts.headers);
        let received = Received { caller, path, uri: parts.uri, body, is_json, expect };
        // A change is made to its end and its answer kept, also if the caller has left meanwhile.
        let answering = tokio::spawn(async move {
            let answered = (self.handler)(admin, received).await;
            match running {
                Some(running) => keep(running, answered).await,
                None => answered,
            }
        });
        let response =
            answering.await.unwrap_or_else(|panicked| Err(AdminFault::Internal(panicked.to_string())))?;
        let is_known = parts.method == Method::GET
            && seen.is_some()
            && seen.as_ref() == response.headers().get(header::ETAG);
        Ok(if is_known { not_modified(&response) } else { response })
    }

    fn admit(&self, admin: &Admin, headers: &HeaderMap) -> Result<Option<Caller>, AdminFault> {
        let ranks = match self.access {
            Access::Open => return Ok(None),
            Access::Only(ranks) => ranks,
        };
        let caller = admin.caller(headers)?;
        let rank = Rank::of(&caller.role);
        if ranks.contains(&rank) {
            return Ok(Some(caller));
        }
        tracing::info!(caller = %caller.name, route = self.name, "a call to the admin API was refused");
        let allowed = ranks.iter().map(|rank| rank.as_str()).collect::<Vec<_>>().join(", ");
        Err(AdminFault::Forbidden(format!(
            "the role {} may not do this; it takes one of: {allowed}",
            rank.as_str()
        )))
    }

    fn expectation(&self, headers: &HeaderMap) -> Result<Option<Expect>, AdminFault> {
        let expect = match (headers.get(header::IF_MATCH), headers.get(header::IF_NONE_MATCH)) {
            (None, _) if self.verb == Verb::Get => return Ok(None),
            (None, None) => return Ok(None),
            (Some(value), None) if value == "*" => Expect::Present,
            (Some(value), None) => Expect::Exactly(etag(value).ok_or_else(|| {
                AdminFault::BadRequest("if-match: one etag in quotes, as it was given, or *".to_owned())
            })?),
            (None, Some(value)) if value == "*" => Expect::Absent,
            _ => {
                return Err(AdminFault::BadRequest(
                    "send if-match with an etag, or if-none-match with *, not both".to_owned(),
                ));
            }
        };
        if self.guarded {
            return Ok(Some(expect));
        }
        // To pass over it would leave the caller with a protection that they do not have.
        Err(AdminFault::BadRequest("this call takes neither if-match nor if-none-match".to_owned()))
    }

    fn begin(
        &self,
        admin: &Admin,
        caller: Option<&Caller>,
        parts: &Parts,
        body: &Bytes,
    ) -> Result<Option<Begun>, AdminFault> {
        let key = parts.headers.get(IDEMPOTENCY_KEY).filter(|_| self.repeatable);
        let Some((key, caller)) = key.zip(caller) else { return Ok(None) };
        let key = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
        let key = key.ok_or_else(|| {
            AdminFault::BadRequest(format!("idempotency-key: 1 to {KEY_BYTES_MAX} visible characters"))
        })?;
        let route = format!("{} {}", parts.method, parts.uri.path());
        admin.replays.begin(caller, &route, key, Hash::of(body), now()).map(Some)
    }
}

impl Verb {
    pub(super) fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
            Self::Put => MethodFilter::PUT,
            Self::Delete => MethodFilter::DELETE,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }
}

/// A call, as far as all routes are alike.
struct Received {
    caller: Option<Caller>,
    path: HashMap<String, String>,
    uri: Uri,
    body: Bytes,
    is_json: bool,
    expect: Option<Expect>,
}

/// A call, read.
pub(super) struct Ask<Q, B, C = Caller> {
    pub(super) caller: C,
    path: HashMap<String, String>,
    pub(super) query: Q,
    pub(super) body: B,
    /// What the caller expects to find, if they say so.
    pub(super) expect: Option<Expect>,
}

impl<Q, B, C> Ask<Q, B, C> {
    /// The part of the path that has this name.
    pub(super) fn part(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }
}

/// What a route knows of who calls: [`Caller`], or nothing where it is open.
pub(super) trait Calling: Send + Sized + 'static {
    /// From who was found.
    fn from(found: Option<Caller>) -> Result<Self, AdminFault>;
}

impl Calling for Caller {
    fn from(found: Option<Caller>) -> Result<Self, AdminFault> {
        found.ok_or(AdminFault::Unauthorised)
    }
}

/// Whoever calls an open route.
pub(super) struct Anybody;

impl Calling for Anybody {
    fn from(_: Option<Caller>) -> Result<Self, AdminFault> {
        Ok(Self)
    }
}

/// What a call without query or body takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

impl Received {
    fn read<Q, B, C>(self) -> Result<Ask<Q, B, C>, AdminFault>
    where
        Q: DeserializeOwned,
        B: DeserializeOwned,
        C: Calling,
    {
        let caller = C::from(self.caller)?;
        let Query(query) = Query::<Q>::try_from_uri(&self.uri)?;
        if !self.body.is_empty() && !self.is_json {
            return Err(AdminFault::NotJson);
        }
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        let Json(body) = Json::<B>::from_bytes(body)?;
        Ok(Ask { caller, path: self.path, query, body, expect: self.expect })
    }
}

/// The answer to a call.
pub(super) struct Answer<A> {
    status: StatusCode,
    etag: Option<Hash>,
    content: Content<A>,
}

enum Content<A> {
    Json(A),
    /// Bytes that must go out as they are.
    Whole(&'static str, String),
    Stream(&'static str, Body),
}

impl<A: Serialize> Answer<A> {
    pub(super) fn new(status: StatusCode, body: A) -> Self {
        Self { status, etag: None, content: Content::Json(body) }
    }

    pub(super) fn ok(body: A) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// A text, as it is.
    pub(super) fn whole(media: &'static str, text: String) -> Self {
        Self { status: StatusCode::OK, etag: None, content: Content::Whole(media, text) }
    }

    /// What comes while it is sent.
    pub(super) fn stream(media: &'static str, body: Body) -> Self {
        Self { status: StatusCode::OK, etag: None, content: Content::Stream(media, body) }
    }

    /// Names the state of what is shown.
    pub(super) fn tagged(mut self, etag: Hash) -> Self {
        self.etag = Some(etag);
        self
    }

    fn respond(self) -> Result<Response, AdminFault> {
        let broken = |error: &dyn std::fmt::Display| AdminFault::Internal(error.to_string());
        let (media, body) = match self.content {
            Content::Json(body) => {
                (JSON, Body::from(serde_json::to_vec(&body).map_err(|error| broken(&error))?))
            }
            Content::Whole(media, text) => (media, Body::from(text)),
            Content::Stream(media, body) => (media, body),
        };
        let mut response = Response::builder().status(self.status).header(header::CONTENT_TYPE, media);
        if let Some(etag) = self.etag {
            response = response.header(header::ETAG, quoted(etag));
        }
        response.body(body).map_err(|error| broken(&error))
    }
}

/// An etag as it stands in headers and bodies.
pub(super) fn quoted(etag: Hash) -> String {
    format!("\"{etag}\"")
}

fn etag(value: &HeaderValue) -> Option<Hash> {
    value.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn says_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
}

async fn path_of(parts: &mut Parts) -> Result<HashMap<String, String>, AdminFault> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| AdminFault::NoSuchPath)?;
    Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Keeps the answer of a change that was made, to give it again.
async fn keep(running: Running, answered: Result<Response, AdminFault>) -> Result<Response, AdminFault> {
    let response = answered?;
    let (parts, body) = response.into_parts();
    // Answers to changes are short; those that stream change nothing.
    let whole = body::to_bytes(body, usize::MAX).await;
    let whole = whole.map_err(|error| AdminFault::Internal(error.to_string()))?;
    if parts.status.is_success() {
        running.keep(Given {
            status: parts.status.as_u16(),
            etag: parts.headers.get(header::ETAG).and_then(etag),
            body: Arc::new(Zeroizing::new(whole.to_vec())),
            at: now(),
        });
    }
    Ok(Response::from_parts(parts, Body::from(whole)))
}

impl Given {
    fn respond(self) -> Result<Response, AdminFault> {
        let mut response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, JSON)
            .header(REPLAYED, "true");
        if let Some(etag) = self.etag {
            response = response.header(header::ETAG, quoted(etag));
        }
        let body = Body::from(self.body.to_vec());
        response.body(body).map_err(|error| AdminFault::Internal(error.to_string()))
    }
}

fn not_modified(response: &Response) -> Response {
    let mut bare = StatusCode::NOT_MODIFIED.into_response();
    if let Some(etag) = response.headers().get(header::ETAG) {
        bare.headers_mut().insert(header::ETAG, etag.clone());
    }
    bare
}
