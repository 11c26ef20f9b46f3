//! The admin API, on a listener of its own: keys, operators, allowances, sessions, usage, statements, state, metrics.
//!
//! The commands and the pages call it; nothing else reads or changes what is remembered. There are two kinds of
//! credentials. The local one is drawn anew at each start and lies in the data folder, readable by the owner alone:
//! whoever may read that folder may administer the gateway. The others are those of operators, each with a role
//! ([`caller`]). What there is to call, and who may call it, is one table ([`table`]).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{self, Body};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, on};
use bytes::Bytes;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use crate::Shared;
use crate::drain::{Drain, Open};
use crate::secret::Secret;

mod adjustments;
mod allowances;
mod caller;
mod entry;
mod fault;
mod instance;
mod keys;
mod openapi;
mod operators;
mod page;
mod people;
mod prices;
mod replay;
mod requests;
mod route;
mod sessions;
mod setup;
mod standing;
mod state;
mod statements;
mod table;
mod usage;

pub(crate) use instance::InstanceFile;
pub(crate) use setup::Setup;

use fault::AdminFault;
use replay::Replays;

/// Largest body of an admin request.
const BODY_BYTES: usize = 64 * 1024;
/// Connections at a time, so that clients' descriptors stay theirs.
const CONNECTIONS: usize = 256;
/// How long a request's head may take, and its body after it: who sends neither holds a connection no longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Admin {
    shared: Arc<Shared>,
    token: Secret,
    setup: Arc<Setup>,
    replays: Arc<Replays>,
    /// Held while a period is closed or costs are corrected.
    correcting: Arc<Mutex<()>>,
    /// Whether only this machine can reach the listener.
    is_local: bool,
}

/// Serves the admin API until draining has ended.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener, token: Secret, setup: Arc<Setup>) {
    let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
    let router =
        router(Admin { shared, token, setup, replays: Arc::default(), correcting: Arc::default(), is_local });
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

/// The table as a router, beside what is open to whoever can connect.
fn router(admin: Admin) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics));
    for route in table::routes() {
        let (path, filter, route) = (route.path, route.verb.filter(), Arc::new(route));
        let serve = move |State(admin): State<Admin>, request: Request| route.clone().serve(admin, request);
        router = router.route(path, on(filter, serve));
    }
    router
        .fallback(|| async { AdminFault::NoSuchPath })
        .method_not_allowed_fallback(|| async { AdminFault::NoSuchMethod })
        .layer(middleware::from_fn_with_state(admin.clone(), from_no_page))
        .with_state(admin)
}

async fn connection(tcp: TcpStream, router: Router, _open: Open) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        // One answer each: what is open to all fits the buffers of the system, so who does not read it holds nothing.
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection to the admin API ended");
    }
}

/// The whole body of a request.
async fn whole(body: Body) -> Result<Bytes, AdminFault> {
    let whole = timeout(PATIENCE, body::to_bytes(body, BODY_BYTES)).await;
    whole.map_err(|_| AdminFault::TooSlow)?.map_err(|_| AdminFault::TooLarge(BODY_BYTES))
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
