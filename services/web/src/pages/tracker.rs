//! The tracker of an order, kept up to date while its page is open: the part of the page that changes is sent again at each
//! change, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::sse::Event;
use futures::Stream;
use selvage_boot::Life;
use selvage_proto::checkout::v1::Order;
use selvage_proto::checkout::v1::order::State as OrderState;
use selvage_proto::delivery::v1::Shipment;
use tokio::time::Instant;
use tonic::Streaming;

use super::order_id::OrderId;
use super::{Page, live};
use crate::places::{Place, Places};
use crate::problem::Problem;
use crate::session::{Session, Visitor};
use crate::shop::Shop;
use crate::view::tracker::Tracker;

/// Pages that watch an order at once: each has a connection, a stream to delivery and about 20 KB. Delivery takes 1,000
/// watchers.
const MAX_WATCHERS: usize = 500;
/// Of those, the pages of one guest: some orders, some in two windows.
const MAX_OF_ONE: usize = 8;
/// The time between two looks at an order that has no parcel to watch yet.
const POLL: Duration = Duration::from_secs(1);

/// The part of the page that changes.
#[derive(Template)]
#[template(path = "tracker.html")]
pub(crate) struct TrackerPart {
    pub(crate) tracker: Tracker,
}

/// Follows orders for pages that watch them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Trackers {
    shop: Shop,
    life: Life,
    watchers: Places,
}

impl Trackers {
    /// With no watchers yet; streams end with `life`.
    pub(crate) fn new(shop: Shop, life: Life) -> Self {
        Self { shop, life, watchers: Places::new(MAX_WATCHERS, MAX_OF_ONE) }
    }
}

/// `GET /orders/{id}/events`
pub(crate) async fn events(State(trackers): State<Trackers>, visitor: Visitor, OrderId(id): OrderId) -> Page {
    let session = visitor.session.ok_or(Problem::NotFound)?;
    let place = trackers.watchers.take(&session.subject).ok_or_else(Problem::busy)?;
    let order = trackers.shop.order(&session.token, &id).await?;
    Ok(live::answer(watch(trackers, session, order, place)))
}

fn watch(
    Trackers { shop, life, .. }: Trackers,
    session: Session,
    first: Order,
    place: Place,
) -> impl Stream<Item = Result<Event, Infallible>> {
    async_stream::stream! {
        let _place = place;
        let ends = Instant::now() + live::STREAM_BOUND;
        let mut order = first;
        let mut shown = String::new();
        let mut parcel: Option<Streaming<Shipment>> = None;
        let mut shipment: Option<Shipment> = None;
        loop {
            let tracker = Tracker::new(&order, shipment.as_ref());
            let is_final = tracker.is_final;
            if let Ok(part) = (TrackerPart { tracker }).render()
                && part != shown
            {
                yield Ok(live::event("moved", &part));
                shown = part;
            }
            if is_final || Instant::now() >= ends {
                break;
            }
            if parcel.is_none() && matches!(order.state(), OrderState::Confirmed | OrderState::Cancelling) {
                parcel = shop.track(&session.token, &order.order_id).await.unwrap_or_default();
            }
            let next = tokio::select! {
                next = next(&mut parcel) => next,
                () = tokio::time::sleep_until(ends) => None,
                () = life.stopping() => break,
            };
            match next {
                Some(moved) => shipment = Some(moved),
                None => {
                    // The stream has ended, or there was none. The order may have changed by what ended it.
                    parcel = None;
                    if !life.sleep(POLL).await {
                        break;
                    }
                    order = shop.order(&session.token, &order.order_id).await.unwrap_or(order);
                }
            }
        }
    }
}

/// The parcel's next event; `None` if there is no stream, or it has ended or broken.
async fn next(parcel: &mut Option<Streaming<Shipment>>) -> Option<Shipment> {
    parcel.as_mut()?.message().await.ok().flatten()
}
