//! PostgreSQL's own load generator: what a client in C gets out of the same statement.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::LIMIT;

pub(crate) struct Pgbench<'a> {
    pub(crate) programs: &'a Path,
    pub(crate) url: &'a str,
    pub(crate) script: &'a Path,
    pub(crate) lasts: Duration,
}

impl Pgbench<'_> {
    /// Runs it, at most at a `rate`, and says how many statements were answered, and how many a second once the connections
    /// were made.
    pub(crate) async fn run(&self, rate: Option<f64>) -> (u64, f64) {
        let said = Command::new(self.programs.join("pgbench"))
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .arg(format!("--client={LIMIT}"))
            .arg(format!("--time={}", self.lasts.as_secs()))
            .arg(format!("--file={}", self.script.display()))
            .args(rate.map(|rate| format!("--rate={rate:.0}")))
            .arg(self.url)
            .output()
            .await
            .expect("pgbench, which comes with PostgreSQL");
        let told = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{told}{}", String::from_utf8_lossy(&said.stderr));
        let figure = |before: &str| {
            let after = told.lines().find_map(|line| line.strip_prefix(before));
            after.and_then(|after| after.split(['/', ' ']).next()).unwrap_or_else(|| panic!("no '{before}':\n{told}"))
        };
        let answered = figure("number of transactions actually processed: ").parse().expect("a count");
        (answered, figure("tps = ").parse().expect("a rate"))
    }
}
