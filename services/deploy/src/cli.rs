//! The command line.

use std::io::Write as _;

use selvage_boot::Tool;

use crate::{buy, secrets, stock, token};

/// The program.
pub(crate) struct Deploy;

/// What it can do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make the keys that the shop's processes sign tokens with, and the list of those who are trusted, as Secrets of
    /// Kubernetes; those that are there stay as they are
    Secrets(secrets::Secrets),
    /// Buy something as a shopper does, through the shop's pages, and wait until the order is confirmed
    Buy(buy::Buy),
    /// Stock an empty catalogue with the default products; one that has products stays as it is
    Stock(stock::Stock),
    /// Print a token for calls to the services, signed with the key in a file
    Token(token::Token),
}

impl Tool for Deploy {
    const NAME: &'static str = "selvage-deploy";
    const ABOUT: &'static str =
        "What is done once to a Selvage shop that is deployed, and a purchase that tries it out.";
    /// Kubernetes' client logs each failure as an error of its own; what becomes of it is said here.
    const LOG: &'static str = "warn,kube_client=off";
    type Command = Command;

    async fn run(command: Command) -> anyhow::Result<()> {
        match command {
            Command::Secrets(secrets) => secrets::run(&secrets).await,
            Command::Buy(buy) => buy::run(&buy).await,
            Command::Stock(stock) => stock::run(stock).await,
            Command::Token(token) => token::run(&token),
        }
    }
}

/// Prints a line to whoever started the program.
pub(crate) fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

#[cfg(test)]
mod tests {
    use clap::Subcommand as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        let command = Command::augment_subcommands(clap::Command::new("selvage-deploy").no_binary_name(true));
        command.clone().debug_assert();
        let parsed = |line: &[&str]| command.clone().try_get_matches_from(line).is_ok();
        assert!(parsed(&["secrets", "--prefix", "shop"]) && parsed(&["secrets", "--prefix", "a-1.b", "--passwords"]));
        for wrong in ["", "Shop", "-shop", "shop_1", "shop-", &"x".repeat(201)] {
            assert!(!parsed(&["secrets", "--prefix", wrong]), "{wrong}");
        }
        assert!(parsed(&["buy", "--web", "http://shop-web:8080"]) && parsed(&["buy", "--web", "http://[::1]:1/"]));
        for wrong in ["shop-web:8080", "https://shop", "http://", "http://a@b", "http://a/?b", "http://a/b"] {
            assert!(!parsed(&["buy", "--web", wrong]), "{wrong}");
        }
        assert!(parsed(&["token", "admin", "--key-file", "k"]) && !parsed(&["token", "wizard", "--key-file", "k"]));
    }
}
