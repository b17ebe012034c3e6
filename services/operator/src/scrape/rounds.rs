//! Asks all pods whose pools are their own, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use super::page::{self, Page};
use super::reading::{Reading, Wanted};

/// How many pods are asked at the same time: with [`page::MOST`] it bounds what their answers take, at 64 MiB.
pub const AT_ONCE: usize = 16;

/// One run of a pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pod {
    /// Its UID.
    pub uid: String,
    /// How often its containers were started again.
    pub restarts: i32,
}

/// How a pod is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Where.
    pub page: Page,
    /// Which pools are meant.
    pub wanted: Wanted,
    /// How often.
    pub every: Duration,
}

/// What came of asking.
#[derive(Clone, Debug)]
pub struct Found {
    /// Whom.
    pub pod: Pod,
    /// When it had answered, or hadn't.
    pub at: Instant,
    /// What it said, or why nothing is known.
    pub outcome: Result<Reading, String>,
}

/// All pods that are asked.
pub struct Rounds {
    permits: Arc<Semaphore>,
    sender: mpsc::Sender<Found>,
    asked: BTreeMap<Pod, (Asked, AbortOnDropHandle<()>)>,
}

impl Rounds {
    /// Nobody is asked yet. What is found is sent there.
    pub fn new(sender: mpsc::Sender<Found>) -> Self {
        Self { permits: Arc::new(Semaphore::new(AT_ONCE)), sender, asked: BTreeMap::new() }
    }

    /// These are asked from now on, and no others.
    pub fn keep(&mut self, wanted: BTreeMap<Pod, Asked>) {
        self.asked.retain(|pod, (asked, _)| wanted.get(pod) == Some(asked));
        for (pod, asked) in wanted {
            let (permits, sender) = (self.permits.clone(), self.sender.clone());
            self.asked.entry(pod.clone()).or_insert_with(|| {
                let work = ask(pod, asked.clone(), permits, sender);
                (asked, AbortOnDropHandle::new(tokio::spawn(work)))
            });
        }
    }
}

/// Asks one pod until nobody wants to know any more.
async fn ask(pod: Pod, asked: Asked, permits: Arc<Semaphore>, found: mpsc::Sender<Found>) {
    let mut ticks = interval(asked.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = None;
    loop {
        ticks.tick().await;
        let outcome = {
            let Ok(_permit) = permits.acquire().await else { return };
            let read = page::read(&asked.page).await;
            read.and_then(|text| {
                let Page { address, path } = &asked.page;
                asked.wanted.read(&text).map_err(|why| format!("http://{address}{path}: {why}"))
            })
        };
        let at = Instant::now();
        let outcome = outcome.map(|reading| reading.since(&mut before, at));
        if found.send(Found { pod: pod.clone(), at, outcome }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::tests::{ok, pod};
    use super::*;
    use crate::resources::Dialect;

    const HIKARI: &str = include_str!("../../tests/scraped/hikaricp.txt");

    fn asked(page: &Page) -> Asked {
        let wanted = Wanted { dialect: Dialect::HikariCp, pool: None };
        Asked { page: page.clone(), wanted, every: Duration::from_millis(20) }
    }

    fn named(uid: &str) -> Pod {
        Pod { uid: uid.to_owned(), restarts: 0 }
    }

    #[tokio::test]
    async fn one_that_is_silent_holds_up_nobody_and_who_is_not_kept_is_asked_no_more() {
        let (sender, mut found) = mpsc::channel(64);
        let mut rounds = Rounds::new(sender);
        let (page, _pod) = pod(ok(HIKARI)).await;
        let (silent, _silent) = pod(Vec::new()).await;
        let all = [(named("a"), asked(&page)), (named("b"), asked(&silent)), (named("c"), asked(&page))];
        rounds.keep(all.into());
        let (mut read, mut failed) = (0, None);
        while read < 20 || failed.is_none() {
            let Found { pod, outcome, .. } = found.recv().await.unwrap();
            match outcome {
                Ok(reading) => {
                    assert_eq!((reading.waiting, reading.limit), (7, 10));
                    read += 1;
                }
                Err(why) => failed = Some((pod, why)),
            }
        }
        assert!(failed.is_some_and(|(pod, why)| pod == named("b") && why.ends_with("no answer within 2 s")));

        // A container that was started anew is another one; nobody else is asked twice.
        rounds.keep([(Pod { restarts: 1, ..named("a") }, asked(&page))].into());
        assert_eq!(rounds.asked.len(), 1);
        while found.recv().await.unwrap().pod.restarts == 0 {}
        rounds.keep(BTreeMap::new());
        drop(rounds);
        while found.recv().await.is_some() {}
    }
}
