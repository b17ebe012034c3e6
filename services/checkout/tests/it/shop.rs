//! A checkout service on a database of its own, served on a port among scripted peers, with the keys to it.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::{ConnectionTrait as _, Statement};
use selvage_boot::{Database, FaultPolicy, Faults, Host, Life, Service as _, Tuned, grpc};
use selvage_checkout::mail::Folder;
use selvage_checkout::migration::Migrator;
use selvage_checkout::payment::TestProvider;
use selvage_checkout::store::Store;
use selvage_checkout::{App, Peers, Pools, Settings};
use selvage_context::clock::Clock;
use selvage_identity::Role;
use selvage_pool::Config;
use selvage_proto::checkout::v1::checkout_client::CheckoutClient;
use selvage_proto::checkout::v1::{
    CancelOrderRequest, DeadLetter, DiscardDeadLetterRequest, GetOrderRequest, ListDeadLettersRequest,
    ListOrdersRequest, Order, PlaceOrderRequest, RefundOrderRequest, order,
};
use selvage_proto::delivery::v1::{Address, Speed};
use selvage_rpc::{Channel, with_token};
use selvage_testkit::{Engine, Tokens, eventually};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tonic::server::NamedService as _;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::scripted::{Peer, Scripted, euro};

/// Noon of some day.
pub(crate) const NOON: i64 = 1_795_521_600_000;
/// What anything may take on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The databases alone.
pub(crate) struct Shelf {
    pub(crate) store: Store,
    pub(crate) pools: Pools,
    _database: selvage_testkit::Database,
}

/// What the payment provider has in its books about an order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Booked {
    pub(crate) state: String,
    pub(crate) captured: i64,
    pub(crate) refunded: i64,
}

fn patient(config: &mut Config, limit: u32) {
    (config.limit, config.max_wait) = (limit, PATIENCE);
}

impl Shelf {
    pub(crate) async fn open(engine: Engine) -> Self {
        let kit = selvage_testkit::database(engine).await;
        let database = Database::at(kit.url());
        database.migrate::<Migrator>().await.unwrap();
        // Tests that race on a slow machine are not refused for the wait.
        let open = async |name, tune| database.open_apart(&Tuned { name, tune }, None).await.unwrap();
        let pools = Pools {
            orders: open("checkout", |config| patient(config, 8)).await,
            relay: open("checkout-relay", |config| patient(config, 2)).await,
            provider: open("checkout-provider", |config| patient(config, 2)).await,
        };
        Self { store: Store::new(pools.orders.clone()), pools, _database: kit }
    }

    /// Runs `sql`, which has the order's id as its only value.
    pub(crate) async fn run(&self, sql: &str, order_id: Uuid) {
        let pool = &self.pools.orders;
        let statement = Statement::from_sql_and_values(pool.get_database_backend(), sql, [order_id.into()]);
        pool.execute_raw(statement).await.unwrap();
    }

    /// What the provider has booked, behind its back.
    pub(crate) async fn booked(&self, order_id: &str) -> Option<Booked> {
        let (pool, id) = (&self.pools.provider, order_id.parse::<Uuid>().unwrap());
        let sql = "SELECT state, captured, refunded FROM provider_payments WHERE order_id = $1";
        let statement = Statement::from_sql_and_values(pool.get_database_backend(), sql, [id.into()]);
        let row = pool.query_one_raw(statement).await.unwrap()?;
        let (state, captured, refunded) =
            row.try_get_many("", &["state", "captured", "refunded"].map(Into::into)).unwrap();
        Some(Booked { state, captured, refunded })
    }

    /// How many messages wait, and how many were given up.
    pub(crate) async fn backlog(&self) -> (u64, u64) {
        let backlog = selvage_outbox::backlog(&self.pools.orders, i64::MAX).await.unwrap();
        (backlog.waiting, backlog.dead)
    }

