//! A bad day: people order all the time from two instances of each service, on a PostgreSQL with a standby, and one thing after
//! the other goes wrong. Who was refused, and for how long, is printed as a table; nothing may be lost.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use selvage_identity::Role;
use selvage_pool::sea_orm::{ConnectionTrait as _, Statement};
use selvage_pool::{Config, Pool};
use selvage_proto::checkout::v1::PlaceOrderRequest;
use selvage_proto::operations::v1::StartFaultRequest;
use selvage_proto::operations::v1::fault::Kind;
use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::buyer::{Buyer, Clients};
use selvage_tests::ledger::Ledger;
use selvage_tests::operations;
use selvage_tests::shop::{Separate, Tokens};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tonic::{Code, Status};

use super::LONG;

const SKU: &str = "TROUBLE";
const STOCKED: i32 = 100_000;
const SERVICES: [&str; 4] = ["catalogue", "cart", "checkout", "delivery"];
/// Somebody comes this often.
const EVERY: Duration = Duration::from_millis(125);
/// Who is refused asks again after this.
const AGAIN: Duration = Duration::from_millis(250);
/// So many in a row whom nobody refuses are taken for a shop that sells as ever.
const IN_A_ROW: usize = 8;

/// Somebody who came to order something.
#[derive(Clone)]
struct Visit {
    came: Instant,
    /// When they were refused for the first time, and with what.
    refused: Option<(Instant, String)>,
    /// When their order was placed, and which it is.
    placed: Option<(Instant, String)>,
}

type Visits = Arc<Mutex<Vec<Visit>>>;

/// What somebody has done so far of what an order takes.
#[derive(Default)]
struct Progress {
    packed: bool,
    intent: Option<PlaceOrderRequest>,
    intents: usize,
}

impl Progress {
    /// Does what is left; the order's id. After a refusal it goes on where it was, with the same key as long as that may help.
    async fn order(&mut self, buyer: &Buyer, number: usize) -> Result<String, Status> {
        if !self.packed {
            buyer.add(SKU, 1).await?;
            self.packed = true;
        }
        if self.intent.is_none() {
            let key = format!("trouble-{number:06}-{:02}", self.intents);
            self.intent = Some(buyer.intent(&key, "tok_succeeds").await?);
            self.intents += 1;
        }
        let placed = buyer.place(self.intent.clone().expect("there is one")).await;
        // It was undone, or the bag is another one by now: the same again would be refused again.
        if placed.as_ref().is_err_and(|status| status.code() == Code::FailedPrecondition) {
            self.intent = None;
        }
        placed.map(|order| order.order_id)
    }
}

/// Orders something, however often that takes.
async fn visit(clients: Clients, tokens: Tokens, number: usize, visits: Visits) {
    let (buyer, mut progress) = (Buyer::new(&clients, &tokens), Progress::default());
    loop {
        let ordered = progress.order(&buyer, number).await;
        let now = Instant::now();
        {
            let visit = &mut visits.lock().unwrap()[number];
            match ordered {
                Ok(order) => {
                    visit.placed = Some((now, order));
                    return;
                }
                Err(status) => {
                    let why = || (now, format!("{:?}: {}", status.code(), status.message()));
                    visit.refused.get_or_insert_with(why);
                    if now - visit.came > LONG {
                        return;
                    }
                }
            }
        }
        sleep(AGAIN).await;
    }
}

/// People come until it is ended.
struct Load {
    ended: Arc<AtomicBool>,
    coming: JoinHandle<JoinSet<()>>,
    visits: Visits,
}

impl Load {
    fn start(clients: Clients, tokens: Tokens) -> Self {
        let (ended, visits) = (Arc::<AtomicBool>::default(), Visits::default());
        let (end, seen) = (ended.clone(), visits.clone());
        let coming = tokio::spawn(async move {
            let (mut people, mut ticks) = (JoinSet::new(), interval(EVERY));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !end.load(Ordering::Relaxed) {
                ticks.tick().await;
                let number = people.len();
                seen.lock().unwrap().push(Visit { came: Instant::now(), refused: None, placed: None });
                people.spawn(visit(clients.clone(), tokens.clone(), number, seen.clone()));
            }
            people
        });
        Self { ended, coming, visits }
    }

    fn came_since(&self, since: Instant) -> Vec<Visit> {
        self.visits.lock().unwrap().iter().filter(|visit| visit.came >= since).cloned().collect()
    }

    /// Waits until all who came before `since` have their orders, and then several in a row whom nobody has refused.
    async fn is_steady(&self, since: Instant) {
        eventually(LONG, "people order as ever", async || {
            let visits = self.visits.lock().unwrap();
            let done = visits.iter().take_while(|visit| visit.placed.is_some());
            let last = done.filter(|visit| visit.came > since).collect::<Vec<_>>();
            last.iter().rev().take_while(|visit| visit.refused.is_none()).count() >= IN_A_ROW
        })
        .await;
    }

