use sea_orm::sea_query::{
    Alias, CaseStatement, CommonTableExpression, Expr, ExprTrait as _, LockBehavior, LockType, Query, WithClause,
};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait as _, FromQueryResult,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
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
    let traceparent = selvage_telemetry::propagation::traceparent();
    let rows: Vec<_> = messages
        .into_iter()
        .map(|message| ActiveModel {
            position: NotSet,
            key: Set(message.key),
            topic: Set(message.topic.to_owned()),
            payload: Set(message.payload),
            traceparent: Set(traceparent.clone()),
            created_at: Set(now_ms),
            next_at: Set(now_ms),
            // As the table says: 0, false and none.
            attempts: NotSet,
            dead: NotSet,
            last_error: NotSet,
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    Entity::insert_many(rows).exec_without_returning(tx).await.map(drop)
}

/// What a claim got.
pub(crate) struct Claimed {
    /// The keys that are the caller's until the lease ends.
    pub(crate) keys: Vec<Uuid>,
    /// Position and key of what became a dead letter instead.
    pub(crate) given_up: Vec<(i64, Uuid)>,
}

/// Claims up to `keys` keys whose first message is due: that message's `next_at` moves to `lease_until`, and its attempt
/// is counted. One statement, which is the whole transaction by itself.
///
/// A due message with all its attempts behind it is one whose relays died over it, or couldn't store what came of it: a
/// failure would have made it a dead letter. Now it is one.
pub(crate) async fn claim(
    db: &impl ConnectionTrait,
    now_ms: i64,
    lease_until: i64,
    keys: u64,
) -> Result<Claimed, DbErr> {
    let (due, earlier, heads) = (Alias::new("due"), Alias::new("earlier"), Alias::new("heads"));
    let first = Query::select()
        .expr(Expr::val(1))
        .from_as(Entity, earlier.clone())
        .and_where(Expr::col((earlier.clone(), Column::Key)).equals((due.clone(), Column::Key)))
        .and_where(Expr::col((earlier, Column::Position)).lt(Expr::col((due.clone(), Column::Position))))
        .to_owned();
    let mut select = Query::select();
    select
        .column((due.clone(), Column::Position))
        .from_as(Entity, due.clone())
        .and_where(Expr::col((due.clone(), Column::Dead)).eq(false))
        .and_where(Expr::col((due.clone(), Column::NextAt)).lte(now_ms))
        .and_where(Expr::exists(first).not())
        .order_by((due, Column::NextAt), sea_orm::Order::Asc)
        .limit(keys);
    if db.get_database_backend() == DbBackend::Postgres {
        select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    }
    // Chosen and locked once, before anything is updated: a subquery might be run again for each row.
    let mut chosen = CommonTableExpression::new();
    chosen.table_name(heads.clone()).column(Column::Position).query(select);
    let of_heads = Query::select().column(Column::Position).from(heads).to_owned();
    let spent = || Expr::col(Column::Attempts).gte(MAX_ATTEMPTS);
    let attempts = || Expr::col(Column::Attempts);
    let update = Query::update()
        .table(Entity)
        .value(Column::NextAt, lease_until)
        .value(Column::Attempts, CaseStatement::new().case(spent(), attempts()).finally(attempts().add(1)))
        .value(Column::Dead, spent())
        .value(
            Column::LastError,
            CaseStatement::new()
                .case(spent(), "no attempt came to an end: its relay died, or couldn't store it")
                .finally(Expr::col(Column::LastError)),
        )
        .and_where(Expr::col(Column::Position).in_subquery(of_heads))
        .returning(Query::returning().columns([Column::Position, Column::Key, Column::Dead]))
        .to_owned();
    let rows = db.query_all(&update.with(WithClause::new().cte(chosen).to_owned())).await?;
    let heads: Vec<Head> = rows.iter().map(|row| Head::from_query_result(row, "")).collect::<Result<_, _>>()?;
    let (spent, heads): (Vec<_>, Vec<_>) = heads.into_iter().partition(|head| head.dead);
    Ok(Claimed {
        keys: heads.into_iter().map(|head| head.key).collect(),
        given_up: spent.into_iter().map(|head| (head.position, head.key)).collect(),
    })
}

#[derive(FromQueryResult)]
struct Head {
    position: i64,
    key: Uuid,
    dead: bool,
}

/// All messages of claimed keys, in order. Nobody but who claimed them takes any away, so this needn't be one transaction
/// with the claim.
pub(crate) async fn messages(db: &impl ConnectionTrait, keys: Vec<Uuid>) -> Result<Vec<Message>, DbErr> {
    Entity::find().filter(Column::Key.is_in(keys)).order_by_asc(Column::Position).all(db).await
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

    /// Whether it is about the message at `position`, which bears it.
    pub(crate) fn is_of(&self, position: i64) -> bool {
        self.position == position
    }

    /// Holds for every message but the first, and for that one as long as nobody has claimed the key since. The statement
    /// locks the row before it looks, so what it finds stays so until its transaction ends.
    fn is_held(&self) -> Condition {
        let held = Condition::all()
            .add(Column::Attempts.eq(self.attempts))
            .add(Column::NextAt.eq(self.next_at))
            .add(Column::Dead.eq(false));
        Condition::any().add(Column::Position.ne(self.position)).add(held)
    }
}

/// Removes messages that are done, the first of the key among them: `false` if the claim has gone to another meanwhile;
/// with more than the first the caller's transaction must then fail.
pub(crate) async fn remove(db: &impl ConnectionTrait, claim: Claim, positions: &[i64]) -> Result<bool, DbErr> {
    debug_assert!(positions.first().is_some_and(|first| claim.is_of(*first)), "the first bears the claim");
    let removed = Entity::delete_many()
        .filter(Column::Position.is_in(positions.iter().copied()))
        .filter(claim.is_held())
        .exec(db)
        .await?;
    Ok(removed.rows_affected == positions.len() as u64)
}

/// Stores a failed attempt: `false` if the claim has gone to another meanwhile. `retry_at`: `None` gives the message up.
pub(crate) async fn fail(
    db: &impl ConnectionTrait,
    claim: Claim,
    message: &Message,
    retry_at: Option<i64>,
    error: &str,
) -> Result<bool, DbErr> {
    let failed = Entity::update_many()
        .col_expr(Column::NextAt, Expr::value(retry_at.unwrap_or(message.next_at)))
        .col_expr(Column::Attempts, Expr::value(message.attempts))
        .col_expr(Column::Dead, Expr::value(retry_at.is_none()))
        .col_expr(Column::LastError, Expr::value(error))
        .filter(Column::Position.eq(message.position))
        .filter(claim.is_held())
        .exec(db)
        .await?;
    Ok(failed.rows_affected == 1)
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
    /// When the oldest of those was enqueued that are due and not behind one that was given up, milliseconds since the Unix
    /// epoch.
    pub oldest_at: Option<i64>,
}

/// Counts what is waiting.
///
/// # Errors
/// If the database refuses.
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
