//! Clients who would hold up the end of a process.

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use selvage_testkit::{Engine, eventually};
use selvage_tests::alone::SERVICE;
use tokio::time::Instant;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

use super::{Attacked, LONG};

/// With none of them a service ends in some 100 ms; two seconds are for a client to answer the farewell, two for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(4);
/// What a client of HTTP/2 says first, and settings that set nothing.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

async fn ends_at_once(mut attacked: Attacked, about: &str) {
    let told = Instant::now();
    attacked.service.process.ask_to_end();
    eventually(LONG, "it ends", async || attacked.service.process.ended().is_some()).await;
    let (took, status) = (told.elapsed(), attacked.service.process.ended().unwrap());
    println!("with {about} a service ended in {:.2} s", took.as_secs_f32());
    assert!(took < AT_ONCE && status.success(), "{about}: {took:?}, {status}");
}

const NOW: &[&str] = &["--lame-duck-ms", "0", "--reflection", "on"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_holds_up_no_end() {
    let attacked = Attacked::start(NOW).await;
    let _rpcs = TcpStream::connect(&attacked.service.grpc).unwrap();
    let mut half = TcpStream::connect(&attacked.service.grpc).unwrap();
    half.write_all(&OPENING[..10]).unwrap();
    let mut head = TcpStream::connect(&attacked.service.metrics).unwrap();
    head.write_all(b"GET /metr").unwrap();
    ends_at_once(attacked, "connections that don't open").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_answers_the_farewell_holds_up_no_end() {
    let attacked = Attacked::start(NOW).await;
    let mut opened = TcpStream::connect(&attacked.service.grpc).unwrap();
    opened.write_all(OPENING).unwrap();
    let open = || attacked.metrics().sum("selvage_listener_connections", &[("listener", "main")]);
    eventually(LONG, "it is taken", async || open() >= 1.0).await;
    ends_at_once(attacked, "a connection that opened and fell silent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_of_health_and_reflection_hold_up_no_end() {
    let attacked = Attacked::start(NOW).await;
    let channel = attacked.service.connect().await;
    let watch = HealthCheckRequest { service: SERVICE.to_owned() };
    let mut watched = HealthClient::new(channel.clone()).watch(watch).await.unwrap().into_inner();
    watched.message().await.unwrap();
    let (_asking, requests) = tokio::sync::mpsc::channel::<ServerReflectionRequest>(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let _reflected = ServerReflectionClient::new(channel).server_reflection_info(requests).await.unwrap();
    ends_at_once(attacked, "streams of health and reflection").await;
}

/// `command` as a terminal starts it: whoever runs the tests may have SIGHUP ignored.
fn from_a_terminal(command: &Command) -> Command {
    let mut env = Command::new("env");
    env.arg("--default-signal=HUP").arg(command.get_program()).args(command.get_args());
    env.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    env
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_that_is_gone_ends_a_service_in_good_order() {
    let slowly = ["--lame-duck-ms", "2000"];
    let mut attacked = Attacked::start_by(Engine::Sqlite, &slowly, |command| from_a_terminal(&command)).await;
    attacked.service.process.hang_up();
    eventually(LONG, "it leaves", async || attacked.service.probe("/readyz").status == 503).await;
    eventually(LONG, "it ends", async || attacked.service.process.ended().is_some()).await;
    assert!(attacked.service.process.ended().unwrap().success());
}
