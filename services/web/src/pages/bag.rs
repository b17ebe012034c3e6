//! The bag.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::header;
use selvage_proto::cart::v1::{AddItemRequest, RemoveItemRequest, UpdateItemRequest};
use tonic::{Code, Status};
use uuid::Uuid;

use super::form::Form;
use super::query::Query;
use super::{Page, redirect_to};
use crate::fields::{Fields, encode};
use crate::frame::{Frame, Frames, page};
use crate::problem::Problem;
use crate::session::{Sessions, Visitor};
use crate::shop::Shop;
use crate::view::bag::BagView;

/// Pieces in a line at most: the cart service's bound.
const MAX_QUANTITY: i32 = 99;

#[derive(Template)]
#[template(path = "bag.html")]
struct BagPage {
    frame: Frame,
    bag: BagView,
    notice: &'static str,
    alert: &'static str,
}

/// `GET /bag`
pub(crate) async fn show(
    State(shop): State<Shop>,
    State(frames): State<Frames>,
    visitor: Visitor,
    Query(fields): Query,
) -> Page {
    let look = async {
        match &visitor.session {
            Some(session) => Ok(BagView::new(&shop.bag(&session.token).await?)?),
            None => Ok::<_, Problem>(BagView::default()),
        }
    };
    let (frame, bag) = tokio::join!(frames.with_categories(&visitor, "Your bag"), look);
    let bag = bag?;
    let (notice, alert) = match fields.get("notice") {
        "updated" => ("Your bag is up to date.", ""),
        "removed" => ("Removed.", ""),
        "changed" => ("", "Your bag had changed in the meantime. Here it is as it is now; please change it again."),
        "quantity" => ("", "Please give a quantity of 0 to 99."),
        "look" => ("", "Something in your bag can't be had as it is. Change it here, then check out."),
        _ => ("", ""),
    };
    let frame = Frame { bag_count: Some(bag.count), ..frame };
    Ok(page(&BagPage { frame, bag, notice, alert }))
}

/// `POST /bag/items`: puts a SKU into the bag, and leads back to its product. The first one begins a session.
pub(crate) async fn add(State(shop): State<Shop>, State(sessions): State<Arc<Sessions>>, form: Form) -> Page {
    let fields = &form.fields;
    let slug = fields.get("product");
    let back = |notice: &str| product_page(slug, fields.get("colour"), notice);
    let sku = fields.get("sku");
    if sku.is_empty() {
        return Ok(redirect_to(&back("choose")));
    }
    let Some(quantity) = quantity(fields).filter(|quantity| *quantity > 0) else {
        return Ok(redirect_to(&back("quantity")));
    };
    let (session, cookie) = match form.visitor.session {
        Some(session) => (session, None),
        None => {
            let (session, cookie) = sessions.begin(Uuid::new_v4());
            (session, Some(cookie))
        }
    };
    let request = AddItemRequest { sku: sku.to_owned(), quantity, etag: String::new() };
    let notice = match shop.bag_add(&session.token, request).await {
        Ok(_) => "added",
        Err(status) => match status.code() {
            Code::FailedPrecondition => "full",
            Code::NotFound => "gone",
            _ => return Err(status.into()),
        },
    };
    let mut response = redirect_to(&back(notice));
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /bag/lines`: changes a line's quantity, or removes the line.
pub(crate) async fn change(State(shop): State<Shop>, form: Form) -> Page {
    let fields = &form.fields;
    let Some(session) = &form.visitor.session else { return Ok(to_bag("changed")) };
    let (sku, etag) = (fields.get("sku").to_owned(), fields.get("etag").to_owned());
    let outcome = if fields.get("do") == "remove" {
        shop.bag_remove(&session.token, RemoveItemRequest { sku, etag }).await.map(|_| "removed")
    } else {
        let Some(quantity) = quantity(fields) else { return Ok(to_bag("quantity")) };
        let request = UpdateItemRequest { sku, quantity, etag };
        let notice = if quantity == 0 { "removed" } else { "updated" };
        shop.bag_update(&session.token, request).await.map(|_| notice)
    };
    match outcome {
        Ok(notice) => Ok(to_bag(notice)),
        Err(status) if has_changed(&status) => Ok(to_bag("changed")),
        Err(status) => Err(status.into()),
    }
}

fn has_changed(status: &Status) -> bool {
    matches!(status.code(), Code::Aborted | Code::NotFound | Code::FailedPrecondition)
}

fn to_bag(notice: &str) -> Response {
    redirect_to(&format!("/bag?notice={notice}"))
}

fn quantity(fields: &Fields) -> Option<i32> {
    fields.get("quantity").parse().ok().filter(|quantity| (0..=MAX_QUANTITY).contains(quantity))
}

/// The product's page with a notice; the bag's if the slug isn't one.
fn product_page(slug: &str, colour: &str, notice: &str) -> String {
    let right = slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if slug.is_empty() || slug.len() > 120 || !right {
        return "/bag".to_owned();
    }
    format!("/p/{slug}?{}", encode([("colour", colour), ("notice", notice)]))
}
