//! What follows from an order's states, and from its messages being done: pure, so that the model of an order's life goes by
//! the same rules as the shop.

use selvage_outbox::Outgoing;
use uuid::Uuid;

use super::topics::{Outcome, Topic, mail};
use crate::domain::order::{PaymentState, State};
use crate::domain::recovery::{Remedy, Step};
use crate::domain::refusal::Refusal;
use crate::store::{Change, Settlement};

fn messages(order_id: Uuid, topics: &[Topic]) -> Vec<Outgoing> {
    topics.iter().map(|topic| topic.of_order(order_id)).collect()
}

/// The order is placed.
pub(super) fn confirmed(order_id: Uuid) -> Change {
    let topics =
        [Topic::CommitStock, Topic::CapturePayment, Topic::CreateShipment, Topic::MailConfirmed, Topic::ClearCart];
    Change { payment: Some(PaymentState::Authorised), refusal: None, messages: messages(order_id, &topics) }
}

/// What must be undone of an order that is refused, by how far it had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undo {
    /// Catalogue refused the stock: nothing is set aside anywhere.
    Nothing,
    /// Stock may be set aside.
    Stock,
    /// Stock may be set aside, and a payment authorised.
    StockAndPayment,
}

/// What is to become of a pending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is placed.
    Confirm,
    /// It comes to nothing.
    Refuse(Refusal, Undo),
    /// Nobody knows yet; the sweep asks again.
    AskAgain,
}

impl Decision {
    /// What a step means: whatever may have been set aside by then is undone.
    pub(super) fn of(step: Step) -> Self {
        match step {
            Step::Confirm => Self::Confirm,
            Step::AskAgain => Self::AskAgain,
            Step::Decline => Self::Refuse(Refusal::PaymentDeclined, Undo::Stock),
            Step::Undo => Self::Refuse(Refusal::Interrupted, Undo::StockAndPayment),
            Step::Lapse => Self::Refuse(Refusal::ReservationLapsed, Undo::StockAndPayment),
        }
    }
}

/// The order is refused or undone. Undoing what may not have been done is safe: both undo messages leave a mark with
/// which a request that is still on its way is refused.
pub(super) fn refused(order_id: Uuid, refusal: Refusal, undo: Undo) -> (State, Change) {
    let state = match refusal {
        Refusal::OutOfStock { .. } => State::OutOfStock,
        Refusal::PaymentDeclined => State::Declined,
        Refusal::ReservationLapsed | Refusal::Interrupted => State::Undone,
    };
    let (topics, payment): (&[Topic], _) = match undo {
        Undo::Nothing => (&[], None),
        Undo::Stock => (&[Topic::ReleaseStock], None),
        Undo::StockAndPayment => (&[Topic::VoidPayment, Topic::ReleaseStock], Some(PaymentState::Voided)),
    };
    (state, Change { payment, refusal: Some(refusal), messages: messages(order_id, topics) })
}

/// The buyer wants it stopped.
pub(crate) fn cancelling(order_id: Uuid) -> Change {
    Change { messages: messages(order_id, &[Topic::CancelShipment]), ..Change::default() }
}

/// Delivery stopped it.
fn cancelled(order_id: Uuid) -> Change {
    let topics = [Topic::RefundPayment, Topic::ReleaseStock, Topic::MailCancelled];
    Change { messages: messages(order_id, &topics), ..Change::default() }
}

/// Delivery couldn't stop it.
fn on_its_way(order_id: Uuid) -> Change {
    Change { messages: messages(order_id, &[Topic::MailOnItsWay]), ..Change::default() }
}

/// Somebody gives the money back.
pub(crate) fn refunding(order_id: Uuid) -> Change {
    let topics = [Topic::RefundPayment, Topic::MailRefunded];
    Change { messages: messages(order_id, &topics), ..Change::default() }
}

/// What an order that stands still, and of which no message is left, is given anew. All of it may have been done before.
pub(super) fn remedied(order_id: Uuid, remedy: Remedy) -> Vec<Outgoing> {
    match remedy {
        Remedy::Nothing => Vec::new(),
        Remedy::CancelAgain => messages(order_id, &[Topic::CancelShipment]),
        Remedy::RefundAgain => messages(order_id, &[Topic::RefundPayment]),
        Remedy::RefundAndReleaseAgain => messages(order_id, &[Topic::RefundPayment, Topic::ReleaseStock]),
    }
}

