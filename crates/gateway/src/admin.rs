//! The admin API, on a listener of its own: keys, usage, state, metrics.
//!
//! `tollgate key`, `tollgate usage` and the pages call it; nothing else reads or changes what is remembered. Its
//! credential is drawn anew at each start and lies in the data folder, readable by the owner alone: whoever may
//! read that folder may administer the gateway, and nobody else.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tollgate_policy::id::KeyId;

use crate::drain::{Drain, Open};
use crate::secret::Secret;
use crate::{Shared, now};

mod body;
mod fault;
mod instance;

pub(crate) use instance::InstanceFile;

use body::{CreateKey, Created, RotateKey, State as StateBody, UsageQuery, UsageReport};
use fault::AdminFault;

/// Largest body of an admin request.
const BODY_BYTES: usize = 64 * 1024;
/// Connections at a time, so that clients' descriptors stay theirs.
const CONNECTIONS: usize = 256;
/// How long a request's head may take.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Who made a change, in the journal: whoever holds the data folder's credential.
const BY: &str = "local-admin";

#[derive(Clone)]
struct Admin {
    shared: Arc<Shared>,
    token: Secret,
    /// Whether only this machine can reach the listener.
    is_local: bool,
}

/// Serves the admin API until draining has ended.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, token: Secret) {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let admin = Admin { shared, token, is_local };
    let governed = Router::new()
        .route("/admin/v1/keys", get(list_keys).post(create_key))
        .route("/admin/v1/keys/{id}/rotate", post(rotate_key))
        .route("/admin/v1/keys/{id}/revoke", post(revoke_key))
        .route("/admin/v1/usage", get(usage))
        .route("/admin/v1/state", get(state))
        .layer(middleware::from_fn_with_state(admin.clone(), authorise))
        .layer(axum::extract::DefaultBodyLimit::max(BODY_BYTES));
    let open = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    let router = open
        .merge(governed)
        .fallback(|| async { AdminFault::NoSuchPath })
        .layer(middleware::from_fn_with_state(admin.clone(), from_no_page))
        .with_state(admin);
    let connections = Drain::new();
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => match connections.open(CONNECTIONS) {
                Some(open) => drop(tokio::spawn(connection(tcp, router.clone(), open))),
                None => tracing::warn!("too many connections to the admin API"),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin API could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(tcp: TcpStream, router: Router, _open: Open) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the admin API ended");
    }
}

/// Refuses requests that a web page may have sent: by a name that was made to point here, or across origins.
async fn from_no_page(
    State(admin): State<Admin>,
    request: Request,
    next: Next,
) -> Result<Response, AdminFault> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let is_address = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok();
    let is_page = request.headers().contains_key(header::ORIGIN);
    if is_page || (admin.is_local && !is_address) {
        return Err(AdminFault::NotForPages);
    }
    Ok(next.run(request).await)
}

/// Lets requests pass that carry the instance's token, compared in constant time.
async fn authorise(State(admin): State<Admin>, request: Request, next: Next) -> Result<Response, AdminFault> {
    let presented = bearer(request.headers()).unwrap_or_default();
    aws_lc_rs::constant_time::verify_slices_are_equal(presented, admin.token.reveal().as_bytes())
        .map_err(|_| AdminFault::Unauthorised)?;
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, &'static str) {
    match admin.shared.unready() {
        None => (StatusCode::OK, "ready\n"),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let shared = &admin.shared;
    let text =
        shared.metrics.expose(&shared.journal.state(), shared.drain.connections(), shared.counters.open());
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}

async fn state(State(admin): State<Admin>) -> Json<StateBody> {
    Json(StateBody::of(&admin.shared))
}

async fn list_keys(State(admin): State<Admin>) -> Json<Vec<body::Key>> {
    Json(admin.shared.directory.list().iter().map(|record| body::Key::of(record)).collect())
}

async fn create_key(
    State(admin): State<Admin>,
    wanted: Result<Json<CreateKey>, JsonRejection>,
) -> Result<(StatusCode, Json<Created>), AdminFault> {
    let wanted = wanted?.0.into_new_key(now())?;
    let (record, secret) = admin.blocking(move |shared| shared.directory.create(BY, wanted, now())).await?;
    Ok((StatusCode::CREATED, Json(Created::of(&record, &secret))))
}

async fn rotate_key(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    wanted: Result<Json<RotateKey>, JsonRejection>,
) -> Result<(StatusCode, Json<Created>), AdminFault> {
    let (id, grace_ms) = (key_id(&id)?, wanted?.grace_ms()?);
    let (record, secret) =
        admin.blocking(move |shared| shared.directory.rotate(BY, id, grace_ms, now())).await?;
    Ok((StatusCode::CREATED, Json(Created::of(&record, &secret))))
}

async fn revoke_key(
    State(admin): State<Admin>,
    Path(id): Path<String>,
) -> Result<Json<body::Key>, AdminFault> {
    let id = key_id(&id)?;
    let record = admin.blocking(move |shared| shared.directory.revoke(BY, id, now())).await?;
    Ok(Json(body::Key::of(&record)))
}

async fn usage(
    State(admin): State<Admin>,
    query: Result<Query<UsageQuery>, QueryRejection>,
) -> Result<Json<UsageReport>, AdminFault> {
    let query = query?.0.into_ledger_query()?;
    let by = query.by.clone();
    let rows = admin.blocking(move |shared| shared.ledger.report(&query)).await?;
    Ok(Json(UsageReport::of(&by, rows)))
}

fn key_id(text: &str) -> Result<KeyId, AdminFault> {
    text.parse().map_err(|_| AdminFault::NoSuchKey(text.chars().take(64).collect()))
}

impl Admin {
    /// Runs what waits for the disk where it may wait.
    async fn blocking<T, E>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, E> + Send + 'static,
    ) -> Result<T, AdminFault>
    where
        T: Send + 'static,
        E: Into<AdminFault> + Send + 'static,
    {
        let shared = self.shared.clone();
        match tokio::task::spawn_blocking(move || work(&shared)).await {
            Ok(done) => done.map_err(Into::into),
            Err(panicked) => Err(AdminFault::Internal(panicked.to_string())),
        }
    }
}
