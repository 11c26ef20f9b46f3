//! A real nginx on free ports, started and stopped by the test.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A running nginx. It ends when this is dropped.
pub struct Nginx {
    child: Child,
    pub address: SocketAddr,
    pub folder: TempDir,
}

impl Nginx {
    /// Starts nginx with one server whose block is given; `{listen}` in it stands for a free address.
    pub async fn start(folder: TempDir, server: &str) -> Self {
        let address = free_address();
        let server = server.replace("{listen}", &address.to_string());
        let config = format!(
            "daemon off;\nmaster_process off;\nerror_log stderr crit;\npid {root}/pid;\nevents {{}}\nhttp {{\n\
             access_log off;\nclient_body_temp_path {root}/b;\nproxy_temp_path {root}/p;\nfastcgi_temp_path {root}/f;\n\
             uwsgi_temp_path {root}/u;\nscgi_temp_path {root}/s;\nserver {{\n{server}\n}}\n}}\n",
            root = folder.path().display(),
        );
        let path = folder.path().join("nginx.conf");
        std::fs::write(&path, config).unwrap();
        let child = spawn(&path);
        let mut nginx = Nginx { child, address, folder };
        nginx.wait_until_open().await;
        nginx
    }

    async fn wait_until_open(&mut self) {
        for _ in 0..500 {
            if tokio::net::TcpStream::connect(self.address).await.is_ok() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("nginx ended at once: {status}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nginx did not open {}", self.address);
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &Path) -> Child {
    let binary = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("nginx is needed: run scripts/setup.sh, or install the package `nginx`");
    Command::new(binary)
        .args(["-c", config.to_str().unwrap(), "-p", config.parent().unwrap().to_str().unwrap()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// An address on which nobody listens.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
