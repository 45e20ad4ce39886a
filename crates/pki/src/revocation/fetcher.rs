//! Getting what is needed from elsewhere.

use std::fmt;

use thiserror::Error;

/// What is wanted from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// The address, as the certificate spells it. Whether it is one that may be called is the fetcher's to judge.
    pub url: &'a str,
    /// The request of a responder, to be posted as `application/ocsp-request`; `None` for a revocation list, which is got.
    pub request: Option<&'a [u8]>,
    /// The largest answer that is wanted, in octets.
    pub max_len: usize,
}

/// Brings answers from the network. The only way in which this crate reaches out; it does not do so itself.
///
/// Blocks until there is an answer or a failure, for a time that the implementation bounds.
pub trait Fetcher: Send + Sync + fmt::Debug {
    /// The body of the answer.
    ///
    /// # Errors
    /// [`FetchError`] if there is none that may be looked at.
    fn fetch(&self, question: &Question<'_>) -> Result<Vec<u8>, FetchError>;
}

/// Why nothing came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address must not be called.
    #[error("must not be called: {0}")]
    Forbidden(&'static str),
    /// It failed often lately and is left alone for a while.
    #[error("left alone for a while after several failures")]
    LeftAlone,
    /// Nobody is there.
    #[error("cannot be reached")]
    Unreachable,
    /// It took too long.
    #[error("took too long")]
    TimedOut,
    /// The connection broke, or what came was no HTTP.
    #[error("the connection broke")]
    Broken,
    /// A status other than 200. Redirections are not followed.
    #[error("answered with HTTP status {0}")]
    Status(u16),
    /// Something else was sent than what was asked for.
    #[error("sent something else than asked for")]
    WrongContent,
    /// The answer is larger than wanted.
    #[error("sent too much")]
    TooLarge,
}
