//! People who buy at the pages of the shop on the cluster, as many a second whatever becomes of the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use selvage_tests::http::Client;

use crate::pages::purchase::{order, order_patiently};
use crate::pages::put_into_bag;

/// Somebody comes this often: two a second, each with seven requests, and the nodes share two cores with all else.
const EVERY: Duration = Duration::from_millis(500);
/// Where they look: several shelves, so that none is sold out.
const SHELVES: [&str; 6] = ["/c/shirts", "/c/t-shirts", "/c/dresses", "/c/knitwear", "/c/trousers", "/c/jackets"];
/// So many in a row who buy are taken for a shop that sells again.
const IN_A_ROW: usize = 4;

/// The name of a thread in which somebody buys.
const BUYER: &str = "buyer";

/// Somebody who came. They leave at the first request that fails.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) began: Instant,
    /// When they left, and with what: the path of their order, or what went wrong. `None` while they are there.
    pub(super) left: Option<(Instant, Result<String, String>)>,
}

/// They come until it is ended.
pub(super) struct Load {
    ended: Arc<AtomicBool>,
    coming: JoinHandle<Vec<JoinHandle<()>>>,
    /// How often.
    every: Arc<Mutex<Duration>>,
    /// Where they come to.
    door: Arc<Mutex<String>>,
    visits: Arc<Mutex<Vec<Visit>>>,
}

/// Orders what is in somebody's bag.
type Order = fn(&mut Client) -> String;

/// What a buyer met is told with the trouble in which it happened, and not where it happened, with a whole page.
fn keep_buyers_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() != Some(BUYER) {
                others(panic);
            }
        }));
    });
}

/// Buys something at `url`: the path of the order.
fn buy(url: &str, shelf: &str, order: Order) -> Result<String, String> {
    let purchase = AssertUnwindSafe(|| {
        let mut visitor = Client::new(url);
        put_into_bag(&mut visitor, &format!("{shelf}?stock=1"));
        order(&mut visitor)
    });
    catch_unwind(purchase)
        .map_err(|panic| panic.downcast::<String>().map_or_else(|_| "panicked".to_owned(), |why| *why))
}

impl Load {
    /// They leave if their order isn't placed at once.
    pub(super) fn start(url: &str) -> Self {
        Self::of(url, order)
    }

    /// They wait for their orders as browsers do.
    pub(super) fn of_the_patient(url: &str) -> Self {
        Self::of(url, order_patiently)
    }

    fn of(url: &str, order: Order) -> Self {
        keep_buyers_quiet();
        let (ended, visits) = (Arc::new(AtomicBool::new(false)), Arc::<Mutex<Vec<Visit>>>::default());
        let (door, every) = (Arc::new(Mutex::new(url.to_owned())), Arc::new(Mutex::new(EVERY)));
        let coming = {
            let (ended, visits, door, every) = (ended.clone(), visits.clone(), door.clone(), every.clone());
            std::thread::spawn(move || {
                let mut next = Instant::now();
                let mut came = Vec::new();
                while !ended.load(Ordering::Relaxed) {
                    let (number, visits, url) = (came.len(), visits.clone(), door.lock().unwrap().clone());
                    visits.lock().unwrap().push(Visit { began: Instant::now(), left: None });
                    let buyer = Builder::new().name(BUYER.into()).spawn(move || {
                        let bought = buy(&url, SHELVES[number % SHELVES.len()], order);
                        visits.lock().unwrap()[number].left = Some((Instant::now(), bought));
                    });
                    came.push(buyer.expect("a thread"));
                    next += *every.lock().unwrap();
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
                came
            })
        };
        Self { ended, coming, every, door, visits }
    }

    /// From now on they come to `url`.
    pub(super) fn come_to(&self, url: &str) {
        url.clone_into(&mut self.door.lock().unwrap());
    }

    /// From now on one comes this often.
    pub(super) fn come_each(&self, every: Duration) {
        *self.every.lock().unwrap() = every;
    }

    /// Everybody who came so far.
    pub(super) fn visits(&self) -> Vec<Visit> {
        self.visits.lock().unwrap().clone()
    }

    /// Whether several in a row have bought who came after `since`, and all who came before them have left.
    pub(super) fn is_steady_since(&self, since: Instant) -> bool {
        let visits = self.visits.lock().unwrap();
        let left = visits.iter().take_while(|visit| visit.left.is_some()).count();
        let late = visits[..left].iter().filter(|visit| visit.began > since).collect::<Vec<_>>();
        let bought = late.iter().rev().take_while(|visit| matches!(visit.left, Some((_, Ok(_)))));
        bought.count() >= IN_A_ROW
    }

    /// Waits for those who are there; everybody who came.
    pub(super) fn end(self) -> Vec<Visit> {
        self.ended.store(true, Ordering::Relaxed);
        for person in self.coming.join().unwrap() {
            person.join().unwrap();
        }
        std::mem::take(&mut self.visits.lock().unwrap())
    }
}
