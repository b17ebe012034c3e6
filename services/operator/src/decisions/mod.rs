//! `selvage.pool.v1.Decisions`: shows people what was decided, and whom it is granted to. It decides nothing.
//!
//! Whoever decides puts a [`Picture`] of everything where this reads it. Who may read what is asked of an [`Access`], for which an API
//! server answers; [`Cached`] remembers its answers for a while. A replica that doesn't lead passes calls on to the one that does, with
//! the token of whoever calls, and both check it: nobody else can make one replica call another.

mod access;
mod pages;
mod relay;
mod server;
mod turns;

pub use access::{Access, AccessError, Cached};
pub use pages::{MAX_BUDGETS, MAX_PODS, Picture};
pub use server::{Limits, Server};
