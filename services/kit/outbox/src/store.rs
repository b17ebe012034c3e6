use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, LockBehavior, LockType, Query};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _, FromQueryResult, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use sea_orm_migration::SchemaManager;
use sea_orm_migration::prelude::{ColumnDef, Index, Table};
use selvage_pool::Tx;
use uuid::Uuid;

use crate::message::{ActiveModel, Column, Entity, Message};
use crate::{MAX_ATTEMPTS, Outgoing};

/// Creates the outbox's table; for a service's own first migration.
///
/// # Errors
/// If the database refuses.
pub async fn create_table(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let name = Alias::new("outbox_messages");
    manager
        .create_table(
            Table::create()
                .table(name.clone())
                .col(ColumnDef::new(Column::Position).big_integer().not_null().auto_increment().primary_key())
                .col(ColumnDef::new(Column::Key).uuid().not_null())
                .col(ColumnDef::new(Column::Topic).string().not_null())
                .col(ColumnDef::new(Column::Payload).binary().not_null())
                .col(ColumnDef::new(Column::Traceparent).string())
                .col(ColumnDef::new(Column::CreatedAt).big_integer().not_null())
                .col(ColumnDef::new(Column::NextAt).big_integer().not_null())
                .col(ColumnDef::new(Column::Attempts).integer().not_null().default(0))
                .col(ColumnDef::new(Column::Dead).boolean().not_null().default(false))
                .col(ColumnDef::new(Column::LastError).text())
                .to_owned(),
        )
        .await?;
    for (index, columns) in [
        ("outbox_messages_due", vec![Column::Dead, Column::NextAt]),
        ("outbox_messages_key", vec![Column::Key, Column::Position]),
    ] {
        let mut create = Index::create();
        create.name(index).table(name.clone());
        for column in columns {
            create.col(column);
        }
        manager.create_index(create.to_owned()).await?;
    }
    Ok(())
}

/// Writes messages down in the caller's transaction, in their order. They are done once it has committed.
///
/// # Errors
/// If the database refuses; the caller's transaction must then fail.
pub async fn enqueue(tx: &Tx, now_ms: i64, messages: impl IntoIterator<Item = Outgoing>) -> Result<(), DbErr> {
    let rows: Vec<_> = messages
        .into_iter()
        .map(|message| ActiveModel {
            position: NotSet,
            key: Set(message.key),
            topic: Set(message.topic.to_owned()),
            payload: Set(message.payload),
            traceparent: Set(None),
            created_at: Set(now_ms),
            next_at: Set(now_ms),
            attempts: Set(0),
            dead: Set(false),
            last_error: Set(None),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    Entity::insert_many(rows).exec_without_returning(tx).await.map(drop)
}

/// What a claim got.
pub(crate) struct Claimed {
    /// All messages of the claimed keys, in order.
    pub(crate) messages: Vec<Message>,
    /// Position and key of what became a dead letter instead.
    pub(crate) given_up: Vec<(i64, Uuid)>,
}

/// Claims up to `keys` keys whose first message is due: that message's `next_at` moves to `lease_until`, its attempt is
/// counted, and all messages of those keys are returned in order.
///
/// A due message with all its attempts behind it is one whose relays died over it, or couldn't store what came of it: a
/// failure would have made it a dead letter. Now it is one.
pub(crate) async fn claim(tx: &Tx, now_ms: i64, lease_until: i64, keys: u64) -> Result<Claimed, DbErr> {
    let (due, earlier) = (Alias::new("due"), Alias::new("earlier"));
    let first = Query::select()
        .expr(Expr::val(1))
        .from_as(Entity, earlier.clone())
        .and_where(Expr::col((earlier.clone(), Column::Key)).equals((due.clone(), Column::Key)))
        .and_where(Expr::col((earlier, Column::Position)).lt(Expr::col((due.clone(), Column::Position))))
        .to_owned();
    let mut heads = Query::select();
    heads
        .column((due.clone(), Column::Position))
        .column((due.clone(), Column::Key))
        .column((due.clone(), Column::Attempts))
        .from_as(Entity, due.clone())
        .and_where(Expr::col((due.clone(), Column::Dead)).eq(false))
        .and_where(Expr::col((due.clone(), Column::NextAt)).lte(now_ms))
        .and_where(Expr::exists(first).not())
        .order_by((due.clone(), Column::NextAt), sea_orm::Order::Asc)
        .limit(keys);
    if tx.get_database_backend() == DbBackend::Postgres {
        heads.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    let heads = tx.query_all(&heads).await?;
    let heads: Vec<Head> = heads.iter().map(|row| Head::from_query_result(row, "")).collect::<Result<_, _>>()?;
    let (spent, heads): (Vec<_>, Vec<_>) = heads.into_iter().partition(|head| head.attempts >= MAX_ATTEMPTS);
    let given_up: Vec<_> = spent.into_iter().map(|head| (head.position, head.key)).collect();
    if !given_up.is_empty() {
        Entity::update_many()
            .col_expr(Column::Dead, Expr::value(true))
            .col_expr(Column::LastError, Expr::value("no attempt came to an end: its relay died, or couldn't store it"))
            .filter(Column::Position.is_in(given_up.iter().map(|(position, _)| *position)))
            .exec(tx)
            .await?;
    }
    if heads.is_empty() {
        return Ok(Claimed { messages: Vec::new(), given_up });
    }
    Entity::update_many()
        .col_expr(Column::NextAt, Expr::value(lease_until))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .filter(Column::Position.is_in(heads.iter().map(|head| head.position)))
        .exec(tx)
        .await?;
    let messages = Entity::find()
        .filter(Column::Key.is_in(heads.iter().map(|head| head.key)))
        .order_by_asc(Column::Position)
        .all(tx)
        .await?;
    Ok(Claimed { messages, given_up })
}

#[derive(FromQueryResult)]
struct Head {
    position: i64,
    key: Uuid,
    attempts: i32,
}

/// A relay's claim on a key, as its first message bears it: who claims it next changes both numbers.
#[derive(Clone, Copy)]
pub(crate) struct Claim {
    position: i64,
    attempts: i32,
    next_at: i64,
}

impl Claim {
    pub(crate) fn of(first: &Message) -> Self {
        Self { position: first.position, attempts: first.attempts, next_at: first.next_at }
    }
}

/// Whether nobody has claimed the key since; nobody can until the transaction has ended.
pub(crate) async fn still_ours(tx: &Tx, claim: Claim) -> Result<bool, DbErr> {
    // An update, not a look: it holds the row.
    let held = Entity::update_many()
        .col_expr(Column::NextAt, Expr::value(claim.next_at))
        .filter(Column::Position.eq(claim.position))
        .filter(Column::Attempts.eq(claim.attempts))
        .filter(Column::NextAt.eq(claim.next_at))
        .filter(Column::Dead.eq(false))
        .exec(tx)
        .await?;
    Ok(held.rows_affected == 1)
}

/// Removes messages that are done.
pub(crate) async fn remove(tx: &Tx, positions: Vec<i64>) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::Position.is_in(positions)).exec(tx).await.map(drop)
}

/// Stores a failed attempt. `retry_at`: `None` gives the message up.
pub(crate) async fn fail(tx: &Tx, message: &Message, retry_at: Option<i64>, error: &str) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::NextAt, Expr::value(retry_at.unwrap_or(message.next_at)))
        .col_expr(Column::Attempts, Expr::value(message.attempts))
        .col_expr(Column::Dead, Expr::value(retry_at.is_none()))
        .col_expr(Column::LastError, Expr::value(error))
        .filter(Column::Position.eq(message.position))
        .exec(tx)
        .await
        .map(drop)
}

