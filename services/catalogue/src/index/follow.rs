//! How the index comes to be, and how it stays as the database is.
//!
//! One task hears of what changes (`store/follow.rs`), and reads and writes the products that listings show otherwise since. It
//! goes on hearing while it reads: what changes meanwhile is the next round's. A commit notes how far in the log of changes the
//! index is, so that after a restart it goes on from there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use selvage_pool::StoreError;
use tokio::time::Instant;

use super::Writer;
use crate::store::{Changes, Follower, News, Position, Store, StoredProduct};

/// How often a commit is made at the most: with 150 ms until a change is heard of and some 100 ms for reading and writing
/// it shows well within a second.
const COMMIT_EVERY: Duration = Duration::from_millis(300);
/// How long the index's place in the log may be behind what was heard: the log is kept for ten minutes at least.
const NOTE_EVERY: Duration = Duration::from_secs(60);
/// After how long without a change the writer rests.
const REST_AFTER: Duration = Duration::from_secs(10);
/// When what has failed is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Products that are read by one statement: some 300 KiB of rows.
const TOGETHER: usize = 100;

/// What the index doesn't show yet.
#[derive(Debug)]
struct Due {
    products: BTreeSet<String>,
    everything: bool,
    /// Until where all of it was heard of.
    position: Position,
}

/// Why the index isn't as the database is.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The database can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index can't be written.
    #[error("the index can't be written: {0}")]
    Index(#[from] tantivy::TantivyError),
}

/// Keeps the index as the database is.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    writer: Arc<Mutex<Writer>>,
}

impl Keeper {
    /// Keeps what `writer` writes as what `store` has.
    pub fn new(store: Store, writer: Writer) -> Self {
        Self { store, writer: Arc::new(Mutex::new(writer)) }
    }

    /// Until where in the log of changes the index has everything.
    fn position(&self) -> Option<Position> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.position().and_then(|position| position.parse().ok())
    }

    /// Has the index show whatever is committed by now.
    ///
    /// # Errors
    /// If the database or the index fails; the index shows what it showed before.
    pub async fn catch_up(&self) -> Result<(), Failed> {
        let news = match self.position() {
            Some(position) => self.store.change_list(&position).await?,
            None => News::everything(self.store.change_position().await?),
        };
        let mut due = None;
        hear(&mut due, news);
        match due {
            Some(due) if due.is_any() => write(self.store.clone(), self.writer.clone(), &due).await,
            _ => Ok(()),
        }
    }

    /// Runs until it is dropped; what is half written then is written again after the next start.
    pub(crate) async fn run(self, changes: Changes) {
        let mut follower = match self.position() {
            Some(position) => Follower::since(self.store.clone(), position),
            None => Follower::new(self.store.clone()),
        };
        let index = self.writer.lock().unwrap_or_else(PoisonError::into_inner).index();
        let mut due: Option<Due> = None;
        let (mut noted, mut begin_at) = (Instant::now(), Instant::now());
        let mut written: Option<Instant> = None;
        loop {
            let asked_at = Instant::now();
            let news = follower.next().await;
            let Ok(news) = news else { continue };
            hear(&mut due, news);
            if !due.as_ref().is_some_and(Due::is_any) {
                index.was_right(asked_at);
            }
            if written.is_some_and(|at| at.elapsed() > REST_AFTER) {
                written = None;
                if let Err(error) = with(&self.writer, Writer::rest).await {
                    tracing::warn!(%error, "segments of the index weren't merged");
                }
            }
            let is_due = due.as_ref().is_some_and(Due::is_any) || noted.elapsed() > NOTE_EVERY;
            if !is_due || Instant::now() < begin_at {
                continue;
            }
            let Some(round) = due.take() else { continue };
            let begun = Instant::now();
            let mut missed = None;
            let done = {
                let mut round_done = std::pin::pin!(write(self.store.clone(), self.writer.clone(), &round));
                loop {
                    tokio::select! {
                        done = &mut round_done => break done,
                        news = follower.next() => if let Ok(news) = news { hear(&mut missed, news) },
                    }
                }
            };
            begin_at = begun + COMMIT_EVERY;
            written = Some(Instant::now());
            match done {
                Ok(()) => {
                    noted = begun;
                    // And not `begun`: what was committed between that question and the round isn't in it.
                    index.was_right(asked_at);
                    changes.listings();
                    due = missed;
                }
                Err(error) => {
                    tracing::warn!(%error, "listings are as they were before: the index isn't up to date");
                    begin_at = Instant::now() + AGAIN_AFTER;
                    due = Some(round.before(missed));
                }
            }
        }
    }
}

