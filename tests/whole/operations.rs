//! The operations of real processes: over gRPC as an admin, and the page in a real browser.

use std::time::Duration;

use selvage_identity::Role;
use selvage_proto::operations::v1::StartFaultRequest;
use selvage_proto::operations::v1::fault::Kind;
use selvage_rpc::Channel;
use selvage_testkit::{Engine, Server, engines, eventually};
use selvage_tests::browser;
use selvage_tests::operations::{self, pool};
use selvage_tests::shop::{OneProcess, Separate};
use tokio::time::Instant;
use tonic::Code;

const DESKTOP: (i64, i64) = (1280, 900);
const TELEPHONE: (i64, i64) = (390, 844);
const LONG: Duration = Duration::from_secs(60);
/// Within which trouble is to be seen.
const SOON: Duration = Duration::from_secs(5);
const MINUTE: Duration = Duration::from_secs(60);

struct Shop {
    shop: OneProcess,
    channel: Channel,
    admin: String,
    _folder: tempfile::TempDir,
}

fn shop(arguments: &[&str]) -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let shop = OneProcess::start(folder.path(), arguments);
    let (channel, admin) = (shop.channel(), shop.tokens().of(Role::Admin, "operator"));
    Shop { shop, channel, admin, _folder: folder }
}

impl Shop {
    async fn boot_id(&self) -> String {
        let mut watched = operations::watch(&self.channel, &self.admin).await.unwrap();
        watched.message().await.unwrap().unwrap().boot_id
    }

    async fn refused(&self, request: StartFaultRequest) -> tonic::Status {
        operations::ask(&self.channel, &self.admin, request).await.expect_err("it is wrong")
    }
}

#[tokio::test]
async fn a_process_tells_admins_of_its_pools_and_nobody_else() {
    let shop = shop(&[]);
    for role in [Role::Guest, Role::Customer, Role::Service] {
        let token = shop.shop.tokens().of(role, "somebody");
        let watched = operations::watch(&shop.channel, &token).await;
        assert_eq!(watched.expect_err("not for them").code(), Code::PermissionDenied, "{role}");
        let listed = operations::faults(&shop.channel, &token).await;
        assert_eq!(listed.expect_err("not for them").code(), Code::PermissionDenied, "{role}");
        let request = StartFaultRequest { kind: Kind::CpuBurn.into(), ..operations::lasting(MINUTE) };
        let asked = operations::ask(&shop.channel, &token, request).await;
        assert_eq!(asked.expect_err("not for them").code(), Code::PermissionDenied, "{role}");
        let ended = operations::end_fault(&shop.channel, &token, "fault-1a2b3c4d-1").await;
        assert_eq!(ended.expect_err("not for them").code(), Code::PermissionDenied, "{role}");
    }
    assert_eq!(operations::watch(&shop.channel, "no token").await.expect_err("none").code(), Code::Unauthenticated);

    let mut watched = operations::watch(&shop.channel, &shop.admin).await.unwrap();
    let first = watched.message().await.unwrap().unwrap();
    let names: Vec<_> = first.pools.iter().map(|pool| pool.pool.as_str()).collect();
    assert_eq!(names, ["catalogue", "cart", "delivery", "checkout", "checkout-relay", "checkout-provider"]);
    let cart = pool(&first, "cart");
    assert_eq!((cart.service.as_str(), cart.limit, cart.floor, cart.lockable), ("cart", 4, 2, true));
    assert_eq!((first.faults_allowed, first.dependencies.as_slice()), (true, ["payment".to_owned()].as_slice()));
    let began = Instant::now();
    let mut second = first.clone();
    while second.time == first.time {
        second = watched.message().await.unwrap().unwrap();
    }
    assert!(began.elapsed() < SOON, "it speaks each second");
    assert!(pool(&second, "cart").history.len() > pool(&first, "cart").history.len());

    // Each watcher has a place, and who goes leaves it.
    let mut others = Vec::new();
    let refused = loop {
        match operations::watch(&shop.channel, &shop.admin).await {
            Ok(watched) => others.push(watched),
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.code(), others.len()), (Code::ResourceExhausted, 31));
    drop(others);
    eventually(LONG, "their places are free", async || operations::watch(&shop.channel, &shop.admin).await.is_ok())
        .await;
    assert!(shop.shop.process.terminate().success(), "who watches doesn't keep it from ending");
}

