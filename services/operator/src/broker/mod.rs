//! `selvage.pool.v1.PoolBroker`: hears what processes hold, and sends them what they are granted. It decides nothing.
//!
//! Whoever decides is given [`Event`]s, each with the holder that it is about, and answers through the [`Outbox`] of a holder's
//! stream, which keeps the newest answer alone. Which replica leads is watched: one that doesn't answers with the address of the
//! one that does.
//!
//! A stream's token is checked by a [`Reviewer`], for which an API server is asked; [`Cached`] remembers its answers for a while. What
//! a hello says of its pod must be what the token says.

mod cache;
mod events;
mod identity;
mod parse;
mod server;
mod session;
mod streams;

pub use cache::Cached;
pub use events::{
    Event, GrantNumber, Happening, Hello, Holder, Offer, Outbox, PoolBounds, PoolReport, RefusedCount, Report, UseCount,
};
pub use identity::{Identity, ReviewError, Reviewer};
pub use parse::Invalid;
pub use server::{Leadership, Limits, Server};
