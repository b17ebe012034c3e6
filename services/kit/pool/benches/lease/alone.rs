//! The gate alone: taking a thing and giving it back, without anything being done with it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use deadpool::managed;
use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};
use tokio::task::{JoinSet, yield_now};

use crate::gate::Ours;
use crate::{LIMIT, TASKS, median};

const ROUNDS: usize = 7;
/// Of one measurement.
const LASTS: Duration = Duration::from_millis(200);
/// Between two looks at the clock, so that it doesn't count.
const BATCH: u32 = 32;

/// A pool whose things are taken, and given back by being dropped.
pub(crate) trait Lends: Clone + Send + Sync + 'static {
    fn take(&self) -> impl Future<Output = impl Send> + Send;
}

/// Nanoseconds for a taking and a giving back: by one who finds all of them free, and with many times as many tasks as
/// there are things, each of which keeps what it took while the others have their turn.
#[derive(Default)]
struct Seen {
    name: &'static str,
    free: Vec<f64>,
    contended: Vec<f64>,
}

impl Seen {
    fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    async fn look(&mut self, lends: &impl Lends) {
        let free = tokio::spawn(free(lends.clone())).await.unwrap();
        self.free.push(free);
        self.contended.push(contended(lends).await);
    }
}

async fn free(lends: impl Lends) -> f64 {
    let (began, mut turns) = (Instant::now(), 0_u32);
    while began.elapsed() < LASTS {
        for _ in 0..BATCH {
            drop(lends.take().await);
        }
        turns += BATCH;
    }
    nanos(began.elapsed(), turns)
}

async fn contended(lends: &impl Lends) -> f64 {
    let (began, mut tasks) = (Instant::now(), JoinSet::new());
    for _ in 0..TASKS {
        let lends = lends.clone();
        tasks.spawn(async move {
            let mut turns = 0_u32;
            while began.elapsed() < LASTS {
                for _ in 0..BATCH {
                    let taken = lends.take().await;
                    yield_now().await;
                    drop(taken);
                }
                turns += BATCH;
            }
            turns
        });
    }
    let turns = tasks.join_all().await.into_iter().sum();
    nanos(began.elapsed(), turns)
}

fn nanos(took: Duration, turns: u32) -> f64 {
    took.as_secs_f64() * 1e9 / f64::from(turns)
}

pub(crate) async fn compare() {
    let size = usize::try_from(LIMIT).unwrap();
    let deadpool = managed::Pool::builder(Things).max_size(size).build().unwrap();
    let bb8 = bb8::Pool::builder().max_size(LIMIT).test_on_check_out(false).build(Things).await.unwrap();
    // SQLite's in memory: as little of a database as sqlx can be had with.
    let sqlx = SqlitePoolOptions::new().max_connections(LIMIT).connect("sqlite::memory:").await.unwrap();
    let ours = Ours::new();
    let mut seen = ["ours", "deadpool", "bb8", "sqlx, SQLite in memory"].map(Seen::new);
    for _ in 0..ROUNDS {
        let [of_ours, of_deadpool, of_bb8, of_sqlx] = &mut seen;
        of_ours.look(&ours).await;
        of_deadpool.look(&deadpool).await;
        of_bb8.look(&bb8).await;
        of_sqlx.look(&sqlx).await;
    }
    println!("\n{:<44}{:>16}{:>16}", "the gate alone, a lease", "all free", "64 tasks over 8");
    for of in seen {
        println!("{:<44}{:>13.0} ns{:>13.0} ns", of.name, median(of.free), median(of.contended));
    }
}

/// Makes things that are nothing.
#[derive(Debug)]
struct Things;

impl managed::Manager for Things {
    type Type = ();
    type Error = Infallible;

    async fn create(&self) -> Result<(), Infallible> {
        Ok(())
    }

    async fn recycle(&self, (): &mut (), _: &managed::Metrics) -> managed::RecycleResult<Infallible> {
        Ok(())
    }
}

impl bb8::ManageConnection for Things {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self) -> Result<(), Infallible> {
        Ok(())
    }

    async fn is_valid(&self, (): &mut ()) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, (): &mut ()) -> bool {
        false
    }
}

impl Lends for managed::Pool<Things> {
    async fn take(&self) -> impl Send {
        self.get().await.expect("it waits")
    }
}

impl Lends for bb8::Pool<Things> {
    async fn take(&self) -> impl Send {
        self.get().await.expect("it waits")
    }
}

impl Lends for SqlitePool {
    async fn take(&self) -> impl Send {
        self.acquire().await.expect("it waits")
    }
}
