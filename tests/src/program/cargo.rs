//! Runs tests through cargo, and tells a test that fails from one that does not build or is not there.

use std::fmt;
use std::path::Path;
use std::process::{Command, Output};

use serde::{Deserialize, Serialize};

/// One test, or all whose path contains `name`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Test {
    /// The package without `rohrpost-`, which is the room.
    pub(crate) package: String,
    /// The test program; without it the unit tests of the library.
    pub(crate) target: Option<String>,
    pub(crate) name: String,
}

impl Test {
    /// The options of cargo that choose the program.
    pub(crate) fn program(&self) -> Vec<String> {
        let mut args = vec!["-p".to_owned(), self.full_package()];
        match &self.target {
            Some(target) => args.extend(["--test".to_owned(), target.clone()]),
            // The room of the binary has no library.
            None => args.push(if self.package == "cli" { "--bins" } else { "--lib" }.to_owned()),
        }
        args
    }

    pub(crate) fn full_package(&self) -> String {
        // The package of the binary has the name of the product.
        if self.package == "cli" { "rohrpost".to_owned() } else { format!("rohrpost-{}", self.package) }
    }
}

/// As a reader finds it: room, program, path of the test.
impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.package, self.target.as_deref().unwrap_or("lib"), self.name)
    }
}

/// How tests ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    Passed,
    /// These tests failed.
    Failed(Vec<String>),
    /// The code does not compile.
    NotBuilt(String),
    /// No test has that name, or the program ended without a result.
    NothingRan(String),
}

/// cargo in a tree, with the target directory that belongs to it.
pub(crate) struct Cargo<'a> {
    pub(crate) tree: &'a Path,
    pub(crate) target_dir: &'a Path,
    /// Whether dependencies may be others than the lock file says, as when one is added on purpose.
    pub(crate) unlocked: bool,
}

impl Cargo<'_> {
    /// Builds a test program and runs the named tests in it.
    pub(crate) fn test(&self, program: &[String], names: &[&str]) -> Ended {
        let built = self.cargo("test").args(program).arg("--no-run").output().expect("cargo runs");
        if !built.status.success() {
            return Ended::NotBuilt(last_lines(&built.stderr));
        }
        let output = self.cargo("test").args(program).arg("--").args(names).output().expect("cargo runs");
        ended(&output)
    }

    pub(crate) fn cargo(&self, command: &str) -> Command {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.arg(command).args(["--quiet", "--offline"]).current_dir(self.tree);
        // Tests that build the binary find it here, too.
        cargo.env("CARGO_TARGET_DIR", self.target_dir);
        if !self.unlocked {
            cargo.arg("--locked");
        }
        without_package_variables(&mut cargo);
        cargo
    }
}

/// What cargo tells a program about its own package, a build script of a dependency takes for a change.
pub(crate) fn without_package_variables(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
}

/// Reads what a test program printed.
pub(crate) fn ended(output: &Output) -> Ended {
    let text = String::from_utf8_lossy(&output.stdout);
    // Tests in plain view are `test <name> ... FAILED`, briefly told ones are listed once more at the end.
    let listed = text.split("\nfailures:\n").last().unwrap_or_default();
    let mut failed: Vec<String> =
        listed.lines().filter_map(|line| line.strip_prefix("    ")).map(|name| name.trim().to_owned()).collect();
    failed.dedup();
    let ran: u64 =
        text.lines().filter_map(|line| line.strip_prefix("running ")?.split(' ').next()?.parse::<u64>().ok()).sum();
    match output.status.success() {
        _ if ran == 0 => Ended::NothingRan(last_lines(&output.stderr)),
        true => Ended::Passed,
        false if text.contains("test result: FAILED") => Ended::Failed(failed),
        false => Ended::NothingRan(last_lines(&output.stderr)),
    }
}

fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(12)..].join(" / ")
}
