//! A server whose host is gone says nothing: no answer, no end of the connection. What we wait for has our own bound.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement, StreamTrait as _};
use selvage_pool::{Class, Config, Kind, Pool, in_words, kind};
use selvage_testkit::{Database, Engine, database, engines, eventually};
use sqlx::postgres::PgConnectOptions;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const TIMEOUT: Duration = Duration::from_millis(200);
/// The bound on an answer is `TIMEOUT` and a second; another for a machine that is busy.
const BOUND: Duration = Duration::from_millis(2_200);

/// Stands between the pool and the server.
struct Proxy {
    /// How often the wires were cut; those made since are whole.
    cuts: watch::Sender<u32>,
    /// New ones are taken, and nothing comes of them.
    deaf: watch::Sender<bool>,
}

impl Proxy {
    async fn to(server: u16) -> (Self, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let (cuts, deaf) = (watch::Sender::new(0), watch::Sender::new(false));
        let (cut, is_deaf) = (cuts.subscribe(), deaf.subscribe());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut cut, deaf) = (cut.clone(), *is_deaf.borrow());
                let made = *cut.borrow();
                tokio::spawn(async move {
                    // Both ends of a dead wire are held, so that neither hears of it.
                    if deaf {
                        std::future::pending::<()>().await;
                    }
                    let mut server = TcpStream::connect(("127.0.0.1", server)).await.expect("the server");
                    let is_cut = async { drop(cut.wait_for(|cuts| *cuts > made).await) };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => return,
                        () = is_cut => {}
                    }
                    std::future::pending::<()>().await;
                });
            }
        });
        (Self { cuts, deaf }, port)
    }

    /// From now on nothing passes on the wires that there are.
    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn behind_a_proxy(tune: impl FnOnce(&mut Config)) -> Option<(Pool, Proxy, Database)> {
    if !engines().contains(&Engine::Postgres) {
        return None;
    }
    let database = database(Engine::Postgres).await;
    let port = PgConnectOptions::from_str(database.url()).expect("an address").get_port();
    let (proxy, between) = Proxy::to(port).await;
    let url = database.url().replace(&format!(":{port}/"), &format!(":{between}/"));
    let mut config = Config { limit: 1, statement_timeout: TIMEOUT, ..Config::new("test", url) };
    tune(&mut config);
    let pool = Pool::open(config).await.expect("it answers by the proxy");
    Some((pool, proxy, database))
}

fn assert_silent(error: &DbErr, began: Instant) {
    assert!(began.elapsed() < BOUND, "{:?}: {error}", began.elapsed());
    assert!(error.to_string().contains("didn't answer within 1.2s"), "{error}");
    assert!(in_words(error).contains("can't be reached"), "{error}");
}

async fn serves(pool: &Pool) {
    pool.execute_unprepared("SELECT 1").await.expect("it serves by a new connection");
    assert_eq!((pool.snapshot().open, pool.snapshot().in_use), (1, 0));
}

#[tokio::test]
async fn a_statement_is_not_waited_for_for_ever() {
    let Some((pool, proxy, _database)) = behind_a_proxy(|_| {}).await else { return };
    let one = || Statement::from_string(DbBackend::Postgres, "SELECT 1");
    for way in ["unprepared", "prepared", "one", "all"] {
        proxy.cut();
        let began = Instant::now();
        let ended = match way {
            "unprepared" => pool.execute_unprepared("SELECT 1").await.map(drop),
            "prepared" => pool.execute_raw(one()).await.map(drop),
            "one" => pool.query_one_raw(one()).await.map(drop),
            _ => pool.query_all_raw(one()).await.map(drop),
        };
        let error = ended.expect_err(way);
        assert_silent(&error, began);
        assert_eq!(kind(&error), Kind::Unreachable, "{way}");
        serves(&pool).await;
    }
}

#[tokio::test]
async fn a_row_is_not_waited_for_for_ever() {
    let Some((pool, proxy, _database)) = behind_a_proxy(|_| {}).await else { return };
    // More than all the buffers on the way hold.
    let sql = "SELECT repeat('x', 8000) AS x FROM generate_series(1, 100000)";
    let mut rows = pool.stream_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    rows.try_next().await.expect("the first rows are on the way").expect("a row");
    // A reader that takes its time is not silence.
    tokio::time::sleep(TIMEOUT + Duration::from_millis(1_100)).await;
    rows.try_next().await.expect("the others come").expect("a row");
    proxy.cut();
    let (mut began, mut seen) = (Instant::now(), 0);
    let error = loop {
        match rows.try_next().await {
            Ok(row) => {
                row.expect("it doesn't come to its end");
                (began, seen) = (Instant::now(), seen + 1);
            }
            Err(error) => break error,
        }
    };
    assert!(seen < 100_000);
    assert_silent(&error, began);
    drop(rows);
    eventually(BOUND, "the slot comes back", async || pool.snapshot().in_use == 0).await;
    serves(&pool).await;
}

