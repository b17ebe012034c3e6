//! Who may call what: each rpc of the API with each kind of caller, at the running shop.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use selvage_identity::{Issuer, IssuerKey, Role, TrustedKeys};
use selvage_rpc::{Channel, with_token};
use selvage_tests::shop::{OneProcess, Tokens};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

/// A kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Guest,
    Customer,
    /// With the key of checkout, which names its rpcs.
    Checkout,
    /// With the key of the catalogue.
    Catalogue,
    /// With a service's key that names no rpcs, as lists had them before there were any.
    AnyService,
    Operations,
    Faults,
    Admin,
}

use Who::{Admin, AnyService, Catalogue, Checkout, Customer, Faults, Guest, Operations};

const ALL: [Who; 8] = [Guest, Customer, Checkout, Catalogue, AnyService, Operations, Faults, Admin];

const EVERYBODY: &[Who] = &[Guest, Customer, AnyService, Admin];
const BUYERS: &[Who] = &[Guest, Customer];
const BY_CHECKOUT: &[Who] = &[Checkout, AnyService];
const BY_CATALOGUE: &[Who] = &[Catalogue, AnyService];
const ADMINS: &[Who] = &[Admin];
const LOOK: &[Who] = &[Operations, Faults, Admin];
const DISTURB: &[Who] = &[Faults, Admin];

/// Who gets past the check of each rpc. What is whose (an order, a bag) is tested where it is kept.
const MAY: &[(&str, &[Who])] = &[
    ("selvage.cart.v1.Cart/AddItem", BUYERS),
    ("selvage.cart.v1.Cart/EmptyCart", BUYERS),
    ("selvage.cart.v1.Cart/GetCart", BUYERS),
    ("selvage.cart.v1.Cart/MergeCarts", &[Customer]),
    ("selvage.cart.v1.Cart/RemoveItem", BUYERS),
    ("selvage.cart.v1.Cart/RemoveOrderedLines", BY_CHECKOUT),
    ("selvage.cart.v1.Cart/UpdateItem", BUYERS),
    ("selvage.catalogue.v1.Catalogue/AdjustStock", ADMINS),
    ("selvage.catalogue.v1.Catalogue/BatchGetProducts", EVERYBODY),
    ("selvage.catalogue.v1.Catalogue/CommitStock", BY_CHECKOUT),
    ("selvage.catalogue.v1.Catalogue/CreateProduct", ADMINS),
    ("selvage.catalogue.v1.Catalogue/GetProduct", EVERYBODY),
    ("selvage.catalogue.v1.Catalogue/ListCategories", EVERYBODY),
    ("selvage.catalogue.v1.Catalogue/ListProducts", EVERYBODY),
    ("selvage.catalogue.v1.Catalogue/ReleaseStock", BY_CHECKOUT),
    ("selvage.catalogue.v1.Catalogue/ReserveStock", BY_CHECKOUT),
    ("selvage.catalogue.v1.Catalogue/SearchProducts", EVERYBODY),
    ("selvage.catalogue.v1.Catalogue/UpdateProduct", ADMINS),
    ("selvage.checkout.v1.Checkout/BatchGetOrderStates", BY_CATALOGUE),
    ("selvage.checkout.v1.Checkout/CancelOrder", EVERYBODY),
    ("selvage.checkout.v1.Checkout/DiscardDeadLetter", ADMINS),
    ("selvage.checkout.v1.Checkout/GetOrder", EVERYBODY),
    ("selvage.checkout.v1.Checkout/ListDeadLetters", ADMINS),
    ("selvage.checkout.v1.Checkout/ListOrders", EVERYBODY),
    ("selvage.checkout.v1.Checkout/PlaceOrder", BUYERS),
    ("selvage.checkout.v1.Checkout/PreviewOrder", BUYERS),
    ("selvage.checkout.v1.Checkout/RefundOrder", ADMINS),
    ("selvage.checkout.v1.Checkout/RetryDeadLetter", ADMINS),
    ("selvage.delivery.v1.Delivery/CancelShipment", BY_CHECKOUT),
    ("selvage.delivery.v1.Delivery/CreateShipment", BY_CHECKOUT),
    ("selvage.delivery.v1.Delivery/GetShipment", EVERYBODY),
    ("selvage.delivery.v1.Delivery/QuoteDelivery", EVERYBODY),
    ("selvage.delivery.v1.Delivery/TrackShipment", EVERYBODY),
    ("selvage.operations.v1.Operations/EndFault", DISTURB),
    ("selvage.operations.v1.Operations/ListFaults", LOOK),
    ("selvage.operations.v1.Operations/StartFault", DISTURB),
    ("selvage.operations.v1.Operations/Watch", LOOK),
];

