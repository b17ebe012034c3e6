//! People who buy at the pages of the shop on the cluster, as many a second whatever becomes of the others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use selvage_tests::http::Client;

use crate::pages::purchase::order;
use crate::pages::put_into_bag;

/// Somebody comes this often: two a second, each with eight requests, and the nodes share two cores with all else.
const EVERY: Duration = Duration::from_millis(500);
/// Where they look: several shelves, so that none is sold out.
const SHELVES: [&str; 6] = ["/c/shirts", "/c/t-shirts", "/c/dresses", "/c/knitwear", "/c/trousers", "/c/jackets"];

/// What one of them has: their cookies, and where their order is.
pub(super) struct Bought {
    pub(super) visitor: Client,
    pub(super) order: String,
}

/// They come until it is ended.
pub(super) struct Load {
    ended: Arc<AtomicBool>,
    coming: JoinHandle<Vec<JoinHandle<Bought>>>,
    /// What each took who has bought.
    took: Arc<Mutex<Vec<Duration>>>,
}

impl Load {
    pub(super) fn start(url: &str) -> Self {
        let (ended, took) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<_>>>::default());
        let coming = {
            let (ended, took, url) = (ended.clone(), took.clone(), url.to_owned());
            std::thread::spawn(move || {
                let mut next = Instant::now();
                let mut came = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    let (took, mut visitor) = (took.clone(), Client::new(&url));
                    let shelf = SHELVES[came.len() % SHELVES.len()];
                    came.push(std::thread::spawn(move || {
                        let began = Instant::now();
                        put_into_bag(&mut visitor, &format!("{shelf}?stock=1"));
                        let order = order(&mut visitor);
                        took.lock().unwrap().push(began.elapsed());
                        Bought { visitor, order }
                    }));
                    next += EVERY;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                came
            })
        };
        Self { ended, coming, took }
    }

    /// How many have bought so far.
    pub(super) fn bought(&self) -> usize {
        self.took.lock().unwrap().len()
    }

    /// Waits for those who are there: what they bought, what went wrong with the others, and how long the slowest took.
    pub(super) fn end(self) -> (Vec<Bought>, Vec<String>, Duration) {
        self.ended.store(true, Ordering::Relaxed);
        let (mut bought, mut failed) = (Vec::new(), Vec::new());
        for person in self.coming.join().unwrap() {
            match person.join() {
                Ok(one) => bought.push(one),
                Err(panic) => {
                    failed.push(panic.downcast::<String>().map_or_else(|_| "panicked".to_owned(), |why| *why));
                }
            }
        }
        let slowest = self.took.lock().unwrap().iter().max().copied().unwrap_or_default();
        (bought, failed, slowest)
    }
}
