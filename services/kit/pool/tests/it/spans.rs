//! What a trace shows of the pool: the wait apart from the statement, and no values.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::global;
use opentelemetry::trace::{FutureExt as _, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use sea_orm::{ConnectionTrait as _, DbErr, EntityTrait as _};
use selvage_pool::Class;
use selvage_testkit::{Engine, engines, eventually};
use tokio::sync::{Notify, OnceCell};

use crate::entity::{Entity, pool};
use crate::gate::hold;

const LONG: Duration = Duration::from_secs(10);

/// The process's one exporter. To be there before a pool is opened.
async fn exporter() -> &'static InMemorySpanExporter {
    static EXPORTER: OnceCell<InMemorySpanExporter> = OnceCell::const_new();
    EXPORTER
        .get_or_init(async || {
            let exporter = InMemorySpanExporter::default();
            let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
            global::set_tracer_provider(provider);
            exporter
        })
        .await
}

/// Does `work` in a trace, and returns that trace's spans in the order in which they ended.
async fn traced<T>(work: impl Future<Output = T>) -> (T, Vec<SpanData>) {
    let root = Context::new().with_span(global::tracer("test").start("root"));
    let id = root.span().span_context().trace_id();
    let done = work.with_context(root.clone()).await;
    root.span().end();
    let spans = exporter().await.get_finished_spans().expect("they are there");
    (done, spans.into_iter().filter(|span| span.span_context.trace_id() == id).collect())
}

fn said<'a>(span: &'a SpanData, key: &str) -> Option<&'a KeyValue> {
    span.attributes.iter().find(|attribute| attribute.key.as_str() == key)
}

fn text(span: &SpanData, key: &str) -> String {
    said(span, key).map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

fn names(spans: &[SpanData]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_ref()).collect()
}

#[tokio::test]
async fn a_statement_is_a_span_and_so_is_the_wait_before_it() {
    exporter().await;
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        let named = pool.named("counter_all", Class::Sheddable);
        let (_, spans) = traced(Entity::find().all(&named)).await;
        assert_eq!(names(&spans), ["pool.wait", "SELECT counter", "root"]);
        let [wait, statement, root] = &spans[..] else { panic!("three") };
        assert_eq!(text(wait, "db.client.connection.pool.name"), pool.config().name);
        assert_eq!(text(wait, "selvage.pool.operation"), "counter_all");
        assert_eq!(text(wait, "selvage.pool.class"), "sheddable");
        assert_eq!(statement.span_kind, SpanKind::Client);
        let system = if pool.backend() == sea_orm::DbBackend::Postgres { "postgresql" } else { "sqlite" };
        assert_eq!(text(statement, "db.system.name"), system);
        assert!(text(statement, "db.query.text").starts_with("SELECT"));
        assert!([wait, statement].iter().all(|span| span.parent_span_id == root.span_context.span_id()));
        assert!(wait.end_time <= statement.start_time, "the one ends before the other begins");
    }
}

#[tokio::test]
async fn a_transaction_holds_its_statements_and_its_commit() {
    exporter().await;
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        let work = pool.run_tx("counter_count", Class::Critical, |tx| async move {
            tx.execute_unprepared("SELECT 'a secret' FROM counter").await?;
            Ok::<_, DbErr>(())
        });
        let (done, spans) = traced(work).await;
        done.unwrap();
        let transaction = spans.iter().find(|span| span.name == "counter_count").expect("the transaction");
        assert_eq!(text(transaction, "selvage.transaction.outcome"), "committed");
        for name in ["pool.wait", "SELECT counter", "COMMIT"] {
            let inside = spans.iter().filter(|span| span.name == name);
            let mut parents = inside.map(|span| span.parent_span_id).peekable();
            assert!(parents.peek().is_some(), "{name}");
            assert!(parents.all(|parent| parent == transaction.span_context.span_id()), "{name}");
        }
        assert!(!format!("{spans:?}").contains("a secret"), "values are nobody's business");
    }
}

#[tokio::test]
async fn what_fails_says_why() {
    exporter().await;
    for engine in engines() {
        let (pool, _database) = pool(engine, |_| {}).await;
        let (failed, spans) = traced(pool.execute_unprepared("SELECT nothing FROM nowhere")).await;
        assert!(failed.is_err());
        let statement = spans.iter().find(|span| span.name == "SELECT nowhere").expect("the statement");
        let code = text(statement, "error.type");
        assert_eq!(code, text(statement, "db.response.status_code"));
        let expected = if pool.backend() == sea_orm::DbBackend::Postgres { "42P01" } else { "1" };
        assert_eq!(code, expected);
    }
}

#[tokio::test]
async fn who_stops_waiting_leaves_a_span_that_says_so() {
    exporter().await;
    let (pool, _database) = pool(Engine::Sqlite, |config| config.limit = 1).await;
    let release = Arc::new(Notify::new());
    let holder = hold(&pool, &release);
    eventually(LONG, "the only slot is taken", async || pool.snapshot().in_use == 1).await;
    let (_, spans) = traced(async {
        let waiting = pool.clone();
        let waiter = async move { waiting.execute_unprepared("SELECT 1").await.map(drop) };
        let waiter = tokio::spawn(waiter.with_current_context());
        eventually(LONG, "somebody waits", async || pool.snapshot().waiting == 1).await;
        waiter.abort();
        assert!(waiter.await.is_err_and(|error| error.is_cancelled()));
    })
    .await;
    assert_eq!(names(&spans), ["pool.wait", "root"]);
    assert_eq!(text(&spans[0], "error.type"), "cancelled");
    release.notify_one();
    holder.await.unwrap().unwrap();
}

#[tokio::test]
async fn outside_a_trace_there_are_no_spans() {
    let exporter = exporter().await;
    let (pool, _database) = pool(Engine::Sqlite, |_| {}).await;
    let before =
        |spans: &[SpanData]| spans.iter().filter(|span| text(span, "selvage.pool.operation") == "alone").count();
    Entity::find().all(&pool.named("alone", Class::Normal)).await.unwrap();
    assert_eq!(before(&exporter.get_finished_spans().unwrap()), 0);
}