    async fn end(self) -> Vec<Visit> {
        self.ended.store(true, Ordering::Relaxed);
        self.coming.await.expect("they came").join_all().await;
        std::mem::take(&mut self.visits.lock().unwrap())
    }
}

/// Who may be refused meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
enum May {
    Nobody,
    Some,
}

/// The shop on its bad day.
struct Day {
    shop: Separate,
    load: Load,
    table: Vec<String>,
    /// What isn't as it must be, told in the end, so that the table is whole.
    findings: Vec<String>,
}

impl Day {
    /// Lets something happen, which ends when `cause` does, and waits until people order as ever.
    async fn trouble(&mut self, what: &str, refused: May, cause: impl AsyncFnOnce(&mut Separate)) {
        let began = Instant::now();
        cause(&mut self.shop).await;
        let lasted = began.elapsed();
        self.load.is_steady(Instant::now()).await;
        let visits = self.load.came_since(began);
        let seconds = |time: Duration| format!("{:.1}", time.as_secs_f64());
        let times = visits.iter().filter_map(|visit| visit.refused.as_ref());
        let (count, last) = (times.clone().count(), times.map(|(at, _)| *at - began).max());
        let longest = visits.iter().filter_map(|visit| Some(visit.placed.as_ref()?.0 - visit.came)).max();
        let row = format!(
            "| {what} | {} | {} | {count} | {} | {} |",
            seconds(lasted),
            visits.len(),
            last.map_or_else(|| "–".to_owned(), seconds),
            longest.map_or_else(|| "–".to_owned(), seconds),
        );
        println!("{row}");
        let why: Vec<_> =
            visits.iter().filter_map(|visit| visit.refused.as_ref()).map(|(_, why)| why).take(3).collect();
        for why in &why {
            println!("  {why}");
        }
        if refused == May::Nobody && count > 0 {
            self.findings.push(format!("{what}: {count} were refused: {why:?}"));
        }
        self.table.push(row);
    }
}

/// The same address with a second server, of which the one is wanted that takes writes.
fn of_both(url: &str, standby: u16) -> String {
    let (server, database) = url.rsplit_once('/').expect("a database");
    format!("{server},127.0.0.1:{standby}/{database}?target_session_attrs=read-write")
}

async fn administrator(url: &str) -> Pool {
    Pool::open(Config { limit: 1, ..Config::new("tests", url) }).await.expect("the server answers")
}

/// What is committed is on the standby as well, so that nothing is lost with the primary.
async fn wait_for_standby(primary: &Pool) {
    for sql in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"] {
        primary.execute_unprepared(sql).await.expect("an administrator may");
    }
    eventually(LONG, "each commit waits for the standby", async || {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        let row = primary.query_one_raw(Statement::from_string(primary.backend(), sql)).await.unwrap().unwrap();
        row.try_get_by_index::<i64>(0).unwrap() == 1
    })
    .await;
}

/// Each instance of checkout has this fault for that long.
async fn disturb(shop: &Separate, fault: StartFaultRequest, lasts: Duration) {
    let admin = shop.tokens().of(Role::Admin, "tests");
    for number in 0..2 {
        let channel = shop.channel_to("checkout", number);
        operations::ask(&channel, &admin, fault.clone()).await.expect("faults are allowed");
    }
    sleep(lasts).await;
}

