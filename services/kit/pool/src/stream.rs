use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;
use sea_orm::{DbErr, QueryResult};
use selvage_context::lease::Held;

/// The rows of a query, one at a time. It holds its connection until it is dropped.
pub struct Rows<'a> {
    rows: BoxStream<'a, Result<QueryResult, DbErr>>,
    _held: Held,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(rows: BoxStream<'a, Result<QueryResult, DbErr>>) -> Self {
        Self { rows, _held: Held::start() }
    }
}

impl Stream for Rows<'_> {
    type Item = Result<QueryResult, DbErr>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.as_mut().poll_next(cx)
    }
}
