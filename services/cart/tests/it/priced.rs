//! What a cart shows of its lines, and when it asks the catalogue.

use futures::future::join_all;
use selvage_identity::Role;
use selvage_proto::cart::v1::cart_line::Availability;
use selvage_proto::cart::v1::{
    AddItemRequest, CartView, EmptyCartRequest, GetCartRequest, MergeCartsRequest, RemoveItemRequest, UpdateItemRequest,
};
use selvage_status::{precondition_subjects, reason};
use selvage_testkit::{Engine, engines};
use tonic::{Code, Status};

use crate::scripted::Scripted;
use crate::shop::{EXPIRY_MS, NOON, Shop};

async fn shop(engine: Engine) -> (Shop, Scripted) {
    let catalogue = Scripted::default();
    catalogue.offer("HOX-INK-M", "EUR", 3495, 5);
    catalogue.offer("HOX-INK-L", "EUR", 1000, 2);
    (Shop::with(engine, Some(catalogue.clone())).await, catalogue)
}

async fn add(shop: &Shop, owner: &str, sku: &str, quantity: i32, etag: &str) -> Result<CartView, Status> {
    let request = AddItemRequest { sku: sku.into(), quantity, etag: etag.into() };
    let answer = shop.client.clone().add_item(shop.of(owner, Role::Guest, request)).await;
    answer.map(tonic::Response::into_inner)
}

