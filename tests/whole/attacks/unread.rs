//! A log that nobody reads.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use selvage_testkit::{Engine, database, eventually};
use selvage_tests::alone::{Alone, SERVICE};
use selvage_tests::metrics::Metrics;
use selvage_tests::shop::Tokens;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

use super::LONG;

/// The pipe takes 64 KiB, and the process's queue as much as it takes: then lines are lost, and nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_log_nobody_reads_serves_and_ends_and_says_what_was_lost() {
    let keys = tempfile::tempdir().unwrap();
    let (tokens, database) = (Tokens::make(keys.path()), database(Engine::Sqlite).await);
    Alone::migrate(database.url(), "");
    for is_read_later in [false, true] {
        let (mut service, mut stderr) = Alone::start_unread(database.url(), &tokens);
        let is_there = || TcpStream::connect(&service.metrics).is_ok() && TcpStream::connect(&service.grpc).is_ok();
        eventually(LONG, "it listens", async || is_there()).await;
        eventually(LONG, "it is ready", async || service.health(SERVICE).await == ServingStatus::Serving).await;
        let lost = || Metrics::of(&service.metrics).sum("selvage_telemetry_lines_total", &[("outcome", "lost")]);
        eventually(LONG, "lines are lost", async || {
            assert_eq!(service.code_of_a_call(&tokens).await, Code::NotFound);
            lost() > 0.0
        })
        .await;
        assert_eq!(service.code_of_a_call(&tokens).await, Code::NotFound);
        assert_eq!((service.probe("/livez").status, service.probe("/readyz").status), (200, 200));
        if is_read_later {
            let read = Arc::new(Mutex::new(Vec::new()));
            let into = read.clone();
            std::thread::spawn(move || {
                let mut part = [0; 64 * 1024];
                while let Ok(count @ 1..) = stderr.read(&mut part) {
                    into.lock().unwrap().extend_from_slice(&part[..count]);
                }
            });
            let says = || String::from_utf8_lossy(&read.lock().unwrap()).contains("lines of the log were lost");
            eventually(LONG, "it says what was lost", async || says()).await;
        }
        service.process.ask_to_end();
        eventually(LONG, "it ends", async || service.process.ended().is_some()).await;
        assert_eq!(service.process.ended().and_then(|status| status.code()), Some(0));
    }
}
