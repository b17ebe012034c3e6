//! `selvage`: the whole shop in one process on SQLite, and the commands around it.

mod budget;
mod cli;
mod data;
mod house;
mod import;
mod token;
mod trace;

use std::process::ExitCode;

use clap::Parser as _;

/// One process serves everything: two threads do what a core each could, and idle ones cost memory.
const WORKER_THREADS: usize = 2;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let default_log = if cli.is_serving() { "info,sea_orm_migration=warn,sqlx=warn" } else { "warn" };
    selvage_boot::run("selvage", default_log, Some(WORKER_THREADS), async {
        match cli.command.unwrap_or(cli::Command::Serve(cli.serve)) {
            cli::Command::Serve(serve) => house::serve(&serve).await,
            cli::Command::Import(import) => import::import(&import).await,
            cli::Command::Token(token) => token::print(&token),
            cli::Command::Budget(budget) => budget::run(&budget),
            cli::Command::Trace(trace) => trace::run(&trace).await,
            cli::Command::Keys(keys) => selvage_boot::KeyFolder::make(&keys.folder).map(drop),
        }
    })
}
