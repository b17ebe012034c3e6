//! The operator beside KEDA: the same shop, server and surge, once scaled by ours and twice by the real KEDA, whose HPA counts
//! what our operator counts. What came out is in `services/operator/keda.md`.
//!
//! Only `tests/run full` has it: it installs the shop six times, for a quarter of an hour.

mod callers;
mod install;
mod measured;
mod systems;

use std::time::{Duration, Instant};

use selvage_pool::sea_orm::ConnectionTrait as _;
use selvage_pool::{Config, Pool};
use selvage_tests::cluster::{Cluster, given, run, shipped, top};
use selvage_tests::installed::installed;
use selvage_tests::release::Release;

use self::callers::Callers;
use self::install::Keda;
use self::measured::{Look, Measured};
use self::systems::{CART, SCALED, System};
use super::load::Load;
use super::shared;
use super::trouble::address;
use super::trouble::backends::{Backends, no_slot};

/// A load that may be too much, and who bears it in which namespace, in this order: one of them begins first each time.
struct Scenario {
    what: &'static str,
    /// Bags that something is put into in a second, before the surge and in it. Two purchases a second come all the time, each with
    /// two changes of a bag.
    rates: [u64; 2],
    /// What each change of a bag takes in the database, before the surge and in it, ms.
    takes: [u64; 2],
    on: [(System, &'static str); 3],
}

const SCENARIOS: [Scenario; 2] = [
    // (36 + 4) × 0.7 s: 28 connections of the cart's, where two pods have 18, and with all replicas 54.
    Scenario {
        what: "surge of 6×",
        rates: [6, 36],
        takes: [700, 700],
        on: [(System::Selvage, "surge-ours"), (System::Divided, "surge-divided"), (System::Usual, "surge-usual")],
    },
    // (46 + 4) × 1.9 s: 95 connections, more than the budget, and with those of the others more than the server has.
    Scenario {
        what: "surge at a database that takes three times as long",
        rates: [6, 46],
        takes: [700, 1900],
        on: [(System::Usual, "slow-usual"), (System::Selvage, "slow-ours"), (System::Divided, "slow-divided")],
    },
];
/// How long it goes on as before: more than a period of the HPA.
const BEFORE: Duration = Duration::from_secs(20);
/// How long the surge lasts: four periods of the HPA.
const SURGE: Duration = Duration::from_secs(60);
/// Until all services have the fewest pods that they may have, and serve.
const READY_BOUND: Duration = Duration::from_secs(90);
/// So long nobody may be refused before it counts as ready.
const CALM: Duration = Duration::from_secs(5);
/// Between two looks at the number of pods, each of which is a program that is started.
const LOOK_EVERY: Duration = Duration::from_secs(1);
fn look(release: &Release<'_>) -> Look {
    let when = Instant::now();
    let all = release.cluster.get(&["--namespace", &release.namespace, "deployments"]);
    let deployments = all["items"].as_array().expect("items");
    let replicas = SCALED.map(|scaled| {
        let own = deployments.iter().find(|one| one["metadata"]["name"] == *release.name(scaled.service));
        own.and_then(|one| one["status"]["replicas"].as_i64()).unwrap_or_default()
    });
    Look { when, cart: replicas[CART], all: replicas.iter().sum() }
}

/// Looks at the number of pods until then.
fn watch(release: &Release<'_>, until: Instant) -> Vec<Look> {
    let mut looks = Vec::new();
    while Instant::now() < until {
        let next = (Instant::now() + LOOK_EVERY).min(until);
        looks.push(look(release));
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    looks.push(look(release));
    looks
}

/// From now on each change of a bag waits so long in the database, with its connection, and costs no CPU: one trigger for each.
async fn slow(database: &Pool, takes_ms: u64) {
    let function = format!(
        "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep({takes_ms}::double precision / 1000); RETURN NEW; END $$"
    );
    let trigger = "CREATE OR REPLACE TRIGGER slow BEFORE INSERT ON carts FOR EACH ROW EXECUTE FUNCTION slow()";
    for sql in [function.as_str(), trigger] {
        database.execute_unprepared(sql).await.expect(sql);
    }
}

/// Installs the shop, lets it be scaled by `system`, and has the surge come.
async fn measure(cluster: &Cluster, scenario: &Scenario, (system, namespace): (System, &str)) -> Measured {
    println!("{}: {} …", scenario.what, system.name());
    let values = system.values();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    let release = Release::install_with(cluster, "helm3", namespace, system.files(), &values);
    if system.is_keda() {
        for scaled in &SCALED {
            Keda::scale(&release, scaled, system.target(scaled));
        }
    }
    let [before, in_surge] = scenario.takes;
    let config = Config::new("slow", address(&release, "cart"));
    // By its usual name the operator would take it for a pod that it doesn't know, and set a whole ceiling aside for it.
    let config = Config { limit: 1, application_name: "slow".to_owned(), ..config };
    let database = Pool::open(config).await.expect("PostgreSQL answers");
    slow(&database, before).await;
    let (url, _forward) = release.reach("web", 80);
    let backends = Backends::watch(&address(&release, "postgres")).await;
    let (load, callers) = (Load::start(&url), Callers::start(&url, scenario.rates[0]));

    let installed = Instant::now();
    let least: i64 = SCALED.iter().map(|scaled| scaled.least).sum();
    while look(&release).all < least || installed.elapsed() < CALM || !callers.all_served_for(CALM) {
        assert!(installed.elapsed() < READY_BOUND, "it isn't calm\n{}", release.state());
    }
    watch(&release, Instant::now() + BEFORE);

    let refused = no_slot(&release);
    let began = Instant::now();
    slow(&database, in_surge).await;
    callers.come(scenario.rates[1]);
    let looks = watch(&release, began + SURGE);
    let (most, looked) = backends.most_since(began);
    assert!(looked > 0, "nobody looked at PostgreSQL");
    let kinds = if system.is_keda() { "hpa" } else { "poolscalers,connectionbudgets" };
    println!("{}", release.kubectl(&["get", kinds]));
    let (calls, visits) = (callers.end(), load.end());
    let no_slot = no_slot(&release) - refused;
    let measured = Measured { system, began, lasted: SURGE, calls, visits, looks, most, no_slot };
    for (why, count) in measured.failures() {
        println!("  failed, {count}: {why}");
    }
    measured::print(std::slice::from_ref(&measured));
    measured
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_and_keda_bear_the_same_surge() {
    if !shipped() {
        return;
    }
    if std::env::var("SELVAGE_TESTS").as_deref() != Ok("full") {
        println!("the operator beside KEDA: only tests/run full measures it");
        return;
    }
    let what = "the operator beside KEDA";
    if given().is_some() {
        eprintln!("!! SKIPPED: {what}: a given cluster is reached through one pod, and has no images of KEDA");
        return;
    }
    let needed = ["keda-operator", "keda-adapter", "prometheus", "go"];
    if needed.iter().any(|program| installed(&[program], what).is_none()) {
        return;
    }
    let Some(cluster) = shared() else { return };
    let crds = top().join("charts/selvage-crds");
    let kinds = ["upgrade", "--install", "kinds", crds.to_str().expect("UTF-8"), "--namespace", "default"];
    run(&mut cluster.program("helm3", &kinds));
    let all = SCENARIOS.iter().flat_map(|scenario| scenario.on);
    let namespaces: Vec<_> = all.filter(|(system, _)| system.is_keda()).map(|(_, namespace)| namespace).collect();
    let began = Instant::now();
    let keda = Keda::install(cluster, &namespaces);
    println!("KEDA serves metrics after {:.0} s", began.elapsed().as_secs_f64());

    let mut tables = Vec::new();
    for scenario in &SCENARIOS {
        let mut rows = Vec::new();
        for on in scenario.on {
            rows.push(measure(cluster, scenario, on).await);
        }
        tables.push((scenario.what, rows));
    }
    for (what, rows) in &tables {
        println!("\n## {what}\n");
        measured::print(rows);
    }
    // KEDA lets go of what it scaled before it goes itself.
    for namespace in namespaces {
        let namespace = format!("namespace/{namespace}");
        cluster.kubectl(&["wait", "--for=delete", &namespace, "--timeout=120s"]);
    }
    drop(keda);
    for (what, rows) in &tables {
        for row in rows {
            let within = row.system.is_keda() || (row.most <= systems::BUDGET && row.no_slot == 0);
            assert!(within, "{what}: with our operator {} connections, {} times no slot", row.most, row.no_slot);
        }
    }
}
