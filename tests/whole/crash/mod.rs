//! Whatever is done to the shop's processes and to their sessions at the database, every order comes to an end: placed and
//! delivered, cancelled with its money given back, or paid back; stock and money are in balance, and listings show what there is.

mod index;
mod mix;
mod one_process;
mod pairs;
mod placing;
mod relay;

use std::time::Duration;

use selvage_tests::proxy::Proxy;

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(60);
/// The relay's claim in these tests: the shortest that checkout takes.
const LEASE: Duration = Duration::from_secs(3);

/// One of three, by the form in which the tests run: the inner loop, the usual one, the long one.
fn by_form(quick: u64, usual: u64, full: u64) -> u64 {
    match std::env::var("SELVAGE_TESTS").as_deref() {
        Ok("quick") => quick,
        Ok("full") => full,
        _ => usual,
    }
}

/// A proxy before the database at `url`, and the address that leads through it.
async fn before_database(url: &str) -> (Proxy, String) {
    let (_, rest) = url.split_once("://").expect("an address");
    let (login, rest) = rest.split_once('@').expect("with a user");
    let (server, database) = rest.split_once('/').expect("and a database");
    let proxy = Proxy::before(server).await;
    let through = format!("postgres://{login}@{}/{database}", proxy.address);
    (proxy, through)
}

/// A table: what was done to the shop, how often, and what became of the orders.
fn tell(shop: &str, done: &[(String, u64)], ends: &mix::Ends) {
    println!("\n{shop}\n  times  what was done");
    for (what, times) in done {
        println!("  {times:5}  {what}");
    }
    // Whoever lost anything has ended the test.
    println!("  {ends}\n  lost: no order, no money, no stock, no parcel");
}