#[tokio::test]
async fn a_fault_that_is_wrong_is_refused_by_its_field() {
    let shop = shop(&[]);
    let of = |kind: Kind, target: &str| StartFaultRequest {
        kind: kind.into(),
        target: target.to_owned(),
        ..operations::lasting(MINUTE)
    };
    let wrong = [
        ("kind", of(Kind::Unspecified, "cart")),
        ("kind", StartFaultRequest { kind: 99, ..of(Kind::CpuBurn, "") }),
        ("target", of(Kind::SlowQuery, "hats")),
        ("target", of(Kind::SlowQuery, "")),
        ("target", of(Kind::CpuBurn, "cart")),
        ("target", of(Kind::DependencyFailing, "cart")),
        ("duration", StartFaultRequest { duration: None, ..of(Kind::LockHold, "cart") }),
        (
            "duration",
            StartFaultRequest { duration: operations::lasting(MINUTE * 11).duration, ..of(Kind::LockHold, "cart") },
        ),
        ("count", StartFaultRequest { count: 65, ..of(Kind::HeldConnection, "cart") }),
        ("count", StartFaultRequest { count: 5, ..of(Kind::PoolLimit, "cart") }),
        ("delay", StartFaultRequest { delay: operations::lasting(MINUTE).duration, ..of(Kind::SlowQuery, "cart") }),
        ("share_percent", StartFaultRequest { share_percent: 91, ..of(Kind::CpuBurn, "") }),
    ];
    for (field, request) in wrong {
        let status = shop.refused(request.clone()).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{request:?}");
        let fields = selvage_status::field_violations(&status);
        assert_eq!(fields.len(), 1, "{request:?}");
        assert_eq!(fields[0].0, field, "{request:?}");
    }
    for id in ["", "1", "fault-", "fault-x", "fault-1", "fault-1a2b3c4d-", "fault-1a2b3c4d-x", "fault-1A2B3C4D-1"] {
        let ended = operations::end_fault(&shop.channel, &shop.admin, id).await;
        assert_eq!(ended.expect_err(id).code(), Code::InvalidArgument, "{id}");
    }
    // Ids are this process's own: of another run, or of another process behind the same name, they are refused as such.
    let boot_id = shop.boot_id().await;
    let ended = operations::end_fault(&shop.channel, &shop.admin, &format!("fault-{boot_id}-7")).await;
    assert_eq!(ended.expect_err("there is none").code(), Code::NotFound);
    let ended = operations::end_fault(&shop.channel, &shop.admin, "fault-00000000-7").await.expect_err("not ours");
    assert_eq!(selvage_status::reason(&ended).as_deref(), Some("OTHER_PROCESS"), "{ended:?}");
    let other = StartFaultRequest { boot_id: "00000000".to_owned(), ..of(Kind::CpuBurn, "") };
    let other = shop.refused(other).await;
    assert_eq!(selvage_status::reason(&other).as_deref(), Some("OTHER_PROCESS"), "{other:?}");
    assert!(operations::faults(&shop.channel, &shop.admin).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_process_that_wasnt_told_to_allow_faults_refuses_them() {
    let one = shop(&["--faults", "off"]);
    let separate = Separate::start(Engine::Sqlite, async |_| None).await;
    let admin = separate.tokens().of(Role::Admin, "operator");
    for (channel, admin) in [(one.channel.clone(), &one.admin), (separate.channel("cart"), &admin)] {
        let refused = operations::start_fault(&channel, admin, Kind::LeakedConnection, "cart", MINUTE).await;
        let refused = refused.expect_err("it doesn't allow them");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(selvage_status::reason(&refused).as_deref(), Some("FAULTS_REFUSED"));
        let seen = operations::watch(&channel, admin).await.unwrap().message().await.unwrap().unwrap();
        assert_eq!((seen.faults_allowed, pool(&seen, "cart").in_use), (false, 0));
    }
}

#[tokio::test]
async fn a_fault_shows_in_the_process_and_ends_by_itself() {
    let shop = shop(&[]);
    let mut watched = operations::watch(&shop.channel, &shop.admin).await.unwrap();
    let seconds = Duration::from_secs(8);
    let fault =
        operations::start_fault(&shop.channel, &shop.admin, Kind::LeakedConnection, "cart", seconds).await.unwrap();
    assert_eq!((fault.name.as_str(), fault.started_by.as_str(), fault.count), ("leaked_connection", "operator", 1));
    let limit = StartFaultRequest {
        kind: Kind::PoolLimit.into(),
        target: "cart".into(),
        count: 3,
        ..operations::lasting(seconds)
    };
    operations::ask(&shop.channel, &shop.admin, limit).await.unwrap();
    let mut has_leaked = false;
    let ended = loop {
        let seen = watched.message().await.unwrap().unwrap();
        let cart = pool(&seen, "cart");
        has_leaked |= cart.long_held.iter().any(|held| held.operation == "fault_leaked_connection");
        if has_leaked && seen.faults.is_empty() && (cart.in_use, cart.limit) == (0, 4) {
            break seen;
        }
    };
    let changes: Vec<_> =
        ended.limit_changes.iter().map(|change| (&*change.pool, change.before, change.after)).collect();
    assert_eq!(changes, [("cart", 3, 4), ("cart", 4, 3)], "the newest first");
    let log = shop.shop.process.output();
    assert!(fault.fault_id.starts_with(&format!("fault-{}-", ended.boot_id)), "{}", fault.fault_id);
    assert!(log.contains("a fault was started") && log.contains("a fault has ended"), "{log}");
}

/// As the role that the services run as, which may read and write rows and nothing else.
#[tokio::test]
async fn every_fault_works_on_postgresql_and_leaves_nothing() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let server = Server::start(&[]).await;
    let shop = Separate::start_on(&server, &[("SELVAGE_FAULTS", "allow")]).await;
    let (cart, admin) = (shop.channel("cart"), shop.tokens().of(Role::Admin, "operator"));
    let mut watched = operations::watch(&cart, &admin).await.unwrap();
    let holders = [
        (Kind::LockHold, "fault_lock_hold"),
        (Kind::LeakedConnection, "fault_leaked_connection"),
        (Kind::SlowQuery, ""),
        (Kind::HeldConnection, ""),
        (Kind::DatabaseLatency, ""),
    ];
    for (kind, _) in holders {
        operations::start_fault(&cart, &admin, kind, "cart", MINUTE).await.unwrap();
    }
    operations::start_fault(&cart, &admin, Kind::CpuBurn, "", MINUTE).await.unwrap();
    let began = Instant::now();
    loop {
        let seen = watched.message().await.unwrap().unwrap();
        let of_cart = pool(&seen, "cart");
        let is_seen = |name: &str| name.is_empty() || of_cart.long_held.iter().any(|held| held.operation == name);
        if of_cart.in_use == of_cart.limit && holders.iter().all(|(_, name)| is_seen(name)) {
            assert_eq!(seen.faults.len(), 6);
            break;
        }
        assert!(began.elapsed() < LONG, "{of_cart:?}");
    }
    for fault in operations::faults(&cart, &admin).await.unwrap() {
        operations::end_fault(&cart, &admin, &fault.fault_id).await.unwrap();
    }
    loop {
        let seen = watched.message().await.unwrap().unwrap();
        let of_cart = pool(&seen, "cart");
        if seen.faults.is_empty() && (of_cart.in_use, of_cart.waiting, of_cart.stranded) == (0, 0, 0) {
            break;
        }
        assert!(began.elapsed() < LONG * 2, "{of_cart:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_connections_are_seen_in_the_browser_within_five_seconds_and_end_by_themselves() {
    let Some(chromium) = browser::start().await else { return };
    let shop = shop(&["--carrier-step", "1s"]);
    let tab = chromium.tab(&shop.shop.operations, DESKTOP, true).await;
    tab.shows("All is well.", LONG).await;
    tab.shows("id=\"live\">live<", LONG).await;
    tab.picture("operations-1-well").await;

    tab.choose("#held-connection-target option[value='shop/cart']").await;
    tab.choose("#held-connection-seconds option[value='10']").await;
    tab.follow("#fault-held-connection button", "notice=started").await;
    let began = Instant::now();
    tab.shows("aria-label=\"4 of 4 in use", SOON).await;
    tab.shows("id=\"alert-PoolSaturated-cart\"", SOON).await;
    println!("from the switch to the alert in the browser: {:?}", began.elapsed());
    tab.shows("k8s/runbooks/PoolSaturated.md", SOON).await;
    assert!(tab.has("#pool-cart.bad").await);
    // The same page all the while: it changes by itself, here and for who comes now.
    let url = tab.url().await;
    let dark = chromium.tab(&format!("{}/ops", shop.shop.url), TELEPHONE, true).await;
    dark.darken().await;
    dark.shows("id=\"alert-PoolSaturated-cart\"", SOON).await;
    dark.picture("operations-2-saturated-dark").await;
    tab.picture("operations-3-saturated").await;
    tab.shows("All is well.", LONG).await;
    tab.shows("None is active.", LONG).await;
    assert!(!tab.has("#pool-cart.bad").await);
    assert_eq!(tab.url().await, url);
    chromium.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switches_work_without_scripts() {
    let Some(chromium) = browser::start().await else { return };
    let shop = shop(&[]);
    let tab = chromium.tab(&shop.shop.operations, TELEPHONE, false).await;
    tab.choose("#leaked-connection-target option[value='shop/checkout']").await;
    tab.follow("#fault-leaked-connection button", "notice=started").await;
    tab.shows("Leaked connections <span", SOON).await;
    let page = format!("{}/ops", shop.shop.url);
    eventually(LONG, "the pool leaks by name", async || {
        tab.go(&page).await;
        tab.has("#pool-checkout.warm").await && tab.has("#alert-PoolLeaking-checkout").await
    })
    .await;
    tab.picture("operations-4-leaking-no-scripts").await;
    tab.follow(".active form button", "notice=ended").await;
    tab.shows("None is active.", SOON).await;
    assert_eq!(operations::faults(&shop.channel, &shop.admin).await.unwrap().len(), 0);
    chromium.close().await;
}
