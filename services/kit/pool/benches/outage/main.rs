//! The outage in small: callers come at five times the rate that two connections can serve, to a plain SeaORM pool and to
//! ours. Both at the same time, on databases of their own, so that the machine's moods are the same for both; the
//! statement sleeps, so that neither takes anything from the other.
//!
//! `cargo bench --workspace --bench outage -- [--seconds N] [--plot FILE]`: N shortens the surge, FILE is an SVG.
//! Fails if ours doesn't keep what it promises.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a benchmark speaks to a person")]

mod figures;
mod load;
mod plot;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use sea_orm::{ConnectOptions, Database};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, database, engines};
use tokio::time::Instant;

use crate::figures::Figures;
use crate::load::{CAPACITY, LIMIT, PATIENCE, Shape};

/// How long ours lets a caller wait.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// An answer that comes later is of no use: its caller has looked elsewhere.
const USEFUL: Duration = MAX_WAIT.saturating_mul(2);
/// What is called at once, scheduling by a machine that has other work too included.
const AT_ONCE: Duration = Duration::from_millis(5);
/// An answer as quick as on a good day: four times the statement.
const QUICK: Duration = Duration::from_millis(200);
/// For so long every caller is answered quickly when it is over.
const QUIET: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::read();
    if !engines().contains(&Engine::Postgres) {
        return ExitCode::SUCCESS;
    }
    let (for_plain, for_ours) = (database(Engine::Postgres).await, database(Engine::Postgres).await);
    let mut options = ConnectOptions::new(for_plain.url());
    options.max_connections(LIMIT).acquire_timeout(Duration::from_secs(30)).sqlx_logging(false);
    let plain = Database::connect(options).await.expect("the database answers");
    let config = Config { limit: LIMIT, max_wait: MAX_WAIT, ..Config::new("outage", for_ours.url()) };
    let ours = Pool::open(config).await.expect("the database answers");

    let shape = Shape::new(arguments.surge);
    println!(
        "{LIMIT} connections, a statement of 50 ms, so a capacity of {CAPACITY}/s; a surge of 5 × that for {} s. Callers \
         give up after {} s; an answer is useful within {} s.",
        arguments.surge.as_secs(),
        PATIENCE.as_secs(),
        USEFUL.as_secs()
    );
    let begin = Instant::now();
    let (plain, ours) = tokio::join!(
        load::drive(&shape, begin, |_| plain.clone()),
        load::drive(&shape, begin, |class| ours.named("sleep", class)),
    );
    if let Some(file) = arguments.plot {
        let drawing = plot::draw(&shape, &plain, &ours);
        std::fs::write(&file, drawing).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        println!("drawn: {}", file.display());
    }
    let (plain, ours) = (Figures::of(&shape, &plain), Figures::of(&shape, &ours));
    figures::print(&plain, &ours);
    let mut kept = true;
    for (promise, is_kept) in ours.promises() {
        println!("{} ours: {promise}", if is_kept { "ok    " } else { "BROKEN" });
        kept &= is_kept;
    }
    if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Arguments {
    surge: Duration,
    plot: Option<PathBuf>,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Self { surge: Duration::from_secs(20), plot: None };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            match (word.as_str(), words.next()) {
                // Cargo's own, which has no value.
                ("--bench", None) => {}
                ("--seconds", Some(value)) if value.parse::<u64>().is_ok_and(|seconds| seconds > 0) => {
                    read.surge = Duration::from_secs(value.parse().unwrap());
                }
                ("--plot", Some(value)) => read.plot = Some(where_typed().join(value)),
                _ => {
                    eprintln!("usage: cargo bench --workspace --bench outage -- [--seconds N] [--plot FILE]");
                    std::process::exit(2);
                }
            }
        }
        read
    }
}

/// Cargo runs a benchmark in its crate's folder; a path is meant from where the command was typed.
fn where_typed() -> PathBuf {
    std::env::var_os("PWD").map(PathBuf::from).unwrap_or_default()
}
