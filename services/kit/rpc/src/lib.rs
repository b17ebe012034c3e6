//! gRPC clients' channels. What every call between services needs is here, so that no caller can forget it:
//!
//! - **No connection is held** when a call is sent; see [`selvage_context::lease`].
//! - **A deadline**, the caller's own or 5 s, is passed on and kept, whatever the other side does.
//! - **Load is balanced here**, over the addresses that a name has now. A connection of HTTP/2 stays with one pod for its
//!   life, so a virtual address in front of many balances connections, not calls.
//! - **Retries** happen only where they can do no harm, and to a budget: a peer that is down is not buried in them.

mod address;
mod channel;
mod idempotency;
mod in_process;
mod peers;
mod request;
mod resolve;
mod retry;

pub use address::{AddressError, Target};
pub use channel::{Channel, DEFAULT_DEADLINE};
pub use in_process::{InProcess, Incoming};
pub use peers::endpoint;
pub use request::{on_behalf_of, with_token};

/// The largest message, in either direction: tonic's own default, said aloud.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
