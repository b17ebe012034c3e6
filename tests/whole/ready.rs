//! A process is ready when its keys are read, its database has been reached and the schema is at least its own; it says what
//! it waits for, and stays ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use selvage_identity::Role;
use selvage_pool::sea_orm::ConnectionTrait as _;
use selvage_pool::{Config, Pool};
use selvage_proto::delivery::v1::GetShipmentRequest;
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_rpc::with_token;
use selvage_testkit::{Database, Engine, Server, database, database_on, engines, eventually};
use selvage_tests::alone::{Alone, SERVICE};
use selvage_tests::http::Client;
use selvage_tests::shop::{Separate, Tokens};
use tempfile::TempDir;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

const LONG: Duration = Duration::from_secs(60);

fn keys() -> (TempDir, Tokens) {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::make(folder.path());
    (folder, tokens)
}

async fn is_ready(service: &Alone) -> bool {
    let ready = service.health(SERVICE).await == ServingStatus::Serving;
    assert_eq!(service.health("live").await, ServingStatus::Serving, "it lives, ready or not");
    assert_eq!(service.probe("/livez").status, 200);
    ready
}

async fn waits_for(service: &Alone, what: &str) {
    eventually(LONG, what, async || service.probe("/readyz").text().contains(what)).await;
    assert_eq!(service.probe("/readyz").status, 503);
    assert!(!is_ready(service).await && service.health("").await == ServingStatus::NotServing);
    assert!(service.process.output().contains(what), "{}", service.process.output());
}

async fn becomes_ready(service: &Alone) {
    eventually(LONG, "it is ready", async || is_ready(service).await).await;
    eventually(LONG, "all of it is ready", async || {
        service.health("").await == ServingStatus::Serving && service.probe("/readyz").status == 200
    })
    .await;
}

async fn code_of_a_call(service: &Alone, tokens: &Tokens) -> Code {
    let request = GetShipmentRequest { order_id: uuid::Uuid::now_v7().to_string() };
    let request = with_token(&tokens.of(Role::Customer, "somebody"), request);
    let status = DeliveryClient::new(service.connect().await).get_shipment(request).await;
    status.expect_err("there is no such shipment").code()
}

async fn change(database: &Database, sql: &str) {
    let pool = Pool::open(Config::new("test", database.url())).await.unwrap();
    pool.execute_unprepared(sql).await.unwrap();
    pool.close().await;
}

/// The role that the service runs as has no rights until the migration grants them.
#[tokio::test]
async fn a_service_waits_for_its_schema_and_names_what_it_lacks() {
    for engine in engines() {
        let (_folder, tokens) = keys();
        let database = database(engine).await;
        let (role, login) = database.role().await;
        let service = Alone::start(&login, &tokens, &[]);
        waits_for(&service, "m20261124_000001_shipments").await;
        assert_eq!(code_of_a_call(&service, &tokens).await, Code::Unavailable);
        Alone::migrate(database.url(), &role);
        becomes_ready(&service).await;
        assert_eq!(code_of_a_call(&service, &tokens).await, Code::NotFound);
    }
}

#[tokio::test]
async fn an_older_schema_is_waited_for_and_a_newer_one_is_fine() {
    for engine in engines() {
        let (_folder, tokens) = keys();
        let database = database(engine).await;
        let (role, login) = database.role().await;
        Alone::migrate(database.url(), &role);
        // As an older release left it: what its migrations made is there, and the last of ours isn't on the list.
        let last = "(SELECT max(version) FROM seaql_migrations)";
        change(&database, &format!("UPDATE seaql_migrations SET version = 'x-' || version WHERE version = {last}"))
            .await;
        let service = Alone::start(&login, &tokens, &[]);
        waits_for(&service, "selvage-delivery migrate").await;
        let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m99991231_000001_newer', 0)";
        change(&database, newer).await;
        waits_for(&service, "selvage-delivery migrate").await;
        let applied = "UPDATE seaql_migrations SET version = substr(version, 3) WHERE version LIKE 'x-%'";
        change(&database, applied).await;
        becomes_ready(&service).await;
        // An older release's own migration job finds nothing to do either.
        Alone::migrate(database.url(), &role);
    }
}

