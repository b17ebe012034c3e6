use std::path::PathBuf;

use selvage_proto::money::Currency;
use selvage_rpc::Target;

/// The catalogue's own arguments.
#[derive(clap::Args, Clone, Debug)]
pub struct CatalogueArgs {
    /// The shop's currency, an ISO 4217 code
    #[arg(long, env = "SELVAGE_CURRENCY", value_name = "CODE", default_value = "EUR")]
    pub currency: Currency,
    /// Where the checkout service is, to be asked about reservations past their time; without it none ends
    #[arg(long, env = "SELVAGE_CHECKOUT", value_name = "HOST:PORT")]
    pub checkout: Option<Target>,
    /// A folder for the index of products, this process's own; without it a temporary one, made anew at each start
    #[arg(long, env = "SELVAGE_INDEX", value_name = "FOLDER")]
    pub index: Option<PathBuf>,
    /// Plant the default products at the start if there are none
    #[arg(long, env = "SELVAGE_SEED")]
    pub seed: bool,
}
