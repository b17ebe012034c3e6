//! A slot that is handed out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt as _;
use sea_orm::{DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use tokio::sync::OwnedSemaphorePermit;

use crate::connection::Connection;
use crate::failure;
use crate::gate::Gate;

/// A slot, until it is dropped. What is in the middle of something then is closed and not handed out again.
pub(crate) struct Lease {
    gate: Arc<Gate>,
    permit: Option<OwnedSemaphorePermit>,
    connection: Option<Connection>,
    /// A statement is under way: if the lease is dropped now, nobody knows what is on the wire.
    busy: bool,
    /// The connection is of no use any more.
    broken: bool,
    /// A transaction is open: closing the connection rolls it back.
    pub(crate) in_transaction: bool,
    /// The database asked for the transaction to be done again.
    pub(crate) retry_asked: bool,
}

impl Lease {
    pub(crate) fn new(gate: Arc<Gate>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            gate,
            permit: Some(permit),
            connection: None,
            busy: false,
            broken: false,
            in_transaction: false,
            retry_asked: false,
        }
    }

    pub(crate) fn put(&mut self, connection: Connection) {
        (self.connection, self.busy, self.broken) = (Some(connection), false, false);
    }

    pub(crate) async fn connect(&mut self) -> Result<(), DbErr> {
        let connection = self.gate.connect().await?;
        self.put(connection);
        Ok(())
    }

    /// Whether the connection lives.
    pub(crate) async fn ping(&mut self) -> bool {
        let Some(connection) = &mut self.connection else { return false };
        self.busy = true;
        let alive = tokio::time::timeout(self.gate.config.connect_timeout, connection.ping()).await;
        let alive = matches!(alive, Ok(Ok(())));
        self.busy = !alive;
        alive
    }

    /// Closes the connection and waits until it is.
    pub(crate) async fn discard(&mut self) {
        if let Some(connection) = self.connection.take() {
            end(&self.gate, connection).await;
        }
    }

    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, DbErr> {
        self.begin_statement();
        let result = self.connection()?.execute(statement).await;
        self.end_statement(result).map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    pub(crate) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        self.begin_statement();
        let result = self.connection()?.execute_unprepared(sql).await;
        self.end_statement(result).map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))
    }

    pub(crate) async fn query_one(&mut self, statement: &Statement) -> Result<Option<QueryResult>, DbErr> {
        self.begin_statement();
        let result = self.connection()?.query_one(statement).await;
        self.end_statement(result).map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }

    pub(crate) async fn query_all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.begin_statement();
        let result = self.connection()?.query_all(statement).await;
        self.end_statement(result).map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))
    }

    /// Hands each row to the stream that `rows` is; see the `stream` module.
    pub(crate) fn rows(
        mut self,
        statement: Statement,
    ) -> impl futures::Stream<Item = Result<QueryResult, DbErr>> + Send {
        async_stream::stream! {
            self.begin_statement();
            let connection = match self.connection() {
                Ok(connection) => connection,
                Err(error) => { yield Err(error); return; }
            };
            let mut failure = None;
            let mut rows = connection.query(&statement);
            while let Some(row) = rows.next().await {
                match row {
                    Ok(row) => yield Ok(row),
                    Err(error) => { failure = Some(error); break; }
                }
            }
            drop(rows);
            let result = self.end_statement(failure.map_or(Ok(()), Err));
            if let Err(error) = result {
                yield Err(DbErr::Query(RuntimeErr::SqlxError(error.into())));
            }
        }
    }

    /// Runs one of the transaction's own words: BEGIN, COMMIT, ROLLBACK, SAVEPOINT.
    pub(crate) async fn control(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        self.busy = true;
        let Some(connection) = &mut self.connection else { return Err(sqlx::Error::WorkerCrashed) };
        let result = connection.execute_unprepared(sql).await.map(drop);
        self.end_statement(result)
    }

    fn begin_statement(&mut self) {
        self.busy = true;
        self.gate.totals.statements.fetch_add(1, Ordering::Relaxed);
    }

    fn connection(&mut self) -> Result<&mut Connection, DbErr> {
        self.connection.as_mut().ok_or_else(|| DbErr::Conn(RuntimeErr::Internal("the connection is closed".into())))
    }

    fn end_statement<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.busy = false;
        if let Err(error) = &result {
            self.retry_asked |= failure::is_retryable(error);
            if failure::is_broken(error) {
                self.broken = true;
                self.gate.suspect_idle();
            }
        }
        result
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.gate.returned();
        let Some(connection) = self.connection.take() else { return };
        if !(self.busy || self.broken || self.in_transaction) {
            // Back before the permit, which is dropped after this, lets the next one in.
            self.gate.push(connection);
            return;
        }
        let (gate, permit) = (self.gate.clone(), self.permit.take());
        let closing = async move {
            end(&gate, connection).await;
            drop(permit);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(closing)),
            // Without a runtime nobody can wait; the connection is closed by being dropped with its future.
            Err(_) => self.gate.connection_closed(),
        }
    }
}

async fn end(gate: &Gate, connection: Connection) {
    // Bounded: a peer that is gone doesn't answer, and the socket is closed all the same.
    let _ = tokio::time::timeout(gate.config.connect_timeout, connection.close_hard()).await;
    gate.connection_closed();
}
