//! People who put something into their bags: as many a second as is said, whatever becomes of the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use selvage_tests::http::Client;

use crate::pages::markup::{Form, Markup};

/// What became of a call.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Added,
    /// Told that the shop is full, and when to come again.
    Refused,
    /// Anything else.
    Failed(String),
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) came: Instant,
    pub(super) took: Duration,
    pub(super) outcome: Outcome,
}

/// They come until they are ended.
pub(super) struct Callers {
    /// How many come in a second; 0 ends them.
    rate: Arc<AtomicU64>,
    coming: JoinHandle<Vec<JoinHandle<()>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

/// A form that puts one of the shop's shirts into the bag of whoever has no session yet: each who sends it has a bag of their own.
fn form(url: &str) -> Form {
    let mut visitor = Client::new(url);
    let shelf = Markup::parse(visitor.get("/c/shirts?stock=1").text()).expect("a shelf");
    let cards = shelf.all("a").filter_map(|link| link.get("href")).filter(|href| href.starts_with("/p/"));
    for card in cards {
        let page = Markup::parse(visitor.get(card).text()).expect("a product");
        let mut sizes = page.all("input").filter(|size| size.has("name", "sku") && size.get("disabled").is_none());
        if let Some(sku) = sizes.find_map(|size| size.get("value")) {
            return page.form("/bag/items").set("sku", sku);
        }
    }
    panic!("every shirt is sold out");
}

fn add(url: &str, form: &Form) -> Outcome {
    let sent = catch_unwind(AssertUnwindSafe(|| Client::new(url).post(&form.action, form.pairs())));
    let answer = match sent {
        Ok(answer) => answer,
        Err(why) => {
            return Outcome::Failed(why.downcast::<String>().map_or_else(|_| "panicked".to_owned(), |why| *why));
        }
    };
    match answer.status {
        303 if answer.location().ends_with("notice=added") => Outcome::Added,
        503 if answer.text().contains("the shop is full") => Outcome::Refused,
        status => Outcome::Failed(format!("{status} {}", String::from_utf8_lossy(&answer.body))),
    }
}

impl Callers {
    /// `rate` of them a second come to the pages at `url`.
    pub(super) fn start(url: &str, rate: u64) -> Self {
        let (url, form) = (url.to_owned(), Arc::new(form(url)));
        let (rate, calls) = (Arc::new(AtomicU64::new(rate)), Arc::<Mutex<Vec<Call>>>::default());
        let coming = {
            let (rate, calls) = (rate.clone(), calls.clone());
            std::thread::spawn(move || {
                let mut next = Instant::now();
                let mut came = Vec::new();
                loop {
                    let Some(every) = 1_000_000_u64.checked_div(rate.load(Ordering::Relaxed)) else { return came };
                    let (url, form, calls) = (url.clone(), form.clone(), calls.clone());
                    came.push(std::thread::spawn(move || {
                        let came = Instant::now();
                        let outcome = add(&url, &form);
                        calls.lock().unwrap().push(Call { came, took: came.elapsed(), outcome });
                    }));
                    next += Duration::from_micros(every);
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            })
        };
        Self { rate, coming, calls }
    }

    /// From now on so many come in a second.
    pub(super) fn come(&self, rate: u64) {
        assert!(rate > 0, "nobody would come any more");
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// Whether everybody who came during the last `lasts` and has left was served.
    pub(super) fn all_served_for(&self, lasts: Duration) -> bool {
        let calls = self.calls.lock().unwrap();
        let recent = calls.iter().filter(|call| call.came.elapsed() < lasts);
        let mut served = recent.map(|call| matches!(call.outcome, Outcome::Added)).peekable();
        served.peek().is_some() && served.all(|served| served)
    }

    /// Waits for those who are there; everybody who came.
    pub(super) fn end(self) -> Vec<Call> {
        self.rate.store(0, Ordering::Relaxed);
        for person in self.coming.join().unwrap() {
            person.join().unwrap();
        }
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}
