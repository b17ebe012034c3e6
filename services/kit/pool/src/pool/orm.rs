//! SeaORM's traits for a pool.

use std::fmt;
use std::pin::Pin;

use futures::StreamExt as _;
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, Statement, StreamTrait,
    TransactionError, TransactionOptions, TransactionTrait,
};

use super::Pool;
use crate::acquire;
use crate::lease::Lease;
use crate::repeat::Tries;
use crate::stream::Rows;
use crate::transaction::Tx;

/// Runs one statement by itself, again where nothing of it has happened. Its connection is given back before each pause.
macro_rules! repeated {
    ($pool:expr, $statement:expr, $run:ident) => {{
        let mut tries = Tries::default();
        loop {
            let mut lease = $pool.lease(&$statement.sql).await?;
            match lease.$run(&$statement).await {
                Ok(done) => break Ok(done),
                Err(error) => {
                    let again = lease.again();
                    drop(lease);
                    // In a box: a failure is rare, and what it needs would make each statement's future larger.
                    Box::pin(tries.after_failure($pool.state(), &$statement.sql, again, error)).await?;
                }
            }
        }
    }};
}

impl Pool {
    async fn lease(&self, sql: &str) -> Result<Lease, DbErr> {
        acquire::for_statement(self.state(), self.operation(), sql).await
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        repeated!(self, statement, execute)
    }

    /// Never done again: it may be several statements, some of which are done.
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lease(sql).await?.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        repeated!(self, statement, query_one)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        repeated!(self, statement, query_all)
    }
}

impl StreamTrait for Pool {
    type Stream<'a> = Rows<'a>;

    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Rows<'a>, DbErr>> + Send + 'a>> {
        Box::pin(async move {
            let lease = self.lease(&statement.sql).await?;
            Ok(Rows::new(lease.rows(statement).boxed()))
        })
    }
}

/// For SeaORM's own needs; our code uses [`Pool::run_tx`].
#[async_trait::async_trait]
impl TransactionTrait for Pool {
    type Transaction = Tx;

    async fn begin(&self) -> Result<Tx, DbErr> {
        Tx::begin(self.state(), self.operation()).await
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Tx, DbErr> {
        let tx = Tx::begin(self.state(), self.operation()).await?;
        tx.configure(isolation_level, access_mode).await?;
        Ok(tx)
    }

    async fn begin_with_options(&self, options: TransactionOptions) -> Result<Tx, DbErr> {
        let tx = Tx::begin(self.state(), self.operation()).await?;
        tx.configure(options.isolation_level, options.access_mode).await?;
        Ok(tx)
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let tx = Tx::begin(self.state(), self.operation()).await.map_err(TransactionError::Connection)?;
        tx.finish(callback).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let tx = Tx::begin(self.state(), self.operation()).await.map_err(TransactionError::Connection)?;
        tx.configure(isolation_level, access_mode).await.map_err(TransactionError::Connection)?;
        tx.finish(callback).await
    }
}
