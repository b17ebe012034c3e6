//! A product.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use selvage_proto::catalogue::v1::{ListProductsRequest, ProductFilter};
use tonic::Code;

use super::{App, Page, Who};
use crate::app::Inner;
use crate::fields::Fields;
use crate::frame::{Frame, page};
use crate::problem::Problem;
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
    State(app): App,
    Extension(visitor): Who,
    Path(slug): Path<String>,
    RawQuery(query): RawQuery,
) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let token = app.sessions.reading_token(&visitor);
    let find = async {
        let product = app.shop.product(&token, &slug).await?;
        let more = more(&app, &token, &product.category, &slug).await;
        Ok::<_, tonic::Status>((product, more))
    };
    let (frame, found) = tokio::join!(Frame::new(&app, &visitor, ""), find);
    let (product, more) = found.map_err(|status| match status.code() {
        // What can't be an address of a product is none, like an address that could be one.
        Code::InvalidArgument => Problem::NotFound,
        _ => status.into(),
    })?;
    let view = ProductView::new(&product, fields.get("colour"));
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

/// Others of the same category; none if they can't be had.
async fn more(app: &Inner, token: &str, category: &str, but: &str) -> Vec<Card> {
    let filter = ProductFilter { category: category.to_owned(), in_stock: true, ..ProductFilter::default() };
    let page_size = i32::try_from(MORE + 1).unwrap_or(i32::MAX);
    let request = ListProductsRequest { page_size, filter: Some(filter), ..ListProductsRequest::default() };
    let found = app.shop.products(token, request).await.map(|found| found.products).unwrap_or_default();
    found.iter().filter(|product| product.slug != but).take(MORE).map(|product| Card::new(product, &[])).collect()
}
