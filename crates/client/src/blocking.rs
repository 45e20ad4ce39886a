use std::io;
use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

use crate::error::Error;

/// Runs work that computes long or touches disks where it does not hold others up.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(cancelled) => Err(Error::Storage(io::Error::other(cancelled))),
        },
    }
}
