//! A slot that is handed out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt as _;
use sea_orm::{DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use selvage_context::lease::Held;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::connection::Connection;
use crate::failure::{self, conn_error};
use crate::gate::Gate;
use crate::slot::Slot;

/// A slot, until it is dropped. What is in the middle of something then is closed and not handed out again.
pub(crate) struct Lease {
    gate: Arc<Gate>,
    permit: Option<OwnedSemaphorePermit>,
    /// The writer's place, where the database has one.
    pub(crate) writer: Option<OwnedSemaphorePermit>,
    slot: Option<Slot>,
    /// A statement is under way: if the lease is dropped now, nobody knows what is on the wire.
    busy: bool,
    /// The connection is of no use any more.
    broken: bool,
    /// A transaction is open: closing the connection rolls it back.
    pub(crate) in_transaction: bool,
    /// The database asked for the transaction to be done again.
    pub(crate) retry_asked: bool,
    /// The failure for which the database has given the transaction up: PostgreSQL answers its COMMIT with ROLLBACK and
    /// no error, and SQLite may have rolled it back already.
    given_up: Option<String>,
    /// Says for as long as the lease lives that a connection is held, if that is longer than a statement.
    pub(crate) held: Option<Held>,
}

impl Lease {
    pub(crate) fn new(gate: Arc<Gate>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            gate,
            permit: Some(permit),
            writer: None,
            slot: None,
            busy: false,
            broken: false,
            in_transaction: false,
            retry_asked: false,
            given_up: None,
            held: None,
        }
    }

    pub(crate) fn put(&mut self, slot: Slot) {
        (self.slot, self.busy, self.broken, self.given_up) = (Some(slot), false, false, None);
    }

    /// Makes a connection, until a moment.
    pub(crate) async fn connect(&mut self, until: Instant) -> Result<(), DbErr> {
        let slot = self.gate.connect(until).await?;
        self.put(slot);
        Ok(())
    }

    /// Whether the connection lives. It has half of the time that is left until then, so that one that is silent leaves
    /// time for another.
    pub(crate) async fn ping(&mut self, until: Instant) -> bool {
        let bound = self.gate.connect_bound(until).min(until.saturating_duration_since(Instant::now()) / 2);
        let Some(slot) = &mut self.slot else { return false };
        self.busy = true;
        let alive = tokio::time::timeout(bound, slot.connection.ping()).await;
        let alive = matches!(alive, Ok(Ok(())));
        self.busy = !alive;
        alive
    }

    /// Closes the connection and waits until it is, or until then.
    pub(crate) async fn discard(&mut self, until: Instant) {
        if let Some(slot) = self.slot.take() {
            slot.close_hard(self.gate.connect_bound(until)).await;
        }
    }

    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, DbErr> {
        let bound = self.begin_statement();
        let result = within(bound, self.connection().map_err(conn_error)?.execute(statement)).await;
        self.end_statement(result).map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    pub(crate) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let bound = self.begin_statement();
        let result = within(bound, self.connection().map_err(conn_error)?.execute_unprepared(sql)).await;
        self.end_statement(result).map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    pub(crate) async fn query_one(&mut self, statement: &Statement) -> Result<Option<QueryResult>, DbErr> {
        let bound = self.begin_statement();
        let result = within(bound, self.connection().map_err(conn_error)?.query_one(statement)).await;
        self.end_statement(result).map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }

    pub(crate) async fn query_all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, DbErr> {
        let bound = self.begin_statement();
        let result = within(bound, self.connection().map_err(conn_error)?.query_all(statement)).await;
        self.end_statement(result).map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }

    /// Hands each row to the stream that `rows` is; see the `stream` module.
    pub(crate) fn rows(
        mut self,
        statement: Statement,
    ) -> impl futures::Stream<Item = Result<QueryResult, DbErr>> + Send {
        async_stream::stream! {
            let bound = self.begin_statement();
            let connection = match self.connection() {
                Ok(connection) => connection,
                Err(error) => { yield Err(conn_error(error)); return; }
            };
            let mut rows = connection.query(&statement);
            // Each row is waited for by itself: what its reader does in between takes its own time.
            let ended = loop {
                match within(bound, rows.try_next()).await {
                    Ok(Some(row)) => yield Ok(row),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            drop(rows);
            let result = self.end_statement(ended);
            if let Err(error) = result {
                yield Err(DbErr::Query(RuntimeErr::SqlxError(error.into())));
            }
        }
    }

    /// Runs one of the transaction's own words: BEGIN, COMMIT, ROLLBACK, SAVEPOINT.
    pub(crate) async fn control(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        self.busy = true;
        let bound = self.gate.config.answer_bound();
        let result = within(bound, self.connection()?.execute_unprepared(sql)).await.map(drop);
        self.end_statement(result)
    }

    /// Says how long the statement's answer is waited for.
    fn begin_statement(&mut self) -> Option<Duration> {
        self.busy = true;
        self.gate.totals.statements.fetch_add(1, Ordering::Relaxed);
        self.gate.config.answer_bound()
    }

    fn connection(&mut self) -> Result<&mut Connection, sqlx::Error> {
        // One that is broken would be waited for again, or give the answer to what was asked before.
        let slot = self.slot.as_mut().filter(|_| !self.broken);
        slot.map(|slot| &mut slot.connection).ok_or_else(failure::closed)
    }

    fn end_statement<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.busy = false;
        if let Err(error) = &result {
            self.retry_asked |= failure::is_retryable(error);
            if failure::is_broken(error) {
                self.broken = true;
                self.gate.suspect_idle();
            }
            if self.in_transaction && self.given_up.is_none() && failure::gives_up(error) {
                self.given_up = Some(error.to_string());
            }
        }
        result
    }

    /// The failure for which the database has given the transaction up, if it has.
    pub(crate) fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }

    /// A savepoint from before the failure was gone back to.
    pub(crate) fn taken_back(&mut self) {
        self.given_up = None;
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }
}

/// What `work` on a connection gives, if there is an answer within `bound`.
async fn within<T>(
    bound: Option<Duration>,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Some(bound) = bound else { return work.await };
    tokio::time::timeout(bound, work).await.unwrap_or_else(|_| Err(failure::silent("answer", bound)))
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.gate.returned();
        let Some(mut slot) = self.slot.take() else { return };
        if !(self.busy || self.broken || self.in_transaction) {
            // Back before the permit, which is dropped after this, lets the next one in.
            match self.gate.push(slot) {
                Ok(()) => return,
                Err(late) => slot = late,
            }
        }
        // Without a runtime nobody can wait; the connection is closed by being dropped.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (gate, places) = (self.gate.clone(), (self.permit.take(), self.writer.take()));
        runtime.spawn(async move {
            slot.close_hard(gate.config.connect_timeout).await;
            drop(places);
        });
    }
}
