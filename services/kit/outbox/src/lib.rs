//! A transactional outbox. What must happen *because* a transaction committed is written down in that transaction
//! ([`enqueue`]) and done afterwards by a [`Relay`], at least once, in order for each key.
//!
//! - The unit of work is a key: all its messages are done one after the other, never two at a time, by
//!   whichever relay claimed it. Several relays share the keys by `FOR UPDATE SKIP LOCKED`; SQLite has one process and so
//!   one relay. Messages are numbered by key, so their order doesn't depend on a database's sequences.
//! - A claim is a lease in the database, not an open transaction: handlers make network calls, and no connection is held
//!   across one. A relay that dies loses its lease, and another does the messages again. One that is late stores nothing:
//!   it looks first whether its claim is still its own.
//! - **Each message, done a second time after any that follow it, is answered as the first time.** What came of a key's
//!   messages is stored at the end, in one transaction; if that is lost, all of them are done again from the first one on.
//!   "Done" means done by whoever was asked, so it is theirs to answer the same and to do nothing; [`Handler`] says more.
//! - What a handler learns is stored in the transaction that removes its messages ([`Handler::settle`]); where it learns
//!   nothing, removing them is one statement, and so is a claim.
//! - What a claim costs doesn't depend on what waits. Of messages that are enqueued together all but the first are marked, and
//!   stand in no index that a claim reads; they are done with the first. Whoever leaves one of them as its key's first frees
//!   it. Messages that were never tried are one lane and those that were another; claims prefer them in turn, so that
//!   new ones pass a backlog of postponed ones, and that backlog drains whatever comes in.
//! - Messages are due by the database server's clock, which all relays have in common. A time that is further away than any pause is a
//!   mistake of some clock, and is mended within seconds.
//! - A message that fails is tried again with growing pauses, spread by its key; after [`MAX_ATTEMPTS`], or when its handler
//!   says that trying is useless, it is a dead letter. It holds up its key, and only that, until it is retried or discarded.
//!
//! # Adding a message and its handler
//!
//! 1. Give it a topic, a short constant that is never used for anything else, and have the sender [`enqueue`] it in the
//!    transaction that is its reason. Keep topic, handler and meaning in one place, as one line of a table.
//! 2. Do it in [`Handler::handle`] by an idempotent call. Write down at the callee what it answers to the same request after
//!    each one that can follow, and pin it with a test of the callee's store on both engines.
//! 3. If the sender's tables change because it is done, return an outcome, and store it in [`Handler::settle`].
//! 4. Choose the failure: [`Failure::Later`] for whoever is away, [`Failure::Never`] only for what no repetition can change.
//!    A dead letter is somebody's work.

mod attempt;
mod handler;
mod mending;
mod message;
mod meter;
mod pace;
mod relay;
mod store;

pub use handler::{Failure, Handler};
pub use message::{DeadLetter, Message, Outgoing};
pub use relay::{DEFAULT_LEASE, Kick, Relay};
pub use store::{
    Backlog, Waiting, add_lanes, add_numbers, backlog, create_table, dead_letters, discard, enqueue, retry, retry_once,
};

/// How often a message is tried before it is a dead letter: with the pauses of [`Relay`] (1 s doubling to 60 s, each up to a
/// quarter longer) that is 10 to 13 minutes of a callee being away.
pub const MAX_ATTEMPTS: i32 = 16;
/// The longest pause between two attempts, milliseconds, before jitter adds up to a quarter. After two minutes of failures a
/// callee that is back is asked within a minute and a quarter.
const MAX_PAUSE_MS: i64 = 60_000;
/// The same with jitter.
const LONGEST_PAUSE_MS: i64 = MAX_PAUSE_MS * 5 / 4;