/// What an outcome of an order's message changes.
pub(crate) fn settlement(order_id: Uuid, outcome: Outcome) -> Settlement {
    let none = Settlement::default();
    match outcome {
        Outcome::Captured => Settlement { payment: Some(PaymentState::Captured), ..none },
        Outcome::NotCaptured => Settlement { payment: Some(PaymentState::Voided), ..none },
        Outcome::Refunded => {
            // Of a cancelled order this is the last word on money, and of its state it was said already.
            let step = Some(((State::Refunding, State::Refunded), Change::default()));
            Settlement { payment: Some(PaymentState::Refunded), step, ..none }
        }
        Outcome::ShipmentCancelled => {
            Settlement { step: Some(((State::Cancelling, State::Cancelled), cancelled(order_id))), ..none }
        }
        Outcome::TooLateToCancel => {
            Settlement { step: Some(((State::Cancelling, State::OnItsWay), on_its_way(order_id))), ..none }
        }
        Outcome::MailDue(occasion) => Settlement { messages: vec![mail(order_id, occasion)], ..none },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Uuid = Uuid::from_u128(7);

    fn topics(messages: &[Outgoing]) -> Vec<&'static str> {
        assert!(messages.iter().all(|message| message.key == ORDER && message.payload.is_empty()));
        messages.iter().map(|message| message.topic).collect()
    }

    #[test]
    fn what_may_have_been_set_aside_is_given_back_and_nothing_else() {
        let undone = |step| match Decision::of(step) {
            Decision::Refuse(refusal, undo) => refused(ORDER, refusal, undo),
            decision => panic!("{decision:?}"),
        };
        for (step, state, payment, messages) in [
            (Step::Decline, State::Declined, None, vec!["release_stock"]),
            (Step::Undo, State::Undone, Some(PaymentState::Voided), vec!["void_payment", "release_stock"]),
            (Step::Lapse, State::Undone, Some(PaymentState::Voided), vec!["void_payment", "release_stock"]),
        ] {
            let (became, change) = undone(step);
            assert_eq!((became, change.payment), (state, payment), "{step:?}");
            assert!(change.refusal.is_some());
            assert_eq!(topics(&change.messages), messages, "{step:?}");
        }
        let (state, change) = refused(ORDER, Refusal::OutOfStock { shortages: Vec::new() }, Undo::Nothing);
        assert_eq!((state, change.payment, change.messages.len()), (State::OutOfStock, None, 0));
        assert_eq!(
            (Decision::of(Step::Confirm), Decision::of(Step::AskAgain)),
            (Decision::Confirm, Decision::AskAgain)
        );
    }

    /// Stock and money before the parcel, the parcel before the mail that speaks of it.
    #[test]
    fn a_confirmed_orders_messages_have_this_sequence() {
        let expected = ["commit_stock", "capture_payment", "create_shipment", "mail_confirmed", "clear_cart"];
        assert_eq!(topics(&confirmed(ORDER).messages), expected);
    }

    #[test]
    fn an_outcome_is_one_step_and_what_follows_from_it() {
        let all = [
            (Outcome::Captured, Some(PaymentState::Captured), None, vec![]),
            (Outcome::NotCaptured, Some(PaymentState::Voided), None, vec![]),
            (Outcome::Refunded, Some(PaymentState::Refunded), Some((State::Refunding, State::Refunded)), vec![]),
            (
                Outcome::ShipmentCancelled,
                None,
                Some((State::Cancelling, State::Cancelled)),
                vec!["refund_payment", "release_stock", "mail_cancelled"],
            ),
            (Outcome::TooLateToCancel, None, Some((State::Cancelling, State::OnItsWay)), vec!["mail_on_its_way"]),
        ];
        for (outcome, payment, step, messages) in all {
            let settlement = settlement(ORDER, outcome);
            assert_eq!(settlement.payment, payment, "{outcome:?}");
            assert_eq!(settlement.step.as_ref().map(|(step, _)| *step), step, "{outcome:?}");
            assert!(step.is_none_or(|(from, to)| from.may_become(to)), "{outcome:?}");
            let change = settlement.step.as_ref().map(|(_, change)| topics(&change.messages)).unwrap_or_default();
            assert_eq!(change, messages, "{outcome:?}");
            assert_eq!(settlement.sends(), !messages.is_empty(), "{outcome:?}");
            assert_eq!(settlement.messages, [], "{outcome:?}");
        }
        let due = settlement(ORDER, Outcome::MailDue(crate::mail::Occasion::Confirmed));
        assert_eq!((due.messages.len(), due.payment, due.sends()), (1, None, true));
    }

    #[test]
    fn a_remedy_is_what_the_orders_state_asks_for() {
        for (remedy, messages) in [
            (Remedy::Nothing, vec![]),
            (Remedy::CancelAgain, vec!["cancel_shipment"]),
            (Remedy::RefundAgain, vec!["refund_payment"]),
            (Remedy::RefundAndReleaseAgain, vec!["refund_payment", "release_stock"]),
        ] {
            assert_eq!(topics(&remedied(ORDER, remedy)), messages, "{remedy:?}");
        }
    }
}
