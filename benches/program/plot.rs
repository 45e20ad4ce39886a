//! One plot per goal over the history, so that a regression is seen.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::line::short;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 320.0;
/// Room around the drawing: left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (56.0, 150.0, 44.0, 40.0);
/// Colours that people tell apart who see some colours alike (Okabe and Ito).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#8a6d00"];

/// The values of one case.
#[derive(Default)]
struct Series {
    /// Number of the run, value, what to show when one points at it.
    points: Vec<(usize, f64, String)>,
    bar: Option<f64>,
}

/// Draws every case of a goal; nothing if none was ever measured. Quick runs are left out.
pub(crate) fn svg(goal: &str, title: &str, history: &[Value]) -> Option<String> {
    let runs: Vec<&Value> = history.iter().filter(|run| run["quick"] != true).collect();
    let all = series(goal, &runs);
    let numbers = || all.values().flat_map(|series| series.points.iter().map(|point| point.1).chain(series.bar));
    let top = numbers().fold(0.0, f64::max) * 1.1;
    if all.values().all(|series| series.points.is_empty()) || top <= 0.0 {
        return None;
    }
    let (left, right, above, below) = MARGINS;
    let place = |run: usize, value: f64| {
        let step = (WIDTH - left - right) / (runs.len().max(2) - 1) as f64;
        (left + step * run as f64, HEIGHT - below - (HEIGHT - above - below) * (value / top).min(1.0))
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"t d\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title id=\"t\">{goal}: {}</title>\n<desc id=\"d\">{}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"{left}\" y=\"24\" font-size=\"14\">{goal}: {}</text>\n",
        escape(title),
        escape(&description(&all)),
        escape(title),
    );
    axes(&mut out, &runs, top, place);
    for ((case, series), colour) in all.iter().zip(COLOURS.iter().cycle()) {
        draw(&mut out, case, series, colour, place);
    }
    legend(&mut out, &all);
    out.push_str("</svg>\n");
    Some(out)
}

fn series(goal: &str, runs: &[&Value]) -> BTreeMap<String, Series> {
    let mut all: BTreeMap<String, Series> = BTreeMap::new();
    for (number, run) in runs.iter().enumerate() {
        for figure in run["figures"].as_array().into_iter().flatten().filter(|figure| figure["goal"] == goal) {
            let Some(value) = figure["value"].as_f64() else { continue };
            let case = figure["case"].as_str().unwrap_or_default();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let hint = format!("{case} {}: {}, {}", short(value), text(&run["date"]), text(&run["commit"]));
            let series = all.entry(case.to_owned()).or_default();
            series.points.push((number, value, hint));
            series.bar = figure["bar"].as_f64();
        }
    }
    all
}

/// The plot in words.
fn description(all: &BTreeMap<String, Series>) -> String {
    let one = |(case, series): (&String, &Series)| {
        let last = series.points.last().map_or_else(String::new, |point| short(point.1));
        let bar = series.bar.map_or_else(String::new, |bar| format!(", bar {}", short(bar)));
        format!("{case}: {} runs, the last {last}{bar}", series.points.len())
    };
    all.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn axes(out: &mut String, runs: &[&Value], top: f64, place: impl Fn(usize, f64) -> (f64, f64)) {
    let (left, right, _, below) = MARGINS;
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let (_, y) = place(0, value);
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - right,
            left - 6.0,
            y + 4.0,
            short(value),
        );
    }
    let ends = [(0, "start"), (runs.len().saturating_sub(1), "end")];
    for (number, anchor) in ends.into_iter().take(runs.len()) {
        let date = runs.get(number).and_then(|run| run["date"].as_str()).unwrap_or_default();
        let (x, _) = place(number, 0.0);
        let _ = writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            HEIGHT - below + 18.0,
            escape(date)
        );
    }
}

fn draw(out: &mut String, case: &str, series: &Series, colour: &str, place: impl Fn(usize, f64) -> (f64, f64)) {
    if let Some(bar) = series.bar {
        let (x, y) = place(0, bar);
        let _ = writeln!(
            out,
            "<line x1=\"{x:.1}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" stroke-dasharray=\"6 4\">\
             <title>bar of {}: {}</title></line>",
            WIDTH - MARGINS.1,
            escape(case),
            short(bar),
        );
    }
    let mut path = String::new();
    for (number, value, _) in &series.points {
        let (x, y) = place(*number, *value);
        let _ = write!(path, "{x:.1},{y:.1} ");
    }
    let _ = writeln!(
        out,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        path.trim_end()
    );
    for (number, value, hint) in &series.points {
        let (x, y) = place(*number, *value);
        let hint = escape(hint);
        let _ = writeln!(
            out,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"><title>{hint}</title></circle>"
        );
    }
}

fn legend(out: &mut String, all: &BTreeMap<String, Series>) {
    let x = WIDTH - MARGINS.1 + 14.0;
    for (at, ((case, series), colour)) in all.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let y = MARGINS.2 + 12.0 + 32.0 * at as f64;
        let last = series.points.last().map_or_else(String::new, |point| short(point.1));
        let bar = series.bar.map_or_else(String::new, |bar| format!(", bar {}", short(bar)));
        let _ = writeln!(
            out,
            "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">{}</text><text x=\"{x}\" y=\"{}\" fill=\"#444\">{last}{bar}</text>",
            escape(case),
            y + 14.0,
        );
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(value: f64, quick: bool) -> Value {
        let figure = json!({ "goal": "G1", "case": "rsa<2048>", "value": value, "bar": 0.7 });
        json!({ "date": "2026-11-25", "commit": "abc", "quick": quick, "figures": [figure] })
    }

    #[test]
    fn shows_every_run_and_the_bar_and_says_so_in_words() {
        let svg = svg("G1", "a < b", &[run(0.8, false), run(0.1, true), run(0.75, false)]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2, "a quick run is none");
        for text in [
            "stroke-dasharray",
            "<title id=\"t\">G1: a &lt; b</title>",
            "2 runs, the last 0.75, bar 0.7",
            "rsa&lt;2048&gt;",
        ] {
            assert!(svg.contains(text), "{text} not in {svg}");
        }
    }

    #[test]
    fn nothing_measured_is_no_plot() {
        assert!(svg("G2", "", &[run(0.8, false)]).is_none());
        assert!(svg("G1", "", &[]).is_none());
    }
}
