//! An order and the way of its parcel.

use selvage_proto::checkout::v1::Order;
use selvage_proto::checkout::v1::order::State;
use selvage_proto::delivery::v1::shipment::State as Parcel;
use selvage_proto::delivery::v1::{Shipment, Speed};

use super::checkout::{SummaryLine, percent};
use super::picture::Picture;
use super::{bag, countries, date, money};

/// A step on the parcel's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// In words.
    pub label: &'static str,
    /// When it was reached, for people; empty if it isn't yet.
    pub when: String,
    /// The same for machines.
    pub iso: String,
    /// Where; may be empty.
    pub place: String,
    /// "done", "now" or "next".
    pub progress: &'static str,
}

/// Where an order is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// The order's id.
    pub order_id: String,
    /// In a sentence.
    pub sentence: &'static str,
    /// From the order to the door.
    pub steps: Vec<Step>,
    /// The carrier's number; empty while there is none.
    pub tracking_number: String,
    /// Whether it can still be stopped.
    pub can_be_cancelled: bool,
    /// Whether nothing more will happen.
    pub is_final: bool,
}

const WAY: [(Parcel, &str); 4] = [
    (Parcel::LabelCreated, "Label created"),
    (Parcel::InTransit, "In transit"),
    (Parcel::OutForDelivery, "Out for delivery"),
    (Parcel::Delivered, "Delivered"),
];

impl Tracker {
    /// Of `order`, and of its shipment if there is one.
    pub fn new(order: &Order, shipment: Option<&Shipment>) -> Self {
        let parcel = shipment.map_or(Parcel::Unspecified, Shipment::state);
        let (sentence, is_final) = sentence(order.state(), parcel);
        Self {
            order_id: order.order_id.clone(),
            sentence,
            steps: steps(order, shipment),
            tracking_number: shipment.map(|shipment| shipment.tracking_number.clone()).unwrap_or_default(),
            can_be_cancelled: order.state() == State::Confirmed
                && matches!(parcel, Parcel::Unspecified | Parcel::LabelCreated),
            is_final,
        }
    }
}

/// Where the order is, and whether that is the end.
fn sentence(order: State, parcel: Parcel) -> (&'static str, bool) {
    match (order, parcel) {
        (State::Pending | State::Unspecified, _) => ("We're placing your order.", false),
        (State::Confirmed, Parcel::Unspecified) => ("Confirmed. We're packing your order.", false),
        (State::Confirmed, Parcel::LabelCreated) => ("Packed, and waiting for the carrier.", false),
        (State::Confirmed, Parcel::InTransit) => ("On its way to you.", false),
        (State::Confirmed, Parcel::OutForDelivery) => ("Out for delivery today.", false),
        (State::Confirmed, Parcel::Delivered) => ("Delivered. We hope it fits.", true),
        (State::Confirmed, Parcel::Cancelled) => ("The parcel was stopped.", false),
        (State::OutOfStock, _) => ("Not placed: some of it had sold out. Nothing was charged.", true),
        (State::Declined, _) => ("Not placed: the card was declined. Nothing was charged.", true),
        (State::Undone, _) => ("Not placed: it was interrupted and undone. Nothing was charged.", true),
        (State::Cancelling, _) => ("We're stopping your order.", false),
        (State::Cancelled, _) => ("Cancelled. Your money has been given back.", true),
        (State::Refunding, _) => ("We're giving your money back.", false),
        (State::Refunded, _) => ("Your money has been given back.", true),
    }
}

