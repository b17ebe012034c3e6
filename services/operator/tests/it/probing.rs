//! The probe, at a real PostgreSQL.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use selvage_operator::probe::{Doing, LOOK, Observed, Outcome, Probe};
use selvage_testkit::{Engine, Server, engines, eventually};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};

/// How long is waited for what the server shows in a moment.
const BOUND: Duration = Duration::from_secs(30);

/// A server of our own, and its administrator; nothing where there is no PostgreSQL.
async fn server(settings: &[&str]) -> Option<(Server, PgConnection)> {
    if !engines().contains(&Engine::Postgres) {
        return None;
    }
    let server = Server::start(settings).await;
    let mut admin = PgConnection::connect(server.url()).await.unwrap();
    admin.execute("CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher; CREATE ROLE stranger LOGIN").await.unwrap();
    Some((server, admin))
}

/// The server's address for a role, under a name.
fn at(server: &Server, role: &str, application: &str) -> String {
    let (_, rest) = server.url().split_once('@').expect("an address with a user");
    format!("postgres://{role}@{rest}?application_name={application}")
}

async fn answered(probe: &mut Probe) -> Observed {
    match probe.look().await.outcome {
        Outcome::Answered(observed) => *observed,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_sees_settings_and_who_is_connected_over_one_connection() {
    let Some((server, mut admin)) = server(&["max_connections=30", "superuser_reserved_connections=2"]).await else {
        return;
    };
    let mut pods = Vec::new();
    for application in ["0a1b2c3d/cart-1", "0a1b2c3d/cart-1", "ffffffff/cart-2", "report"] {
        pods.push(PgConnection::connect(&at(&server, "stranger", application)).await.unwrap());
    }
    let mut probe = Probe::new(&at(&server, "watcher", "x"), None).unwrap();
    let observed = answered(&mut probe).await;
    assert_eq!((observed.settings.max_connections, observed.settings.superuser_reserved), (30, 2));
    assert!(observed.sees_others && observed.statement > Duration::ZERO && observed.statement < LOOK);
    let (boots, others) = observed.by_boot();
    assert_eq!(boots, [("0a1b2c3d", 2), ("ffffffff", 1)].into());
    assert_eq!(others, 2, "the report and the administrator, and not the probe itself");
    assert_eq!(observed.doing, [(Doing::Idle, 5)].into());
    assert!(observed.blockers.is_empty());
    assert_eq!(observed.free(), 30 - 2 - observed.settings.reserved - 6);

    for _ in 0..3 {
        answered(&mut probe).await;
    }
    let own = "SELECT count(*), count(DISTINCT pid) FROM pg_stat_activity WHERE application_name = 'selvage-operator'";
    let own: (i64, i64) = sqlx::query_as(own).fetch_one(&mut admin).await.unwrap();
    assert_eq!(own, (1, 1));
    probe.close().await;
    eventually(BOUND, "the probe's connection is closed", async || {
        let own = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'selvage-operator'";
        sqlx::query_scalar::<_, i64>(own).fetch_one(&mut admin).await.unwrap() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_names_who_holds_up_others_and_tells_waits_apart() {
    let Some((server, mut admin)) = server(&[]).await else { return };
    admin.execute("CREATE TABLE stock (id int PRIMARY KEY, count int); INSERT INTO stock VALUES (1, 1)").await.unwrap();
    admin.execute("GRANT ALL ON stock TO stranger").await.unwrap();
    let mut blocker = PgConnection::connect(&at(&server, "stranger", "0a1b2c3d/import")).await.unwrap();
    blocker.execute("BEGIN; UPDATE stock SET count = 2 WHERE id = 1").await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let url = at(&server, "stranger", "ffffffff/cart");
        waiting.push(tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            connection.execute("UPDATE stock SET count = 3 WHERE id = 1").await.unwrap();
        }));
    }
    let mut probe = Probe::new(&at(&server, "watcher", "x"), None).unwrap();
    let mut observed = Observed::default();
    eventually(BOUND, "three wait", async || {
        observed = answered(&mut probe).await;
        observed.doing.get(&Doing::Lock) == Some(&3)
    })
    .await;
    assert_eq!(observed.doing.get(&Doing::IdleInTransaction), Some(&1));
    // Two of the three wait for the third, which waits for the blocker: only that one is named.
    assert_eq!(observed.blockers.len(), 1, "{:?}", observed.blockers);
    let named = &observed.blockers[0];
    assert_eq!(
        (named.application.as_str(), named.query.as_str()),
        ("0a1b2c3d/import", "BEGIN; UPDATE stock SET count = 2 WHERE id = 1")
    );
    assert!(named.blocked >= 1);
    blocker.execute("COMMIT").await.unwrap();
    for done in waiting {
        done.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_slot_is_told_from_no_server_and_a_role_without_rights_says_so() {
    let Some((mut server, mut admin)) = server(&["max_connections=8", "superuser_reserved_connections=3"]).await else {
        return;
    };
    let mut blind = Probe::new(&at(&server, "stranger", "x"), None).unwrap();
    let observed = answered(&mut blind).await;
    assert!(!observed.sees_others);
    blind.close().await;

    let mut probe = Probe::new(&at(&server, "watcher", "x"), None).unwrap();
    let mut taken = Vec::new();
    let refused = loop {
        match PgConnection::connect(&at(&server, "stranger", "leak")).await {
            Ok(connection) => taken.push(connection),
            Err(refused) => break refused,
        }
    };
    assert_eq!(
        refused.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref(),
        Some("53300"),
        "{refused}"
    );
    match probe.look().await.outcome {
        Outcome::NoSlot(why) => assert!(!why.is_empty()),
        other => panic!("{other:?}"),
    }
    drop(taken);
    eventually(BOUND, "there is one again", async || matches!(probe.look().await.outcome, Outcome::Answered(_))).await;
    // It has its own, so it isn't refused: that nothing is left shows in what it sees.
    let mut taken = Vec::new();
    eventually(BOUND, "none is left", async || {
        // Err: one of those before is still about to go, and its place is free then.
        taken.extend(PgConnection::connect(&at(&server, "stranger", "leak")).await);
        answered(&mut probe).await.free() == 0
    })
    .await;

    // Its connection is ended by somebody: that look fails, and the next has a new one.
    drop(taken);
    let end =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'selvage-operator'";
    assert_eq!(sqlx::query_scalar::<_, i64>(end).fetch_one(&mut admin).await.unwrap(), 1);
    assert!(matches!(probe.look().await.outcome, Outcome::Failed(_)));
    eventually(BOUND, "it has another", async || matches!(probe.look().await.outcome, Outcome::Answered(_))).await;
    server.stop().await;
    match probe.look().await.outcome {
        Outcome::Failed(why) => assert!(!why.is_empty()),
        other => panic!("{other:?}"),
    }
}

/// Lets the probe's backend run for the first 10 ms of each period of 100 ms only, as the kernel does with a container that is
/// at its limit of processors.
struct Throttled {
    ended: Arc<AtomicBool>,
    throttles: Option<JoinHandle<()>>,
}

impl Throttled {
    fn backend(pid: i32) -> Self {
        let ended = Arc::<AtomicBool>::default();
        let end = ended.clone();
        let signal = move |name: &str| {
            let told = Command::new("kill").args([name, &pid.to_string()]).status().expect("kill");
            assert!(told.success(), "kill {name} {pid}");
        };
        let throttles = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                signal("-STOP");
                std::thread::sleep(Duration::from_millis(90));
                signal("-CONT");
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { ended, throttles: Some(throttles) }
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        self.throttles.take().map(JoinHandle::join).unwrap().expect("it ends with the backend running");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_at_its_limit_of_processors_is_slow_in_every_look() {
    let Some((server, mut admin)) = server(&[]).await else { return };
    let mut probe = Probe::new(&at(&server, "watcher", "x"), None).unwrap();
    let mut calm = Vec::new();
    for _ in 0..5 {
        calm.push(answered(&mut probe).await.statement);
    }
    calm.sort();
    let own = "SELECT pid FROM pg_stat_activity WHERE application_name = 'selvage-operator'";
    let throttled = Throttled::backend(sqlx::query_scalar(own).fetch_one(&mut admin).await.unwrap());
    for number in 0..10 {
        let slow = answered(&mut probe).await.statement;
        assert!(slow > Duration::from_millis(5), "look {number}: {slow:?}, and in calm times {calm:?}");
    }
    drop(throttled);
}
