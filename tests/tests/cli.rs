//! The command line through the real binary: `demo`, `audit`, `certs`, `config`, and what `fetch` makes of hostile names.

#![allow(clippy::unwrap_used)] // helpers of tests, too

#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/certs.rs"]
mod certs;
#[path = "cli/config.rs"]
mod config;
#[path = "cli/demo.rs"]
mod demo;
#[path = "cli/doctor.rs"]
mod doctor;
#[path = "cli/forged.rs"]
mod forged;
#[path = "cli/names.rs"]
mod names;

use std::ffi::OsStr;
use std::process::Command;

use rohrpost_tests::binary;
use serde_json::Value;

/// How a command ended, and what it printed.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// The one JSON document on standard output.
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ended {
    run_with(args, &[])
}

/// With these environment variables, and none of the caller's that would change the outcome.
fn run_with<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(binary());
    command.args(args).env_remove("ROHRPOST_CONFIG").envs(environment.iter().copied());
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The words of a command line.
fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_command_explains_itself() {
    let all = ["", "demo", "serve", "send", "fetch", "receive", "cards", "audit", "certs", "config", "doctor"];
    let inner = ["audit verify", "audit prove", "audit checkpoint", "audit export", "certs generate", "certs inspect"];
    for command in all.into_iter().chain(inner).chain(["config check", "config print-default"]) {
        let ended = run(words(&format!("{command} --help")));
        assert_eq!(ended.code, 0, "{command}");
        assert!(ended.stdout.contains("Usage: rohrpost"), "{command}: {}", ended.stdout);
    }
    let help = run(["--help"]).stdout;
    for code in 0..=6 {
        assert!(help.contains(&format!("\n  {code}  ")), "{help}");
    }
    let serve = run(["serve", "--help"]).stdout;
    assert!(serve.contains("ROHRPOST__HTTP__LISTEN") && serve.contains("--set"), "{serve}");
}

#[test]
fn a_wrong_command_line_is_code_2() {
    for line in ["", "nothing", "serve --nonsense", "certs generate", "audit verify", "fetch --all", "receive --dir x"]
    {
        let ended = run(words(line));
        assert_eq!(ended.code, 2, "{line}");
        assert!(!ended.stderr.is_empty());
    }
}
