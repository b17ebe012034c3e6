//! `selvage-deploy`: what is done once to a shop that is deployed, and a purchase that shows whether it is one.

mod buy;
mod cli;
mod secrets;
mod stock;
mod token;

fn main() -> std::process::ExitCode {
    selvage_boot::tool::<cli::Deploy>()
}
