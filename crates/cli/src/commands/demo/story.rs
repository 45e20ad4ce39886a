//! How the demo tells what happens: chapters, explanations, and checks that are either true or not.

use serde_json::{Value, json};

use crate::output::{Output, Tone};

/// The telling so far.
pub(super) struct Story {
    output: Output,
    chapters: u32,
    checks: Vec<(bool, String)>,
}

impl Story {
    pub(super) fn new(output: Output) -> Self {
        Self { output, chapters: 0, checks: Vec::new() }
    }

    /// Begins a new part.
    pub(super) fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        let title = self.output.paint(Tone::Strong, format!("{}. {title}", self.chapters));
        self.output.step(&format!("\n{title}\n"));
    }

    /// Explains, indented.
    pub(super) fn tell(&self, text: &str) {
        let lines = text.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("   {line}") });
        self.output.step(&lines.collect::<Vec<_>>().join("\n"));
    }

    /// Something that must be true, found out just now.
    pub(super) fn check(&mut self, holds: bool, what: impl Into<String>) {
        let what = what.into();
        let mark = if holds { self.output.paint(Tone::Good, "✓") } else { self.output.paint(Tone::Bad, "✗ NOT:") };
        self.output.step(&format!("   {mark} {what}"));
        self.checks.push((holds, what));
    }

    /// What was checked and did not hold.
    pub(super) fn broken(&self) -> Vec<&str> {
        self.checks.iter().filter(|(holds, _)| !holds).map(|(_, what)| what.as_str()).collect()
    }

    /// How much was checked.
    pub(super) fn checked(&self) -> usize {
        self.checks.len()
    }

    /// The checks for machines.
    pub(super) fn report(&self) -> Value {
        self.checks.iter().map(|(holds, what)| json!({ "holds": holds, "what": what })).collect()
    }
}
