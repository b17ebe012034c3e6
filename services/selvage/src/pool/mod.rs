//! `selvage pool top` and `selvage pool explain`: what the operator has decided and granted, and why.

mod ask;
mod explain;
mod screen;
#[cfg(test)]
mod tests;
mod top;

use std::io::{IsTerminal as _, Write as _};

use ask::Operator;

#[derive(clap::Args)]
pub(crate) struct Pools {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Show budgets, workloads and pods as they are: on a terminal again each second, elsewhere once
    Top(Top),
    /// Print the last decision about a workload: why, what it was made of, what constrained it, what would change it
    Explain(Explain),
}

#[derive(clap::Args)]
struct Top {
    #[command(flatten)]
    operator: Operator,
    /// Print it once and end, also on a terminal
    #[arg(long)]
    once: bool,
}

#[derive(clap::Args)]
struct Explain {
    /// The PoolScaler: NAME, or NAMESPACE/NAME
    name: String,
    #[command(flatten)]
    operator: Operator,
}

/// Shows what was asked for.
pub(crate) async fn run(pools: &Pools) -> anyhow::Result<()> {
    match &pools.command {
        Command::Top(Top { operator, once }) if *once || !std::io::stdout().is_terminal() => {
            let budgets = operator.budgets().await?;
            let lines = top::page(&budgets, 0);
            Ok(writeln!(std::io::stdout(), "{}", lines.join("\n"))?)
        }
        Command::Top(Top { operator, .. }) => screen::watch(operator).await,
        Command::Explain(Explain { name, operator }) => {
            let budgets = operator.budgets().await?;
            let text = explain::text(&budgets, name)?;
            Ok(write!(std::io::stdout(), "{text}")?)
        }
    }
}
