//! Dead letters: what somebody, or something, does about them.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, FromQueryResult as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
};
use selvage_pool::{Each, Tx};
use uuid::Uuid;

use super::{free_first, turn};
use crate::MAX_ATTEMPTS;
use crate::message::{Column, DeadLetter, Entity, Message};

/// Up to `limit` dead letters behind position `after`, by position: the oldest first where one server hands them out. Those that
/// can't be read are left out.
///
/// # Errors
/// The database's; the caller may ask again.
pub async fn dead_letters(db: &impl ConnectionTrait, after: i64, limit: u64) -> Result<Vec<DeadLetter>, DbErr> {
    let query = Entity::find()
        // In the words of its index.
        .filter(Expr::col(Column::Dead))
        .filter(Column::Position.gt(after))
        .order_by_asc(Column::Position)
        .limit(limit)
        .into_query();
    let letters = Each::of(db.query_all(&query).await?, |row| DeadLetter::from_query_result(row, ""));
    Ok(letters.or_pass_over("outbox_messages", "position"))
}

/// Gives a dead letter to the relay again, with all its attempts; returns it, or `None` if there is none at `position`.
///
/// # Errors
/// The database's; the caller's transaction must then fail, and may be repeated as a whole.
pub async fn retry(tx: &Tx, position: i64, now_ms: i64) -> Result<Option<Message>, DbErr> {
    if !revive(tx, position, 0, now_ms).await? {
        return Ok(None);
    }
    Entity::find_by_id(position).one(tx).await
}

/// What a key waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// It has no message.
    Nothing,
    /// Its first message is the relay's.
    Relay,
    /// Its first message was a dead letter, which now has one attempt more.
    Revived(DeadLetter),
}

/// Gives a key's first message one attempt more if it is a dead letter: one that fails again is a dead letter again at
/// once, so that whoever watches for those misses none for longer than the attempt takes.
///
/// # Errors
/// The database's; the caller's transaction must then fail, and may be repeated as a whole.
pub async fn retry_once(tx: &Tx, key: Uuid, now_ms: i64) -> Result<Waiting, DbErr> {
    let first = Entity::find()
        .filter(Column::Key.eq(key))
        .order_by_asc(turn(Column::Number, Column::Position))
        .order_by_asc(Column::Position)
        .limit(1)
        .one(tx)
        .await?;
    Ok(match first {
        None => Waiting::Nothing,
        Some(letter) if letter.dead && revive(tx, letter.position, MAX_ATTEMPTS - 1, now_ms).await? => {
            Waiting::Revived(letter)
        }
        // Alive, or retried or discarded by somebody just now.
        Some(_) => Waiting::Relay,
    })
}

/// Gives the dead letter at `position` to the relay again, as if it had been tried `attempts` times: whether there was one.
async fn revive(tx: &Tx, position: i64, attempts: i32, now_ms: i64) -> Result<bool, DbErr> {
    let revived = Entity::update_many()
        .col_expr(Column::Dead, Expr::value(false))
        .col_expr(Column::Attempts, Expr::value(attempts))
        .col_expr(Column::NextAt, Expr::value(now_ms))
        .col_expr(Column::Behind, Expr::value(false))
        .filter(Column::Position.eq(position))
        .filter(Column::Dead.eq(true))
        .exec(tx)
        .await?;
    Ok(revived.rows_affected == 1)
}

/// Removes a dead letter: what it asks for is never done, and what stands behind it is. Returns it, or `None` if there is
/// none at `position`.
///
/// # Errors
/// The database's; the caller's transaction must then fail, and may be repeated as a whole.
pub async fn discard(tx: &Tx, position: i64) -> Result<Option<DeadLetter>, DbErr> {
    let Some(letter) = Entity::find_by_id(position).filter(Column::Dead.eq(true)).one(tx).await? else {
        return Ok(None);
    };
    // Somebody else may retry it at this moment.
    let dead = Entity::delete_many().filter(Column::Position.eq(position)).filter(Column::Dead.eq(true));
    if dead.exec(tx).await?.rows_affected == 0 {
        return Ok(None);
    }
    free_first(tx, letter.key).await?;
    Ok(Some(letter))
}
