//! Spans between their end and the collector. A span that ends is written into a bounded queue, and nothing more; a thread of
//! its own sends what is in the queue, in batches. Spans that don't fit, or can't be sent, are counted and dropped.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::otlp::encode::{self, Spans};
use crate::otlp::send::Sender;
use crate::settings::Batch;

/// How many spans were sent, how many found no room, and how many were lost in sending.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

struct Queue {
    batch: Batch,
    waiting: Mutex<Waiting>,
    full: Notify,
    counts: Arc<Counts>,
}

/// Spans that wait, in the batches in which they are sent.
#[derive(Default)]
struct Waiting {
    /// Full batches, which are sent at once.
    full: VecDeque<Spans>,
    filling: Spans,
    /// Spans in all of them.
    count: usize,
}

impl Waiting {
    /// Adds `span`; returns whether a batch is full with it.
    fn put(&mut self, span: &SpanData, batch: &Batch) -> bool {
        self.count += 1;
        self.filling.put(span, batch.text);
        let full = self.filling.count() >= batch.size;
        if full {
            self.close();
        }
        full
    }

    /// Counts the batch that is filling as a full one, so that it is sent as it is.
    fn close(&mut self) {
        if self.filling.count() > 0 {
            self.full.push_back(std::mem::take(&mut self.filling));
        }
    }

