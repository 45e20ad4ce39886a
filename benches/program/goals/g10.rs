//! How long auditors and users wait for their queries when much is stored: by message id, with proof; and a page of cards.

use std::time::Instant;

use anyhow::Result;
use rohrpost_benches::{addressee, message_id};
use rohrpost_store::{CardRule, Store as _};

use super::Bench;
use super::g09::Filled;
use crate::line::{Bar, Line};
use crate::machine::Watch;

const QUERIES: u64 = 500;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let stores = bench.stores()?;
    let (filled, bar) = match &stores.very_many {
        Some(very_many) => (very_many, Bar::AtMost(10.0)),
        None => (&stores.many, Bar::None),
    };
    let size = filled.stored.ilog10();
    Ok(vec![
        line(&format!("by_id_10^{size}"), bar, filled, |number| {
            let id = message_id(number);
            assert!(!filled.store.prove(&id).expect("the store answers").is_empty(), "the delivery is stored");
        }),
        line(&format!("cards_10^{size}"), bar, filled, |number| {
            let page = filled.store.cards(&addressee(number), &CardRule::ALL, 100).expect("the store answers");
            assert!(!page.cards.is_empty(), "there are cards");
        }),
    ])
}

fn line(case: &str, bar: Bar, filled: &Filled, query: impl Fn(u64)) -> Line {
    let mut line = Line::new("G10", case, bar);
    for round in 0..3 {
        let watch = Watch::new(&[]);
        let mut times: Vec<f64> = (0..QUERIES)
            .map(|at| {
                let began = Instant::now();
                query((at * 7_919 + round * 104_729) % filled.stored);
                began.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_unstable_by(f64::total_cmp);
        line.add(times[times.len() * 99 / 100], watch.others());
        line.note("p50_ms", times[times.len() / 2]);
    }
    line
}
