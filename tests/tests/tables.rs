//! The tables of `rohrpost-tests planted` and `rohrpost-tests controls` agree with the sources: a bug that is planted is in
//! the table, and the tests that are named exist.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rohrpost_tests::root;
use toml::{Table, Value};

fn table(file: &str, name: &str) -> Vec<Table> {
    let text = fs::read_to_string(root().join("tests").join(file)).unwrap();
    let mut whole: Table = text.parse().unwrap();
    let Some(Value::Array(rows)) = whole.remove(name) else { return Vec::new() };
    rows.into_iter().map(|row| row.try_into().unwrap()).collect()
}

fn text<'a>(row: &'a Table, key: &str) -> &'a str {
    row[key].as_str().unwrap()
}

/// All sources below a folder, one after the other.
fn sources(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    all
}

/// The program and the test that a row names are there.
fn expect_test(row: &Table) {
    let (package, path) = (text(row, "package"), text(row, "name"));
    let folder = if package == "tests" { root().join("tests") } else { root().join("crates").join(package) };
    let tests = match row.get("target").and_then(Value::as_str) {
        Some(target) => {
            let program = folder.join("tests").join(target);
            assert!(
                program.with_extension("rs").exists() || program.join("main.rs").exists(),
                "{package} has no test program {target}"
            );
            folder.join("tests")
        }
        None => folder.join("src"),
    };
    let function = path.rsplit("::").next().unwrap();
    assert!(sources(&tests).contains(&format!("fn {function}(")), "{package} has no test {path}");
}

#[test]
fn planted_bugs() {
    let rows = table("planted.toml", "planted");
    rows.iter().for_each(expect_test);
    let simulated = table("planted.toml", "simulated");
    let listed: Vec<&str> = rows.iter().chain(&simulated).map(|row| text(row, "bug")).collect();
    let known: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(known.len(), listed.len(), "a bug is listed twice");
    let crates = sources(&root().join("crates"));
    let planted: BTreeSet<&str> =
        crates.split("planted(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(planted, known);
    assert!(known.len() >= 20);
}

#[test]
fn controls() {
    let rows = table("controls.toml", "control");
    rows.iter().for_each(expect_test);
    for row in &rows {
        let (file, find) = (text(row, "file"), text(row, "find"));
        let found = fs::read_to_string(root().join(file)).unwrap().matches(find).count();
        assert_eq!(found, 1, "in {file}: {find}");
    }
    // Every threat has a control that can be removed, and says which test watches it.
    let page = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let threats = page.lines().filter_map(|line| {
        let (number, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
        Some((number.parse::<i64>().ok()?, rest))
    });
    let threats: Vec<_> = threats.collect();
    assert!(threats.len() >= 30);
    for (number, line) in threats {
        let of_threat: Vec<&Table> = rows.iter().filter(|row| row["threat"].as_integer() == Some(number)).collect();
        assert!(!of_threat.is_empty(), "threat {number} has no control in the table");
        for row in of_threat {
            let name = text(row, "name");
            assert!(line.contains(name), "threat {number} does not name {name}");
        }
    }
}
