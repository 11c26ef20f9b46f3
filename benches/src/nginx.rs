//! nginx as a plain proxy: no keys, no limits, no records. What it does not have to do, the gateway does.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use crate::process::Tree;
use crate::proxy::{NGINX, NGINX_MEM, Proxy};
use crate::role::{Orders, Role};
use crate::script::UPSTREAM_KEY;

/// The role that runs nginx.
pub(crate) const ROLE: &str = "nginx";
const CONFIG: &str = "nginx.conf";
/// Ports that are tried, since another process may take one between our look and nginx's.
const PORTS: usize = 5;

/// How request bodies pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Piece by piece as they come, as the answers do. The advice for a proxy before a streaming API.
    Streamed,
    /// Collected in a buffer of two megabytes: the least CPU that nginx can do it with.
    InMemory,
}

/// Starts nginx before the upstream. `folder` is for it alone.
pub(crate) async fn start(
    bodies: Bodies,
    upstream: SocketAddr,
    folder: &Path,
    core: Option<usize>,
) -> Result<Proxy> {
    let name = match bodies {
        Bodies::Streamed => NGINX,
        Bodies::InMemory => NGINX_MEM,
    };
    std::fs::create_dir(folder)?;
    for _ in 0..PORTS {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        std::fs::write(folder.join(CONFIG), config(bodies, address, upstream))?;
        let args: Vec<OsString> = vec![folder.into(), address.to_string().into()];
        let role = Role::start(ROLE, core, args)?;
        if let Ok(proxy) = Proxy::ready(name, role).await {
            return Ok(proxy);
        }
    }
    bail!("nginx does not start; what it said stands above")
}

fn config(bodies: Bodies, address: SocketAddr, upstream: SocketAddr) -> String {
    let bodies = match bodies {
        Bodies::Streamed => "proxy_request_buffering off;",
        Bodies::InMemory => "proxy_request_buffering on; client_body_buffer_size 2m;",
    };
    format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr emerg;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    client_max_body_size 64m;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    upstream api {{
        server {upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} backlog=4096;
        location / {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_buffering off;
            {bodies}
            proxy_read_timeout 600s;
            proxy_set_header Connection \"\";
            proxy_set_header Authorization \"\";
            proxy_set_header x-api-key {UPSTREAM_KEY};
        }}
    }}
}}
"
    )
}

/// The role: runs nginx until the orders end. Says nginx's process and address when clients can connect.
pub(crate) async fn hold(folder: &Path, address: SocketAddr, mut orders: Orders) -> Result<()> {
    let mut nginx =
        nginx(folder).spawn().context("nginx can not be started; scripts/setup.sh bench installs it")?;
    let pid = nginx.id().context("nginx has ended")?;
    // The kernel takes connections before the worker is there, whose CPU time is to be read.
    while TcpStream::connect(address).await.is_err() || Tree::of(pid)?.processes() < 2 {
        if let Some(status) = nginx.try_wait()? {
            bail!("nginx ended with {status}");
        }
        sleep(Duration::from_millis(10)).await;
    }
    println!("{pid} {address}");
    tokio::select! {
        status = nginx.wait() => bail!("nginx ended with {}", status?),
        () = orders.ended() => stop(nginx).await,
    }
}

/// Asks nginx to end, which ends its worker too. Its folder may be gone by now, so `nginx -s` would not do.
async fn stop(mut nginx: Child) -> Result<()> {
    let pid = nginx.id().context("nginx has ended")?.to_string();
    Command::new("sh").args(["-c", r#"kill -TERM "$0""#, &pid]).status().await?;
    nginx.wait().await?;
    Ok(())
}

fn nginx(folder: &Path) -> Command {
    // Debian keeps it where only root looks.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let mut command = Command::new("nginx");
    command.env("PATH", path).arg("-p").arg(folder).arg("-c").arg(folder.join(CONFIG));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}
