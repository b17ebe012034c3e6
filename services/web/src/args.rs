//! What the binary `selvage-web` takes on its command line.

use std::path::PathBuf;

use selvage_proto::money::Currency;
use selvage_rpc::{Channel, Target};

use crate::operations::{Access, Decider, Operations};
use crate::settings::{Peers, Settings};

/// The pages' own arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The catalogue service
    #[arg(long, env = "SELVAGE_CATALOGUE", value_name = "HOST:PORT", default_value = "127.0.0.1:50051")]
    pub catalogue: Target,
    /// The cart service
    #[arg(long, env = "SELVAGE_CART", value_name = "HOST:PORT", default_value = "127.0.0.1:50052")]
    pub cart: Target,
    /// The checkout service
    #[arg(long, env = "SELVAGE_CHECKOUT", value_name = "HOST:PORT", default_value = "127.0.0.1:50053")]
    pub checkout: Target,
    /// The delivery service
    #[arg(long, env = "SELVAGE_DELIVERY", value_name = "HOST:PORT", default_value = "127.0.0.1:50054")]
    pub delivery: Target,
    /// The operator that scales the shop, whose decisions and grants the operations page then shows
    #[arg(long, env = "SELVAGE_OPERATOR", value_name = "HOST:PORT", requires = "operator_token_file")]
    pub operator: Option<Target>,
    /// File with the token by which the operator knows the pages: of a service account that may list poolscalers.selvage.dev, for the
    /// audience selvage-operator
    #[arg(long, env = "SELVAGE_OPERATOR_TOKEN_FILE", value_name = "FILE", requires = "operator")]
    pub operator_token_file: Option<PathBuf>,
    /// The namespace whose decisions are shown; without it all, which the service account must be allowed
    #[arg(long, env = "SELVAGE_OPERATOR_NAMESPACE", value_name = "NAME", requires = "operator")]
    pub operator_namespace: Option<String>,
    /// File with the secret key that guests' sessions are signed with; the services must trust it with the role guest
    #[arg(long, env = "SELVAGE_ISSUER_KEY", value_name = "FILE")]
    pub issuer_key: PathBuf,
    /// People reach the shop by https: browsers send the session over nothing else
    #[arg(long, env = "SELVAGE_SECURE_COOKIES")]
    pub secure_cookies: bool,
    /// Requests come through a proxy of your own: their trace contexts are continued, and its address may have all connections,
    /// since it knows its clients and must bound them itself. Without it each request begins a trace, and what its sender says
    /// is linked
    #[arg(long, env = "SELVAGE_TRUSTED_PROXY")]
    pub trusted_proxy: bool,
    /// The shop's currency, an ISO 4217 code
    #[arg(long, env = "SELVAGE_CURRENCY", value_name = "CODE", default_value = "EUR")]
    pub currency: Currency,
}

impl Args {
    /// The settings among them.
    pub fn settings(&self) -> Settings {
        Settings {
            secure_cookies: self.secure_cookies,
            currency: self.currency.to_string(),
            trusted_proxy: self.trusted_proxy,
            whole_shop: false,
        }
    }

    /// Channels to the services. To be called within a tokio runtime.
    pub fn peers(&self) -> Peers {
        let [catalogue, cart, checkout, delivery] =
            [&self.catalogue, &self.cart, &self.checkout, &self.delivery].map(|target| Channel::to(target.clone()));
        let processes = [("catalogue", &catalogue), ("cart", &cart), ("checkout", &checkout), ("delivery", &delivery)];
        let processes = processes.map(|(name, channel)| (name.to_owned(), channel.clone())).to_vec();
        let scaler = self.operator.clone().zip(self.operator_token_file.clone()).map(|(target, token_file)| Decider {
            channel: Channel::to(target),
            token_file,
            namespace: self.operator_namespace.clone().unwrap_or_default(),
        });
        let operations = Operations { processes, access: Access::Token, scaler };
        Peers { catalogue, cart, checkout, delivery, operations }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_sound() {
        let command = selvage_boot::command_line::<crate::Web>();
        command.clone().debug_assert();
        let parsed = |line: &[&str]| command.clone().try_get_matches_from(line).is_ok();
        assert!(parsed(&["web", "--issuer-key", "k"]) && parsed(&["web", "serve", "--issuer-key", "k"]));
        assert!(!parsed(&["web"]), "its key is missing");
        assert!(!parsed(&["web", "--issuer-key", "k", "--currency", "eur"]));
        assert!(!parsed(&["web", "--issuer-key", "k", "--cart", "nowhere"]));
        let operator = ["web", "--issuer-key", "k", "--operator", "operator:50060"];
        assert!(!parsed(&operator), "it knows nobody without a token");
        assert!(parsed(&[&operator[..], &["--operator-token-file", "t", "--operator-namespace", "shop"]].concat()));
    }
}
