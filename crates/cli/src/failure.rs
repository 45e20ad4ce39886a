//! How a command fails: what happened, the likely cause, what to do, and the exit code scripts rely on.

use std::error::Error;
use std::fmt;

use serde_json::Value;

/// The exit codes, documented in `rohrpost --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something the others do not cover; usually a defect or a full disk.
    Other = 1,
    /// Command line, configuration or a file named there is wrong.
    Configuration = 2,
    /// The other side could not be reached or broke off.
    Connection = 3,
    /// The intermediary answered, and refused.
    Refused = 4,
    /// Nothing to fetch, no such card or leaf.
    Nothing = 5,
    /// A signature, a proof or the log does not hold.
    Untrue = 6,
}

impl Kind {
    /// A stable word for machines.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Other => "failed",
            Self::Configuration => "configuration",
            Self::Connection => "connection",
            Self::Refused => "refused",
            Self::Nothing => "nothing-found",
            Self::Untrue => "verification",
        }
    }
}

/// A failure with its remedy. Put it into an `anyhow::Error`; the outermost one found decides the exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) what: String,
    pub(crate) cause: Option<String>,
    pub(crate) remedy: Option<String>,
    pub(crate) correlation_id: Option<String>,
    /// What the command found out before it failed: printed beside the error for machines.
    pub(crate) report: Option<Value>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), cause: None, remedy: None, correlation_id: None, report: None }
    }

    pub(crate) fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The same error, told as one of the configuration key it is about.
    pub(crate) fn at_key(key: &str, mut error: anyhow::Error) -> anyhow::Error {
        match error.downcast_mut::<Self>() {
            Some(failure) => {
                failure.what = format!("{key}: {}", failure.what);
                error
            }
            None => {
                let failure = Self::new(Kind::Configuration, format!("{key}: {error}"));
                error.context(failure)
            }
        }
    }

    pub(crate) fn report(mut self, report: Value) -> Self {
        self.report = Some(report);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Error for Failure {}
