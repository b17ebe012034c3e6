//! `selvage-deploy buy`: a purchase by links and forms alone, as somebody makes it whose browser runs no scripts.

mod browser;
mod page;
mod visit;

use std::time::Duration;

use anyhow::Context as _;
use tokio::time::timeout;

use crate::cli::say;
use browser::{Browser, Shop};
use visit::Visit;

#[derive(clap::Args)]
pub(crate) struct Buy {
    /// The shop's pages, for example http://shop-web:8080; plain http, also where people come by https
    #[arg(long, env = "SELVAGE_WEB", value_name = "URL")]
    web: Shop,
    /// Where the confirmation goes
    #[arg(long, env = "SELVAGE_EMAIL", value_name = "ADDRESS", default_value = "ada@example.org")]
    email: String,
    /// How long all of it may take, in seconds
    #[arg(long, env = "SELVAGE_WITHIN", value_name = "SECONDS", default_value_t = 60,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    within: u64,
}

/// Buys, and says what was done; an error names the step that failed.
pub(crate) async fn run(buy: &Buy) -> anyhow::Result<()> {
    let mut visit = Visit::new(Browser::new(buy.web.clone()), buy.email.clone());
    let bought = timeout(Duration::from_secs(buy.within), visit.buy()).await;
    let bought = bought.with_context(|| format!("it wasn't done within {} s{}", buy.within, visit.note()));
    let bought = bought.and_then(|bought| bought);
    let bought = bought.with_context(|| format!("nothing was bought: couldn't {}", visit.step()))?;
    say(&format!("bought {} at {}: the order {} is confirmed", bought.product, buy.web, bought.number))?;
    match bought.trace {
        Some(trace) => say(&format!("the trace of the purchase is {trace}")),
        None => say("the purchase wasn't traced"),
    }
}
