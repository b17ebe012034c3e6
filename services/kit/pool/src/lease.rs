//! A connection that is handed out, and the statements that go over it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::TryStreamExt as _;
use sea_orm::{DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use selvage_context::lease::Held;
use sqlx::Error;
use tokio::time::Instant;

use crate::connect::{self, Close};
use crate::connection::Connection;
use crate::failure::{self, conn_error};
use crate::gate::Lent;
use crate::pooled::Pooled;
use crate::repeat::Again;
use crate::spans::Timed;
use crate::sql;
use crate::state::State;
use crate::useless::Useless;
use crate::watch::Operation;

/// How long a statement whose caller is gone may take to its end before its connection is closed. Most take less, and
/// another connection costs the server more.
const CLEAN_BOUND: Duration = Duration::from_millis(250);

/// How often a session is asked whether its server is as the address wants it, where that must be of one kind: so long a pool
/// may read from a server from which another took over. One more round trip in 5 s for each connection.
const ROLE_BOUND: Duration = Duration::from_secs(5);
/// A session that finds its server read-only is of no use only if it is older: a newer one has just been given no better.
const YOUNG: Duration = Duration::from_secs(1);

/// A connection, until it is dropped. What is in the middle of something then is cleaned or closed, and not handed out
/// before.
pub(crate) struct Lease {
    pool: Arc<State>,
    /// The writer's turn, where the database is a SQLite file.
    pub(crate) writer: Option<Lent<()>>,
    /// The connection, there until this is dropped.
    pooled: Option<Lent<Pooled>>,
    /// A statement is under way: if the lease is dropped now, nobody knows what is on the wire.
    busy: bool,
    /// The connection is of no use any more, and how it is to be closed.
    broken: Option<Close>,
    /// A transaction is open: closing the connection rolls it back.
    pub(crate) in_transaction: bool,
    /// What may be done again, and why.
    again: Again,
    /// The database doesn't know whether a statement was done, or a COMMIT had no answer.
    outcome_unknown: bool,
    /// The failure for which the database has given the transaction up: PostgreSQL answers its COMMIT with ROLLBACK and
    /// no error, and SQLite may have rolled it back already.
    given_up: Option<String>,
    /// Says for as long as the lease lives that a connection is held, if that is longer than a statement.
    pub(crate) held: Option<Held>,
}

impl Lease {
    pub(crate) fn new(pool: Arc<State>, pooled: Lent<Pooled>, operation: Operation) -> Self {
        pool.holders.start(pooled.slot(), operation, pooled.since());
        Self {
            pool,
            writer: None,
            pooled: Some(pooled),
            busy: false,
            broken: None,
            in_transaction: false,
            again: Again::Never,
            outcome_unknown: false,
            given_up: None,
            held: None,
        }
    }

    /// Whether sessions as old as this one may still be of use.
    pub(crate) fn is_current(&self) -> bool {
        self.pooled.as_ref().is_some_and(|pooled| pooled.generation == self.pool.generation.current())
    }

    /// Whether the connection can be used without asking whether it lives.
    pub(crate) fn is_fresh(&self) -> bool {
        self.pooled.as_ref().is_some_and(|pooled| {
            let used_lately = pooled.idle_for() < self.pool.config.idle_ping_after;
            used_lately && !(self.pool.options.wanted().is_demanding() && pooled.checked.elapsed() > ROLE_BOUND)
        })
    }

    /// Whether the connection lives, and its server is as the address wants it. It has an eighth of the time that is left until
    /// then, so that a pool full of silent ones leaves time for another.
    pub(crate) async fn is_alive(&mut self, until: Instant) -> bool {
        let bound = self.pool.config.connect_timeout.min(until.saturating_duration_since(Instant::now()) / 8);
        let wanted = self.pool.options.wanted();
        let Some(pooled) = &mut self.pooled else { return false };
        self.busy = true;
        let asked = async {
            if wanted.is_demanding() {
                return pooled.connection.role().await.map(|role| wanted.is(role));
            }
            pooled.connection.ping().await.map(|()| true)
        };
        let answer = tokio::time::timeout(bound, asked).await;
        self.busy = false;
        self.broken = match answer {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => {
                self.end_generation("its server isn't as its address wants it any more");
                Some(Close::Graceful)
            }
            Ok(Err(error)) if Useless::of(&error).is_some_and(Useless::is_ended_there) => Some(Close::ByServer),
            _ => Some(Close::Abort),
        };
        if let (None, Some(pooled)) = (self.broken, &mut self.pooled) {
            pooled.checked = Instant::now();
        }
        self.broken.is_none()
    }

    /// This session was found useless for a reason that all of its generation share: none of them is used again.
    fn end_generation(&self, why: &str) {
        let Some(pooled) = &self.pooled else { return };
        if self.pool.generation.end(pooled.generation) {
            tracing::warn!(pool = self.pool.config.name, why, "connections are of no use any more, and are made anew");
        }
    }

    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<ExecResult, DbErr> {
        let (bound, span) = (self.begin_statement(), self.pool.spans.statement(&statement.sql));
        let result = within(bound, self.connection().map_err(conn_error)?.execute(statement)).await;
        self.end_statement(result, span).map_err(|error| self.failed(error, &statement.sql, DbErr::Exec))
    }

    pub(crate) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult, DbErr> {
        let (bound, span) = (self.begin_statement(), self.pool.spans.statement(sql));
        let result = within(bound, self.connection().map_err(conn_error)?.execute_unprepared(sql)).await;
        self.end_statement(result, span).map_err(|error| self.failed(error, sql, DbErr::Exec))
    }

    pub(crate) async fn query_one(&mut self, statement: &Statement) -> Result<Option<QueryResult>, DbErr> {
        let (bound, span) = (self.begin_statement(), self.pool.spans.statement(&statement.sql));
        let result = within(bound, self.connection().map_err(conn_error)?.query_one(statement)).await;
        self.end_statement(result, span).map_err(|error| self.failed(error, &statement.sql, DbErr::Query))
    }

    pub(crate) async fn query_all(&mut self, statement: &Statement) -> Result<Vec<QueryResult>, DbErr> {
        let (bound, span) = (self.begin_statement(), self.pool.spans.statement(&statement.sql));
        let result = within(bound, self.connection().map_err(conn_error)?.query_all(statement)).await;
        self.end_statement(result, span).map_err(|error| self.failed(error, &statement.sql, DbErr::Query))
    }

    /// Hands each row to the stream that `rows` is; see the `stream` module.
    pub(crate) fn rows(
        mut self,
        statement: Statement,
    ) -> impl futures::Stream<Item = Result<QueryResult, DbErr>> + Send {
        async_stream::stream! {
            let (bound, span) = (self.begin_statement(), self.pool.spans.statement(&statement.sql));
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
            let result = self.end_statement(ended, span);
            if let Err(error) = result {
                yield Err(self.failed(error, &statement.sql, DbErr::Query));
            }
        }
    }

    /// Runs one of the transaction's own words: BEGIN, COMMIT, ROLLBACK, SAVEPOINT.
    pub(crate) async fn control(&mut self, sql: &str) -> Result<(), Error> {
        self.busy = true;
        let bound = self.pool.config.answer_bound();
        // What a COMMIT waits for is the disk; the other words take a round trip.
        let span = if sql == "COMMIT" { self.pool.spans.statement(sql) } else { Timed::none() };
        let result = within(bound, self.connection()?.execute_unprepared(sql)).await.map(drop);
        self.end_statement(result, span)
    }

    /// Says how long the statement's answer is waited for.
    fn begin_statement(&mut self) -> Option<Duration> {
        self.busy = true;
        self.pool.totals.statements.fetch_add(1, Ordering::Relaxed);
        self.pool.config.answer_bound()
    }

    fn connection(&mut self) -> Result<&mut Connection, Error> {
        // One that is broken would be waited for again, or give the answer to what was asked before.
        let pooled = self.pooled.as_mut().filter(|_| self.broken.is_none());
        pooled.map(|pooled| &mut pooled.connection).ok_or_else(failure::closed)
    }

    fn end_statement<T>(&mut self, result: Result<T, Error>, span: Timed) -> Result<T, Error> {
        self.busy = false;
        match &result {
            Ok(_) => span.ended(),
            Err(error) => span.refused_by_database(error),
        }
        if let Err(error) = &result {
            if failure::is_retryable(error) {
                self.again = Again::Conflict;
            }
            self.outcome_unknown |= failure::is_ambiguous(error);
            if let Some(useless) = Useless::of(error) {
                self.end_session(useless, error);
            }
            if self.in_transaction && self.given_up.is_none() && failure::gives_up(error) {
                self.given_up = Some(error.to_string());
            }
        }
        result
    }

    /// Its session is of no use any more, and others may be of none either.
    fn end_session(&mut self, useless: Useless, error: &Error) {
        let opened = self.pooled.as_ref().map(|pooled| pooled.opened);
        if useless == Useless::ReadOnly && opened.is_none_or(|opened| opened.elapsed() < YOUNG) {
            return;
        }
        self.broken = Some(match useless {
            Useless::Broken => Close::Abort,
            gone if gone.is_ended_there() => Close::ByServer,
            _ => Close::Graceful,
        });
        if useless.may_be_asked_again() {
            self.again = Again::Elsewhere;
        }
        match self.broken {
            Some(Close::Graceful) => self.end_generation(&error.to_string()),
            _ => self.pool.gate.suspect_idle(),
        }
    }

    /// A statement's failure, as its caller gets it: it says where nobody knows whether the statement was done.
    fn failed(&self, error: Error, text: &str, as_it_is: fn(RuntimeErr) -> DbErr) -> DbErr {
        // What a transaction did goes with it. A statement by itself may have been done if the answer didn't come.
        let unanswered = !self.in_transaction
            && self.pool.options.backend() == DbBackend::Postgres
            && Useless::of(&error).is_some_and(Useless::may_be_done)
            && !sql::only_reads(text);
        if unanswered || failure::is_ambiguous(&error) {
            return failure::outcome_unknown("done", &error);
        }
        as_it_is(RuntimeErr::SqlxError(error.into()))
    }

    /// Whether what was done over it may be done again: then nothing of it can have happened.
    pub(crate) fn again(&self) -> Again {
        if self.outcome_unknown { Again::Never } else { self.again }
    }

    pub(crate) fn is_outcome_unknown(&self) -> bool {
        self.outcome_unknown
    }

    pub(crate) fn set_outcome_unknown(&mut self) {
        self.outcome_unknown = true;
    }

    /// The failure for which the database has given the transaction up, if it has.
    pub(crate) fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }

    /// The failure doesn't count any more: the transaction was rolled back to a savepoint from before it.
    pub(crate) fn failure_undone(&mut self) {
        self.given_up = None;
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether the session has ended before its time, so that an answer may have been lost.
    pub(crate) fn is_cut_off(&self) -> bool {
        matches!(self.broken, Some(Close::ByServer | Close::Abort))
    }
}

/// What `work` on a connection gives, if there is an answer within `bound`.
async fn within<T>(bound: Option<Duration>, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let Some(bound) = bound else { return work.await };
    tokio::time::timeout(bound, work).await.unwrap_or_else(|_| Err(failure::silent("answer", bound)))
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(pooled) = self.pooled.take() else { return };
        let (operation, took) = (self.pool.holders.end(pooled.slot()), pooled.since().elapsed());
        self.pool.meters.used(took);
        if let Some(operation) = operation {
            self.pool.uses.add(operation.name, took);
        }
        let clean = !(self.busy || self.broken.is_some() || self.in_transaction);
        if clean && !pooled.is_expired(self.pool.generation.current()) {
            // Back before the writer's turn is, so that the next writer finds it.
            return drop(pooled);
        }
        let close = if clean { Some(Close::Graceful) } else { self.broken };
        // To close a file costs next to nothing, and what a server has ended isn't there to be cleaned.
        let close = close.or_else(|| pooled.connection.is_file().then_some(Close::Abort));
        // Without a runtime nobody can wait; the connection is closed by being dropped.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return drop(pooled.end()) };
        let (pool, writer, in_transaction) = (self.pool.clone(), self.writer.take(), self.in_transaction);
        match close {
            Some(close) => {
                let (pooled, slot) = pooled.end();
                runtime.spawn(async move {
                    connect::end(pool, pooled, slot, close).await;
                    drop(writer);
                });
            }
            None => drop(runtime.spawn(clean_or_end(pool, pooled, in_transaction))),
        }
    }
}

/// Waits for the end of what its caller has left, and rolls it back.
async fn clean_or_end(pool: Arc<State>, mut pooled: Lent<Pooled>, in_transaction: bool) {
    // sqlx reads the answers that nobody has taken before it asks anything else.
    let cleaning = async {
        if in_transaction {
            pooled.connection.execute_unprepared("ROLLBACK").await.map(drop)
        } else {
            pooled.connection.ping().await
        }
    };
    if matches!(tokio::time::timeout(CLEAN_BOUND, cleaning).await, Ok(Ok(()))) {
        return drop(pooled);
    }
    let (pooled, slot) = pooled.end();
    connect::end(pool, pooled, slot, Close::Abort).await;
}
