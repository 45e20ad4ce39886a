use std::io::{self, Write as _};
use std::time::Duration;

use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use rohrpost_pipeline::spool::{Spool, SpoolDir, SpoolError, SpoolWriter};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::watch::Progress;
use super::{Phase, TransportError};

/// Bytes collected before they are written to disk in one go.
const PIECE: usize = 256 * 1024;

/// Spools a body with constant memory; no disk is touched on the reactor.
pub(super) async fn spool(
    mut body: Incoming,
    spools: &SpoolDir,
    idle: Duration,
    progress: &Progress,
) -> Result<Spool, TransportError> {
    let limit = spools.limit();
    let total = body.size_hint().exact();
    if body.size_hint().lower() > limit {
        return Err(TransportError::TooLarge { limit });
    }
    let (mut writer, mut piece, mut len) = (spools.writer(), Vec::new(), 0);
    while let Some(data) = next(&mut body, idle).await? {
        len += data.len() as u64;
        if len > limit {
            return Err(TransportError::TooLarge { limit });
        }
        progress.received(len, total);
        piece.extend_from_slice(&data);
        if piece.len() >= PIECE {
            (writer, piece) = write(writer, piece).await?;
        }
    }
    if len <= spools.memory_threshold() as u64 {
        writer.write_all(&piece).map_err(storage)?;
        return writer.finish().map_err(storage);
    }
    let (writer, _) = write(writer, piece).await?;
    blocking(move || writer.finish()).await
}

/// The beginning of a short text, without anything that could upset a terminal.
pub(super) async fn words(body: Incoming) -> Option<String> {
    let text = timeout(Duration::from_secs(5), Limited::new(body, 16 * 1024).collect()).await.ok()?.ok()?.to_bytes();
    let text = String::from_utf8_lossy(&text);
    let plain = |c: &char| !c.is_control() || *c == '\n';
    let text: String = text.chars().filter(plain).take(600).collect();
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

async fn next(body: &mut Incoming, idle: Duration) -> Result<Option<Bytes>, TransportError> {
    loop {
        let frame = timeout(idle, body.frame()).await;
        match frame.map_err(|_| TransportError::Timeout { phase: Phase::Receive, after: idle })? {
            None => return Ok(None),
            Some(Err(error)) => return Err(TransportError::Broken(error.into())),
            // Trailers are allowed and mean nothing to us.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => return Ok(Some(data)),
                Err(_) => continue,
            },
        }
    }
}

async fn write(mut writer: SpoolWriter, mut piece: Vec<u8>) -> Result<(SpoolWriter, Vec<u8>), TransportError> {
    blocking(move || {
        writer.write_all(&piece)?;
        piece.clear();
        Ok((writer, piece))
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, TransportError> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(storage),
        Err(error) => Err(TransportError::Storage(io::Error::other(error))),
    }
}

fn storage(error: io::Error) -> TransportError {
    match SpoolError::within(&error) {
        Some(SpoolError::TooLarge { limit }) => TransportError::TooLarge { limit },
        _ => TransportError::Storage(error),
    }
}
