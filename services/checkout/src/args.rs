use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use selvage_rpc::Target;

const PLACE_BOUND: u64 = 20;
const HOLD_STOCK: i32 = 900;
const RELAY_LEASE: u64 = 15;
const MAIL_FROM: &str = "Selvage <shop@selvage.invalid>";
const MAIL_FOLDER: &str = "mail";

/// Checkout's own arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct CheckoutArgs {
    /// Where the cart service is
    #[arg(long, env = "SELVAGE_CART", value_name = "HOST:PORT")]
    pub cart: Target,
    /// Where the catalogue service is
    #[arg(long, env = "SELVAGE_CATALOGUE", value_name = "HOST:PORT")]
    pub catalogue: Target,
    /// Where the delivery service is
    #[arg(long, env = "SELVAGE_DELIVERY", value_name = "HOST:PORT")]
    pub delivery: Target,
    /// How long placing an order may take, in seconds, 1 to 28: an rpc has 30
    #[arg(long, env = "SELVAGE_PLACE_BOUND", value_name = "SECONDS", default_value_t = PLACE_BOUND,
          value_parser = clap::value_parser!(u64).range(1..=28))]
    pub place_bound: u64,
    /// How long stock is set aside for an order, in seconds
    #[arg(long, env = "SELVAGE_HOLD_STOCK", value_name = "SECONDS", default_value_t = HOLD_STOCK,
          value_parser = clap::value_parser!(i32).range(180..=86_400))]
    pub hold_stock: i32,
    /// Connections of the relay's own pool
    #[arg(long, env = "SELVAGE_RELAY_POOL_LIMIT", value_name = "CONNECTIONS")]
    pub relay_pool_limit: Option<u32>,
    /// How long the relay's claim on an order lasts, in seconds: what a killed relay's orders wait
    #[arg(long, env = "SELVAGE_RELAY_LEASE", value_name = "SECONDS", default_value_t = RELAY_LEASE,
          value_parser = clap::value_parser!(u64).range(3..=300))]
    pub relay_lease: u64,
    /// Send mail by this server, for example smtps://user:password@host; without it mails are files in a folder
    #[arg(long, env = "SELVAGE_SMTP_URL", hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<String>,
    /// The sender of mails
    #[arg(long, env = "SELVAGE_MAIL_FROM", value_name = "SENDER", default_value = MAIL_FROM)]
    pub mail_from: String,
    /// The folder for mails when there is no server
    #[arg(long, env = "SELVAGE_MAIL_FOLDER", value_name = "DIR", default_value = MAIL_FOLDER)]
    pub mail_folder: PathBuf,
}

impl CheckoutArgs {
    /// What it is told where nothing else is said.
    pub fn new(cart: Target, catalogue: Target, delivery: Target) -> Self {
        Self {
            cart,
            catalogue,
            delivery,
            place_bound: PLACE_BOUND,
            hold_stock: HOLD_STOCK,
            relay_pool_limit: None,
            relay_lease: RELAY_LEASE,
            smtp_url: None,
            mail_from: MAIL_FROM.to_owned(),
            mail_folder: MAIL_FOLDER.into(),
        }
    }

    pub(crate) fn settings(&self) -> crate::Settings {
        crate::Settings {
            place_bound: Duration::from_secs(self.place_bound),
            hold_seconds: self.hold_stock,
            relay_lease: Duration::from_secs(self.relay_lease),
            ..crate::Settings::default()
        }
    }

    pub(crate) fn mailer(&self) -> anyhow::Result<std::sync::Arc<dyn crate::mail::Mailer>> {
        match &self.smtp_url {
            Some(url) => Ok(std::sync::Arc::new(crate::mail::Smtp::new(url, &self.mail_from)?)),
            None => {
                let folder = crate::mail::Folder::open(&self.mail_folder)
                    .with_context(|| format!("the mail folder {} can't be made", self.mail_folder.display()))?;
                Ok(std::sync::Arc::new(folder))
            }
        }
    }
}
