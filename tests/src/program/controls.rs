//! Shows that every control of `SECURITY.md` matters: each is removed in a scratch copy of the tree, and the test that is
//! named for it has to fail there. The table is `tests/controls.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rohrpost_tests::root;
use serde::Deserialize;
use serde_json::json;

use super::cargo::{Cargo, Ended, Test};
use super::part::Part;

#[derive(Deserialize)]
struct Table {
    control: Vec<Control>,
}

/// How one control is removed, and which test notices.
#[derive(Deserialize)]
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

/// Removes all controls, or those of one threat, one after the other.
pub(crate) fn run(only: Option<u32>) -> Part {
    let began = Instant::now();
    let text = fs::read_to_string(root().join("tests/controls.toml")).expect("the table is committed");
    let table: Table = toml::from_str(&text).expect("the table is well-formed");
    let controls: Vec<Control> =
        table.control.into_iter().filter(|control| only.is_none_or(|only| only == control.threat)).collect();
    let scratch = root().join("target/controls");
    let tree = scratch.join("tree");
    mirror(&root(), &tree);
    let cargo = Cargo { tree: &tree, target_dir: &scratch.join("target"), unlocked: true };

    let mut failures = untouched(&cargo, &controls);
    let mut rows = Vec::new();
    for (number, control) in controls.iter().enumerate() {
        let place = format!("{}/{}", number + 1, controls.len());
        eprintln!("  {place} threat {}: without {}", control.threat, control.removed);
        match without(&cargo, control) {
            Ok(failed) => rows.push((control, failed)),
            Err(problem) => {
                eprintln!("      {problem}");
                failures.push(format!("threat {}, {}: {problem}", control.threat, control.removed));
            }
        }
    }
    let threats: std::collections::BTreeSet<u32> = rows.iter().map(|(control, _)| control.threat).collect();
    let summary = format!(
        "{} of {} controls of {} threats removed, and the test named for each failed",
        rows.len(),
        controls.len(),
        threats.len()
    );
    let mut part = Part::new("controls", summary, failures, began);
    part.rows = rows
        .iter()
        .map(|(control, failed)| json!({"threat": control.threat, "removed": control.removed, "failed": failed}))
        .collect();
    part.page = Some(page(&rows));
    part
}

/// Without a change all the tests pass.
fn untouched(cargo: &Cargo<'_>, controls: &[Control]) -> Vec<String> {
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

fn page(rows: &[(&Control, Vec<String>)]) -> String {
    let mut text = String::from(
        "# Controls that matter\n\n\
         Each control of [SECURITY.md](../SECURITY.md) was removed in a copy of the tree; the test named there failed, and\n\
         passes with the control. Table of the removals: [controls.toml](controls.toml). Repeat it with\n\
         `cargo run --release -p rohrpost-tests -- controls --results tests/CONTROLS.md`.\n\n\
         | threat | removed | in | failed |\n|---|---|---|---|\n",
    );
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by_key(|(control, _)| control.threat);
    for (control, _) in rows {
        let file = control.file.display();
        let _ = writeln!(text, "| {} | {} | `{file}` | `{}` |", control.threat, control.removed, control.test);
    }
    text
}
