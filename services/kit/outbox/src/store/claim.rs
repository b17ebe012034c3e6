//! A relay's claim on keys, and what it stores while it has it.

use sea_orm::sea_query::{
    Alias, CaseStatement, CommonTableExpression, Expr, ExprTrait as _, LockBehavior, LockType, Query, WithClause,
};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait as _, FromQueryResult,
    QueryFilter as _, QueryOrder as _,
};
use uuid::Uuid;

use super::turn;
use crate::MAX_ATTEMPTS;
use crate::attempt::Failed;
use crate::message::{Column, Entity, Message};

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
///
/// It looks at every due message, and passes over those that stand behind another one of their key: what a claim takes
/// grows with what waits behind messages that were postponed. A row for each key, which alone has a time, would end that. It
/// needs relays and senders that all keep it, so it can follow only when none is left that doesn't know numbers.
pub(crate) async fn claim(
    db: &impl ConnectionTrait,
    now_ms: i64,
    lease_until: i64,
    keys: u64,
) -> Result<Claimed, DbErr> {
    let (due, earlier, heads) = (Alias::new("due"), Alias::new("earlier"), Alias::new("heads"));
    let of = |table: &Alias, column: Column| (table.clone(), column);
    let turn_of = |table: &Alias| turn(of(table, Column::Number), of(table, Column::Position));
    let before = Condition::any().add(turn_of(&earlier).lt(turn_of(&due))).add(
        Condition::all()
            .add(turn_of(&earlier).eq(turn_of(&due)))
            .add(Expr::col(of(&earlier, Column::Position)).lt(Expr::col(of(&due, Column::Position)))),
    );
    let first = Query::select()
        .expr(Expr::val(1))
        .from_as(Entity, earlier.clone())
        .and_where(Expr::col(of(&earlier, Column::Key)).equals(of(&due, Column::Key)))
        .cond_where(before)
        .to_owned();
    let mut select = Query::select();
    select
        .column(of(&due, Column::Position))
        .from_as(Entity, due.clone())
        .and_where(Expr::col(of(&due, Column::Dead)).eq(false))
        .and_where(Expr::col(of(&due, Column::NextAt)).lte(now_ms))
        .and_where(Expr::exists(first).not())
        .order_by(of(&due, Column::NextAt), sea_orm::Order::Asc)
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
    Entity::find()
        .filter(Column::Key.is_in(keys))
        .order_by_asc(turn(Column::Number, Column::Position))
        .order_by_asc(Column::Position)
        .all(db)
        .await
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

/// Stores a failed attempt: `false` if the claim has gone to another meanwhile.
pub(crate) async fn fail(db: &impl ConnectionTrait, claim: Claim, failed: &Failed) -> Result<bool, DbErr> {
    let Failed { message, retry_at, error } = failed;
    let stored = Entity::update_many()
        .col_expr(Column::NextAt, Expr::value(retry_at.unwrap_or(message.next_at)))
        .col_expr(Column::Attempts, Expr::value(message.attempts))
        .col_expr(Column::Dead, Expr::value(retry_at.is_none()))
        .col_expr(Column::LastError, Expr::value(error.as_str()))
        .filter(Column::Position.eq(message.position))
        .filter(claim.is_held())
        .exec(db)
        .await?;
    Ok(stored.rows_affected == 1)
}
