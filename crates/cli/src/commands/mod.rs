//! One file per command.

mod audit;
mod cards;
mod certs;
mod config;
mod conformance;
mod demo;
mod doctor;
mod fetch;
mod folder;
mod kept;
mod party;
mod receive;
mod send;
mod serve;

use anyhow::Result;

use crate::args::{Args, Command, ConfigCommand};
use crate::output::Output;

/// Runs the chosen command to its end.
pub(crate) fn run(args: Args, output: Output) -> Result<()> {
    match args.command {
        Command::Demo(args) => demo::run(&args, output),
        Command::Doctor(args) => doctor::run(&args, output),
        Command::Serve(config) => serve::run(&config, output),
        Command::Send(args) => send::run(&args, output),
        Command::Fetch(args) => fetch::run(&args, output),
        Command::Receive(args) => receive::run(&args, output),
        Command::Cards(args) => cards::run(&args, output),
        Command::Config(ConfigCommand::PrintDefault) => config::print_default(output),
        Command::Config(ConfigCommand::Check(config)) => config::check(&config, output),
        Command::Audit(command) => audit::run(&command, output),
        Command::Certs(command) => certs::run(&command, output),
        Command::Conformance(args) => conformance::run(&args, output),
    }
}
