//! The first page.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use futures::future::join_all;
use selvage_proto::catalogue::v1::{ListProductsRequest, ProductFilter, ProductOrder};
use tonic::Status;

use super::{App, Page, Who};
use crate::app::Inner;
use crate::drawn;
use crate::frame::{Frame, categories, page};
use crate::view::CategoryLink;
use crate::view::card::{Card, is_on_sale};
use crate::view::picture::Picture;

/// New arrivals and reduced products shown: two full rows of four each.
const SHELF: usize = 8;
/// Among so many of the newest products reduced ones are looked for: the largest page there is.
const LOOKED_AT: i32 = 100;

/// The opening picture: what is drawn in it.
const OPENING: [&str; 4] = [
    "coat.long.herringbone.8a7f6d.3b352c",
    "shirt.relaxed.stripe.2f4b6e.f2ede4",
    "knit.relaxed.rib.b5533c.f2ede4",
    "jeans.regular.denim.2f4b6e.c98a3c",
];

/// What the home page shows of the catalogue.
pub(crate) struct Shelves {
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

/// `GET /`
pub(crate) async fn show(State(app): App, Extension(visitor): Who) -> Page {
    let (frame, shelves) =
        tokio::join!(Frame::new(&app, &visitor, "Selvage: clothes with a finished edge"), app.shelves.get(fill(&app)),);
    let opening = OPENING.iter().map(|key| drawn::address(key)).collect();
    Ok(page(&HomePage { frame, opening, shelves: shelves? }))
}

async fn fill(app: &Inner) -> Result<Shelves, Status> {
    let token = app.sessions.anonymous();
    let request = ListProductsRequest {
        page_size: LOOKED_AT,
        order_by: ProductOrder::Newest.into(),
        ..ListProductsRequest::default()
    };
    let categories = categories(app);
    let (newest, categories) = tokio::join!(app.shop.products(&token, request), categories);
    let newest = newest?.products;
    let cards =
        |products: Vec<_>| -> Vec<Card> { products.into_iter().map(|product| Card::new(product, &[])).collect() };
    let tiles = categories.iter().map(|category| tile(app, &token, category));
    Ok(Shelves {
        new: cards(newest.iter().filter(|product| product.in_stock).take(SHELF).collect()),
        sale: cards(newest.iter().filter(|product| is_on_sale(product)).take(SHELF).collect()),
        tiles: join_all(tiles).await,
    })
}

/// The category with the picture of its newest product. It has a tile in any case.
async fn tile(app: &Inner, token: &str, category: &CategoryLink) -> Tile {
    let filter = ProductFilter { category: category.slug.clone(), in_stock: true, ..ProductFilter::default() };
    let request = ListProductsRequest { page_size: 1, filter: Some(filter), ..ListProductsRequest::default() };
    let first = app.shop.products(token, request).await.ok().and_then(|page| page.products.into_iter().next());
    let picture = match first {
        Some(product) => Card::new(&product, &[]).picture,
        None => Picture::of_key("", "", ""),
    };
    Tile { category: category.clone(), picture }
}
