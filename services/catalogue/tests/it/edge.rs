//! The rpcs, through a real channel, with real tokens.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use selvage_boot::{Faults, Host, Life, Service, grpc};
use selvage_catalogue::domain::listing::{Cursor, Filter, Order, identity};
use selvage_catalogue::{App, Peers, Settings, plant_seed};
use selvage_context::clock::Clock;
use selvage_identity::Role;
use selvage_proto::catalogue::v1 as api;
use selvage_proto::catalogue::v1::catalogue_client::CatalogueClient;
use selvage_proto::money::v1::Money;
use selvage_rpc::{Channel, InProcess, Target, with_token};
use selvage_status::{field_violations, precondition_subjects, reason};
use selvage_testkit::{Database, Engine, Tokens, engines};
use tonic::{Code, Status};

use crate::goods::catalogue;

/// The default products, with their rpcs through a real channel.
pub(crate) struct Edge {
    pub(crate) client: CatalogueClient<Channel>,
    pub(crate) tokens: Tokens,
    _database: Database,
    _life: Life,
}

pub(crate) async fn edge(engine: Engine) -> Edge {
    let (store, pool, database) = catalogue(engine).await;
    let clock = Clock::system();
    plant_seed(&store, clock.now_ms()).await.unwrap();
    let (tokens, life) = (Tokens::new(&clock), Life::new());
    let host = Host { clock, verifier: tokens.verifier(), life: life.clone(), token: None, faults: Faults::off() };
    let app = App::new(pool, Settings::default(), Peers::default(), host).expect("an app");
    app.ready().await;
    let mut services = grpc::Services::default();
    services.add(App::GRPC_NAME, |routes| app.add_to(routes));
    let routes = services.finish(&life).await.unwrap();
    let (way_in, incoming) = InProcess::pair();
    let on = life.clone();
    tokio::spawn(async move { grpc::serve(routes, incoming, &on).await });
    let client = CatalogueClient::new(Channel::to(Target::InProcess(way_in)));
    Edge { client, tokens, _database: database, _life: life }
}

fn fields(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    field_violations(status).into_iter().map(|(field, _)| field).collect()
}

fn new_product() -> api::Product {
    api::Product {
        slug: "test-shirt".into(),
        title: "Test Shirt".into(),
        category: "shirts".into(),
        description_html: "<p>Good<script>alert(1)</script></p>".into(),
        variants: vec![api::Variant {
            sku: "TEST-M".into(),
            size: "M".into(),
            colour: "Ink".into(),
            colour_hex: "2f4b6e".into(),
            price: Some(Money { currency: "EUR".into(), minor_units: 3495 }),
            initial_stock: 3,
            ..api::Variant::default()
        }],
        ..api::Product::default()
    }
}

#[tokio::test]
async fn each_rpc_is_for_whom_it_is_for() {
    let edge = edge(Engine::Sqlite).await;
    let anonymous = edge.client.clone().list_categories(api::ListCategoriesRequest {}).await.unwrap_err();
    assert_eq!(anonymous.code(), Code::Unauthenticated);
    for (role, reserves, creates) in [
        (Role::Guest, false, false),
        (Role::Customer, false, false),
        (Role::Service, true, false),
        (Role::Admin, false, true),
    ] {
        let token = edge.tokens.of(role, "somebody");
        let categories = edge.client.clone().list_categories(with_token(&token, api::ListCategoriesRequest {})).await;
        assert_eq!(categories.unwrap().into_inner().categories.len(), 12, "{role}");
        let allowed = |status: &Status| status.code() != Code::PermissionDenied;
        let release = with_token(&token, api::ReleaseStockRequest::default());
        assert_eq!(allowed(&edge.client.clone().release_stock(release).await.unwrap_err()), reserves, "{role}");
        let create = with_token(&token, api::CreateProductRequest::default());
        assert_eq!(allowed(&edge.client.clone().create_product(create).await.unwrap_err()), creates, "{role}");
    }
}

