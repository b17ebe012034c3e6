//! The pooler that the chart permits, as its README says to set it: Debian's PgBouncer with a session for each client.

use std::time::Duration;

use selvage_identity::Role;
use selvage_proto::delivery::v1::GetShipmentRequest;
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_rpc::with_token;
use selvage_testkit::{Engine, Pooler, database, engines, eventually};
use selvage_tests::alone::{Alone, SERVICE};
use selvage_tests::shop::Tokens;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_service_works_behind_a_pooler_with_a_session_for_each_client() {
    if !engines().contains(&Engine::Postgres) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = Tokens::make(folder.path());
    let database = database(Engine::Postgres).await;
    let (role, login) = database.role().await;
    // What the README of the chart says, and as many connections as delivery's pool has.
    let settings =
        ["pool_mode = session", "default_pool_size = 4", "ignore_startup_parameters = extra_float_digits,options"];
    let Some(pooler) = Pooler::start(database.url(), &[&role], &settings).await else { return };

    Alone::migrate(&pooler.url(database.url()), &role);
    let service = Alone::start(&pooler.url(&login), &tokens, &[]);
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
