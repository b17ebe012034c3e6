//! Migrations run once, whoever comes first.

use sea_orm::ConnectionTrait as _;
use sea_orm_migration::prelude::*;
use selvage_pool::{Config, Pool, migrate};
use selvage_testkit::{Engine, database, engines};

struct Migrations;

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
        assert_eq!(migrate::pending::<Migrations>(database.url()).await, Ok(1));
        assert_eq!(migrate::up::<Migrations>(database.url()).await, Ok(1));
        assert_eq!(migrate::up::<Migrations>(database.url()).await, Ok(0));
        assert_eq!(migrate::pending::<Migrations>(database.url()).await, Ok(0));
        let pool = Pool::open(Config::new("test", database.url())).await.unwrap();
        pool.execute_unprepared("INSERT INTO note VALUES ('kept')").await.expect("the table is there");
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

/// What a service runs as can do its work, and can't change what it works on.
#[tokio::test]
async fn a_granted_role_reads_and_writes_rows_and_nothing_more() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let database = database(Engine::Postgres).await;
    migrate::up::<Migrations>(database.url()).await.unwrap();
    let (role, url) = database.role().await;
    let pool = Pool::open(Config::new("test", url)).await.unwrap();
    pool.execute_unprepared("SELECT * FROM note").await.expect_err("it was granted nothing yet");
    migrate::grant(database.url(), &role).await.unwrap();
    for sql in ["INSERT INTO note VALUES ('a')", "UPDATE note SET text = 'b'", "SELECT * FROM note", "DELETE FROM note"]
    {
        pool.execute_unprepared(sql).await.expect(sql);
    }
    for sql in [
        "CREATE TABLE mine (a INT)",
        "DROP TABLE note",
        "ALTER TABLE note ADD COLUMN more INT",
        "TRUNCATE note",
        "DELETE FROM seaql_migrations",
    ] {
        let refused = pool.execute_unprepared(sql).await.expect_err(sql);
        assert_eq!(selvage_pool::describe(&refused), Some("the database role lacks a permission"), "{sql}: {refused}");
    }
    for role in ["", "a; DROP TABLE note", "\"", "Ada"] {
        let refused = migrate::grant(database.url(), role).await.expect_err(role).to_string();
        assert!(refused.contains("lower-case"), "{refused}");
    }
}

#[tokio::test]
async fn an_address_that_is_wrong_is_refused_without_its_password() {
    for url in ["postgress://somebody:hunter2@localhost/x", "postgres://somebody:hunter2@127.0.0.1:1/x"] {
        let error = migrate::up::<Migrations>(url).await.expect_err("nobody is there");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}
