//! More people come than the pools were made for, on a server with few connections, and things go wrong meanwhile.

use std::time::{Duration, Instant};

use selvage_tests::release::Release;
use serde_json::json;

use super::super::backends::no_slot;
use super::super::{
    Backends, Load, Row, STEADY_BOUND, Shop, address, enough_of_everything, eventually, execute, nothing_is_lost,
    shared, table,
};
use super::watch::{REASONS, Watch};
use super::{SCALED, apart, at_work, budget, install, is_so, patch, scaler, slow, status};

/// Small pools, so that few people fill them.
const SMALL: [&str; 5] = [
    "checkout.maxReplicas=4",
    "checkout.pools.checkout.floor=1",
    "checkout.pools.checkout.limit=3",
    "checkout.pools.checkout-relay.floor=1",
    "checkout.pools.checkout-relay.limit=2",
];
/// Where checkout's pods serve their metrics.
const METRICS: u16 = 9466;
/// In quiet times somebody comes this often, in a surge eight times as often, and in a flood more than anybody could serve.
const QUIET: Duration = Duration::from_millis(1000);
const SURGE: Duration = Duration::from_millis(125);
const FLOOD: Duration = Duration::from_millis(80);
/// What the chart keeps in reserve, and the connections in which all floors have room, with few more.
const RESERVE: i64 = 2;
const FLOORS: i64 = 66;
/// How long it takes to write down an order: it holds a connection, and costs the server next to nothing.
const WRITING: f64 = 0.7;
/// Fifty uses are a baseline; there are several a second.
const LEARNING: Duration = Duration::from_secs(20);
/// How long a surge is watched.
const WATCHED: Duration = Duration::from_secs(15);
/// By when limits are raised, from the first who waits for a connection, and replicas.
const RAISED: f64 = 3.0;
const GROWN: f64 = 10.0;

/// There is enough of everything, and writing down an order takes long from now on.
async fn prepare(release: &Release<'_>) {
    let slow = format!(
        "CREATE FUNCTION takes_long() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep({WRITING}); RETURN NEW; END $$; \
         CREATE TRIGGER takes_long BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION takes_long()"
    );
    enough_of_everything(release).await;
    execute(release, "checkout", &slow).await;
}

/// Eight times as many people come as before; it says by when there was more of everything, and lets them come.
fn surge(shop: &mut Shop<'_, '_>, watch: &Watch) {
    let began = Instant::now();
    let row = shop.trouble("eight times as many people", |shop| {
        shop.load.come_each(SURGE);
        std::thread::sleep(WATCHED);
        None
    });
    println!("  {} of those who came met an error", row.failed.len());
    let pools = watch.pools_since(began);
    let seconds = |at: Instant, since: Instant| at.saturating_duration_since(since).as_secs_f64();
    let before = pools.first().expect("a look").1;
    let lacks = |pools: &super::watch::Pools| pools.waiting > 0.0 || pools.refused > before.refused;
    let (first, _) = *pools.iter().find(|(_, pools)| lacks(pools)).expect("somebody waits");
    let raised = pools.iter().find(|(_, pools)| pools.limit > before.limit).map(|(at, _)| seconds(*at, first));
    let replicas = watch.replicas_since(began);
    let grown = replicas.iter().find(|(at, _)| *at > began).map(|(at, _)| seconds(*at, first));
    let last = pools.iter().rfind(|(_, pools)| pools.waiting > 0.0).map_or(0.0, |(at, _)| seconds(*at, first));
    let end = pools.last().expect("a look").1;
    println!(
        "  after the first who waits: limits raised after {raised:.1?} s, replicas after {grown:.1?} s, the last one who \
         waits after {last:.1} s; connections {} to {}, replicas {:?}, {} refused",
        before.limit,
        end.limit,
        replicas.iter().map(|(_, count)| *count).collect::<Vec<_>>(),
        end.refused - before.refused,
    );
    shop.demand(raised.is_some_and(|took| took <= RAISED), || format!("limits were raised after {raised:?} s"));
    shop.demand(grown.is_some_and(|took| took <= GROWN), || format!("replicas were raised after {grown:?} s"));
    let status = scaler(shop.release, "checkout");
    println!("  {}: {}", status["lastDecision"]["class"], status["lastDecision"]["reason"]);
}

