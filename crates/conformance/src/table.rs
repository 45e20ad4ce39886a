//! The matrix as a page of Markdown.

use std::fmt::Write as _;

use rohrpost_osci::feedback::{Code, Language};

use crate::matrix::{Cell, ORDERS, Way, cells};

/// How many cells there are, are executed, and cannot occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub cells: usize,
    /// Those that a run executes.
    pub executed: usize,
    /// Those that cannot occur.
    pub never: usize,
}

/// The size of the matrix.
pub fn counts() -> Counts {
    let (all, never) =
        cells().fold((0, 0), |(all, never), cell| (all + 1, never + usize::from(cell.never().is_some())));
    Counts { cells: all, executed: all - never, never }
}

/// One table per order; what cannot occur has the number of its reason.
pub fn table() -> String {
    let Counts { cells: all, executed, never } = counts();
    let mut reasons: Vec<&'static str> = Vec::new();
    let mut text = format!(
        "# Conformance\n\nWhat an intermediary answers to which order, sent how: {all} cells. {executed} of them are executed by \
         `rohrpost conformance` ({EXECUTED}), {never} cannot occur (the number says why). Written by `ROHRPOST_REWRITE=1 cargo test -p \
         rohrpost-tests --test conformance`.\n\nThe columns: **s**igned or **–**, **e**ncrypted or **–**, e**x**plicit dialog or **–**.\n"
    );
    for order in ORDERS {
        write!(text, "\n## {}\n\n| code |", order.name()).expect(STRING);
        Way::ALL.iter().for_each(|way| write!(text, " {} |", short(*way)).expect(STRING));
        text.push_str(" text |\n|---|");
        text.push_str(&"---|".repeat(Way::ALL.len() + 1));
        text.push('\n');
        for &code in Code::ALL {
            write!(text, "| {code} |").expect(STRING);
            for way in Way::ALL {
                match (Cell { order, code, way }).never() {
                    None => write!(text, " {EXECUTED} |").expect(STRING),
                    Some(reason) => {
                        let at = reasons.iter().position(|known| *known == reason).unwrap_or_else(|| {
                            reasons.push(reason);
                            reasons.len() - 1
                        });
                        write!(text, " {} |", at + 1).expect(STRING);
                    }
                }
            }
            writeln!(text, " {} |", code.text(Language::English)).expect(STRING);
        }
    }
    text.push_str("\n## Reasons\n\n");
    for (at, reason) in reasons.iter().enumerate() {
        writeln!(text, "{}. {reason}", at + 1).expect(STRING);
    }
    text
}

const EXECUTED: &str = "●";
const STRING: &str = "a string takes everything";

fn short(way: Way) -> String {
    let mark = |set, mark| if set { mark } else { '–' };
    [mark(way.signed, 's'), mark(way.encrypted, 'e'), mark(way.explicit, 'x')].iter().collect()
}
