//! Placing an order, and everything that follows from it.
//!
//! | step | undone by |
//! |---|---|
//! | the order is written down as pending | becoming undone, declined or out of stock |
//! | stock is set aside under the order's id | `release_stock` |
//! | the payment is authorised under the order's id | `void_payment` |
//! | the order is confirmed, with the messages below, in one transaction | (cancel or refund) |
//!
//! The order is written down first, so whatever breaks later, a row says that there may be something to undo. Undoing is
//! itself a message of the outbox, enqueued in the transaction that ends the order: once that has committed, it is done
//! however often something crashes. An order that is left pending is taken up by the [`sweep`], which asks the payment
//! provider by the order's id and then confirms or undoes.
//!
//! A confirmed order's messages, in sequence: `commit_stock`, `capture_payment`, `create_shipment`,
//! `mail_confirmed`, `clear_cart`. A mail's message only hands the mail over to a sequence of its own, so that no mail holds
//! up money or goods. Each is defined in one line of the table in [`topics`].
//!
//! An order that is neither at rest nor changes for [a quarter of an hour](crate::domain::recovery::STANDING_AFTER_MS) is
//! taken up by the sweep too: the dead letter that it waits for gets one attempt more, with growing pauses, and stays a dead
//! letter if that fails. `saga/model` proves what the whole promises: whatever is lost, late or done twice, an order ends
//! confirmed and delivered, cancelled and refunded, refunded, or undone, with money and stock in balance.
//!
//! # Adding a message and its handler
//!
//! 1. Add its line to the table in [`topics`]: its topic's word, the method of [`Follow`] that has it done, what its being done
//!    means and what its being left undone means. The compiler asks for the rest.
//! 2. Write that method in [`relay`], a call that is idempotent by the order's id. If its answer is one that no other message
//!    has, [`Refused`](crate::peers::Refused) gets it, and `Topic::outcome` says what it means.
//! 3. Name it where it follows from something, in [`messages`]; a new outcome gets its changes in `messages::settlement`.
//! 4. Say in the callee's proto file what is answered to a repetition after each message that can follow, pin it with a test of the
//!    callee's store, and give the model's callee in `saga/model` the same answer, with the mistake that would be easiest to make.

mod messages;
#[cfg(test)]
mod model;
mod place;
mod quote;
mod relay;
mod sweep;
mod told;
mod topics;

pub(crate) use messages::{cancelling, refunding, settlement};
pub(crate) use place::{AT_ONCE, Placing};
pub(crate) use quote::{Destination, bag, quote};
pub(crate) use relay::Follow;
pub(crate) use sweep::Sweeper;
pub(crate) use topics::{Topic, order_of};
