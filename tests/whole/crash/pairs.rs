//! Two instances of each service on PostgreSQL: some are killed at a step of their work, some stand still for longer than a
//! relay's claim lasts and then go on as if nothing had been, sessions are ended by the server, relays have no connection to
//! work with. Orders are placed, cancelled and paid back all the while. Which trouble comes when is written down here; what
//! it meets is found by counting messages.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::join_all;
use selvage_identity::Role;
use selvage_pool::sea_orm::{ConnectionTrait as _, Statement};
use selvage_pool::{Config, Pool};
use selvage_proto::operations::v1::fault::Kind;
use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::buyer::Clients;
use selvage_tests::ledger::Ledger;
use selvage_tests::metrics::Metrics;
use selvage_tests::operations;
use selvage_tests::proxy::{Blow, Proxy, Strike};
use selvage_tests::shop::Separate;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::mix::{Ready, SKU, Told, Wish, audit};
use super::{LEASE, LONG, before_database, by_form, tell};

/// The pool of a relay.
const RELAY: &str = "checkout-relay";
/// Orders of a round, all at once.
const ORDERS: u64 = 8;
const STOCKED: i32 = 10_000;
/// Sessions are ended for so long, with a pause between that lets some work through.
const ENDING: Duration = Duration::from_secs(2);
const BETWEEN: Duration = Duration::from_millis(60);
/// The whole of a relay's claim, and a second more: the other one has its messages by then.
const PAUSE: Duration = LEASE.saturating_add(Duration::from_secs(1));

/// What is done to the shop in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// SIGKILL or SIGSTOP of an instance of checkout, at a message to its database.
    Struck(Blow),
    /// SIGKILL of an instance of another service, with orders under way.
    Killed(&'static str),
    /// SIGSTOP of one.
    Paused(&'static str),
    /// `pg_terminate_backend` of all services' sessions, over and over.
    SessionsEnded,
}

/// When it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// While a crowd buys and cancels.
    Buying,
    /// When it has bought and cancelled: both relays had no connection until then, as busy ones haven't, and now do it all in
    /// one go.
    Relaying,
}

/// A round each, over and over.
const TROUBLES: [(Trouble, Moment); 12] = [
    (Trouble::Struck(Blow::Kill), Moment::Buying),
    (Trouble::Struck(Blow::Pause), Moment::Relaying),
    (Trouble::SessionsEnded, Moment::Relaying),
    (Trouble::Struck(Blow::Kill), Moment::Relaying),
    (Trouble::Killed("delivery"), Moment::Buying),
    (Trouble::Struck(Blow::Pause), Moment::Buying),
    (Trouble::SessionsEnded, Moment::Buying),
    (Trouble::Struck(Blow::Kill), Moment::Relaying),
    (Trouble::Killed("catalogue"), Moment::Relaying),
    (Trouble::Struck(Blow::Pause), Moment::Relaying),
    (Trouble::Paused("delivery"), Moment::Relaying),
    (Trouble::Killed("cart"), Moment::Buying),
];

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Struck(Blow::Kill) => f.write_str("checkout killed (SIGKILL)"),
            Self::Struck(Blow::Pause) => write!(f, "checkout paused for {} s (SIGSTOP)", PAUSE.as_secs()),
            Self::Killed(name) => write!(f, "{name} killed (SIGKILL)"),
            Self::Paused(name) => write!(f, "{name} paused for {} s (SIGSTOP)", PAUSE.as_secs()),
            Self::SessionsEnded => {
                write!(
                    f,
                    "all services' sessions ended over and over for {} s (pg_terminate_backend)",
                    ENDING.as_secs()
                )
            }
        }
    }
}

/// Two of each, and what looks at them.
struct Pair {
    shop: Separate,
    /// Before the database of each instance of checkout.
    proxies: Vec<Proxy>,
    administrator: Pool,
    ledger: Ledger,
    clients: Clients,
}

