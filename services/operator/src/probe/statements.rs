//! What the probe asks a server.

use sqlx::postgres::PgConnection;

use super::{Blocker, Client, Doing, Settings};

/// Some tenths of a millisecond of computing, and nothing of the disk: it is slow where the server's processors are busy.
const FIXED: &str = "SELECT sum(number)::bigint FROM generate_series(1, 2000) AS number";

/// What a server doesn't know is NULL.
const SETTINGS: &str = "SELECT current_setting('max_connections')::int, \
     current_setting('superuser_reserved_connections')::int, \
     coalesce(current_setting('reserved_connections', true), '0')::int";

const SEES_OTHERS: &str = "SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')";

/// A server has at most some thousands of them; what they have in common is counted there.
const BACKENDS: &str = "SELECT coalesce(application_name, ''), coalesce(host(client_addr), ''), \
     CASE WHEN state = 'active' THEN coalesce(wait_event_type, 'CPU') \
          WHEN state LIKE 'idle in transaction%' THEN 'idle in transaction' \
          ELSE 'idle' END, \
     count(*)::int \
     FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() \
     GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT 10000";

/// pg_blocking_pids locks the table of locks for a moment, so it is asked for a few only.
const BLOCKERS: &str = "WITH waiting AS MATERIALIZED \
     (SELECT pid FROM pg_stat_activity WHERE state = 'active' AND wait_event_type = 'Lock' LIMIT 32) \
     SELECT blocker.pid, coalesce(blocker.application_name, ''), left(coalesce(blocker.query, ''), 256), count(*)::int \
     FROM waiting CROSS JOIN LATERAL unnest(pg_blocking_pids(waiting.pid)) AS blocking (pid) \
     JOIN pg_stat_activity AS blocker ON blocker.pid = blocking.pid \
     WHERE blocker.wait_event_type IS DISTINCT FROM 'Lock' \
     GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1 LIMIT 5";

pub(super) async fn fixed(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query_scalar::<_, i64>(FIXED).fetch_one(connection).await.map(drop)
}

pub(super) async fn settings(connection: &mut PgConnection) -> Result<Settings, sqlx::Error> {
    let (max_connections, superuser_reserved, reserved): (i32, i32, i32) =
        sqlx::query_as(SETTINGS).fetch_one(connection).await?;
    Ok(Settings {
        max_connections: max_connections.unsigned_abs(),
        superuser_reserved: superuser_reserved.unsigned_abs(),
        reserved: reserved.unsigned_abs(),
    })
}

pub(super) async fn sees_others(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(SEES_OTHERS).fetch_one(connection).await
}

pub(super) async fn backends(connection: &mut PgConnection) -> Result<Vec<(Client, Doing, u32)>, sqlx::Error> {
    let rows: Vec<(String, String, String, i32)> = sqlx::query_as(BACKENDS).fetch_all(connection).await?;
    let backend = |(application, address, what, count): (String, String, String, i32)| {
        let address = Some(address).filter(|address| !address.is_empty());
        (Client { application, address }, doing(&what), count.unsigned_abs())
    };
    Ok(rows.into_iter().map(backend).collect())
}

pub(super) async fn blockers(connection: &mut PgConnection) -> Result<Vec<Blocker>, sqlx::Error> {
    let rows: Vec<(i32, String, String, i32)> = sqlx::query_as(BLOCKERS).fetch_all(connection).await?;
    let blocker = |(pid, application, query, blocked): (i32, String, String, i32)| Blocker {
        pid,
        application,
        query,
        blocked: blocked.unsigned_abs(),
    };
    Ok(rows.into_iter().map(blocker).collect())
}

/// The kinds of waits that PostgreSQL knows are more, and become more.
fn doing(what: &str) -> Doing {
    match what {
        "CPU" => Doing::Cpu,
        "IO" => Doing::Io,
        "Lock" => Doing::Lock,
        "LWLock" => Doing::LightweightLock,
        "idle in transaction" => Doing::IdleInTransaction,
        "idle" => Doing::Idle,
        _ => Doing::Other,
    }
}
