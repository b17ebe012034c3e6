//! What checkout asks of the other services, in its own words.

pub(crate) mod convert;

use selvage_identity::Caller;
use selvage_proto::cart::v1::cart_client::CartClient;
use selvage_proto::cart::v1::cart_line::Availability;
use selvage_proto::cart::v1::{GetCartRequest, OrderedLine, RemoveOrderedLinesRequest};
use selvage_proto::catalogue::v1::catalogue_client::CatalogueClient;
use selvage_proto::catalogue::v1::reservation::State as ReservationState;
use selvage_proto::catalogue::v1::{CommitStockRequest, ReleaseStockRequest, ReservationLine, ReserveStockRequest};
use selvage_proto::delivery::v1::delivery_client::DeliveryClient;
use selvage_proto::delivery::v1::{CancelShipmentRequest, CreateShipmentRequest, DeliveryOption, QuoteDeliveryRequest};
use selvage_proto::money::v1::Money;
use selvage_proto::time::millis;
use selvage_rpc::{Channel, on_behalf_of};
use selvage_status::{Error, ErrorCode, Result, field_violations, precondition_subjects, reason};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::domain::order::{Address, Line, NewOrder, Speed};
use crate::domain::refusal::Shortage;

/// The services that checkout calls.
#[derive(Clone)]
pub(crate) struct Shop {
    pub(crate) cart: CartClient<Channel>,
    pub(crate) catalogue: CatalogueClient<Channel>,
    pub(crate) delivery: DeliveryClient<Channel>,
}

/// A cart, as far as an order needs it.
pub(crate) struct Bag {
    pub(crate) lines: Vec<Line>,
    pub(crate) shortages: Vec<Shortage>,
    pub(crate) etag: String,
    pub(crate) grams: i32,
    pub(crate) currency: String,
}

/// What was answered to what a message of an order asked for.
pub(crate) type Answer = std::result::Result<(), Refused>;

/// Why something wasn't done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The parcel has left: it can't be stopped.
    OnItsWay,
    /// Whoever was asked is away, or can't now: asked again later they may do it.
    ForNow(String),
    /// What is asked for is refused for what it is, and will be again.
    ForGood(String),
}

impl From<Status> for Refused {
    fn from(status: Status) -> Self {
        let text = format!("{:?}: {}", status.code(), status.message());
        match (status.code(), reason(&status).as_deref()) {
            (Code::FailedPrecondition, Some("SHIPMENT_ON_ITS_WAY")) => Self::OnItsWay,
            (Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::Unimplemented, _) => {
                Self::ForGood(text)
            }
            _ => Self::ForNow(text),
        }
    }
}

/// What became of setting stock aside.
pub(crate) enum Reserved {
    /// It is, until then (milliseconds since the Unix epoch).
    Until(i64),
    /// These can't be had.
    Short(Vec<Shortage>),
    /// It was given back before: somebody undid the order.
    Released,
}

impl Shop {
    /// The caller's cart with today's prices.
    pub(crate) async fn bag(&self, caller: &Caller) -> Result<Bag> {
        let view = self.cart.clone().get_cart(on_behalf_of(caller, GetCartRequest {})).await?.into_inner();
        let (mut lines, mut shortages, mut grams) = (Vec::new(), Vec::new(), 0_i64);
        for line in view.lines {
            if line.availability() != Availability::Available {
                let why = match line.available {
                    0 => "is sold out".to_owned(),
                    left => format!("only {left} left"),
                };
                shortages.push(Shortage { sku: line.sku.clone(), why });
            }
            let quantity = u32::try_from(line.quantity).ok().filter(|quantity| *quantity > 0);
            let quantity = quantity.ok_or_else(|| missing("a quantity", "a line of the cart"))?;
            let price = line.unit_price.ok_or_else(|| missing("a price", "a line of the cart"))?;
            grams = grams.saturating_add(i64::from(line.grams) * i64::from(quantity));
            lines.push(Line {
                unit_price: price.minor_units,
                sku: line.sku,
                slug: line.slug,
                title: line.title,
                size: line.size,
                colour: line.colour,
                quantity,
                picture_key: line.picture_key,
            });
        }
        let currency = view.subtotal.ok_or_else(|| missing("a subtotal", "the cart"))?.currency;
        Ok(Bag { lines, shortages, etag: view.etag, grams: i32::try_from(grams).unwrap_or(i32::MAX), currency })
    }

