//! The store alone, beside a bare log on the same disk that asks the disk once for all who wait.

use anyhow::Result;
use rohrpost_benches::{BareLog, Clock, delivery, spread, store};
use rohrpost_store::Store as _;

use super::Bench;
use crate::line::{Bar, Line};
use crate::machine::Watch;

const SUBMITTERS: usize = 16;
const DELIVERIES: u64 = 512;
/// Turns of store and log in a round.
const TURNS: u64 = 4;

pub(super) fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let folder = tempfile::tempdir_in(bench.folder.path())?;
    let store = store(folder.path());
    let log = BareLog::new(folder.path());
    let mut next = 0;
    let mut turn = |store_too: bool| {
        let all: Vec<_> = (next..next + DELIVERIES).map(delivery).collect();
        next += DELIVERIES;
        let accept = |delivery| store.accept(delivery).expect("the store accepts");
        let stored = if store_too { Clock::Wall.time(|| spread(SUBMITTERS, all, accept)).as_secs_f64() } else { 0.0 };
        let appends = vec![(); usize::try_from(DELIVERIES).unwrap_or_default()];
        (stored, Clock::Wall.time(|| spread(SUBMITTERS, appends, |()| log.append())).as_secs_f64())
    };
    turn(true);
    let line = bench.quiet_rounds(Line::new("G6", "commits", Bar::AtLeast(0.3)), |line| {
        let watch = Watch::new(&[]);
        let (mut stored, mut logged) = (0.0, 0.0);
        for _ in 0..TURNS {
            let (store, log) = turn(true);
            stored += store;
            logged += log;
        }
        line.note("deliveries_per_second", ((TURNS * DELIVERIES) as f64 / stored).round());
        line.note("appends_per_second", ((TURNS * DELIVERIES) as f64 / logged).round());
        Ok((logged / stored, watch.others()))
    })?;
    Ok(vec![line])
}
