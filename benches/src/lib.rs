//! What the benchmarks in `benches/` share: a clock that counts CPU time, figures that are ratios, and a small world of keys,
//! messages and an intermediary to measure.
//!
//! No figure here is a speed. A speed belongs to one machine on one day; a ratio to a limit that was measured in the same
//! run, block by block in turn with the work, belongs to the code. `README.md` of this package explains every figure.
//!
//! Not in here: assertions. A figure that misses its goal says so and nothing fails; tests never look at a clock.
//!
//! ```
//! use criterion::Criterion;
//! use rohrpost_benches::{Clock, Figure, Goal, Task, measure};
//!
//! let bytes = vec![b'x'; 4096];
//! let work = Task::each(Clock::Thread, || bytes.iter().filter(|byte| **byte == b'<').count());
//! let limit = Task::each(Clock::Thread, || memchr::memchr(b'<', &bytes));
//! let figures = [Figure::cost("counting/finding", Goal::Shown)];
//! let mut criterion = Criterion::default().with_filter("nothing in this example");
//! measure(&mut criterion, "count", work, vec![limit], &figures);
//! ```

mod clock;
mod deliveries;
mod figure;
mod memory;
mod messages;
mod meter;
mod parties;
mod world;

pub use clock::Clock;
pub use deliveries::{BareLog, addressee, delivery, message_id, small_delivery};
pub use figure::{Figure, Goal, Task, Times, is_trial, measure, report, spread};
pub use memory::{Pattern, peak_memory};
pub use messages::Messages;
pub use meter::Meter;
pub use parties::{Bits, Party, certs_test};
pub use world::{NOW, World, decrypting, keys, signing, store};

/// A folder on the disk the build is on, for benchmarks that ask that disk to be durable; `/tmp` is often none.
pub fn scratch() -> tempfile::TempDir {
    let mut folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp");
    if std::fs::create_dir_all(&folder).is_err() {
        folder = std::env::temp_dir();
    }
    tempfile::tempdir_in(folder).expect("a temporary folder")
}
