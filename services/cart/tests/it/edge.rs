//! The rpcs, over a real channel.

use selvage_identity::Role;
use selvage_proto::cart::v1::{
    AddItemRequest, EmptyCartRequest, GetCartRequest, MergeCartsRequest, OrderedLine, RemoveItemRequest,
    RemoveOrderedLinesRequest, UpdateItemRequest,
};
use selvage_status::{field_violations, reason};
use selvage_testkit::{Engine, engines};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::shop::{NOON, Shop, at, sku};

fn names(status: &Status) -> Vec<String> {
    field_violations(status).into_iter().map(|(field, _)| field).collect()
}

fn removal(owner: &str, sku: &str, quantity: i32) -> RemoveOrderedLinesRequest {
    let lines = vec![OrderedLine { sku: sku.into(), quantity }];
    RemoveOrderedLinesRequest { order_id: Uuid::now_v7().to_string(), owner: owner.into(), lines }
}

/// Puts pieces into a cart behind the service's back: its catalogue can't be reached.
async fn fill(shop: &Shop, owner: &str, what: &str, quantity: i32) {
    let what = sku(what);
    let add = move |cart: &selvage_cart::domain::cart::Cart| cart.add(&what, quantity);
    shop.shelf.store.cart_change(owner, at(NOON), None, add).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_cart_needs_no_catalogue() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let mut client = shop.client.clone();
        let view = client.get_cart(shop.of("guest-1", Role::Guest, GetCartRequest {})).await.unwrap().into_inner();
        assert_eq!((view.lines.len(), view.item_count, view.expire_time), (0, 0, None));
        let subtotal = view.subtotal.unwrap();
        assert_eq!((subtotal.currency.as_str(), subtotal.minor_units), ("EUR", 0));

        fill(&shop, "guest-1", "A", 3).await;
        let wrong = EmptyCartRequest { etag: view.etag };
        let refused = client.empty_cart(shop.of("guest-1", Role::Guest, wrong)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_deref()), (Code::Aborted, Some("CART_CHANGED")), "{engine:?}");
        let request = shop.of("guest-1", Role::Guest, EmptyCartRequest::default());
        assert!(client.empty_cart(request).await.unwrap().into_inner().lines.is_empty());
        let missing = UpdateItemRequest { sku: "A".into(), quantity: 1, etag: String::new() };
        let refused = client.update_item(shop.of("guest-1", Role::Guest, missing)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_catalogue_nothing_unknown_is_put_in() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let request = AddItemRequest { sku: "A".into(), quantity: 1, etag: String::new() };
    let refused = client.add_item(shop.of("guest-1", Role::Guest, request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert_eq!(shop.shelf.store.cart_get("guest-1", NOON).await.unwrap().cart.item_count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rpc_is_for_its_roles() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let code = |answer: Result<(), Status>| answer.unwrap_err().code();
    for role in [Role::Service, Role::Admin] {
        let answer = client.get_cart(shop.of("ops", role, GetCartRequest {})).await;
        assert_eq!(code(answer.map(drop)), Code::PermissionDenied);
    }
    for role in [Role::Guest, Role::Customer, Role::Admin] {
        let answer = client.remove_ordered_lines(shop.of("guest-1", role, removal("guest-1", "A", 1))).await;
        assert_eq!(code(answer.map(drop)), Code::PermissionDenied);
    }
    for role in [Role::Guest, Role::Service, Role::Admin] {
        let answer = client.merge_carts(shop.of("guest-1", role, MergeCartsRequest::default())).await;
        assert_eq!(code(answer.map(drop)), Code::PermissionDenied);
    }
    let answer = client.get_cart(Request::new(GetCartRequest {})).await;
    assert_eq!(code(answer.map(drop)), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_takes_an_order_out_of_its_buyers_cart_alone() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let mut client = shop.client.clone();
        for owner in ["guest-1", "guest-2"] {
            fill(&shop, owner, "A", 5).await;
        }
        let request = removal("guest-1", "A", 2);
        for _ in 0..2 {
            client.remove_ordered_lines(shop.of("checkout", Role::Service, request.clone())).await.unwrap();
        }
        let store = &shop.shelf.store;
        assert_eq!(store.cart_get("guest-1", NOON).await.unwrap().cart.item_count(), 3, "{engine:?}");
        assert_eq!(store.cart_get("guest-2", NOON).await.unwrap().cart.item_count(), 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_needs_the_guests_own_token() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    fill(&shop, "ada-2", "A", 1).await;
    let customers = shop.tokens.of(Role::Customer, "ada-2");
    for guest_token in [String::new(), "v4.public.x".into(), "x".repeat(5_000), customers] {
        let request = MergeCartsRequest { guest_token };
        let refused = client.merge_carts(shop.of("ada", Role::Customer, request)).await.unwrap_err();
        assert_eq!((refused.code(), names(&refused)), (Code::InvalidArgument, vec!["guest_token".to_owned()]));
    }
    assert_eq!(shop.shelf.store.cart_get("ada-2", NOON).await.unwrap().cart.item_count(), 1);
    let request = MergeCartsRequest { guest_token: shop.tokens.of(Role::Guest, "guest-1") };
    assert!(client.merge_carts(shop.of("ada", Role::Customer, request)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_fields_are_named_all_at_once() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let request = AddItemRequest { sku: "a b".into(), quantity: 100, etag: "x".repeat(65) };
    let refused = client.add_item(shop.of("guest-1", Role::Guest, request)).await.unwrap_err();
    assert_eq!(names(&refused), ["sku", "quantity", "etag"]);
    let request = UpdateItemRequest { sku: "A".into(), quantity: -1, etag: String::new() };
    let refused = client.update_item(shop.of("guest-1", Role::Guest, request)).await.unwrap_err();
    assert_eq!(names(&refused), ["quantity"]);
    let refused = client.remove_item(shop.of("guest-1", Role::Guest, RemoveItemRequest::default())).await.unwrap_err();
    assert_eq!(names(&refused), ["sku"]);
    let request = RemoveOrderedLinesRequest { order_id: "7".into(), ..removal("", "\0", 0) };
    let refused = client.remove_ordered_lines(shop.of("checkout", Role::Service, request)).await.unwrap_err();
    assert_eq!(names(&refused), ["order_id", "owner", "lines[0].sku", "lines[0].quantity"]);
    let request = RemoveOrderedLinesRequest { lines: vec![], ..removal("guest-1", "A", 1) };
    let refused = client.remove_ordered_lines(shop.of("checkout", Role::Service, request)).await.unwrap_err();
    assert_eq!(names(&refused), ["lines"]);
}
