//! Migrations. SeaORM's take its own connection types, so they run apart from a pool: in a command, before the service.

use sea_orm::{ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbBackend, DbErr, Statement};
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
    let sqlite = url.starts_with("sqlite");
    let url = if sqlite && !url.contains('?') { format!("{url}?mode=rwc") } else { url.to_owned() };
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await?;
    if sqlite {
        db.execute_unprepared("PRAGMA journal_mode = WAL").await?;
    }
    Ok(db)
}
