use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{DATE, RETRY_AFTER};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

/// Why there is no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransportError {
    /// Nobody listens there, or the name cannot be resolved.
    #[error("{host}:{port} cannot be reached")]
    Connect {
        /// Host name or IP address.
        host: String,
        /// TCP port.
        port: u16,
        /// What the operating system said.
        source: io::Error,
    },
    /// The name stands for network addresses that must not be connected to.
    #[error("{host} leads to a network address that is not allowed")]
    OutOfReach {
        /// Host name or IP address.
        host: String,
    },
    /// The address is `https`, and there is nothing to trust.
    #[error("no authorities are configured for https addresses")]
    NoAuthorities,
    /// The encrypted connection could not be set up: the certificate of the server is not trusted, or expired, or for
    /// another name, or there is no common version.
    #[error("no trusted TLS connection to {host}")]
    Tls {
        /// Host name or IP address.
        host: String,
        /// What was wrong.
        source: io::Error,
    },
    /// Something took too long.
    #[error("{phase} took longer than {} seconds", .after.as_secs_f32())]
    Timeout {
        /// What.
        phase: Phase,
        /// The time allowed.
        after: Duration,
    },
    /// The connection broke, or what came was no HTTP.
    #[error("the connection broke before the answer was complete")]
    Broken(#[source] Box<dyn StdError + Send + Sync>),
    /// The other side has no room at the moment (HTTP 503 or 429). It did not look at the request.
    #[error("the other side is busy")]
    Busy {
        /// When to try again, if it said so.
        retry_after: Option<Duration>,
        /// The name of the exchange in the other side's log.
        correlation_id: Option<String>,
    },
    /// A status other than 2xx.
    #[error("the other side answered with HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
        /// What it said in plain text, cut to a few lines.
        words: Option<String>,
        /// The name of the exchange in the other side's log.
        correlation_id: Option<String>,
    },
    /// The answer is larger than allowed.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// Our spool could not be read or written.
    #[error("a message could not be spooled")]
    Storage(#[source] io::Error),
}

/// What can take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Connecting, TLS included.
    Connect,
    /// Sending the request: no byte moved.
    Send,
    /// Waiting for the head of the answer.
    Answer,
    /// Receiving the answer: no byte moved.
    Receive,
    /// All of it together.
    Total,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Send => "a pause while sending",
            Self::Answer => "waiting for the answer",
            Self::Receive => "a pause while receiving",
            Self::Total => "the exchange",
        })
    }
}

impl TransportError {
    /// Whether the other side can have executed the request. If not, sending it again is safe whatever it was.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::OutOfReach { .. }
            | Self::NoAuthorities
            | Self::Tls { .. }
            | Self::Busy { .. }
            | Self::Timeout { phase: Phase::Connect, .. } => false,
            // The request was refused for what it is; a proxy that gives up (5xx) may have passed it on.
            Self::Status { status, .. } => *status >= 500,
            Self::Timeout { .. } | Self::Broken(_) | Self::TooLarge { .. } | Self::Storage(_) => true,
        }
    }

    /// Whether another try may end differently.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Timeout { .. } | Self::Broken(_) | Self::Busy { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 408,
            Self::OutOfReach { .. }
            | Self::NoAuthorities
            | Self::Tls { .. }
            | Self::TooLarge { .. }
            | Self::Storage(_) => false,
        }
    }
}

/// What went wrong on a connection while a request was sent. The body of a request is a spool of ours.
pub(super) fn broken(error: hyper::Error) -> TransportError {
    match error.is_user() {
        true => TransportError::Storage(io::Error::other(error)),
        false => TransportError::Broken(error.into()),
    }
}

/// Seconds, or a date relative to the sender's own `Date` (RFC 9110, section 10.2.3).
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| OffsetDateTime::parse(text, &Rfc2822).ok();
    let until = date(value)? - date(headers.get(DATE)?.to_str().ok()?)?;
    Some(until.try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let parse = |value: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            if let Some(date) = date {
                headers.insert(DATE, date.parse().unwrap());
            }
            retry_after(&headers)
        };
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(parse("17", None), Some(Duration::from_secs(17)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:50:00 GMT", Some(date)), Some(Duration::from_secs(23)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:00 GMT", Some(date)), Some(Duration::ZERO));
        assert_eq!(parse("Sun, 06 Nov 1994 08:50:00 GMT", None), None);
        assert_eq!(parse("soon", Some(date)), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }
}
