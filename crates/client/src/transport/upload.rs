use std::future::Future as _;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use rohrpost_pipeline::spool::{Spool, SpoolReader};
use tokio::task::{JoinHandle, spawn_blocking};

use super::watch::Progress;

/// Bytes read from disk at a time. One piece is read ahead.
const PIECE: u64 = 128 * 1024;

/// A spool as the body of a request.
pub(super) struct Upload {
    state: State,
    left: u64,
    progress: Arc<Progress>,
}

enum State {
    Memory(Bytes),
    Reading(JoinHandle<(SpoolReader, io::Result<Bytes>)>),
    Ended,
}

impl Upload {
    pub(super) fn new(spool: &Spool, progress: &Arc<Progress>) -> Self {
        let left = spool.len();
        let state = match spool.in_memory() {
            Some(bytes) => State::Memory(Bytes::copy_from_slice(bytes)),
            None => read_piece(spool.reader(0..left)),
        };
        Self { state, left, progress: Arc::clone(progress) }
    }

    fn moved(&mut self, piece: Bytes) -> Option<io::Result<Frame<Bytes>>> {
        let len = piece.len() as u64;
        self.left -= len;
        self.progress.sent(len);
        (len > 0).then_some(Ok(Frame::data(piece)))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (piece, next) = match &mut self.state {
            State::Ended => return Poll::Ready(None),
            State::Memory(bytes) => (std::mem::take(bytes), State::Ended),
            State::Reading(task) => {
                let (reader, piece) = match ready!(Pin::new(task).poll(cx)) {
                    Ok((reader, Ok(piece))) => (reader, piece),
                    Ok((_, Err(error))) => return self.fail(error),
                    Err(error) => return self.fail(io::Error::other(error)),
                };
                (piece, if reader.remaining() > 0 { read_piece(reader) } else { State::Ended })
            }
        };
        self.state = next;
        Poll::Ready(self.moved(piece))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Upload {
    fn fail(&mut self, error: io::Error) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.state = State::Ended;
        Poll::Ready(Some(Err(error)))
    }
}

fn read_piece(mut reader: SpoolReader) -> State {
    State::Reading(spawn_blocking(move || {
        let len = reader.remaining().min(PIECE);
        let mut piece = Vec::with_capacity(usize::try_from(len).expect("a piece fits into memory"));
        let read = reader.by_ref().take(len).read_to_end(&mut piece);
        (reader, read.map(|_| Bytes::from(piece)))
    }))
}
