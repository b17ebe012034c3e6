//! Clients of the pages whose requests' heads have no end, or lines that end otherwise than HTTP/1.1 wants.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use selvage_tests::shop::OneProcess;

use super::{LONG, pages_of};

fn connect(shop: &OneProcess) -> TcpStream {
    let stream = TcpStream::connect(pages_of(shop)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// The shop kept 400 KB of it once, for each connection.
#[test]
fn a_head_without_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let shop = OneProcess::start(folder.path(), &[]);
    let mut stream = connect(&shop);
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

/// The statuses of the answers to what is sent in one go, until the shop closes the connection.
fn answers(shop: &OneProcess, sent: &str) -> Vec<String> {
    let mut stream = connect(shop);
    stream.write_all(sent.as_bytes()).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    let answers = String::from_utf8_lossy(&answers).into_owned();
    let statuses = answers.match_indices("HTTP/1.1 ").filter_map(|(at, begins)| answers[at + begins.len()..].get(..3));
    statuses.map(ToOwned::to_owned).collect()
}

/// A proxy that takes such an end for a part of the line, or the other way round, sees other requests than the shop does.
#[test]
fn a_line_that_ends_otherwise_than_with_cr_lf_is_refused_wherever_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let shop = OneProcess::start(folder.path(), &[]);
    let get = "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let kept = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let found = answers(&shop, get);
    assert_eq!(found.len(), 1, "{found:?}");
    let right = found[0].as_str();
    for wrong in [
        "GET /healthz HTTP/1.1\r\nHost: a\n\r\n",
        "GET /healthz HTTP/1.1\nHost: a\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a\r\n\n",
        "GET /healthz HTTP/1.1\r\nHost: a\rCookie: b\r\n\r\n",
    ] {
        assert_eq!(answers(&shop, wrong), ["400"], "{wrong:?}");
        assert_eq!(answers(&shop, &format!("{kept}{wrong}")), [right, "400"], "{wrong:?}, behind another one");
    }
    // Line ends of a body are its own.
    let body = "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na\nb\r";
    assert_eq!(answers(&shop, &format!("{body}{get}")).last().map(String::as_str), Some(right));
    // Whose end isn't followed has no other request behind it.
    let chunked = "POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(answers(&shop, &format!("{chunked}{get}")).len(), 1);
}
