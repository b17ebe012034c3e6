//! What nobody's fault of today has left behind: relays of the version before this one, and clocks that were wrong.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use uuid::Uuid;

use super::claim::Lane;
use super::moment::Moment;

/// Messages that one look goes through: 5 ms to 10 ms of the database's. A million are gone through in a quarter of an hour.
pub(crate) const A_LOOK: usize = 5_000;
/// Messages whose time is mended by one look.
const TIMES_A_LOOK: u64 = 1_000;

/// Makes messages due that are due later than in `furthest_ms`, which no relay asks for: somebody's clock was wrong. Returns how
/// many there were. Two statements, each of which reads the end of an index.
pub(crate) async fn bring_near(db: &impl ConnectionTrait, now: Moment, furthest_ms: i64) -> Result<u64, DbErr> {
    let backend = db.get_database_backend();
    let (sql_now, mut brought) = (Moment::sql(backend), 0);
    let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
    for lane in Lane::BOTH {
        let sql = format!(
            "WITH far AS (SELECT position AS id FROM outbox_messages WHERE {} AND next_at > {sql_now} + $2 \
             ORDER BY next_at DESC LIMIT {TIMES_A_LOOK}{lock}) \
             UPDATE outbox_messages SET next_at = {sql_now} WHERE position IN (SELECT id FROM far)",
            lane.condition()
        );
        let far = Statement::from_sql_and_values(backend, sql, [now.value(), furthest_ms.into()]);
        brought += db.execute_raw(far).await?.rows_affected();
    }
    Ok(brought)
}

/// What a look through the outbox found.
pub(crate) struct Looked {
    /// Keys whose first message is marked as if it stood behind another one.
    pub(crate) stuck: Vec<Uuid>,
    /// Behind which key the next look goes on; `None`: from the beginning.
    pub(crate) next: Option<Uuid>,
}

/// Looks at up to `limit` messages of the keys behind `after`. A relay that knows no marks leaves a key's first message marked if it
/// does some of a key's messages and not all.
pub(crate) async fn look(db: &impl ConnectionTrait, after: Option<Uuid>, limit: usize) -> Result<Looked, DbErr> {
    let sql = "SELECT \"key\", COALESCE(number, position), position, behind FROM outbox_messages \
               WHERE \"key\" > $1 ORDER BY \"key\", position LIMIT $2";
    let limited = i64::try_from(limit).unwrap_or(i64::MAX);
    let values = [after.unwrap_or(Uuid::nil()).into(), limited.into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await?;
    let mut keys: Vec<(Uuid, (i64, i64), bool)> = Vec::new();
    for row in &rows {
        let cell = |at| row.try_get_by_index(at);
        let (key, turn, behind): (Uuid, _, bool) =
            (row.try_get_by_index(0)?, (cell(1)?, cell(2)?), row.try_get_by_index(3)?);
        match keys.last_mut() {
            Some((last, first, is_behind)) if *last == key => {
                if turn < *first {
                    (*first, *is_behind) = (turn, behind);
                }
            }
            _ => keys.push((key, turn, behind)),
        }
    }
    let mut next = None;
    if rows.len() == limit {
        // There may be more of the last key, which is looked at again, unless it is alone.
        if keys.len() > 1 {
            keys.pop();
        }
        next = keys.last().map(|(key, ..)| *key);
    }
    let stuck = keys.into_iter().filter(|(.., behind)| *behind).map(|(key, ..)| key).collect();
    Ok(Looked { stuck, next })
}
