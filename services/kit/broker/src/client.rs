//! The task that keeps a process's stream to the broker, and its pools within what they are granted.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use selvage_pool::{GrantId, Pool};
use selvage_proto::pool::v1::{Hello, Report};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::contact::{Contact, End};
use crate::cpu::Cpu;
use crate::holding::Holding;
use crate::link::{Event, Link, Outgoing};
use crate::observed::Pools;
use crate::settings::Settings;
use crate::wire::{self, Said};

/// Pools of one process, as the broker takes them.
const MAX_POOLS: usize = 16;
/// That somebody begins to wait, or nobody does any more, is reported at once, but not more often than this: a pool that is nearly
/// saturated has such edges in each millisecond.
const BETWEEN_EDGES: Duration = Duration::from_millis(100);

/// A process can't have its pools shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a broker shares connections out among {MAX_POOLS} pools of a process at the most")]
pub struct TooManyPools;

/// The process's broker, as its pools know it. Clones are the same; when the last one is dropped, the stream ends.
#[derive(Clone, Debug)]
pub struct Broker {
    joining: mpsc::Sender<Pool>,
    waits_for: watch::Receiver<String>,
}

impl Broker {
    /// With the task that does the work, which is to be run until it ends. It does nothing before the first pool joins.
    pub fn new(settings: Settings) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (joining, joined) = mpsc::channel(MAX_POOLS);
        let (says, waits_for) = watch::channel(waits(&settings, "which wasn't asked yet"));
        let client = Client {
            contact: Contact::new(Instant::now()),
            addresses: settings.addresses(),
            holding: Holding::default(),
            pools: Pools::default(),
            cpu: Cpu::own(),
            hello: watch::Sender::new(Hello::default()),
            report: watch::Sender::new(Report::default()),
            link: Link::apart(Instant::now()),
            is_welcome: false,
            report_due: Instant::now(),
            reported: Instant::now(),
            complied: None,
            waiting_changed: Arc::default(),
            listening: JoinSet::new(),
            says,
            settings,
        };
        (Self { joining, waits_for }, client.run(joined))
    }

    /// Has a share of what is granted given to `pool`, which should [await it](selvage_pool::Config::awaits_grant). Pools that
    /// joined first get their floors first.
    ///
    /// # Errors
    /// If there are sixteen already.
    pub fn join(&self, pool: &Pool) -> Result<(), TooManyPools> {
        self.joining.try_send(pool.clone()).map_err(|_| TooManyPools)
    }

    /// What a pool that was allowed nothing yet waits for, in words, now and as it changes.
    pub fn waits_for(&self) -> watch::Receiver<String> {
        self.waits_for.clone()
    }
}

fn waits(settings: &Settings, but: &str) -> String {
    let at = settings.addresses().join(",");
    format!("it waits for its first grant of connections from the broker at {at}, {but}")
}

struct Client {
    settings: Settings,
    /// Those that the process was told.
    addresses: Vec<String>,
    contact: Contact,
    holding: Holding,
    pools: Pools,
    cpu: Cpu,
    hello: watch::Sender<Hello>,
    report: watch::Sender<Report>,
    link: Link,
    /// A leader has heard the hello of this stream; reports are for it alone.
    is_welcome: bool,
    /// When the next report is made, and when the last one was.
    report_due: Instant,
    reported: Instant,
    /// The grant that the last report said to be complied with.
    complied: Option<GrantId>,
    /// Somebody began to wait at one of the pools, or nobody does any more.
    waiting_changed: Arc<Notify>,
    listening: JoinSet<()>,
    says: watch::Sender<String>,
}

impl Client {
    async fn run(mut self, mut joined: mpsc::Receiver<Pool>) {
        let Some(first) = joined.recv().await else { return };
        self.contact = Contact::new(Instant::now());
        self.join(first);
        // Those that are made together are in one hello.
        while let Ok(another) = joined.try_recv() {
            self.join(another);
        }
        let waiting_changed = self.waiting_changed.clone();
        loop {
            let alone_at = self.alone_at();
            let unsettled = self.pools.unsettled();
            tokio::select! {
                event = self.link.next() => self.on_link(event),
                another = joined.recv() => match another {
                    Some(pool) => self.join(pool),
                    None => return,
                },
                () = sleep_until(alone_at.unwrap_or_else(Instant::now)), if alone_at.is_some() => self.left_alone(),
                () = settled(&unsettled), if !unsettled.is_empty() => self.comply(),
                () = waiting_changed.notified() => {
                    self.report_due = self.report_due.min(self.reported + BETWEEN_EDGES);
                }
                () = sleep_until(self.report_due) => {
                    self.comply();
                    self.report();
                }
            }
        }
    }

