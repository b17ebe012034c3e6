//! The messages of orders. Each has one line in the table below: its topic, who is asked to do it, what its being done means
//! for the order, and what its being left undone means, should somebody discard it. Nothing else is to be registered.
//! The order of the lines means nothing: [`super::messages`] says which messages follow each other.
//!
//! **Each message, done a second time after any that follow it, is answered as the first time**; `saga::model` goes through
//! all that may follow each.

use selvage_outbox::{Failure, Message, Outgoing};
use uuid::Uuid;

use super::relay::Follow;
use crate::domain::order::Order;
use crate::mail::Occasion;
use crate::peers::{Answer, Refused};

/// What a done message means for the order that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The money was taken.
    Captured,
    /// The money won't be taken: somebody decided so.
    NotCaptured,
    /// The money went back, or what was set aside was given up.
    Refunded,
    /// The parcel won't leave.
    ShipmentCancelled,
    /// The parcel has left already, or nobody stops it.
    TooLateToCancel,
    /// It is this mail's turn.
    MailDue(Occasion),
}

macro_rules! topics {
    ($($(#[$doc:meta])* $topic:ident = $word:literal, asks $ask:path, done $done:expr, left $left:expr;)*) => {
        /// What a message asks for. The word of a topic never changes its meaning: messages of the version before wait.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Topic { $($(#[$doc])* $topic,)* }

        impl Topic {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$topic,)*];

            /// The word that is stored.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$topic => $word,)* }
            }

            /// What its being done means.
            fn done(self) -> Option<Outcome> {
                match self { $(Self::$topic => $done,)* }
            }

            /// What it means that it is never done, for somebody has discarded it.
            pub(crate) fn left_undone(self) -> Option<Outcome> {
                match self { $(Self::$topic => $left,)* }
            }

            /// Has it done for the order `id`.
            pub(super) async fn ask(self, follow: &Follow, id: Uuid, lookups: &mut Option<Order>) -> Answer {
                match self { $(Self::$topic => $ask(follow, id, lookups).await,)* }
            }
        }
    };
}

topics! {
    /// Takes the order's stock off the shelf.
    CommitStock = "commit_stock", asks Follow::commit_stock, done None, left None;
    /// Gives the order's stock back, from the shelf or to it.
    ReleaseStock = "release_stock", asks Follow::release_stock, done None, left None;
    /// Takes the money that is set aside.
    CapturePayment = "capture_payment", asks Follow::capture_payment,
        done Some(Outcome::Captured), left Some(Outcome::NotCaptured);
    /// Gives up the money that is set aside, or may yet be.
    VoidPayment = "void_payment", asks Follow::void_payment, done None, left None;
    /// Gives the money back. Who discards it has given it back by another way, or won't.
    RefundPayment = "refund_payment", asks Follow::refund_payment,
        done Some(Outcome::Refunded), left Some(Outcome::Refunded);
    /// Has the parcel made.
    CreateShipment = "create_shipment", asks Follow::create_shipment, done None, left None;
    /// Has the parcel stopped, if it hasn't left.
    CancelShipment = "cancel_shipment", asks Follow::cancel_shipment,
        done Some(Outcome::ShipmentCancelled), left Some(Outcome::TooLateToCancel);
    /// Takes what was ordered out of the buyer's cart.
    ClearCart = "clear_cart", asks Follow::clear_cart, done None, left None;
    /// Says that the order is placed.
    MailConfirmed = "mail_confirmed", asks Follow::hand_mail_over,
        done Some(Outcome::MailDue(Occasion::Confirmed)), left None;
    /// Says that it is cancelled.
    MailCancelled = "mail_cancelled", asks Follow::hand_mail_over,
        done Some(Outcome::MailDue(Occasion::Cancelled)), left None;
    /// Says that the money goes back.
    MailRefunded = "mail_refunded", asks Follow::hand_mail_over,
        done Some(Outcome::MailDue(Occasion::Refunded)), left None;
    /// Says that it couldn't be stopped.
    MailOnItsWay = "mail_on_its_way", asks Follow::hand_mail_over,
        done Some(Outcome::MailDue(Occasion::OnItsWay)), left None;
}