#[tokio::test]
async fn an_admin_adds_and_changes_a_product() {
    let edge = edge(Engine::Sqlite).await;
    let admin = edge.tokens.of(Role::Admin, "operator");
    let create = |product| with_token(&admin, api::CreateProductRequest { product: Some(product) });
    let made = edge.client.clone().create_product(create(new_product())).await.unwrap().into_inner();
    assert_eq!((made.description_html.as_str(), made.variants[0].available), ("<p>Good</p>", 3));
    let again = edge.client.clone().create_product(create(new_product())).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);

    let update = |etag: &str, paths: &[&str]| {
        let product = api::Product {
            title: "Better Shirt".into(),
            etag: etag.into(),
            slug: "test-shirt".into(),
            ..api::Product::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).into()).collect() });
        with_token(&admin, api::UpdateProductRequest { product: Some(product), update_mask })
    };
    let stale = edge.client.clone().update_product(update("77", &["title"])).await.unwrap_err();
    assert_eq!((stale.code(), reason(&stale).as_deref()), (Code::Aborted, Some("PRODUCT_CHANGED")));
    let better = edge.client.clone().update_product(update(&made.etag, &["title"])).await.unwrap().into_inner();
    assert_eq!((better.title.as_str(), better.category.as_str(), better.variants.len()), ("Better Shirt", "shirts", 1));
    assert_ne!(better.etag, made.etag);
    let unknown = edge.client.clone().update_product(update("", &["slug"])).await.unwrap_err();
    assert_eq!(fields(&unknown), ["update_mask"]);
    let mut larger = new_product();
    larger.variants[0].sku = "TEST-L".into();
    let update_mask = Some(prost_types::FieldMask { paths: vec!["variants".into()] });
    let larger = api::UpdateProductRequest { product: Some(larger), update_mask };
    let larger = edge.client.clone().update_product(with_token(&admin, larger)).await.unwrap().into_inner();
    let skus: Vec<_> = larger.variants.iter().map(|variant| variant.sku.as_str()).collect();
    assert_eq!(skus, ["TEST-M", "TEST-L"], "none is removed");

    let mut bad = new_product();
    bad.slug = "other".into();
    bad.category = "no-such-thing".into();
    assert_eq!(
        fields(&edge.client.clone().create_product(create(bad.clone())).await.unwrap_err()),
        ["product.category"]
    );
    bad.image_urls = vec!["javascript:x".into()];
    bad.variants[0].price = Some(Money { currency: "USD".into(), minor_units: -1 });
    let named = fields(&edge.client.clone().create_product(create(bad)).await.unwrap_err());
    assert_eq!(named, ["product.variants[0].price", "product.image_urls", "product.variants[0].price"]);
}

#[tokio::test]
async fn too_little_stock_is_said_by_sku() {
    let edge = edge(Engine::Sqlite).await;
    let admin = edge.tokens.of(Role::Admin, "operator");
    let create = with_token(&admin, api::CreateProductRequest { product: Some(new_product()) });
    edge.client.clone().create_product(create).await.unwrap();
    let service = edge.tokens.of(Role::Service, "checkout");
    let line = api::ReservationLine { sku: "TEST-M".into(), quantity: 4 };
    let reservation_id = "01900000-0000-7000-8000-000000000001".into();
    let request = api::ReserveStockRequest { reservation_id, lines: vec![line], hold_seconds: 900 };
    let status = edge.client.clone().reserve_stock(with_token(&service, request)).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_deref()), (Code::FailedPrecondition, Some("OUT_OF_STOCK")));
    assert_eq!(precondition_subjects(&status), [("TEST-M".into(), "only 3 left".into())]);
}

#[tokio::test]
async fn a_commit_is_answered_the_second_time_as_the_first_even_after_a_release() {
    for engine in engines() {
        let edge = edge(engine).await;
        let admin = edge.tokens.of(Role::Admin, "operator");
        let create = with_token(&admin, api::CreateProductRequest { product: Some(new_product()) });
        edge.client.clone().create_product(create).await.unwrap();
        let service = edge.tokens.of(Role::Service, "checkout");
        for committed_first in [true, false] {
            let mut client = edge.client.clone();
            let reservation_id = uuid::Uuid::now_v7().to_string();
            let lines = vec![api::ReservationLine { sku: "TEST-M".into(), quantity: 1 }];
            let reserve = api::ReserveStockRequest { reservation_id: reservation_id.clone(), lines, hold_seconds: 900 };
            client.reserve_stock(with_token(&service, reserve)).await.unwrap();
            let commit = || with_token(&service, api::CommitStockRequest { reservation_id: reservation_id.clone() });
            if committed_first {
                client.commit_stock(commit()).await.unwrap();
            }
            let release = api::ReleaseStockRequest { reservation_id: reservation_id.clone() };
            client.release_stock(with_token(&service, release)).await.unwrap();
            let again = client.commit_stock(commit()).await;
            if committed_first {
                assert_eq!(again.unwrap().into_inner().state(), api::reservation::State::Released, "{engine:?}");
            } else {
                assert_eq!(reason(&again.unwrap_err()).as_deref(), Some("RESERVATION_RELEASED"), "{engine:?}");
            }
        }
    }
}

