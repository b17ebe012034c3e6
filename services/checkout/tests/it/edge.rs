//! The rpcs, over a real channel: whose they are, and what they tell.

use selvage_identity::Role;
use selvage_proto::checkout::v1::{
    BatchGetOrderStatesRequest, CancelOrderRequest, GetOrderRequest, ListDeadLettersRequest, ListOrdersRequest,
    OrderPreview, PreviewOrderRequest, RefundOrderRequest, RetryDeadLetterRequest, order,
};
use selvage_proto::delivery::v1::Speed;
use selvage_status::{Error, reason};
use selvage_testkit::{Engine, engines};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::scripted::{euro, line};
use crate::shop::{Shop, purchase};

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map(drop).unwrap_err().code()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rpc_is_for_its_roles() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let placed = shop.place("guest-1", purchase("1")).await.unwrap();
    let refund = RefundOrderRequest { order_id: placed.order_id.clone() };
    let (letters, retry) = (ListDeadLettersRequest::default(), RetryDeadLetterRequest { message_id: "1".into() });
    let states = BatchGetOrderStatesRequest { order_ids: vec![placed.order_id.clone()] };
    // Not even the order's owner gives money back or sees what went wrong.
    for role in [Role::Guest, Role::Customer, Role::Service] {
        let of = "guest-1";
        assert_eq!(code(client.refund_order(shop.of(of, role, refund.clone())).await), Code::PermissionDenied);
        assert_eq!(code(client.list_dead_letters(shop.of(of, role, letters.clone())).await), Code::PermissionDenied);
        assert_eq!(code(client.retry_dead_letter(shop.of(of, role, retry.clone())).await), Code::PermissionDenied);
    }
    for role in [Role::Guest, Role::Customer, Role::Admin] {
        let answer = client.batch_get_order_states(shop.of("guest-1", role, states.clone())).await;
        assert_eq!(code(answer), Code::PermissionDenied);
    }
    let preview = PreviewOrderRequest { country: "DE".into(), speed: 0 };
    for role in [Role::Service, Role::Admin] {
        assert_eq!(code(client.preview_order(shop.of("ops", role, preview.clone())).await), Code::PermissionDenied);
        assert_eq!(code(client.place_order(shop.of("ops", role, purchase("2"))).await), Code::PermissionDenied);
    }
    assert_eq!(shop.order(&placed.order_id).await.state(), order::State::Confirmed);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_there_is_nothing() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
    let get = GetOrderRequest { order_id: order_id.clone() };
    let refused = [
        code(client.preview_order(Request::new(PreviewOrderRequest::default())).await),
        code(client.place_order(Request::new(purchase("2"))).await),
        code(client.get_order(Request::new(get.clone())).await),
        code(client.list_orders(Request::new(ListOrdersRequest::default())).await),
        code(client.cancel_order(Request::new(CancelOrderRequest { order_id: order_id.clone() })).await),
        code(client.refund_order(Request::new(RefundOrderRequest { order_id: order_id.clone() })).await),
        code(client.batch_get_order_states(Request::new(BatchGetOrderStatesRequest::default())).await),
        code(client.list_dead_letters(Request::new(ListDeadLettersRequest::default())).await),
        code(client.retry_dead_letter(Request::new(RetryDeadLetterRequest::default())).await),
    ];
    assert_eq!(refused, [Code::Unauthenticated; 9]);
    // A token of somebody whom nobody trusts is none.
    let stranger = selvage_testkit::Tokens::new(&shop.clock);
    let forged = selvage_rpc::with_token(&stranger.of(Role::Admin, "ops"), get);
    assert_eq!(code(client.get_order(forged).await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_its_owners_and_does_not_exist_for_others() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let mut client = shop.client.clone();
        let placed = shop.place("guest-1", purchase("1")).await.unwrap();
        let get = GetOrderRequest { order_id: placed.order_id.clone() };
        let own = client.get_order(shop.of("guest-1", Role::Guest, get.clone())).await.unwrap().into_inner();
        assert_eq!((&own.order_id, &own.lines, &own.address), (&placed.order_id, &placed.lines, &placed.address));
        for role in [Role::Admin, Role::Service] {
            assert!(client.get_order(shop.of("ops", role, get.clone())).await.is_ok());
        }

        let unknown = Uuid::now_v7().to_string();
        let missing = GetOrderRequest { order_id: unknown.clone() };
        let missing = client.get_order(shop.of("guest-2", Role::Guest, missing)).await.unwrap_err();
        let cancel = CancelOrderRequest { order_id: placed.order_id.clone() };
        for role in [Role::Guest, Role::Customer] {
            let strange = client.get_order(shop.of("guest-2", role, get.clone())).await.unwrap_err();
            assert_eq!(strange.code(), Code::NotFound, "{engine:?}");
            // Word for word what is said of an order that isn't there.
            assert_eq!(strange.message().replace(&placed.order_id, &unknown), missing.message());
            let strange = client.cancel_order(shop.of("guest-2", role, cancel.clone())).await.unwrap_err();
            assert_eq!(strange.message().replace(&placed.order_id, &unknown), missing.message());
        }
        assert_eq!(shop.orders("guest-2").await, []);
        assert_eq!(shop.order(&placed.order_id).await.state(), order::State::Confirmed, "{engine:?}");
        // The same key of somebody else is another order.
        let other = shop.place("guest-2", purchase("1")).await.unwrap();
        assert_ne!(other.order_id, placed.order_id);
        assert_eq!(shop.orders("guest-2").await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_listed_newest_first_page_by_page() {
    for engine in engines() {
        let shop = Shop::open(engine).await;
        let mut placed = Vec::new();
        for number in 0..5 {
            placed.push(shop.place("guest-1", purchase(&number.to_string())).await.unwrap().order_id);
            // Two of a millisecond, then the next.
            shop.clock.advance_ms(number % 2);
        }
        placed.reverse();
        let (mut seen, mut page_token) = (Vec::new(), String::new());
        loop {
            let list = ListOrdersRequest { page_size: 2, page_token };
            let answer = shop.client.clone().list_orders(shop.of("guest-1", Role::Guest, list)).await.unwrap();
            let page = answer.into_inner();
            assert!(page.orders.len() <= 2);
            seen.extend(page.orders.into_iter().map(|order| order.order_id));
            assert!(seen.len() <= 5, "{engine:?}: {seen:?}");
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, placed, "{engine:?}");
        let all = shop.orders("guest-1").await;
        assert_eq!(all.into_iter().map(|order| order.order_id).collect::<Vec<_>>(), placed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_told_the_states_of_the_orders_that_exist() {
    let shop = Shop::open(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    let order_id = shop.place("guest-1", purchase("1")).await.unwrap().order_id;
    let request = BatchGetOrderStatesRequest { order_ids: vec![Uuid::now_v7().to_string(), order_id.clone()] };
    let answer = client.batch_get_order_states(shop.of("catalogue", Role::Service, request)).await.unwrap();
    let states = answer.into_inner().orders;
    assert_eq!(states.len(), 1);
    assert_eq!((&states[0].order_id, states[0].state()), (&order_id, order::State::Confirmed));
}

async fn preview(shop: &Shop, country: &str, speed: Speed) -> Result<OrderPreview, Status> {
    let request = PreviewOrderRequest { country: country.into(), speed: speed.into() };
    let answer = shop.client.clone().preview_order(shop.of("guest-1", Role::Guest, request)).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_what_the_order_will_cost_and_changes_nothing() {
    let shop = Shop::open(Engine::Sqlite).await;
    let seen = preview(&shop, "DE", Speed::Unspecified).await.unwrap();
    let amounts = seen.amounts.clone().unwrap();
    let sums = [&amounts.subtotal, &amounts.delivery, &amounts.tax, &amounts.total].map(|sum| sum.clone().unwrap());
    // 83.80 at 19 % contains 13.38.
    assert_eq!(sums, [7990, 390, 1338, 8380].map(euro));
    assert_eq!((amounts.tax_basis_points, seen.cart_etag.as_str()), (1900, "3"));
    assert_eq!(seen.delivery_options, shop.peers.script().options);
    let lines: Vec<_> = seen.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
    assert_eq!(lines, [("HOX-INK-M", 2), ("HOX-INK-L", 1)]);
    assert_eq!(seen.lines[0].line_total, Some(euro(6990)));
    // Three pieces of 250 g for 79.90, asked in the buyer's own name.
    let question = shop.peers.script().question.clone().unwrap();
    assert_eq!((question.country.as_str(), question.grams, question.subtotal), ("DE", 750, Some(euro(7990))));
    for method in ["GetCart", "QuoteDelivery"] {
        assert_eq!(shop.peers.callers(method), ["guest-1".to_owned()].into());
    }
    let express = preview(&shop, "FR", Speed::Express).await.unwrap().amounts.unwrap();
    assert_eq!((express.total, express.tax_basis_points), (Some(euro(8980)), 2000));
    assert_eq!((shop.orders("guest-1").await.len(), shop.peers.asked("ReserveStock")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_says_why_there_is_none() {
    let shop = Shop::open(Engine::Sqlite).await;
    let refused = async |country| {
        let status = preview(&shop, country, Speed::Standard).await.unwrap_err();
        (status.code(), reason(&status).unwrap_or_default())
    };
    shop.peers.refuse("QuoteDelivery", Error::precondition("COUNTRY_NOT_SERVED", "not there"));
    assert_eq!(refused("KP").await, (Code::FailedPrecondition, "COUNTRY_NOT_SERVED".into()));
    // Internals of a peer aren't passed on.
    shop.peers.refuse("QuoteDelivery", Status::internal("at 10.0.0.3"));
    let status = preview(&shop, "DE", Speed::Standard).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!format!("{status:?}").contains("10.0.0.3"));
    shop.peers.refuse("QuoteDelivery", Status::unavailable("gone"));
    assert_eq!(refused("DE").await.0, Code::Unavailable);
    shop.peers.answer("QuoteDelivery");
    shop.peers.script().cart.lines = vec![line("HOX-INK-M", 99, i64::MAX / 2)];
    assert_eq!(refused("DE").await.0, Code::InvalidArgument);
    shop.peers.script().cart.lines.clear();
    assert_eq!(refused("DE").await, (Code::FailedPrecondition, "CART_EMPTY".into()));
}
