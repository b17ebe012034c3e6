//! Spans for the wait for a connection and for each statement. They are made only within a trace that is recorded; elsewhere
//! they cost a look at the current context.

use std::sync::Arc;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use selvage_conventions::{db, error};

use crate::described::Statements;
use crate::watch::Operation;

/// Makes a pool's spans.
pub(crate) struct Spans {
    tracer: BoxedTracer,
    pool: KeyValue,
    /// What is the same for all statements: system, database, server.
    database: Vec<KeyValue>,
    statements: Statements,
}

impl Spans {
    pub(crate) fn new(pool: &str, database: Vec<KeyValue>) -> Self {
        Self {
            tracer: opentelemetry::global::tracer("selvage.pool"),
            pool: KeyValue::new(db::POOL_NAME, Arc::<str>::from(pool)),
            database,
            statements: Statements::default(),
        }
    }

    /// A caller begins to wait.
    pub(crate) fn wait(&self, operation: &Operation) -> Timed {
        Timed(recorded().map(|parent| {
            let attributes = vec![
                self.pool.clone(),
                KeyValue::new(db::POOL_CLASS, operation.class.name()),
                KeyValue::new(db::POOL_OPERATION, operation.name),
            ];
            let builder = self.tracer.span_builder(db::POOL_WAIT).with_kind(SpanKind::Internal);
            builder.with_attributes(attributes).start_with_context(&self.tracer, &parent)
        }))
    }

    /// A transaction begins, in whose context its statements belong; `None` where nothing is recorded.
    pub(crate) fn transaction(&self, operation: &Operation) -> Option<Context> {
        let parent = recorded()?;
        let attributes = vec![self.pool.clone(), KeyValue::new(db::POOL_CLASS, operation.class.name())];
        let builder = self.tracer.span_builder(operation.name).with_kind(SpanKind::Internal);
        Some(parent.with_span(builder.with_attributes(attributes).start_with_context(&self.tracer, &parent)))
    }

    /// A statement begins.
    pub(crate) fn statement(&self, text: &str) -> Timed {
        Timed(recorded().map(|parent| {
            let statement = self.statements.described(text);
            let mut attributes = Vec::with_capacity(self.database.len() + 2);
            attributes.extend_from_slice(&self.database);
            attributes.push(KeyValue::new(db::QUERY_SUMMARY, statement.summary.clone()));
            attributes.push(KeyValue::new(db::QUERY_TEXT, statement.text));
            let builder = self.tracer.span_builder(statement.summary.to_string()).with_kind(SpanKind::Client);
            builder.with_attributes(attributes).start_with_context(&self.tracer, &parent)
        }))
    }
}

/// The context that runs now, if its trace is recorded.
fn recorded() -> Option<Context> {
    Context::map_current(|context| context.span().span_context().is_sampled().then(|| context.clone()))
}

/// A span, if there is one, that ends when this is dropped: cancelled, unless it was said how it ended.
pub(crate) struct Timed(Option<BoxedSpan>);

impl Timed {
    /// No span.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// It came to its end.
    pub(crate) fn ended(mut self) {
        self.0.take();
    }

    /// It failed for the reason that `error.type` names.
    pub(crate) fn failed(mut self, reason: impl Into<String>) {
        if let Some(mut span) = self.0.take() {
            span.set_attribute(KeyValue::new(error::TYPE, reason.into()));
            span.set_status(Status::error(""));
        }
    }

    /// The database said no, or nothing.
    pub(crate) fn refused_by_database(mut self, error: &sqlx::Error) {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if let (Some(span), Some(code)) = (&mut self.0, &code) {
            span.set_attribute(KeyValue::new(db::RESPONSE_STATUS_CODE, code.clone().into_owned()));
        }
        self.failed(code.map_or_else(|| kind(error).to_owned(), std::borrow::Cow::into_owned));
    }
}

fn kind(error: &sqlx::Error) -> &'static str {
    match error {
        sqlx::Error::Io(_) => "io",
        sqlx::Error::Tls(_) => "tls",
        sqlx::Error::Protocol(_) => "protocol",
        _ => "_OTHER",
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some(span) = &mut self.0 {
            span.set_attribute(KeyValue::new(error::TYPE, "cancelled"));
        }
    }
}
