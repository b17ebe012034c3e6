//! Orders a second on a disk whose flush takes 2 ms, as many networks' disks do: with what the release before announced of each order,
//! and without.
//!
//! PostgreSQL commits transactions that notify one after another, each with a flush of its own; all others share flushes. An order
//! has two that notified, which set stock aside and take it off the shelf.

use std::time::Duration;

use selvage_pool::sea_orm::ConnectionTrait as _;
use selvage_pool::{Config, Pool};
use selvage_testkit::Server;
use selvage_tests::rounds::{mails, median};

use super::{AT_ONCE, Bench, FOLLOWED_UP, PREFIX};

const FLUSH: Duration = Duration::from_millis(2);
/// Orders of each buyer in a round: 12 × 35 = 420 take two seconds where each waits for two flushes by itself.
const ORDERS_EACH: u32 = 35;
/// Rounds of each kind that count; one of each before is for warming up.
const ROUNDS: u32 = 5;

/// What a change of stock did before there was a log of changes; as migration `m20261126_000003_announce` has it.
const ANNOUNCES: &str = "
CREATE OR REPLACE FUNCTION catalogue_variant_updated() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE
    slugs TEXT;
    shown BOOLEAN;
BEGIN
    SELECT string_agg(DISTINCT slug, ' '), bool_or(differs) INTO slugs, shown FROM (
        SELECT changed.product AS slug,
            (before.stock > before.reserved, before.product, before.size, before.colour, before.colour_hex, before.price,
                before.withdrawn)
            IS DISTINCT FROM
            (changed.stock > changed.reserved, changed.product, changed.size, changed.colour, changed.colour_hex,
                changed.price, changed.withdrawn) AS differs
        FROM changed LEFT JOIN before ON before.sku = changed.sku
        UNION ALL
        SELECT product, FALSE FROM before
    ) AS both_sides;
    PERFORM catalogue_announce(CASE WHEN shown THEN '!' ELSE '=' END, slugs);
    RETURN NULL;
END $$";

/// Prints a line for each round, and the medians.
pub(super) async fn measure() {
    let settings = ["fsync=on", "full_page_writes=on", "max_wal_size=4GB", "checkpoint_timeout=1h", PREFIX];
    let Some(server) = Server::start_on_slow_disk(FLUSH, &settings).await else {
        println!("not measured: orders on a slow disk. To measure it: have a compiler of C");
        return;
    };
    let mails = mails();
    let mut bench = Bench::start(&server, mails.path(), AT_ONCE).await;
    let catalogue = Config { limit: 1, ..Config::new("triggers", bench.shop.databases[0].url()) };
    let catalogue = Pool::open(catalogue).await.unwrap();
    let written = "SELECT pg_get_functiondef('catalogue_variant_updated'::regproc)";
    let written = selvage_pool::sea_orm::Statement::from_string(catalogue.backend(), written);
    let notes: String = catalogue.query_one_raw(written).await.unwrap().unwrap().try_get_by_index(0).unwrap();
    let (mut announced, mut noted, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mut rates = [0.0; 2];
        for (rate, function) in rates.iter_mut().zip([ANNOUNCES, &notes]) {
            catalogue.execute_unprepared(function).await.unwrap();
            *rate = bench.round(ORDERS_EACH).await.0;
        }
        if round == 0 {
            continue;
        }
        let [before, after] = rates;
        println!(
            "round {round}, a flush of {FLUSH:?}: {before:.0} orders/s announced, {after:.0} noted; ratio {:.2}",
            after / before
        );
        announced.push(before);
        noted.push(after);
        ratios.push(after / before);
    }
    catalogue.close().await;
    bench.ledger.check().await;
    println!(
        "{AT_ONCE} orders at once, {FOLLOWED_UP}, on a disk with a flush of {FLUSH:?}: {:.0} orders/s announced (NOTIFY), {:.0} noted \
         in the log; ratio {:.2} (to be at least 1.3)",
        median(announced),
        median(noted),
        median(ratios)
    );
}