fn steps(order: &Order, shipment: Option<&Shipment>) -> Vec<Step> {
    let placed = Step {
        label: "Order placed",
        when: date::moment(order.create_time.as_ref()),
        iso: date::iso(order.create_time.as_ref()),
        place: String::new(),
        progress: "done",
    };
    let mut steps = vec![placed];
    let event =
        |state: Parcel| shipment.and_then(|shipment| shipment.events.iter().find(|event| event.state() == state));
    let stopped = !matches!(order.state(), State::Pending | State::Confirmed)
        || shipment.is_some_and(|shipment| shipment.state() == Parcel::Cancelled);
    for (state, label) in WAY {
        let happened = event(state);
        if stopped && happened.is_none() {
            continue;
        }
        steps.push(Step {
            label,
            when: date::moment(happened.and_then(|event| event.time.as_ref())),
            iso: date::iso(happened.and_then(|event| event.time.as_ref())),
            place: happened.map(|event| event.place.clone()).unwrap_or_default(),
            progress: if happened.is_some() { "done" } else { "next" },
        });
    }
    if stopped && let Some(event) = event(Parcel::Cancelled) {
        steps.push(Step {
            label: "Stopped",
            when: date::moment(event.time.as_ref()),
            iso: date::iso(event.time.as_ref()),
            place: event.place.clone(),
            progress: "done",
        });
    }
    // The last that was reached is where it is now.
    if let Some(now) = steps.iter().rposition(|step| step.progress == "done") {
        steps[now].progress = "now";
    }
    steps
}

/// The order's page, but for its tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// As it stands in addresses.
    pub id: String,
    /// What the buyer sees.
    pub number: String,
    /// When it was placed.
    pub day: String,
    /// What was bought.
    pub lines: Vec<SummaryLine>,
    /// The goods.
    pub subtotal: String,
    /// The delivery's price, or "Free".
    pub delivery: String,
    /// The tax in the total; empty if there is none.
    pub tax: String,
    /// "19 %".
    pub tax_rate: String,
    /// All.
    pub total: String,
    /// Where the confirmation went.
    pub email: String,
    /// "Standard" or "Express".
    pub speed: &'static str,
    /// Recipient, lines, city, country.
    pub address: Vec<String>,
    /// "Ada": who is thanked.
    pub first_name: String,
}

impl OrderView {
    /// Of `order`.
    pub fn new(order: &Order) -> Self {
        let amounts = order.amounts.clone().unwrap_or_default();
        let address = order.address.clone().unwrap_or_default();
        let first_name = address.recipient.split_whitespace().next().unwrap_or_default().to_owned();
        let mut lines = vec![address.recipient];
        lines.extend(address.lines);
        lines.push(format!("{} {}", address.postal_code, address.city).trim().to_owned());
        lines.push(countries::name(&address.country).to_owned());
        let free = amounts.delivery.as_ref().is_some_and(|price| price.minor_units == 0);
        Self {
            id: order.order_id.clone(),
            number: order.number.clone(),
            day: date::day(order.create_time.as_ref()),
            lines: order.lines.iter().map(line).collect(),
            subtotal: money::of(amounts.subtotal.as_ref()),
            delivery: if free { "Free".to_owned() } else { money::of(amounts.delivery.as_ref()) },
            tax: money::of(amounts.tax.as_ref().filter(|tax| tax.minor_units > 0)),
            tax_rate: percent(amounts.tax_basis_points),
            total: money::of(amounts.total.as_ref()),
            email: order.email.clone(),
            speed: if order.speed() == Speed::Express { "Express" } else { "Standard" },
            address: lines,
            first_name,
        }
    }
}

fn line(line: &selvage_proto::checkout::v1::OrderLine) -> SummaryLine {
    SummaryLine {
        title: line.title.clone(),
        variant: bag::variant(&line.colour, &line.size),
        quantity: line.quantity,
        total: money::of(line.line_total.as_ref()),
        picture: Picture::of_key(&line.picture_key, "", ""),
    }
}

/// An order in the list of orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// As it stands in addresses.
    pub id: String,
    /// What the buyer sees.
    pub number: String,
    /// When it was placed.
    pub day: String,
    /// Where it is, in a word or two.
    pub state: &'static str,
    /// All.
    pub total: String,
    /// The first few of its lines.
    pub pictures: Vec<Picture>,
    /// Pieces.
    pub pieces: i32,
}

