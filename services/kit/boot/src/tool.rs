//! A program that does what its command line says, and ends.

use std::process::ExitCode;

use clap::{FromArgMatches, Subcommand};

use crate::environment;

/// A program of commands, without anything to serve. [`tool`] runs it.
pub trait Tool {
    /// What it is called on the command line, in its log and in traces: "selvage-broom".
    const NAME: &'static str;
    /// What it is, in a sentence, for `--help`.
    const ABOUT: &'static str;
    /// The filter of its log.
    const LOG: &'static str = "warn";
    /// What it can do.
    type Command: Subcommand;

    /// Does it.
    ///
    /// # Errors
    /// Its own, in words: the program ends with them.
    fn run(command: Self::Command) -> impl Future<Output = anyhow::Result<()>>;
}

/// The command line of a tool.
fn command_line<T: Tool>() -> clap::Command {
    let command = clap::Command::new(T::NAME).version(env!("CARGO_PKG_VERSION"));
    let command = command.subcommand_required(true).arg_required_else_help(true);
    // What the commands' type is called in its documentation says nothing of the program.
    T::Command::augment_subcommands(command).about(T::ABOUT)
}

/// The main of a tool: what it does is done by one thread, and a failure is one sentence on standard error.
pub fn tool<T: Tool>() -> ExitCode {
    let matches = environment::sober(command_line::<T>()).get_matches();
    let command = T::Command::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    crate::run(T::NAME, T::LOG, Some(1), T::run(command))
}
