//! `selvage-operator`: replicas and pools scaled on saturation, within the connections that a database has.

mod cli;

fn main() -> std::process::ExitCode {
    selvage_boot::main::<cli::Operator>()
}
