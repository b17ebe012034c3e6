//! Payment providers. Card numbers never come here, only tokens that the provider gave the page; and everything is asked
//! for by the order's id, so that an answer that was lost can be asked for again.

mod observed;
mod test_provider;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::recovery::Authorisation;

pub(crate) use observed::Observed;
pub use test_provider::TestProvider;

/// What is to be set aside.
#[derive(Clone)]
pub struct Authorise {
    /// The order it is for; the provider's idempotency key.
    pub order_id: Uuid,
    /// Minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The payment method's token.
    pub token: String,
}

/// A provider's answer to an authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The amount is set aside.
    Approved,
    /// No.
    Declined,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// Whether it was done isn't known: ask again by the order's id.
    #[error("the payment provider didn't answer: {0}")]
    Unknown(String),
    /// It can't be done, now or later.
    #[error("the payment provider refused: {0}")]
    Refused(String),
}

/// A payment provider. All calls are idempotent by order id, and none is made while a database connection is held.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Sets an amount aside on the buyer's card.
    async fn authorise(&self, request: Authorise) -> Result<Answer, ProviderError>;
    /// What the provider knows of an order.
    async fn lookup(&self, order_id: Uuid) -> Result<Authorisation, ProviderError>;
    /// Takes what was set aside.
    async fn capture(&self, order_id: Uuid) -> Result<(), ProviderError>;
    /// Gives up what was set aside. An order that the provider doesn't know is refused from then on.
    async fn void(&self, order_id: Uuid) -> Result<(), ProviderError>;
    /// Gives back what was taken; before that it voids.
    async fn refund(&self, order_id: Uuid) -> Result<(), ProviderError>;
}
