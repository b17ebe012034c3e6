//! Does the messages of orders: asks those who do them, each by the order's id, and stores what came of it.

use std::sync::Arc;

use async_trait::async_trait;
use selvage_context::clock::Clock;
use selvage_outbox::{Failure, Handler, Message};
use selvage_pool::{StoreError, Tx};
use uuid::Uuid;

use super::messages;
use super::topics::{Outcome, Topic, order_of};
use crate::domain::order::Order;
use crate::mail::{Mail, MailError, Mailer, Occasion};
use crate::payment::{Provider, ProviderError};
use crate::peers::{Answer, Refused, Shop};
use crate::store::{self, Settlement, Store};

/// Does the messages of orders.
pub(crate) struct Follow {
    pub(crate) store: Store,
    pub(crate) shop: Shop,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) clock: Clock,
}

#[async_trait]
impl Handler for Follow {
    /// The order that the messages are about, once one of them needed it. What was ordered never changes.
    type Lookups = Option<Order>;
    type Outcome = Outcome;

    async fn handle(&self, message: &Message, lookups: &mut Option<Order>) -> Result<Option<Outcome>, Failure> {
        let topic = Topic::from_word(&message.topic)
            .ok_or_else(|| Failure::Never(format!("there is no topic '{}'", message.topic)))?;
        let id = order_of(message);
        match topic.occasion() {
            // In the mails' own sequence.
            Some(occasion) if id != message.key => {
                self.send_mail(id, occasion, lookups).await?;
                Ok(None)
            }
            _ => topic.outcome(topic.ask(self, id, lookups).await),
        }
    }

    async fn settle(&self, tx: &Tx, key: Uuid, outcomes: &[Outcome]) -> Result<bool, StoreError> {
        let now = self.clock.now_ms();
        let settlements: Vec<_> = outcomes.iter().map(|outcome| messages::settlement(key, *outcome)).collect();
        for settlement in &settlements {
            store::order_settle(tx, key, settlement, now).await?;
        }
        Ok(settlements.iter().any(Settlement::sends))
    }
}

/// How each topic's line in the table of `topics` is done.
impl Follow {
    pub(super) async fn commit_stock(&self, id: Uuid, _: &mut Option<Order>) -> Answer {
        self.shop.commit_stock(id).await
    }

    pub(super) async fn release_stock(&self, id: Uuid, _: &mut Option<Order>) -> Answer {
        self.shop.release_stock(id).await
    }

    pub(super) async fn capture_payment(&self, id: Uuid, _: &mut Option<Order>) -> Answer {
        self.provider.capture(id).await.map_err(Refused::from)
    }

    pub(super) async fn void_payment(&self, id: Uuid, _: &mut Option<Order>) -> Answer {
        self.provider.void(id).await.map_err(Refused::from)
    }

    pub(super) async fn refund_payment(&self, id: Uuid, _: &mut Option<Order>) -> Answer {
        self.provider.refund(id).await.map_err(Refused::from)
    }

    pub(super) async fn create_shipment(&self, id: Uuid, lookups: &mut Option<Order>) -> Answer {
        let order = self.order(id, lookups).await?;
        self.shop.create_shipment(&order.what).await
    }

    pub(super) async fn cancel_shipment(&self, id: Uuid, _: &mut Option<Order>) -> Answer {
        self.shop.cancel_shipment(id).await
    }

    pub(super) async fn clear_cart(&self, id: Uuid, lookups: &mut Option<Order>) -> Answer {
        let order = self.order(id, lookups).await?;
        self.shop.clear_cart(&order.what).await
    }

    /// In an order's sequence nothing is sent: that it is the mail's turn is all, and an outcome.
    pub(super) async fn hand_mail_over(&self, _: Uuid, _: &mut Option<Order>) -> Answer {
        Ok(())
    }

    async fn send_mail(&self, id: Uuid, occasion: Occasion, lookups: &mut Option<Order>) -> Answer {
        let order = self.order(id, lookups).await?;
        match self.mailer.send(Mail::about(order, occasion)).await {
            Ok(()) => Ok(()),
            Err(MailError::Later(why)) => Err(Refused::ForNow(why)),
            // Nothing that anybody here could do about it: the buyer sees the order on its page.
            Err(error @ MailError::Refused(_)) => {
                tracing::warn!(order = %id, ?occasion, error = %error, "a mail is not sent");
                Ok(())
            }
        }
    }

    /// The order, looked up once for all messages of a key.
    async fn order<'a>(&self, id: Uuid, lookups: &'a mut Option<Order>) -> Result<&'a Order, Refused> {
        if let Some(order) = lookups {
            return Ok(order);
        }
        match self.store.order_get(id).await {
            Ok(Some(order)) => Ok(lookups.insert(order)),
            Ok(None) => Err(Refused::ForGood("its order is gone".into())),
            Err(error @ StoreError::Damaged { .. }) => Err(Refused::ForGood(error.to_string())),
            Err(error @ StoreError::Database(_)) => Err(Refused::ForNow(error.to_string())),
        }
    }
}

impl From<ProviderError> for Refused {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Refused(_) => Self::ForGood(error.to_string()),
            ProviderError::Unknown(_) => Self::ForNow(error.to_string()),
        }
    }
}