#[tokio::test]
async fn a_database_that_comes_later_is_waited_for_and_one_that_goes_leaves_the_service_ready() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let (_folder, tokens) = keys();
    let mut server = Server::start(&[]).await;
    let database = database_on(&server).await;
    Alone::migrate(database.url(), "");
    server.stop().await;
    let service = Alone::start(database.url(), &tokens, &[]);
    waits_for(&service, "can't be reached").await;
    server.start_again().await;
    becomes_ready(&service).await;
    // From now on it is its callers who are told, each; readiness is no measure of load.
    server.stop().await;
    eventually(LONG, "callers are told", async || code_of_a_call(&service, &tokens).await == Code::Unavailable).await;
    assert!(is_ready(&service).await);
    server.start_again().await;
    eventually(LONG, "it answers again", async || code_of_a_call(&service, &tokens).await == Code::NotFound).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_configuration_is_said_at_once_whatever_the_database_does() {
    let (folder, tokens) = keys();
    let nowhere = format!("postgres://nobody@127.0.0.1:{}/nowhere", selvage_testkit::free_port());
    let said = |arguments: &[&str], keys: &std::path::Path| {
        let mut command = std::process::Command::new(selvage_tests::process::binary("selvage-delivery"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]).args(arguments);
        command.env("SELVAGE_DATABASE_URL", &nowhere).env("SELVAGE_TRUSTED_KEYS", keys);
        let output = command.output().expect("it runs");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let floor = said(&["--pool-floor", "9"], &tokens.trusted_file());
    assert!(floor.contains("9 ≤ 4 ≤ 4 doesn't"), "{floor}");
    let missing = folder.path().join("none.keys");
    assert!(said(&[], &missing).contains("none.keys"));
}

#[tokio::test]
async fn all_addresses_of_the_machine_are_listened_on_if_that_is_said() {
    let (_folder, tokens) = keys();
    let database = database(Engine::Sqlite).await;
    Alone::migrate(database.url(), "");
    let has_v6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let all: &[IpAddr] = if has_v6 {
        &[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)]
    } else {
        eprintln!("!! SKIPPED: listening on [::]. To run it: have an IPv6 loopback address");
        &[IpAddr::V4(Ipv4Addr::UNSPECIFIED)]
    };
    for ip in all {
        let ports = [selvage_testkit::free_port(), selvage_testkit::free_port()];
        let [listen, metrics] = ports.map(|port| SocketAddr::new(*ip, port).to_string());
        let mut command = std::process::Command::new(selvage_tests::process::binary("selvage-delivery"));
        command
            .env("SELVAGE_LISTEN", listen)
            .env("SELVAGE_METRICS_LISTEN", metrics)
            .env("SELVAGE_DATABASE_URL", database.url())
            .env("SELVAGE_TRUSTED_KEYS", tokens.trusted_file());
        let process = selvage_tests::process::Process::start(&mut command);
        process.wait_for("that it serves", |line| line.contains("\"serving\"").then_some(()));
        for port in ports {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("by IPv4");
            if ip.is_ipv6() {
                TcpStream::connect((Ipv6Addr::LOCALHOST, port)).expect("by IPv6");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pages_are_ready_without_any_service() {
    let shop = Separate::start(Engine::Sqlite, async |_| None).await;
    let pages = shop.pages(&[("SELVAGE_CATALOGUE", "127.0.0.1:9"), ("SELVAGE_LAME_DUCK_MS", "5000")]);
    let asked = |url: &str, path: &str| Client::new(url).get(path);
    let metrics = format!("http://{}", pages.metrics);
    for (url, path) in [(&pages.url, "/healthz"), (&pages.url, "/livez"), (&metrics, "/readyz"), (&metrics, "/livez")] {
        assert_eq!(asked(url, path).status, 200, "{path}");
    }
    pages.process.ask_to_end();
    eventually(LONG, "they say that they leave", async || asked(&pages.url, "/healthz").status == 503).await;
    assert_eq!(asked(&metrics, "/readyz").status, 503);
    assert_eq!(asked(&pages.url, "/livez").status, 200, "and serve on");
}
