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
    simulated: Vec<SimulatedBug>,
}

/// One bug, and the test that has to find it.
#[derive(Deserialize)]
struct Bug {
    bug: String,
    what: String,
    #[serde(flatten)]
    test: Test,
}

/// One bug that the simulation has to find.
#[derive(Deserialize)]
struct SimulatedBug {
    bug: String,
    what: String,
}

/// Seeds of the simulation in which a bug has to show.
const SEEDS: u64 = 2_000;

/// Plants all bugs, or those whose name contains `only`, one after the other.
pub(crate) fn run(only: Option<&str>) -> Part {
    let began = Instant::now();
    let text = fs::read_to_string(root().join("tests/planted.toml")).expect("the table is committed");
    let table: Table = toml::from_str(&text).expect("the table is well-formed");
    let wanted = |bug: &str| only.is_none_or(|only| bug.contains(only));
    let bugs: Vec<Bug> = table.planted.into_iter().filter(|bug| wanted(&bug.bug)).collect();
    let simulated: Vec<SimulatedBug> = table.simulated.into_iter().filter(|bug| wanted(&bug.bug)).collect();
    let programs = match build(&bugs) {
        Ok(programs) => programs,
        Err(error) => return Part::new("planted", "nothing".to_owned(), vec![error], began),
    };

    let mut failures = Vec::new();
    let (mut rows, mut found, mut known) = (Vec::new(), Vec::new(), BTreeMap::new());
    for bug in &bugs {
        let program = &programs[&bug.test.program()];
        let healthy = known.entry(bug.test.to_string()).or_insert_with(|| program.run(&bug.test.name, None));
        match (&*healthy, program.run(&bug.test.name, Some(&bug.bug))) {
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
    match simulation(&simulated) {
        Ok(outcomes) => {
            for (bug, outcome) in simulated.iter().zip(outcomes) {
                match outcome {
                    Some((seed, reason)) => {
                        eprintln!("  {}: found by seed {seed}: {reason}", bug.bug);
                        found.push((bug, seed, reason));
                    }
                    None => failures.push(format!("{}: not found by {SEEDS} seeds of the simulation", bug.bug)),
                }
            }
        }
        Err(error) => failures.push(error),
    }
    let summary = format!("{} of {} planted bugs found", rows.len() + found.len(), bugs.len() + simulated.len());
    let mut part = Part::new("planted", summary, failures, began);
    part.rows = rows.iter().map(|(bug, tests)| json!({"bug": bug.bug, "found_by": tests})).collect();
    part.rows.extend(found.iter().map(|(bug, seed, _)| json!({"bug": bug.bug, "found_by_seed": seed})));
    part.page = Some(page(&rows, &found));
    part
}

/// The first seed that finds each bug, and why it failed.
fn simulation(bugs: &[SimulatedBug]) -> Result<Vec<Option<(u64, String)>>, String> {
    if bugs.is_empty() {
        return Ok(Vec::new());
    }
    let target_dir = root().join("target");
    let cargo = Cargo { tree: &root(), target_dir: &target_dir, unlocked: false };
    let mut command = cargo.cargo("build");
    command.args(["--message-format=json-render-diagnostics", "--features", FEATURE]);
    let artefacts =
        artefacts(command.args(["-p", "rohrpost-planted", "-p", "rohrpost-tests", "--bin", "rohrpost-tests"]))?;
    let built = artefacts.iter().find_map(|artefact| artefact["executable"].as_str());
    // The next build may put another program in its place.
    let program = target_dir.join("planted-simulation");
    fs::copy(built.ok_or("cargo names no file")?, &program).map_err(|error| error.to_string())?;
    bugs.iter().map(|bug| first_seed(&program, &bug.bug)).collect()
}

fn first_seed(program: &Path, bug: &str) -> Result<Option<(u64, String)>, String> {
    let seeds = format!("0..{SEEDS}");
    let mut command = Command::new(program);
    command.args(["--json", "simulate", "--until-failure", "--seeds", &seeds]).env(CHOICE, bug);
    let output = command.output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Lines about the result come first.
    let json = text.find("\n{").map(|start| &text[start..]).ok_or("the simulation printed no summary")?;
    let summary: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let row = &summary["parts"][0]["rows"][0];
    Ok(row["seed"].as_u64().map(|seed| (seed, row["reason"].as_str().unwrap_or_default().to_owned())))
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
    let cargo = Cargo { tree: &root(), target_dir: &target_dir, unlocked: false };
    let mut command = cargo.cargo("test");
    command.args(["--no-run", "--message-format=json-render-diagnostics", "--features", FEATURE]);
    let mut wanted: Vec<Vec<String>> = bugs.iter().map(|bug| bug.test.program()).collect();
    wanted.sort();
    wanted.dedup();
    let mut options: Vec<&[String]> = wanted.iter().flat_map(|program| program.chunks(2)).collect();
    options.sort();
    options.dedup();
    command.args(["-p", "rohrpost-planted"]).args(options.concat());
    let artefacts = artefacts(&mut command)?;
    bugs.iter().map(|bug| Ok((bug.test.program(), Program::find(&artefacts, &bug.test)?))).collect()
}

/// Builds, and gives what cargo says about each file it made.
fn artefacts(build: &mut Command) -> Result<Vec<Value>, String> {
    let output = build.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let lines = output.stdout.split(|byte| *byte == b'\n');
    Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
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

fn page(rows: &[(&Bug, Vec<String>)], found: &[(&SimulatedBug, u64, String)]) -> String {
    let mut text = String::from(
        "# Planted bugs\n\n\
         Bugs that were planted on purpose, each switched on alone, and what found it: a test, which passes without the bug, or\n\
         a seed of the simulation. How: the crate `rohrpost-planted` and [planted.toml](planted.toml); no release can have them.\n\
         Repeat it with `cargo run --release -p rohrpost-tests -- planted --results tests/PLANTED.md`.\n\n\
         | bug | what is wrong | found by |\n|---|---|---|\n",
    );
    for (bug, _) in rows {
        let _ = writeln!(text, "| {} | {} | `{}` |", bug.bug, bug.what, bug.test);
    }
    for (bug, seed, reason) in found {
        let _ = writeln!(text, "| {} | {} | simulation, after {} seeds: {reason} |", bug.bug, bug.what, seed + 1);
    }
    text
}
