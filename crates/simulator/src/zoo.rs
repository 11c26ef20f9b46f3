//! A zoo of gateways, to test the tests of gateways: one that is faithful, and many that are wrong, each in one way.
//!
//! All of them are the same program. What a gateway may do wrong is a field of `Habits`; an animal is the faithful
//! habits with one of them changed, and the table [`ANIMALS`] says which rules of `tollgate check` must therefore fail.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use tollgate_simulator::zoo::{Animal, Cage};
//! use tollgate_simulator::{Config, Simulator};
//!
//! let simulator = Simulator::start(Config::default()).await?;
//! let animal = Animal::named("strips-beta").expect("it is in the table");
//! let cage = Cage::start(animal, simulator.addr()).await?;
//! println!("{} for {}", cage.url(), cage.client_token());
//! cage.stop().await;
//! # Ok(())
//! # }
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::MAX_BODY_BYTES;
use crate::door::Door;

mod animals;
mod answers;
mod gateway;
mod habits;
mod limiter;
mod refusal;
mod relay;
mod requests;
mod tls;

pub use animals::ANIMALS;

use gateway::Gateway;
use habits::Habits;
use tls::Speaker;

/// A kind of gateway.
#[derive(Debug)]
pub struct Animal {
    /// What it is called: `strips-beta`.
    pub name: &'static str,
    /// What it does, in a few words that follow its name.
    pub about: &'static str,
    /// The rules of `tollgate check` that do not hold for it, by their ids. Every other rule holds, or cannot be told
    /// because nothing comes through. A limiter has rules of `tollgate check rate-limit` here.
    pub fails: &'static [&'static str],
    habits: Habits,
}

impl Animal {
    /// The animal of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ANIMALS.iter().find(|animal| animal.name == name)
    }

    /// Whether it limits how much a client may ask: something for `tollgate check rate-limit`.
    #[must_use]
    pub fn limits(&self) -> bool {
        self.habits.limit.is_some()
    }

    /// Whether it speaks TLS: its clients must know the authority of its cage.
    #[must_use]
    pub fn speaks_tls(&self) -> bool {
        self.habits.tls.is_some()
    }
}

/// What an animal is told when it is let into its cage. Only some animals care for some of these.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The credentials of its clients, one or more.
    pub client_tokens: Vec<String>,
    /// Its own credential at the upstream.
    pub upstream_key: String,
    /// A body above this is refused.
    pub most_body_bytes: u64,
    /// Requests per minute that a limiter lets in.
    pub rpm: u32,
    /// Requests that a bucket holds.
    pub burst: u32,
    /// Tokens per minute after which a limiter of tokens lets nothing in.
    pub tokens_per_minute: u64,
    /// The minute of the limits above, which a test may shorten.
    pub minute: Duration,
    /// How long an animal that ends idle streams lets them be idle.
    pub idle: Duration,
    /// The same for an animal that is in more of a hurry.
    pub short_idle: Duration,
    /// How long an animal that is slow takes.
    pub slow: Duration,
}

impl Default for Terms {
    /// Loopback, two clients, 32 MiB, 100 requests or 10,000 tokens per minute, 10 at once, streams that may idle for
    /// 29 s or 1, and 4 s for what must take less than 3.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            client_tokens: vec!["zoo-client-1-0123456789".into(), "zoo-client-2-0123456789".into()],
            upstream_key: "zoo-upstream-key-0123456789".into(),
            most_body_bytes: MAX_BODY_BYTES,
            rpm: 100,
            burst: 10,
            tokens_per_minute: 10_000,
            minute: Duration::from_secs(60),
            idle: Duration::from_secs(29),
            short_idle: Duration::from_secs(1),
            slow: Duration::from_secs(4),
        }
    }
}

/// A running animal. Dropping it stops it, without waiting for that.
#[derive(Debug)]
pub struct Cage {
    door: Door,
    terms: Arc<Terms>,
    speaker: Option<Arc<Speaker>>,
}

impl Cage {
    /// Starts an animal on the current runtime, on the usual terms, before this upstream.
    ///
    /// # Errors
    ///
    /// When there is no free port.
    pub async fn start(animal: &'static Animal, upstream: SocketAddr) -> io::Result<Self> {
        Self::start_on(animal, upstream, Terms::default()).await
    }

    /// Starts an animal on terms of its own.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on, the upstream's key can be no value of a header, or no certificate can
    /// be made.
    pub async fn start_on(animal: &'static Animal, upstream: SocketAddr, terms: Terms) -> io::Result<Self> {
        let terms = Arc::new(terms);
        let gateway = Gateway::new(&animal.habits, upstream, Arc::clone(&terms))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let gateway = Arc::new(gateway);
        let speaker = animal.habits.tls.map(|tls| Speaker::new(&tls, terms.listen.ip()));
        let speaker = speaker.transpose().map_err(io::Error::other)?.map(Arc::new);
        let speaks = speaker.clone();
        let serve = move |stream, number| connection(stream, number, Arc::clone(&gateway), speaks.clone());
        Ok(Self { door: Door::open(terms.listen, serve).await?, terms, speaker })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The base URL for a client, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.speaker.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.addr())
    }

    /// The certificate, in PEM, of the authority that vouches for certificates here, where TLS is spoken.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.speaker.as_deref().map(Speaker::authority)
    }

    /// The credential of the first client.
    #[must_use]
    pub fn client_token(&self) -> &str {
        self.terms.client_tokens.first().map_or("", String::as_str)
    }

    /// What it was told.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Stops: closes the listener and every connection of a client, and returns when all are closed.
    pub async fn stop(self) {
        self.door.close().await;
    }
}

/// Serves a connection until one side closes it. An answer that breaks off breaks the connection.
async fn connection(stream: TcpStream, number: u64, gateway: Arc<Gateway>, speaker: Option<Arc<Speaker>>) {
    let served = async {
        stream.set_nodelay(true)?;
        match speaker {
            None => serve(stream, number, gateway).await,
            Some(speaker) => match speaker.shake_hands(stream).await? {
                None => Ok(()),
                Some(stream) => serve(stream, number, gateway).await,
            },
        }
    };
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection of the zoo broke");
    }
}

async fn serve<S>(stream: S, number: u64, gateway: Arc<Gateway>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let service = service_fn(|request| Arc::clone(&gateway).answer(request, number));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    served.map_err(io::Error::other)
}
