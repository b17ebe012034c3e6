//! The outbox's table.

mod claim;
mod letters;
mod schema;

use sea_orm::sea_query::{Expr, ExprTrait as _, Func, IntoColumnRef, Query};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
};
use selvage_pool::Tx;

use crate::Outgoing;
use crate::message::{Column, Entity};

pub(crate) use claim::{Claim, claim, fail, messages, remove};
pub use letters::{Waiting, dead_letters, discard, retry, retry_once};
pub use schema::{add_numbers, create_table};

/// A message's turn among those of its key; see [`Message::number`](crate::Message::number).
fn turn(number: impl IntoColumnRef, position: impl IntoColumnRef) -> Expr {
    Func::coalesce([Expr::col(number), Expr::col(position)]).into()
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
        Column::Topic,
        Column::Payload,
        Column::Traceparent,
        Column::CreatedAt,
        Column::NextAt,
    ]);
    let mut any = false;
    for (behind, message) in (1_i64..).zip(messages) {
        let last = Query::select()
            .expr(Expr::expr(turn(Column::Number, Column::Position)).max())
            .from(Entity)
            .and_where(Column::Key.eq(message.key))
            .take();
        let last = Func::coalesce([Expr::expr(last), Expr::val(0_i64)]);
        insert.values_panic([
            Expr::expr(last).add(behind),
            message.key.into(),
            message.topic.into(),
            message.payload.into(),
            traceparent.clone().into(),
            now_ms.into(),
            now_ms.into(),
        ]);
        any = true;
    }
    if any {
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
}

/// Counts what is waiting. Three statements.
///
/// # Errors
/// The database's; the caller counts again later.
pub async fn backlog(db: &impl ConnectionTrait, now_ms: i64) -> Result<Backlog, DbErr> {
    let held_up = Query::select().column(Column::Key).from(Entity).and_where(Column::Dead.eq(true)).to_owned();
    let oldest_at = Entity::find()
        .select_only()
        .column_as(Column::CreatedAt.min(), "oldest_at")
        .filter(Column::Dead.eq(false))
        .filter(Column::NextAt.lte(now_ms))
        .filter(Column::Key.not_in_subquery(held_up))
        .into_tuple::<Option<i64>>()
        .one(db)
        .await?
        .flatten();
    let waiting = Entity::find().filter(Column::Dead.eq(false)).count(db).await?;
    let dead = Entity::find().filter(Column::Dead.eq(true)).count(db).await?;
    Ok(Backlog { waiting, dead, oldest_at })
}
