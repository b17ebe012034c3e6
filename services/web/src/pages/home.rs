//! The home page.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use futures::future::join_all;
use selvage_proto::catalogue::v1::{ListProductsRequest, ProductFilter, ProductOrder};

use super::Page;
use crate::cached::Cached;
use crate::categories::Categories;
use crate::drawn;
use crate::frame::{Frame, Frames, page};
use crate::problem::Problem;
use crate::session::{Sessions, Visitor};
use crate::shop::Shop;
use crate::view::CategoryLink;
use crate::view::card::{Card, is_on_sale};
use crate::view::missing::Missing;
use crate::view::picture::Picture;

/// New arrivals shown, and reduced products: two full rows of four each.
const SHELF: usize = 8;
/// How many of the newest products are asked for, among which the reduced ones are found: the catalogue's largest page.
const NEWEST: i32 = 100;

/// The keys of the drawings at the top of the page.
const OPENING: [&str; 4] = [
    "coat.long.herringbone.8a7f6d.3b352c",
    "shirt.relaxed.stripe.2f4b6e.f2ede4",
    "knit.relaxed.rib.b5533c.f2ede4",
    "jeans.regular.denim.2f4b6e.c98a3c",
];

/// Products come and go slowly: the catalogue is asked once in this time.
const LIFETIME: Duration = Duration::from_secs(30);

/// What the home page shows of the catalogue.
struct Shelves {
    new: Vec<Card>,
    sale: Vec<Card>,
    tiles: Vec<Tile>,
}

/// A category with one of its products' pictures.
struct Tile {
    category: CategoryLink,
    picture: Picture,
}

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage {
    frame: Frame,
    opening: Vec<String>,
    shelves: Arc<Shelves>,
}

/// Fetches what the home page shows of the catalogue, and keeps it for 30 s: it is the same for everybody.
pub(crate) struct Home {
    shop: Shop,
    sessions: Arc<Sessions>,
    categories: Arc<Categories>,
    cached: Cached<Shelves>,
}

/// `GET /`
pub(crate) async fn show(State(home): State<Arc<Home>>, State(frames): State<Frames>, visitor: Visitor) -> Page {
    let (frame, shelves) =
        tokio::join!(frames.with_calls(&visitor, "Selvage: clothes with a finished edge"), home.shelves());
    let opening = OPENING.iter().map(|key| drawn::address(key)).collect();
    Ok(page(&HomePage { frame, opening, shelves: shelves? }))
}

impl Home {
    /// Nothing fetched yet.
    pub(crate) fn new(shop: Shop, sessions: Arc<Sessions>, categories: Arc<Categories>) -> Self {
        Self { shop, sessions, categories, cached: Cached::new(LIFETIME) }
    }

    async fn shelves(&self) -> Result<Arc<Shelves>, Problem> {
        // Boxed, since it holds 20 KiB that every request for the page would else hold, and it runs once in 30 s.
        self.cached.get(Box::pin(self.fetch())).await
    }

    async fn fetch(&self) -> Result<Shelves, Problem> {
        let token = self.sessions.anonymous_token();
        let request = ListProductsRequest {
            page_size: NEWEST,
            order_by: ProductOrder::Newest.into(),
            ..ListProductsRequest::default()
        };
        let (newest, categories) = tokio::join!(self.shop.products(&token, request), self.categories.get());
        let newest = newest?.products;
        let cards = |products: Vec<_>| -> Result<Vec<Card>, Missing> {
            products.into_iter().map(|product| Card::new(product, &[])).collect()
        };
        let tiles = categories.iter().map(|category| self.tile(&token, category));
        Ok(Shelves {
            new: cards(newest.iter().filter(|product| product.in_stock).take(SHELF).collect())?,
            sale: cards(newest.iter().filter(|product| is_on_sale(product)).take(SHELF).collect())?,
            tiles: join_all(tiles).await,
        })
    }

    /// The category with the picture of its newest product. It has a tile in any case.
    async fn tile(&self, token: &str, category: &CategoryLink) -> Tile {
        let filter = ProductFilter { category: category.slug.clone(), in_stock: true, ..ProductFilter::default() };
        let request = ListProductsRequest { page_size: 1, filter: Some(filter), ..ListProductsRequest::default() };
        let first = self.shop.products(token, request).await.ok().and_then(|page| page.products.into_iter().next());
        let card = first.and_then(|product| Card::new(&product, &[]).ok());
        let picture = card.map_or_else(|| Picture::of_key("", "", ""), |card| card.picture);
        Tile { category: category.clone(), picture }
    }
}
