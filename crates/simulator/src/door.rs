//! A listener: each connection is served in a task of its own, until the door is closed.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// An open door. Dropping it closes it, without waiting for that.
#[derive(Debug)]
pub(crate) struct Door {
    addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Door {
    /// Listens at this address, on the current runtime. `serve` gets each connection with its number, from 1.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub(crate) async fn open<S, F>(addr: SocketAddr, serve: S) -> io::Result<Self>
    where
        S: Fn(TcpStream, u64) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(accept(listener, serve, stopped));
        Ok(Self { addr, stop: Some(stop), task })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes the listener and every connection, and returns when all are closed.
    pub(crate) async fn close(mut self) {
        if let Some(stop) = self.stop.take() {
            // Fails only when the task has already ended.
            let _ = stop.send(());
        }
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "a listener ended by itself");
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<S, F>(listener: TcpListener, serve: S, mut stopped: oneshot::Receiver<()>)
where
    S: Fn(TcpStream, u64) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    number += 1;
                    connections.spawn(serve(stream, number));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    // Out of descriptors, most likely: some connection has to end first.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = &mut stopped => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
}
