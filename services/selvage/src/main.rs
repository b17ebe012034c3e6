//! `selvage`: the whole shop in one process on SQLite, and the commands around it.

mod budget;
mod catalogue;
mod cli;
mod data;
mod house;
mod import;
mod pool;
mod seed;
mod terminal;
mod token;
mod trace;

fn main() -> std::process::ExitCode {
    selvage_boot::main::<house::House>()
}
