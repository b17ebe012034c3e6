//! Wiring: the parts of the shop, its routes, and the layers around them. Nothing else knows this module.

use std::any::Any;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use http::{HeaderValue, header};
use selvage_boot::{Life, Phase, readiness};
use selvage_context::clock::Clock;
use selvage_identity::Issuer;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::admission::{self, Admission, MAX_BODY_BYTES};
use crate::categories::Categories;
use crate::csrf::Csrf;
use crate::frame::Frames;
use crate::operations::{Doors, Processes};
use crate::pages::home::Home;
use crate::pages::operations::OperationsParts;
use crate::pages::tracker::Trackers;
use crate::pages::{bag, checkout, home, listing, metrics, operations, order, orders, product, tracker};
use crate::problem::Problem;
use crate::session::Sessions;
use crate::settings::{Peers, Settings};
use crate::shop::Shop;
use crate::{assets, drawn, headers, observed, pages, session};

/// The shop's pages.
#[derive(Clone)]
pub struct App(Router);

/// The parts of the shop. A handler takes those that it needs, each by its type: `State(shop): State<Shop>`.
#[derive(Clone, FromRef)]
struct Parts {
    settings: Arc<Settings>,
    shop: Shop,
    sessions: Arc<Sessions>,
    csrf: Arc<Csrf>,
    categories: Arc<Categories>,
    frames: Frames,
    home: Arc<Home>,
    trackers: Trackers,
    doors: Arc<Doors>,
    operations: Arc<OperationsParts>,
}

impl App {
    /// Wires the pages. Visitors' tokens are signed by `issuer`, whose key the services must trust with the role guest;
    /// sessions and forms are sealed with keys derived from it.
    pub fn new(settings: Settings, peers: Peers, issuer: Issuer, clock: Clock, life: Life) -> Self {
        let phase = life.phase();
        Self(routes(Parts::new(settings, peers, issuer, clock, life), phase))
    }

    /// The pages as a service of requests.
    pub fn router(&self) -> Router {
        self.0.clone()
    }
}

impl Parts {
    fn new(settings: Settings, peers: Peers, issuer: Issuer, clock: Clock, life: Life) -> Self {
        let (shop, secure) = (Shop::new(&peers), settings.secure_cookies);
        let csrf = Arc::new(Csrf::new(&issuer));
        let doors = Arc::new(Doors::new(&issuer, peers.operations.access, clock.clone(), secure));
        let sessions = Arc::new(Sessions::new(issuer, clock, secure));
        let categories = Arc::new(Categories::new(shop.clone(), sessions.clone()));
        let (processes, scaler) = (Processes::new(peers.operations.processes), peers.operations.scaler);
        Self {
            frames: Frames::new(shop.clone(), categories.clone(), csrf.clone()),
            home: Arc::new(Home::new(shop.clone(), sessions.clone(), categories.clone())),
            trackers: Trackers::new(shop.clone(), life.clone()),
            operations: Arc::new(OperationsParts::new(doors.clone(), processes, scaler, csrf.clone(), life)),
            settings: Arc::new(settings),
            shop,
            sessions,
            csrf,
            categories,
            doors,
        }
    }
}

fn routes(parts: Parts, phase: watch::Receiver<Phase>) -> Router {
    let no_store = HeaderValue::from_static("no-store");
    let personal = Router::new()
        .route("/bag", get(bag::show))
        .route("/bag/items", post(bag::add))
        .route("/bag/lines", post(bag::change))
        .route("/checkout", get(checkout::show).post(checkout::place))
        .route("/orders", get(orders::show))
        .route("/orders/{id}", get(order::show))
        .route("/orders/{id}/cancel", post(order::cancel))
        .route("/orders/{id}/events", get(tracker::events))
        .route("/ops", get(operations::show))
        .route("/ops/events", get(operations::events))
        .route("/ops/open", get(operations::open))
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
        .layer(middleware::from_fn_with_state(Arc::new(Admission::default()), admission::admit))
        .layer(middleware::from_fn_with_state(parts.frames.clone(), pages::problem::render))
        .layer(middleware::from_fn_with_state(parts.sessions.clone(), session::attach))
        .layer(middleware::from_fn_with_state(parts.settings.clone(), observed::observe));
    let mut router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/healthz", get(move || std::future::ready(readiness(&phase.borrow()))))
        .route("/metrics", get(metrics::show))
        .route("/robots.txt", get(assets::robots))
        .route("/favicon.svg", get(assets::favicon))
        .route("/assets/{hash}/{name}", get(assets::get))
        .route("/drawn/{file}", get(drawn::get))
        .merge(pages)
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn(headers::add));
    if parts.settings.secure_cookies {
        router = router.layer(middleware::from_fn(headers::add_strict_transport));
    }
    router.with_state(parts)
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::internal(format_args!("a handler panicked: {}", message.unwrap_or("without words"))).into_response()
}
