//! The outbox's table.

mod claim;
mod letters;
mod mend;
mod moment;
mod schema;

use std::collections::HashSet;

use sea_orm::sea_query::{Expr, ExprTrait as _, Func, IntoColumnRef, Query};
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, FromQueryResult, Statement};
use selvage_pool::Tx;
use uuid::Uuid;

use crate::Outgoing;
use crate::message::{Column, Entity};

pub(crate) use claim::{Claim, Lane, Messages, claim, fail, messages, remove};
pub use letters::{Waiting, dead_letters, discard, retry, retry_once};
pub(crate) use mend::{A_LOOK, bring_near, look};
pub(crate) use moment::Moment;
pub use schema::{add_lanes, add_numbers, create_table};

/// A message's turn among those of its key; see [`Message::number`](crate::Message::number).
fn turn(number: impl IntoColumnRef, position: impl IntoColumnRef) -> Expr {
    Func::coalesce([Expr::col(number), Expr::col(position)]).into()
}

/// Selects the messages of a key that come before one with this turn and position; each of the three is an expression.
fn earlier_of(key: &str, turn: &str, position: &str) -> String {
    format!(
        "SELECT 1 FROM outbox_messages AS earlier WHERE earlier.\"key\" = {key} \
         AND (COALESCE(earlier.number, earlier.position) < {turn} \
              OR (COALESCE(earlier.number, earlier.position) = {turn} AND earlier.position < {position}))"
    )
}

/// Lets claims find the first message of a key at once, should it be marked as standing behind another one, or have been put off for
/// it: whether it may have been.
pub(crate) async fn free_first(db: &impl ConnectionTrait, key: Uuid) -> Result<bool, DbErr> {
    let sql = "UPDATE outbox_messages SET behind = FALSE, \
                 next_at = CASE WHEN attempts = 0 AND created_at < next_at THEN created_at ELSE next_at END \
               WHERE (behind OR attempts = 0) AND position = (\
                 SELECT position FROM outbox_messages WHERE \"key\" = $1 \
                 ORDER BY COALESCE(number, position), position LIMIT 1)";
    let freed = Statement::from_sql_and_values(db.get_database_backend(), sql, [key.into()]);
    Ok(db.execute_raw(freed).await?.rows_affected() > 0)
}

/// Writes messages down in the caller's transaction, in their order. They are done once it has committed, behind those that
/// their keys have already. Two transactions that enqueue under one key at the same moment come in either order: where
/// that matters, both first lock a row that stands for the key. One statement.
///
/// # Errors
/// The database's; the caller's transaction must then fail, and may be repeated as a whole.
pub async fn enqueue(tx: &Tx, now_ms: i64, messages: impl IntoIterator<Item = Outgoing>) -> Result<(), DbErr> {
    let traceparent = selvage_telemetry::propagation::traceparent();
    let mut insert = Query::insert();
    // Attempts, dead and last error are as the table says: 0, false and none.
    insert.into_table(Entity).columns([
        Column::Number,
        Column::Key,
        Column::Behind,
        Column::Topic,
        Column::Payload,
        Column::Traceparent,
        Column::CreatedAt,
        Column::NextAt,
    ]);
    let mut keys = HashSet::new();
    for (nth, message) in (1_i64..).zip(messages) {
        let last = Query::select()
            .expr(Expr::expr(turn(Column::Number, Column::Position)).max())
            .from(Entity)
            .and_where(Column::Key.eq(message.key))
            .take();
        let last = Func::coalesce([Expr::expr(last), Expr::val(0_i64)]);
        insert.values_panic([
            Expr::expr(last).add(nth),
            message.key.into(),
            // The first of them isn't marked, whatever stands before it: that may be done and gone before this commits.
            (!keys.insert(message.key)).into(),
            message.topic.into(),
            message.payload.into(),
            traceparent.clone().into(),
            now_ms.into(),
            now_ms.into(),
        ]);
    }
    if !keys.is_empty() {
        tx.execute(&insert).await?;
    }
    Ok(())
}

/// How much is waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that are not done and not given up.
    pub waiting: u64,
    /// Messages that were given up.
    pub dead: u64,
    /// When the oldest of those was enqueued that are due and not behind one that was given up, milliseconds since the Unix
    /// epoch.
    pub oldest_at: Option<i64>,
    /// The same, whether they are due or not.
    pub waiting_since: Option<i64>,
}

/// Counts what is waiting. One statement, which looks at every message: a million take a server some 0.3 s.
///
/// # Errors
/// The database's; the caller counts again later.
pub async fn backlog(db: &impl ConnectionTrait, now_ms: i64) -> Result<Backlog, DbErr> {
    #[derive(FromQueryResult)]
    struct Counted {
        waiting: i64,
        dead: i64,
        oldest_at: Option<i64>,
        waiting_since: Option<i64>,
    }
    let held_up = "\"key\" IN (SELECT \"key\" FROM outbox_messages WHERE dead)";
    let sql = format!(
        "SELECT count(*) FILTER (WHERE NOT dead) AS waiting, count(*) FILTER (WHERE dead) AS dead, \
         min(created_at) FILTER (WHERE NOT dead AND next_at <= $1 AND NOT {held_up}) AS oldest_at, \
         min(created_at) FILTER (WHERE NOT dead AND NOT {held_up}) AS waiting_since FROM outbox_messages"
    );
    let count = Statement::from_sql_and_values(db.get_database_backend(), sql, [now_ms.into()]);
    let counted = Counted::find_by_statement(count).one(db).await?;
    let counted = counted.ok_or_else(|| DbErr::RecordNotFound("a count".into()))?;
    let number = |count| u64::try_from(count).unwrap_or_default();
    Ok(Backlog {
        waiting: number(counted.waiting),
        dead: number(counted.dead),
        oldest_at: counted.oldest_at,
        waiting_since: counted.waiting_since,
    })
}
