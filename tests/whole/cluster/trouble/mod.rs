//! Everything that is done to a cluster, or happens to one, while people buy: one installation, one trouble after the other,
//! and in the end every order that was placed is delivered.

pub(super) mod backends;
mod causes;
mod door;
mod operator;
mod shares;
pub(super) mod table;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use selvage_pool::sea_orm::ConnectionTrait as _;
use selvage_pool::{Config, Pool};
use selvage_tests::cluster;
use selvage_tests::installed::installed;
use selvage_tests::jaeger::Query;
use selvage_tests::ledger::Ledger;
use selvage_tests::release::Release;

use self::backends::{Backends, budget};
use self::causes::{complete, of_each, upgrade};
use self::table::Row;
use super::load::{Load, Visit};
use super::{memory, shared};
use crate::traces::purchase::amiss;

const SERVICES: [&str; 5] = ["catalogue", "cart", "checkout", "delivery", "web"];
/// The chart refuses three replicas of each service, whose pools may open 120 connections, on a server with 100.
const ROOM: &str = "budget.servers.main.maxConnections=200";
/// PostgreSQL isn't on the node that dies.
const DATABASE: &str = r"postgres.nodeSelector.kubernetes\.io/hostname=node1";
/// Room for the traces of every page until they are looked at.
const TRACES: &str = "jaeger.maxTraces=4000";
/// What is on the node that dies.
const DIES: (u32, &str) = (2, "node2");
/// The shop recovers in seconds; a container that ends twice is started again after ten.
const STEADY_BOUND: Duration = Duration::from_secs(60);
/// By when callers have given up a node that is silent: two seconds until a connection is asked, two for its answer, and four as
/// the machine is busy. What it took is printed.
const EJECTED: Duration = Duration::from_secs(8);
/// By when a new pod has its share: a name server keeps an answer for five seconds.
const SHARED: Duration = Duration::from_secs(5);
/// How long the shares are measured: some sixty calls of the service that has the fewest.
const MEASURED: Duration = Duration::from_secs(12);
/// The relay, all exporters and Jaeger's own batches.
const TRACE_BOUND: Duration = Duration::from_secs(60);
/// Four steps of a parcel of 8 s each, and the relay, which has some 1,300 orders to work off after a surge: two minutes here.
const DELIVERY_BOUND: Duration = Duration::from_secs(420);

