//! The command line.

use std::io::Write as _;

use selvage_boot::Tool;
use selvage_operator::resources::{definitions, manifest};

/// The program.
pub(crate) struct Operator;

/// What it can do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Print the definitions of ConnectionBudget and PoolScaler, as 'kubectl apply --server-side -f -' takes them
    Crd,
}

impl Tool for Operator {
    const NAME: &'static str = "selvage-operator";
    const ABOUT: &'static str = "Scales replicas and pools on saturation, within the connections that a database has.";
    type Command = Command;

    async fn run(command: Command) -> anyhow::Result<()> {
        match command {
            Command::Crd => {
                let manifests = definitions().iter().map(manifest).collect::<anyhow::Result<Vec<_>>>()?;
                Ok(std::io::stdout().write_all(manifests.join("---\n").as_bytes())?)
            }
        }
    }
}
