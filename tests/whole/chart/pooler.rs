//! The pooler that the chart permits, as its README says to set it: Debian's PgBouncer with a session for each client.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use selvage_identity::Role;
use selvage_proto::delivery::v1::GetShipmentRequest;
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_rpc::with_token;
use selvage_testkit::{Engine, database, engines, eventually, free_port};
use selvage_tests::alone::{Alone, SERVICE};
use selvage_tests::installed::installed;
use selvage_tests::process::Process;
use selvage_tests::shop::Tokens;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

const LONG: Duration = Duration::from_secs(60);

/// The same database by another port.
fn through(url: &str, port: u16) -> String {
    let (server, name) = url.rsplit_once('/').expect("a database");
    let (host, _) = server.rsplit_once(':').expect("a port");
    format!("{host}:{port}/{name}")
}

#[tokio::test]
async fn a_service_works_behind_a_pooler_with_a_session_for_each_client() {
    let Some(program) = installed(&["pgbouncer"], "a pooler between a service and PostgreSQL") else { return };
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = Tokens::make(folder.path());
    let database = database(Engine::Postgres).await;
    let (role, login) = database.role().await;
    let (port, at) = (free_port(), database.url().rsplit_once('@').expect("a user").1);
    let server = at.split_once(':').and_then(|(_, rest)| rest.split_once('/')).expect("a port").0;
    let users = folder.path().join("users.txt");
    fs::write(&users, format!("\"{role}\" \"{role}\"\n\"postgres\" \"\"\n")).expect("it is written");
    let settings = folder.path().join("pgbouncer.ini");
    // What the README of the chart says, and as many connections as delivery's pool has.
    let text = format!(
        "[databases]\n* = host=127.0.0.1 port={server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = session\ndefault_pool_size = 4\n\
         ignore_startup_parameters = extra_float_digits,options\n",
        users.display()
    );
    fs::write(&settings, text).expect("it is written");
    // It doesn't run as root, and reads its files as whom it runs as.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its folder");
    let mut command = Command::new(program);
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        command.args(["-u", "nobody"]);
    }
    let pooler = Process::start(command.arg(&settings));
    pooler.wait_for("that it serves", |line| line.contains("process up").then_some(()));

    Alone::migrate(&through(database.url(), port), &role);
    let service = Alone::start(&through(&login, port), &tokens, &[]);
    eventually(LONG, "it is ready", async || service.health(SERVICE).await == ServingStatus::Serving).await;
    let token = tokens.of(Role::Customer, "somebody");
    let channel = service.connect().await;
    let calls = (0..32).map(|_| {
        let request = GetShipmentRequest { order_id: uuid::Uuid::now_v7().to_string() };
        let request = with_token(&token, request);
        let mut client = DeliveryClient::new(channel.clone());
        async move { client.get_shipment(request).await.expect_err("there is none").code() }
    });
    for code in futures::future::join_all(calls).await {
        assert_eq!(code, Code::NotFound, "its database was asked");
    }
}
