//! Errors of the gateway itself, outside the protocol: what a client is told when its request never became
//! an order. Everything that became one is answered by the handler.

use std::fmt;
use std::time::Duration;

use hyper::StatusCode;

use crate::correlation::CorrelationId;

/// Why a request was not passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing is served under this path. Carries the path that is.
    NotFound {
        /// The path of OSCI requests.
        served: String,
    },
    /// The path exists, the method does not fit. Carries the one that does.
    MethodNotAllowed {
        /// The method to use.
        allowed: &'static str,
    },
    /// The body is compressed or otherwise encoded.
    EncodedBody,
    /// The body is larger than allowed.
    BodyTooLarge {
        /// The limit in bytes.
        limit: u64,
    },
    /// The body is not what its headers announce.
    BodyBroken,
    /// The request line and headers did not arrive in time.
    HeaderTimeout,
    /// The body did not arrive in time.
    BodyTimeout,
    /// Too many requests are waiting already.
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many connections are open already.
    TooManyConnections {
        /// When to try again.
        retry_after: Duration,
    },
    /// The body cannot be written to disk.
    NoSpace {
        /// When to try again.
        retry_after: Duration,
    },
    /// The order failed in a way nobody foresaw.
    Internal,
}

impl Problem {
    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::EncodedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::HeaderTimeout | Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded { .. } | Self::TooManyConnections { .. } | Self::NoSpace { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A word for log lines, metrics and error texts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::EncodedBody => "encoded_body",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyBroken => "body_broken",
            Self::HeaderTimeout => "header_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::Overloaded { .. } => "overloaded",
            Self::TooManyConnections { .. } => "too_many_connections",
            Self::NoSpace { .. } => "no_space",
            Self::Internal => "internal",
        }
    }

    /// When to try again, if that can help.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Overloaded { retry_after }
            | Self::TooManyConnections { retry_after }
            | Self::NoSpace { retry_after } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether it is worth an info line: what strangers can trigger at will is not.
    pub(crate) fn is_noise(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::MethodNotAllowed { .. })
    }

    /// The whole text for the client.
    pub fn text(&self, correlation_id: CorrelationId, form: Form) -> String {
        let words = self.words();
        match form {
            Form::Text => format!(
                "{status}: {what}\nCode: {code}\nLikely cause: {cause}\nWhat to do: {remedy}\n\
                 Correlation id: {correlation_id}\n",
                status = self.status(),
                code = self.code(),
                what = words.what,
                cause = words.cause,
                remedy = words.remedy,
            ),
            Form::Json => format!(
                "{{\"code\":\"{code}\",\"what\":{what},\"cause\":{cause},\"remedy\":{remedy},\
                 \"correlation_id\":\"{correlation_id}\"}}\n",
                code = self.code(),
                what = Json(&words.what),
                cause = Json(words.cause),
                remedy = Json(&words.remedy),
            ),
        }
    }

    fn words(&self) -> Words {
        let (what, cause, remedy) = match self {
            Self::NotFound { served } => (
                "nothing is served under this path".into(),
                "the address of the intermediary is misspelt",
                format!("send OSCI requests to {served}"),
            ),
            Self::MethodNotAllowed { allowed } => (
                "this path does not know the method of the request".into(),
                "a browser or a health check was pointed here",
                format!("use {allowed}; for health checks use /healthz or /readyz"),
            ),
            Self::EncodedBody => (
                "the request body has a Content-Encoding".into(),
                "the client or a proxy compresses requests",
                "send the body as it is".into(),
            ),
            Self::BodyTooLarge { limit } => (
                format!("the request body is larger than {limit} bytes"),
                "an attachment is larger than this intermediary carries",
                "send less at once, or ask the operator to raise limits.body_bytes".into(),
            ),
            Self::BodyBroken => (
                "the request body ended early or is not well-formed".into(),
                "the connection broke or a proxy interfered",
                "send the request again".into(),
            ),
            Self::HeaderTimeout => (
                "the request's headers did not arrive in time".into(),
                "the connection is very slow, or nothing was sent",
                "send the request again on a new connection".into(),
            ),
            Self::BodyTimeout => (
                "the request body did not arrive in time".into(),
                "the connection is very slow or was interrupted",
                "send the request again; if that does not help, ask the operator to raise \
                 timeouts.body_total"
                    .into(),
            ),
            Self::Overloaded { .. } => (
                "more requests are waiting than can be answered in time".into(),
                "unusually many messages are being sent at the moment",
                "send the same request again after the time given in Retry-After".into(),
            ),
            Self::TooManyConnections { .. } => (
                "too many connections are open, in all or from this address".into(),
                "clients open connections without reusing or closing them",
                "try again after the time given in Retry-After".into(),
            ),
            Self::NoSpace { .. } => (
                "the request or its answer cannot be kept while it is being worked on".into(),
                "too many large messages at once, or the disk of the intermediary is full",
                "send the request again later, in a new dialog if it was part of one; if that does not help, tell the operator".into(),
            ),
            Self::Internal => (
                "the request failed for a reason nobody foresaw".into(),
                "an error in this software",
                "tell the operator the correlation id; the log says more".into(),
            ),
        };
        Words { what, cause, remedy }
    }
}

struct Words {
    what: String,
    cause: &'static str,
    remedy: String,
}

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

impl Form {
    /// JSON for whoever asks for it in `Accept`, else text.
    pub fn wanted(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("json") => Self::Json,
            _ => Self::Text,
        }
    }

    /// The media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        }
    }
}

/// A JSON string.
struct Json<'a>(&'a str);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlation::CorrelationIds;

    #[test]
    fn text_says_what_why_and_what_to_do() {
        let id = CorrelationIds::seeded(0).next();
        let text = Problem::BodyTooLarge { limit: 10 }.text(id, Form::Text);
        assert_eq!(
            text,
            format!(
                "413 Payload Too Large: the request body is larger than 10 bytes\n\
                 Code: body_too_large\n\
                 Likely cause: an attachment is larger than this intermediary carries\n\
                 What to do: send less at once, or ask the operator to raise limits.body_bytes\n\
                 Correlation id: {id}\n"
            )
        );
    }

    #[test]
    fn json_for_whoever_asks() {
        assert_eq!(Form::wanted(Some("text/xml, application/json;q=0.5")), Form::Json);
        assert_eq!(Form::wanted(Some("*/*")), Form::Text);
        assert_eq!(Form::wanted(None), Form::Text);
        let id = CorrelationIds::seeded(0).next();
        let served = "/a\"b\\c\u{1}".to_owned();
        let json = Problem::NotFound { served }.text(id, Form::Json);
        assert!(json.contains(r#""remedy":"send OSCI requests to /a\"b\\c\u0001""#), "{json}");
        assert!(json.starts_with(r#"{"code":"not_found","what":"#));
    }

    #[test]
    fn retry_is_promised_exactly_for_503() {
        let retry_after = Duration::from_secs(3);
        let all = [
            Problem::NotFound { served: "/osci".into() },
            Problem::MethodNotAllowed { allowed: "POST" },
            Problem::EncodedBody,
            Problem::BodyTooLarge { limit: 1 },
            Problem::BodyBroken,
            Problem::HeaderTimeout,
            Problem::BodyTimeout,
            Problem::Overloaded { retry_after },
            Problem::TooManyConnections { retry_after },
            Problem::NoSpace { retry_after },
            Problem::Internal,
        ];
        for problem in all {
            let unavailable = problem.status() == StatusCode::SERVICE_UNAVAILABLE;
            assert_eq!(problem.retry_after().is_some(), unavailable, "{problem:?}");
        }
    }
}
