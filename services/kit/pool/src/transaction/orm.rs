//! SeaORM's traits for a transaction.

use std::fmt;
use std::pin::Pin;

use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, Statement,
    TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
};

use super::Tx;

#[async_trait::async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.lease().await?.get()?.execute(&statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.lease().await?.get()?.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.lease().await?.get()?.query_one(&statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.lease().await?.get()?.query_all(&statement).await
    }
}

#[async_trait::async_trait]
impl TransactionSession for Tx {
    async fn commit(self) -> Result<(), DbErr> {
        if self.is_savepoint() { self.release_savepoint().await } else { self.commit_whole().await }
    }

    async fn rollback(self) -> Result<(), DbErr> {
        if self.is_savepoint() { self.roll_back_savepoint().await } else { self.roll_back_whole().await }
    }
}

/// Within a transaction, `begin` is a savepoint on the same connection.
#[async_trait::async_trait]
impl TransactionTrait for Tx {
    type Transaction = Tx;

    async fn begin(&self) -> Result<Tx, DbErr> {
        self.begin_savepoint().await
    }

    /// The configuration is the whole transaction's; a savepoint has none of its own.
    async fn begin_with_config(
        &self,
        _isolation_level: Option<IsolationLevel>,
        _access_mode: Option<AccessMode>,
    ) -> Result<Tx, DbErr> {
        self.begin_savepoint().await
    }

    async fn begin_with_options(&self, _options: TransactionOptions) -> Result<Tx, DbErr> {
        self.begin_savepoint().await
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.begin_savepoint().await.map_err(TransactionError::Connection)?.finish(callback).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        _isolation_level: Option<IsolationLevel>,
        _access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Tx) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.begin_savepoint().await.map_err(TransactionError::Connection)?.finish(callback).await
    }
}
