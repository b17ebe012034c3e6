//! What is done to a pool's connections. Each takes them as any caller does, under a name of its own, by which metrics and
//! watchdogs know it.

use std::time::Duration;

use selvage_pool::sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};
use selvage_pool::{Class, Pool};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long a connection is held: long for a shop, and less than what watchdogs take for a leak.
const HELD: Duration = Duration::from_secs(2);
/// Who got no connection comes again after this, which is within the second that makes a pool saturated.
const AGAIN: Duration = Duration::from_millis(250);
/// PostgreSQL ends the session that holds a lock for longer than its fault by so much.
const GRACE: Duration = Duration::from_secs(5);

/// Callers that take connections and give them back, over and over.
pub(crate) fn held(pool: &Pool, count: u32) -> JoinSet<()> {
    let pool = pool.named("fault_held_connection", Class::Normal);
    each(count, || {
        let pool = pool.clone();
        async move {
            loop {
                match pool.hold().await {
                    Ok(hold) => {
                        tokio::time::sleep(HELD).await;
                        drop(hold);
                    }
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            }
        }
    })
}

/// Connections that are taken once and not given back.
pub(crate) fn leaked(pool: &Pool, count: u32) -> JoinSet<()> {
    let pool = pool.named("fault_leaked_connection", Class::Normal);
    each(count, || {
        let pool = pool.clone();
        async move {
            loop {
                match pool.hold().await {
                    Ok(_hold) => std::future::pending().await,
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            }
        }
    })
}

/// Slow statements, one after the other.
pub(crate) fn slow(pool: &Pool, count: u32, each_takes: Duration) -> JoinSet<()> {
    let pool = pool.named("fault_slow_query", Class::Normal);
    each(count, || {
        let pool = pool.clone();
        async move {
            let mut work = Work::new(pool.backend(), each_takes);
            loop {
                let began = Instant::now();
                match pool.query_one_raw(Statement::from_string(pool.backend(), work.sql())).await {
                    Ok(_) => work.took(began.elapsed()),
                    Err(_) => tokio::time::sleep(AGAIN).await,
                }
            }
        }
    })
}

/// A transaction that locks `table`, or, on SQLite, is the one that writes.
pub(crate) fn locked(pool: &Pool, table: &'static str, duration: Duration) -> JoinSet<()> {
    let pool = pool.clone();
    each(1, || {
        let pool = pool.clone();
        async move {
            let lock = match pool.backend() {
                DbBackend::Postgres => format!(
                    "SET LOCAL idle_in_transaction_session_timeout = {}; LOCK TABLE {table} IN EXCLUSIVE MODE",
                    (duration + GRACE).as_millis()
                ),
                _ => String::new(),
            };
            loop {
                let lock = &lock;
                let hold = |tx: selvage_pool::Tx| async move {
                    if !lock.is_empty() {
                        tx.execute_unprepared(lock).await?;
                    }
                    std::future::pending::<()>().await;
                    Ok::<_, DbErr>(())
                };
                if pool.run_tx("fault_lock_hold", Class::Critical, hold).await.is_err() {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    })
}

fn each<F>(count: u32, mut work: impl FnMut() -> F) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        tasks.spawn(work());
    }
    tasks
}

/// A statement that takes its time.
struct Work {
    backend: DbBackend,
    each_takes: Duration,
    /// SQLite can't sleep: it counts, so far, and after each time it is known better how far it gets.
    steps: u64,
}

/// From where SQLite's counting begins, and how far it may go: some 10 ms and some minutes.
const STEPS: (u64, u64) = (100_000, 1_000_000_000);

impl Work {
    fn new(backend: DbBackend, each_takes: Duration) -> Self {
        Self { backend, each_takes, steps: STEPS.0 }
    }

    fn sql(&self) -> String {
        match self.backend {
            DbBackend::Postgres => format!("SELECT pg_sleep({})::text", self.each_takes.as_secs_f64()),
            _ => format!(
                "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {}) \
                 SELECT count(*) FROM counted",
                self.steps
            ),
        }
    }

    fn took(&mut self, took: Duration) {
        let (wanted, took) = (self.each_takes.as_micros(), took.as_micros().max(1));
        // At most tenfold at a time: the last may have been quick by chance.
        let better = u128::from(self.steps) * wanted.min(took * 10) / took;
        self.steps = u64::try_from(better).unwrap_or(STEPS.1).clamp(STEPS.0, STEPS.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_that_cant_sleep_finds_its_length() {
        let mut work = Work::new(DbBackend::Sqlite, Duration::from_secs(1));
        // 10 million steps a second.
        for _ in 0..5 {
            let took = Duration::from_micros(work.steps / 10);
            work.took(took);
        }
        assert_eq!(work.steps, 10_000_000);
        work.took(Duration::from_secs(2));
        assert_eq!(work.steps, 5_000_000);
        work.took(Duration::ZERO);
        assert_eq!(work.steps, 50_000_000);
        assert!(Work::new(DbBackend::Postgres, Duration::from_millis(1500)).sql().contains("pg_sleep(1.5)"));
    }
}
