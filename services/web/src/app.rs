//! Wiring.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::{HeaderMap, HeaderValue, header};
use selvage_boot::Life;
use selvage_context::clock::Clock;
use selvage_identity::IssuerKey;
use selvage_rpc::Channel;
use selvage_telemetry::metrics;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::cached::Cached;
use crate::csrf::Csrf;
use crate::operations::{Doors, Operations, Processes, is_here};
use crate::pages::home::Shelves;
use crate::pages::{bag, checkout, home, listing, operations, order, product, tracker};
use crate::peer::Peer;
use crate::problem::{self, Problem};
use crate::session::Sessions;
use crate::shop::Shop;
use crate::view::CategoryLink;
use crate::{admission, assets, drawn, headers, observed};

/// The largest form: checkout's, refilled, has under 8 KiB.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;
/// Categories change rarely, the shelves of the home page seldom: each is asked for once in this time.
const SHELF_LIFETIME: Duration = Duration::from_secs(30);

/// What an operator of the shop decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// People reach the shop by https: browsers send the session over nothing else.
    pub secure_cookies: bool,
    /// The shop's currency, ISO 4217.
    pub currency: String,
    /// The whole shop is in this process, whose metrics are then at `/metrics` for callers on this machine.
    pub whole_shop: bool,
    /// Requests come through a proxy of our own, whose traces are continued.
    pub trusted_proxy: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { secure_cookies: false, currency: "EUR".to_owned(), whole_shop: false, trusted_proxy: false }
    }
}

/// The services that the pages are made from. The channels bear no token of their own: every call is a visitor's.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The catalogue service.
    pub catalogue: Channel,
    /// The cart service.
    pub cart: Channel,
    /// The checkout service.
    pub checkout: Channel,
    /// The delivery service.
    pub delivery: Channel,
    /// The processes that the operations page shows.
    pub operations: Operations,
}

/// The shop's pages.
#[derive(Clone)]
pub struct App(Router);

/// What handlers share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) shop: Shop,
    pub(crate) sessions: Sessions,
    pub(crate) csrf: Csrf,
    pub(crate) categories: Cached<Vec<CategoryLink>>,
    pub(crate) shelves: Cached<Shelves>,
    pub(crate) places: Semaphore,
    pub(crate) incoming: Semaphore,
    pub(crate) watchers: Arc<Semaphore>,
    pub(crate) doors: Doors,
    pub(crate) processes: Processes,
    pub(crate) operators: Arc<Semaphore>,
    pub(crate) life: Life,
}

impl App {
    /// Wires the pages. Visitors' tokens are signed with `key`, which the services must trust with the role guest; sessions
    /// and forms are sealed with keys derived from it.
    pub fn new(settings: Settings, peers: Peers, key: IssuerKey, clock: Clock, life: Life) -> Self {
        let secure = settings.secure_cookies;
        let app = Arc::new(Inner {
            csrf: Csrf::new(&key.secret_text()),
            doors: Doors::new(&key.secret_text(), peers.operations.access.clone(), clock.clone(), secure),
            processes: Processes::new(peers.operations.processes.clone()),
            operators: Arc::new(Semaphore::new(operations::MAX_WATCHERS)),
            sessions: Sessions::new(key, clock, secure),
            shop: Shop::new(peers),
            categories: Cached::new(SHELF_LIFETIME),
            shelves: Cached::new(SHELF_LIFETIME),
            places: Semaphore::new(admission::MAX_IN_FLIGHT),
            incoming: Semaphore::new(admission::MAX_INCOMING),
            watchers: Arc::new(Semaphore::new(tracker::MAX_WATCHERS)),
            settings,
            life,
        });
        let no_store = HeaderValue::from_static("no-store");
        let personal = Router::new()
            .route("/bag", get(bag::show))
            .route("/bag/items", post(bag::add))
            .route("/bag/lines", post(bag::change))
            .route("/checkout", get(checkout::show).post(checkout::place))
            .route("/orders", get(order::list))
            .route("/orders/{id}", get(order::show))
            .route("/orders/{id}/cancel", post(order::cancel))
            .route("/orders/{id}/events", get(tracker::events))
            .route("/ops", get(operations::show))
            .route("/ops/events", get(operations::events))
            .route("/ops/sign-in", get(operations::sign_in).post(operations::enter))
            .route("/ops/sign-out", post(operations::leave))
            .route("/ops/faults", post(operations::start))
            .route("/ops/faults/end", post(operations::end))
            .layer(SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, no_store));
        let pages = Router::new()
            .route("/", get(home::show))
            .route("/c/{slug}", get(listing::category))
            .route("/search", get(listing::search))
            .route("/p/{slug}", get(product::show))
            .merge(personal)
            .fallback(async || Problem::NotFound)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(middleware::from_fn_with_state(app.clone(), admission::admit))
            .layer(middleware::from_fn_with_state(app.clone(), problem::render))
            .layer(middleware::from_fn_with_state(app.clone(), attach))
            .layer(middleware::from_fn_with_state(app.clone(), observed::observe));
        let mut router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/metrics", get(fetch_metrics))
            .route("/robots.txt", get(assets::robots))
            .route("/favicon.svg", get(assets::favicon))
            .route("/assets/{hash}/{name}", get(assets::get))
            .route("/drawn/{file}", get(drawn::get))
            .merge(pages)
            .layer(CompressionLayer::new())
            .layer(middleware::from_fn(headers::add));
        if secure {
            router = router.layer(middleware::from_fn(headers::add_strict_transport));
        }
        Self(router.with_state(app))
    }

    /// The pages as a service of requests.
    pub fn router(&self) -> Router {
        self.0.clone()
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

/// Metrics, where no listener of their own has them.
async fn fetch_metrics(
    State(app): State<Arc<Inner>>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    if !app.settings.whole_shop || !is_here(&headers, Some(peer)) {
        return http::StatusCode::NOT_FOUND.into_response();
    }
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::text()).into_response()
}

/// Finds out who makes the request, and renews their session where it is time.
async fn attach(State(app): State<Arc<Inner>>, mut request: Request, next: Next) -> Response {
    let (visitor, renewal) = app.sessions.read(request.headers());
    request.extensions_mut().insert(visitor);
    let mut response = next.run(request).await;
    if let Some(cookie) = renewal {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::ours(format_args!("a handler panicked: {}", message.unwrap_or("without words"))).into_response()
}