/// PostgreSQL takes none, anywhere.
#[tokio::test]
async fn a_zero_byte_is_named_wherever_it_stands() {
    for engine in engines() {
        let edge = edge(engine).await;
        let (guest, admin) = (edge.tokens.of(Role::Guest, "g"), edge.tokens.of(Role::Admin, "operator"));
        let zero = || "a\0b".to_owned();
        let list = async |request| edge.client.clone().list_products(with_token(&guest, request)).await;
        // Forged: whoever knows the listing can make its token.
        for (order, cursor, order_by) in [
            (Order::Title, Cursor::Text(zero(), "a".into()), api::ProductOrder::Title),
            (Order::Title, Cursor::Text("a".into(), zero()), api::ProductOrder::Title),
            (Order::Newest, Cursor::Number(1, zero()), api::ProductOrder::Newest),
        ] {
            let page_token = cursor.token(&identity("", &Filter::default(), order));
            let request = api::ListProductsRequest {
                page_token,
                order_by: order_by.into(),
                ..api::ListProductsRequest::default()
            };
            assert_eq!(fields(&list(request).await.unwrap_err()), ["page_token"], "{engine:?}");
        }
        for (field, filter) in [
            ("filter.category", api::ProductFilter { category: zero(), ..api::ProductFilter::default() }),
            ("filter.sizes", api::ProductFilter { sizes: vec![zero()], ..api::ProductFilter::default() }),
            ("filter.colours", api::ProductFilter { colours: vec![zero()], ..api::ProductFilter::default() }),
        ] {
            let request = api::ListProductsRequest { filter: Some(filter), ..api::ListProductsRequest::default() };
            assert_eq!(fields(&list(request).await.unwrap_err()), [field], "{engine:?}");
        }
        // Not a letter of any word.
        let search = api::SearchProductsRequest { query: "sh\0irt".into(), ..api::SearchProductsRequest::default() };
        edge.client.clone().search_products(with_token(&guest, search)).await.unwrap();
        let get = with_token(&guest, api::GetProductRequest { slug: zero() });
        assert_eq!(fields(&edge.client.clone().get_product(get).await.unwrap_err()), ["slug"]);
        let batch = with_token(&guest, api::BatchGetProductsRequest { skus: vec![zero()] });
        assert_eq!(fields(&edge.client.clone().batch_get_products(batch).await.unwrap_err()), ["skus[0]"]);

        let create = async |product| {
            let request = api::CreateProductRequest { product: Some(product) };
            edge.client.clone().create_product(with_token(&admin, request)).await
        };
        let with = |change: &dyn Fn(&mut api::Product)| {
            let mut product = new_product();
            change(&mut product);
            product
        };
        for (field, product) in [
            ("slug", with(&|product| product.slug = zero())),
            ("title", with(&|product| product.title = zero())),
            ("category", with(&|product| product.category = zero())),
            ("material", with(&|product| product.material = zero())),
            ("care", with(&|product| product.care = zero())),
            ("tags", with(&|product| product.tags = vec![zero()])),
            ("image_urls", with(&|product| product.image_urls = vec![format!("https://a/{}", zero())])),
            ("picture", with(&|product| product.picture = Some(api::Picture { cut: zero(), ..<_>::default() }))),
            ("variants[0].sku", with(&|product| product.variants[0].sku = zero())),
            ("variants[0].size", with(&|product| product.variants[0].size = zero())),
            ("variants[0].colour", with(&|product| product.variants[0].colour = zero())),
        ] {
            assert_eq!(fields(&create(product).await.unwrap_err()), [format!("product.{field}")], "{engine:?}");
        }
        // HTML has no such character, and drops it.
        let made = create(with(&|product| product.description_html = "<p>a\0b</p>".into())).await.unwrap();
        assert_eq!(made.into_inner().description_html, "<p>ab</p>", "{engine:?}");
    }
}

/// Whatever is sent, the answer names the field or is right; nothing breaks.
#[test]
fn hostile_requests_are_named_not_suffered() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let edge = runtime.block_on(edge(Engine::Sqlite));
    let (guest, service) = (edge.tokens.of(Role::Guest, "g"), edge.tokens.of(Role::Service, "checkout"));
    let hostile = || prop_oneof!["\\PC{0,40}", "[\\x00-\\x1f'\"%_;]{0,12}", "[a-zA-Z0-9/-]{0,200}"];
    let numbers = || prop_oneof![any::<i32>(), -2_i32..102];
    let strategy = (hostile(), hostile(), numbers(), numbers(), any::<Option<i64>>());
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() });
    runner
        .run(&strategy, |(text, other, number, second, price)| {
            let filter = api::ProductFilter {
                category: other.clone(),
                sizes: vec![text.clone()],
                colours: vec![other.clone(); 3],
                min_price: price,
                max_price: price.map(|price| price.wrapping_add(1)),
                audience: second,
                ..api::ProductFilter::default()
            };
            let search = api::SearchProductsRequest {
                query: text.clone(),
                page_size: number,
                page_token: other.clone(),
                filter: Some(filter),
                order_by: second,
                with_facets: number % 2 == 0,
            };
            let reserve = api::ReserveStockRequest {
                reservation_id: other.clone(),
                lines: vec![api::ReservationLine { sku: text.clone(), quantity: number }],
                hold_seconds: second,
            };
            let (get, batch) = (
                api::GetProductRequest { slug: text.clone() },
                api::BatchGetProductsRequest { skus: vec![text, other] },
            );
            let mut client = edge.client.clone();
            let failures = runtime.block_on(async {
                [
                    client.search_products(with_token(&guest, search)).await.err(),
                    client.get_product(with_token(&guest, get)).await.err(),
                    client.batch_get_products(with_token(&guest, batch)).await.err(),
                    client.reserve_stock(with_token(&service, reserve)).await.err(),
                ]
            });
            for status in failures.into_iter().flatten() {
                let named = !field_violations(&status).is_empty();
                let fine = matches!(status.code(), Code::NotFound | Code::FailedPrecondition);
                prop_assert!(fine || (status.code() == Code::InvalidArgument && named), "{:?}", status);
            }
            Ok(())
        })
        .unwrap();
}
