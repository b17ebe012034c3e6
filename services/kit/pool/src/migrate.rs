//! Migrations. SeaORM's take its own connection types, so they run apart from a pool: in a command, before the service.

use sea_orm::{
    ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, DbErr, RuntimeErr, Statement,
};
use sea_orm_migration::MigratorTrait;

/// Whose turn it is to migrate; any number will do, as long as all of ours use the same ("selvage" in ASCII).
const ADVISORY_LOCK: i64 = 0x73_656c_7661_6765;

/// Applies the migrations that are missing, one process at a time; returns how many.
///
/// # Errors
/// If the database doesn't answer, or refuses one.
pub async fn up<M: MigratorTrait>(url: &str) -> Result<usize, DbErr> {
    let db = connect(url).await?;
    let migrated = locked::<M>(&db).await;
    db.close().await?;
    migrated
}

/// How many migrations are missing.
///
/// # Errors
/// If the database doesn't answer.
pub async fn pending<M: MigratorTrait>(url: &str) -> Result<usize, DbErr> {
    let db = connect(url).await?;
    let pending = M::get_pending_migrations(&db).await.map(|pending| pending.len());
    db.close().await?;
    pending
}

/// Lets `role` read and write the rows of every table that is there now, and nothing more: not change the schema, nor the
/// list of migrations. What a service runs as; to be repeated after a migration that makes tables.
///
/// # Errors
/// If the database isn't PostgreSQL, doesn't answer, or refuses; if `role` isn't a plain name of 1 to 63 lower-case
/// letters, digits and underscores.
pub async fn grant(url: &str, role: &str) -> Result<(), DbErr> {
    let wrong = |why: String| Err(DbErr::Custom(why));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if !(1..=63).contains(&role.len()) || !role.bytes().all(plain) {
        return wrong(format!("the role '{role}' must be 1 to 63 lower-case letters, digits and underscores"));
    }
    if url.starts_with("sqlite:") {
        return wrong("SQLite has no roles: rights are granted on PostgreSQL alone".into());
    }
    let db = connect(url).await?;
    let sql = format!(
        "GRANT USAGE ON SCHEMA public TO \"{role}\";
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO \"{role}\";
         GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO \"{role}\";
         REVOKE INSERT, UPDATE, DELETE ON seaql_migrations FROM \"{role}\""
    );
    let granted = db.execute_unprepared(&sql).await.map(drop);
    db.close().await?;
    granted
}

async fn locked<M: MigratorTrait>(db: &DatabaseConnection) -> Result<usize, DbErr> {
    // Held by the one connection, and so ended with it whatever happens.
    if db.get_database_backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_lock({ADVISORY_LOCK})");
        db.execute_raw(Statement::from_string(DbBackend::Postgres, lock)).await?;
    }
    let missing = M::get_pending_migrations(db).await?.len();
    M::up(db, None).await?;
    Ok(missing)
}

async fn connect(url: &str) -> Result<DatabaseConnection, DbErr> {
    let sqlite = url.starts_with("sqlite:");
    if !sqlite && !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
        // SeaORM would say so too, and repeat the address with its password.
        let wrong = "the database address must begin with postgres:// or sqlite://";
        return Err(DbErr::Conn(RuntimeErr::Internal(wrong.into())));
    }
    let url = match url.contains('?') {
        _ if !sqlite || url.contains("mode=") => url.to_owned(),
        true => format!("{url}&mode=rwc"),
        false => format!("{url}?mode=rwc"),
    };
    let mut options = ConnectOptions::new(url);
    // The one connection holds the lock, and so may not be replaced half-way, however long a migration takes.
    options.max_connections(1).max_lifetime(None).idle_timeout(None).sqlx_logging(false);
    let db = Database::connect(options).await?;
    if sqlite {
        db.execute_unprepared("PRAGMA journal_mode = WAL").await?;
    }
    Ok(db)
}
