//! Another server takes over: a real standby that is promoted, and what becomes of the sessions of the one before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, DbBackend, DbErr, Statement};
use selvage_pool::{Class, Config, Kind, Pool, in_words, kind};
use selvage_testkit::{Engine, Server, engines, eventually};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(30);

/// A primary with the table `counter`, and a standby that has it too.
struct Pair {
    primary: Server,
    standby: Server,
}

impl Pair {
    async fn start() -> Option<Self> {
        if !engines().contains(&Engine::Postgres) {
            return None;
        }
        let primary = Server::start(&[]).await;
        let standby = Server::start_standby(&primary).await;
        let admin = open(primary.url(), |_| {}).await;
        admin.execute_unprepared("CREATE TABLE counter (id INTEGER, server INTEGER)").await.expect("a table");
        let reader = open(standby.url(), |_| {}).await;
        let replayed = async || reader.execute_unprepared("SELECT FROM counter").await.is_ok();
        eventually(LONG, "the standby has it too", replayed).await;
        Some(Self { primary, standby })
    }

    /// One address of both, with what is wanted of them.
    fn url(&self, wanted: &str) -> String {
        let port = self.standby.port();
        let (server, database) = self.primary.url().rsplit_once('/').expect("a database");
        format!("{server},127.0.0.1:{port}/{database}?target_session_attrs={wanted}")
    }
}

async fn open(url: &str, tune: impl FnOnce(&mut Config)) -> Pool {
    let mut config = Config { limit: 4, floor: Some(4), max_wait: LONG, ..Config::new("test", url) };
    tune(&mut config);
    Pool::open(config).await.expect("it answers")
}

/// The port of the server that answers a pool.
async fn server(pool: &Pool) -> Result<u16, DbErr> {
    let asked = Statement::from_string(DbBackend::Postgres, "SELECT inet_server_port()");
    let row = pool.query_one_raw(asked).await?.expect("one row");
    Ok(u16::try_from(row.try_get_by_index::<i32>(0)?).expect("a port"))
}

fn insertion() -> Statement {
    Statement::from_string(DbBackend::Postgres, "INSERT INTO counter VALUES (1, inet_server_port())")
}

/// By statement and by transaction, in turn.
async fn write(pool: &Pool, index: usize) -> Result<(), DbErr> {
    if index.is_multiple_of(2) {
        return pool.execute_raw(insertion()).await.map(drop);
    }
    pool.run_tx("count", Class::Normal, |tx| async move { tx.execute_raw(insertion()).await.map(drop) }).await
}

async fn sixty_writes(pool: &Pool) {
    let written = futures::future::join_all((0..60).map(|index| write(pool, index))).await;
    let failed: Vec<_> = written.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

/// Until it succeeds, what a caller gets is that the database isn't there now.
async fn writes_again(pool: &Pool) {
    eventually(LONG, "it takes writes again", async || match write(pool, 0).await {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(kind(&error), Kind::Unreachable, "{error}");
            false
        }
    })
    .await;
}

/// Nobody ends a session: each finds out by itself that its server takes no writes any more.
#[tokio::test]
async fn no_write_fails_once_another_server_has_taken_over() {
    let Some(pair) = Pair::start().await else { return };
    let pool = open(&pair.url("read-write"), |_| {}).await;
    sixty_writes(&pool).await;
    assert_eq!(server(&pool).await.unwrap(), pair.primary.port());

    pair.primary.set_read_only(true).await;
    eventually(LONG, "the pool says that there is no such server", async || {
        let refused = write(&pool, 0).await.expect_err("none takes writes");
        assert_eq!(kind(&refused), Kind::Unreachable, "{refused}");
        assert!(in_words(&refused).contains("takes no writes"), "{}", in_words(&refused));
        pool.snapshot().unreachable
    })
    .await;
    pair.standby.promote().await;
    writes_again(&pool).await;
    sixty_writes(&pool).await;
    assert_eq!(server(&pool).await.unwrap(), pair.standby.port());
}

