//! The visitor's orders, newest first.

use askama::Template;
use axum::extract::State;
use selvage_proto::checkout::v1::ListOrdersRequest;
use tonic::Code;

use super::query::Query;
use super::{Page, redirect_to};
use crate::fields::encode;
use crate::frame::{Frame, Frames, page};
use crate::session::Visitor;
use crate::shop::Shop;
use crate::view::order::OrderRow;

/// Orders on a page.
const PAGE_SIZE: i32 = 20;

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    frame: Frame,
    orders: Vec<OrderRow>,
    next_href: String,
}

/// `GET /orders`
pub(crate) async fn show(
    State(shop): State<Shop>,
    State(frames): State<Frames>,
    visitor: Visitor,
    Query(fields): Query,
) -> Page {
    let look = async {
        match &visitor.session {
            Some(session) => {
                let request = ListOrdersRequest { page_size: PAGE_SIZE, page_token: fields.get("from").to_owned() };
                shop.orders(&session.token, request).await
            }
            None => Ok(Default::default()),
        }
    };
    let (frame, found) = tokio::join!(frames.with_calls(&visitor, "Your orders"), look);
    let found = match found {
        Err(status) if status.code() == Code::InvalidArgument => return Ok(redirect_to("/orders")),
        found => found?,
    };
    let next_href = match found.next_page_token.as_str() {
        "" => String::new(),
        token => format!("/orders?{}", encode([("from", token)])),
    };
    let orders = found.orders.iter().map(OrderRow::new).collect::<Result<_, _>>()?;
    Ok(page(&OrdersPage { frame, orders, next_href }))
}
