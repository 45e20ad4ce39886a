//! From a spool to the network: answers as HTTP bodies.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use prometheus_client::metrics::counter::Counter;
use rohrpost_pipeline::spool::{Spool, SpoolReader};
use tokio::task::{JoinHandle, spawn_blocking};
use tracing::info;

use crate::correlation::CorrelationId;
use crate::metrics::Metrics;
use crate::receive::{Heavy, Share};
use crate::wire::Activity;

/// Bytes read from disk at a time. One piece is read ahead.
const PIECE: u64 = 64 * 1024;

/// An HTTP body: a short text or a spool. Tells the connection when it is through.
pub(crate) struct Answer {
    source: Source,
    activity: Option<Arc<Activity>>,
}

enum Source {
    Text(Bytes),
    Spool(SpoolBody),
}

impl Answer {
    pub(crate) fn text(text: impl Into<Bytes>) -> Self {
        Self { source: Source::Text(text.into()), activity: None }
    }

    pub(crate) fn spool(spool: &Spool, share: Share, metrics: &Metrics, correlation_id: CorrelationId) -> Self {
        Self { source: Source::Spool(SpoolBody::new(spool, share, metrics, correlation_id)), activity: None }
    }

    /// The connection to be told when the answer is through.
    pub(crate) fn on(mut self, activity: Arc<Activity>) -> Self {
        self.activity = Some(activity);
        self
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(activity) = &self.activity {
            activity.answered();
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.source {
            Source::Text(text) if text.is_empty() => Poll::Ready(None),
            Source::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Source::Spool(body) => body.poll_piece(cx).map(|piece| piece.map(|p| p.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

impl Answer {
    fn left(&self) -> u64 {
        match &self.source {
            Source::Text(text) => text.len() as u64,
            Source::Spool(body) => body.left,
        }
    }
}

struct SpoolBody {
    state: State,
    /// Bytes not yet given to the connection.
    left: u64,
    sent: Counter,
    abandoned: Counter,
    correlation_id: CorrelationId,
    /// Of the space for answers.
    _share: Share,
}

enum State {
    Memory(Bytes),
    Reading(Heavy<Reading>),
    Ended,
}

type Reading = JoinHandle<(SpoolReader, io::Result<Bytes>)>;

impl SpoolBody {
    fn new(spool: &Spool, share: Share, metrics: &Metrics, correlation_id: CorrelationId) -> Self {
        let left = spool.len();
        let state = match spool.in_memory() {
            Some(bytes) => State::Memory(Bytes::copy_from_slice(bytes)),
            None => State::Reading(read_piece(spool.reader(0..left))),
        };
        let (sent, abandoned) = (metrics.sent_bytes.clone(), metrics.abandoned.clone());
        Self { state, left, sent, abandoned, correlation_id, _share: share }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let piece = match &mut self.state {
            State::Ended => return Poll::Ready(None),
            State::Memory(bytes) => {
                let bytes = std::mem::take(bytes);
                self.state = State::Ended;
                bytes
            }
            State::Reading(task) => {
                let (reader, piece) = match ready!(Pin::new(task.as_mut()).poll(cx)) {
                    Ok(read) => read,
                    Err(error) => return self.fail(io::Error::other(error)),
                };
                let piece = match piece {
                    Ok(piece) => piece,
                    Err(error) => return self.fail(error),
                };
                self.go_on(reader);
                piece
            }
        };
        self.left -= piece.len() as u64;
        self.sent.inc_by(piece.len() as u64);
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
    }

    fn go_on(&mut self, reader: SpoolReader) {
        if reader.remaining() > 0 {
            self.state = State::Reading(read_piece(reader));
        } else {
            self.state = State::Ended;
            drop(Heavy::new(reader));
        }
    }

    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Bytes>>> {
        tracing::error!(%error, correlation_id = %self.correlation_id, "an answer cannot be read back from disk");
        self.state = State::Ended;
        Poll::Ready(Some(Err(error)))
    }
}

impl Drop for SpoolBody {
    fn drop(&mut self) {
        if self.left > 0 {
            self.abandoned.inc();
            info!(correlation_id = %self.correlation_id, missing_bytes = self.left,
                "the client did not take its whole answer");
        }
    }
}

fn read_piece(mut reader: SpoolReader) -> Heavy<Reading> {
    Heavy::new(spawn_blocking(move || {
        let len = reader.remaining().min(PIECE);
        let mut piece = Vec::with_capacity(usize::try_from(len).expect("a piece fits into memory"));
        let read = reader.by_ref().take(len).read_to_end(&mut piece);
        let piece = read.map(|_| Bytes::from(piece));
        (reader, piece)
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::BodyExt;
    use rohrpost_pipeline::spool::SpoolDir;

    use super::*;
    use crate::correlation::CorrelationIds;
    use crate::receive::Space;

    fn answer(spool: &Spool, metrics: &Metrics) -> Answer {
        let space = Space::new(u64::MAX, metrics.answer_bytes.clone());
        Answer::spool(spool, Share::none(&space), metrics, CorrelationIds::seeded(1).next())
    }

    #[tokio::test]
    async fn file_and_memory_arrive_whole_with_their_length() {
        let directory = tempfile::tempdir().unwrap();
        let metrics = Metrics::new(None);
        for len in [0, 1, 65_535, 65_536, 65_537, 300_000] {
            let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
            let mut writer = SpoolDir::new(directory.path()).with_memory_threshold(0).writer();
            writer.write_all(&bytes).unwrap();
            for spool in [writer.finish().unwrap(), Spool::from_bytes(bytes.clone())] {
                let answer = answer(&spool, &metrics);
                drop(spool);
                assert_eq!(answer.size_hint().exact(), Some(len as u64));
                assert_eq!(answer.is_end_stream(), len == 0);
                let got = answer.collect().await.unwrap().to_bytes();
                assert!(got == bytes, "{len}");
            }
        }
        assert_eq!(metrics.abandoned.get(), 0);
        while std::fs::read_dir(directory.path()).unwrap().count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn dropping_early_is_counted() {
        let metrics = Metrics::new(None);
        drop(answer(&Spool::from_bytes(vec![1]), &metrics));
        assert_eq!(metrics.abandoned.get(), 1);
    }
}
