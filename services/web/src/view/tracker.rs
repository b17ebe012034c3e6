//! The way of an order's parcel, from the shop to the door.

use selvage_proto::checkout::v1::Order;
use selvage_proto::checkout::v1::order::State;
use selvage_proto::delivery::v1::Shipment;
use selvage_proto::delivery::v1::shipment::State as Parcel;

use super::date;

/// A step on the parcel's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happens in it.
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

/// Where an order is, and the way that its parcel has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// The order's id.
    pub order_id: String,
    /// Where the order is, in a sentence.
    pub sentence: &'static str,
    /// What happened so far and what is next, in order.
    pub steps: Vec<Step>,
    /// The carrier's number; empty while there is none.
    pub tracking_number: String,
    /// Whether the order can still be cancelled.
    pub can_be_cancelled: bool,
    /// Whether nothing more will happen.
    pub is_final: bool,
}

/// The states of a parcel that arrives, in their order, with their labels.
const WAY: [(Parcel, &str); 4] = [
    (Parcel::LabelCreated, "Label created"),
    (Parcel::InTransit, "In transit"),
    (Parcel::OutForDelivery, "Out for delivery"),
    (Parcel::Delivered, "Delivered"),
];

impl Tracker {
    /// The tracker of `order`, and of its shipment if there is one.
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
    // The parcel is at the last step that was reached.
    if let Some(now) = steps.iter().rposition(|step| step.progress == "done") {
        steps[now].progress = "now";
    }
    steps
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
