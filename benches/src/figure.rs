//! Measuring work and limits in turn, and printing ratios.

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use criterion::Criterion;

use crate::Clock;

/// Something to be done many times and timed.
pub struct Task<'a>(Box<dyn FnMut(u64) -> Duration + 'a>);

impl<'a> Task<'a> {
    /// The same thing again and again.
    pub fn each<T>(clock: Clock, mut work: impl FnMut() -> T + 'a) -> Self {
        Self(Box::new(move |count| {
            clock.time(|| {
                for _ in 0..count {
                    black_box(work());
                }
            })
        }))
    }

    /// With a fresh input each time, which is made before the clock starts and whose remains are dropped after it stopped.
    pub fn with_input<I, T>(clock: Clock, mut make: impl FnMut() -> I + 'a, mut work: impl FnMut(I) -> T + 'a) -> Self {
        Self(Box::new(move |count| {
            let inputs: Vec<I> = (0..count).map(|_| make()).collect();
            let mut outputs = Vec::with_capacity(inputs.len());
            clock.time(|| outputs.extend(inputs.into_iter().map(&mut work)))
        }))
    }

    /// Any other way to say how long that many times took.
    pub fn timed(work: impl FnMut(u64) -> Duration + 'a) -> Self {
        Self(Box::new(work))
    }
}

/// Does `work` with every input, spread over so many threads.
pub fn spread<I: Send>(threads: usize, mut inputs: Vec<I>, work: impl Fn(I) + Sync) {
    if threads == 1 {
        inputs.into_iter().for_each(work);
        return;
    }
    let (each, work) = (inputs.len().div_ceil(threads).max(1), &work);
    thread::scope(|scope| {
        while !inputs.is_empty() {
            let own = inputs.split_off(inputs.len().saturating_sub(each));
            scope.spawn(move || own.into_iter().for_each(work));
        }
    });
}

/// Seconds per iteration in one sample.
#[derive(Debug, Clone)]
pub struct Times {
    /// The work.
    pub work: f64,
    /// The limits, in their order.
    pub limits: Vec<f64>,
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
    /// Only for looking at.
    Shown,
}

/// A number that says how good work is, whatever the machine.
pub struct Figure<'a> {
    name: &'a str,
    goal: Goal,
    of: Box<dyn Fn(&Times) -> f64 + 'a>,
}

impl<'a> Figure<'a> {
    /// A figure computed from the times of a sample.
    pub fn new(name: &'a str, goal: Goal, of: impl Fn(&Times) -> f64 + 'a) -> Self {
        Self { name, goal, of: Box::new(of) }
    }

    /// First limit / work: which part of the possible speed is reached.
    pub fn share(name: &'a str, goal: Goal) -> Self {
        Self::new(name, goal, |times| times.limits[0] / times.work)
    }

    /// Work / first limit: what the work costs, in limits.
    pub fn cost(name: &'a str, goal: Goal) -> Self {
        Self::new(name, goal, |times| times.work / times.limits[0])
    }
}

/// In how many alternating blocks the iterations of a sample are done.
const BLOCKS: u64 = 8;

/// Has criterion measure `work`, measures the limits in turn with it, and prints the figures.
pub fn measure(
    criterion: &mut Criterion,
    name: &str,
    mut work: Task<'_>,
    mut limits: Vec<Task<'_>>,
    figures: &[Figure<'_>],
) {
    let mut samples: Vec<(u64, Times)> = Vec::new();
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|count| {
            let (mut total, mut others) = (Duration::ZERO, vec![Duration::ZERO; limits.len()]);
            for block in 0..BLOCKS.min(count) {
                let share = (count + BLOCKS.min(count) - 1 - block) / BLOCKS.min(count);
                total += (work.0)(share);
                others.iter_mut().zip(&mut limits).for_each(|(sum, limit)| *sum += (limit.0)(share));
            }
            let each = |time: &Duration| time.as_secs_f64() / count as f64;
            samples.push((count, Times { work: each(&total), limits: others.iter().map(each).collect() }));
            total
        });
    });
    let most = samples.iter().map(|(count, _)| *count).max().unwrap_or_default();
    // Criterion warms up with few iterations, which are worth little.
    let samples: Vec<&Times> = samples.iter().filter(|(count, _)| count * 10 >= most).map(|(_, times)| times).collect();
    for figure in figures {
        report(figure.name, figure.goal, samples.iter().map(|times| (figure.of)(times)).collect());
    }
}

/// Prints a figure as one line: the median of its samples, the least and the greatest, and whether it meets its goal. Nothing
/// without samples or in a trial.
#[expect(clippy::print_stdout, reason = "this is what benchmarks are for")]
pub fn report(name: &str, goal: Goal, mut samples: Vec<f64>) {
    if is_trial() {
        return;
    }
    samples.sort_unstable_by(f64::total_cmp);
    let (Some(least), Some(greatest)) = (samples.first(), samples.last()) else { return };
    let median = samples[samples.len() / 2];
    let verdict = match goal {
        Goal::AtLeast(bar) if median >= bar => format!("at least {bar}: PASS"),
        Goal::AtLeast(bar) => format!("at least {bar}: MISS"),
        Goal::AtMost(bar) if median <= bar => format!("at most {bar}: PASS"),
        Goal::AtMost(bar) => format!("at most {bar}: MISS"),
        Goal::Shown => "shown".to_owned(),
    };
    println!("FIGURE {name} = {median:.3} ({least:.3}..{greatest:.3}) {verdict}");
}

/// Whether the command line asks only whether everything runs (`--test`).
pub fn is_trial() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn inputs_are_made_before_the_clock_starts() {
        let made = Cell::new(0);
        let make = || made.set(made.get() + 1);
        let mut task = Task::with_input(Clock::Thread, make, |()| assert_eq!(made.get(), 3));
        (task.0)(3);
    }

    #[test]
    fn every_input_is_worked_on_once() {
        for (threads, inputs) in [(1, 5), (4, 0), (4, 3), (4, 10)] {
            let sum = AtomicU64::new(0);
            spread(threads, (1..=inputs).collect(), |input| {
                sum.fetch_add(input, Ordering::Relaxed);
            });
            assert_eq!(sum.into_inner(), inputs * (inputs + 1) / 2);
        }
    }

    #[test]
    fn figures_are_ratios() {
        let times = Times { work: 2.0, limits: vec![1.0] };
        assert_eq!((Figure::share("", Goal::Shown).of)(&times), 0.5);
        assert_eq!((Figure::cost("", Goal::Shown).of)(&times), 2.0);
    }
}
