//! Many rows, and how long something takes among them.

use std::time::Duration;

use tokio::time::Instant;

use crate::Engine;

/// How many rows stand in the way where the cost of something is not to grow with them: 20,000, and in the tests' long form
/// a million.
pub fn many() -> usize {
    if std::env::var("SELVAGE_TESTS").is_ok_and(|form| form == "full") { 1_000_000 } else { A_STATEMENT }
}

/// Rows that one statement writes, within the time that a pool gives it.
const A_STATEMENT: usize = 20_000;

/// How often 20,000 rows are to be written until there are [`many`].
pub fn times() -> usize {
    many() / A_STATEMENT
}

impl Engine {
    /// A table of the numbers 1 to 20,000 in the column `n`, for a `FROM`.
    pub fn numbers(self) -> String {
        match self {
            Self::Postgres => format!("generate_series(1, {A_STATEMENT}) AS numbers (n)"),
            Self::Sqlite => format!(
                "(WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {A_STATEMENT}) \
                 SELECT n FROM counted) AS numbers"
            ),
        }
    }

    /// An expression that is another id in each row.
    pub fn random_id(self) -> &'static str {
        match self {
            Self::Postgres => "gen_random_uuid()",
            Self::Sqlite => "randomblob(16)",
        }
    }
}

/// The shortest of 25 times that `work` takes: what else the machine does can only lengthen it.
pub async fn shortest(mut work: impl AsyncFnMut()) -> Duration {
    let mut shortest = Duration::MAX;
    for _ in 0..25 {
        let began = Instant::now();
        work().await;
        shortest = shortest.min(began.elapsed());
    }
    shortest
}
