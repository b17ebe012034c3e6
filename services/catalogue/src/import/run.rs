//! Reading in one thread, writing from another: while a batch is written the next one is read.

use std::collections::{HashMap, HashSet};
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Event, Format, Found, ImportError, Item, Problem, Progress, Report, parse};
use crate::store::{Store, Upserted};

/// A batch ends with this many products, variants or problems: enough that a transaction's commit (a few milliseconds)
/// counts for little, few enough that a shop that is serving waits for it only some 50 ms.
const BATCH_PRODUCTS: usize = 200;
/// One SKU is one parameter of a statement, of which SQLite takes 32,766: 2,000 and one more product's 200.
const BATCH_VARIANTS: usize = 2_000;
const BATCH_PROBLEMS: usize = 1_000;
/// Batches that are read ahead. One is enough for reading and writing to overlap.
const AHEAD: usize = 1;
const BUFFER: usize = 256 * 1024;
/// SQLite has one writer. A shop that serves beside us is another process, which can't queue for that place: it looks for
/// it again and again, every 100 ms once it has waited for 0.2 s, and gives up after 5 s. Our transactions follow each
/// other within less than a millisecond, so it might never find it free. We therefore write for a turn, and then leave the
/// place free for longer than the other's pause: it waits for a turn, a batch and a pause, 250 + 50 + 125 ms. That costs
/// a third of the speed at the most.
const TURN: Duration = Duration::from_millis(250);
const BREATH: Duration = Duration::from_millis(125);

/// Imports `feed` into `store`. What is created now came at `now_ms`, the feed's first product last, so that a listing of
/// the newest shows the feed's order. `observe` is told of each problem, and of the progress after each batch.
///
/// Dropped, it stops after the batch that it writes. Must be called within a Tokio runtime.
///
/// # Errors
/// If the feed can't be read to its end or the database refuses; batches that were written stay.
pub async fn run(
    store: &Store,
    feed: impl Read + Send + 'static,
    format: Format,
    now_ms: i64,
    mut observe: impl FnMut(Event<'_>),
) -> Result<Report, ImportError> {
    let bytes = Arc::new(AtomicU64::new(0));
    let (batches, mut incoming) = mpsc::channel(AHEAD);
    let currency = store.currency().to_owned();
    let counted = BufReader::with_capacity(BUFFER, Counted { feed, bytes: Arc::clone(&bytes) });
    let reader = tokio::task::spawn_blocking(move || {
        let mut batch = Batch::default();
        let read = parse(counted, format, &currency, &mut |item| {
            batch.add(item);
            if batch.is_full() && batches.blocking_send(std::mem::take(&mut batch)).is_err() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        // Even of a feed that broke off the beginning is kept.
        let _ = batches.blocking_send(batch);
        read
    });
    let mut writer = Writer { store, now_ms, report: Report::default(), products: 0, categories: HashSet::new() };
    let mut turn = Instant::now();
    while let Some(batch) = incoming.recv().await {
        for problem in writer.write(batch).await? {
            observe(Event::Problem(&problem));
        }
        observe(Event::Progress(Progress { bytes: bytes.load(Ordering::Relaxed), report: writer.report }));
        if store.has_one_writer() && turn.elapsed() >= TURN {
            tokio::time::sleep(BREATH).await;
            turn = Instant::now();
        }
    }
    match reader.await {
        Ok(read) => read.map(|()| writer.report),
        // It is never aborted: it panicked, and so do we.
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

/// What was read since the last batch.
#[derive(Default)]
struct Batch {
    found: Vec<Found>,
    variants: usize,
    problems: Vec<Problem>,
    rows: u64,
    failed: u64,
    hidden: u64,
}

impl Batch {
    fn add(&mut self, item: Item) {
        match item {
            Item::Row => self.rows += 1,
            Item::Product(found) => {
                self.variants += found.product.variants.len();
                self.found.push(*found);
            }
            Item::Problem(problem) => self.problems.push(problem),
            Item::Failed(problem) => {
                self.failed += 1;
                self.problems.push(problem);
            }
            Item::Hidden => self.hidden += 1,
        }
    }

    fn is_full(&self) -> bool {
        self.found.len() >= BATCH_PRODUCTS || self.variants >= BATCH_VARIANTS || self.problems.len() >= BATCH_PROBLEMS
    }
}

struct Writer<'a> {
    store: &'a Store,
    now_ms: i64,
    report: Report,
    /// Products so far.
    products: i64,
    /// Categories that are known to be there.
    categories: HashSet<String>,
}

impl Writer<'_> {
    /// Writes a batch; returns what was wrong in it, by line.
    async fn write(&mut self, batch: Batch) -> Result<Vec<Problem>, ImportError> {
        let mut problems = batch.problems;
        let mut categories = Vec::new();
        let mut lines = HashMap::new();
        let mut products = Vec::with_capacity(batch.found.len());
        for found in batch.found {
            if self.categories.insert(found.product.category.clone()) {
                let blurb = crate::seed::categories().iter().find(|known| known.slug == found.product.category);
                let blurb = blurb.map_or("", |known| known.blurb);
                categories.push((found.product.category.clone(), found.category_title, blurb.to_owned()));
            }
            lines.insert(found.product.slug.clone(), found.line);
            products.push((found.product, self.now_ms - self.products));
            self.products += 1;
        }
        self.store.category_add(&categories).await?;
        let upserted = match products.as_slice() {
            [] => Upserted::default(),
            products => self.store.product_upsert(products).await?,
        };
        let failed = upserted.refused.len() as u64;
        problems.extend(upserted.refused.into_iter().map(|(slug, taken)| {
            let line = lines.get(&slug).copied().unwrap_or_default();
            Problem::new(line, "SKU", format!("{} is a SKU of the product '{}'", taken.sku, taken.by))
        }));
        problems.sort_by_key(|problem| problem.line);
        let report = &mut self.report;
        report.rows += batch.rows;
        report.created += upserted.created;
        report.updated += upserted.updated;
        report.unchanged += upserted.unchanged;
        report.failed += batch.failed + failed;
        report.hidden += batch.hidden;
        report.problems += problems.len() as u64;
        Ok(problems)
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    feed: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.feed.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
