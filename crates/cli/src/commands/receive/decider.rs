//! Who decides about deliveries, and answers.

use std::fmt;
use std::path::Path;

use anyhow::Result;

use super::http::Application;
use super::program::Program;

/// Somebody who is asked before a delivery is accepted.
pub(super) enum Decider {
    Program(Program),
    Application(Application),
}

/// What is said to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Yes,
    No,
    Failed(&'static str),
}

impl Decider {
    /// Asks about the delivery in `folder`, which will be called `name`. Waits for the answer; a reply goes into the folder `reply`,
    /// if one is wanted.
    pub(super) fn ask(&self, folder: &Path, name: Option<&Path>, reply: Option<&Path>) -> Result<Said> {
        match self {
            Self::Program(program) => program.ask(folder, name, reply),
            Self::Application(application) => application.ask(folder, reply),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::No => f.write_str("no"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}
