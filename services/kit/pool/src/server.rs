//! What the database server gives a pool, asked when the pool is opened.

use sea_orm::{DbBackend, DbErr, Statement};

use crate::OpenError;
use crate::lease::Lease;
use crate::state::State;

/// Asks the server how many connections it has, how many of them are not for ordinary roles, and how many ours may have. What a
/// server doesn't know is NULL.
const ROOM: &str = "SELECT current_setting('max_connections', true)::int, \
     coalesce(current_setting('superuser_reserved_connections', true), '0')::int \
     + coalesce(current_setting('reserved_connections', true), '0')::int, \
     rolconnlimit FROM pg_roles WHERE rolname = current_user";

/// Whether the server has room for this pool by itself. A server that doesn't say how many connections it takes has.
///
/// # Errors
/// [`OpenError::Config`] if the pool may open more connections than the server gives: its limit, its ceiling or the server's
/// `max_connections` is to be changed. [`OpenError::Connect`] if the server doesn't answer.
pub(crate) async fn check_room(pool: &State, lease: &mut Lease) -> Result<(), OpenError> {
    if pool.options.backend() != DbBackend::Postgres {
        return Ok(());
    }
    let statement = Statement::from_string(DbBackend::Postgres, ROOM);
    let failed = |error: &DbErr| OpenError::connect(&pool.config.name, error);
    let Some(row) = lease.query_one(&statement).await.map_err(|error| failed(&error))? else { return Ok(()) };
    let number = |index| row.try_get_by_index::<Option<i32>>(index).map_err(|error| failed(&error));
    let (max, reserved, role) = (number(0)?, number(1)?.unwrap_or(0), number(2)?);
    let Some(max) = max.filter(|max| *max > 0) else { return Ok(()) };
    let role = role.filter(|role| *role >= 0);
    let ceiling = pool.config.limits().ceiling;
    let room = role.map_or(max - reserved, |role| role.min(max - reserved));
    if i64::from(ceiling) <= i64::from(room) {
        return Ok(());
    }
    let by_role = role.map(|role| format!(", and its role at most {role}")).unwrap_or_default();
    Err(pool.config.wrong(format!(
        "it may open {ceiling} connections, but the server gives {max} − {reserved} reserved = {} to ordinary \
         roles{by_role}: lower its limit or ceiling, or raise the server's max_connections",
        max - reserved
    )))
}
