//! The walls between the rooms, read from `cargo metadata`: an arrow that points up, or a library in a room
//! that must not know it, fails here. `ARCHITECTURE.md` says why each wall stands.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Room, and the rooms it may use. Anything not listed is forbidden.
const ARROWS: &[(&str, &[&str])] = &[
    ("crypto", &[]),
    ("xmlsec", &["crypto"]),
    ("pki", &["crypto"]),
    ("audit", &["crypto"]),
    ("token", &["crypto"]),
    ("planted", &[]),
    ("osci", &["xmlsec", "crypto", "planted"]),
    ("pipeline", &["osci", "pki", "xmlsec", "crypto"]),
    ("store", &["osci", "audit", "planted"]),
    ("intermediary", &["pipeline", "store", "osci", "pki", "audit", "crypto", "planted"]),
    ("client", &["pipeline", "osci", "pki", "crypto"]),
    ("recipient", &["client", "pipeline", "osci", "pki", "crypto"]),
    ("conformance", &["pipeline", "osci", "pki", "crypto"]),
    ("gateway", &["intermediary", "client", "osci", "pipeline", "pki"]),
    (
        "cli",
        &[
            "gateway",
            "token",
            "recipient",
            "conformance",
            "intermediary",
            "client",
            "pipeline",
            "store",
            "osci",
            "audit",
            "pki",
            "xmlsec",
            "crypto",
        ],
    ),
];

/// Room, and its level: an arrow must go to a lower one.
const LEVELS: &[(&str, u8)] = &[
    ("crypto", 0),
    ("planted", 0),
    ("xmlsec", 1),
    ("pki", 1),
    ("audit", 1),
    ("token", 1),
    ("osci", 2),
    ("pipeline", 3),
    ("store", 3),
    ("intermediary", 4),
    ("client", 4),
    ("conformance", 4),
    ("recipient", 5),
    ("gateway", 5),
    ("cli", 6),
];

/// Library (prefix match when it ends in `*`), and the only rooms that may name it.
const WALLS: &[(&str, &[&str])] = &[
    ("ring", &["crypto"]),
    ("aws-lc-*", &["crypto"]),
    ("rsa", &["crypto"]),
    ("aes*", &["crypto"]),
    ("des", &["crypto"]),
    ("ghash", &["crypto"]),
    ("sha*", &["crypto"]),
    ("ripemd", &["crypto"]),
    ("openssl*", &[]),
    ("quick-xml", &[]),
    ("roxmltree", &[]),
    ("x509-*", &["pki"]),
    ("rustls-webpki", &["pki"]),
    ("p12-keystore", &["pki"]),
    ("rcgen", &["pki"]),
    ("cryptoki*", &["token"]),
    ("rusqlite", &["store"]),
    ("tokio-postgres", &["store"]),
    ("sqlx*", &[]),
    ("hyper*", &["client", "gateway"]),
    ("http*", &["client", "gateway"]),
    ("rustls", &["client", "gateway"]),
    ("tokio-rustls", &["client", "gateway"]),
    ("tokio", &["client", "gateway", "cli"]),
    ("prometheus-client", &["gateway"]),
    ("mimalloc", &["cli"]),
    ("zeroizing-alloc", &["cli"]),
    ("clap*", &["cli"]),
    ("anyhow", &["cli"]),
    ("toml", &["crypto", "cli"]),
];

struct Package {
    normal: BTreeSet<String>,
    version_edition: (String, String),
}

fn rooms() -> BTreeMap<String, Package> {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let metadata: Value = serde_json::from_slice(&out.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().filter_map(room).collect()
}

fn room(package: &Value) -> Option<(String, Package)> {
    let manifest = package["manifest_path"].as_str()?;
    let folder = manifest.strip_suffix("/Cargo.toml")?.rsplit_once("/crates/")?.1;
    let normal = package["dependencies"]
        .as_array()?
        .iter()
        .filter(|d| d["kind"].as_str() != Some("dev"))
        .filter_map(|d| d["name"].as_str().map(str::to_owned))
        .collect();
    let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
    Some((folder.to_owned(), Package { normal, version_edition: (text("rust_version"), text("edition")) }))
}

fn ours(dependency: &str) -> Option<&str> {
    dependency.strip_prefix("rohrpost-")
}

fn allowed<'a>(table: &'a [(&str, &'a [&'a str])], key: &str) -> &'a [&'a str] {
    table.iter().find(|(name, _)| *name == key).unwrap_or_else(|| panic!("`{key}` is in no table")).1
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == pattern,
    }
}

#[test]
fn every_room_is_known_and_present() {
    let found: BTreeSet<String> = rooms().into_keys().collect();
    let known: BTreeSet<String> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, known);
}

#[test]
fn arrows_follow_the_table() {
    for (name, package) in rooms() {
        let may = allowed(ARROWS, &name);
        for target in package.normal.iter().filter_map(|d| ours(d)) {
            assert!(may.contains(&target), "`{name}` must not use `{target}`");
        }
    }
}

#[test]
fn the_table_points_down() {
    let level = |room: &str| LEVELS.iter().find(|(name, _)| *name == room).expect("room has a level").1;
    for (from, targets) in ARROWS {
        for to in *targets {
            assert!(level(to) < level(from), "`{from}` -> `{to}` points up or sideways");
        }
    }
}

#[test]
fn libraries_stay_in_their_rooms() {
    for (name, package) in rooms() {
        for dependency in package.normal.iter().filter(|d| ours(d).is_none()) {
            for (pattern, may) in WALLS.iter().filter(|(pattern, _)| matches(pattern, dependency)) {
                assert!(may.contains(&name.as_str()), "`{name}` must not use `{dependency}` (wall `{pattern}`)");
            }
        }
    }
}

#[test]
fn every_room_shares_edition_and_toolchain() {
    for (name, package) in rooms() {
        assert_eq!(package.version_edition, ("1.95".to_owned(), "2024".to_owned()), "in `{name}`");
    }
}

#[test]
fn every_room_inherits_the_lints() {
    for name in rooms().into_keys() {
        let path = format!("{}/../crates/{name}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        let manifest = std::fs::read_to_string(&path).expect("manifest is readable");
        assert!(manifest.contains("[lints]\nworkspace = true"), "`{name}` does not inherit the workspace lints");
    }
}
