//! A transactional outbox. What must happen *because* a transaction committed is written down in that transaction
//! ([`enqueue`]) and done afterwards by a [`Relay`], at least once, in order for each key.
//!
//! - The unit of work is a key (an order): all its messages are done one after the other, never two at a time, by
//!   whichever relay claimed it. Several relays share the keys by `FOR UPDATE SKIP LOCKED`; SQLite has one process and so
//!   one relay.
//! - A claim is a lease in the database, not an open transaction: handlers make network calls, and no connection is held
//!   across one. A relay that dies loses its lease, and another does the messages again: handlers are idempotent. One
//!   that is late stores nothing: it looks first whether its claim is still its own.
//! - What a handler learns is stored in the transaction that removes its messages ([`Handler::settle`]); where it learns
//!   nothing, removing them is one statement, and so is a claim.
//! - A message that fails is tried again with growing pauses; after [`MAX_ATTEMPTS`], or when its handler says that
//!   trying is useless, it is a dead letter. It holds up its key, and only that, until somebody retries or discards it.

mod message;
mod meter;
mod relay;
mod store;

pub use message::{Message, Outgoing};
pub use relay::{DEFAULT_LEASE, Failure, Handler, Kick, Relay};
pub use store::{Backlog, DeadLetter, backlog, create_table, dead_letters, discard, enqueue, retry};

/// How often a message is tried before it is a dead letter: with the pauses of [`Relay`] (1 s doubling to 60 s) that is
/// a little over ten minutes of a callee being away.
pub const MAX_ATTEMPTS: i32 = 16;
