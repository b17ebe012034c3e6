//! `selvage-deploy stock`: the default products, for a shop to try out.

use std::time::Duration;

use anyhow::Context as _;
use selvage_boot::{Address, Database, Life, Tuned};
use selvage_catalogue::migration::Migrator;
use selvage_catalogue::store::Store;
use selvage_context::clock::Clock;
use selvage_proto::money::Currency;
use tokio::time::timeout;

use crate::cli::say;

#[derive(clap::Args)]
pub(crate) struct Stock {
    #[command(flatten)]
    address: Address,
    /// The currency of the prices, which is the shop's one: an ISO 4217 code
    #[arg(long, env = "SELVAGE_CURRENCY", value_name = "CODE", default_value = "EUR")]
    currency: Currency,
    /// How long to wait for the database and its schema, in seconds
    #[arg(long, env = "SELVAGE_WITHIN", value_name = "SECONDS", default_value_t = 120,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    within: u64,
}

/// One writer, which uses one connection.
const POOL: Tuned = Tuned { name: "catalogue-stock", tune: |config| config.limit = 1 };

/// Stocks the catalogue and says how many products it was given.
pub(crate) async fn run(stock: Stock) -> anyhow::Result<()> {
    // A database that is made at the same moment isn't there yet.
    let life = Life::starting();
    let database = Database::of(stock.address).waited_for::<Migrator>("selvage-catalogue", &life);
    let opened = timeout(Duration::from_secs(stock.within), database.open_apart(&POOL, None)).await;
    let pool = opened.with_context(|| {
        let phase = life.phase().borrow().clone();
        format!(
            "the catalogue's database wasn't ready within {} s: {}",
            stock.within,
            selvage_boot::readiness(&phase).1.trim()
        )
    })??;
    let store = Store::new(pool, stock.currency.as_str());
    let planted = selvage_catalogue::plant_seed(&store, Clock::system().now_ms()).await;
    database.close().await;
    match planted
        .context("stocking stopped; what was stocked until then is kept, and the same command goes on from there")?
    {
        0 => say("there are products already; nothing was changed"),
        planted => say(&format!("stocked with {planted} products")),
    }
}
