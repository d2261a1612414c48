//! The events of one subscription, framed and gathered until the connection takes them.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame};
use prost::Message as _;
use thiserror::Error;

use crate::recordio::encode_record;
use crate::v1::executor::Event;

// An executor that reads nothing while this much piles up is as good as gone.
const MAX_UNREAD_BYTES: usize = 256 * 1024 * 1024;

/// The executor no longer reads this stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the executor's event stream is closed")]
pub struct StreamClosed;

#[derive(Debug, Default)]
struct Unread {
    records: BytesMut,
    reader: Option<Waker>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared(Mutex<Unread>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Unread> {
        // Nothing below can panic half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends events to one subscription. Never waits; dropping it ends the stream once it is read.
#[derive(Debug)]
pub struct EventSender(Arc<Shared>);

impl EventSender {
    /// Sends events in order, as one piece.
    pub fn send(&self, events: &[Event]) -> Result<(), StreamClosed> {
        let mut unread = self.0.lock();
        if unread.closed || unread.records.len() > MAX_UNREAD_BYTES {
            return Err(StreamClosed);
        }
        for event in events {
            encode_record(&event.encode_to_vec(), &mut unread.records);
        }
        if let Some(reader) = unread.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    /// Returns whether the connection has not taken all events yet.
    pub fn has_unread(&self) -> bool {
        let unread = self.0.lock();
        !unread.closed && !unread.records.is_empty()
    }

    /// Returns whether the executor has gone or the stream was ended.
    pub fn is_closed(&self) -> bool {
        self.0.lock().closed
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        let mut unread = self.0.lock();
        unread.closed = true;
        if let Some(reader) = unread.reader.take() {
            reader.wake();
        }
    }
}

/// The body of the answer to a SUBSCRIBE.
#[derive(Debug)]
pub(super) struct EventBody(Arc<Shared>);

impl Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut unread = self.0.lock();
        if !unread.records.is_empty() {
            let records = unread.records.split().freeze();
            return Poll::Ready(Some(Ok(Frame::data(records))));
        }
        if unread.closed {
            return Poll::Ready(None);
        }
        unread.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        let mut unread = self.0.lock();
        unread.closed = true;
        unread.records = BytesMut::new();
    }
}

/// Makes a stream and its sender.
pub(super) fn event_stream() -> (EventSender, EventBody) {
    let shared = Arc::new(Shared::default());
    (EventSender(Arc::clone(&shared)), EventBody(shared))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn what_was_sent_before_the_end_is_read() {
        let (sender, mut body) = event_stream();
        sender.send(&[Event::default(), Event::default()]).unwrap();
        drop(sender);
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), Bytes::from_static(b"0\n0\n"));
        assert!(body.frame().await.is_none());
    }

    #[test]
    fn a_sender_learns_that_its_reader_is_gone() {
        let (sender, body) = event_stream();
        assert!(!sender.is_closed());
        drop(body);
        assert!(sender.is_closed());
        assert_eq!(sender.send(&[Event::default()]), Err(StreamClosed));
    }
}
