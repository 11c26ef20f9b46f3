//! The stage of the demo: a simulated API, a gateway before it, and a folder for both.

use crate::{fault::Fault, printer::Printer};
use std::{
    fs::{OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use tempfile::TempDir;
use tollgate_config::{Address, Document, Proxy, SecretRef, compile};
use tollgate_gateway::{Gateway, Source};
use tollgate_simulator::{Config, Running, Simulator};

/// What the gateway presents to the simulated API, which takes nothing else.
pub(super) const UPSTREAM_KEY: &str = "sk-ant-simulated-00000000";

/// A running gateway before a running simulator.
pub(super) struct Stage {
    /// Removed when it is dropped.
    folder: TempDir,
    /// The data folder of the gateway.
    pub(super) data: PathBuf,
    pub(super) simulator: Running,
    pub(super) gateway: Gateway,
}

impl Stage {
    /// Starts both. Without a folder for the data, they lie in the temporary one.
    ///
    /// # Errors
    ///
    /// [`Fault::Folder`], [`Fault::Listen`], [`Fault::Configuration`], [`Fault::Start`].
    pub(super) async fn raise(
        listen: Address,
        data: Option<PathBuf>,
        printer: &Printer,
    ) -> Result<Self, Fault> {
        let folder = tempfile::Builder::new()
            .prefix("tollgate-demo-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(Fault::Folder)?;
        let data = data.unwrap_or_else(|| folder.path().join("data"));
        let credential = folder.path().join("upstream-key");
        write_private(&credential, UPSTREAM_KEY).map_err(Fault::Folder)?;

        let config = Config { api_key: Some(UPSTREAM_KEY.to_owned()), ..Config::default() };
        let address = config.listen;
        let simulator = Simulator::start(config).await.map_err(|cause| Fault::Listen { address, cause })?;
        let document = document(listen, &data, credential, &simulator.url())
            .map_err(|fault| Fault::Folder(io::Error::other(fault)))?;
        let snapshot = compile(&document).map_err(Fault::Configuration)?;
        // The intern's budget is smaller than anybody would want it, so that it refuses something.
        for warning in snapshot.warnings.iter().filter(|warning| !warning.path.starts_with("allowances")) {
            printer.problem(warning);
        }
        let source = Source { name: "the demo's configuration", text: &document.to_yaml() };
        let gateway = Gateway::start(snapshot, source).await?;
        Ok(Self { folder, data, simulator, gateway })
    }

    /// The base URL for clients.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.gateway.address())
    }

    /// Ends both and removes the temporary folder.
    pub(super) async fn strike(self, printer: &Printer) {
        self.gateway.drain().await;
        self.simulator.stop().await;
        if let Err(error) = self.folder.close() {
            printer.warn(&format!("the temporary folder of the demo is left behind: {error}"));
        }
    }
}

fn document(
    listen: Address,
    data: &Path,
    credential: PathBuf,
    upstream: &str,
) -> Result<Document, tollgate_config::Fault> {
    let mut document = tollgate_config::parse(ALLOWANCES, "the demo").unwrap_or_default();
    document.listen.address = listen;
    document.admin.address = Address::loopback(0);
    document.data = data.to_string_lossy().parse()?;
    document.upstream.url = upstream.parse()?;
    document.upstream.credential = SecretRef::File(credential);
    document.upstream.proxy = Proxy::Direct;
    document.timeouts.drain = "2s".parse()?;
    Ok(document)
}

/// A cent a day for the intern: enough for small models, not for a single answer of a large one. And a limit on
/// everybody that nobody meets.
const ALLOWANCES: &str = "
allowances:
  - { name: intern-day, on: { team: intern }, usd: '0.01', per: day, warn_at: [75, 95] }
  - { name: parallel, each: team, concurrent: 64 }
";

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}
