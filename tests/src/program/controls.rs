//! Shows that every control of `SECURITY.md` matters: each is removed in a scratch copy of the tree, and the test that is
//! named for it has to fail there. The table is `tests/controls.toml`. What was seen is kept beside the copy, so that a run can
//! go on where another ended.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rohrpost_tests::root;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::cargo::{Cargo, Ended, Test};
use super::part::{Part, commit, today};

#[derive(Deserialize)]
struct Table {
    control: Vec<Control>,
}

/// How one control is removed, and which test notices.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
struct Control {
    /// Its number in `SECURITY.md`.
    threat: u32,
    /// What is removed.
    removed: String,
    file: PathBuf,
    /// Occurs once in the file.
    find: String,
    replace: String,
    #[serde(flatten)]
    test: Test,
}

/// That its test passes with a control and fails without it.
#[derive(Deserialize, Serialize)]
struct Seen {
    control: Control,
    failed: Vec<String>,
    date: String,
    commit: String,
}

/// Removes all controls, or those of some threats, one after the other. If it goes on, those that an earlier run has seen
/// to matter are not removed again, and the result is about the whole table.
pub(crate) fn run(only: &[u32], goes_on: bool) -> Part {
    let began = Instant::now();
    let text = fs::read_to_string(root().join("tests/controls.toml")).expect("the table is committed");
    let table: Table = toml::from_str(&text).expect("the table is well-formed");
    let is_wanted = |control: &&Control| only.is_empty() || only.contains(&control.threat);
    let (wanted, others): (Vec<&Control>, Vec<&Control>) = table.control.iter().partition(is_wanted);
    let scratch = root().join("target/controls");
    let tree = scratch.join("tree");
    mirror(&root(), &tree);
    let (date, commit) = (today(), commit());
    let cargo = Cargo { tree: &tree, target_dir: &scratch.join("target"), unlocked: true };

    let file = scratch.join("seen.json");
    let mut seen = read_seen(&file);
    seen.retain(|seen| goes_on || !wanted.contains(&&seen.control));
    let is_left = |control: &&Control| !seen.iter().any(|seen| seen.control == **control);
    let left: Vec<&Control> = wanted.iter().copied().filter(is_left).collect();
    let not_tried: Vec<&Control> = others.into_iter().filter(|control| goes_on && is_left(control)).collect();
    let mut failures = untouched(&cargo, &left);
    for (number, control) in left.iter().enumerate() {
        eprintln!("  {}/{} threat {}: without {}", number + 1, left.len(), control.threat, control.removed);
        match without(&cargo, control) {
            Ok(failed) => {
                let (control, date, commit) = ((*control).clone(), date.clone(), commit.clone());
                seen.push(Seen { control, failed, date, commit });
                let text = serde_json::to_string_pretty(&seen).expect("it is plain data");
                fs::write(&file, text).expect("the scratch folder can be changed");
            }
            Err(problem) => {
                eprintln!("      {problem}");
                failures.push(format!("threat {}, {}: {problem}", control.threat, control.removed));
            }
        }
    }
    let not_tried =
        not_tried.iter().map(|control| format!("threat {}, {}: not removed yet", control.threat, control.removed));
    failures.extend(not_tried);
    seen.retain(|seen| if goes_on { table.control.contains(&seen.control) } else { wanted.contains(&&seen.control) });
    seen.sort_by_key(|seen| seen.control.threat);
    let mut threats: Vec<u32> = seen.iter().map(|seen| seen.control.threat).collect();
    threats.dedup();
    let summary = format!(
        "{} of {} controls of {} threats removed, and the test named for each failed",
        seen.len(),
        if goes_on { table.control.len() } else { wanted.len() },
        threats.len()
    );
    let mut part = Part::new("controls", summary, failures, began);
    let row = |Seen { control, failed, date, commit }: &Seen| {
        json!({
            "threat": control.threat, "removed": control.removed, "failed": failed, "date": date, "commit": commit,
        })
    };
    part.rows = seen.iter().map(row).collect();
    part.page = Some(page(&seen));
    part
}

