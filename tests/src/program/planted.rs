//! Shows that the tests find bugs: each bug of `tests/planted.toml` is switched on in a build that has them all, and a test
//! has to fail. See the crate `rohrpost-planted`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rohrpost_tests::root;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cargo::{Cargo, Ended, Test, ended};
use super::part::Part;

const FEATURE: &str = "rohrpost-planted/planted-bugs";
const CHOICE: &str = "ROHRPOST_PLANTED";

#[derive(Deserialize)]
struct Table {
    planted: Vec<Bug>,
}

/// One bug, and the test that has to find it.
#[derive(Deserialize)]
struct Bug {
    bug: String,
    what: String,
    #[serde(flatten)]
    test: Test,
}

/// Plants all bugs, or those whose name contains `only`, one after the other.
pub(crate) fn run(only: Option<&str>) -> Part {
    let began = Instant::now();
    let text = fs::read_to_string(root().join("tests/planted.toml")).expect("the table is committed");
    let table: Table = toml::from_str(&text).expect("the table is well-formed");
    let bugs: Vec<Bug> =
        table.planted.into_iter().filter(|bug| only.is_none_or(|only| bug.bug.contains(only))).collect();
    let programs = match build(&bugs) {
        Ok(programs) => programs,
        Err(error) => return Part::new("planted", "nothing".to_owned(), vec![error], began),
    };

    let mut failures = Vec::new();
    let mut rows = Vec::new();
    for bug in &bugs {
        let program = &programs[&bug.test.program()];
        let (healthy, sick) = (program.run(&bug.test.name, None), program.run(&bug.test.name, Some(&bug.bug)));
        match (healthy, sick) {
            (Ended::Passed, Ended::Failed(tests)) => {
                eprintln!("  {}: found by {}", bug.bug, tests.join(", "));
                rows.push((bug, tests));
            }
            (Ended::Passed, other) => failures.push(format!("{}: not found by {}: {other:?}", bug.bug, bug.test)),
            (other, _) => failures.push(format!("{}: {} without the bug: {other:?}", bug.bug, bug.test)),
        }
        if let Some(failure) = failures.last().filter(|failure| failure.starts_with(&bug.bug)) {
            eprintln!("  {failure}");
        }
    }
    let summary = format!("{} of {} planted bugs found", rows.len(), bugs.len());
    let mut part = Part::new("planted", summary, failures, began);
    part.rows = rows.iter().map(|(bug, tests)| json!({"bug": bug.bug, "found_by": tests})).collect();
    part.page = Some(page(&rows));
    part
}

/// A built test program.
struct Program {
    executable: PathBuf,
    /// The folder of its package, which cargo makes the working directory of tests.
    folder: PathBuf,
}

impl Program {
    fn find(artefacts: &[Value], test: &Test) -> Result<Self, String> {
        let artefact = artefacts.iter().find(|artefact| is_of(artefact, test));
        let path = |key: &str| artefact.and_then(|artefact| artefact[key].as_str()).map(PathBuf::from);
        let folder = path("manifest_path").and_then(|manifest| manifest.parent().map(Path::to_owned));
        match (path("executable"), folder) {
            (Some(executable), Some(folder)) => Ok(Self { executable, folder }),
            _ => Err(format!("the test program of {test} was not built")),
        }
    }

    fn run(&self, name: &str, bug: Option<&str>) -> Ended {
        let mut command = Command::new(&self.executable);
        command.arg(name).current_dir(&self.folder).env_remove(CHOICE);
        if let Some(bug) = bug {
            command.env(CHOICE, bug);
        }
        ended(&command.output().expect("a built test runs"))
    }
}

/// Builds all test programs at once with all bugs in them.
fn build(bugs: &[Bug]) -> Result<BTreeMap<Vec<String>, Program>, String> {
    eprintln!("  building with all bugs");
    let target_dir = root().join("target");
    let cargo = Cargo { tree: &root(), target_dir: &target_dir };
    let mut command = cargo.cargo("test");
    command.args(["--no-run", "--message-format=json-render-diagnostics", "--features", FEATURE]);
    let mut wanted: Vec<Vec<String>> = bugs.iter().map(|bug| bug.test.program()).collect();
    wanted.sort();
    wanted.dedup();
    let mut options: Vec<&[String]> = wanted.iter().flat_map(|program| program.chunks(2)).collect();
    options.sort();
    options.dedup();
    command.args(["-p", "rohrpost-planted"]).args(options.concat());
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let artefacts: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    bugs.iter().map(|bug| Ok((bug.test.program(), Program::find(&artefacts, &bug.test)?))).collect()
}

fn is_of(artefact: &Value, test: &Test) -> bool {
    let of_package = artefact["package_id"].as_str().is_some_and(|id| {
        let package = test.full_package();
        id.contains(&format!("/crates/{}#", test.package))
            || id.contains(&format!("#{package}@"))
            || id.contains(&format!("/{}#", test.package))
    });
    let (kind, name) = (artefact["target"]["kind"][0].as_str(), artefact["target"]["name"].as_str());
    let of_target = match &test.target {
        Some(target) => kind == Some("test") && name == Some(target),
        None => kind == Some("lib"),
    };
    of_package && of_target && artefact["profile"]["test"] == true && artefact["executable"].is_string()
}

fn page(rows: &[(&Bug, Vec<String>)]) -> String {
    let mut text = String::from(
        "# Planted bugs\n\n\
         Bugs that were planted on purpose, each switched on alone, and the test that found it. How: the crate\n\
         `rohrpost-planted` and [planted.toml](planted.toml); no release can have them. Repeat it with\n\
         `cargo run --release -p rohrpost-tests -- planted --results tests/PLANTED.md`.\n\n\
         | bug | what is wrong | found by |\n|---|---|---|\n",
    );
    for (bug, tests) in rows {
        let _ = writeln!(text, "| {} | {} | `{}`, {} failed |", bug.bug, bug.what, bug.test, tests.len());
    }
    text
}
