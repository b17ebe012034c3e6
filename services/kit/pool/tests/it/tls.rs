//! A server that is known by its certificate: what `sslmode=verify-full` and `sslrootcert` in an address do.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Config, Pool, migrate};
use selvage_testkit::{Engine, Server, engines, eventually};

use crate::log::Log;
use crate::migrations::Migrations;

const LONG: Duration = Duration::from_secs(20);
const WORDS: &str = "no encrypted connection to the database can be made";

/// The server's address with `host` in it, to be verified by the authority in a file.
fn verified(server: &Server, host: &str, authority: &std::path::Path) -> String {
    let url = server.url().replace("127.0.0.1", host);
    format!("{url}?sslmode=verify-full&sslrootcert={}", authority.display())
}

async fn is_encrypted(pool: &Pool) -> bool {
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let row = pool.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("an answer");
    row.expect("one row").try_get("", "ssl").expect("a boolean")
}

/// A pool and a migration alike speak with a server whose certificate is for its name and by the authority that is named, and
/// with no other.
#[tokio::test]
async fn a_server_is_known_by_its_certificate() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let Some(server) = Server::start_encrypted().await else { return };
    let Some(other) = Server::start_encrypted().await else { return };
    let plain = Server::start(&[]).await;
    let url = verified(&server, "localhost", &server.authority());
    let pool = Pool::open(Config { limit: 1, ..Config::new("test", &url) }).await.expect("it is known");
    assert!(is_encrypted(&pool).await);
    assert_eq!(migrate::up::<Migrations>(url.as_str()).await, Ok(1));
    let no_file = "a file for the database isn't there";
    for (url, what, words) in [
        (verified(&server, "127.0.0.1", &server.authority()), "a name that isn't in the certificate", WORDS),
        (verified(&server, "localhost", &other.authority()), "another's authority", WORDS),
        (verified(&server, "localhost", "no/such/file".as_ref()), "no authority", no_file),
        (verified(&plain, "localhost", &server.authority()), "no TLS", WORDS),
    ] {
        let refused = Pool::open(Config { limit: 1, ..Config::new("test", &url) }).await.expect_err(what).to_string();
        assert!(refused.contains(words), "{what}: {refused}");
        let refused = migrate::up::<Migrations>(url.as_str()).await.expect_err(what).to_string();
        assert!(refused.contains(words), "{what}: {refused}");
    }
}

/// libpq reads `require` with a file of authorities as `verify-ca`.
#[tokio::test]
async fn an_authority_that_is_named_is_asked_where_encryption_is_only_required() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let Some(server) = Server::start_encrypted().await else { return };
    let Some(other) = Server::start_encrypted().await else { return };
    let required =
        |authority: &std::path::Path| format!("{}?sslmode=require&sslrootcert={}", server.url(), authority.display());
    let url = required(&server.authority());
    let pool = Pool::open(Config { limit: 1, ..Config::new("test", &url) }).await.expect("whatever its name is");
    assert!(is_encrypted(&pool).await);
    let url = required(&other.authority());
    let refused =
        Pool::open(Config { limit: 1, ..Config::new("test", &url) }).await.expect_err("another's").to_string();
    assert!(refused.contains(WORDS), "{refused}");
    let refused = migrate::up::<Migrations>(url.as_str()).await.expect_err("another's").to_string();
    assert!(refused.contains(WORDS), "{refused}");
}

#[tokio::test]
async fn a_certificate_of_version_1_keeps_nobody_out_who_does_not_ask_for_encryption() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let Some(mut server) = Server::start_encrypted().await else { return };
    server.renew_certificate_as_of_old().await;
    let (log, _guard) = Log::start();
    let pool =
        Pool::open(Config { limit: 1, ..Config::new("test", server.url()) }).await.expect("it needn't be encrypted");
    assert!(!is_encrypted(&pool).await);
    assert_eq!(log.lines_with("aren't encrypted").len(), 1);
    assert_eq!(migrate::up::<Migrations>(server.url()).await, Ok(1));
    let url = format!("{}?sslmode=require", server.url());
    let refused = Pool::open(Config::new("test", &url)).await.expect_err("it must be encrypted").to_string();
    assert!(refused.contains("of X.509 version 1") && refused.contains("version 3"), "{refused}");
}

/// The file is read anew for each connection.
#[tokio::test]
async fn an_authority_is_replaced_without_a_restart() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let Some(mut server) = Server::start_encrypted().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.crt");
    std::fs::copy(server.authority(), &file).unwrap();
    let url = verified(&server, "localhost", &file);
    let pool = Pool::open(Config { limit: 1, ..Config::new("test", &url) }).await.expect("it is known");
    assert!(is_encrypted(&pool).await);
    server.renew_certificate().await;
    let stranger = Pool::open(Config { limit: 1, ..Config::new("stranger", &url) }).await.unwrap_err().to_string();
    assert!(stranger.contains(WORDS), "{stranger}");
    pool.execute_unprepared("SELECT 1").await.expect_err("it is a stranger to the open pool too");
    std::fs::copy(server.authority(), &file).unwrap();
    eventually(LONG, "the new one is known", async || pool.execute_unprepared("SELECT 1").await.is_ok()).await;
    assert!(is_encrypted(&pool).await);
}
