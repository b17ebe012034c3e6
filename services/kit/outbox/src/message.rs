use sea_orm::entity::prelude::*;

/// A message to be enqueued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Messages of one key are done in sequence.
    pub key: Uuid,
    /// What is to be done, a short constant.
    pub topic: &'static str,
    /// What the handler needs for it; may be empty.
    pub payload: Vec<u8>,
}

/// A message that was enqueued. `position` orders the messages of a key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox_messages")]
pub struct Model {
    /// Grows with each message; the messages of a key are done in this order.
    #[sea_orm(primary_key)]
    pub position: i64,
    /// Messages of one key are done in sequence.
    pub key: Uuid,
    /// What is to be done.
    pub topic: String,
    /// What the handler needs for it.
    pub payload: Vec<u8>,
    /// W3C trace context of the transaction that enqueued it, to which the relay's work is connected.
    pub traceparent: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Not to be done before; a claim moves it on by the claim's lease.
    pub next_at: i64,
    /// How often it was tried.
    pub attempts: i32,
    /// Given up on.
    pub dead: bool,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// A message that was enqueued.
pub type Message = Model;

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