/// Pictures in a row, at most.
const MAX_PICTURES: usize = 4;

impl OrderRow {
    /// Of `order`.
    pub fn new(order: &Order) -> Self {
        let total = order.amounts.as_ref().and_then(|amounts| amounts.total.as_ref());
        Self {
            id: order.order_id.clone(),
            number: order.number.clone(),
            day: date::day(order.create_time.as_ref()),
            state: match order.state() {
                State::Pending | State::Unspecified => "Being placed",
                State::Confirmed => "Confirmed",
                State::OutOfStock | State::Declined | State::Undone => "Not placed",
                State::Cancelling => "Being cancelled",
                State::Cancelled => "Cancelled",
                State::Refunding => "Being refunded",
                State::Refunded => "Refunded",
            },
            total: money::of(total),
            pictures: order.lines.iter().take(MAX_PICTURES).map(|of| line(of).picture).collect(),
            pieces: order.lines.iter().fold(0, |sum, line| sum.saturating_add(line.quantity)),
        }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::Timestamp;
    use selvage_proto::delivery::v1::ShipmentEvent;

    use super::*;

    fn order(state: State) -> Order {
        Order {
            state: state.into(),
            create_time: Some(Timestamp { seconds: 1_795_529_109, nanos: 0 }),
            ..Order::default()
        }
    }

    fn shipment(states: &[Parcel]) -> Shipment {
        let event = |state: &Parcel| ShipmentEvent {
            state: (*state).into(),
            time: Some(Timestamp { seconds: 1_795_530_000, nanos: 0 }),
            place: "Leipzig".into(),
        };
        let state = states.last().copied().unwrap_or_default();
        Shipment { state: state.into(), events: states.iter().map(event).collect(), ..Shipment::default() }
    }

    fn progress(tracker: &Tracker) -> Vec<&str> {
        tracker.steps.iter().map(|step| step.progress).collect()
    }

    #[test]
    fn the_tracker_follows_the_parcel() {
        let tracker = Tracker::new(&order(State::Confirmed), None);
        assert_eq!(progress(&tracker), ["now", "next", "next", "next", "next"]);
        assert!(tracker.can_be_cancelled && !tracker.is_final);
        let parcel = shipment(&[Parcel::LabelCreated, Parcel::InTransit]);
        let tracker = Tracker::new(&order(State::Confirmed), Some(&parcel));
        assert_eq!(progress(&tracker), ["done", "done", "now", "next", "next"]);
        assert!(!tracker.can_be_cancelled && !tracker.is_final);
        let parcel = shipment(&WAY.map(|(state, _)| state));
        let tracker = Tracker::new(&order(State::Confirmed), Some(&parcel));
        assert_eq!(progress(&tracker), ["done", "done", "done", "done", "now"]);
        assert!(tracker.is_final);
    }

    #[test]
    fn a_stopped_order_shows_no_way_that_it_wont_go() {
        let parcel = shipment(&[Parcel::LabelCreated, Parcel::Cancelled]);
        let tracker = Tracker::new(&order(State::Cancelled), Some(&parcel));
        let labels: Vec<_> = tracker.steps.iter().map(|step| step.label).collect();
        assert_eq!(labels, ["Order placed", "Label created", "Stopped"]);
        assert!(tracker.is_final && !tracker.can_be_cancelled);
        assert_eq!(Tracker::new(&order(State::Cancelled), None).steps.len(), 1);
    }

    #[test]
    fn only_states_that_last_are_final() {
        let last = [State::OutOfStock, State::Declined, State::Undone, State::Cancelled, State::Refunded];
        for state in last {
            assert!(Tracker::new(&order(state), None).is_final, "{state:?}");
        }
        for state in [State::Pending, State::Confirmed, State::Cancelling, State::Refunding] {
            assert!(!Tracker::new(&order(state), None).is_final, "{state:?}");
        }
    }
}
