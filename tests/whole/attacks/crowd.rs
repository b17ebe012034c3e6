//! More connections than there are places, and fewer files than there are connections.

use std::net::TcpStream;
use std::time::Duration;

use selvage_pool::sea_orm::ConnectionTrait as _;
use selvage_pool::{Config, Pool};
use selvage_testkit::{Engine, engines, eventually};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpSocket;
use tokio::time::Instant;

use super::{Attacked, LONG, limited};

/// Connections that say nothing, from another address than this machine's usual one.
async fn silent(address: &str, from: &str, count: usize) -> Vec<tokio::net::TcpStream> {
    let mut all = Vec::new();
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        all.push(socket.connect(address.parse().unwrap()).await.unwrap());
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_leave_files_for_metrics_and_the_database_and_are_closed() {
    let engine = *engines().last().unwrap();
    let few_files = |command| limited("ulimit -n 64", &command);
    let attacked = Attacked::start_by(engine, &["--max-connections-per-peer", "1000"], few_files).await;
    let said = attacked.service.process.output();
    assert!(said.contains("the limit of open files is low") && said.contains("ulimit -n"), "{said}");

    let before = attacked.service.process.computed();
    let begun = Instant::now();
    let _crowd = silent(&attacked.service.grpc, "127.0.0.1", 179).await;
    eventually(LONG, "all places are taken", async || attacked.troubles("full") > 0.0).await;
    let open = attacked.metrics().sum("selvage_listener_connections", &[("listener", "main")]);
    assert!(open <= 32.0, "{open} connections of 64 files");
    if engine == Engine::Postgres {
        // Sessions that the database ended are replaced, for which files must be left.
        let pool = Pool::open(Config::new("test", attacked.database.url())).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                   WHERE pid <> pg_backend_pid() AND datname = current_database()";
        pool.execute_unprepared(end).await.unwrap();
        pool.close().await;
    }
    // Those who say nothing are closed after 5 s, 32 at a time: who comes after them waits for that long.
    eventually(LONG, "it serves", async || attacked.serves().await).await;
    assert!(attacked.troubles("unopened") >= 32.0);
    assert_eq!(attacked.troubles("failed"), 0.0, "there were files for every connection that was accepted");
    let computed = attacked.service.process.computed() - before;
    assert!(computed < begun.elapsed() / 2, "{computed:?} of {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_its_share_of_the_places_and_others_come_in() {
    let attacked = Attacked::start(&["--max-connections", "40"]).await;
    let mut crowd = silent(&attacked.service.grpc, "127.0.0.2", 40).await;
    eventually(LONG, "those beyond the share are closed", async || attacked.troubles("refused") >= 20.0).await;
    assert_eq!(attacked.troubles("refused"), 20.0, "half of the places are one address's");
    assert!(attacked.serves().await, "who comes from elsewhere has places");
    let last = crowd.last_mut().unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(1), last.read(&mut [0])).await;
    assert!(matches!(closed, Ok(Ok(0) | Err(_))), "it is closed, and not left to wait");
}

#[test]
fn more_connections_than_files_are_refused_at_the_start_in_words() {
    let mut command = std::process::Command::new(selvage_tests::process::binary("selvage-delivery"));
    command.args(["--max-connections", "1000", "--listen", "127.0.0.1:0", "--trusted-keys", "nowhere"]);
    command.args(["--database-url", "sqlite::memory:"]);
    let refused = limited("ulimit -n 1024", &command).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("--max-connections is 1000"), "{said}");
    assert!(said.contains("1024 files") && said.contains("at most 960") && said.contains("ulimit -n"), "{said}");
}

/// The soft limit is 1,024 in many places where the hard one is higher.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_soft_limit_of_files_is_raised_to_the_hard_one() {
    let soft = |command| limited("ulimit -Sn 64", &command);
    let attacked = Attacked::start_by(Engine::Sqlite, &["--max-connections-per-peer", "1000"], soft).await;
    let _crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(&attacked.service.grpc).unwrap()).collect();
    let open = || attacked.metrics().sum("selvage_listener_connections", &[("listener", "main")]);
    eventually(LONG, "all are taken", async || open() >= 100.0).await;
    assert!(!attacked.service.process.output().contains("limit of open files"));
}