/// The buyers of a round.
struct Crowd {
    buying: JoinHandle<Vec<Told>>,
    placed: Arc<AtomicU64>,
}

impl Crowd {
    /// All of them buy at once from now on.
    fn of(ready: Vec<Ready>) -> Self {
        let placed = Arc::new(AtomicU64::new(0));
        let counted = placed.clone();
        let buying = async move { join_all(ready.into_iter().map(|ready| ready.live(&counted))).await };
        Self { buying: tokio::spawn(buying), placed }
    }

    /// When half of the orders are placed, or nobody buys any more.
    async fn is_buying(&self) {
        let half = || self.placed.load(Ordering::SeqCst) >= ORDERS / 2;
        eventually(LONG, "half of the orders are placed", async || half() || self.buying.is_finished()).await;
    }

    /// What they were told; everybody gets an answer.
    async fn told(&mut self) -> Vec<Told> {
        (&mut self.buying).await.expect("an answer for everybody")
    }
}

impl Pair {
    async fn start(server: &Server) -> Self {
        let mut proxies = Vec::new();
        let through = async |name: &str, _, url: &str| {
            if name != "checkout" {
                return None;
            }
            let (proxy, address) = before_database(url).await;
            proxies.push(proxy);
            Some(address)
        };
        // A parcel is picked up after two seconds: some cancel before that, some after it.
        let environment =
            [("SELVAGE_FAULTS", "allow"), ("SELVAGE_RELAY_POOL_LIMIT", "1"), ("SELVAGE_CARRIER_STEP", "2s")];
        let shop = Separate::start_several(server, 2, through, &environment).await;
        let administrator = Config { limit: 1, ..Config::new("tests", server.url()) };
        let administrator = Pool::open(administrator).await.expect("the server answers");
        let [catalogue, _, checkout, delivery] = &shop.databases;
        let ledger = Ledger::open(catalogue.url(), checkout.url(), delivery.url()).await;
        let clients = Clients::new(|name| shop.channel(name));
        clients.stock(&shop.tokens(), SKU, STOCKED).await;
        Self { shop, proxies, administrator, ledger, clients }
    }

    /// Takes the only connection of both relays; with what gives it back to each.
    async fn keep_relays(&self) -> [String; 2] {
        let admin = self.shop.tokens().of(Role::Admin, "tests");
        let mut keeps = [const { String::new() }; 2];
        for (number, keeps) in keeps.iter_mut().enumerate() {
            let channel = self.shop.channel_to("checkout", number);
            let fault = operations::start_fault(&channel, &admin, Kind::LeakedConnection, RELAY, LONG).await;
            *keeps = fault.expect("faults are allowed").fault_id;
            let of_relay = [("db_client_connection_pool_name", RELAY), ("db_client_connection_state", "used")];
            let used =
                || Metrics::of(self.shop.metrics_of("checkout", number)).sum("db_client_connection_count", &of_relay);
            eventually(LONG, "the relay has no connection", async || used() >= 1.0).await;
        }
        keeps
    }

    async fn free_relay(&self, number: usize, keeps: &str) {
        let admin = self.shop.tokens().of(Role::Admin, "tests");
        let freed = operations::end_fault(&self.shop.channel_to("checkout", number), &admin, keeps).await;
        freed.expect("it is there");
    }

