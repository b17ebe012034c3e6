//! How real processes end: not ready first, then nothing new, then what is in flight, and all of it within one sum.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use selvage_boot::ending;
use selvage_identity::Role;
use selvage_proto::delivery::v1::GetShipmentRequest;
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_rpc::with_token;
use selvage_testkit::{Engine, database, engines, eventually};
use selvage_tests::alone::{Alone, SERVICE};
use selvage_tests::shop::Tokens;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

const LONG: Duration = Duration::from_secs(60);
const LAME_DUCK: Duration = Duration::from_millis(1500);

/// A way to a database that can fall silent: nothing passes any more, and nobody is told.
struct Way {
    address: String,
    silent: Arc<AtomicBool>,
}

impl Way {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let silent = Arc::new(AtomicBool::new(false));
        let quiet = silent.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&server).await else { continue };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(pass(near_in, far_out, quiet.clone()));
                tokio::spawn(pass(far_in, near_out, quiet.clone()));
            }
        });
        Self { address, silent }
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, silent: Arc<AtomicBool>) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        if silent.load(Ordering::SeqCst) {
            // Both ends stay open.
            return std::future::pending().await;
        }
        if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn find(tokens: &Tokens) -> tonic::Request<GetShipmentRequest> {
    let request = GetShipmentRequest { order_id: uuid::Uuid::now_v7().to_string() };
    with_token(&tokens.of(Role::Customer, "somebody"), request)
}

/// A database that is gone in silence, a stream that never ends and a call that waits for the database: the worst of all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_ends_within_the_sum_whatever_holds_it_up() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::make(folder.path());
    let database = database(Engine::Postgres).await;
    Alone::migrate(database.url(), "");
    let server = database.url().rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let way = Way::to(server.clone()).await;
    let lame_duck = LAME_DUCK.as_millis().to_string();
    let login = database.url().replace(&server, &way.address);
    let mut service = Alone::start(&login, &tokens, &["--lame-duck-ms", &lame_duck, "--reflection", "on"]);
    eventually(LONG, "it is ready", async || service.health(SERVICE).await == ServingStatus::Serving).await;

    let channel = service.connect().await;
    let watch = HealthCheckRequest { service: SERVICE.to_owned() };
    let mut watched = HealthClient::new(channel.clone()).watch(watch).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    let (_open, requests) = tokio::sync::mpsc::channel::<ServerReflectionRequest>(1);
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let _held = ServerReflectionClient::new(channel.clone()).server_reflection_info(requests).await.unwrap();
    let mut client = DeliveryClient::new(channel);
    assert_eq!(client.get_shipment(find(&tokens)).await.unwrap_err().code(), Code::NotFound);

    let told = Instant::now();
    service.process.ask_to_end();
    // First it says so, and serves on: those who watch and those who come anew.
    assert_eq!(watched.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(told.elapsed() < LAME_DUCK, "it was said too late: {:?}", told.elapsed());
    assert_eq!(client.get_shipment(find(&tokens)).await.unwrap_err().code(), Code::NotFound);
    let mut anew = DeliveryClient::new(service.connect().await);
    assert_eq!(anew.get_shipment(find(&tokens)).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(service.probe("/readyz").status, 503);
    assert!(told.elapsed() < LAME_DUCK, "a slow machine: the pause was over before all was asked");

    // Then the database falls silent, under a call that is in flight while the drain begins.
    way.silent.store(true, Ordering::SeqCst);
    let in_flight = tokio::spawn(async move { anew.get_shipment(find(&tokens)).await.unwrap_err().code() });
    let endpoint = Endpoint::from_shared(format!("http://{}", service.grpc)).unwrap();
    eventually(LONG, "nothing new is taken", async || endpoint.connect().await.is_err()).await;
    assert!(told.elapsed() >= LAME_DUCK, "the pause was cut short");
    let answered = in_flight.await.unwrap();
    assert!(matches!(answered, Code::Unavailable | Code::DeadlineExceeded), "{answered:?}");
    // Who watches health holds nothing up: the stream ends in good order, however often it says the same before.
    while let Some(said) = watched.message().await.expect("an end in good order") {
        assert_eq!(said.status(), ServingStatus::NotServing);
    }
    eventually(LONG, "it ends", async || service.process.ended().is_some()).await;
    let took = told.elapsed();
    println!(
        "a service with a stream that somebody holds open and a database gone in silence ended in {:.1} s",
        took.as_secs_f32()
    );
    assert!(took <= ending::longest(LAME_DUCK) + ending::SPARE, "{took:?}");
}

#[tokio::test]
async fn a_second_signal_ends_a_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::make(folder.path());
    let database = database(Engine::Sqlite).await;
    Alone::migrate(database.url(), "");
    let mut service = Alone::start(database.url(), &tokens, &["--lame-duck-ms", "8000"]);
    eventually(LONG, "it is ready", async || service.health(SERVICE).await == ServingStatus::Serving).await;
    let told = Instant::now();
    service.process.ask_to_end();
    eventually(LONG, "it leaves", async || service.probe("/readyz").status == 503).await;
    service.process.ask_to_end();
    eventually(LONG, "it ends at once", async || service.process.ended().is_some()).await;
    assert_eq!(service.process.ended().and_then(|status| status.code()), Some(130));
    assert!(told.elapsed() < Duration::from_secs(8), "{:?}", told.elapsed());
}
