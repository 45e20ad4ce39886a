//! A program that decides about deliveries. It is told where the files are; nothing that a sender wrote gets into its arguments or its
//! environment.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::decider::Said;
use crate::failure::{Failure, Kind};

/// The exit code for what may go better another time (`EX_TEMPFAIL` of sysexits.h).
const TRY_LATER: i32 = 75;
/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// The program, and how long it may take.
pub(super) struct Program {
    file: PathBuf,
    timeout: Duration,
}

impl Program {
    /// The program in a file; a bare name is looked for in the current folder, not in PATH.
    pub(super) fn new(file: &Path, timeout: Duration) -> Result<Self> {
        let unusable = || {
            Failure::new(Kind::Configuration, format!("cannot find the program {}", file.display()))
                .remedy("give the path of an executable file")
        };
        let file = std::path::absolute(file).with_context(unusable)?;
        if !file.is_file() {
            return Err(unusable().into());
        }
        Ok(Self { file, timeout })
    }

    /// Runs it and waits for its end. What it prints goes to standard error.
    pub(super) fn ask(&self, folder: &Path, name: Option<&Path>, reply: Option<&Path>) -> Result<Said> {
        let out = Stdio::from(std::io::stderr().as_fd().try_clone_to_owned()?);
        let mut command = Command::new(&self.file);
        command.arg(folder).stdin(Stdio::null()).stdout(out).env_remove("ROHRPOST_FOLDER").env_remove("ROHRPOST_REPLY");
        if let Some(name) = name {
            command.env("ROHRPOST_FOLDER", name);
        }
        if let Some(reply) = reply {
            command.env("ROHRPOST_REPLY", reply);
        }
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot run {}", self.file.display()))?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > self.timeout {
                child.kill()?;
                child.wait()?;
                return Ok(Said::Failed("it took too long and was ended"));
            }
            thread::sleep(LOOK);
        };
        Ok(match status.code() {
            Some(0) => Said::Yes,
            Some(TRY_LATER) => Said::Failed("try later"),
            Some(_) => Said::No,
            None => Said::Failed("it was killed"),
        })
    }
}
