//! Hands recorded requests to an intermediary: each must end as its `facts.json` says, and the answers must be built like those
//! that the reference library accepted.
//!
//! Vectors lie in `vectors/` beside this package's manifest, see its README. More can be given with `ROHRPOST_VECTORS` (a directory),
//! `ROHRPOST_VECTOR_KEYS` (PEM files `NAME.cert.pem` and `NAME.key.pem`; authorities in a folder `ca` beside it) and
//! `ROHRPOST_VECTOR_INTERMEDIARY` (names of the intermediary's cipher and signature key, with a blank between them).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs,
    reason = "a test may panic and report"
)]

#[path = "../../crates/intermediary/tests/harness/mod.rs"]
mod harness;

mod outcomes {
    pub mod judge;
    pub mod structure;
    pub mod vector;
    pub mod world;
}

use std::path::{Path, PathBuf};

use outcomes::vector::Vector;
use outcomes::world::World;
use outcomes::{judge, structure};

#[test]
fn our_requests_end_as_they_must() {
    requests(&ours());
}

#[test]
fn our_answers_are_built_like_those_the_library_accepts() {
    answers(&ours());
}

#[test]
fn requests_from_the_environment_end_as_they_must() {
    if let Some(world) = from_environment() {
        requests(&world);
    }
}

#[test]
fn answers_to_requests_from_the_environment_are_built_like_those_the_library_accepts() {
    if let Some(world) = from_environment() {
        answers(&world);
    }
}

fn ours() -> World {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let keys = root.join("../certs-test/pem");
    World::new(&root.join("vectors"), &keys, ["intermediary-cipher", "intermediary-signature"])
}

fn from_environment() -> Option<World> {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let vectors = path("ROHRPOST_VECTORS")?;
    let keys = path("ROHRPOST_VECTOR_KEYS").expect("ROHRPOST_VECTOR_KEYS is set as well");
    let names = std::env::var("ROHRPOST_VECTOR_INTERMEDIARY").expect("ROHRPOST_VECTOR_INTERMEDIARY is set as well");
    let (cipher, signature) = names.split_once(' ').expect("two names with a blank between them");
    Some(World::new(&vectors, &keys, [cipher, signature]))
}

fn requests(world: &World) {
    let mut failures = Vec::new();
    let mut counts = judge::Counts::default();
    for vector in &world.requests {
        for failure in judge::request(world, vector, &mut counts) {
            failures.push(format!("{}: {failure}", vector.name));
        }
    }
    println!("{} requests: {counts:?}", world.requests.len());
    report(&failures);
}

fn answers(world: &World) {
    let mut failures = Vec::new();
    let mut compared = 0;
    let genuine =
        |vector: &&Vector| vector.facts["origin"] == "accepted by the library" && !vector.name.starts_with("neg-");
    for recorded in world.answers.iter().filter(genuine) {
        let Some(request) = world.request(&recorded.name).filter(|request| request.is_offered()) else { continue };
        compared += 1;
        for failure in structure::compare(world, request, recorded) {
            failures.push(format!("{}: {failure}", recorded.name));
        }
    }
    println!("{compared} of {} answers compared", world.answers.len());
    assert!(compared > 0);
    report(&failures);
}

fn report(failures: &[String]) {
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
