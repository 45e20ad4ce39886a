//! A figure with its bar: what is printed, kept and plotted.

use std::fmt;

use serde_json::{Map, Value, json};

/// What a figure must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bar {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
    /// Exactly this, in every sample.
    Exactly(f64),
    /// For looking at.
    None,
}

impl Bar {
    pub(crate) fn number(self) -> Option<f64> {
        match self {
            Self::AtLeast(bar) | Self::AtMost(bar) | Self::Exactly(bar) => Some(bar),
            Self::None => None,
        }
    }

    /// The bar with its direction, for people.
    pub(crate) fn words(self) -> String {
        match self {
            Self::AtLeast(bar) => format!("≥ {}", short(bar)),
            Self::AtMost(bar) => format!("≤ {}", short(bar)),
            Self::Exactly(bar) => format!("= {}", short(bar)),
            Self::None => "–".to_owned(),
        }
    }
}

/// What became of a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The bar is met.
    Pass,
    /// The bar is missed.
    Fail,
    /// Nothing that could be believed was measured.
    Skip,
    /// There is no bar.
    Info,
}

impl Verdict {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
            Self::Info => "INFO",
        }
    }
}

/// One goal in one case.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// E.g. `G1`.
    pub(crate) goal: &'static str,
    /// What exactly was measured, in one word, e.g. `rsa2048`.
    pub(crate) case: String,
    /// What must be met.
    pub(crate) bar: Bar,
    /// One value per round.
    samples: Vec<f64>,
    skipped: Option<String>,
    /// The largest share of the machine that other programs had in a round that counts.
    others: f64,
    /// What else is worth keeping, for the JSON file.
    notes: Map<String, Value>,
}

impl Line {
    /// Nothing measured yet.
    pub(crate) fn new(goal: &'static str, case: impl Into<String>, bar: Bar) -> Self {
        Self { goal, case: case.into(), bar, samples: Vec::new(), skipped: None, others: 0.0, notes: Map::new() }
    }

    /// A line that another run of this program wrote as JSON, for looking at.
    pub(crate) fn again(goal: &'static str, suffix: &str, found: &Value) -> Self {
        let mut line = Self::new(goal, format!("{}{suffix}", found["case"].as_str().unwrap_or_default()), Bar::None);
        let others = found["others_cpu"].as_f64().unwrap_or(0.0);
        let samples = found["samples"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        samples.for_each(|sample| line.add(sample, others));
        line.notes = found["notes"].as_object().cloned().unwrap_or_default();
        line
    }

    /// A goal that could not be measured, and why.
    pub(crate) fn skipped(mut self, reason: impl Into<String>) -> Self {
        self.skipped = Some(reason.into());
        self
    }

    /// One round more.
    pub(crate) fn add(&mut self, value: f64, others: f64) {
        self.samples.push(value);
        self.others = self.others.max(others);
    }

    /// Something to be kept beside the value.
    pub(crate) fn note(&mut self, name: &str, value: impl Into<Value>) {
        self.notes.insert(name.to_owned(), value.into());
    }

    /// The median of the rounds.
    pub(crate) fn value(&self) -> Option<f64> {
        median(&self.samples)
    }

    pub(crate) fn is_measured(&self) -> bool {
        !self.samples.is_empty() && self.skipped.is_none()
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let Some(value) = self.value().filter(|_| self.is_measured()) else { return Verdict::Skip };
        let met = match self.bar {
            Bar::None => return Verdict::Info,
            Bar::AtLeast(bar) => value >= bar,
            Bar::AtMost(bar) => value <= bar,
            Bar::Exactly(bar) => self.samples.iter().all(|sample| (sample - bar).abs() < 1e-9),
        };
        if met { Verdict::Pass } else { Verdict::Fail }
    }

    fn extremes(&self) -> Option<(f64, f64)> {
        let least = self.samples.iter().copied().reduce(f64::min)?;
        Some((least, self.samples.iter().copied().reduce(f64::max)?))
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        match &self.skipped {
            Some(reason) => Some(reason),
            None if self.samples.is_empty() => Some("nothing was measured"),
            None => None,
        }
    }

    pub(crate) fn json(&self) -> Value {
        let (min, max) = self.extremes().unzip();
        json!({
            "goal": self.goal,
            "case": self.case,
            "value": self.value().filter(|_| self.is_measured()),
            "min": min,
            "max": max,
            "samples": self.samples,
            "bar": self.bar.number(),
            "bar_words": self.bar.words(),
            "verdict": self.verdict().word(),
            "reason": self.reason(),
            "others_cpu": self.others,
            "notes": self.notes,
        })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GOAL {} {}", self.goal, self.case)?;
        if let (Some(value), Some((min, max)), true) = (self.value(), self.extremes(), self.is_measured()) {
            write!(f, " value={} min={} max={}", short(value), short(min), short(max))?;
        }
        if let Some(bar) = self.bar.number() {
            write!(f, " bar={}", short(bar))?;
        }
        write!(f, " {} others_cpu={:.0}%", self.verdict().word(), self.others * 100.0)?;
        self.reason().map_or(Ok(()), |reason| write!(f, " ({reason})"))
    }
}

/// The middle one; of an even number, the lower of both.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// Three significant digits or so.
pub(crate) fn short(number: f64) -> String {
    let digits = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{number:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(bar: Bar, samples: &[f64]) -> Line {
        let mut line = Line::new("G1", "rsa2048", bar);
        samples.iter().for_each(|sample| line.add(*sample, 0.03));
        line
    }

    #[test]
    fn lines_say_everything() {
        let line = line(Bar::AtLeast(0.7), &[0.79, 0.82, 0.76]);
        assert_eq!(line.to_string(), "GOAL G1 rsa2048 value=0.79 min=0.76 max=0.82 bar=0.7 PASS others_cpu=3%");
        let skipped = line.skipped("too noisy");
        assert_eq!(skipped.to_string(), "GOAL G1 rsa2048 bar=0.7 SKIP others_cpu=3% (too noisy)");
    }

    #[test]
    fn verdicts_follow_the_bar() {
        for (bar, samples, verdict) in [
            (Bar::AtLeast(0.7), &[0.6, 0.7, 0.8][..], Verdict::Pass),
            (Bar::AtLeast(0.7), &[0.6, 0.69, 0.8], Verdict::Fail),
            (Bar::AtMost(1.0), &[0.5, 1.0, 9.0], Verdict::Pass),
            (Bar::AtMost(1.0), &[1.1], Verdict::Fail),
            (Bar::Exactly(1.0), &[1.0, 1.0], Verdict::Pass),
            (Bar::Exactly(1.0), &[1.0, 1.0, 1.5], Verdict::Fail),
            (Bar::None, &[1.0], Verdict::Info),
            (Bar::AtMost(1.0), &[], Verdict::Skip),
        ] {
            assert_eq!(line(bar, samples).verdict(), verdict, "{bar:?} {samples:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in
            [(0.79, "0.79"), (0.7, "0.7"), (12.34, "12.3"), (1234.5, "1234"), (100.0, "100"), (4.0, "4")]
        {
            assert_eq!(short(number), text);
        }
    }

    #[test]
    fn the_median_is_a_sample() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.0));
        assert_eq!(median(&[]), None);
    }
}
