//! Clients of the pages who read nothing, or send without end.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use selvage_testkit::{eventually, free_port};
use selvage_tests::metrics::Metrics;
use selvage_tests::shop::OneProcess;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use super::LONG;

/// Where its pages are: HOST:PORT.
fn at(shop: &OneProcess) -> &str {
    shop.url.strip_prefix("http://").expect("http")
}

/// One client held 1,840 connections for minutes once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_nothing_loses_the_connection_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let told = format!("127.0.0.1:{}", free_port());
    let shop = OneProcess::start(folder.path(), &["--metrics-listen", &told]);
    let request = b"GET /c/shirts HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
    let mut readers = Vec::new();
    for _ in 0..8 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4 * 1024).unwrap();
        let mut stream = socket.connect(at(&shop).parse().unwrap()).await.unwrap();
        stream.write_all(&request).await.unwrap();
        readers.push(stream);
    }
    let metrics = || Metrics::of(&told);
    let main = |name: &str, labels: &[(&str, &str)]| metrics().sum(name, &[&[("listener", "main")], labels].concat());
    assert!(main("selvage_listener_connections", &[]) >= 8.0);
    let stalled = || main("selvage_listener_troubles_total", &[("trouble", "stalled")]);
    eventually(LONG, "they are closed", async || stalled() >= 8.0).await;
    eventually(LONG, "they are gone", async || main("selvage_listener_connections", &[]) < 8.0).await;
}

/// The shop kept 400 KB of it once, for each connection.
#[test]
fn a_head_without_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let shop = OneProcess::start(folder.path(), &[]);
    let mut stream = TcpStream::connect(at(&shop)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
    // 32 KiB are kept, and both ends' systems may hold some more of it: 16 MiB would never come through.
    let line = format!("X-More: {}\r\n", "x".repeat(1_000));
    let sent = (0..16 * 1024).take_while(|_| stream.write_all(line.as_bytes()).is_ok()).count();
    assert!(sent < 16 * 1024, "all of it was taken");
    let mut answer = Vec::new();
    // Err: what was sent after the answer has broken the connection.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}
