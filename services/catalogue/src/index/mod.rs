//! The index in this process by which listings and searches are answered, without the database.
//!
//! tantivy keeps words, columns and cards in files, which are mapped into memory and survive a kill between any two
//! instructions: what a commit has written is there, and the rest isn't. What is ours is in these modules, from a query to its
//! answer:
//!
//! - `words.rs`: the lists of products that each word of a query stands for, and what a product scores;
//! - `page.rs`: which products fit a filter, how many there are, which come first (`top.rs`), by what they can be narrowed
//!   (`facets.rs`);
//! - `segment.rs`: what these read of each product; `schema.rs`: what a product's document is; `names.rs`: numbers for sizes, colours
//!   and categories;
//! - `writer.rs`: how products come in; `follow.rs`: how the index comes to be and stays as the database is.

mod facets;
mod follow;

mod names;
mod page;
mod schema;
mod segment;
mod top;
mod words;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tantivy::Searcher;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::domain::listing::Listing;
use names::Names;
use page::Moment;
use schema::Fields;
use segment::Rows;

pub use follow::{Failed, Keeper};
pub use page::Page;
pub use writer::{OpenError, Writer};

/// The index, for those who look something up in it. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Index(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    fields: Fields,
    /// What the last commit has made of it; `None` until there is a whole one.
    latest: watch::Sender<Option<Arc<Committed>>>,
    /// When it had everything that was committed by then.
    right_at: watch::Sender<Option<Instant>>,
    /// Pages that are made at once: as many as there are processors, for a page is nothing but work for one.
    at_once: Semaphore,
}

/// An index as a commit left it.
struct Committed {
    searcher: Searcher,
    /// Of each segment.
    rows: Vec<Arc<Rows>>,
    names: Arc<Names>,
}

impl std::fmt::Debug for Committed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Committed").field("products", &self.searcher.num_docs()).finish_non_exhaustive()
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum NoPage {
    /// The index is being made.
    #[error("the shop's lists are being prepared")]
    Preparing,
    /// The index can't be read.
    #[error("the index can't be read: {0}")]
    Unreadable(#[from] tantivy::TantivyError),
}

impl Index {
    /// Opens the index in `folder`, with what is needed to write it. One that can't be read, or is of another layout, is thrown
    /// away: it will be made anew from the database.
    ///
    /// # Errors
    /// If the folder can't be written, or another process writes an index there.
    pub fn open(folder: &Path) -> Result<(Self, Writer), OpenError> {
        Writer::open(folder)
    }

    /// Whether there is a whole index.
    pub fn is_ready(&self) -> bool {
        self.latest().is_some()
    }

    /// Waits until there is a whole index.
    pub async fn ready(&self) {
        // The sender is ours.
        let _ = self.0.latest.subscribe().wait_for(Option::is_some).await;
    }

    /// Waits until it has everything that was committed by `at`.
    pub async fn has_all_until(&self, at: Instant) {
        // The sender is ours.
        let _ = self.0.right_at.subscribe().wait_for(|right_at| right_at.is_some_and(|right_at| right_at >= at)).await;
    }

    /// How many products it has.
    pub fn products(&self) -> u64 {
        self.latest().map_or(0, |latest| latest.searcher.num_docs())
    }

    /// For how long it may lack what was committed; `None` before there is a whole index. Some tenths of a second are usual.
    pub fn behind(&self) -> Option<Duration> {
        self.0.right_at.borrow().map(|at| at.elapsed())
    }

    /// It has everything that was committed by `at`.
    fn was_right(&self, at: Instant) {
        self.0.right_at.send_replace(Some(at));
    }

    /// A page of a listing or search.
    ///
    /// # Errors
    /// [`NoPage`].
    pub async fn page(&self, listing: Listing) -> Result<Page, NoPage> {
        let latest = self.latest().ok_or(NoPage::Preparing)?;
        let _turn = self.0.at_once.acquire().await;
        let fields = self.0.fields;
        let made = tokio::task::spawn_blocking(move || {
            let Committed { searcher, rows, names } = &*latest;
            Moment { searcher, rows, fields: &fields, names }.page(&listing)
        });
        match made.await {
            Ok(page) => Ok(page?),
            Err(ended) => std::panic::resume_unwind(ended.into_panic()),
        }
    }

    fn new(fields: Fields) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self(Arc::new(Shared {
            fields,
            latest: watch::Sender::default(),
            right_at: watch::Sender::default(),
            at_once: Semaphore::new(processors),
        }))
    }

    fn latest(&self) -> Option<Arc<Committed>> {
        self.0.latest.borrow().clone()
    }

    /// # Errors
    /// If it can't be read: what was published before stays.
    fn publish(&self, searcher: Searcher, names: Arc<Names>) -> tantivy::Result<()> {
        let latest = self.latest();
        let known = latest.as_deref().map(|latest| &*latest.rows).unwrap_or_default();
        let rows = Rows::of(&searcher, known)?;
        self.0.latest.send_replace(Some(Arc::new(Committed { searcher, rows, names })));
        Ok(())
    }
}