    /// The delivery options for goods of that weight and price. With an address, delivery says too whether a parcel can
    /// be sent there: better before the order than after.
    pub(crate) async fn quote(
        &self,
        caller: &Caller,
        country: &str,
        address: Option<&Address>,
        grams: i32,
        subtotal: Money,
    ) -> Result<Vec<DeliveryOption>> {
        let request = QuoteDeliveryRequest {
            country: country.to_owned(),
            grams,
            subtotal: Some(subtotal),
            address: address.map(convert::address),
        };
        match self.delivery.clone().quote_delivery(on_behalf_of(caller, request)).await {
            Ok(response) => Ok(response.into_inner().options),
            Err(status) => match (status.code(), reason(&status).as_deref()) {
                (Code::FailedPrecondition, Some("COUNTRY_NOT_SERVED")) => {
                    Err(Error::precondition("COUNTRY_NOT_SERVED", format!("nothing is delivered to {country}")))
                }
                // Its fields are ours by name, and what is wrong with them is for the buyer.
                (Code::InvalidArgument, _) => {
                    let wrong = Error::new(ErrorCode::InvalidArgument, "this can't be delivered");
                    let fields = field_violations(&status).into_iter();
                    Err(fields.fold(wrong, |error, (field, description)| error.field(field, description)))
                }
                _ => Err(status.into()),
            },
        }
    }

    /// Sets the order's stock aside under its id.
    pub(crate) async fn reserve(&self, order: &NewOrder, hold_seconds: i32) -> Result<Reserved> {
        let lines = order.lines.iter().map(|line| ReservationLine { sku: line.sku.clone(), quantity: pieces(line) });
        let request =
            ReserveStockRequest { reservation_id: order.id.to_string(), lines: lines.collect(), hold_seconds };
        match self.catalogue.clone().reserve_stock(request).await {
            Ok(response) => {
                let reservation = response.into_inner();
                Ok(match reservation.state() {
                    ReservationState::Held => {
                        let until = reservation.expire_time.ok_or_else(|| missing("an end", "a reservation"))?;
                        Reserved::Until(millis(&until))
                    }
                    // Taken off the shelf for this order: it can't lapse any more.
                    ReservationState::Committed => Reserved::Until(i64::MAX),
                    ReservationState::Released | ReservationState::Unspecified => Reserved::Released,
                })
            }
            Err(status) => match (status.code(), reason(&status).as_deref()) {
                (Code::FailedPrecondition, Some("RESERVATION_RELEASED")) => Ok(Reserved::Released),
                (Code::FailedPrecondition, Some("OUT_OF_STOCK")) | (Code::NotFound, _) => {
                    let subjects = precondition_subjects(&status);
                    Ok(Reserved::Short(subjects.into_iter().map(|(sku, why)| Shortage { sku, why }).collect()))
                }
                _ => Err(status.into()),
            },
        }
    }

    pub(crate) async fn commit_stock(&self, order_id: Uuid) -> Answer {
        let request = CommitStockRequest { reservation_id: order_id.to_string() };
        self.catalogue.clone().commit_stock(request).await.map(drop).map_err(Refused::from)
    }

    pub(crate) async fn release_stock(&self, order_id: Uuid) -> Answer {
        let request = ReleaseStockRequest { reservation_id: order_id.to_string() };
        self.catalogue.clone().release_stock(request).await.map(drop).map_err(Refused::from)
    }

    pub(crate) async fn create_shipment(&self, order: &NewOrder) -> Answer {
        let request = CreateShipmentRequest {
            order_id: order.id.to_string(),
            owner: order.owner.clone(),
            address: Some(convert::address(&order.address)),
            speed: convert::speed(order.speed).into(),
            grams: order.grams,
        };
        self.delivery.clone().create_shipment(request).await.map(drop).map_err(Refused::from)
    }

    pub(crate) async fn cancel_shipment(&self, order_id: Uuid) -> Answer {
        let request = CancelShipmentRequest { order_id: order_id.to_string() };
        self.delivery.clone().cancel_shipment(request).await.map(drop).map_err(Refused::from)
    }

    pub(crate) async fn clear_cart(&self, order: &NewOrder) -> Answer {
        let lines = order.lines.iter().map(|line| OrderedLine { sku: line.sku.clone(), quantity: pieces(line) });
        let request = RemoveOrderedLinesRequest {
            order_id: order.id.to_string(),
            owner: order.owner.clone(),
            lines: lines.collect(),
        };
        self.cart.clone().remove_ordered_lines(request).await.map(drop).map_err(Refused::from)
    }
}

/// The price of the option with that speed; `None` if there is none.
///
/// # Errors
/// INTERNAL for an option without a price: that is delivery's mistake, and a parcel isn't free for it.
pub(crate) fn price_of(options: &[DeliveryOption], speed: Speed) -> Result<Option<i64>> {
    let wanted = convert::speed(speed);
    let Some(option) = options.iter().find(|option| option.speed() == wanted) else { return Ok(None) };
    let price = option.price.as_ref().ok_or_else(|| missing("a price", "a delivery option"))?;
    Ok(Some(price.minor_units))
}

/// A peer left out what its contract promises. Nobody guesses it.
fn missing(what: &str, of: &str) -> Error {
    Error::internal(format!("{of} came without {what}"))
}

fn pieces(line: &Line) -> i32 {
    i32::try_from(line.quantity).unwrap_or(i32::MAX)
}