    fn join(&mut self, pool: Pool) {
        let (waiting, waiting_changed) = (pool.clone(), self.waiting_changed.clone());
        self.listening.spawn(async move {
            loop {
                waiting.waiting_changed().await;
                waiting_changed.notify_one();
            }
        });
        self.pools.add(pool);
        self.hello.send_replace(wire::hello(&self.settings, &self.pools));
        self.comply();
    }

    /// When the pools open their floors though nobody grants them.
    fn alone_at(&self) -> Option<Instant> {
        let since = self.contact.silent_since()?;
        self.holding.may_be_left_alone().then(|| since + self.settings.silence)
    }

    fn left_alone(&mut self) {
        self.holding.left_alone();
        let silent_ms = u64::try_from(self.settings.silence.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(silent_ms, "no broker answers: the pools open their floors, and no more");
        self.comply();
    }

    /// Sets the limits that are to be set now, and says so at once if by that, or by what was closed, another grant is complied
    /// with.
    fn comply(&mut self) {
        for (index, limit) in self.holding.next(&self.pools.shares()) {
            self.pools.allow(index, limit, self.holding.epoch());
        }
        if self.holding.complied(&self.pools.shares()) != self.complied {
            self.report();
        }
    }

    /// Says how the process is, to the leader that is there.
    fn report(&mut self) {
        self.complied = self.holding.complied(&self.pools.shares());
        self.reported = Instant::now();
        self.report_due = self.reported + self.settings.report_every;
        if self.is_welcome {
            let report = wire::report(&self.pools, &self.holding, self.complied, &mut self.cpu);
            self.report.send_replace(report);
        }
    }

    fn on_link(&mut self, event: Event) {
        match event {
            Event::Due => {
                let address = self.address();
                let outgoing = Outgoing { hello: self.hello.subscribe(), report: self.report.subscribe() };
                self.link = Link::opening(address, &self.settings.token_file, outgoing);
            }
            Event::Said(Said::Welcome(epoch)) => {
                if self.holding.welcomed(epoch) {
                    self.heard();
                } else {
                    tracing::warn!(epoch, known = self.holding.epoch(), "a broker takes itself for the leader still");
                }
                // It learns what the process holds, or that it doesn't lead any more.
                self.is_welcome = true;
                self.report();
            }
            Event::Said(Said::Grant(grant)) => {
                match self.holding.granted(grant, &self.pools.shares()) {
                    Ok(()) => self.comply(),
                    Err(error) => tracing::warn!(error = %error, "what a broker says isn't done"),
                }
                // It learns what became of it, also if nothing did.
                self.report();
            }
            Event::Said(Said::Pending(reason)) => {
                self.says.send_replace(waits(&self.settings, &format!("which has none yet: {reason}")));
            }
            Event::Said(Said::Leader(leader)) => {
                let said = if leader.is_some() { "which names another leader" } else { "which knows no leader now" };
                self.ended(End::Elsewhere(leader), said);
            }
            Event::Ended(Ok(())) => self.ended(End::Over, "which has ended the stream"),
            Event::Ended(Err(status)) => {
                if self.contact.failures() == 0 {
                    let code = format!("{:?}", status.code());
                    tracing::warn!(code, error = status.message(), "the broker isn't reached; it is tried again");
                }
                // A probe is told no more than that.
                self.ended(End::Failed, "which isn't reached; its log says why");
            }
        }
    }

    /// Where to try: where the leader is said to be, or one address after the other.
    fn address(&self) -> String {
        if let Some(leader) = self.contact.leader() {
            return leader.to_owned();
        }
        let turn = usize::try_from(self.contact.failures()).unwrap_or_default() % self.addresses.len().max(1);
        self.addresses.get(turn).cloned().unwrap_or_default()
    }

    /// A leader has said something.
    fn heard(&mut self) {
        if self.contact.silent_since().is_some() {
            tracing::info!("a broker's leader answers");
        }
        self.contact.heard();
    }

    fn ended(&mut self, end: End, said: &str) {
        self.is_welcome = false;
        let again = self.contact.ended(end, Instant::now(), self.pools.chance());
        self.link = Link::apart(again);
        self.says.send_replace(waits(&self.settings, said));
    }
}

/// Resolves when one of them has no more connections than it is allowed.
async fn settled(unsettled: &[Pool]) {
    if !unsettled.is_empty() {
        select_all(unsettled.iter().map(|pool| Box::pin(pool.settled()))).await;
    }
}
