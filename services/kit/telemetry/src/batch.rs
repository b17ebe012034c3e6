//! Spans on their way out. Where they end nothing is done but to put them into a bounded queue; a thread of its own sends
//! them. What doesn't fit, or can't be sent, is counted and forgotten.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::{Context, KeyValue, StringValue, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::settings::Batch;

/// Spans by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

struct Queue {
    batch: Batch,
    spans: Mutex<Vec<SpanData>>,
    full: Notify,
    counts: Arc<Counts>,
}

impl Queue {
    fn spans(&self) -> MutexGuard<'_, Vec<SpanData>> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to `size` of the oldest.
    fn take(&self) -> Vec<SpanData> {
        let mut spans = self.spans();
        let count = spans.len().min(self.batch.size);
        if count == spans.len() { std::mem::take(&mut *spans) } else { spans.drain(..count).collect() }
    }
}

/// The end of the queue that spans are put into.
pub(crate) struct Processor(Arc<Queue>);

impl fmt::Debug for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Processor").field("counts", &self.0.counts).finish_non_exhaustive()
    }
}

impl SpanProcessor for Processor {
    fn on_start(&self, _span: &mut Span, _cx: &Context) {}

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        let mut spans = self.0.spans();
        if spans.len() >= self.0.batch.queue {
            drop(spans);
            self.0.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        spans.push(span);
        let full = spans.len() == self.0.batch.size;
        drop(spans);
        if full {
            self.0.full.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.full.notify_one();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The other end.
pub(crate) struct Export<E> {
    queue: Arc<Queue>,
    exporter: E,
    failing: bool,
}

/// A queue of spans to be sent with `exporter`.
pub(crate) fn pair<E: SpanExporter>(batch: Batch, exporter: E) -> (Processor, Export<E>) {
    let counts = Arc::new(Counts::default());
    observe(&counts);
    let queue = Arc::new(Queue { batch, spans: Mutex::default(), full: Notify::new(), counts });
    (Processor(queue.clone()), Export { queue, exporter, failing: false })
}

impl<E: SpanExporter> Export<E> {
    /// Sends what is in the queue until `by`.
    async fn flush(&mut self, by: Option<Instant>) {
        loop {
            let mut spans = self.queue.take();
            if spans.is_empty() {
                return;
            }
            if let Some(bound) = self.queue.batch.text {
                spans.iter_mut().for_each(|span| shorten(&mut span.attributes, bound));
            }
            let count = spans.len() as u64;
            let latest = Instant::now() + self.queue.batch.timeout;
            let sent = timeout_at(by.map_or(latest, |by| by.min(latest)), self.exporter.export(spans)).await;
            let counts = &self.queue.counts;
            match sent.map_err(|_| "no answer in time".to_owned()).and_then(|sent| sent.map_err(|e| e.to_string())) {
                Ok(()) => {
                    counts.exported.fetch_add(count, Ordering::Relaxed);
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("traces are exported again");
                    }
                }
                Err(error) => {
                    counts.failed.fetch_add(count, Ordering::Relaxed);
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::warn!(
                            error,
                            "traces can't be exported; the metric selvage.telemetry.spans counts them"
                        );
                    }
                    // What has come since waits for its turn.
                    return;
                }
            }
        }
    }
}

fn shorten(attributes: &mut [KeyValue], bound: usize) {
    for attribute in attributes {
        if let Value::String(text) = &attribute.value
            && text.as_str().len() > bound
        {
            let text = text.as_str();
            attribute.value = Value::String(StringValue::from(text[..text.floor_char_boundary(bound)].to_owned()));
        }
    }
}

fn observe(counts: &Arc<Counts>) {
    let counts = counts.clone();
    opentelemetry::global::meter("selvage.telemetry")
        .u64_observable_counter("selvage.telemetry.spans")
        .with_unit("{span}")
        .with_description("Spans by what became of them: exported, dropped for want of room, or failed on their way.")
        .with_callback(move |instrument| {
            for (outcome, count) in
                [("exported", &counts.exported), ("dropped", &counts.dropped), ("failed", &counts.failed)]
            {
                instrument.observe(count.load(Ordering::Relaxed), &[KeyValue::new("outcome", outcome)]);
            }
        })
        .build();
}

/// Tells the exporting thread to end.
#[derive(Debug)]
pub(crate) struct Stop(oneshot::Sender<Duration>);

impl Stop {
    /// What is left may take so long.
    pub(crate) fn within(self, bound: Duration) {
        // Err: it has ended already.
        let _ = self.0.send(bound);
    }
}

pub(crate) fn stop() -> (Stop, oneshot::Receiver<Duration>) {
    let (sender, receiver) = oneshot::channel();
    (Stop(sender), receiver)
}

/// Sends spans, if there are any to send, and drives the connections of whatever else is sent, until told to stop.
pub(crate) async fn run<E: SpanExporter>(export: Option<Export<E>>, mut stopped: oneshot::Receiver<Duration>) {
    let Some(mut export) = export else {
        let _ = stopped.await;
        return;
    };
    let queue = export.queue.clone();
    let bound = loop {
        tokio::select! {
            bound = &mut stopped => break bound.unwrap_or_default(),
            // Either is reason enough to send.
            _ = timeout(queue.batch.delay, queue.full.notified()) => {}
        }
        // The end doesn't wait for a collector that doesn't answer.
        tokio::select! {
            bound = &mut stopped => break bound.unwrap_or_default(),
            () = export.flush(None) => {}
        }
    };
    export.flush(Some(Instant::now() + bound)).await;
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider};

