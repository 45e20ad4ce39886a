//! `rohrpost`, the one binary: reads configuration, wires the rooms, runs commands.
//!
//! `main` maps a result to an exit code; every command is a function in [`commands`] that takes its checked arguments.
//! Nothing here is worth a unit test of its own but the layers of the configuration.

mod args;
mod commands;
mod config;
mod courier;
mod failure;
mod node;
mod output;
mod secrets;
mod test_pki;

use std::process::ExitCode;

use clap::Parser as _;
use zeroizing_alloc::ZeroAlloc;

/// What one thread allocates, another one frees, for every order a thousand times. The allocator of the C library takes a sixth
/// of all CPU time for that, this one hardly any. What is freed is wiped: libraries that read key files, and whatever handles a
/// message in clear, leave nothing behind.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<mimalloc::MiMalloc> = ZeroAlloc(mimalloc::MiMalloc);

fn main() -> ExitCode {
    let args = args::Args::parse();
    let output = output::Output::new(args.json);
    match commands::run(args, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output.failure(&error),
    }
}
