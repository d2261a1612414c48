//! Keeps descriptors for ourselves, however many connections callers open.
//!
//! Without one the store cannot write, no executor can be started, and no executor comes back.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::process::Resource;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const MAX_CONNECTIONS: u64 = 10_000;
const WANTED_DESCRIPTORS: u64 = 65_536;

/// Raises the limit of descriptors as far as that goes; returns how many of them may be callers'.
pub(super) fn share_of_callers() -> usize {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED_DESCRIPTORS, |maximum| {
        maximum.min(WANTED_DESCRIPTORS)
    });
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        if let Err(error) = rustix::process::setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "failed to raise the limit of descriptors");
        }
    }
    let current = rustix::process::getrlimit(Resource::Nofile).current;
    let half = current.map_or(MAX_CONNECTIONS, |current| current / 2);
    usize::try_from(half.clamp(1, MAX_CONNECTIONS)).unwrap_or(1)
}

/// Takes so many connections at a time; others wait to be taken.
pub(super) struct Connections {
    listener: TcpListener,
    slots: Arc<Semaphore>,
}

impl Connections {
    /// Takes connections of `listener`.
    pub(super) fn new(listener: TcpListener, at_a_time: usize) -> Self {
        Self {
            listener,
            slots: Arc::new(Semaphore::new(at_a_time)),
        }
    }
}

impl axum::serve::Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        // Tries again after what goes by.
        let (stream, address) = axum::serve::Listener::accept(&mut self.listener).await;
        let connection = Connection {
            stream,
            _slot: slot,
        };
        (connection, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, which gives its place back with its end.
pub(super) struct Connection {
    stream: TcpStream,
    _slot: OwnedSemaphorePermit,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::serve::Listener as _;

    use super::*;

    #[tokio::test]
    async fn a_connection_too_many_waits_for_the_end_of_another() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut connections = Connections::new(listener, 1);
        let _callers = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];
        let (first, _) = connections.accept().await;
        let second = tokio::time::timeout(Duration::from_millis(20), connections.accept()).await;
        assert!(second.is_err());
        drop(first);
        connections.accept().await;
    }
}