fn hear(due: &mut Option<Due>, news: News) {
    let products = news.changed.into_iter().filter(|changed| changed.listed).map(|changed| changed.product);
    match due {
        None => *due = Some(Due { products: products.collect(), everything: news.everything, position: news.position }),
        Some(due) => {
            due.products.extend(products);
            due.everything |= news.everything;
            due.position = news.position;
        }
    }
}

impl Due {
    fn is_any(&self) -> bool {
        self.everything || !self.products.is_empty()
    }

    /// It, and what was heard of after it.
    fn before(mut self, later: Option<Self>) -> Self {
        if let Some(later) = later {
            self.products.extend(later.products);
            self.everything |= later.everything;
            self.position = later.position;
        }
        self
    }
}

/// Writes what is due, and commits.
async fn write(store: Store, writer: Arc<Mutex<Writer>>, due: &Due) -> Result<(), Failed> {
    let written =
        if due.everything { write_all(&store, &writer).await } else { write_some(&store, &writer, due).await };
    if written.is_err() {
        with(&writer, |writer| {
            writer.undo();
            Ok(())
        })
        .await?;
    }
    written
}

async fn write_some(store: &Store, writer: &Arc<Mutex<Writer>>, due: &Due) -> Result<(), Failed> {
    let slugs: Vec<_> = due.products.iter().cloned().collect();
    for slugs in slugs.chunks(TOGETHER) {
        let products = store.product_list_of(slugs).await?;
        let changed: Vec<_> = slugs.iter().cloned().zip(products).collect();
        with(writer, move |writer| {
            changed.iter().try_for_each(|(slug, product)| match product {
                Some(product) => writer.put(product),
                None => writer.remove(slug),
            })
        })
        .await?;
    }
    let position = due.position.to_string();
    with(writer, move |writer| writer.commit(&position)).await
}

/// Reads the whole catalogue. What is shown stays what it was until all of it is there.
async fn write_all(store: &Store, writer: &Arc<Mutex<Writer>>) -> Result<(), Failed> {
    let begun = Instant::now();
    let position = store.change_position().await?.to_string();
    with(writer, Writer::clear).await?;
    let (mut last, mut count) = (String::new(), 0);
    loop {
        let products: Vec<StoredProduct> = store.product_walk(&last, TOGETHER as u64).await?;
        let Some(end) = products.last() else { break };
        last = end.product.slug.clone();
        count += products.len();
        with(writer, move |writer| products.iter().try_for_each(|product| writer.add(product))).await?;
    }
    with(writer, move |writer| writer.commit(&position)).await?;
    tracing::info!(products = count, seconds = begun.elapsed().as_secs_f64(), "the index is made");
    Ok(())
}

/// Does `work` where it may take its time.
async fn with<T: Send + 'static>(
    writer: &Arc<Mutex<Writer>>,
    work: impl FnOnce(&mut Writer) -> tantivy::Result<T> + Send + 'static,
) -> Result<T, Failed> {
    let writer = writer.clone();
    let done = tokio::task::spawn_blocking(move || work(&mut writer.lock().unwrap_or_else(PoisonError::into_inner)));
    match done.await {
        Ok(done) => Ok(done?),
        Err(ended) => std::panic::resume_unwind(ended.into_panic()),
    }
}
