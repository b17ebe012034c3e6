//! What a service's role may do, and how much of the server is its.

use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::migrate::{self, Place, Role};
use selvage_pool::{Config, Pool, in_words};
use selvage_testkit::{Database, Engine, Server, database, database_on, engines, eventually};
use sqlx::error::DatabaseError;
use sqlx::{Connection as _, PgConnection};

use crate::migrations::Migrations;

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
    assert_eq!(migrate::up_for::<Migrations>(database.url(), &Role::named(&role)).await, Ok(0));
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
        let words = in_words(&refused);
        assert!(words.starts_with("the database role lacks a permission"), "{sql}: {words}");
    }
}

/// A server of one's own, whose roles go with it; an owner who isn't an administrator, and their database.
struct Owned {
    admin: PgConnection,
    database: Database,
    /// The owner's address.
    owner: String,
    _server: Server,
}

impl Owned {
    async fn start(settings: &[&str]) -> Option<Self> {
        if !engines().contains(&Engine::Postgres) {
            return None;
        }
        let server = Server::start(settings).await;
        let database = database_on(&server).await;
        let admin = PgConnection::connect(database.url()).await.expect("it answers");
        let owner = database.url().replace("postgres@", "owner@");
        let mut owned = Self { admin, database, owner, _server: server };
        owned.run("CREATE ROLE owner LOGIN PASSWORD 'the first'; CREATE ROLE cart LOGIN").await;
        let name = owned.database.url().rsplit_once('/').expect("an address with a database").1.to_owned();
        owned.run(&format!("ALTER DATABASE {name} OWNER TO owner")).await;
        Some(owned)
    }

    /// As an administrator.
    async fn run(&mut self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut self.admin).await.expect(sql);
    }

    /// What the server has noted of a role: its connections, and its settings.
    async fn noted(&mut self, role: &str) -> (i32, Option<Vec<String>>) {
        let sql = "SELECT rolconnlimit, (SELECT setconfig FROM pg_db_role_setting WHERE setrole = pg_roles.oid) \
                   FROM pg_roles WHERE rolname = $1";
        sqlx::query_as(sql).bind(role).fetch_one(&mut self.admin).await.expect("the role is there")
    }

    fn at(&self, user: &str) -> String {
        self.database.url().replace("postgres@", &format!("{user}@"))
    }
}

const LIMITED: Role<'static> =
    Role { name: "cart", connections: Some(2), statement_timeout: Some(Duration::from_millis(1500)) };

/// The error's remedies are followed to the letter.
#[tokio::test]
async fn who_may_not_set_limits_is_told_what_an_administrator_does_about_it() {
    let Some(mut owned) = Owned::start(&[]).await else { return };
    let migrated = async |owner: &str| migrate::up_for::<Migrations>(owner, &LIMITED).await;
    let refused = migrated(&owned.owner).await.expect_err("it has no right").to_string();
    assert!(
        refused.contains("'owner' may not set the limits of 'cart'") && refused.contains("CREATEROLE"),
        "{refused}"
    );
    let plain = Pool::open(Config::new("test", owned.owner.clone())).await.unwrap();
    let own = ["one".to_owned()];
    assert_eq!(migrate::missing(&plain, &own).await.unwrap(), own, "nothing stays of what was refused");
    let remedies: Vec<_> = refused.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect();
    let [right, limits] = remedies.as_slice() else { panic!("{refused}") };

    // Set by the administrator: there is nothing left to be set.
    owned.run(limits).await;
    assert_eq!(owned.noted("cart").await, (2, Some(vec!["statement_timeout=1500".to_owned()])));
    assert_eq!(migrated(&owned.owner).await, Ok(1));
    owned.run("ALTER ROLE cart CONNECTION LIMIT -1; ALTER ROLE cart RESET ALL").await;
    migrated(&owned.owner).await.expect_err("there is again");

    owned.run(right).await;
    assert_eq!(migrated(&owned.owner).await, Ok(0));
    assert_eq!(owned.noted("cart").await, (2, Some(vec!["statement_timeout=1500".to_owned()])));
    // What isn't said stays as it is.
    assert_eq!(migrate::up_for::<Migrations>(owned.owner.as_str(), &Role::named("cart")).await, Ok(0));
    assert_eq!(owned.noted("cart").await.0, 2);
}