/// Every order that somebody was told of is confirmed or on its way, each person has one, and the books are right.
async fn nothing_is_lost(ledger: &Ledger, visits: &[Visit]) {
    ledger.settled(LONG).await;
    ledger.check().await;
    let states = ledger.state_of_each().await;
    for visit in visits {
        let (_, order) = visit.placed.as_ref().expect("an order for everybody");
        let state = states.get(order).expect("the order").as_str();
        assert!(["confirmed", "on_its_way"].contains(&state), "{order} is {state}");
    }
    let undone = states.values().filter(|state| *state == "undone").count();
    assert_eq!(states.len() - undone, visits.len(), "an order for each, and no more: {:?}", ledger.states().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_on_a_bad_day_everybody_gets_the_one_order_that_they_wanted() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let mut primary = Server::start(&[]).await;
    let standby = Server::start_standby(&primary).await;
    let port = standby.port();
    let way = async |_: &str, _, url: &str| Some(of_both(url, port));
    let shop = Separate::start_several(&primary, 2, way, &[("SELVAGE_FAULTS", "allow")]).await;
    let admin = administrator(primary.url()).await;
    wait_for_standby(&admin).await;
    let clients = Clients::new(|name| shop.channel(name));
    clients.stock(&shop.tokens(), SKU, STOCKED).await;
    let began = Instant::now();
    let load = Load::start(clients, shop.tokens());
    load.is_steady(began).await;
    let mut day = Day { shop, load, table: Vec::new(), findings: Vec::new() };

    day.trouble("delivery can't store anything for 5 s", May::Nobody, async |shop| {
        let owner = administrator(shop.databases[3].url()).await;
        let role = shop.role("delivery").to_owned();
        owner.execute_unprepared(&format!("REVOKE INSERT ON shipments FROM {role}")).await.expect("the owner may");
        sleep(Duration::from_secs(5)).await;
        owner.execute_unprepared(&format!("GRANT INSERT ON shipments TO {role}")).await.expect("the owner may");
        owner.close().await;
    })
    .await;
    // It says what sending costs.
    day.trouble("delivery away for 5 s", May::Some, async |shop| {
        for number in 0..2 {
            shop.process("delivery", number).kill();
        }
        sleep(Duration::from_secs(5)).await;
        for number in 0..2 {
            shop.restart_instance("delivery", number);
        }
    })
    .await;
    for service in SERVICES {
        let what = format!("one of two of {service} killed, and there again after 2 s");
        day.trouble(&what, May::Some, async |shop| {
            shop.process(service, 0).kill();
            sleep(Duration::from_secs(2)).await;
            shop.restart_instance(service, 0);
        })
        .await;
    }
    day.trouble("each process told to end, one after the other, and started again", May::Nobody, async |shop| {
        for service in SERVICES {
            for number in 0..2 {
                shop.process(service, number).ask_to_end();
                eventually(LONG, "it has ended", async || shop.process(service, number).ended().is_some()).await;
                shop.restart_instance(service, number);
            }
        }
    })
    .await;
    day.trouble("one of two of checkout stands still for 5 s (SIGSTOP)", May::Some, async |shop| {
        shop.process("checkout", 0).pause();
        sleep(Duration::from_secs(5)).await;
        shop.process("checkout", 0).go_on();
    })
    .await;
    day.trouble("the types of columns changed under prepared statements", May::Nobody, async |shop| {
        for (database, sql) in [
            (0, "ALTER TABLE products ALTER COLUMN title TYPE varchar"),
            (1, "ALTER TABLE cart_lines ALTER COLUMN sku TYPE varchar"),
            (2, "ALTER TABLE orders ALTER COLUMN email TYPE text"),
            (3, "ALTER TABLE shipments ALTER COLUMN tracking_number TYPE varchar"),
        ] {
            let owner = administrator(shop.databases[database].url()).await;
            owner.execute_unprepared(sql).await.expect("the owner may");
            owner.close().await;
        }
    })
    .await;
    day.trouble("200 connections to each of checkout that say nothing, for 5 s", May::Nobody, async |shop| {
        let addresses = [0, 1].map(|number| shop.address_of("checkout", number).to_owned());
        let mut silent: Vec<_> =
            addresses.iter().flat_map(|at| (0..200).map(|_| TcpStream::connect(at.as_str()).unwrap())).collect();
        sleep(Duration::from_secs(5)).await;
        // Err: it was closed, for it said nothing.
        silent.iter_mut().for_each(|stream| drop(stream.write_all(b"PRI")));
    })
    .await;
    day.trouble("the payment provider silent for 5 s", May::Some, async |shop| {
        let lasts = Duration::from_secs(5);
        let delay = Some(prost_types::Duration { seconds: 30, nanos: 0 });
        let fault = StartFaultRequest {
            kind: Kind::DependencySlow.into(),
            target: "payment".into(),
            delay,
            ..operations::lasting(lasts)
        };
        disturb(shop, fault, lasts).await;
    })
    .await;
    day.trouble("all connections of checkout's pools held for 5 s", May::Some, async |shop| {
        let lasts = Duration::from_secs(5);
        let fault = StartFaultRequest {
            kind: Kind::LeakedConnection.into(),
            target: "checkout".into(),
            count: 8,
            ..operations::lasting(lasts)
        };
        disturb(shop, fault, lasts).await;
    })
    .await;
    day.trouble("all sessions ended by the server, over and over, for 2 s", May::Some, async |_| {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(2) {
            let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename LIKE '%_service'";
            admin.execute_raw(Statement::from_string(admin.backend(), sql)).await.expect("an administrator may");
            sleep(Duration::from_millis(60)).await;
        }
    })
    .await;
    day.trouble("the primary stopped, and its standby promoted 2 s later", May::Some, async |_| {
        primary.stop().await;
        sleep(Duration::from_secs(2)).await;
        standby.promote().await;
    })
    .await;

    println!(
        "| what went wrong | lasted, s | people who came | refused at first | the last of them after, s | the longest \
         until they had their order, s |\n|---|---|---|---|---|---|"
    );
    for row in &day.table {
        println!("{row}");
    }
    let Day { shop, load, findings, .. } = day;
    let visits = load.end().await;
    let [catalogue, _, checkout, delivery] = [0, 1, 2, 3].map(|index| of_both(shop.databases[index].url(), port));
    let ledger = Ledger::open(&catalogue, &checkout, &delivery).await;
    nothing_is_lost(&ledger, &visits).await;
    println!("{} people, each with the order that they wanted; lost: no order, no money, no stock", visits.len());
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
