//! Orders: the confirmation, which is the order's page, and the list of them.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use selvage_proto::checkout::v1::ListOrdersRequest;
use tonic::Code;
use uuid::Uuid;

use super::form::Form;
use super::tracker::TrackerPart;
use super::{App, Page, Who, lead_to};
use crate::fields::{Fields, encode};
use crate::frame::{Frame, page};
use crate::problem::Problem;
use crate::view::order::{OrderRow, OrderView, Tracker};

/// Orders on a page.
const PAGE_SIZE: i32 = 20;
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

#[derive(Template)]
#[template(path = "orders.html")]
struct OrdersPage {
    frame: Frame,
    orders: Vec<OrderRow>,
    next_href: String,
}

/// `GET /orders/{id}`
pub(crate) async fn show(
    State(app): App,
    Extension(visitor): Who,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Page {
    let id = order_id(&id)?;
    let session = visitor.0.as_ref().ok_or(Problem::NotFound)?;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let (frame, order, shipment) = tokio::join!(
        Frame::new(&app, &visitor, ""),
        app.shop.order(&session.token, &id),
        app.shop.shipment(&session.token, &id),
    );
    let order = order?;
    // An order is shown even while delivery doesn't answer.
    let shipment = shipment.unwrap_or_default();
    let tracker = Tracker::new(&order, shipment.as_ref());
    let view = OrderView::new(&order);
    let alert = match fields.get("notice") {
        "late" => "It can't be cancelled any more: the carrier has it, or it was stopped before.",
        _ => "",
    };
    let refresh = if tracker.is_final { 0 } else { REFRESH };
    let frame = Frame { title: format!("Order {}", view.number), refresh, ..frame };
    let placed = !fields.get("placed").is_empty();
    Ok(page(&OrderPage { frame, order: view, part: TrackerPart { tracker }, placed, alert }))
}

/// `GET /orders`
pub(crate) async fn list(State(app): App, Extension(visitor): Who, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let look = async {
        match &visitor.0 {
            Some(session) => {
                let request = ListOrdersRequest { page_size: PAGE_SIZE, page_token: fields.get("from").to_owned() };
                app.shop.orders(&session.token, request).await
            }
            None => Ok(Default::default()),
        }
    };
    let (frame, found) = tokio::join!(Frame::new(&app, &visitor, "Your orders"), look);
    let found = match found {
        Err(status) if status.code() == Code::InvalidArgument => return Ok(lead_to("/orders")),
        found => found?,
    };
    let next_href = match found.next_page_token.as_str() {
        "" => String::new(),
        token => format!("/orders?{}", encode([("from", token)])),
    };
    Ok(page(&OrdersPage { frame, orders: found.orders.iter().map(OrderRow::new).collect(), next_href }))
}

/// `POST /orders/{id}/cancel`
pub(crate) async fn cancel(State(app): App, Path(id): Path<String>, form: Form) -> Page {
    let id = order_id(&id)?;
    let session = form.visitor.0.as_ref().ok_or(Problem::NotFound)?;
    match app.shop.cancel(&session.token, &id).await {
        Ok(_) => Ok(lead_to(&format!("/orders/{id}"))),
        Err(status) if status.code() == Code::FailedPrecondition => Ok(lead_to(&format!("/orders/{id}?notice=late"))),
        Err(status) => Err(status.into()),
    }
}

/// An order's id in its one form; there is no other order.
pub(super) fn order_id(text: &str) -> Result<String, Problem> {
    text.parse::<Uuid>().map(|id| id.to_string()).map_err(|_| Problem::NotFound)
}