#[tokio::test]
async fn a_transaction_ends_whatever_it_waits_for() {
    let Some((pool, proxy, _database)) = behind_a_proxy(|_| {}).await else { return };
    pool.execute_unprepared("CREATE TABLE counter (id INTEGER PRIMARY KEY)").await.unwrap();
    let (proxy, runs) = (Arc::new(proxy), AtomicU32::new(0));
    // COMMIT: nobody knows.
    let began = Instant::now();
    let committing = pool.run_tx("commit", Class::Normal, |tx| {
        runs.fetch_add(1, Ordering::SeqCst);
        let proxy = proxy.clone();
        async move {
            tx.execute_unprepared("INSERT INTO counter VALUES (1)").await?;
            proxy.cut();
            Ok::<_, DbErr>(())
        }
    });
    let error = committing.await.expect_err("there is no answer");
    assert_eq!((kind(&error), runs.load(Ordering::SeqCst)), (Kind::OutcomeUnknown, 1), "{error}");
    assert!(began.elapsed() < BOUND);
    // A statement: what comes after it is refused at once.
    let began = Instant::now();
    let going_on = pool.run_tx("go_on", Class::Normal, |tx| {
        let proxy = proxy.clone();
        async move {
            tx.execute_unprepared("SELECT 1").await?;
            proxy.cut();
            let first = tx.execute_unprepared("SELECT 1").await.expect_err("there is no answer");
            let second = tx.execute_unprepared("SELECT 1").await.expect_err("it is closed");
            assert_eq!((kind(&first), kind(&second)), (Kind::Unreachable, Kind::Unreachable), "{first}, {second}");
            Err::<(), _>(second)
        }
    });
    going_on.await.expect_err("it is closed");
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    // BEGIN: nothing was done, and another connection does it.
    pool.execute_unprepared("SELECT 1").await.unwrap();
    proxy.cut();
    let beginning = pool.run_tx("begin", Class::Normal, |tx| async move { tx.execute_unprepared("SELECT 1").await });
    beginning.await.expect("it begins on a new connection");
}

/// A statement that only reads has done nothing, whatever became of its answer; one that writes may have been done.
#[tokio::test]
async fn a_write_whose_answer_never_came_may_have_been_done() {
    let Some((pool, proxy, database)) = behind_a_proxy(|_| {}).await else { return };
    pool.execute_unprepared("CREATE TABLE counter (id INTEGER PRIMARY KEY)").await.unwrap();
    for (id, with) in [(1, ""), (2, "WITH one AS (SELECT 2 AS id) ")] {
        let sql =
            if with.is_empty() { "INSERT INTO counter VALUES (1)" } else { "INSERT INTO counter SELECT id FROM one" };
        proxy.cut();
        let write = Statement::from_string(DbBackend::Postgres, format!("{with}{sql}"));
        let error = pool.execute_raw(write).await.expect_err("there is no answer");
        assert_eq!(kind(&error), Kind::OutcomeUnknown, "{id}: {error}");
        assert!(error.to_string().contains("whether it was done isn't known"), "{error}");
        serves(&pool).await;
    }
    drop(database);
}

/// However many are silent: to ask them all takes no longer than a caller waits.
#[tokio::test]
async fn idle_connections_are_asked_within_a_callers_patience() {
    let patience = Duration::from_millis(500);
    let Some((pool, proxy, _database)) = behind_a_proxy(|config| {
        config.limit = 4;
        config.statement_timeout = Duration::from_secs(5);
        config.idle_ping_after = Duration::from_nanos(1);
    })
    .await
    else {
        return;
    };
    let fill = async || {
        eventually(2 * BOUND, "all four are open, and serve", async || {
            let all = (0..4).map(|_| pool.execute_unprepared("SELECT pg_sleep(0.1)"));
            let served = futures::future::join_all(all).await;
            served.iter().all(Result::is_ok) && pool.snapshot().idle == 4
        })
        .await;
    };
    fill().await;
    proxy.cut();
    serves_in_time(&pool).await;
    fill().await;
    // Now new connections are of no use either.
    proxy.deaf.send_replace(true);
    proxy.cut();
    let began = tokio::time::Instant::now();
    let asked = selvage_context::deadline::scope(began + patience, pool.execute_unprepared("SELECT 1"));
    let error = asked.await.expect_err("nobody answers");
    assert!(began.elapsed() < patience + Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(kind(&error), Kind::Unreachable, "{error}");
    proxy.deaf.send_replace(false);
    fill().await;
}

async fn serves_in_time(pool: &Pool) {
    let began = Instant::now();
    pool.execute_unprepared("SELECT 1").await.expect("there is time for a new connection");
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
}

/// A socket that dies in silence strands the slot of its connection (compare sqlx #4349), and its server doesn't know.
#[tokio::test]
async fn a_stranded_connection_is_replaced_alone_and_its_session_ended() {
    let name = "cafe0004/stranded";
    let Some((pool, proxy, database)) = behind_a_proxy(|config| {
        (config.limit, config.ceiling) = (1, Some(2));
        config.application_name = name.into();
    })
    .await
    else {
        return;
    };
    let observer = Pool::open(Config { limit: 1, ..Config::new("observer", database.url()) }).await.unwrap();
    let sessions = async || {
        let sql = format!("SELECT pid FROM pg_stat_activity WHERE application_name = '{name}' ORDER BY backend_start");
        let rows = observer.query_all_raw(Statement::from_string(DbBackend::Postgres, sql)).await.expect("an answer");
        rows.into_iter().map(|row| row.try_get::<i32>("", "pid").expect("a number")).collect::<Vec<_>>()
    };
    let first = sessions().await;
    proxy.cut();
    // The second one's wire is whole; it is made when it is needed.
    pool.set_limit(2);
    let both = (0..2).map(|_| pool.execute_unprepared("SELECT pg_sleep(0.05)"));
    let ended = futures::future::join_all(both).await;
    assert_eq!(ended.iter().filter(|ended| ended.is_ok()).count(), 1, "one of them is silent: {ended:?}");
    eventually(BOUND, "the server is rid of it, and its place is free", async || {
        let (seen, there) = (pool.snapshot(), sessions().await);
        assert!(seen.open <= 2 && there.len() <= 2, "{seen:?}, {there:?}");
        seen.stranded == 0 && seen.open == 1 && !there.contains(&first[0])
    })
    .await;
    for ended in futures::future::join_all((0..2).map(|_| pool.execute_unprepared("SELECT pg_sleep(0.05)"))).await {
        ended.expect("both serve");
    }
}
