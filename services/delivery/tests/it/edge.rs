//! The rpcs, over a real channel.

use selvage_identity::Role;
use selvage_proto::delivery::v1::shipment::State;
use selvage_proto::delivery::v1::{
    Address, CancelShipmentRequest, CreateShipmentRequest, GetShipmentRequest, QuoteDeliveryRequest, Speed,
    TrackShipmentRequest,
};
use selvage_proto::money::v1::Money;
use selvage_status::{field_violations, reason};
use selvage_testkit::{Engine, engines};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::shop::{Shop, creation, proto_address};

fn names(status: &Status) -> Vec<String> {
    field_violations(status).into_iter().map(|(field, _)| field).collect()
}

fn question(country: &str, minor_units: i64) -> QuoteDeliveryRequest {
    let subtotal = Some(Money { currency: "EUR".into(), minor_units });
    QuoteDeliveryRequest { country: country.into(), grams: 300, subtotal, address: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn quotes_are_for_everybody_with_a_token() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let quote = client.quote_delivery(shop.of("guest-1", Role::Guest, question("DE", 3495))).await.unwrap();
    let options = quote.into_inner().options;
    let seen: Vec<_> =
        options.iter().map(|option| (option.speed(), option.price.clone().unwrap().minor_units)).collect();
    assert_eq!(seen, [(Speed::Standard, 390), (Speed::Express, 990)]);
    let quote = client.quote_delivery(shop.of("guest-1", Role::Guest, question("DE", 7500))).await.unwrap();
    assert_eq!(quote.into_inner().options[0].price.clone().unwrap().minor_units, 0);

    let refused = client.quote_delivery(shop.of("guest-1", Role::Guest, question("KP", 1))).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_deref()), (Code::FailedPrecondition, Some("COUNTRY_NOT_SERVED")));
    let refused = client.quote_delivery(Request::new(question("DE", 1))).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_names_every_wrong_field_of_the_address_too() {
    let shop = Shop::open(Engine::Sqlite).await;
    let address = Address { postal_code: "0410".into(), city: String::new(), country: "AT".into(), ..proto_address() };
    let subtotal = Some(Money { currency: "USD".into(), minor_units: -1 });
    let request = QuoteDeliveryRequest { country: "DE".into(), grams: -1, subtotal, address: Some(address) };
    let refused = shop.client.clone().quote_delivery(shop.of("guest-1", Role::Guest, request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let expected = ["grams", "subtotal.currency", "subtotal.minor_units", "address.country", "address.city"];
    assert_eq!(names(&refused), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_services_make_and_stop_shipments() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    for role in [Role::Guest, Role::Customer, Role::Admin] {
        let order = Uuid::now_v7();
        let refused = client.create_shipment(shop.of("guest-1", role, creation(order, "guest-1"))).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let stop = CancelShipmentRequest { order_id: order.to_string() };
        let refused = client.cancel_shipment(shop.of("guest-1", role, stop)).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipment_is_its_owners_and_does_not_exist_for_others() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let mut client = shop.client.clone();
        let order = Uuid::now_v7();
        let made = shop.ship(order, "guest-1").await;
        assert_eq!(made.state(), State::LabelCreated);
        assert!(made.tracking_number.starts_with("SV"));

        let get = GetShipmentRequest { order_id: order.to_string() };
        let found = client.get_shipment(shop.of("guest-1", Role::Guest, get.clone())).await.unwrap();
        assert_eq!(found.into_inner(), made);
        let track = TrackShipmentRequest { order_id: order.to_string() };
        let strange = client.get_shipment(shop.of("guest-2", Role::Guest, get.clone())).await.unwrap_err();
        let tracked = client.track_shipment(shop.of("guest-2", Role::Guest, track)).await.unwrap_err();
        let unknown = GetShipmentRequest { order_id: Uuid::now_v7().to_string() };
        let missing = client.get_shipment(shop.of("guest-2", Role::Guest, unknown)).await.unwrap_err();
        assert_eq!((strange.code(), strange.message()), (missing.code(), missing.message()));
        assert_eq!((tracked.code(), tracked.message()), (Code::NotFound, missing.message()), "{engine:?}");
        assert!(client.get_shipment(shop.of("ops", Role::Admin, get)).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cancellation_left_behind_belongs_to_nobody() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let order_id = Uuid::now_v7().to_string();
    let stop = CancelShipmentRequest { order_id: order_id.clone() };
    let cancelled = client.cancel_shipment(shop.service(stop)).await.unwrap().into_inner();
    assert_eq!((cancelled.state(), &cancelled.address), (State::Cancelled, &None));
    let get = GetShipmentRequest { order_id: order_id.clone() };
    let hidden = client.get_shipment(shop.of("guest-1", Role::Guest, get)).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    let late = CreateShipmentRequest { order_id, ..creation(Uuid::nil(), "guest-1") };
    let answered = client.create_shipment(shop.service(late)).await.unwrap().into_inner();
    assert_eq!(answered, cancelled, "it is done, for there is nothing to ship");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_creation_names_all_its_fields() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let request = CreateShipmentRequest {
        order_id: "1".into(),
        owner: "a\nb".into(),
        address: Some(Address { recipient: String::new(), lines: vec![], ..proto_address() }),
        speed: 9,
        grams: 1_000_001,
    };
    let refused = client.create_shipment(shop.service(request)).await.unwrap_err();
    assert_eq!(names(&refused), ["order_id", "owner", "address.recipient", "address.lines", "speed", "grams"]);
    let refused = client.create_shipment(shop.service(CreateShipmentRequest::default())).await.unwrap_err();
    assert_eq!(names(&refused), ["order_id", "owner", "address", "speed"]);

    let address = Some(Address { country: "NZ".into(), ..proto_address() });
    let far = CreateShipmentRequest { address, ..creation(Uuid::now_v7(), "guest-1") };
    let refused = client.create_shipment(shop.service(far)).await.unwrap_err();
    assert_eq!(reason(&refused).as_deref(), Some("COUNTRY_NOT_SERVED"));
}