/// More people than the budget has connections for: those who only look are refused first, and what is placed is done.
fn spent(shop: &mut Shop<'_, '_>, watch: &Watch) {
    let (began, all) = (Instant::now(), budget(shop.release));
    // Somebody else needs what is left over the floors.
    patch(shop.release, "connectionbudget", "main", &json!({"spec": {"reserve": all - FLOORS}}));
    shop.trouble("more people than the budget has connections for", |shop| {
        shop.load.come_each(FLOOD);
        eventually(STEADY_BOUND, "the budget is spent", shop.release, || {
            scaler(shop.release, "checkout")["lastDecision"]["class"] == "BudgetBound"
        });
        shop.release.kubectl(&["rollout", "restart", "deployment", &shop.release.name("operator")]);
        shop.release.kubectl(&["rollout", "restart", "deployment", &shop.release.name("checkout")]);
        for service in ["operator", "checkout"] {
            let name = format!("deployment/{}", shop.release.name(service));
            shop.release.kubectl(&["rollout", "status", &name, "--timeout=90s"]);
        }
        // Those of the flood are all gone before anything else begins.
        shop.load.come_each(QUIET);
        None
    });
    // Pods are replaced, and those that come begin to count anew.
    let looks = watch.pools_since(began);
    let most = |class: usize| looks.iter().map(|(_, pools)| pools.by_class[class]).fold(0.0, f64::max);
    let [critical, normal, sheddable] = [0, 1, 2].map(most);
    println!(
        "  the budget went from {all} to {}; the most that were refused: {critical} who confirm an order, {normal} others, \
         {sheddable} who only look",
        budget(shop.release)
    );
    let worst = looks
        .iter()
        .map(|(_, pools)| pools.critical)
        .max_by(|one, other| one.iter().sum::<f64>().total_cmp(&other.iter().sum()));
    let why: Vec<_> = REASONS.into_iter().zip(worst.unwrap_or_default()).filter(|(_, count)| *count > 0.0).collect();
    shop.demand(critical == 0.0, || format!("{critical} who confirm an order were refused: {why:?}"));
    shop.demand(normal + sheddable > 0.0, || "nobody was refused, so the budget wasn't spent".to_owned());
    patch(shop.release, "connectionbudget", "main", &json!({"spec": {"reserve": RESERVE}}));
}

/// Few people come again: replicas go one by one, and none comes back.
fn calm(shop: &mut Shop<'_, '_>, watch: &Watch) {
    let behavior = json!({"spec": {"behavior": {
        "scaleDown": {"stabilizationWindowSeconds": 15, "percent": 10, "periodSeconds": 5}
    }}});
    patch(shop.release, "poolscaler", "checkout", &behavior);
    let began = Instant::now();
    shop.unnoticed("few people again", |shop| {
        shop.load.come_each(QUIET);
        eventually(STEADY_BOUND * 2, "one replica is left", shop.release, || {
            scaler(shop.release, "checkout")["replicas"] == 1
        });
        None
    });
    let replicas: Vec<_> = watch.replicas_since(began).into_iter().map(|(_, count)| count).collect();
    println!("  replicas: {replicas:?}");
    shop.demand(replicas.is_sorted_by(|one, next| one > next), || format!("replicas went {replicas:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_surge_is_met_within_seconds_and_within_the_budget_whatever_goes_wrong_meanwhile() {
    let Some(cluster) = shared() else { return };
    let release = install(cluster, "surge", &SMALL);
    prepare(&release).await;
    eventually(STEADY_BOUND, "every PoolScaler is at work", &release, || at_work(&release) == SCALED);
    let (url, _forward) = release.reach("web", 80);
    let backends = Backends::watch(&address(&release, "postgres")).await;
    let watch = Watch::of(&release, "checkout", METRICS);
    let began = Instant::now();
    let load = Load::of_the_patient(&url);
    load.come_each(QUIET);
    let mut shop = Shop { release: &release, load, backends, rows: Vec::<Row>::new(), findings: Vec::new(), budget };
    eventually(STEADY_BOUND, "people buy", &release, || shop.load.is_steady_since(began));
    std::thread::sleep(LEARNING.saturating_sub(began.elapsed()));
    let full = std::env::var("SELVAGE_TESTS").as_deref() == Ok("full");

    surge(&mut shop, &watch);
    apart::from_the_operator(&mut shop);
    apart::from_the_api_server(&mut shop, Duration::from_secs(if full { 60 } else { 20 }));
    apart::while_it_shrinks(&mut shop, &watch);
    apart::for_its_whole_grace(&mut shop);
    spent(&mut shop, &watch);
    calm(&mut shop, &watch);
    slow::database(&mut shop, &watch).await;
    eventually(STEADY_BOUND, "every PoolScaler is at work after all", &release, || at_work(&release) == SCALED);
    shop.demand(!is_so(&status(&release), "DatabaseBottleneck"), || "it is still taken for the bottleneck".to_owned());

    let refused = no_slot(&release);
    shop.demand(refused == 0, || format!("the server had no connection for {refused}"));

    println!("{}", release.kubectl(&["get", "poolscalers"]));
    println!("{}", release.kubectl(&["get", "connectionbudgets"]));
    table::print(&shop.rows);
    let Shop { load, findings, .. } = shop;
    nothing_is_lost(&release, &load.end()).await;
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
