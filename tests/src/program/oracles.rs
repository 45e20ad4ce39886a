//! What the time of an answer tells about failures of decryption.

use std::time::Instant;

use rohrpost_tests::oracle::{Comparison, compare_answers, compare_work};

use super::part::Part;

/// Measures each cause so often.
pub(crate) fn run(samples: usize) -> Part {
    let began = Instant::now();
    let mut comparisons = compare_work(samples);
    comparisons.extend(compare_answers(samples / 25));
    let rows: Vec<String> = comparisons.iter().map(Comparison::to_string).collect();
    println!("{}\n{}", Comparison::HEADING, rows.join("\n"));
    let telling = comparisons.iter().filter(|comparison| comparison.tells());
    let failures = telling.map(|comparison| format!("the time tells: {comparison}")).collect();
    Part::new("oracles", format!("{} causes, {samples} messages each", comparisons.len()), failures, began)
}
