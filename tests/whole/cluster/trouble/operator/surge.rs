//! More people come than the pools were made for, on a server with few connections.

use std::time::{Duration, Instant};

use selvage_pool::sea_orm::ConnectionTrait as _;
use selvage_pool::{Config, Pool};
use selvage_tests::release::Release;

use super::super::{Backends, Load, Row, STEADY_BOUND, Shop, address, eventually, nothing_is_lost, shared, table};
use super::watch::Watch;
use super::{SCALED, at_work, budget, install, scaler};

/// Small pools, so that few people fill them.
const SMALL: [&str; 6] = [
    "budget.servers.main.maxConnections=80",
    "checkout.maxReplicas=4",
    "checkout.pools.checkout.floor=1",
    "checkout.pools.checkout.limit=3",
    "checkout.pools.checkout-relay.floor=1",
    "checkout.pools.checkout-relay.limit=2",
];
/// Where checkout's pods serve their metrics.
const METRICS: u16 = 9466;
/// In quiet times somebody comes this often, and in a surge five times as often.
const QUIET: Duration = Duration::from_millis(1000);
const SURGE: Duration = Duration::from_millis(200);
/// How long it takes to write down an order: it holds a connection, and costs the server next to nothing.
const WRITING: f64 = 0.5;
/// By when limits are raised, from the first who waits for a connection, and replicas.
const RAISED: Duration = Duration::from_secs(3);
const SCALED_BY: Duration = Duration::from_secs(10);

/// Writing down an order takes long from now on.
async fn orders_take_long(release: &Release<'_>) {
    let pool = Pool::open(Config { limit: 1, ..Config::new("slow", &address(release, "checkout")) }).await.unwrap();
    let slow = format!(
        "CREATE FUNCTION takes_long() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep({WRITING}); RETURN NEW; END $$; \
         CREATE TRIGGER takes_long BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION takes_long()"
    );
    pool.execute_unprepared(&slow).await.expect("a trigger");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_surge_is_met_with_limits_and_replicas_within_seconds() {
    let Some(cluster) = shared() else { return };
    let release = install(cluster, "surge", &SMALL);
    orders_take_long(&release).await;
    eventually(STEADY_BOUND, "every PoolScaler is at work", &release, || at_work(&release) == SCALED);
    let (url, _forward) = release.reach("web", 80);
    let backends = Backends::watch(&address(&release, "postgres")).await;
    let watch = Watch::of(&release, "checkout", METRICS);
    let began = Instant::now();
    let load = Load::start(&url);
    load.come_each(QUIET);
    let mut shop = Shop { release: &release, load, backends, rows: Vec::<Row>::new(), findings: Vec::new(), budget };
    eventually(STEADY_BOUND, "people buy", &release, || shop.load.is_steady_since(began));
    std::thread::sleep(Duration::from_secs(20));
    let began = Instant::now();
    shop.load.come_each(SURGE);
    for _ in 0..40 {
        std::thread::sleep(Duration::from_secs(1));
        let pools = watch.pools_since(began);
        let last = pools.last().unwrap().1;
        let status = scaler(&release, "checkout");
        println!(
            "{:.1} {last:?} {} {} {}",
            began.elapsed().as_secs_f64(),
            status["replicas"],
            status["lastDecision"]["class"],
            status["lastDecision"]["reason"]
        );
    }
    let rel = |at: Instant| at.duration_since(began).as_secs_f64();
    let pools = watch.pools_since(began);
    let first = pools.iter().find(|(_, pools)| pools.waiting > 0.0 || pools.refused > 0.0);
    let before = pools[0].1.limit;
    let raised = pools.iter().find(|(_, pools)| pools.limit > before);
    println!(
        "first waiter {:?} raised {:?} replicas {:?}",
        first.map(|x| rel(x.0)),
        raised.map(|x| rel(x.0)),
        watch
            .replicas_since(began)
            .iter()
            .map(|(at, n)| (at.checked_duration_since(began).map(|x| x.as_secs_f64()), *n))
            .collect::<Vec<_>>()
    );
    for (at, p) in &pools {
        if (at.duration_since(began).as_millis() / 200) % 2 == 0 {
            println!("{:.1} {p:?}", rel(*at));
        }
    }
    println!("{}", release.kubectl(&["get", "poolscalers"]));
    println!("{}", release.kubectl(&["get", "connectionbudgets"]));
    println!("{}", release.kubectl(&["get", "poolscaler", &release.name("checkout"), "-o", "yaml"]));
    let visits = shop.load.visits();
    for v in &visits {
        if let Some((left, r)) = &v.left {
            if let Err(e) = r {
                println!(
                    "{:.1} {:.1} {}",
                    v.began.checked_duration_since(began).map(|x| x.as_secs_f64()).unwrap_or(-1.0),
                    (*left - v.began).as_secs_f64(),
                    table::short(e)
                );
            }
        }
    }
    shop.load.come_each(QUIET);
    let Shop { load, findings, .. } = shop;
    nothing_is_lost(&release, &load.end()).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    let _ = (RAISED, SCALED_BY);
}
