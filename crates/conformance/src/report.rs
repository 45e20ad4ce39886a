//! What a run found out: as text, as JSON and as one page of HTML.

use std::fmt::Write as _;

use rohrpost_osci::feedback::Language;
use serde_json::{Value, json};

use crate::matrix::Cell;
use crate::trial::Outcome;

/// The outcome of every cell that was chosen.
#[derive(Debug, Clone)]
pub struct Report {
    /// Address of the intermediary.
    pub url: String,
    /// Cells that were tried, in the order of the matrix.
    pub results: Vec<(Cell, Outcome)>,
    /// Cells that cannot occur.
    pub never: usize,
    /// What was wrong with messages of the intermediary to the passive recipient.
    pub deviations: Vec<String>,
}

impl Report {
    /// Whether nothing failed.
    pub fn is_conforming(&self) -> bool {
        self.failed().next().is_none() && self.deviations.is_empty()
    }

    /// How many passed.
    pub fn passed(&self) -> usize {
        self.results.iter().filter(|(_, outcome)| *outcome == Outcome::Passed).count()
    }

    /// What failed, and how.
    pub fn failed(&self) -> impl Iterator<Item = (&Cell, &str)> {
        self.results.iter().filter_map(|(cell, outcome)| match outcome {
            Outcome::Failed(what) => Some((cell, what.as_str())),
            _ => None,
        })
    }

    /// What was skipped, and why.
    pub fn skipped(&self) -> impl Iterator<Item = (&Cell, &'static str)> {
        self.results.iter().filter_map(|(cell, outcome)| match outcome {
            Outcome::Skipped(why) => Some((cell, *why)),
            _ => None,
        })
    }

    /// For people, in lines. Words of the other side are on one line each and steer no terminal.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{}\n{} passed, {} failed, {} skipped, {} cannot occur\n",
            self.url,
            self.passed(),
            self.failed().count() + self.deviations.len(),
            self.skipped().count(),
            self.never
        );
        for (cell, what) in self.failed() {
            writeln!(text, "FAILED  {cell}: {}", plain(what)).expect(STRING);
        }
        for what in &self.deviations {
            writeln!(text, "FAILED  to the passive recipient: {}", plain(what)).expect(STRING);
        }
        for (why, count) in self.reasons() {
            writeln!(text, "skipped {count}: {why}").expect(STRING);
        }
        text
    }

    /// For machines.
    pub fn json(&self) -> Value {
        let result = |(cell, outcome): &(Cell, Outcome)| {
            let (word, detail) = match outcome {
                Outcome::Passed => ("passed", None),
                Outcome::Failed(what) => ("failed", Some(what.as_str())),
                Outcome::Skipped(why) => ("skipped", Some(*why)),
            };
            json!({
                "order": cell.order.name(),
                "code": cell.code.to_string(),
                "signed": cell.way.signed,
                "encrypted": cell.way.encrypted,
                "explicit": cell.way.explicit,
                "outcome": word,
                "detail": detail,
            })
        };
        json!({
            "url": self.url,
            "conforming": self.is_conforming(),
            "passed": self.passed(),
            "failed": self.failed().count() + self.deviations.len(),
            "skipped": self.skipped().count(),
            "impossible": self.never,
            "deviations": self.deviations,
            "results": self.results.iter().map(result).collect::<Vec<_>>(),
        })
    }

    /// A page that needs nothing but itself: the summary first, then a table per outcome that matters, then everything.
    pub fn html(&self, language: Language) -> String {
        let say = |german: &'static str, english: &'static str| match language {
            Language::German => german,
            _ => english,
        };
        let title = say("Konformität zu OSCI-Transport 1.2", "Conformance to OSCI-Transport 1.2");
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>{title}</h1>\n<p>{}</p>\n",
            language.tag(),
            escape(&self.url)
        );
        let verdict = match self.is_conforming() {
            true => say("Es wurde keine Abweichung gefunden.", "No deviation was found."),
            false => say("Es wurden Abweichungen gefunden.", "Deviations were found."),
        };
        let numbers = [
            (say("bestanden", "passed"), self.passed()),
            (say("fehlgeschlagen", "failed"), self.failed().count() + self.deviations.len()),
            (say("ausgelassen", "skipped"), self.skipped().count()),
            (say("nicht möglich", "impossible"), self.never),
        ];
        write!(page, "<h2>{}</h2>\n<p><strong>{verdict}</strong></p>\n<dl>\n", say("Ergebnis", "Result"))
            .expect(STRING);
        for (name, number) in numbers {
            writeln!(page, "<dt>{name}</dt><dd>{number}</dd>").expect(STRING);
        }
        page.push_str("</dl>\n");
        let heads = [
            say("Auftrag", "Order"),
            say("Code", "Code"),
            say("Bedeutung", "Meaning"),
            say("signiert", "signed"),
            say("verschlüsselt", "encrypted"),
            say("expliziter Dialog", "explicit dialog"),
            say("Ergebnis", "Result"),
        ];
        let yes = |set: bool| if set { say("ja", "yes") } else { say("nein", "no") };
        let row = |cell: &Cell, result: &str| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{result}</td></tr>\n",
                cell.order.name(),
                cell.code,
                escape(cell.code.text(language)),
                yes(cell.way.signed),
                yes(cell.way.encrypted),
                yes(cell.way.explicit),
            )
        };
        let table = |caption: &str, rows: &str| {
            let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
            format!(
                "<table>\n<caption>{caption}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
            )
        };
        let english = |text: &str| format!("<span lang=\"en\">{}</span>", escape(text));
        if !self.is_conforming() {
            let rows: String = self.failed().map(|(cell, what)| row(cell, &english(what))).collect();
            writeln!(page, "<h2>{}</h2>", say("Abweichungen", "Deviations")).expect(STRING);
            page.push_str(&table(say("Antworten, die anders sein müssten", "Answers that should be others"), &rows));
            for what in &self.deviations {
                writeln!(page, "<p>{}</p>", english(what)).expect(STRING);
            }
        }
        if self.skipped().next().is_some() {
            write!(page, "<h2>{}</h2>\n<ul>\n", say("Ausgelassen", "Skipped")).expect(STRING);
            for (why, count) in self.reasons() {
                writeln!(page, "<li>{count}: {}</li>", english(why)).expect(STRING);
            }
            page.push_str("</ul>\n");
        }
        let rows = self.results.iter().map(|(cell, outcome)| match outcome {
            Outcome::Passed => row(cell, say("bestanden", "passed")),
            Outcome::Failed(_) => row(cell, say("fehlgeschlagen", "failed")),
            Outcome::Skipped(_) => row(cell, say("ausgelassen", "skipped")),
        });
        writeln!(page, "<h2>{}</h2>", say("Alle Fälle", "All cases")).expect(STRING);
        page.push_str(&table(
            say("Jeder Fall mit seinem Ergebnis", "Every case and its result"),
            &rows.collect::<String>(),
        ));
        page.push_str("</main>\n</body>\n</html>\n");
        page
    }

    /// Reasons for skipping, with how many cells each.
    fn reasons(&self) -> Vec<(&'static str, usize)> {
        let mut reasons: Vec<(&'static str, usize)> = Vec::new();
        for (_, why) in self.skipped() {
            match reasons.iter_mut().find(|(known, _)| *known == why) {
                Some((_, count)) => *count += 1,
                None => reasons.push((why, 1)),
            }
        }
        reasons
    }
}

