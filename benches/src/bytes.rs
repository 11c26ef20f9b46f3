//! Reading with one buffer for all connections of a thread, so that an open connection costs nothing here.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 256 * 1024]);
}

/// Waits for bytes, shows them, and says how many they were; none is the end of the stream.
pub(crate) async fn read(stream: &mut TcpStream, mut show: impl FnMut(&[u8])) -> io::Result<usize> {
    std::future::poll_fn(|context| {
        BUFFER.with_borrow_mut(|buffer| {
            let mut filled = ReadBuf::new(buffer);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut filled))?;
            show(filled.filled());
            Poll::Ready(Ok(filled.filled().len()))
        })
    })
    .await
}
