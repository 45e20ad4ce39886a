//! Runs recorded messages through the reading side: every fact in `facts.json` must come out.
//!
//! A vector is a directory with `request.mime` or `response.mime` (the body of the HTTP message), `facts.json` (what it holds),
//! `inner.mime` (the decrypted message, where it was encrypted) and `c14n/` (canonical octets that signatures cover). Vectors lie in
//! `vectors/` beside this package's manifest. More can be given with `ROHRPOST_VECTORS` (a directory) and `ROHRPOST_VECTOR_KEYS` (PEM
//! files `NAME.cert.pem` and `NAME.key.pem`).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "a test may panic and report"
)]

mod vectors {
    pub mod check;
    pub mod content;
    pub mod facts;
    pub mod keys;
    pub mod order;
    pub mod transport;
}

use std::path::{Path, PathBuf};

use vectors::check;
use vectors::keys::Keys;

#[test]
fn our_vectors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let count = run(&root.join("vectors"), &root.join("../certs-test/pem"));
    assert!(count >= 40, "only {count} vectors were found");
}

#[test]
fn vectors_from_the_environment() {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    if let Some(directory) = variable("ROHRPOST_VECTORS") {
        run(&directory, &variable("ROHRPOST_VECTOR_KEYS").expect("ROHRPOST_VECTOR_KEYS is set as well"));
    }
}

/// Checks all vectors below `directory` and reports all failures together. Says how many there are.
fn run(directory: &Path, keys: &Path) -> usize {
    let mut found = Vec::new();
    find(directory, &mut found);
    found.sort();
    if found.is_empty() {
        return 0;
    }
    let keys = Keys::load(keys);
    let mut failures = Vec::new();
    let mut counts = check::Counts::default();
    for vector in &found {
        let name = vector.strip_prefix(directory).unwrap_or(vector).display().to_string();
        for failure in check::vector(vector, &keys, &mut counts) {
            failures.push(format!("{name}: {failure}"));
        }
    }
    println!("{} vectors in {}: {counts:?}", found.len(), directory.display());
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    found.len()
}

fn find(directory: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, found);
        } else if path.ends_with("facts.json") {
            found.push(directory.to_owned());
        }
    }
}