    /// Ends all sessions of the services for a while, as often as they come again.
    async fn end_sessions(&self) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename LIKE '%_service'";
        let began = Instant::now();
        while began.elapsed() < ENDING {
            let end = Statement::from_string(self.administrator.backend(), sql);
            self.administrator.execute_raw(end).await.expect("an administrator may");
            tokio::time::sleep(BETWEEN).await;
        }
    }

    /// Makes trouble while a crowd buys, or while what it wanted is done; says whether it came to that.
    async fn make(&mut self, (trouble, moment): (Trouble, Moment), round: u64, ready: Vec<Ready>) -> (bool, Vec<Told>) {
        let number = usize::try_from(round % 2).expect("0 or 1");
        // Another step in each round, and both sides of it, within the messages of an instance's share of a round.
        let (step, strike) = (round * 13 % 60, if round % 4 < 2 { Strike::Before } else { Strike::After });
        let victim = self.shop.process("checkout", number).id();
        let arm = |proxy: &Proxy| {
            if let Trouble::Struck(blow) = trouble {
                proxy.arm_with(blow, victim, step, strike);
            }
        };
        let (mut crowd, mut told, mut kept) = match moment {
            Moment::Buying => {
                arm(&self.proxies[number]);
                (Crowd::of(ready), None, None)
            }
            Moment::Relaying => {
                let keeps = self.keep_relays().await;
                let mut crowd = Crowd::of(ready);
                let told = crowd.told().await;
                arm(&self.proxies[number]);
                // The victim's relay gets all of it.
                self.free_relay(number, &keeps[number]).await;
                (crowd, Some(told), Some(keeps[1 - number].clone()))
            }
        };
        let came = match trouble {
            Trouble::Struck(blow) => {
                let (proxy, ledger) = (&self.proxies[number], &self.ledger);
                // Everybody may have an answer and the blow yet to come, in the relay: that is awaited, as long as there is work.
                let finished = async {
                    if told.is_none() {
                        told = Some(crowd.told().await);
                    }
                    ledger.settled(LONG).await;
                };
                let struck = tokio::select! {
                    biased;
                    () = proxy.struck() => true,
                    () = finished => proxy.disarm().await,
                };
                // Now it is the other relay's.
                if let Some(keeps) = kept.take() {
                    self.free_relay(1 - number, &keeps).await;
                }
                if struck && blow == Blow::Kill {
                    self.shop.restart_instance("checkout", number);
                } else if struck {
                    tokio::time::sleep(PAUSE).await;
                    self.shop.process("checkout", number).go_on();
                }
                struck
            }
            Trouble::Killed(name) => {
                crowd.is_buying().await;
                self.shop.restart_instance(name, number);
                true
            }
            Trouble::Paused(name) => {
                crowd.is_buying().await;
                self.shop.process(name, number).pause();
                tokio::time::sleep(PAUSE).await;
                self.shop.process(name, number).go_on();
                true
            }
            Trouble::SessionsEnded => {
                self.end_sessions().await;
                true
            }
        };
        if let Some(keeps) = kept {
            self.free_relay(1 - number, &keeps).await;
        }
        let told = match told {
            Some(told) => told,
            None => crowd.told().await,
        };
        (came, told)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_comes_to_its_end_whatever_is_done_to_two_instances_of_each_service() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&[]).await;
    let mut pair = Pair::start(&server).await;
    let tokens = pair.shop.tokens();
    let (mut told, mut made) = (Vec::new(), BTreeMap::<Trouble, u64>::new());
    for round in 0..by_form(4, 12, 72) {
        let (trouble, moment) = TROUBLES[usize::try_from(round).expect("few") % TROUBLES.len()];
        let mut ready = Vec::new();
        for number in round * ORDERS..(round + 1) * ORDERS {
            let wish = if moment == Moment::Buying { Wish::of(number) } else { Wish::of(number).without_parcel() };
            ready.push(Ready::pack(&pair.clients, &tokens, "pairs", number, wish).await);
        }
        let (came, answers) = pair.make((trouble, moment), round, ready).await;
        *made.entry(trouble).or_default() += u64::from(came);
        told.extend(answers);
    }
    let ends = audit(&pair.ledger, &told, i64::from(STOCKED)).await;
    pair.ledger.delivered(LONG).await;
    let done: Vec<_> = made.iter().map(|(trouble, times)| (trouble.to_string(), *times)).collect();
    tell("two instances of each service on PostgreSQL", &done, &ends);
    assert!(ends.of("cancelled") > 0 && ends.of("refunded") > 0 && ends.of("confirmed") > 0, "{ends}");
    assert!(made.values().all(|times| *times > 0), "not all of it was done: {done:?}");
}
