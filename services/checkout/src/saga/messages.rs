//! The messages that follow from an order's states.

use selvage_outbox::{Message, Outgoing};
use uuid::Uuid;

use crate::domain::order::{NewOrder, PaymentState, State};
use crate::domain::refusal::Refusal;
use crate::mail::Occasion;
use crate::store::Change;

/// What a message asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topic {
    CommitStock,
    ReleaseStock,
    CapturePayment,
    VoidPayment,
    RefundPayment,
    CreateShipment,
    CancelShipment,
    ClearCart,
    Mail(Occasion),
}

impl Topic {
    const ALL: [Self; 12] = [
        Self::CommitStock,
        Self::ReleaseStock,
        Self::CapturePayment,
        Self::VoidPayment,
        Self::RefundPayment,
        Self::CreateShipment,
        Self::CancelShipment,
        Self::ClearCart,
        Self::Mail(Occasion::Confirmed),
        Self::Mail(Occasion::Cancelled),
        Self::Mail(Occasion::Refunded),
        Self::Mail(Occasion::OnItsWay),
    ];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::CommitStock => "commit_stock",
            Self::ReleaseStock => "release_stock",
            Self::CapturePayment => "capture_payment",
            Self::VoidPayment => "void_payment",
            Self::RefundPayment => "refund_payment",
            Self::CreateShipment => "create_shipment",
            Self::CancelShipment => "cancel_shipment",
            Self::ClearCart => "clear_cart",
            Self::Mail(Occasion::Confirmed) => "mail_confirmed",
            Self::Mail(Occasion::Cancelled) => "mail_cancelled",
            Self::Mail(Occasion::Refunded) => "mail_refunded",
            Self::Mail(Occasion::OnItsWay) => "mail_on_its_way",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.word() == word)
    }
}

fn messages(order_id: Uuid, topics: &[Topic]) -> Vec<Outgoing> {
    // The order's row says all that a handler needs, so messages carry no copy of it. A mail among them is handed over
    // when its turn has come; see `mail`.
    topics.iter().map(|topic| Outgoing { key: order_id, topic: topic.word(), payload: Vec::new() }).collect()
}

/// A mail whose turn among its order's messages has come. It goes under a key of its own: an order's mails are sent in
/// order, and hold up nothing but each other. Money never waits for a mail.
pub(super) fn mail(order_id: Uuid, occasion: Occasion) -> Outgoing {
    // With its variant bit changed, an id is none that anybody makes.
    let key = Uuid::from_u128(order_id.as_u128() ^ (1 << 63));
    Outgoing { key, topic: Topic::Mail(occasion).word(), payload: order_id.as_bytes().to_vec() }
}

/// The order that a message is about: its key, unless it says otherwise.
pub(crate) fn order_of(message: &Message) -> Uuid {
    Uuid::from_slice(&message.payload).unwrap_or(message.key)
}

/// The order is placed.
pub(super) fn confirmed(order: &NewOrder) -> Change {
    let topics = [
        Topic::CommitStock,
        Topic::CapturePayment,
        Topic::CreateShipment,
        Topic::Mail(Occasion::Confirmed),
        Topic::ClearCart,
    ];
    Change { payment: Some(PaymentState::Authorised), refusal: None, messages: messages(order.id, &topics) }
}

/// How far an order had come when it was refused: what must be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// Catalogue refused the stock: nothing is set aside anywhere.
    Nothing,
    /// Stock may be set aside.
    Stock,
    /// A payment may be authorised.
    Payment,
}

/// The order is refused or undone. Undoing what may not have been done is safe: both undo messages leave a mark with
/// which a request that is still on its way is refused.
pub(super) fn refused(order: &NewOrder, refusal: Refusal, reached: Reached) -> (State, Change) {
    let state = match refusal {
        Refusal::OutOfStock { .. } => State::OutOfStock,
        Refusal::PaymentDeclined => State::Declined,
        Refusal::ReservationLapsed | Refusal::Interrupted => State::Undone,
    };
    let (topics, payment): (&[Topic], _) = match reached {
        Reached::Nothing => (&[], None),
        Reached::Stock => (&[Topic::ReleaseStock], None),
        Reached::Payment => (&[Topic::VoidPayment, Topic::ReleaseStock], Some(PaymentState::Voided)),
    };
    (state, Change { payment, refusal: Some(refusal), messages: messages(order.id, topics) })
}

/// The buyer wants it stopped.
pub(crate) fn cancelling(order_id: Uuid) -> Change {
    Change { messages: messages(order_id, &[Topic::CancelShipment]), ..Change::default() }
}

/// Delivery stopped it.
pub(super) fn cancelled(order_id: Uuid) -> Change {
    let topics = [Topic::RefundPayment, Topic::ReleaseStock, Topic::Mail(Occasion::Cancelled)];
    Change { messages: messages(order_id, &topics), ..Change::default() }
}

/// Delivery couldn't stop it.
pub(super) fn on_its_way(order_id: Uuid) -> Change {
    Change { messages: messages(order_id, &[Topic::Mail(Occasion::OnItsWay)]), ..Change::default() }
}

/// Somebody gives the money back.
pub(crate) fn refunding(order_id: Uuid) -> Change {
    let topics = [Topic::RefundPayment, Topic::Mail(Occasion::Refunded)];
    Change { messages: messages(order_id, &topics), ..Change::default() }
}
