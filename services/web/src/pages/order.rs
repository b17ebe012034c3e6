//! An order. The page that confirms it is the order's own.

use askama::Template;
use axum::extract::State;
use tonic::Code;

use super::form::Form;
use super::order_id::OrderId;
use super::query::Query;
use super::tracker::TrackerPart;
use super::{Page, redirect_to};
use crate::frame::{Frame, Frames, page};
use crate::problem::Problem;
use crate::session::Visitor;
use crate::shop::Shop;
use crate::view::order::OrderView;
use crate::view::tracker::Tracker;

/// Without JavaScript, how often an order that is on its way is looked at again, in seconds.
const REFRESH: u32 = 5;

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    frame: Frame,
    order: OrderView,
    part: TrackerPart,
    placed: bool,
    alert: &'static str,
}

/// `GET /orders/{id}`
pub(crate) async fn show(
    State(shop): State<Shop>,
    State(frames): State<Frames>,
    visitor: Visitor,
    OrderId(id): OrderId,
    Query(fields): Query,
) -> Page {
    let session = visitor.session.as_ref().ok_or(Problem::NotFound)?;
    let (frame, order, shipment) = tokio::join!(
        frames.with_calls(&visitor, ""),
        shop.order(&session.token, &id),
        shop.shipment(&session.token, &id),
    );
    let order = order?;
    // An order is shown even while delivery doesn't answer: without a shipment then.
    let shipment = shipment.unwrap_or(None);
    let tracker = Tracker::new(&order, shipment.as_ref());
    let view = OrderView::new(&order)?;
    let alert = match fields.get("notice") {
        "late" => "It can't be cancelled any more: the carrier has it, or it was stopped before.",
        _ => "",
    };
    let refresh = if tracker.is_final { 0 } else { REFRESH };
    let frame = Frame { title: format!("Order {}", view.number), refresh, ..frame };
    let placed = !fields.get("placed").is_empty();
    Ok(page(&OrderPage { frame, order: view, part: TrackerPart { tracker }, placed, alert }))
}

/// `POST /orders/{id}/cancel`
pub(crate) async fn cancel(State(shop): State<Shop>, OrderId(id): OrderId, form: Form) -> Page {
    let session = form.visitor.session.as_ref().ok_or(Problem::NotFound)?;
    match shop.cancel(&session.token, &id).await {
        Ok(_) => Ok(redirect_to(&format!("/orders/{id}"))),
        Err(status) if status.code() == Code::FailedPrecondition => {
            Ok(redirect_to(&format!("/orders/{id}?notice=late")))
        }
        Err(status) => Err(status.into()),
    }
}
