//! What the service takes on its command line, beside what all services take.

use std::time::Duration;

use selvage_proto::money::Currency;
use selvage_rpc::Target;

const EXPIRY_DAYS: u32 = 30;

/// The cart service's own arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct CartArgs {
    /// Where the catalogue is, for example http://catalogue:50051
    #[arg(long, env = "SELVAGE_CATALOGUE", value_name = "HOST:PORT", default_value = "http://127.0.0.1:50051")]
    pub catalogue: Target,
    /// After how many days a cart that nobody touches is forgotten, 1 to 365
    #[arg(long, env = "SELVAGE_CART_EXPIRY_DAYS", value_name = "DAYS", default_value_t = EXPIRY_DAYS,
          value_parser = clap::value_parser!(u32).range(1..=365))]
    pub cart_expiry_days: u32,
    /// The shop's currency, an ISO 4217 code
    #[arg(long, env = "SELVAGE_CURRENCY", value_name = "CODE", default_value = "EUR")]
    pub currency: Currency,
}

impl CartArgs {
    /// What it is told where nothing else is said.
    pub fn new(currency: Currency, catalogue: Target) -> Self {
        Self { catalogue, cart_expiry_days: EXPIRY_DAYS, currency }
    }

    /// How long a cart that nobody touches is kept.
    pub fn expiry(&self) -> Duration {
        Duration::from_secs(u64::from(self.cart_expiry_days) * 24 * 3600)
    }
}