    use super::*;

    const BATCH: Batch =
        Batch { queue: 10, size: 4, delay: Duration::from_secs(5), timeout: Duration::from_secs(30), text: Some(8) };

    fn provider(processor: Processor) -> SdkTracerProvider {
        SdkTracerProvider::builder().with_span_processor(processor).with_sampler(Sampler::AlwaysOn).build()
    }

    fn spans(provider: &SdkTracerProvider, count: usize) {
        let tracer = provider.tracer("test");
        for _ in 0..count {
            let span = tracer.span_builder("it").with_attributes([KeyValue::new("text", "longer than that")]);
            drop(span.start(&tracer));
        }
    }

    fn counts(queue: &Queue) -> [u64; 3] {
        let counts = &queue.counts;
        [&counts.exported, &counts.dropped, &counts.failed].map(|count| count.load(Ordering::Relaxed))
    }

    #[derive(Debug)]
    enum Trouble {
        Silent,
        Refuses,
    }

    impl SpanExporter for Trouble {
        async fn export(&self, _batch: Vec<SpanData>) -> OTelSdkResult {
            match self {
                Self::Silent => std::future::pending().await,
                Self::Refuses => Err(OTelSdkError::InternalFailure("no".to_owned())),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_is_sent_and_long_texts_are_cut_off() {
        let exporter = InMemorySpanExporter::default();
        let (processor, export) = pair(BATCH, exporter.clone());
        let (queue, (stop, stopped)) = (export.queue.clone(), stop());
        let running = tokio::spawn(run(Some(export), stopped));
        let provider = provider(processor);
        spans(&provider, 3);
        tokio::time::sleep(BATCH.delay * 2).await;
        assert_eq!(counts(&queue), [3, 0, 0], "after the delay");
        spans(&provider, 4);
        tokio::time::sleep(BATCH.delay / 5).await;
        assert_eq!(counts(&queue), [7, 0, 0], "a full batch waits for nothing");
        spans(&provider, 1);
        stop.within(Duration::from_secs(1));
        running.await.unwrap();
        assert_eq!(counts(&queue), [8, 0, 0], "the last ones too");
        let sent = exporter.get_finished_spans().unwrap();
        assert!(sent.iter().all(|span| span.attributes[0].value.as_str() == "longer t"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_collector_holds_up_nobody_and_what_it_misses_is_counted() {
        let (processor, export) = pair(BATCH, Trouble::Silent);
        let (queue, (stop, stopped)) = (export.queue.clone(), stop());
        let running = tokio::spawn(run(Some(export), stopped));
        let provider = provider(processor);
        spans(&provider, 25);
        assert_eq!(counts(&queue), [0, 15, 0], "there was room for ten");
        tokio::time::sleep(BATCH.timeout + BATCH.delay).await;
        assert_eq!(counts(&queue), [0, 15, 4], "one batch was given up");
        let begun = Instant::now();
        stop.within(Duration::from_secs(2));
        running.await.unwrap();
        assert!(begun.elapsed() <= Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_refuses_is_asked_again_with_what_comes_later() {
        let (processor, export) = pair(BATCH, Trouble::Refuses);
        let (queue, (_stop, stopped)) = (export.queue.clone(), stop());
        tokio::spawn(run(Some(export), stopped));
        let provider = provider(processor);
        spans(&provider, 3);
        tokio::time::sleep(BATCH.delay * 2).await;
        spans(&provider, 2);
        tokio::time::sleep(BATCH.delay * 2).await;
        assert_eq!(counts(&queue), [0, 0, 5]);
    }

    #[tokio::test]
    async fn what_is_not_sampled_is_not_kept() {
        let (processor, export) = pair(BATCH, Trouble::Silent);
        let builder = SdkTracerProvider::builder().with_span_processor(processor);
        spans(&builder.with_sampler(Sampler::AlwaysOff).build(), 25);
        assert_eq!(counts(&export.queue), [0, 0, 0]);
    }
}
