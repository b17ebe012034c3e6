//! What follows from an order's states, message by message. Each is idempotent at the other end by the order's id.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::DbErr;
use selvage_context::clock::Clock;
use selvage_outbox::{Failure, Handler, Message, enqueue};
use selvage_pool::Tx;
use tonic::{Code, Status};
use uuid::Uuid;

use super::messages::{self, Topic};
use super::peers::Shop;
use crate::domain::order::{Order, PaymentState, State};
use crate::mail::{Mail, MailError, Mailer, Occasion};
use crate::payment::{Provider, ProviderError};
use crate::store::{self, Store};

/// Does the messages of orders.
pub(crate) struct Follow {
    pub(crate) store: Store,
    pub(crate) shop: Shop,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) mailer: Arc<dyn Mailer>,
    pub(crate) clock: Clock,
}

/// What a done message means for the order's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Captured,
    Refunded,
    ShipmentCancelled,
    TooLateToCancel,
    MailDue(Occasion),
}

#[async_trait]
impl Handler for Follow {
    /// The order that the messages are about, once one of them needed it. What was ordered never changes.
    type Known = Option<Order>;
    type Done = Done;

    async fn handle(&self, message: &Message, known: &mut Option<Order>) -> Result<Option<Done>, Failure> {
        let topic = Topic::from_word(&message.topic)
            .ok_or_else(|| Failure::Never(format!("there is no topic '{}'", message.topic)))?;
        let id = messages::order_of(message);
        match topic {
            Topic::CommitStock => self.shop.commit_stock(id).await.map_err(of_peer)?,
            Topic::ReleaseStock => self.shop.release_stock(id).await.map_err(of_peer)?,
            Topic::VoidPayment => self.provider.void(id).await.map_err(of_provider)?,
            Topic::CapturePayment => {
                self.provider.capture(id).await.map_err(of_provider)?;
                return Ok(Some(Done::Captured));
            }
            Topic::RefundPayment => {
                self.provider.refund(id).await.map_err(of_provider)?;
                return Ok(Some(Done::Refunded));
            }
            Topic::CreateShipment => {
                let order = self.order(id, known).await?;
                self.shop.create_shipment(&order.what).await.map_err(of_peer)?;
            }
            Topic::CancelShipment => {
                return match self.shop.cancel_shipment(id).await {
                    Ok(()) => Ok(Some(Done::ShipmentCancelled)),
                    Err(status) if status.code() == Code::FailedPrecondition => Ok(Some(Done::TooLateToCancel)),
                    Err(status) => Err(of_peer(status)),
                };
            }
            Topic::ClearCart => {
                let order = self.order(id, known).await?;
                self.shop.clear_cart(&order.what).await.map_err(of_peer)?;
            }
            Topic::Mail(occasion) if id == message.key => return Ok(Some(Done::MailDue(occasion))),
            Topic::Mail(occasion) => {
                let order = self.order(id, known).await?;
                match self.mailer.send(Mail::about(order, occasion)).await {
                    Ok(()) => {}
                    Err(MailError::Later(why)) => return Err(Failure::Later(why)),
                    // Nothing that anybody here could do about it: the buyer sees the order on its page.
                    Err(error @ MailError::Refused(_)) => {
                        tracing::warn!(order = %id, ?occasion, error = %error, "a mail is not sent");
                    }
                }
            }
        }
        Ok(None)
    }

    async fn settle(&self, tx: &Tx, key: Uuid, done: &[Done]) -> Result<bool, DbErr> {
        let now = self.clock.now_ms();
        for done in done {
            match done {
                Done::Captured => store::payment_set(tx, key, PaymentState::Captured, now).await?,
                Done::Refunded => {
                    store::payment_set(tx, key, PaymentState::Refunded, now).await?;
                    // Of a cancelled order this was the last word on money already.
                    let nothing = store::Change::default();
                    advance(tx, key, (State::Refunding, State::Refunded), &nothing, now).await?;
                }
                Done::ShipmentCancelled => {
                    let change = messages::cancelled(key);
                    advance(tx, key, (State::Cancelling, State::Cancelled), &change, now).await?;
                }
                Done::TooLateToCancel => {
                    let change = messages::on_its_way(key);
                    advance(tx, key, (State::Cancelling, State::OnItsWay), &change, now).await?;
                }
                Done::MailDue(occasion) => enqueue(tx, now, [messages::mail(key, *occasion)]).await?,
            }
        }
        Ok(done.iter().any(|done| !matches!(done, Done::Captured | Done::Refunded)))
    }
}

impl Follow {
    /// The order, looked up once for all messages of a key.
    async fn order<'a>(&self, id: Uuid, known: &'a mut Option<Order>) -> Result<&'a Order, Failure> {
        if let Some(order) = known {
            return Ok(order);
        }
        match self.store.order_get(id).await {
            Ok(Some(order)) => Ok(known.insert(order)),
            Ok(None) => Err(Failure::Never("its order is gone".into())),
            Err(error) => Err(Failure::Later(error.to_string())),
        }
    }
}

/// Counted before it is committed: a transaction that is done again is counted again.
async fn advance(tx: &Tx, id: Uuid, step: (State, State), change: &store::Change, now_ms: i64) -> Result<(), DbErr> {
    if store::order_advance(tx, id, step, change, now_ms).await? {
        store::meter::changed(step.1);
    }
    Ok(())
}

/// A peer that refuses our request for what it is will refuse it again.
fn of_peer(status: Status) -> Failure {
    let text = format!("{:?}: {}", status.code(), status.message());
    match status.code() {
        Code::InvalidArgument | Code::FailedPrecondition | Code::AlreadyExists | Code::Unimplemented => {
            Failure::Never(text)
        }
        _ => Failure::Later(text),
    }
}

fn of_provider(error: ProviderError) -> Failure {
    match error {
        ProviderError::Refused(_) => Failure::Never(error.to_string()),
        ProviderError::Unknown(_) => Failure::Later(error.to_string()),
    }
}
