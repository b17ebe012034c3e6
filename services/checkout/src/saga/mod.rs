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
//! A confirmed order's messages, in sequence: `commit_stock`, `capture_payment`, `create_shipment`, `mail`,
//! `clear_cart`. The `mail` only hands the mail over to a sequence of its own, so that no mail holds up money or goods.

mod messages;
mod peers;
mod place;
mod relay;
mod sweep;

pub(crate) use messages::{cancelling, order_of, refunding};
pub(crate) use peers::{Shop, price_of};
pub(crate) use place::{AT_ONCE, Placing};
pub(crate) use relay::Follow;
pub(crate) use sweep::Sweeper;