const STRING: &str = "a string takes everything";
const STYLE: &str = "body{font-family:sans-serif;line-height:1.4;margin:1rem;color:#111;background:#fff}\
    table{border-collapse:collapse;margin:1rem 0}caption{text-align:left;font-weight:bold}\
    th,td{border:1px solid #767676;padding:.2rem .5rem;text-align:left;vertical-align:top}\
    dl{display:grid;grid-template-columns:max-content auto;gap:.2rem 1rem}dd{margin:0}";

fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

fn escape(text: &str) -> String {
    plain(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use rohrpost_osci::feedback::Code;
    use rohrpost_osci::ns::MessageType;

    use super::*;
    use crate::matrix::Way;

    fn report(outcomes: &[Outcome]) -> Report {
        let cell = Cell { order: MessageType::StoreDelivery, code: Code::MessageIdIllegal, way: Way::ALL[0] };
        let results = outcomes.iter().map(|outcome| (cell, outcome.clone())).collect();
        Report { url: "http://<x>".to_owned(), results, never: 3, deviations: Vec::new() }
    }

    #[test]
    fn what_is_skipped_is_no_failure_and_is_told() {
        let skipped = report(&[Outcome::Passed, Outcome::Skipped("no keys"), Outcome::Skipped("no keys")]);
        assert!(skipped.is_conforming());
        assert_eq!(skipped.text(), "http://<x>\n1 passed, 0 failed, 2 skipped, 3 cannot occur\nskipped 2: no keys\n");
    }

    #[test]
    fn a_failure_or_a_deviation_is_no_conformance() {
        let failed = report(&[Outcome::Failed("fault 9100\u{1b}[2J".to_owned())]);
        assert!(!failed.is_conforming());
        let text = failed.text();
        assert!(text.contains("FAILED  StoreDelivery/9801/signed+encrypted+explicit: fault 9100 [2J"), "{text}");
        let deviating = Report { deviations: vec!["not encrypted".to_owned()], ..report(&[Outcome::Passed]) };
        assert!(!deviating.is_conforming());
        assert_eq!(deviating.json()["failed"], 1);
    }

    #[test]
    fn the_page_holds_nothing_of_the_other_side_but_text_and_needs_nothing_else() {
        let page = report(&[Outcome::Failed("<script>\"".to_owned())]);
        for (language, word) in [(Language::German, "fehlgeschlagen"), (Language::English, "failed")] {
            let page = page.html(language);
            assert!(page.contains(&format!("<html lang=\"{}\">", language.tag())) && page.contains(word));
            assert!(
                page.contains("&lt;script&gt;&quot;") && !page.contains("<script") && page.contains("http://&lt;x&gt;")
            );
            assert!(!page.contains("src=") && !page.contains("href="));
        }
    }
}
