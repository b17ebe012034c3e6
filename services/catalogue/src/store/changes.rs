//! What has changed in the database, as far as this process has heard: by it a copy is known to be old.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::change_log::News;

/// Products share this many counts. One that changes makes copies of 1 in 1,024 others look old too, which costs a read
/// each; 1,024 × 8 bytes = 8 KiB.
const STRIPES: usize = 1024;

/// Counts of changes. Clones are the same counts.
///
/// Who copies something takes a [`Mark`] before it reads, and keeps the mark with the copy. A change that is heard of moves
/// a count, and so ends at once every copy made from before it and every one that is still being made: there is nothing to
/// remove, and no moment between a check and a storing.
#[derive(Clone, Debug)]
pub struct Changes(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    /// Whether changes are heard of.
    followed: AtomicBool,
    /// When what was heard last was asked for.
    asked_at: Mutex<Option<Instant>>,
    /// Of changes to whatever there is.
    all: AtomicU64,
    /// Of changes to what listings show.
    listings: AtomicU64,
    /// Of changes to products, by their slugs' hashes.
    products: [AtomicU64; STRIPES],
    hasher: RandomState,
    /// Changes heard of so far.
    count: AtomicU64,
}

/// What a copy is of.
#[derive(Clone, Copy, Debug)]
pub enum Subject<'a> {
    /// The product with this slug, or that there is none.
    Product(&'a str),
    /// A page of a listing.
    Listing,
}

/// The counts when a copy was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    all: u64,
    /// Of the product's stripe, or of listings if there is none.
    own: u64,
    stripe: Option<usize>,
}

impl Changes {
    /// Counts that hear of nothing yet.
    pub(crate) fn not_followed() -> Self {
        let counts = Counts {
            followed: AtomicBool::new(false),
            asked_at: Mutex::default(),
            all: AtomicU64::default(),
            listings: AtomicU64::default(),
            products: std::array::from_fn(|_| AtomicU64::default()),
            hasher: RandomState::new(),
            count: AtomicU64::default(),
        };
        Self(Arc::new(counts))
    }

    /// To be taken before `subject` is read; `None` while changes aren't heard of, and no copy may be kept.
    pub fn mark(&self, subject: Subject<'_>) -> Option<Mark> {
        let all = self.0.all.load(Ordering::SeqCst);
        let stripe = match subject {
            Subject::Product(slug) => Some(self.stripe(slug)),
            Subject::Listing => None,
        };
        self.are_followed().then(|| Mark { all, own: self.own(stripe).load(Ordering::SeqCst), stripe })
    }

    /// Whether nothing of it has changed since; nobody knows while changes aren't heard of.
    pub fn holds(&self, mark: &Mark) -> bool {
        self.are_followed()
            && self.0.all.load(Ordering::SeqCst) == mark.all
            && self.own(mark.stripe).load(Ordering::SeqCst) == mark.own
    }

    /// How many changes were heard of.
    pub fn count(&self) -> u64 {
        self.0.count.load(Ordering::Relaxed)
    }

    /// Whether changes are heard of.
    pub fn are_followed(&self) -> bool {
        self.0.followed.load(Ordering::SeqCst)
    }

    /// How long ago that was asked for which was heard last; `None` before the first.
    pub fn behind(&self) -> Option<Duration> {
        self.0.asked_at.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// A product has changed.
    pub(crate) fn product(&self, slug: &str) {
        self.own(Some(self.stripe(slug))).fetch_add(1, Ordering::SeqCst);
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Something has changed that listings show.
    pub(crate) fn listings(&self) {
        self.0.listings.fetch_add(1, Ordering::SeqCst);
    }

    /// Anything may have changed.
    pub(super) fn everything(&self) {
        self.0.all.fetch_add(1, Ordering::SeqCst);
        self.0.count.fetch_add(1, Ordering::Relaxed);
    }

    /// All this has changed.
    pub(super) fn apply(&self, news: &News) {
        if news.everything {
            self.everything();
        }
        for changed in &news.changed {
            self.product(&changed.product);
        }
        if news.changed.iter().any(|changed| changed.listed) {
            self.listings();
        }
    }

    /// From here on changes are heard of, or (`false`) none. What was missed in between is told before it is said that they are again, so
    /// that copies from before hold, but for those that have changed. One task says so.
    pub(crate) fn set_followed(&self, followed: bool) {
        self.0.followed.store(followed, Ordering::SeqCst);
    }

    /// What was asked for at this moment was heard.
    pub(super) fn heard(&self, asked_at: Instant) {
        *self.0.asked_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked_at);
    }

    fn stripe(&self, slug: &str) -> usize {
        self.0.hasher.hash_one(slug) as usize % STRIPES
    }

    fn own(&self, stripe: Option<usize>) -> &AtomicU64 {
        stripe.map_or(&self.0.listings, |stripe| &self.0.products[stripe])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Changed;

    fn followed() -> Changes {
        let changes = Changes::not_followed();
        changes.set_followed(true);
        changes
    }

    #[test]
    fn a_change_ends_what_was_begun_before_it_and_nothing_else() {
        let changes = followed();
        let other =
            (0..).map(|n| format!("p{n}")).find(|slug| changes.stripe(slug) != changes.stripe("shirt")).unwrap();
        let mark = |subject| changes.mark(subject).unwrap();
        let marks = [mark(Subject::Product("shirt")), mark(Subject::Product(&other)), mark(Subject::Listing)];
        let hold = || marks.map(|mark| changes.holds(&mark));
        assert_eq!(hold(), [true, true, true]);
        changes.product("shirt");
        assert_eq!(hold(), [false, true, true]);
        changes.listings();
        assert_eq!(hold(), [false, true, false]);
        changes.everything();
        assert_eq!(hold(), [false, false, false]);
        assert!(changes.holds(&mark(Subject::Product("shirt"))));
    }

    #[test]
    fn news_end_what_they_name() {
        let news = |changed: &[(&str, bool)], everything: bool| News {
            changed: changed
                .iter()
                .map(|(product, listed)| Changed { product: (*product).into(), listed: *listed })
                .collect(),
            everything,
            position: "1".parse().unwrap(),
        };
        for (news, shirt, listing) in [
            (news(&[], false), true, true),
            (news(&[("shirt", false)], false), false, true),
            (news(&[("coat", false), ("shirt", false)], false), false, true),
            (news(&[("coat", false), ("shirt", true)], false), false, false),
            (news(&[], true), false, false),
        ] {
            let changes = followed();
            let marks = [Subject::Product("shirt"), Subject::Listing].map(|subject| changes.mark(subject).unwrap());
            changes.apply(&news);
            assert_eq!(marks.map(|mark| changes.holds(&mark)), [shirt, listing], "{news:?}");
        }
    }

    #[test]
    fn nothing_is_kept_or_given_while_changes_are_not_heard_of() {
        let changes = Changes::not_followed();
        assert_eq!((changes.mark(Subject::Listing), changes.are_followed()), (None, false));
        changes.set_followed(true);
        let mark = changes.mark(Subject::Listing).unwrap();
        changes.set_followed(false);
        assert!(!changes.holds(&mark) && changes.mark(Subject::Listing).is_none());
        // Nothing was missed by then.
        changes.set_followed(true);
        assert!(changes.holds(&mark));
        changes.set_followed(false);
        changes.everything();
        changes.set_followed(true);
        assert!(!changes.holds(&mark));
        assert!(changes.holds(&changes.mark(Subject::Listing).unwrap()));
    }
}