async fn get(shop: &Shop, owner: &str) -> CartView {
    let answer = shop.client.clone().get_cart(shop.of(owner, Role::Guest, GetCartRequest {})).await;
    answer.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_addition_asks_once_in_the_callers_name_and_shows_the_priced_cart() {
    for engine in engines() {
        let (shop, catalogue) = shop(engine).await;
        let view = add(&shop, "guest-1", "HOX-INK-M", 2, "").await.unwrap();
        assert_eq!(catalogue.asked(), ["guest-1"], "{engine:?}");
        let line = &view.lines[0];
        assert_eq!((line.sku.as_str(), line.quantity, line.available), ("HOX-INK-M", 2, 5));
        assert_eq!((line.title.as_str(), line.slug.as_str(), line.grams), ("Hox shirt", "hox-shirt", 250));
        assert_eq!(line.picture_key, "shirt.relaxed.stripe.1d2a44.f2ede4");
        assert_eq!(line.unit_price.as_ref().unwrap().minor_units, 3495);
        assert_eq!(line.line_total.as_ref().unwrap().minor_units, 6990);
        assert_eq!(line.availability(), Availability::Available);
        assert_eq!((view.subtotal.clone().unwrap().minor_units, view.item_count), (6990, 2));
        assert_eq!(view.expire_time.unwrap().seconds, (NOON + EXPIRY_MS) / 1000);

        // The second line: one call for what is there and what comes.
        let both = add(&shop, "guest-1", "HOX-INK-L", 1, &view.etag).await.unwrap();
        assert_eq!(catalogue.asked().len(), 1);
        assert_eq!(both.subtotal.as_ref().unwrap().minor_units, 7990);
        assert_ne!(both.etag, view.etag);
        assert_eq!(get(&shop, "guest-1").await, both, "{engine:?}");
        assert_eq!(catalogue.asked().len(), 1);
        assert_eq!(get(&shop, "guest-2").await.lines, []);
        assert!(catalogue.asked().is_empty(), "an empty cart needs no call");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_bought_stays_in_the_cart_and_out_of_the_sum() {
    let (shop, catalogue) = shop(Engine::Sqlite).await;
    add(&shop, "guest-1", "HOX-INK-M", 1, "").await.unwrap();
    let etag = add(&shop, "guest-1", "HOX-INK-L", 3, "").await.unwrap().etag;
    catalogue.withdraw("HOX-INK-M");
    let view = get(&shop, "guest-1").await;
    let seen: Vec<_> = view.lines.iter().map(|line| (line.availability(), line.available)).collect();
    assert_eq!(seen, [(Availability::Withdrawn, 0), (Availability::Insufficient, 2)]);
    assert_eq!(view.subtotal.unwrap().minor_units, 0);
    assert_eq!(view.etag, etag, "prices and stock are no change of the cart");

    // A price in another currency can't be paid here.
    catalogue.offer("HOX-INK-L", "USD", 1000, 9);
    assert_eq!(get(&shop, "guest-1").await.lines[1].availability(), Availability::Withdrawn);
    catalogue.offer("HOX-INK-L", "EUR", 900, 9);
    assert_eq!(get(&shop, "guest-1").await.subtotal.unwrap().minor_units, 2700);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_price_is_a_mistake_and_no_withdrawn_line() {
    let (shop, catalogue) = shop(Engine::Sqlite).await;
    add(&shop, "guest-1", "HOX-INK-M", 1, "").await.unwrap();
    catalogue.offer_without_price("HOX-INK-M");
    let answer = shop.client.clone().get_cart(shop.of("guest-1", Role::Guest, GetCartRequest {})).await;
    assert_eq!(answer.unwrap_err().code(), Code::Internal);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_goods_and_too_many_are_refused() {
    for engine in engines() {
        let (shop, _) = shop(engine).await;
        let refused = add(&shop, "guest-1", "NO-SUCH", 1, "").await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
        add(&shop, "guest-1", "HOX-INK-M", 99, "").await.unwrap();
        let refused = add(&shop, "guest-1", "HOX-INK-M", 1, "").await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_deref()), (Code::FailedPrecondition, Some("LINE_FULL")));
        assert_eq!(precondition_subjects(&refused)[0].0, "HOX-INK-M");
        let refused = add(&shop, "guest-1", "HOX-INK-L", 1, "stale").await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_deref()), (Code::Aborted, Some("CART_CHANGED")), "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_additions_at_once_are_all_in_the_cart() {
    for engine in engines() {
        let (shop, _) = shop(engine).await;
        let skus = ["HOX-INK-M", "HOX-INK-L"];
        let added = join_all((0..32).map(|task| add(&shop, "guest-1", skus[task % 2], 1, ""))).await;
        assert!(added.iter().all(Result::is_ok), "{engine:?}");
        // However the additions interleaved, every line that was shown was priced.
        let shown = added.iter().flat_map(|view| &view.as_ref().unwrap().lines);
        assert!(shown.into_iter().all(|line| line.unit_price.is_some()));
        assert_eq!(get(&shop, "guest-1").await.item_count, 32, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_updated_removed_and_emptied() {
    let (shop, _) = shop(Engine::Sqlite).await;
    let mut client = shop.client.clone();
    add(&shop, "guest-1", "HOX-INK-M", 1, "").await.unwrap();
    add(&shop, "guest-1", "HOX-INK-L", 1, "").await.unwrap();
    let update = UpdateItemRequest { sku: "HOX-INK-M".into(), quantity: 4, etag: String::new() };
    let view = client.update_item(shop.of("guest-1", Role::Guest, update)).await.unwrap().into_inner();
    assert_eq!(view.item_count, 5);
    let remove = RemoveItemRequest { sku: "HOX-INK-L".into(), etag: view.etag };
    let view = client.remove_item(shop.of("guest-1", Role::Guest, remove.clone())).await.unwrap().into_inner();
    assert_eq!(view.item_count, 4);
    let again = RemoveItemRequest { etag: String::new(), ..remove };
    let same = client.remove_item(shop.of("guest-1", Role::Guest, again)).await.unwrap().into_inner();
    assert_eq!(same.etag, view.etag, "what isn't there is no error and no change");
    let empty = EmptyCartRequest { etag: view.etag };
    let view = client.empty_cart(shop.of("guest-1", Role::Guest, empty)).await.unwrap().into_inner();
    assert_eq!((view.item_count, view.lines.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guests_cart_becomes_the_customers() {
    for engine in engines() {
        let (shop, _) = shop(engine).await;
        add(&shop, "guest-1", "HOX-INK-M", 2, "").await.unwrap();
        let request = MergeCartsRequest { guest_token: shop.tokens.of(Role::Guest, "guest-1") };
        for _ in 0..2 {
            let merged = shop.client.clone().merge_carts(shop.of("ada", Role::Customer, request.clone())).await;
            assert_eq!(merged.unwrap().into_inner().item_count, 2, "{engine:?}");
        }
        assert_eq!(get(&shop, "guest-1").await.item_count, 0);
    }
}