    /// Takes the oldest full batch out; if there is none, and with `rest`, the one that is filling.
    fn take(&mut self, rest: bool) -> Option<Spans> {
        if rest && self.full.is_empty() {
            self.close();
        }
        let batch = self.full.pop_front()?;
        self.count -= batch.count();
        Some(batch)
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the queue into which spans are put.
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
        let mut waiting = self.0.waiting();
        if waiting.count >= self.0.batch.queue {
            drop(waiting);
            self.0.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if waiting.put(&span, &self.0.batch) {
            drop(waiting);
            self.0.full.notify_one();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.waiting().close();
        self.0.full.notify_one();
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The end of the queue from which spans are sent.
pub(crate) struct Export<E> {
    queue: Arc<Queue>,
    /// The resource whose spans these are, as it is written in each request.
    resource: Vec<u8>,
    sender: E,
    failing: bool,
}

/// The two ends of a new queue of `resource`'s spans, which `sender` sends.
pub(crate) fn pair<E: Sender>(batch: Batch, resource: &Resource, sender: E) -> (Processor, Export<E>) {
    let counts = Arc::new(Counts::default());
    observe(&counts);
    let queue = Arc::new(Queue { batch, waiting: Mutex::default(), full: Notify::new(), counts });
    let resource = encode::resource(resource);
    (Processor(queue.clone()), Export { queue, resource, sender, failing: false })
}

impl<E: Sender> Export<E> {
    /// Sends full batches until `by`, and with `rest` also one that isn't full. Spans that end while that one is sent wait for
    /// the next time; a busy process would otherwise send them by twos and threes.
    async fn flush(&mut self, by: Option<Instant>, rest: bool) {
        loop {
            let Some(spans) = self.queue.waiting().take(rest) else { return };
            let count = spans.count() as u64;
            let request = spans.request(&self.resource).into();
            drop(spans);
            let latest = Instant::now() + self.queue.batch.timeout;
            let sent = timeout_at(by.map_or(latest, |by| by.min(latest)), self.sender.send(request)).await;
            let counts = &self.queue.counts;
            match sent.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
                Ok(()) => {
                    counts.exported.fetch_add(count, Ordering::Relaxed);
                    if std::mem::take(&mut self.failing) {
                        tracing::info!("traces are exported again");
                    }
                    if count < self.queue.batch.size as u64 {
                        return;
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
                    // The other batches wait for the next attempt, as the collector seems to be away.
                    return;
                }
            }
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

/// Ends [`run`].
#[derive(Debug)]
pub(crate) struct Stop(oneshot::Sender<Duration>);

impl Stop {
    /// Ends it; sending the spans that are left may take as long as `bound`.
    pub(crate) fn within(self, bound: Duration) {
        // Err: `run` has ended already.
        let _ = self.0.send(bound);
    }
}

pub(crate) fn stop() -> (Stop, oneshot::Receiver<Duration>) {
    let (sender, receiver) = oneshot::channel();
    (Stop(sender), receiver)
}

/// Sends the spans of `export` until told to stop. Without it, waits until then: the caller's runtime meanwhile drives the
/// connections by which metrics are sent.
pub(crate) async fn run<E: Sender>(export: Option<Export<E>>, mut stopped: oneshot::Receiver<Duration>) {
    let Some(mut export) = export else {
        let _ = stopped.await;
        return;
    };
    let queue = export.queue.clone();
    let bound = loop {
        let full = tokio::select! {
            bound = &mut stopped => break bound.unwrap_or_default(),
            full = timeout(queue.batch.delay, queue.full.notified()) => full.is_ok(),
        };
        // The end doesn't wait for a collector that doesn't answer.
        tokio::select! {
            bound = &mut stopped => break bound.unwrap_or_default(),
            () = export.flush(None, !full) => {}
        }
    };
    export.flush(Some(Instant::now() + bound), true).await;
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
    use prost::Message as _;

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

    enum Collector {
        Takes(Arc<Mutex<Vec<Bytes>>>),
        Silent,
        Refuses,
    }

    impl Sender for Collector {
        async fn send(&self, request: Bytes) -> Result<(), String> {
            match self {
                Self::Takes(requests) => requests.lock().unwrap().push(request),
                Self::Silent => std::future::pending().await,
                Self::Refuses => return Err("no".to_owned()),
            }
            Ok(())
        }
    }

    fn pair(collector: Collector) -> (Processor, Export<Collector>) {
        super::pair(BATCH, &Resource::builder_empty().with_service_name("test").build(), collector)
    }

    /// The texts of all spans that were sent.
    fn texts(requests: &[Bytes]) -> Vec<Value> {
        let mut texts = Vec::new();
        for request in requests {
            let request = ExportTraceServiceRequest::decode(request.clone()).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            let attributes = scopes.flat_map(|scope| scope.spans).flat_map(|span| span.attributes);
            texts.extend(attributes.filter_map(|attribute| attribute.value?.value));
        }
        texts
    }

    #[tokio::test(start_paused = true)]
    async fn what_ends_is_sent_and_long_texts_are_cut_off() {
        let requests = Arc::default();
        let (processor, export) = pair(Collector::Takes(Arc::clone(&requests)));
        let (queue, (stop, stopped)) = (export.queue.clone(), stop());
        let running = tokio::spawn(run(Some(export), stopped));
        let provider = provider(processor);
        spans(&provider, 3);
        tokio::time::sleep(BATCH.delay * 2).await;
        assert_eq!(counts(&queue), [3, 0, 0], "after the delay");
        spans(&provider, 4);
        tokio::time::sleep(BATCH.delay / 5).await;
        assert_eq!(counts(&queue), [7, 0, 0], "a full batch waits for nothing");
        spans(&provider, 5);
        tokio::time::sleep(BATCH.delay / 5).await;
        assert_eq!(counts(&queue), [11, 0, 0], "and takes no other along");
        stop.within(Duration::from_secs(1));
        running.await.unwrap();
        assert_eq!(counts(&queue), [12, 0, 0], "the last ones too");
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), 4);
        assert_eq!(texts(&requests), vec![Value::StringValue("longer t".to_owned()); 12]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_collector_holds_up_nobody_and_what_it_misses_is_counted() {
        let (processor, export) = pair(Collector::Silent);
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
        let (processor, export) = pair(Collector::Refuses);
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
        let (processor, export) = pair(Collector::Silent);
        let builder = SdkTracerProvider::builder().with_span_processor(processor);
        spans(&builder.with_sampler(Sampler::AlwaysOff).build(), 25);
        assert_eq!(counts(&export.queue), [0, 0, 0]);
    }
}
