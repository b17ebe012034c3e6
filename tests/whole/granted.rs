//! A service whose connections are granted by a broker: it opens none before, says what it waits for, and works within its grant.

use std::collections::BTreeSet;
use std::time::Duration;

use selvage_operator::broker::{Event, Happening, Identity, Leadership, Limits, Offer, ReviewError, Reviewer, Server};
use selvage_pool::sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, database, engines, eventually, free_port};
use selvage_tests::alone::{Alone, SERVICE};
use selvage_tests::process::binary;
use selvage_tests::shop::Tokens;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tonic::transport::server::TcpIncoming;
use tonic_health::pb::health_check_response::ServingStatus;

const LONG: Duration = Duration::from_secs(60);

/// Knows one token.
struct OneToken;

#[tonic::async_trait]
impl Reviewer for OneToken {
    async fn review(&self, token: &str) -> Result<Identity, ReviewError> {
        let pod = Identity { namespace: "shop".into(), pod: "delivery-1".into(), uid: "5f6c".into() };
        if token == "right" { Ok(pod) } else { Err(ReviewError::Refused("it is another one".into())) }
    }
}

/// A broker that leads, and what happens at it.
async fn broker() -> (String, mpsc::Receiver<Event>, watch::Sender<Leadership>) {
    let address = format!("127.0.0.1:{}", free_port());
    let listener = TcpListener::bind(&address).await.expect("a free port");
    let leadership = watch::Sender::new(Leadership::Leading { epoch: 1 });
    let (server, events) = Server::new(OneToken, leadership.subscribe(), Limits::default());
    let router = tonic::transport::Server::builder().add_service(server);
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener)));
    (address, events, leadership)
}

/// The server's sessions that begin with a boot id.
async fn sessions(observer: &Pool) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() \
               AND pid <> pg_backend_pid() AND application_name LIKE '________/%'";
    let row = observer.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("an answer");
    row.expect("one row").try_get("", "n").expect("a number")
}

#[tokio::test]
async fn a_service_opens_nothing_before_its_first_grant_and_says_what_it_waits_for() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::make(&folder.path().join("keys"));
    let database = database(Engine::Postgres).await;
    Alone::migrate(database.url(), "");
    let (address, mut events, _leadership) = broker().await;
    let token = folder.path().join("token");
    std::fs::write(&token, "right\n").unwrap();
    let token = token.display().to_string();
    let named = ["--broker-budget", "main", "--pod-namespace", "shop", "--pod-name", "delivery-1", "--pod-uid", "5f6c"];
    let arguments = [&["--broker", &*address, "--broker-token-file", &*token], &named[..]].concat();
    let service = Alone::start(database.url(), &tokens, &arguments);

    let Some(Event { what: Happening::Attached { hello, outbox, .. }, .. }) = events.recv().await else {
        panic!("it attaches first")
    };
    assert_eq!(hello.budget, ("shop".to_owned(), "main".to_owned()));
    let pools: BTreeSet<_> = hello.pools.iter().map(|pool| pool.name.as_str()).collect();
    assert_eq!(pools, ["delivery"].into());
    outbox.put(Offer::Pending("the budget shop/main is spent".into()));
    let waits = format!("it waits for its first grant of connections from the broker at {address}");
    let told = async || {
        let said = service.probe("/readyz");
        said.status == 503 && said.text().contains(&waits) && said.text().contains("the budget shop/main is spent")
    };
    eventually(LONG, "it says what it waits for", told).await;
    assert_eq!(service.health(SERVICE).await, ServingStatus::NotServing);
    let observer =
        Pool::open(Config { limit: 1, application_name: "observer".into(), ..Config::new("observer", database.url()) });
    let observer = observer.await.unwrap();
    assert_eq!(sessions(&observer).await, 0);

    outbox.put(Offer::Grant { id: (1, 1), connections: hello.floor() });
    eventually(LONG, "it is ready", async || service.health(SERVICE).await == ServingStatus::Serving).await;
    let complied = async || {
        while let Ok(event) = events.try_recv() {
            if let Happening::Reported(report) = event.what
                && report.complied == Some((1, 1))
            {
                assert!(report.limit == hello.floor() && report.open <= report.limit, "{report:?}");
                return true;
            }
        }
        false
    };
    eventually(LONG, "it acknowledges that", complied).await;
    let there = sessions(&observer).await;
    assert!((1..=i64::from(hello.floor())).contains(&there), "{there}");
}

#[test]
fn a_broker_is_refused_at_once_where_it_makes_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::make(folder.path());
    let said = |url: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(binary("selvage-delivery"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"]).args(arguments);
        command.env("SELVAGE_DATABASE_URL", url).env("SELVAGE_TRUSTED_KEYS", tokens.trusted_file());
        let output = command.output().expect("it runs");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let postgres = format!("postgres://nobody@127.0.0.1:{}/nowhere", free_port());
    let incomplete = said(&postgres, &["--broker", "operator:50060"]);
    assert!(incomplete.contains("--broker-token-file") && incomplete.contains("--pod-uid"), "{incomplete}");
    let sqlite = said("sqlite://delivery.db", &["--broker", "operator:50060"]);
    assert!(sqlite.contains("SQLite") && sqlite.contains("--broker"), "{sqlite}");
    let nowhere = said(&postgres, &["--broker", "operator"]);
    assert!(nowhere.contains("is not an address"), "{nowhere}");
}