/// What earlier runs have seen, if there were any.
fn read_seen(file: &Path) -> Vec<Seen> {
    fs::read(file).map(|text| serde_json::from_slice(&text).unwrap_or_default()).unwrap_or_default()
}

/// Without a change all the tests pass.
fn untouched(cargo: &Cargo<'_>, controls: &[&Control]) -> Vec<String> {
    let mut programs: BTreeMap<Vec<String>, Vec<&str>> = BTreeMap::new();
    for control in controls {
        programs.entry(control.test.program()).or_default().push(&control.test.name);
    }
    let mut failures = Vec::new();
    for (program, names) in programs {
        eprintln!("  untouched: {}", program.join(" "));
        match cargo.test(&program, &names) {
            Ended::Passed => {}
            other => failures.push(format!("with all controls, {}: {other:?}", program.join(" "))),
        }
    }
    failures
}

/// The tests that fail without a control.
fn without(cargo: &Cargo<'_>, control: &Control) -> Result<Vec<String>, String> {
    let file = cargo.tree.join(&control.file);
    let source = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let found = source.matches(&control.find).count();
    if found != 1 {
        return Err(format!("the text occurs {found} times in {}", control.file.display()));
    }
    fs::write(&file, source.replace(&control.find, &control.replace)).map_err(|error| error.to_string())?;
    let ended = cargo.test(&control.test.program(), &[&control.test.name]);
    fs::write(&file, source).map_err(|error| error.to_string())?;
    match ended {
        Ended::Failed(names) => Ok(names),
        Ended::Passed => Err(format!("{} passes all the same", control.test)),
        Ended::NotBuilt(error) => Err(format!("what is left does not compile: {error}")),
        Ended::NothingRan(error) => Err(format!("{} did not run: {error}", control.test)),
    }
}

/// Makes `to` the same as `from`, leaving alone what is the same already, so that cargo rebuilds only what has to be.
fn mirror(from: &Path, to: &Path) {
    let skip = |name: &std::ffi::OsStr| name == "target" || name == ".git";
    fs::create_dir_all(to).expect("the scratch folder can be made");
    let names = |folder: &Path| -> Vec<_> {
        let entries = fs::read_dir(folder).expect("the tree can be read");
        entries.map(|entry| entry.expect("the tree can be read").file_name()).filter(|name| !skip(name)).collect()
    };
    for name in names(to) {
        let (source, copy) = (from.join(&name), to.join(&name));
        if !source.exists() {
            let removed = if copy.is_dir() { fs::remove_dir_all(&copy) } else { fs::remove_file(&copy) };
            removed.expect("the scratch folder can be changed");
        }
    }
    for name in names(from) {
        let (source, copy) = (from.join(&name), to.join(&name));
        if source.is_dir() {
            mirror(&source, &copy);
        } else {
            let bytes = fs::read(&source).expect("the tree can be read");
            if fs::read(&copy).ok().as_ref() != Some(&bytes) {
                fs::write(&copy, bytes).expect("the scratch folder can be changed");
            }
        }
    }
}

fn page(seen: &[Seen]) -> String {
    let mut text = String::from(
        "# Controls that matter\n\n\
         Each control of [SECURITY.md](../SECURITY.md) was removed in a copy of the tree; the test named there failed, and\n\
         passes with the control. Table of the removals: [controls.toml](controls.toml). Repeat it with\n\
         `cargo run --release -p rohrpost-tests -- controls --results tests/CONTROLS.md`. The last column says when, and at\n\
         which commit.\n\n\
         | threat | removed | in | failed | seen |\n|---|---|---|---|---|\n",
    );
    for Seen { control: Control { threat, removed, file, test, .. }, date, commit, .. } in seen {
        let _ = writeln!(text, "| {threat} | {removed} | `{}` | `{test}` | {date}, {commit} |", file.display());
    }
    text
}