impl Topic {
    /// The topic that a stored word means.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|topic| topic.word() == word)
    }

    /// The mail about an occasion.
    pub(super) fn of_mail(occasion: Occasion) -> Self {
        match occasion {
            Occasion::Confirmed => Self::MailConfirmed,
            Occasion::Cancelled => Self::MailCancelled,
            Occasion::Refunded => Self::MailRefunded,
            Occasion::OnItsWay => Self::MailOnItsWay,
        }
    }

    /// What it is a mail about.
    pub(super) fn occasion(self) -> Option<Occasion> {
        match self.done() {
            Some(Outcome::MailDue(occasion)) => Some(occasion),
            _ => None,
        }
    }

    /// The message of an order. The order's row says all that is needed to do it, so it carries nothing.
    pub(super) fn of_order(self, order_id: Uuid) -> Outgoing {
        Outgoing { key: order_id, topic: self.word(), payload: Vec::new() }
    }

    /// What the answer of whoever was asked means.
    ///
    /// # Errors
    /// [`Failure::Later`] for whoever is away, [`Failure::Never`] for what is refused for good.
    pub(super) fn outcome(self, answer: Answer) -> Result<Option<Outcome>, Failure> {
        match (self, answer) {
            (_, Ok(())) => Ok(self.done()),
            (Self::CancelShipment, Err(Refused::OnItsWay)) => Ok(Some(Outcome::TooLateToCancel)),
            (_, Err(refused)) => Err(refused.into()),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::ForNow(why) => Self::Later(why),
            Refused::ForGood(why) => Self::Never(why),
            Refused::OnItsWay => Self::Never("the parcel is on its way".into()),
        }
    }
}

/// A mail whose turn among its order's messages has come. It goes under a key of its own: an order's mails are sent in
/// order, and hold up nothing but each other. Money never waits for a mail.
pub(super) fn mail(order_id: Uuid, occasion: Occasion) -> Outgoing {
    // With its variant bit changed, an id is none that anybody makes.
    let key = Uuid::from_u128(order_id.as_u128() ^ (1 << 63));
    Outgoing { key, topic: Topic::of_mail(occasion).word(), payload: order_id.as_bytes().to_vec() }
}

/// The order that a message is about: its key, unless it says otherwise.
pub(crate) fn order_of(message: &Message) -> Uuid {
    Uuid::from_slice(&message.payload).unwrap_or(message.key)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn words_are_read_back_and_stand_for_one_topic_each() {
        for topic in Topic::ALL {
            assert_eq!(Topic::from_word(topic.word()), Some(*topic));
        }
        let words: BTreeSet<_> = Topic::ALL.iter().map(|topic| topic.word()).collect();
        assert_eq!(words.len(), Topic::ALL.len());
        assert_eq!(Topic::from_word("of a newer version"), None);
    }

    #[test]
    fn each_occasion_has_its_mail() {
        for occasion in [Occasion::Confirmed, Occasion::Cancelled, Occasion::Refunded, Occasion::OnItsWay] {
            assert_eq!(Topic::of_mail(occasion).occasion(), Some(occasion));
        }
        assert_eq!(Topic::CapturePayment.occasion(), None);
    }

    #[test]
    fn an_answer_is_an_outcome_or_a_failure() {
        let refused = |refused: Refused| Err(refused);
        for topic in Topic::ALL.iter().copied() {
            assert_eq!(topic.outcome(Ok(())), Ok(topic.done()), "{topic:?}");
            let (now, good) = (Refused::ForNow("away".into()), Refused::ForGood("no".into()));
            assert_eq!(topic.outcome(refused(now)), Err(Failure::Later("away".into())), "{topic:?}");
            assert_eq!(topic.outcome(refused(good)), Err(Failure::Never("no".into())), "{topic:?}");
            let left = topic.outcome(refused(Refused::OnItsWay));
            if topic == Topic::CancelShipment {
                assert_eq!(left, Ok(Some(Outcome::TooLateToCancel)));
            } else {
                assert!(matches!(left, Err(Failure::Never(_))), "{topic:?}");
            }
        }
    }

    #[test]
    fn a_mail_has_a_key_of_its_own_and_says_whose_it_is() {
        let order = Uuid::now_v7();
        assert_ne!(mail(order, Occasion::Refunded).key, mail(Uuid::now_v7(), Occasion::Refunded).key);
        let mail = mail(order, Occasion::Refunded);
        assert_ne!(mail.key, order);
        assert_eq!((mail.topic, mail.payload.as_slice()), ("mail_refunded", &order.as_bytes()[..]));
        let stored = |outgoing: Outgoing| Message {
            position: 1,
            number: Some(1),
            key: outgoing.key,
            topic: outgoing.topic.into(),
            payload: outgoing.payload,
            traceparent: None,
            created_at: 0,
            next_at: 0,
            attempts: 0,
            dead: false,
            behind: false,
            last_error: None,
        };
        assert_eq!(order_of(&stored(mail)), order);
        assert_eq!(order_of(&stored(Topic::ClearCart.of_order(order))), order);
    }
}