#[tokio::test]
async fn a_limited_role_has_no_connection_more_and_its_statements_end() {
    let Some(owned) = Owned::start(&[]).await else { return };
    migrate::up_for::<Migrations>(owned.database.url(), &LIMITED).await.unwrap();
    let url = owned.at("cart");
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(PgConnection::connect(&url).await.unwrap());
    }
    let refused = PgConnection::connect(&url).await.expect_err("there are two");
    assert_eq!(refused.as_database_error().and_then(DatabaseError::code).as_deref(), Some("53300"), "{refused}");
    let slow = sqlx::query("SELECT pg_sleep(10)").execute(&mut open[0]).await.expect_err("it takes too long");
    assert_eq!(slow.as_database_error().and_then(DatabaseError::code).as_deref(), Some("57014"), "{slow}");
    let pool = Pool::open(Config { limit: 1, ..Config::new("test", url.clone()) }).await;
    assert!(pool.unwrap_err().to_string().contains("has no connection left"));
    open.pop();
    // A pool says its sessions' time-outs itself.
    let config = Config { limit: 1, statement_timeout: Duration::from_secs(2), ..Config::new("test", url) };
    let pool = eventually_opened(config).await;
    let shown = Statement::from_string(DbBackend::Postgres, "SHOW statement_timeout");
    let shown = pool.query_one_raw(shown).await.unwrap().unwrap();
    assert_eq!(shown.try_get_by_index::<String>(0).unwrap(), "2s");
}

#[tokio::test]
async fn a_role_of_any_name_is_granted_its_rights_and_no_other_is() {
    let Some(mut owned) = Owned::start(&[]).await else { return };
    let odd = "Ada's \"role\"; DROP TABLE note; --";
    owned.run(&format!("CREATE ROLE \"{}\" LOGIN", odd.replace('"', "\"\""))).await;
    let role = Role { name: odd, ..LIMITED };
    assert_eq!(migrate::up_for::<Migrations>(owned.database.url(), &role).await, Ok(1));
    assert_eq!(owned.noted(odd).await.0, 2);
    let may: Vec<String> = sqlx::query_scalar(
        "SELECT rolname FROM pg_roles \
         WHERE has_table_privilege(oid, 'note', 'INSERT') AND NOT rolsuper AND rolname NOT LIKE 'pg\\_%'",
    )
    .fetch_all(&mut owned.admin)
    .await
    .unwrap();
    assert_eq!(may, [odd]);
    for (name, words) in
        [("", "1 to 63 bytes"), ("public", "no role to PostgreSQL"), ("none", "no role"), ("nobody", "create it first")]
    {
        let refused = migrate::up_for::<Migrations>(owned.database.url(), &Role::named(name)).await;
        let refused = refused.expect_err(name).to_string();
        assert!(refused.contains(words), "{refused}");
    }
    let file = migrate::up_for::<Migrations>("sqlite://x.db", &role).await.expect_err("there are none");
    assert!(file.to_string().contains("SQLite has no roles"));
}

#[tokio::test]
async fn a_migration_reads_its_password_from_a_file() {
    let folder = tempfile::Builder::new().prefix("selvage-hba-").tempdir().unwrap();
    let (hba, file) = (folder.path().join("hba"), folder.path().join("password"));
    std::fs::write(&hba, "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n").unwrap();
    let open_to_all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open_to_all).unwrap();
    let Some(owned) = Owned::start(&[&format!("hba_file={}", hba.display())]).await else { return };
    let url = owned.owner.replace("owner@", "owner:an-old-one@");
    let place = Place { url: &url, password_file: Some(&file) };
    let refused = migrate::up::<Migrations>(place).await.expect_err("there is no file").to_string();
    assert!(refused.contains("the password file") && refused.contains("can't be read"), "{refused}");
    std::fs::write(&file, "the second\n").unwrap();
    let refused = migrate::up::<Migrations>(place).await.expect_err("it is another").to_string();
    assert!(refused.contains("refuses this user or password") && !refused.contains("the second"), "{refused}");
    std::fs::write(&file, "the first\n").unwrap();
    assert_eq!(migrate::up::<Migrations>(place).await, Ok(1));
    let place = Place { url: "sqlite://x.db", password_file: Some(&file) };
    assert!(migrate::up::<Migrations>(place).await.unwrap_err().to_string().contains("no passwords"));
}

