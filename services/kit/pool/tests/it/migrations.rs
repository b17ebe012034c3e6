//! Migrations run once, whoever comes first.

use sea_orm::ConnectionTrait as _;
use sea_orm_migration::prelude::*;
use selvage_pool::{Config, Pool, migrate};
use selvage_testkit::{Engine, database, engines};

pub(crate) struct Migrations;

#[async_trait::async_trait]
impl MigratorTrait for Migrations {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Notes)]
    }
}

#[derive(DeriveMigrationName)]
struct Notes;

#[async_trait::async_trait]
impl MigrationTrait for Notes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql = "CREATE TABLE note (text VARCHAR(80) NOT NULL)";
        manager.get_connection().execute_unprepared(sql).await.map(drop)
    }
}

#[tokio::test]
async fn what_is_missing_is_applied_once() {
    for engine in engines() {
        let database = database(engine).await;
        assert_eq!(migrate::up::<Migrations>(database.url()).await, Ok(1));
        assert_eq!(migrate::up::<Migrations>(database.url()).await, Ok(0));
        let pool = Pool::open(Config::new("test", database.url())).await.unwrap();
        pool.execute_unprepared("INSERT INTO note VALUES ('kept')").await.expect("the table is there");
    }
}

#[tokio::test]
async fn a_schema_lacks_what_was_not_applied_and_a_newer_one_lacks_nothing() {
    for engine in engines() {
        let database = database(engine).await;
        let own = Migrations::migrations().iter().map(|own| own.name().to_owned()).collect::<Vec<_>>();
        let pool = Pool::open(Config::new("test", database.url())).await.unwrap();
        assert_eq!(migrate::missing(&pool, &own).await.unwrap(), own, "nothing was migrated yet");
        assert_eq!(migrate::up::<Migrations>(database.url()).await, Ok(1));
        assert!(migrate::missing(&pool, &own).await.unwrap().is_empty());
        let newer =
            "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99991231_000001_of_a_newer_release', 0)";
        pool.execute_unprepared(newer).await.unwrap();
        assert!(migrate::missing(&pool, &own).await.unwrap().is_empty());
        assert_eq!(migrate::up::<Migrations>(database.url()).await, Ok(0), "an older release finds all of its own");
    }
}

/// Jobs that race: PostgreSQL's `CREATE TABLE IF NOT EXISTS` alone fails when two do it at once.
#[tokio::test]
async fn of_many_that_migrate_at_once_one_does_it() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let database = database(Engine::Postgres).await;
    let jobs = (0..8).map(|_| migrate::up::<Migrations>(database.url()));
    let applied = futures::future::join_all(jobs).await;
    let sum: usize = applied.into_iter().map(|applied| applied.expect("each comes to its end")).sum();
    assert_eq!(sum, 1);
}

#[tokio::test]
async fn an_address_that_is_wrong_is_refused_without_its_password() {
    for (url, words) in [
        ("postgress://somebody:hunter2@localhost/x", "the database address must begin with postgres:// or sqlite://"),
        ("postgres://somebody:hunter2@[::1:bad/x", "the database address can't be read; it must be like"),
        (
            "postgres://somebody:hunter2@127.0.0.1:1/x",
            "the database can't be reached; is it running, and is its address right? (postgres://somebody@127.0.0.1:1/x)",
        ),
    ] {
        let error = migrate::up::<Migrations>(url).await.expect_err("nobody is there");
        assert!(error.to_string().starts_with(words), "{error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn why_a_database_can_not_be_reached_is_said() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let database = database(Engine::Postgres).await;
    let (log, _guard) = crate::log::Log::start();
    let closed = migrate::up::<Migrations>("postgres://u:hunter2@127.0.0.1:1/x").await.expect_err("nobody is there");
    assert!(closed.to_string().contains("Connection refused"), "{closed}");
    assert!(
        log.has("isn't there yet: trying for some seconds") && log.has("Connection refused") && !log.has("hunter2")
    );
    let unknown = database.url().replace("postgres@", "stranger:hunter2@");
    let began = std::time::Instant::now();
    let refused = migrate::up::<Migrations>(unknown.as_str()).await.expect_err("there is no such role");
    assert!(refused.to_string().contains("\"stranger\" does not exist"), "{refused}");
    assert!(began.elapsed() < std::time::Duration::from_secs(8), "it isn't waited for");
}

/// What its owner can mend is said in words, with the file that it is about.
#[tokio::test]
async fn a_file_that_can_not_be_migrated_is_named_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file).display().to_string();
    std::fs::write(path("damaged.db"), vec![b'x'; 8192]).unwrap();
    for (file, words) in [
        ("damaged.db", "the database file is damaged; put it aside and restore it from a backup"),
        ("no/such/folder/x.db", "the database file can't be opened; check its folder and its permissions"),
    ] {
        let file = path(file);
        let error = migrate::up::<Migrations>(&format!("sqlite://{file}")).await.expect_err(&file);
        assert_eq!(error.to_string(), format!("{words} ({file})"));
    }
    let full = migrate::up::<Hoard>(&format!("sqlite://{}", path("full.db"))).await.expect_err("there is no room");
    let words = "the disk is full; free some space, nothing that was confirmed is lost";
    assert_eq!(full.to_string(), format!("{words} ({})", path("full.db")));
}

/// Fills all the room that it leaves the file.
struct Hoard;

#[async_trait::async_trait]
impl MigratorTrait for Hoard {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(Hoarding)]
    }
}

#[derive(DeriveMigrationName)]
struct Hoarding;

#[async_trait::async_trait]
impl MigrationTrait for Hoarding {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sql =
            "PRAGMA max_page_count = 8; CREATE TABLE hoard (a BLOB); INSERT INTO hoard VALUES (zeroblob(1000000))";
        manager.get_connection().execute_unprepared(sql).await.map(drop)
    }
}
