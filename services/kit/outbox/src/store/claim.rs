//! A relay's claim on keys, and what it stores while it has it.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbBackend, DbErr, EntityTrait as _, FromQueryResult,
    QueryFilter as _, QueryOrder as _, QueryTrait as _, Statement,
};
use selvage_pool::{Each, StoreError, passed_over};
use uuid::Uuid;

use super::moment::Moment;
use super::{earlier_of, turn};
use crate::MAX_ATTEMPTS;
use crate::attempt::Failed;
use crate::message::{Column, Entity, Message};
use crate::pace::KEYS_AT_ONCE;

/// How long a message is left alone that a claim found behind another one: as long as it has waited already, up to 60 s, and not at
/// all in its first second. So what comes behind a message that is being done follows it at once, and thousands behind
/// dead letters cost no claim much.
const PASSED_OVER_MS: (i64, i64) = (1_000, 60_000);

/// Which messages a claim takes first. Each has an index of its own, which holds no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Those that were never tried: new orders.
    Fresh,
    /// Those that were: they failed, or their relay died.
    Tried,
}

impl Lane {
    pub(super) const BOTH: [Self; 2] = [Self::Fresh, Self::Tried];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Fresh => Self::Tried,
            Self::Tried => Self::Fresh,
        }
    }

    /// Its messages, in the words of its index: with a parameter in them no planner would use that.
    pub(super) fn condition(self) -> &'static str {
        match self {
            Self::Fresh => "NOT dead AND NOT behind AND attempts = 0",
            Self::Tried => "NOT dead AND NOT behind AND attempts > 0",
        }
    }
}

/// What a claim got.
pub(crate) struct Claimed {
    /// The keys that are the caller's until the lease ends.
    pub(crate) keys: Vec<Uuid>,
    /// Position and key of what became a dead letter instead.
    pub(crate) given_up: Vec<(i64, Uuid)>,
    /// How many messages were looked at, those among them that stand behind another one.
    pub(crate) looked_at: usize,
}

/// Claims up to `keys` keys ([`KEYS_AT_ONCE`] at the most) whose first message is due, those of the lane `preferred` before
/// others: that message's `next_at` moves on by `lease_ms`, and its attempt is counted. One statement, which is the whole
/// transaction by itself.
///
/// A due message with all its attempts behind it is one whose relays died over it, or couldn't store what came of it: a
/// failure would have made it a dead letter. Now it is one.
///
/// It looks at as many messages as it may claim, whatever waits: those behind others are marked so and stand in no index that
/// it reads. One that isn't marked, for it was enqueued by itself, is put off when it is met.
pub(crate) async fn claim(
    db: &impl ConnectionTrait,
    now: Moment,
    lease_ms: i64,
    keys: u64,
    preferred: Lane,
) -> Result<Claimed, DbErr> {
    let backend = db.get_database_backend();
    let values = [now.value(), lease_ms.into(), i64::try_from(keys).unwrap_or(i64::MAX).into()];
    let rows = db.query_all_raw(Statement::from_sql_and_values(backend, claim_sql(backend, preferred), values)).await?;
    let looked_at = rows.len();
    let met = Each::of(rows, |row| Met::from_query_result(row, ""));
    for (row, why) in met.damaged {
        give_up(db, row.try_get("", "position")?, &why).await?;
    }
    let (spent, heads): (Vec<_>, Vec<_>) = met.read.into_iter().filter(|met| met.is_first).partition(|met| met.dead);
    Ok(Claimed {
        keys: heads.into_iter().map(|head| head.key).collect(),
        given_up: spent.into_iter().map(|head| (head.position, head.key)).collect(),
        looked_at,
    })
}

#[derive(FromQueryResult)]
struct Met {
    position: i64,
    key: Uuid,
    dead: bool,
    is_first: bool,
}