    /// How often an order's next message has failed, if it has, and when it is tried again.
    pub(crate) async fn failed(&self, order_id: &str) -> Option<(i32, i64)> {
        let (pool, id) = (&self.pools.orders, order_id.parse::<Uuid>().unwrap());
        let sql = "SELECT attempts, next_at FROM outbox_messages \
                   WHERE \"key\" = $1 AND last_error IS NOT NULL ORDER BY position";
        let statement = Statement::from_sql_and_values(pool.get_database_backend(), sql, [id.into()]);
        let row = pool.query_one_raw(statement).await.unwrap()?;
        Some(row.try_get_many("", &["attempts", "next_at"].map(Into::into)).unwrap())
    }
}

/// The whole service.
pub(crate) struct Shop {
    pub(crate) client: CheckoutClient<Channel>,
    pub(crate) clock: Clock,
    pub(crate) faults: Faults,
    pub(crate) tokens: Tokens,
    pub(crate) peers: Scripted,
    pub(crate) provider: TestProvider,
    pub(crate) shelf: Shelf,
    /// Relay and sweep; ended alone, the rpcs go on.
    pub(crate) background: Life,
    mails: TempDir,
    life: Life,
}

impl Shop {
    pub(crate) async fn open(engine: Engine) -> Self {
        Self::with(engine, Settings::default()).await
    }

    pub(crate) async fn with(engine: Engine, settings: Settings) -> Self {
        let shelf = Shelf::open(engine).await;
        let clock = Clock::standing_at(NOON);
        let (tokens, peers) = (Tokens::new(&clock), Scripted::default());
        let (life, background) = (Life::new(), Life::new());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let peer = || Channel::to(address.parse().unwrap()).with_service_token(tokens.service("checkout"));
        let mails = tempfile::tempdir().unwrap();
        let mailer = Arc::new(Folder::open(mails.path()).unwrap());
        let faults = Faults::new(FaultPolicy::Allow, clock.clone());
        let host = Host {
            clock: clock.clone(),
            verifier: tokens.verifier(),
            life: background.clone(),
            token: None,
            faults: faults.clone(),
        };
        let channels = Peers { cart: peer(), catalogue: peer(), delivery: peer() };
        let app = App::new(shelf.pools.clone(), mailer, settings, channels, host);

        let mut services = grpc::Services::default();
        services.add(App::GRPC_NAME, |routes| app.add_to(routes));
        add(&mut services, Peer::<0>(peers.clone()), &tokens);
        add(&mut services, Peer::<1>(peers.clone()), &tokens);
        add(&mut services, Peer::<2>(peers.clone()), &tokens);
        let routes = services.finish(&life).await.unwrap();
        let serving = life.clone();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(async move { grpc::serve(routes, incoming, &serving).await.unwrap() });
        let client = CheckoutClient::new(Channel::to(address.parse().unwrap()));
        let provider = TestProvider::new(shelf.pools.provider.clone(), clock.clone());
        Self { client, clock, faults, tokens, peers, provider, shelf, background, mails, life }
    }

    /// A request of `subject` in `role`.
    pub(crate) fn of<T>(&self, subject: &str, role: Role, message: T) -> Request<T> {
        with_token(&self.tokens.of(role, subject), message)
    }

    /// Places an order as a guest.
    pub(crate) async fn place(&self, owner: &str, purchase: PlaceOrderRequest) -> Result<Order, Status> {
        let mut request = self.of(owner, Role::Guest, purchase);
        request.set_timeout(PATIENCE);
        self.client.clone().place_order(request).await.map(Response::into_inner)
    }

    /// Cancels an order of `guest-1`, as the buyer does.
    pub(crate) async fn cancel(&self, order_id: &str) -> Result<Order, Status> {
        let request = self.of("guest-1", Role::Guest, CancelOrderRequest { order_id: order_id.into() });
        self.client.clone().cancel_order(request).await.map(Response::into_inner)
    }

    /// Refunds an order, as an admin does.
    pub(crate) async fn refund(&self, order_id: &str) -> Result<Order, Status> {
        let request = self.of("ops", Role::Admin, RefundOrderRequest { order_id: order_id.into() });
        self.client.clone().refund_order(request).await.map(Response::into_inner)
    }

