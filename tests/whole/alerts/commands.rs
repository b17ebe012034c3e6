//! What the runbook tells to copy works: its queries on a real Prometheus, its SQL on a real PostgreSQL.

use std::fs;
use std::process::Command;

use selvage_testkit::{Engine, Server, database_on, engines};
use selvage_tests::process::binary;
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

/// Runs statements of the runbook that are told to be given to the database at `url`.
fn are_answered(server: &Server, url: &str, statements: &[(String, String)]) {
    for (page, sql) in statements {
        // Of no session.
        let sql = sql.replace("PID", "-1");
        let output = Command::new(server.program("psql"))
            .args(["--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", url, "--command", &sql])
            .output()
            .expect("psql runs");
        assert!(output.status.success(), "{page}: {sql}\n{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_runbooks_sql_is_answered_by_postgres() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&[]).await;
    let statements = copied("psql \"$DB\" -c \"", '"');
    are_answered(&server, server.url(), &statements);
    assert!(statements.len() > 10, "{} statements", statements.len());
    // What is about orders is asked of checkout's database.
    let checkout = database_on(&server).await;
    let mut migrate = Command::new(binary("selvage-checkout"));
    let migrated = migrate.arg("migrate").env("SELVAGE_DATABASE_URL", checkout.url()).output().expect("it runs");
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let statements = copied("psql \"$ORDERS\" -c \"", '"');
    are_answered(&server, checkout.url(), &statements);
    assert!(!statements.is_empty(), "there are some");
}
