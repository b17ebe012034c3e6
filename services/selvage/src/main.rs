//! `selvage`: the whole shop in one process on SQLite, and the commands around it.

mod budget;
mod cli;
mod data;
mod house;
mod import;
mod token;
mod trace;

fn main() -> std::process::ExitCode {
    selvage_boot::main::<house::House>()
}