/// A message that the relay gave up on.
pub type DeadLetter = Message;

/// Up to `limit` dead letters behind position `after`, oldest first.
///
/// # Errors
/// If the database refuses.
pub async fn dead_letters(db: &impl ConnectionTrait, after: i64, limit: u64) -> Result<Vec<DeadLetter>, DbErr> {
    Entity::find()
        .filter(Column::Dead.eq(true))
        .filter(Column::Position.gt(after))
        .order_by_asc(Column::Position)
        .limit(limit)
        .all(db)
        .await
}

/// Gives a dead letter to the relay again, with all its attempts; returns it, or `None` if there is none at `position`.
///
/// # Errors
/// If the database refuses.
pub async fn retry(tx: &Tx, position: i64, now_ms: i64) -> Result<Option<Message>, DbErr> {
    let revived = Entity::update_many()
        .col_expr(Column::Dead, Expr::value(false))
        .col_expr(Column::Attempts, Expr::value(0))
        .col_expr(Column::NextAt, Expr::value(now_ms))
        .filter(Column::Position.eq(position))
        .filter(Column::Dead.eq(true))
        .exec(tx)
        .await?;
    if revived.rows_affected == 0 {
        return Ok(None);
    }
    Entity::find_by_id(position).one(tx).await
}

/// Removes a dead letter: what it asks for is never done, and what stands behind it is. Returns it, or `None` if there is
/// none at `position`.
///
/// # Errors
/// If the database refuses.
pub async fn discard(tx: &Tx, position: i64) -> Result<Option<DeadLetter>, DbErr> {
    let Some(letter) = Entity::find_by_id(position).filter(Column::Dead.eq(true)).one(tx).await? else {
        return Ok(None);
    };
    // Somebody else may retry it at this moment.
    let dead = Entity::delete_many().filter(Column::Position.eq(position)).filter(Column::Dead.eq(true));
    Ok((dead.exec(tx).await?.rows_affected == 1).then_some(letter))
}

/// How much is waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that are not done and not given up.
    pub waiting: u64,
    /// Messages that were given up.
    pub dead: u64,
    /// When the oldest waiting one was enqueued, milliseconds since the Unix epoch.
    pub oldest_at: Option<i64>,
}

/// Counts what is waiting.
///
/// # Errors
/// If the database refuses.
pub async fn backlog(db: &impl ConnectionTrait) -> Result<Backlog, DbErr> {
    let oldest_at = Entity::find()
        .select_only()
        .column_as(Column::CreatedAt.min(), "oldest_at")
        .filter(Column::Dead.eq(false))
        .into_tuple::<Option<i64>>()
        .one(db)
        .await?
        .flatten();
    let waiting = Entity::find().filter(Column::Dead.eq(false)).count(db).await?;
    let dead = Entity::find().filter(Column::Dead.eq(true)).count(db).await?;
    Ok(Backlog { waiting, dead, oldest_at })
}

/// The pause before the next attempt: 1 s, doubling to 60 s; `None` once there were [`MAX_ATTEMPTS`].
pub(crate) fn pause_ms(attempts: i32) -> Option<i64> {
    (attempts < MAX_ATTEMPTS).then(|| std::cmp::min(1000 << (attempts.clamp(1, 7) - 1), 60_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_minute_and_end() {
        let pauses: Vec<_> = (1..=MAX_ATTEMPTS).map(pause_ms).collect();
        assert_eq!(pauses[..4], [Some(1000), Some(2000), Some(4000), Some(8000)]);
        assert!(pauses.iter().flatten().all(|pause| *pause <= 60_000));
        assert_eq!(pauses.last(), Some(&None));
        let total: i64 = pauses.iter().flatten().sum();
        assert!((600_000..660_000).contains(&total), "MAX_ATTEMPTS promises a little over ten minutes: {total} ms");
    }
}