/// As long as the tokens that clouds take for passwords.
#[tokio::test]
async fn a_password_of_four_thousand_bytes_is_as_good_as_a_short_one() {
    let folder = tempfile::Builder::new().prefix("selvage-hba-").tempdir().unwrap();
    let (hba, file) = (folder.path().join("hba"), folder.path().join("password"));
    let rules = "host all postgres 127.0.0.1/32 trust\nhost all owner 127.0.0.1/32 scram-sha-256\nhost all cart 127.0.0.1/32 password\n";
    std::fs::write(&hba, rules).unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let Some(mut owned) = Owned::start(&[&format!("hba_file={}", hba.display())]).await else { return };
    let token = "t0ken".repeat(800);
    owned.run(&format!("ALTER ROLE owner PASSWORD '{token}'; ALTER ROLE cart PASSWORD '{token}'")).await;
    std::fs::write(&file, format!("{token}\n")).unwrap();
    for user in ["owner", "cart"] {
        let in_address = owned.at(&format!("{user}:{token}"));
        let config = Config { password_file: Some(file.clone()), ..Config::new("test", owned.at(user)) };
        for config in [config, Config::new("test", in_address)] {
            let pool = Pool::open(config).await.unwrap_or_else(|error| panic!("{user}: {error}"));
            pool.execute_unprepared("SELECT 1").await.expect("it is let in");
        }
        let wrong = Config::new("test", owned.at(&format!("{user}:{token}x")));
        let refused = Pool::open(wrong).await.expect_err("one letter too many").to_string();
        assert!(refused.contains("refuses this user or password") && !refused.contains("t0ken"), "{refused}");
    }
}

/// Another schema than `public`, whose owner names it in the search path.
#[tokio::test]
async fn rights_are_granted_where_the_tables_are() {
    let Some(mut owned) = Owned::start(&[]).await else { return };
    owned.run("CREATE SCHEMA \"The Shop\" AUTHORIZATION owner; REVOKE ALL ON SCHEMA public FROM PUBLIC").await;
    let path = "?options[search_path]=%22The%20Shop%22";
    let owner = format!("{}{path}", owned.owner);
    assert_eq!(migrate::up_for::<Migrations>(owner.as_str(), &Role::named("cart")).await, Ok(1));
    let pool = Pool::open(Config::new("test", format!("{}{path}", owned.at("cart")))).await.unwrap();
    for sql in ["INSERT INTO note VALUES ('a')", "UPDATE note SET text = 'b'", "SELECT * FROM note", "DELETE FROM note"]
    {
        pool.execute_unprepared(sql).await.expect(sql);
    }
    for sql in ["CREATE TABLE mine (a INT)", "DELETE FROM seaql_migrations"] {
        pool.execute_unprepared(sql).await.expect_err(sql);
    }
    let nowhere = owner.replace("The", "No");
    let refused =
        migrate::up_for::<Migrations>(nowhere.as_str(), &Role::named("cart")).await.expect_err("it isn't there");
    assert!(refused.to_string().contains("no schema"), "{refused}");
}

/// The server may still be ending a session that has said good-bye.
async fn eventually_opened(config: Config) -> Pool {
    let mut opened = None;
    eventually(Duration::from_secs(10), "there is room again", async || {
        opened = Pool::open(config.clone()).await.ok();
        opened.is_some()
    })
    .await;
    opened.expect("it was opened")
}
