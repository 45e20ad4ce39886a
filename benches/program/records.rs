//! What is kept of a run: figures as JSON, a line of history, plots, a page of results.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::goals::GOALS;
use crate::line::{Line, short};
use crate::{Options, machine, plot};

/// Writes everything the options ask for.
pub(crate) fn write(options: &Options, lines: &[Line]) -> Result<()> {
    let date = options.date.clone().unwrap_or_else(|| machine::now().date().to_string());
    let run = json!({
        "date": date,
        "commit": machine::commit(),
        "machine": machine::describe(),
        "rounds": options.rounds,
        "quick": options.quick,
        "nightly": options.nightly,
        "native_rsa": options.native_rsa || !machine::has_fast_rsa(),
        "figures": lines.iter().map(Line::json).collect::<Vec<_>>(),
    });
    put(&options.json, &format!("{run:#}\n"))?;
    append(&options.history, &run)?;
    let history = history(&options.history)?;
    let folder = options.history.parent().unwrap_or_else(|| Path::new(".")).join("plots");
    for goal in &GOALS {
        if let Some(svg) = plot::svg(goal.name, goal.title, &history) {
            put(&folder.join(format!("{}.svg", goal.name)), &svg)?;
        }
    }
    if let Some(path) = &options.results {
        put(path, &page(&run))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// One line, with what a plot needs; the samples stay in the file of figures.
fn append(path: &Path, run: &Value) -> Result<()> {
    let mut run = run.clone();
    for figure in run["figures"].as_array_mut().into_iter().flatten() {
        for detail in ["samples", "notes", "bar_words"] {
            figure.as_object_mut().and_then(|figure| figure.remove(detail));
        }
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{run}").with_context(|| format!("cannot write {}", path.display()))
}

/// All runs, the oldest first.
fn history(path: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(path)?;
    text.lines().map(|line| serde_json::from_str(line).context("a line of the history is damaged")).collect()
}

/// The run as Markdown.
fn page(run: &Value) -> String {
    let machine = &run["machine"];
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let features: Vec<String> = machine["features"].as_array().into_iter().flatten().map(word).collect();
    let mut page = format!(
        "# Results\n\nWritten by `cargo run --release -p rohrpost-benches -- all --results benches/RESULTS.md`; [README.md](README.md) \
         explains the figures.\n\n{date}, commit `{commit}`, {rounds} rounds{profile}, on\n{processor} ({features}), {cores} cores, \
         {memory}, Linux {kernel}.\nCopies of 256 KB: {copy} GB/s.\n\n\
         | goal | case | value | least | greatest | bar | verdict | others' CPU | beside it |\n|---|---|---|---|---|---|---|---|---|\n",
        date = word(&run["date"]),
        commit = word(&run["commit"]),
        rounds = run["rounds"],
        profile = if run["quick"] == true { " (quick)" } else { "" },
        processor = word(&machine["processor"]),
        features = features.join(" "),
        cores = machine["cores"],
        memory = word(&machine["memory"]),
        kernel = word(&machine["kernel"]),
        copy = machine["copy_gigabytes_per_second"],
    );
    for figure in run["figures"].as_array().into_iter().flatten() {
        let number = |name: &str| figure[name].as_f64().map_or_else(|| "–".to_owned(), short);
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {:.0} % | {} |",
            word(&figure["goal"]),
            word(&figure["case"]),
            number("value"),
            number("min"),
            number("max"),
            word(&figure["bar_words"]),
            word(&figure["verdict"]),
            figure["others_cpu"].as_f64().unwrap_or(0.0) * 100.0,
            figure["reason"].as_str().map_or_else(|| notes(figure["notes"].as_object()), str::to_owned),
        );
    }
    page.push_str("\n## What the goals are\n\n");
    for goal in &GOALS {
        let _ = writeln!(page, "* **{}**: {}", goal.name, goal.title);
    }
    page
}

fn notes(notes: Option<&Map<String, Value>>) -> String {
    let one = |(name, value): (&String, &Value)| {
        let value = value.as_f64().map_or_else(|| value.to_string(), short);
        format!("{} {value}", name.replace('_', " "))
    };
    notes.into_iter().flatten().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::Bar;

    #[test]
    fn history_grows_and_the_page_shows_the_last_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let options = Options {
            rounds: 5,
            quick: false,
            nightly: false,
            native_rsa: false,
            json: path("a/figures.json"),
            history: path("b/history.jsonl"),
            results: Some(path("RESULTS.md")),
            date: Some("2026-11-25".to_owned()),
            server: None,
        };
        let mut line = Line::new("G1", "rsa2048", Bar::AtLeast(0.7));
        line.add(0.79, 0.01);
        line.note("orders_per_second", 1000);
        for _ in 0..2 {
            write(&options, &[line.clone(), Line::new("G2", "rsa2048", Bar::None).skipped("too loud")]).unwrap();
        }
        let runs = history(&options.history).unwrap();
        assert_eq!(runs.len(), 2);
        assert_eq!(runs[1]["figures"][0]["value"], 0.79);
        let page = fs::read_to_string(path("RESULTS.md")).unwrap();
        for text in [
            "2026-11-25",
            "| G1 | rsa2048 | 0.79 | 0.79 | 0.79 | ≥ 0.7 | PASS | 1 % | orders per second 1000 |",
            "too loud",
        ] {
            assert!(page.contains(text), "{text} not in {page}");
        }
        let plot = fs::read_to_string(path("b/plots/G1.svg")).unwrap();
        assert!(plot.contains("rsa2048"));
        assert!(!path("b/plots/G2.svg").exists(), "nothing to be seen");
    }
}
