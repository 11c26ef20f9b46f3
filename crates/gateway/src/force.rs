//! What is in force: a configuration and all that was made of it. A reload makes a new one, or changes nothing.

use std::path::Path;
use std::sync::Arc;

use tollgate_config::{Proxy as ProxyChoice, Snapshot};
use tollgate_policy::entry::Hash;
use tollgate_policy::key::AgeLimits;
use tollgate_policy::price::PriceBook;

use crate::listen::TlsFault;
use crate::secret::{SecretFault, resolve};
use crate::upstream::dial::{Dialer, DialerFault};
use crate::upstream::proxy::{NotAProxy, Proxy};
use crate::upstream::{Credential, Upstream};

/// A configuration and what was made of it.
pub(crate) struct InForce {
    pub(crate) config: Snapshot,
    pub(crate) upstream: Upstream,
    pub(crate) prices: Arc<PriceBook>,
    /// The hash of the text that the configuration was read from.
    pub(crate) document: Hash,
}

/// Why a configuration could not be put in force.
#[derive(Debug, thiserror::Error)]
pub enum ForceFault {
    /// The upstream's credential can not be had.
    #[error("upstream.credential: {0}")]
    Credential(SecretFault),
    /// The egress proxy's URL can not be had.
    #[error("upstream.proxy: {0}")]
    ProxySecret(SecretFault),
    /// The egress proxy is of no known form.
    #[error("upstream.proxy, or HTTPS_PROXY and HTTP_PROXY: {0}")]
    Proxy(#[from] NotAProxy),
    /// The way to the upstream can not be set up.
    #[error("upstream: {0}")]
    Dialer(#[from] DialerFault),
    /// The price file can not be used.
    #[error("prices.file {path}: {cause}")]
    Prices {
        /// The file.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The listener's certificate can not be used.
    #[error("listen.tls: {0}")]
    Tls(#[from] TlsFault),
}

impl InForce {
    /// Follows all references of the configuration.
    pub(crate) fn new(config: Snapshot, document: Hash) -> Result<Self, ForceFault> {
        let settings = &config.upstream;
        let credential = resolve(&settings.credential).map_err(ForceFault::Credential)?;
        let proxy = match &settings.proxy {
            ProxyChoice::Environment => {
                Proxy::from_environment(&settings.url, |name| std::env::var(name).ok())?
            }
            ProxyChoice::Direct => None,
            ProxyChoice::Url(url) => Some(Proxy::parse(&format!("http://{}", url.authority()))?),
            ProxyChoice::Secret(reference) => {
                let url = resolve(reference).map_err(ForceFault::ProxySecret)?;
                Some(Proxy::parse(url.reveal())?)
            }
        };
        let dialer = Dialer::new(&settings.url, settings.ca_file.as_deref(), settings.http2, proxy)?;
        let upstream =
            Upstream::new(settings.url.clone(), dialer, settings.http2, Credential::new(credential));
        let prices = Arc::new(prices(&config)?);
        Ok(InForce { config, upstream, prices, document })
    }
}

impl InForce {
    /// How old keys may become.
    pub(crate) fn key_ages(&self) -> AgeLimits {
        AgeLimits { warn_days: self.config.key_warn_days, max_days: self.config.key_max_days }
    }
}

/// The text of a price book, to judge a configuration by before it is put in force, which reads the file again and says
/// why it can not be read.
#[must_use]
pub fn price_text(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn prices(config: &Snapshot) -> Result<PriceBook, ForceFault> {
    let Some(path) = &config.price_file else {
        return Ok(PriceBook::builtin().clone());
    };
    let fault = |cause: String| ForceFault::Prices { path: path.display().to_string(), cause };
    let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
    PriceBook::parse(&text).map_err(|problem| fault(problem.to_string()))
}
