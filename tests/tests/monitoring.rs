//! Dashboard and alert rules name only figures that the server has, with labels that these have.

#![allow(clippy::unwrap_used, reason = "a test may panic and report")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use rohrpost_client::Retries;
use rohrpost_osci::selection::DeliverySelection;
use rohrpost_pipeline::spool::SpoolDir;
use rohrpost_tests::load::{Parcel, Person, client, config, quick_keys, runtime};
use rohrpost_tests::{Server, root};
use serde_json::Value;

/// Labels that Prometheus itself adds.
const ADDED: [&str; 2] = ["instance", "job"];

#[test]
fn dashboard_and_alerts_fit_the_server() {
    let known = figures();
    let dashboard: Value = serde_json::from_str(&read("config/grafana/rohrpost.json")).unwrap();
    let queries: Vec<String> = panels(&dashboard).flat_map(expressions).collect();
    assert!(queries.len() > 50, "{}", queries.len());
    let rules = rules(&read("config/prometheus/alerts.yml"));
    let alerts = rules.iter().map(|rule| rule["expr"].clone());
    for query in queries.iter().cloned().chain(alerts) {
        check(&query, &known);
    }
    // Nothing that is counted is left out of the dashboard.
    let shown = queries.join(" ");
    for name in known.keys().filter(|name| !name.ends_with("_sum") && !name.ends_with("_count")) {
        let beside = ["rohrpost_connections_per_peer_limit"].contains(&name.as_str());
        assert!(beside || shown.contains(name.as_str()), "{name} is not on the dashboard");
    }
}

#[test]
fn the_dashboard_can_be_imported() {
    let dashboard: Value = serde_json::from_str(&read("config/grafana/rohrpost.json")).unwrap();
    assert!(dashboard["title"].is_string() && dashboard["uid"].is_string() && dashboard["id"].is_null());
    let mut ids = BTreeSet::new();
    for panel in panels(&dashboard) {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{}", panel["title"]);
        let place = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        if panel["type"] != "row" {
            assert!(panel["description"].is_string() && panel["datasource"]["uid"] == "${datasource}", "{panel}");
        }
    }
}

#[test]
fn every_alert_explains_itself() {
    let rules = rules(&read("config/prometheus/alerts.yml"));
    let names: BTreeSet<&String> = rules.iter().map(|rule| &rule["alert"]).collect();
    assert!(names.len() == rules.len() && rules.len() > 10, "{names:?}");
    for rule in &rules {
        assert!(["info", "warning", "critical"].contains(&rule["severity"].as_str()), "{rule:?}");
        assert!(rule["for"].ends_with(['m', 'h']), "{rule:?}");
        for part in ["summary", "cause", "remedy"] {
            let [german, english] = ["de", "en"].map(|language| &rule[&format!("{part}_{language}")]);
            assert!(german.len() > 20 && english.len() > 20 && german != english, "{rule:?}");
        }
    }
}

/// What Prometheus itself says of the rules, where it is installed.
#[test]
fn prometheus_accepts_the_rules() {
    let promtool =
        Command::new("promtool").args(["check", "rules"]).arg(root().join("config/prometheus/alerts.yml")).output();
    if let Ok(output) = promtool {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter()
}

fn expressions(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().into_iter().flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The rules by their keys, annotations and labels among them. Reads the form our file has, not all of YAML.
fn rules(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut rules: Vec<BTreeMap<String, String>> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        let is_first = line.starts_with("- alert: ");
        let Some((key, value)) = line.trim_start_matches("- ").split_once(": ") else { continue };
        if is_first {
            rules.push(BTreeMap::new());
        }
        // A quoted value is a JSON string.
        let value = if value.starts_with('"') { serde_json::from_str(value).unwrap() } else { value.to_owned() };
        if let Some(rule) = rules.last_mut() {
            rule.insert(key.to_owned(), value);
        }
    }
    rules
}

/// Figures of a server that has seen some of everything, with their labels.
fn figures() -> BTreeMap<String, BTreeSet<String>> {
    let tls = |file: &str| root().join("crates/gateway/tests/tls").join(file).display().to_string();
    let own = [
        "https.listen=[\"127.0.0.1:0\"]".to_owned(),
        format!("https.certificate={}", tls("server.pem")),
        format!("https.key={}", tls("server.key")),
        "log.level=off".to_owned(),
    ];
    let sets = [quick_keys(), own.to_vec()].concat();
    let server = Server::start(&sets.iter().map(String::as_str).collect::<Vec<_>>());
    let spools = tempfile::tempdir().unwrap();
    let alice = Person::of_test_pki("rsa-2048");
    let mut config = config(server.url(), &alice, SpoolDir::new(spools.path()));
    config.retries = Retries { tries: 1, ..Retries::default() };
    let client = client(config);
    runtime().block_on(async {
        let parcel = Parcel { seed: 1, data: 100, attachment: None };
        client.store(parcel.shipment(&alice.cipher.certificate)).await.unwrap();
        let mut dialog = client.open_dialog().await.unwrap();
        dialog.fetch(DeliverySelection::Oldest).await.unwrap().expect("the delivery");
        dialog.exit().await.unwrap();
    });
    let address = server.url().split('/').nth(2).unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"POST /osci HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\nConnection: close\r\n\r\nnothing")
        .unwrap();
    stream.read_to_string(&mut String::new()).unwrap();

    let mut figures: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in server.page("/metrics").lines().filter(|line| line.starts_with("rohrpost_")) {
        let sample = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = sample.trim_end_matches('}').split_once('{').unwrap_or((sample, ""));
        let labels = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        figures.entry(name.to_owned()).or_default().extend(labels);
    }
    figures
}

fn check(query: &str, known: &BTreeMap<String, BTreeSet<String>>) {
    let mut labels = BTreeSet::from(ADDED.map(str::to_owned));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = query;
    while let Some(at) = rest.find("rohrpost_") {
        let name = &rest[at..];
        let name = &name[..name.find(|c| !is_name(c)).unwrap_or(name.len())];
        let own = known.get(name).unwrap_or_else(|| panic!("the server has no {name}, asked for in {query}"));
        labels.extend(own.iter().cloned());
        rest = &rest[at + name.len()..];
        if let Some(selector) = rest.strip_prefix('{') {
            for label in selector[..selector.find('}').unwrap()].split(',') {
                let label = &label[..label.find(|c| !is_name(c)).unwrap()];
                assert!(own.contains(label) || ADDED.contains(&label), "{name} has no label {label}: {query}");
            }
        }
    }
    for group in ["by (", "on ("].iter().flat_map(|word| query.split(word).skip(1)) {
        for label in group[..group.find(')').unwrap()].split(',').map(str::trim) {
            assert!(labels.contains(label), "nothing has a label {label}: {query}");
        }
    }
}