/// What the shop doesn't serve and none of its keys opens: the operator asks for tokens of Kubernetes. Its own tests say whose: a pod's
/// for the broker (`broker/refused.rs`), of whoever may list PoolScalers for what was decided (`deciding.rs`).
const OF_THE_CLUSTER: &[&str] = &[
    "selvage.pool.v1.Decisions/ListBudgets",
    "selvage.pool.v1.Decisions/WatchBudgets",
    "selvage.pool.v1.PoolBroker/Attach",
];

/// Calls an rpc with a message that says nothing, and waits for the first word of the answer.
async fn call(channel: &Channel, token: &str, rpc: &str) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.expect("it takes calls");
    let path = PathAndQuery::try_from(format!("/{rpc}")).expect("a path");
    let answer = grpc.server_streaming(with_token(token, ()), path, ProstCodec::<(), ()>::default()).await?;
    answer.into_inner().message().await.map(drop)
}

/// The key of a service as it was trusted before keys named rpcs, added by hand to those of the shop.
fn add_any_service(tokens: &Tokens) -> IssuerKey {
    let key = IssuerKey::generate().unwrap();
    let mut list = fs::read_to_string(tokens.trusted_file()).unwrap();
    list.push_str(&TrustedKeys::line(&[Role::Service], &key, &[]));
    fs::write(tokens.trusted_file(), list).unwrap();
    key
}

#[tokio::test]
async fn each_rpc_is_for_those_whom_the_table_names_and_nobody_else() {
    let named: BTreeSet<_> = MAY.iter().map(|(rpc, _)| (*rpc).to_owned()).collect();
    let of_shop = selvage_proto::rpcs().filter(|rpc| !OF_THE_CLUSTER.contains(rpc)).map(str::to_owned);
    assert_eq!(named, of_shop.collect(), "an rpc came or went: say here who may call it");

    let folder = tempfile::tempdir().unwrap();
    let tokens = Tokens::make(&folder.path().join("keys"));
    let any_service = Issuer::new(add_any_service(&tokens), selvage_testkit::system_clock());
    let shop = OneProcess::start(folder.path(), &[]);
    let channel = shop.channel();
    // The same subject in every role: what is whose must not depend on it alone.
    let bearer = |who: Who| match who {
        Guest => tokens.of(Role::Guest, "g-1"),
        Customer => tokens.of(Role::Customer, "g-1"),
        Checkout => tokens.of(Role::Service, "checkout"),
        Catalogue => tokens.of(Role::Service, "catalogue"),
        AnyService => any_service.issue("anything", Role::Service, Duration::from_secs(3600)),
        Operations => tokens.of(Role::Operations, "g-1"),
        Faults => tokens.of(Role::Faults, "g-1"),
        Admin => tokens.of(Role::Admin, "g-1"),
    };
    let bearers = ALL.map(|who| (who, bearer(who)));
    let mut wrong = String::new();
    for (rpc, may) in MAY {
        for token in ["", "v4.public.forged"] {
            let code = call(&channel, token, rpc).await.err().map(|status| status.code());
            if code != Some(Code::Unauthenticated) {
                writeln!(wrong, "{rpc} without a token that is valid: {code:?}").unwrap();
            }
        }
        for (who, token) in &bearers {
            let code = call(&channel, token, rpc).await.err().map(|status| status.code());
            let admitted = !matches!(code, Some(Code::Unauthenticated | Code::PermissionDenied));
            let broken = matches!(code, Some(Code::Unimplemented | Code::Unavailable | Code::Internal));
            if admitted != may.contains(who) || broken {
                writeln!(wrong, "{rpc} by {who:?}: {code:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    println!("{} rpcs × {} callers and two strangers, each as the table says", MAY.len(), ALL.len());
}
