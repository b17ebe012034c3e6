//! A product.

use askama::Template;
use axum::extract::{Path, State};
use selvage_proto::catalogue::v1::{ListProductsRequest, ProductFilter, ProductSummary};
use tonic::Code;

use super::Page;
use super::query::Query;
use crate::frame::{Frame, Frames, page};
use crate::problem::Problem;
use crate::session::Visitor;
use crate::shop::Shop;
use crate::view::CategoryLink;
use crate::view::card::Card;
use crate::view::product::ProductView;

/// Products of the same category shown below: a row.
const MORE: usize = 4;

#[derive(Template)]
#[template(path = "product.html")]
struct ProductPage {
    frame: Frame,
    product: ProductView,
    category: Option<CategoryLink>,
    more: Vec<Card>,
    notice: &'static str,
    alert: &'static str,
}

/// `GET /p/{slug}`
pub(crate) async fn show(
    State(shop): State<Shop>,
    State(frames): State<Frames>,
    visitor: Visitor,
    Path(slug): Path<String>,
    Query(fields): Query,
) -> Page {
    let token = &visitor.reading_token;
    let find = async {
        let product = shop.product(token, &slug).await?;
        let more = more(&shop, token, &product.category, &slug).await;
        Ok::<_, tonic::Status>((product, more))
    };
    let (frame, found) = tokio::join!(frames.with_calls(&visitor, ""), find);
    let (product, more) = found.map_err(|status| match status.code() {
        // An address that no product can have is answered like one that no product has.
        Code::InvalidArgument => Problem::NotFound,
        _ => status.into(),
    })?;
    let view = ProductView::new(&product, fields.get("colour"))?;
    let more = more.iter().map(|product| Card::new(product, &[])).collect::<Result<_, _>>()?;
    let (notice, alert) = match fields.get("notice") {
        "added" => ("It is in your bag.", ""),
        "choose" => ("", "Choose a size first."),
        "quantity" => ("", "Please give a number of pieces, 1 to 99."),
        "full" => ("", "Your bag has no room for more of it: 99 pieces a line, 50 lines."),
        "gone" => ("", "We no longer have that one."),
        _ => ("", ""),
    };
    let category = frame.categories.iter().find(|category| category.slug == view.category).cloned();
    let frame = Frame { title: view.title.clone(), current: view.category.clone(), ..frame };
    Ok(page(&ProductPage { frame, product: view, category, more, notice, alert }))
}

/// Others of the same category; none if the catalogue doesn't say.
async fn more(shop: &Shop, token: &str, category: &str, but: &str) -> Vec<ProductSummary> {
    let filter = ProductFilter { category: category.to_owned(), in_stock: true, ..ProductFilter::default() };
    let page_size = i32::try_from(MORE + 1).unwrap_or(i32::MAX);
    let request = ListProductsRequest { page_size, filter: Some(filter), ..ListProductsRequest::default() };
    let found = shop.products(token, request).await.map(|found| found.products).unwrap_or_default();
    found.into_iter().filter(|product| product.slug != but).take(MORE).collect()
}
