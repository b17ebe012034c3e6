//! Clients of the pages who read nothing.

use selvage_testkit::{eventually, free_port};
use selvage_tests::metrics::Metrics;
use selvage_tests::shop::OneProcess;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::{LONG, pages_of};

/// One client held 1,840 connections for minutes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_loses_the_connection_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let told = format!("127.0.0.1:{}", free_port());
    let shop = OneProcess::start(folder.path(), &["--metrics-listen", &told]);
    // Whatever the systems of both ends hold of the answers, these have more.
    let requests = b"GET /c/shirts HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4_000);
    let mut readers = JoinSet::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let mut stream = socket.connect(pages_of(&shop).parse().unwrap()).await.unwrap();
        let requests = requests.clone();
        readers.spawn(async move {
            // Err: the shop has closed it, with requests unread.
            let _ = stream.write_all(&requests).await;
            std::future::pending::<()>().await;
        });
    }
    let metrics = || Metrics::of(&told);
    let main = |name: &str, labels: &[(&str, &str)]| metrics().sum(name, &[&[("listener", "main")], labels].concat());
    eventually(LONG, "they are taken", async || main("selvage_listener_connections", &[]) >= 8.0).await;
    let stalled = || main("selvage_listener_troubles_total", &[("trouble", "stalled")]);
    eventually(LONG, "they are closed", async || stalled() >= 8.0).await;
    eventually(LONG, "they are gone", async || main("selvage_listener_connections", &[]) < 8.0).await;
}