/// The claim's statement: `$1` is the moment, `$2` the lease, `$3` how many. What is due is chosen and locked once, before
/// anything is updated: a subquery might be run again for each row. The number of candidates is a literal, by which a planner
/// sees that the first few of an index are enough.
fn claim_sql(backend: DbBackend, preferred: Lane) -> String {
    let now = Moment::sql(backend);
    let lock = if backend == DbBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
    let due = |lane: Lane| {
        format!(
            "SELECT position AS id, \"key\" AS of_key, COALESCE(number, position) AS turn FROM outbox_messages \
             WHERE {} AND next_at <= {now} ORDER BY next_at LIMIT {KEYS_AT_ONCE}{lock}",
            lane.condition()
        )
    };
    let (preferred, other) = (due(preferred), due(preferred.other()));
    let (least, most) = PASSED_OVER_MS;
    let age = format!("({now} - created_at)");
    let passed_over = format!("CASE WHEN {age} < {least} THEN 0 WHEN {age} > {most} THEN {most} ELSE {age} END");
    let is_spent = format!("is_first AND attempts >= {MAX_ATTEMPTS}");
    format!(
        "WITH preferred AS ({preferred}), other AS ({other}), \
         chosen AS (SELECT id, NOT EXISTS ({}) AS is_first FROM (\
           SELECT id, of_key, turn, 1 AS choice FROM preferred UNION ALL SELECT id, of_key, turn, 2 FROM other\
         ) AS due ORDER BY choice LIMIT $3) \
         UPDATE outbox_messages SET \
           next_at = {now} + CASE WHEN is_first THEN $2 ELSE {passed_over} END, \
           attempts = attempts + CASE WHEN is_first AND attempts < {MAX_ATTEMPTS} THEN 1 ELSE 0 END, \
           dead = {is_spent}, \
           last_error = CASE WHEN {is_spent} \
             THEN 'no attempt came to an end: its relay died, or couldn''t store it' ELSE last_error END \
         FROM chosen WHERE position = chosen.id \
         RETURNING position, \"key\", dead, NOT EXISTS ({}) AS is_first",
        earlier_of("of_key", "turn", "id"),
        earlier_of(
            "outbox_messages.\"key\"",
            "COALESCE(outbox_messages.number, outbox_messages.position)",
            "outbox_messages.position"
        ),
    )
}

/// A key's messages, in order.
#[derive(Default)]
pub(crate) struct Messages {
    pub(crate) read: Vec<Message>,
    /// Whether one behind these can't be read, which is for the claim that finds it first.
    pub(crate) ends_early: bool,
}

/// All messages of claimed keys. Nobody but who claimed them takes any away, so this needn't be one transaction with the
/// claim. A key whose first message can't be read is left out, and that message is a dead letter.
pub(crate) async fn messages(db: &impl ConnectionTrait, keys: Vec<Uuid>) -> Result<BTreeMap<Uuid, Messages>, DbErr> {
    let query = Entity::find()
        .filter(Column::Key.is_in(keys))
        .order_by_asc(turn(Column::Number, Column::Position))
        .order_by_asc(Column::Position)
        .into_query();
    let mut messages: BTreeMap<Uuid, Messages> = BTreeMap::new();
    for row in db.query_all(&query).await? {
        let of_key = messages.entry(row.try_get("", "key")?).or_default();
        if of_key.ends_early {
            continue;
        }
        match Message::from_query_result(&row, "") {
            Ok(message) => of_key.read.push(message),
            Err(why) => {
                of_key.ends_early = true;
                if of_key.read.is_empty() {
                    give_up(db, row.try_get("", "position")?, &why.into()).await?;
                }
            }
        }
    }
    messages.retain(|_, of_key| !of_key.read.is_empty());
    Ok(messages)
}

/// Makes a message that can't be read a dead letter, which holds up its key and no other.
async fn give_up(db: &impl ConnectionTrait, position: i64, why: &StoreError) -> Result<(), DbErr> {
    passed_over("outbox_messages", position, why);
    Entity::update_many()
        .col_expr(Column::Dead, Expr::value(true))
        .col_expr(Column::LastError, Expr::value("it can't be read"))
        .filter(Column::Position.eq(position))
        .exec(db)
        .await
        .map(drop)
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

/// Stores a failed attempt at what is now the first message of its key: `false` if the claim has gone to another meanwhile.
pub(crate) async fn fail(db: &impl ConnectionTrait, now: Moment, claim: Claim, failed: &Failed) -> Result<bool, DbErr> {
    let Failed { message, pause_ms, error } = failed;
    let next_at = pause_ms.map_or(Expr::value(message.next_at), |pause| now.expr().add(pause));
    let stored = Entity::update_many()
        .col_expr(Column::NextAt, next_at)
        .col_expr(Column::Attempts, Expr::value(message.attempts))
        .col_expr(Column::Dead, Expr::value(pause_ms.is_none()))
        .col_expr(Column::Behind, Expr::value(false))
        .col_expr(Column::LastError, Expr::value(error.as_str()))
        .filter(Column::Position.eq(message.position))
        .filter(claim.is_held())
        .exec(db)
        .await?;
    Ok(stored.rows_affected == 1)
}
