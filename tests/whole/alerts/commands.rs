//! What the runbook tells to copy works: its queries on a real Prometheus, its SQL on a real PostgreSQL.

use std::fs;
use std::process::Command;

use selvage_testkit::{Engine, Server, engines};
use selvage_tests::prometheus::{Prometheus, shipped};

use super::{SKIPPED, series};

/// What stands between `begin` and the next `end` in the pages of the runbook, with the page's name.
fn copied(begin: &str, end: char) -> Vec<(String, String)> {
    let folder = shipped().ancestors().nth(3).expect("the top").join("k8s/runbooks");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the runbook") {
        let path = entry.expect("a page").path();
        let page = fs::read_to_string(&path).expect("a page");
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        let commands = page.split(begin).skip(1).filter_map(|rest| rest.split(end).next());
        found.extend(commands.map(|command| (name.to_owned(), command.to_owned())));
    }
    found
}

#[test]
fn the_runbooks_queries_are_about_series_that_exist_and_are_answered() {
    let Some(prometheus) = Prometheus::start(&[], None, SKIPPED) else { return };
    let known = series::known();
    let queries = copied("q '", '\'');
    for (page, query) in &queries {
        prometheus.answers(query);
        // A selector by a pattern of names has no series of its own, and labels of any.
        if !query.contains("__name__") {
            let strange = series::strange(query, &known);
            assert!(strange.is_empty(), "{page}: {query}: {strange:?}");
        }
    }
    assert!(queries.len() > 40, "{} queries", queries.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runbooks_sql_is_answered_by_postgres() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&[]).await;
    let statements = copied("psql \"$DB\" -c \"", '"');
    for (page, sql) in &statements {
        // Of no session.
        let sql = sql.replace("PID", "-1");
        let output = Command::new(server.program("psql"))
            .args(["--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", server.url(), "--command", &sql])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{page}: {sql}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(statements.len() > 10, "{} statements", statements.len());
}