/// Waits for what a synchronous look finds; each takes a program that is started.
fn eventually(bound: Duration, what: &str, release: &Release<'_>, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < bound, "waited {bound:?} in vain: {what}\n{}", release.state());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The shop, with all that watches it.
struct Shop<'r, 'c> {
    release: &'r Release<'c>,
    load: Load,
    backends: Backends,
    rows: Vec<Row>,
    /// What isn't as it must be, in words: it is told in the end, so that the table is whole.
    findings: Vec<String>,
    /// The connections that there may be.
    budget: fn(&Release<'_>) -> i64,
}

impl Shop<'_, '_> {
    /// Lets something happen, which ends when `cause` returns or when that says; waits until people buy again.
    fn trouble(&mut self, what: &str, cause: impl FnOnce(&Self) -> Option<Instant>) -> &Row {
        println!("{what} …");
        let (began, allowed) = (Instant::now(), (self.budget)(self.release));
        let undone = cause(self).unwrap_or_else(Instant::now);
        let steady = || self.load.is_steady_since(undone);
        eventually(STEADY_BOUND, "people buy again", self.release, steady);
        let allowed = allowed.max((self.budget)(self.release));
        let (most, looks) = self.backends.most_since(began);
        assert!(looks > 0, "nobody looked at PostgreSQL");
        let row = Row::of(what, began, undone, &self.load.visits(), (most, allowed));
        println!("  {}", row.line());
        for why in row.failed.iter().take(3) {
            println!("  failed: {}", table::short(why));
        }
        self.demand(most <= allowed, || format!("{what}: {most} connections, and the budget is {allowed}"));
        self.rows.push(row);
        self.rows.last().unwrap()
    }

    fn demand(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            let what = what();
            println!("  WRONG: {what}");
            self.findings.push(what);
        }
    }

    /// The same for what nobody may notice.
    fn unnoticed(&mut self, what: &str, cause: impl FnOnce(&Self) -> Option<Instant>) {
        let row = self.trouble(what, cause);
        let bought = row.bought;
        let failed: Vec<_> = row.failed.iter().map(|why| table::short(why)).collect();
        self.demand(failed.is_empty(), || format!("{what}: {} requests failed: {failed:?}", failed.len()));
        self.demand(bought > 4, || format!("{what}: only {bought} bought, too few to tell"));
    }

    /// The replicas of each service are on both nodes.
    fn are_spread(&mut self) {
        let pods = self.release.pods();
        for service in SERVICES {
            let own = pods.iter().filter(|pod| pod.component == service && !pod.ending);
            let nodes: BTreeSet<_> = own.map(|pod| pod.node.as_str()).collect();
            self.demand(nodes.len() == 2, || format!("{service} is on {nodes:?} alone"));
        }
    }

    /// Each of three pods has its part of the calls, five seconds after it is ready.
    fn have_their_share(&mut self) {
        std::thread::sleep(SHARED);
        for (service, calls) in shares::measure(self.release, MEASURED) {
            println!("  {service}: calls of its pods in {} s: {calls:?}", MEASURED.as_secs());
            let fair = calls.iter().sum::<f64>() / 3.0;
            let right = calls.len() == 3 && calls[0] > fair / 3.0;
            self.demand(right, || format!("a pod of {service} has too few calls: {calls:?}"));
        }
    }

    /// If something isn't as it must be: what Jaeger has of pages that failed lately.
    fn tell_failures(&self, jaeger: &Query, since: SystemTime) {
        if self.findings.is_empty() {
            return;
        }
        for status in ["500", "503", "504"] {
            for trace in jaeger.search_since(since, "selvage-web", &[("http.response.status_code", status)]) {
                println!("  a page failed with {status}, trace {}:", trace.id);
                for span in trace.spans.iter().filter(|span| span.tags.contains_key("error")) {
                    println!("    {} {}: {:?}", span.service, span.name, span.tags);
                }
            }
        }
    }

    /// Every purchase since then is one trace, with all that followed from it.
    fn traces_are_whole(&mut self, jaeger: &Query, since: SystemTime, placed: usize) {
        let is_purchase = [("http.request.method", "POST"), ("http.route", "/checkout")];
        let mut found = Vec::new();
        eventually(TRACE_BOUND, "Jaeger has every purchase", self.release, || {
            found = jaeger.search_since(since, "selvage-web", &is_purchase);
            found.len() >= placed
        });
        println!("  {placed} orders, {} traces", found.len());
        let began = Instant::now();
        found.retain(|trace| !amiss(trace).is_empty());
        while !found.is_empty() && began.elapsed() < TRACE_BOUND {
            std::thread::sleep(Duration::from_secs(1));
            found = found.iter().filter_map(|trace| jaeger.trace(&trace.id)).collect();
            found.retain(|trace| !amiss(trace).is_empty());
        }
        let broken: Vec<_> = found.iter().map(|trace| (&trace.id, amiss(trace))).collect();
        self.demand(broken.is_empty(), || format!("{} traces are broken: {broken:#?}", broken.len()));
    }
}

/// The address of the server, for whoever may do everything.
pub(super) fn address(release: &Release<'_>, database: &str) -> String {
    let pod = release.pods().into_iter().find(|pod| pod.component == "postgres").expect("PostgreSQL");
    let password = release.secret("postgres", "superuser");
    format!("postgres://postgres:{password}@{}:5432/{database}?sslmode=disable", pod.address)
}

/// Lets whoever may do everything execute this.
async fn execute(release: &Release<'_>, database: &str, statement: &str) {
    let config =
        Config { limit: 1, application_name: "prepares".into(), ..Config::new("prepares", address(release, database)) };
    let pool = Pool::open(config).await.expect("PostgreSQL");
    pool.execute_unprepared(statement).await.expect("it is done");
    pool.close().await;
}

/// Nobody finds that somebody else has just taken the last piece.
async fn enough_of_everything(release: &Release<'_>) {
    execute(release, "catalogue", "UPDATE variants SET stock = stock + 10000").await;
}

/// Every order that somebody was told is placed came to its end, and all money and all pieces are where they must be.
async fn nothing_is_lost(release: &Release<'_>, visits: &[Visit]) {
    let of = |database| address(release, database);
    let ledger = Ledger::open(&of("catalogue"), &of("checkout"), &of("delivery")).await;
    ledger.settled(DELIVERY_BOUND).await;
    ledger.delivered(DELIVERY_BOUND).await;
    ledger.check().await;
    let placed = visits.iter().filter_map(|visit| visit.left.as_ref()?.1.as_ref().ok());
    // Read once: there may be thousands.
    let states = ledger.state_of_each().await;
    let mut count = 0;
    for order in placed {
        let id = order.split(['/', '?']).nth(2).expect("/orders/ID");
        let state = states.get(id).expect("the order").as_str();
        assert!(["confirmed", "on_its_way"].contains(&state), "{order} was placed, and is {state}");
        count += 1;
    }
    println!("{count} were told that their order is placed; the orders: {:?}", ledger.states().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_the_cluster_the_shop_sells_on_or_recovers_and_loses_no_order() {
    let Some(cluster) = shared() else { return };
    if cluster::given().is_some() {
        eprintln!("!! SKIPPED: troubles under load: a given cluster is reached through one pod, and ends with it");
        return;
    }
    let full = std::env::var("SELVAGE_TESTS").as_deref() == Ok("full");
    let one: Vec<_> = [ROOM, DATABASE, TRACES].map(ToOwned::to_owned).to_vec();
    let three = [one.clone(), of_each("replicas=3")].concat();
    let two = [one.clone(), of_each("replicas=2")].concat();
    let rolled = [two.clone(), of_each("podAnnotations.rolled=yes")].concat();
    let again = [two.clone(), of_each("podAnnotations.rolled=again")].concat();
    let release = Release::install(cluster, "helm3", "trouble", &one.iter().map(String::as_str).collect::<Vec<_>>());
    let (url, _forward) = release.reach("web", 80);
    let (jaeger, _forward) = release.reach("jaeger", 16686);
    let backends = Backends::watch(&address(&release, "postgres")).await;
    enough_of_everything(&release).await;
    let began = Instant::now();
    let mut shop =
        Shop { release: &release, load: Load::start(&url), backends, rows: Vec::new(), findings: Vec::new(), budget };
    eventually(STEADY_BOUND, "people buy", &release, || shop.load.is_steady_since(began));

    let to = |values: &[String]| {
        let values = values.to_vec();
        move |shop: &Shop<'_, '_>| {
            upgrade(shop.release, &values);
            None
        }
    };
    shop.unnoticed("every service scaled from 1 to 3", to(&three));
    shop.have_their_share();
    shop.unnoticed("every service scaled from 3 to 1", to(&one));
    shop.unnoticed("every service scaled from 1 to 2", to(&two));
    let (began, since) = (Instant::now(), SystemTime::now());
    shop.unnoticed("every service rolled out", to(&rolled));
    shop.are_spread();
    let bought = |visit: &Visit| visit.began > began && matches!(visit.left, Some((_, Ok(_))));
    let placed = shop.load.visits().iter().filter(|visit| bought(visit)).count();
    shop.traces_are_whole(&Query::at(&jaeger), since, placed);
    memory::tell(&release);

    for service in SERVICES {
        shop.trouble(&format!("a pod of {service} killed"), |shop| {
            causes::kill_one(shop.release, service, DIES.1);
            None
        });
        complete(&release);
    }

    let lasts = Duration::from_secs(10);
    shop.unnoticed("no answer from DNS for 10 s", |shop| {
        causes::silence_dns(shop.release.cluster, lasts);
        None
    });
    shop.unnoticed("Jaeger gone for 10 s", |shop| {
        causes::gone_for(shop.release.cluster, &shop.release.namespace, &shop.release.name("jaeger"), lasts);
        None
    });
    if installed(&["prometheus"], "Prometheus gone").is_some() {
        causes::install_prometheus(&release);
        shop.unnoticed("Prometheus gone for 10 s", |shop| {
            causes::gone_for(shop.release.cluster, causes::MONITORING, "prometheus", lasts);
            None
        });
        cluster.kubectl(&["delete", "namespace", causes::MONITORING, "--wait=false"]);
    }
    shop.are_spread();
    // With the node the only name server goes, at the moment at which new pods look up whom they call.
    causes::move_dns(shop.release.cluster, DIES.1, "node1");
    let since = SystemTime::now();
    shop.unnoticed("a node drained", |shop| {
        causes::drain(shop.release, DIES.1);
        None
    });
    shop.tell_failures(&Query::at(&jaeger), since);
    shop.unnoticed("every service rolled out again", to(&again));
    shop.are_spread();

    // People come to the pages of the node that lives; what its Service does is another question.
    let alive = release.pods().into_iter().find(|pod| pod.component == "web" && pod.node != DIES.1).expect("a pod");
    shop.load.come_to(&format!("http://{}:8080", alive.address));
    let came = Instant::now();
    eventually(STEADY_BOUND, "they come there", &release, || shop.load.is_steady_since(came));
    let door = door::Door::watch(&url);
    let lasts = Duration::from_secs(if full { 100 } else { 20 });
    let mut cut = Instant::now();
    shop.trouble(&format!("a worker dead for {} s", lasts.as_secs()), |shop| {
        let joined;
        (cut, joined) = causes::cut_off(shop.release.cluster, DIES.0, lasts);
        Some(joined)
    });
    door.tell(cut);
    let failed =
        shop.load.visits().into_iter().filter(|visit| matches!(visit.left, Some((left, Err(_))) if left > cut));
    let came: Vec<_> = failed.map(|visit| visit.began.saturating_duration_since(cut).as_secs_f64()).collect();
    println!("  those who failed had come {came:.1?} s after the worker died");
    let late = shop.load.visits().into_iter().filter(|visit| visit.began > cut + EJECTED);
    let late: Vec<_> = late.filter_map(|visit| visit.left?.1.err()).collect();
    shop.demand(late.is_empty(), || {
        let why: Vec<_> = late.iter().map(|why| table::short(why)).collect();
        format!("{} s after the node died {} requests failed: {why:?}", EJECTED.as_secs(), late.len())
    });
    complete(&release);
    shop.load.come_to(&url);

    // Last, as a pool that has just lost its connections has none for a while in one of its pods.
    shop.trouble("PostgreSQL restarted", |shop| {
        causes::restart_postgres(shop.release, "-INT");
        None
    });
    shop.trouble("PostgreSQL killed", |shop| {
        causes::restart_postgres(shop.release, "-KILL");
        None
    });

    table::print(&shop.rows);
    let Shop { load, findings, .. } = shop;
    nothing_is_lost(&release, &load.end()).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