#[tokio::test]
async fn a_server_that_is_gone_is_left_for_the_one_that_took_over() {
    let Some(mut pair) = Pair::start().await else { return };
    let pool = open(&pair.url("read-write"), |_| {}).await;
    sixty_writes(&pool).await;
    pair.primary.stop().await;
    pair.standby.promote().await;
    writes_again(&pool).await;
    sixty_writes(&pool).await;
    // The one before comes back, and is asked for nothing.
    pair.primary.start_again().await;
    pair.primary.set_read_only(true).await;
    sixty_writes(&pool).await;
    assert_eq!(server(&pool).await.unwrap(), pair.standby.port());
}

/// A read tells nothing by itself; what the address wants is asked each few seconds.
#[tokio::test]
async fn who_only_reads_does_not_stay_with_a_server_that_is_not_wanted_any_more() {
    let Some(pair) = Pair::start().await else { return };
    let pool = open(&pair.url("read-write"), |_| {}).await;
    assert_eq!(server(&pool).await.unwrap(), pair.primary.port());
    pair.standby.promote().await;
    pair.primary.set_read_only(true).await;
    let moved = async || server(&pool).await.is_ok_and(|server| server == pair.standby.port());
    eventually(LONG, "it reads from the one that took over", moved).await;
}

/// One address that leads to another server from some moment on, as of a service in Kubernetes.
async fn switch(to: u16) -> (Arc<AtomicU16>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (to, own) = (Arc::new(AtomicU16::new(to)), listener.local_addr().expect("its address").port());
    let target = to.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let port = target.load(Ordering::Relaxed);
            tokio::spawn(async move {
                if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    (to, own)
}

#[tokio::test]
async fn sessions_are_made_anew_where_one_name_leads_to_another_server() {
    let Some(pair) = Pair::start().await else { return };
    let (to, between) = switch(pair.primary.port()).await;
    let url = pair.primary.url().replace(&pair.primary.port().to_string(), &between.to_string());
    let pool = open(&url, |_| {}).await;
    sixty_writes(&pool).await;
    pair.primary.set_read_only(true).await;
    let refused = async || write(&pool, 0).await.is_err_and(|error| kind(&error) == Kind::Unreachable);
    eventually(LONG, "it takes no writes", refused).await;
    assert_eq!(server(&pool).await.unwrap(), pair.primary.port(), "it still reads");
    pair.standby.promote().await;
    to.store(pair.standby.port(), Ordering::Relaxed);
    writes_again(&pool).await;
    sixty_writes(&pool).await;
    assert_eq!(server(&pool).await.unwrap(), pair.standby.port());
}

#[tokio::test]
async fn the_server_is_chosen_as_libpq_chooses_it() {
    let Some(mut pair) = Pair::start().await else { return };
    let (primary, standby) = (pair.primary.port(), pair.standby.port());
    let chosen = async |url: &str| server(&open(url, |config| config.limit = 4).await).await.expect("an answer");
    for (wanted, expected) in [
        ("any", primary),
        ("read-write", primary),
        ("primary", primary),
        ("standby", standby),
        ("read-only", standby),
        ("prefer-standby", standby),
    ] {
        assert_eq!(chosen(&pair.url(wanted)).await, expected, "{wanted}");
    }
    let alone = format!("{}?target_session_attrs=standby", pair.primary.url());
    let refused = Pool::open(Config::new("test", &alone)).await.expect_err("it is none").to_string();
    assert!(refused.contains(&format!("127.0.0.1:{primary} takes writes")), "{refused}");
    pair.standby.stop().await;
    assert_eq!(chosen(&pair.url("prefer-standby")).await, primary, "there is none");
    let refused = Pool::open(Config::new("test", pair.url("standby"))).await.expect_err("there is none").to_string();
    let both = [format!("127.0.0.1:{primary} takes writes"), format!("127.0.0.1:{standby}: ")];
    assert!(both.iter().all(|said| refused.contains(said)), "{refused}");
    assert!(refused.contains("as its target_session_attrs says"), "{refused}");
}
