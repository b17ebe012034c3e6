//! What a lease costs: the gate alone beside other pools', and one statement through it beside a plain SeaORM pool and
//! pgbench. All take turns over several rounds; medians are printed, and ratios within each round.
//!
//! `cargo bench --workspace --bench lease`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints figures, and fails by panicking")]

mod alone;
mod cluster;
mod gate;
mod pgbench;
mod statement;

use selvage_testkit::{Engine, engines};

/// Connections, or what stands for them.
const LIMIT: u32 = 8;
/// Those who want one at the same time.
const TASKS: usize = 64;

#[tokio::main]
async fn main() {
    alone::compare().await;
    let only_gate = std::env::args().any(|argument| argument == "--gate");
    if !only_gate && engines().contains(&Engine::Postgres) {
        statement::compare().await;
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
