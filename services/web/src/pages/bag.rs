//! The bag.

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::header;
use selvage_proto::cart::v1::{AddItemRequest, RemoveItemRequest, UpdateItemRequest};
use tonic::{Code, Status};
use uuid::Uuid;

use super::form::Form;
use super::{App, Page, Who, lead_to};
use crate::fields::{Fields, encode};
use crate::frame::{Frame, page};
use crate::view::bag::BagView;

/// The largest number of pieces in a line.
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
pub(crate) async fn show(State(app): App, Extension(visitor): Who, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let look = async {
        match &visitor.0 {
            Some(session) => app.shop.bag(&session.token).await.map(|cart| BagView::new(&cart)),
            None => Ok(BagView::default()),
        }
    };
    let (frame, bag) = tokio::join!(Frame::with_bag(&app, &visitor, "Your bag"), look);
    let bag = bag?;
    let (notice, alert) = match fields.get("notice") {
        "updated" => ("Your bag is up to date.", ""),
        "removed" => ("Removed.", ""),
        "changed" => ("", "Your bag had changed in the meantime. Here it is as it is now; please change it again."),
        "quantity" => ("", "Please give a quantity of 0 to 99."),
        "look" => ("", "Something in your bag can't be had as it is. Change it here, then check out."),
        _ => ("", ""),
    };
    let frame = Frame { bag_count: bag.count, ..frame };
    Ok(page(&BagPage { frame, bag, notice, alert }))
}

/// `POST /bag/items`: puts a SKU into the bag, and leads back to its product. The first one begins a session.
pub(crate) async fn add(State(app): App, form: Form) -> Page {
    let fields = &form.fields;
    let slug = fields.get("product");
    let back = |notice: &str| product_page(slug, fields.get("colour"), notice);
    let sku = fields.get("sku");
    if sku.is_empty() {
        return Ok(lead_to(&back("choose")));
    }
    let Some(quantity) = quantity(fields).filter(|quantity| *quantity > 0) else {
        return Ok(lead_to(&back("quantity")));
    };
    let (session, cookie) = match form.visitor.0 {
        Some(session) => (session, None),
        None => {
            let (session, cookie) = app.sessions.begin(Uuid::new_v4());
            (session, Some(cookie))
        }
    };
    let request = AddItemRequest { sku: sku.to_owned(), quantity, etag: String::new() };
    let notice = match app.shop.bag_add(&session.token, request).await {
        Ok(_) => "added",
        Err(status) => match status.code() {
            Code::FailedPrecondition => "full",
            Code::NotFound => "gone",
            _ => return Err(status.into()),
        },
    };
    let mut response = lead_to(&back(notice));
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// `POST /bag/lines`: changes a line's quantity, or removes the line.
pub(crate) async fn change(State(app): App, form: Form) -> Page {
    let fields = &form.fields;
    let Some(session) = &form.visitor.0 else { return Ok(to_bag("changed")) };
    let (sku, etag) = (fields.get("sku").to_owned(), fields.get("etag").to_owned());
    let outcome = if fields.get("do") == "remove" {
        app.shop.bag_remove(&session.token, RemoveItemRequest { sku, etag }).await.map(|_| "removed")
    } else {
        let Some(quantity) = quantity(fields) else { return Ok(to_bag("quantity")) };
        let request = UpdateItemRequest { sku, quantity, etag };
        let notice = if quantity == 0 { "removed" } else { "updated" };
        app.shop.bag_update(&session.token, request).await.map(|_| notice)
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
    lead_to(&format!("/bag?notice={notice}"))
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