    /// The first page of dead letters, as an admin sees them.
    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        let request = self.of("ops", Role::Admin, ListDeadLettersRequest::default());
        self.client.clone().list_dead_letters(request).await.unwrap().into_inner().dead_letters
    }

    /// Discards a dead letter in `role`.
    pub(crate) async fn discard(&self, role: Role, message_id: &str) -> Result<DeadLetter, Status> {
        let request = self.of("ops", role, DiscardDeadLetterRequest { message_id: message_id.into() });
        self.client.clone().discard_dead_letter(request).await.map(Response::into_inner)
    }

    /// All orders of a guest, newest first.
    pub(crate) async fn orders(&self, owner: &str) -> Vec<Order> {
        let list = self.of(owner, Role::Guest, ListOrdersRequest::default());
        self.client.clone().list_orders(list).await.unwrap().into_inner().orders
    }

    /// An order as an admin sees it.
    pub(crate) async fn order(&self, order_id: &str) -> Order {
        let get = GetOrderRequest { order_id: order_id.into() };
        self.client.clone().get_order(self.of("ops", Role::Admin, get)).await.unwrap().into_inner()
    }

    /// The order, once it is in `state` and everything that follows from that is done.
    pub(crate) async fn settled(&self, order_id: &str, state: order::State) -> Order {
        let what = format!("order {order_id} is {state:?} and nothing waits");
        eventually(PATIENCE, &what, async || {
            self.order(order_id).await.state() == state && self.shelf.backlog().await == (0, 0)
        })
        .await;
        self.order(order_id).await
    }

    /// Waits until an order's next message has failed `failures` times and waits for `pause_ms` from now, or up to a quarter
    /// longer.
    pub(crate) async fn failed_and_waits(&self, order_id: &str, failures: i32, pause_ms: i64) {
        let (now, pauses) = (self.clock.now_ms(), pause_ms..pause_ms * 5 / 4);
        eventually(PATIENCE, "an attempt failed", async || {
            let failed = self.shelf.failed(order_id).await;
            failed.is_some_and(|(failed, next_at)| failed == failures && pauses.contains(&(next_at - now)))
        })
        .await;
    }

    /// A mail about an order, as it is in the folder.
    pub(crate) fn mail(&self, order_id: &str, occasion: &str) -> Option<String> {
        std::fs::read_to_string(self.mails.path().join(format!("{order_id}.{occasion}.eml"))).ok()
    }

    /// How many mails were written.
    pub(crate) fn mails(&self) -> usize {
        std::fs::read_dir(self.mails.path()).unwrap().count()
    }
}

fn add<const SERVICE: usize>(services: &mut grpc::Services, peer: Peer<SERVICE>, tokens: &Tokens) {
    let server = tokens.verifier().guard(peer);
    services.add(Peer::<SERVICE>::NAME, |routes| {
        routes.add_service(server);
    });
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.background.end();
        self.life.end();
    }
}

/// Buys what is in the scripted cart: 2 × 34.95, 1 × 10.00 and 3.90 for the parcel.
pub(crate) fn purchase(key: &str) -> PlaceOrderRequest {
    PlaceOrderRequest {
        idempotency_key: format!("{key:-<16}"),
        cart_etag: "3".into(),
        expected_total: Some(euro(8380)),
        email: "ada@example.org".into(),
        address: Some(Address {
            recipient: "Ada Weber".into(),
            lines: vec!["Nikolaistraße 3".into()],
            postal_code: "04109".into(),
            city: "Leipzig".into(),
            country: "DE".into(),
        }),
        speed: Speed::Standard.into(),
        payment_token: "tok_succeeds".into(),
    }
}

/// The same, paid with `token`.
pub(crate) fn paid_with(token: &str, key: &str) -> PlaceOrderRequest {
    PlaceOrderRequest { payment_token: token.into(), ..purchase(key) }
}
