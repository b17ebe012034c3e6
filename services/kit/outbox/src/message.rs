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

/// A message that was enqueued.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox_messages")]
pub struct Model {
    /// Tells it from all others, whether they are still there or not. The database makes it, and says nothing of order by it:
    /// CockroachDB and YugabyteDB give each node numbers of its own.
    #[sea_orm(primary_key)]
    pub position: i64,
    /// Its turn among its key's messages; of two with the same, enqueued by transactions at the same moment, the one with
    /// the lower position comes first. `None`: an earlier version enqueued it, whose turn was its position.
    pub number: Option<i64>,
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
    /// Not to be done before; a claim moves it on by the claim's lease. Milliseconds since the Unix epoch.
    pub next_at: i64,
    /// How often it was tried.
    pub attempts: i32,
    /// Given up on.
    pub dead: bool,
    /// Not looked at by claims, for another message of its key comes first, with which it is done. Whoever removes that one and
    /// leaves this frees it. `false` says nothing: of messages that are enqueued together, the first isn't marked.
    pub behind: bool,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// A message that was enqueued.
pub type Message = Model;

/// A message that the relay gave up on.
pub type DeadLetter = Model;

/// None.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
